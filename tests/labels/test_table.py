"""GeoParquet, written and read back."""

import subprocess
import sys
from pathlib import Path

import pytest

_SCRIPT = """
import os, sys
from pathlib import Path
import geopandas, shapely
from swath.labels.table import write_features

threads = lambda: len(os.listdir("/proc/self/task"))
before = threads()
roads = geopandas.GeoDataFrame({"width": [1.0]}, geometry=[shapely.Point(0, 0)], crs="EPSG:4326")
write_features(Path(sys.argv[1]), roads)
assert threads() == before, threads()
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="nothing tells of threads here")
def test_what_was_written_is_read_back_by_no_other_thread(tmp_path: Path) -> None:
    """Where memory lacks for one, reading would wait for it without end."""
    path = tmp_path / "roads.parquet"
    done = subprocess.run([sys.executable, "-c", _SCRIPT, str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert path.is_file()
