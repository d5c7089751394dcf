"""Jobs on several processes of this machine: each is done, whoever dies."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import process
from pathlib import Path
from typing import Any

import pytest

from swath.cli import run as swath
from swath.errors import BusyError, MissingExtraError, OutputExistsError, WorkerError
from swath.workers import HERE, Workers, open_crew


def whose(item: int) -> tuple[int, int]:
    return item, os.getpid()


def threads(_: int) -> str:
    return os.environ["OMP_NUM_THREADS"]


def die(task: tuple[Path, int]) -> int:
    """Kill the process that does it, the first so many times."""
    folder, deaths = task
    dead = len(list(folder.iterdir()))
    if dead < deaths:
        (folder / str(dead)).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return dead


def fail(item: int) -> int:
    if item == 1:
        raise OutputExistsError("this", " and why", " or that")
    time.sleep(0.3)
    return item


def sleep(folder: Path) -> None:
    (folder / str(os.getpid())).touch()
    time.sleep(60)


@pytest.mark.parametrize("workers", [HERE, Workers(2)])
def test_every_job_is_done_once_and_comes_with_its_item(workers: Workers, tmp_path: Path) -> None:
    with open_crew(workers, tmp_path) as crew:
        assert crew.size == workers.processes
        done = list(crew.run(whose, range(12)))
        assert list(crew.run(whose, [])) == []
    assert sorted(item for item, _ in done) == list(range(12))
    assert all(item == back for item, (back, _) in done)
    pids = {pid for _, (_, pid) in done}
    if workers.alone:
        assert pids == {os.getpid()}
        assert [item for item, _ in done] == list(range(12))
    else:
        assert len(pids) == 2
        assert os.getpid() not in pids


def test_processes_get_their_threads(tmp_path: Path) -> None:
    with open_crew(Workers(2), tmp_path, threads=3) as crew:
        assert [said for _, said in crew.run(threads, [0])] == ["3"]


def test_a_job_whose_worker_is_killed_is_done_again(tmp_path: Path) -> None:
    with open_crew(Workers(2), tmp_path) as crew:
        done = dict(crew.run(die, [(tmp_path, 2)] * 5))
    assert len(list(tmp_path.iterdir())) == 2
    assert done == {(tmp_path, 2): 2}


@pytest.mark.parametrize("moment", ["handing in the next", "handing in another", "starting another"])
def test_a_worker_may_be_found_dead_at_any_moment(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python 3.11 leaves a job or a worker that it is about to note while its other thread gives up."""
    pools: list[process.ProcessPoolExecutor] = []
    jobs: list[object] = []

    def strike() -> None:
        for worker in [*pools[0]._processes.values()]:
            worker.kill()
        time.sleep(0.5)

    class Started(dict[int, Any]):
        def __setitem__(self, pid: int, worker: Any) -> None:
            if len(self) == 1 and len(pools) == 1 and moment == "starting another":
                strike()
            super().__setitem__(pid, worker)

    def pool(*given: Any, **named: Any) -> process.ProcessPoolExecutor:
        pools.append(process.ProcessPoolExecutor(*given, **named))
        pools[-1]._processes = Started()
        return pools[-1]

    def work_item(*given: Any) -> object:
        jobs.append(given)
        if len(jobs) == 2 and moment != "starting another":
            strike()
        return real(*given)

    real = process._WorkItem
    monkeypatch.setattr(process, "_WorkItem", work_item)
    monkeypatch.setattr("swath.workers.ProcessPoolExecutor", pool)
    monkeypatch.setattr("swath.workers.POLL_S", 0.5)
    with open_crew(Workers(2), tmp_path) as crew:
        for items in ([0], [1]) if moment == "handing in the next" else ([0, 1, 2],):
            assert sorted(item for item, _ in crew.run(whose, items)) == items
    assert len(pools) == 2


def test_workers_that_die_every_time_are_given_up(tmp_path: Path) -> None:
    with (
        open_crew(Workers(2), tmp_path) as crew,
        pytest.raises(WorkerError, match=r"died 3 times.*goes on.*fewer"),
    ):
        list(crew.run(die, [(tmp_path, 9)]))
    assert len(list(tmp_path.iterdir())) == 3


def test_an_error_comes_whole_and_the_other_jobs_have_ended(tmp_path: Path) -> None:
    with open_crew(Workers(2), tmp_path) as crew:
        with pytest.raises(OutputExistsError) as caught:
            list(crew.run(fail, range(20)))
        assert list(crew.run(fail, [7])) == [(7, 7)]
    assert str(caught.value) == str(OutputExistsError("this", " and why", " or that"))


@pytest.mark.parametrize(
    "error", [MissingExtraError("swath x", "y", "z"), BusyError("folder"), WorkerError("a", 1)]
)
def test_errors_are_pickled_as_they_read(error: Exception) -> None:
    import pickle

    back = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert type(back) is type(error)
    assert str(back) == str(error)


def test_no_worker_outlives_the_process_that_started_it(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from swath.workers import *\n"
        "from ground.test_workers import sleep\n"
        "if __name__ == '__main__':\n"
        f"    folder = Path({str(tmp_path)!r})\n"
        "    with open_crew(Workers(2), folder) as crew: list(crew.run(sleep, [folder] * 2))\n"
    )
    script = tmp_path.parent / "parent.py"
    script.write_text(code)
    path = os.pathsep.join(sys.path)
    parent = subprocess.Popen([sys.executable, str(script)], env=os.environ | {"PYTHONPATH": path})
    deadline = time.monotonic() + 60
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
        assert parent.poll() is None
        time.sleep(0.02)
    parent.kill()
    parent.wait()
    workers = [int(file.name) for file in tmp_path.iterdir()]
    while any(map(_lives, workers)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(_lives, workers))


def _lives(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    "command", [["map", "run", "a.tif"], ["build", "s.yaml"], ["lab", "compare", "c.yaml"]]
)
def test_workers_here_and_of_a_cluster_exclude_each_other(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--out", str(tmp_path / "out"), "--workers", "2", "--scheduler", "tcp://x:1"]
    assert swath([*command, *options]) == 2
    said = capsys.readouterr().err
    assert "give one" in said
    assert said.count("\n") == 1
