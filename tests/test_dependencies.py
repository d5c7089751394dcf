"""What swath stands on is pinned and may be used with its licence; and who talks to servers."""

import ast
import importlib.util
import re
import tomllib
from types import ModuleType

import pytest
from packaging.specifiers import SpecifierSet

from conftest import PROJECT

TALKERS = re.compile(
    r"(requests|urllib3|urllib\.request|http\.(client|server)|socket|pystac_client|httpx|aiohttp|ftplib)\b"
)
"""Modules of Python and of others that make requests, or answer them."""

SERVERS = {
    "swath.retrieval": "swath fetch",
    "swath.labels.overpass": "an Overpass server that a sites file names",
    "swath.viewer.server": "it answers on this machine",
    "swath.lab.faults.catalogue": "so does this",
    "swath.doctor": "it tries whether an API answers",
}


@pytest.fixture(scope="module")
def dependencies() -> ModuleType:
    """The script that writes constraints.txt and docs/licences.md."""
    spec = importlib.util.spec_from_file_location("dependencies", PROJECT / "docs" / "dependencies.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_dependency_is_pinned(dependencies: ModuleType) -> None:
    lines = (PROJECT / "constraints.txt").read_text("utf-8").splitlines()
    pinned = {line.partition("==")[0] for line in lines}
    assert all("==" in line for line in lines)
    assert set(dependencies.dependencies()) - pinned == set(), "run: make lock"
    assert "torchvision" not in pinned


def test_the_pinned_versions_install_on_the_oldest_python_that_is_promised(dependencies: ModuleType) -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    oldest = project["requires-python"].removeprefix(">=") + ".0"
    found = dependencies.dependencies()
    wanted = {name: each.metadata.get("Requires-Python") for name, each in found.items()}
    assert [f"{n} {w}" for n, w in wanted.items() if w and not SpecifierSet(w).contains(oldest)] == []


def test_licences_go_with_ours(dependencies: ModuleType) -> None:
    unclear = [
        name for name, package in dependencies.dependencies().items() if not dependencies.licence(package)
    ]
    assert unclear == []
    listed = (PROJECT / "docs" / "licences.md").read_text("utf-8")
    assert [name for name in dependencies.dependencies() if f"| {name} |" not in listed] == [], (
        "run: make lock"
    )


def test_only_what_fetches_can_talk_to_servers() -> None:
    talking = set()
    for path in (PROJECT / "src").rglob("*.py"):
        name = ".".join(path.relative_to(PROJECT / "src").with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                imported = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            if any(TALKERS.match(module) for module in imported):
                talking.add(name)
    assert [name for name in sorted(talking) if not name.startswith(tuple(SERVERS))] == []
