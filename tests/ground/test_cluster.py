"""Jobs on a real Dask cluster: a scheduler and workers, processes of their own, over TCP."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ground.test_workers import die, fail, sleep, whose
from lab.test_compare import content, without_times
from mapping.test_resume import command, digests, run_folder, scenes, undisturbed  # noqa: F401
from swath import cluster as cluster_module
from swath import workers as workers_module
from swath.cli import run as swath
from swath.dataset.build import build_dataset
from swath.errors import OutputExistsError, WorkerError
from swath.workers import Workers, open_crew

pytest.importorskip("distributed")


class LocalCluster:
    """A scheduler and its workers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workers: list[subprocess.Popen[bytes]] = []
        file = folder / "scheduler.json"
        self.scheduler = self._start(
            "scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file)
        )
        deadline = time.monotonic() + 60
        while not (file.exists() and file.read_text()) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.address = json.loads(file.read_text())["address"]

    def _start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *arguments, "--no-dashboard"],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def staff(self, number: int) -> None:
        """Have so many workers running."""
        self.workers = [worker for worker in self.workers if worker.poll() is None]
        own = ["--nthreads", "1", "--no-nanny", "--local-directory", str(self.folder)]
        while len(self.workers) < number:
            self.workers.append(self._start("worker", self.address, *own))
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(number, timeout=60)

    def stop(self) -> None:
        """End all."""
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    started = LocalCluster(tmp_path_factory.mktemp("dask"))
    try:
        started.staff(2)
        yield started
    finally:
        started.stop()


def test_maps_have_the_same_bytes_though_a_worker_is_killed(
    dask: LocalCluster,
    command: Any,  # noqa: F811
    undisturbed: Path,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dask.staff(2)
    out = tmp_path_factory.mktemp("cluster")
    victim = dask.workers[0]

    def kill() -> None:
        while len(list(out.glob(".work-town/tiles/*/*_*.npy"))) < 3:
            time.sleep(0.002)
        victim.kill()

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    assert swath([*command(out), "--scheduler", dask.address]) == 0
    killer.join(timeout=1)
    assert victim.wait() == -signal.SIGKILL
    assert "1 of the cluster's workers went away" in capsys.readouterr().err
    assert digests(out) == digests(undisturbed)


def test_a_job_whose_worker_is_killed_is_done_by_another(dask: LocalCluster, tmp_path: Path) -> None:
    dask.staff(2)
    with open_crew(Workers(scheduler=dask.address), tmp_path) as crew:
        assert crew.size == 2
        assert dict(crew.run(die, [(tmp_path, 1)])) == {(tmp_path, 1): 1}
        assert crew.size == 1
        assert sorted(item for item, _ in crew.run(whose, range(5))) == list(range(5))


def test_an_error_comes_whole_from_a_cluster(dask: LocalCluster, tmp_path: Path) -> None:
    dask.staff(2)
    with open_crew(Workers(scheduler=dask.address), tmp_path) as crew:
        with pytest.raises(OutputExistsError) as caught:
            list(crew.run(fail, range(20)))
        assert list(crew.run(fail, [7])) == [(7, 7)]
    assert str(caught.value) == str(OutputExistsError("this", " and why", " or that"))


@pytest.mark.parametrize("workers", ["processes", "cluster"])
def test_a_dataset_has_the_same_bytes(
    workers: str, dask: LocalCluster, tiny_world: Path, tmp_path: Path
) -> None:
    dask.staff(2)
    build_dataset(tiny_world, tmp_path / "alone")
    options = ["--workers", "2"] if workers == "processes" else ["--scheduler", dask.address]
    assert swath(["build", str(tiny_world), "--out", str(tmp_path / "shared"), *options]) == 0
    assert digests(tmp_path / "shared") == digests(tmp_path / "alone")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone", "shared"]


def test_a_site_that_fails_leaves_no_dataset(
    dask: LocalCluster, tiny_world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dask.staff(2)
    sites = yaml.safe_load(tiny_world.read_text("utf-8"))
    first = next(iter(sites["sites"].values()))
    (damaged,) = tiny_world.parent.glob(f"**/{Path(first['scenes'][0]['path']).parent}")
    image = sorted(damaged.glob("*.tif"))[0]
    whole = image.read_bytes()
    image.write_bytes(whole[: len(whole) // 2])
    try:
        arguments = ["build", str(tiny_world), "--out", str(tmp_path / "out")]
        assert swath([*arguments, "--scheduler", dask.address]) == 2
    finally:
        image.write_bytes(whole)
    assert image.name in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_comparison_scores_the_same(
    dask: LocalCluster, tiny_world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dask.staff(2)
    dataset = build_dataset(tiny_world, tmp_path / "dataset")
    value = content(dataset) | {"seeds": [0]}
    value["models"] = [value["models"][0] | {"stage": "fcn"}]
    value["folds"] = value["folds"][:1]
    file = tmp_path / "comparison.yaml"
    file.write_text(yaml.safe_dump(value))
    boards = []
    for options in ([], ["--scheduler", dask.address]):
        out = tmp_path / f"out{len(options)}"
        assert swath(["lab", "compare", str(file), "--out", str(out), "--json", *options]) == 0
        boards.append(json.loads(capsys.readouterr().out))
    assert without_times(boards[0]) == without_times(boards[1])
    assert [board["workers"] for board in boards] == [1, 2]


def test_workers_that_see_other_files_are_told(
    dask: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dask.staff(2)
    monkeypatch.chdir(tmp_path)
    # The same path, but every process has another folder there.
    for out, reads in ((Path("/proc/self/cwd"), []), (tmp_path, [tmp_path / "none"])):
        with (
            pytest.raises(WorkerError, match=r"worker tcp://.* does not see .*share"),
            open_crew(Workers(scheduler=dask.address), out, reads),
        ):
            pass
    assert list(tmp_path.iterdir()) == []


def test_another_version_of_swath_is_told(
    dask: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dask.staff(2)
    monkeypatch.setattr(cluster_module, "__version__", "99.0")
    with (
        pytest.raises(WorkerError, match=r"has swath .* this is 99\.0; install the same"),
        open_crew(Workers(scheduler=dask.address), tmp_path),
    ):
        pass


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:{}", "127.0.0.1", "nothing://x:{}"])
def test_no_scheduler_is_one_line_soon(
    address: str,
    command: Any,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster_module, "ANSWER_S", 0.5)
    where = address.format(free_port())
    assert swath([*command(tmp_path / "out"), "--scheduler", where]) == 2
    said = capsys.readouterr().err
    assert f"no Dask scheduler answers at {where}" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_something_else_than_a_scheduler_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with (
            pytest.raises(WorkerError, match="no Dask scheduler answers"),
            open_crew(Workers(scheduler=address), tmp_path),
        ):
            pass


def test_a_cluster_that_loses_its_workers_or_its_scheduler_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers_module, "POLL_S", 0.2)
    monkeypatch.setattr(workers_module, "GONE_S", 0.5)
    (tmp_path / "dask").mkdir()
    own = LocalCluster(tmp_path / "dask")

    def sleep_until_killed(name: str, victim: "subprocess.Popen[bytes]") -> None:
        begun = tmp_path / name
        begun.mkdir()
        with open_crew(Workers(scheduler=own.address), begun) as crew:
            threading.Thread(target=kill_at, args=(begun, victim)).start()
            list(crew.run(sleep, [begun]))

    try:
        with monkeypatch.context() as patch:
            patch.setattr(cluster_module, "ANSWER_S", 1.0)
            with pytest.raises(WorkerError, match=r"has no workers; start some"):
                sleep_until_killed("none", own.scheduler)
        own.staff(1)
        with pytest.raises(WorkerError, match=r"has had no workers for"):
            sleep_until_killed("worker", own.workers[0])
        own.staff(1)
        with pytest.raises(WorkerError, match=r"went away; run the same command again"):
            sleep_until_killed("scheduler", own.scheduler)
    finally:
        own.stop()


def kill_at(folder: Path, process: "subprocess.Popen[bytes]") -> None:
    """Kill a process as soon as a job has begun."""
    deadline = time.monotonic() + 60
    while not list(folder.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
