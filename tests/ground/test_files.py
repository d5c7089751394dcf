"""What files can hold, and that they are whole or absent."""

import errno
import math
import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from pyogrio.errors import DataSourceError

from support.limits import file_limit
from swath.errors import InputError, OutputError
from swath.files import check_file, finite, read_json, replacing, unwritten, write_bytes, write_json


@pytest.mark.parametrize("value", [None, math.nan, math.inf, np.float32("nan"), np.float64("-inf")])
def test_what_json_cannot_hold_becomes_none(value: float | None) -> None:
    assert finite(value) is None


def test_numbers_become_plain_floats() -> None:
    assert finite(np.float32(0.5)) == 0.5
    assert type(finite(np.float64(0.5))) is float
    assert finite(0) == 0.0


def test_a_file_that_may_not_grow_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, [1])
    with file_limit(1000), pytest.raises(OutputError, match=r"a\.json: cannot be written \(File too large"):
        write_json(path, list(range(1000)))
    assert read_json(path) == [1]
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_errors_of_the_system_blame_the_output(tmp_path: Path) -> None:
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO):
        with pytest.raises(OutputError, match=os.strerror(number)), replacing(tmp_path / "a"):
            raise OSError(number, os.strerror(number))
    with pytest.raises(OutputError, match="/dev/full/a"):
        write_bytes(Path("/dev/full/a"), b"x")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [DataSourceError("sqlite3_open failed"), sqlite3.OperationalError("I/O")])
def test_errors_of_libraries_blame_the_output(error: Exception, tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match=f"^{tmp_path / 'a.gpkg'}: .*{error}"),
        replacing(tmp_path / "a.gpkg"),
    ):
        raise error


def test_an_input_that_is_missing_is_not_said_of_the_output(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a"):
        (tmp_path / "far" / "input").read_bytes()


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").touch()
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may read all
    with pytest.raises(InputError, match=f"{tmp_path / 'a'}: Permission denied"):
        check_file(tmp_path / "a")


def test_what_is_not_as_it_was_written_has_a_likely_reason(tmp_path: Path) -> None:
    with file_limit(1000):
        assert "1,000 bytes" in str(unwritten(tmp_path / "a"))
    assert "read back" in str(unwritten(tmp_path / "a"))
