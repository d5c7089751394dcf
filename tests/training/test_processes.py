"""Several processes train as one does: the same networks but for rounding, and after a kill too."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from swath.cli import run as swath
from swath.dataset.build import build_dataset
from swath.errors import SettingsError
from swath.training.norms import SharedBatchNorm2d, shared_norms
from swath.training.processes import Processes

STAGE = {
    "phases": [{"learning_rate": 3e-3, "epochs": 3}],
    "batches": 3,
    "batch_size": 4,
    "patch_px": 32,
    "ema": 0.5,
}
SETTINGS = {"width": 2, "hidden": 4, "jitter": 0.1, "fcn": STAGE, "rnn": STAGE}


@pytest.fixture(scope="module")
def place(tiny_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("processes")
    build_dataset(tiny_world, folder / "dataset")
    (folder / "settings.yaml").write_text(json.dumps(SETTINGS))
    return folder


def command(place: Path, out: str, *more: str) -> list[str]:
    own = ["--out", str(place / out), "--settings", str(place / "settings.yaml")]
    return ["train", str(place / "dataset"), *own, "--precision", "fp32", "--json", *more]


def start(arguments: list[str], **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "swath", *arguments],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture(scope="module")
def by_two_hosts(place: Path) -> dict[str, Any]:
    """What two processes print that were started apart, as on two machines."""
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    arguments = command(place, "hosts", "--nodes", "2")
    second, first = (start(arguments, NODE_RANK=rank, **where) for rank in ("1", "0"))
    out, err = first.communicate(timeout=600)
    said, complained = second.communicate(timeout=60)
    assert (first.returncode, second.returncode) == (0, 0), err + complained
    assert (said, complained) == ("", "")
    result: dict[str, Any] = json.loads(out)
    return result


def test_two_hosts_train_what_one_process_trains(
    place: Path, by_two_hosts: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert swath(command(place, "alone")) == 0
    alone = json.loads(capsys.readouterr().out)
    for stage in ("fcn", "rnn"):
        for score, value in alone["scores"][stage].items():
            assert by_two_hosts["scores"][stage][score] == pytest.approx(value, abs=1e-3), score
    one, two = (load_file(place / run / "model.safetensors") for run in ("alone", "hosts"))
    assert one.keys() == two.keys()
    # Adam takes steps of a learning rate whatever the size of the gradient: 9 steps of up to 0.003
    # here. So rounding moves single weights whose gradient is next to nothing, but few of them.
    for name, weight in one.items():
        apart = (two[name].float() - weight.float()).abs()
        assert float(apart.max()) < 2e-3, name
        assert float(apart.square().mean().sqrt()) < 2e-4, name


def test_a_killed_process_ends_the_run_and_it_resumes_to_the_same_weights(
    place: Path, by_two_hosts: dict[str, Any]
) -> None:
    arguments = command(place, "killed", "--devices", "2", "--stage", "fcn")
    first = start(arguments)
    deadline = time.monotonic() + 600
    while not (place / "killed/fcn/last.ckpt").exists() and time.monotonic() < deadline:
        assert first.poll() is None, first.communicate()
        time.sleep(0.02)
    children = Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split()
    assert len(children) == 1
    os.kill(int(children[0]), signal.SIGKILL)
    out, err = first.communicate(timeout=60)
    assert (first.returncode, out) == (2, ""), err
    assert "error: a process of this training was lost" in err
    assert "--resume" in err
    assert "Traceback" not in err
    assert not (place / "killed/model.json").exists()
    again = start([*arguments, "--resume"])
    out, err = again.communicate(timeout=600)
    assert again.returncode == 0, err
    assert json.loads(out)["scores"]["fcn"] == by_two_hosts["scores"]["fcn"]
    one, two = (load_file(place / run / "fcn/weights.safetensors") for run in ("killed", "hosts"))
    assert all(torch.equal(one[name], two[name]) for name in two)


@pytest.mark.parametrize(
    ("options", "environment", "message"),
    [
        (["--devices", "3"], {}, "mini-batches of 4 patches cannot be shared by 3 processes"),
        (["--nodes", "2"], {}, "set MASTER_ADDR, MASTER_PORT, NODE_RANK on every node"),
        (
            ["--nodes", "2"],
            {"MASTER_ADDR": "x", "MASTER_PORT": "1", "NODE_RANK": "2"},
            "process 3 of 2; they count from 0",
        ),
        ([], {"LOCAL_RANK": "one"}, "LOCAL_RANK in the environment must be a number from 0 on"),
        (
            ["--devices", "2"],
            {"MASTER_ADDR": "x", "MASTER_PORT": "1", "LOCAL_RANK": "one"},
            "LOCAL_RANK in the environment must be a number from 0 on",
        ),
    ],
)
def test_bad_numbers_of_processes_are_one_line(
    options: list[str],
    environment: dict[str, str],
    message: str,
    place: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert swath(command(place, "bad", *options)) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (place / "bad").exists()


def test_shares_of_a_batch() -> None:
    assert [Processes(2, 2).share(size) for size in (4, 8)] == [1, 2]
    with pytest.raises(SettingsError, match="or another batch_size"):
        Processes(2, 2).share(6)


def test_one_process_normalises_as_pytorch_does() -> None:
    """Outputs, gradients and running averages of three steps; then the network is as it was."""
    torch.manual_seed(0)
    nets = [nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU()) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    with shared_norms(nets[1]):
        assert type(nets[1][1]) is SharedBatchNorm2d
        for step in range(3):
            image = torch.randn(4, 3, 8, 8) * 3 + 100 * step
            weight = torch.randn(4, 5, 6, 6)
            for net in nets:
                (net(image) * weight).sum().backward()
    assert type(nets[1][1]) is nn.BatchNorm2d
    for (name, one), two in zip(nets[0].state_dict().items(), nets[1].state_dict().values(), strict=True):
        torch.testing.assert_close(two, one, rtol=1e-5, atol=1e-5, msg=name)
    for (name, one), two in zip(nets[0].named_parameters(), nets[1].parameters(), strict=True):
        # A bias before a batch norm has no gradient but rounding.
        torch.testing.assert_close(two.grad, one.grad, rtol=1e-3, atol=2e-3, msg=name)
