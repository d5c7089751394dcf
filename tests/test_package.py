"""What is shipped: the wheel holds all it needs and runs away from the checkout."""

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import swath

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=PROJECT,
        check=True,
        capture_output=True,
    )
    return next(folder.glob("*.whl"))


def test_wheel_holds_every_file_of_the_package_and_the_licence(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    source = PROJECT / "src"
    files = {
        path.relative_to(source).as_posix()
        for path in (source / "swath").rglob("*")
        if path.is_file() and path.suffix != ".pyc" and not path.name.startswith(".")
    }
    assert files <= inside
    assert {"swath/py.typed", "swath/legends/roads.yaml", "swath/legends/water.yaml"} <= files
    assert any(name.endswith(".j2") for name in files)  # the report's template
    assert any(name.endswith("licenses/LICENSE") for name in inside)
    assert not any(name.startswith(("tests/", "docs/")) for name in inside)


def test_wheel_installs_and_runs_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "--no-deps", "--no-index", "--target", str(target), str(wheel)],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    environment = {**os.environ, "PYTHONPATH": str(target)}
    code = (
        "import swath; from swath.legend import read_legend; "
        "print(swath.__file__, *read_legend('roads').names)"
    )
    for command in (
        [sys.executable, "-c", code],
        [sys.executable, str(target / "bin" / "swath"), "--version"],
        [sys.executable, "-m", "swath", "--version"],
    ):
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        expected = str(target) if "-c" in command else f"swath {swath.__version__}"
        assert expected in done.stdout


def test_version_is_the_projects() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    assert swath.__version__ == project["version"]


def test_licence_is_apache() -> None:
    text = (PROJECT / "LICENSE").read_text("utf-8")
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_links_between_the_documents_lead_somewhere() -> None:
    import re

    pages = [*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")]
    assert pages
    broken = [
        f"{page.relative_to(PROJECT)} -> {link}"
        for page in pages
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
        if not link.startswith(("http://", "https://", "mailto:")) and not (page.parent / link).exists()
    ]
    assert broken == []
