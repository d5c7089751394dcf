"""What is kept of memory, and when it is given back."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from swath.mapping import jobs
from swath.mapping.tilestore import open_store
from swath.memory import peak_bytes
from swath.tiles import plan_tiles
from swath.workers import HERE

KEEP_AND_RETURN = """
import re
import numpy as np
from pathlib import Path
from swath.memory import keep_freed_memory, peak_bytes, return_freed_memory

def now():
    return int(re.search(r"VmRSS:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

keep_freed_memory()
before = now()
arrays = [np.ones(50 << 20, np.uint8) for _ in range(4)]
above = np.ones(1000)  # so that the freed arrays are not the end of the heap
del arrays
kept = now() - before
return_freed_memory()
print(kept, now() - before, peak_bytes() / 2**20 - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="no /proc")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc")
def test_freed_memory_is_kept_and_given_back() -> None:
    run = subprocess.run([sys.executable, "-c", KEEP_AND_RETURN], capture_output=True, text=True, check=True)
    kept, left, peak = map(float, run.stdout.split())  # MiB
    assert 190 < kept < 210
    assert left < 20
    assert 190 < peak < 210


def test_the_peak_is_at_least_what_is_there_now() -> None:
    found = peak_bytes()
    status = Path("/proc/self/status")
    if status.is_file() and found is not None:
        now = re.search(r"VmRSS:\s+(\d+) kB", status.read_text())
        assert now is not None
        assert found >= 0.9 * int(now[1]) * 1024


def test_tiles_of_a_size_come_together_and_the_largest_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[tuple[int, int] | None] = []

    class Noting:
        """A job that notes the shapes in their order."""

        def read(self, predictor: Any, tile: Any) -> None:
            """Nothing."""

        def compute(self, predictor: Any, tile: Any, data: Any) -> Any:
            """The row and column of the tile."""
            events.append((tile.read.height, tile.read.width))
            return np.full((1, tile.core.height, tile.core.width), tile.core.row, np.uint8)

    monkeypatch.setattr(jobs, "return_freed_memory", lambda: events.append(None))
    tiles = plan_tiles((160, 200), 32, 16, 16)
    store = open_store(tmp_path, "0" * 64, 1, tiles)
    whole = SimpleNamespace(model=SimpleNamespace(spec=SimpleNamespace(fallback=None)))
    with jobs.running(whole, tmp_path, tmp_path, HERE) as run:  # type: ignore[arg-type]
        run(Noting(), store, "noting")  # type: ignore[arg-type]
    shapes = [event for event in events if event is not None]
    assert sorted(shapes) == sorted((tile.read.height, tile.read.width) for tile in tiles)
    areas = [height * width for height, width in shapes]
    assert areas == sorted(areas, reverse=True)
    # What was freed is given back before every size, and at the end.
    firsts = [at for at, shape in enumerate(shapes) if at == 0 or shape != shapes[at - 1]]
    assert len(firsts) == len(set(shapes)) > 3
    given = [at for at, event in enumerate(events) if event is None]
    assert given == [*(at + n for n, at in enumerate(firsts)), len(events) - 1]
    # The order in which they are read back is the plan's.
    assert [(core, int(codes[0, 0, 0])) for core, codes in store.read()] == [
        (tile.core, tile.core.row) for tile in tiles
    ]
