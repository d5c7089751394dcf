"""The one table of extras: as pyproject.toml has them, and what is said where a package is missing."""

import re
import sys
import tomllib
from pathlib import Path

import pytest

from swath import extras
from swath.errors import MissingExtraError
from swath.extras import EXTRAS, need_extras, optional_import

PROJECT = Path(__file__).parents[2]
BUNDLES = {"all", "dev", "docs", "bench"}
"""What is no extra of its own, or for developers alone."""

ELSEWHERE = {"torch", "uvloop"}
"""In the core as well; not on every system."""


def declared() -> dict[str, list[str]]:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    extras: dict[str, list[str]] = project["optional-dependencies"]
    return extras


def test_the_table_is_what_the_package_declares() -> None:
    packages = {
        name: {re.split(r"[>=;\[ ]", line)[0] for line in lines} - ELSEWHERE
        for name, lines in declared().items()
        if name not in BUNDLES
    }
    assert {name: set(extra.packages.values()) for name, extra in EXTRAS.items()} == packages
    (line,) = declared()["all"]
    assert set(line.removeprefix("swath[").removesuffix("]").split(",")) == set(EXTRAS)


def test_every_error_of_a_missing_package_comes_from_the_table() -> None:
    source = PROJECT / "src" / "swath"
    raising = [
        path.relative_to(source).as_posix()
        for path in source.rglob("*.py")
        if "MissingExtraError(" in path.read_text("utf-8")
    ]
    assert sorted(raising) == ["errors.py", "extras.py"]


def test_what_is_missing_is_named_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    need_extras("to fly")
    here = {"jinja2", "matplotlib", "pytorch_lightning"}
    monkeypatch.setattr(extras, "find_spec", lambda name: object() if name in here else None)
    need_extras("a report", "report")
    assert EXTRAS["train"].missing == ("tensorboard",)
    with pytest.raises(MissingExtraError) as caught:
        need_extras("to fly", "report", "train", "baselines")
    assert str(caught.value) == (
        "to fly needs the package 'tensorboard', which is not installed; "
        "run: pip install 'swath[train,baselines]' (in a clone: '.[train,baselines]')"
    )


def test_a_block_that_imports_tells_the_package_and_not_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    needs = r"to fly needs the package 'scikit-learn'.*swath\[baselines\]"
    with pytest.raises(MissingExtraError, match=needs), optional_import("to fly", "baselines"):
        import sklearn  # noqa: F401
    needs = r"'no_such_package'.*swath\[osm\]"
    with pytest.raises(MissingExtraError, match=needs), optional_import("to fly", "osm"):
        import no_such_package  # noqa: F401
