"""What is shipped: wheel and sdist hold all they need, and run away from the checkout."""

import email
import hashlib
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from email.message import Message
from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml
from affine import Affine

import swath

PROJECT = Path(__file__).resolve().parents[1]
REPOSITORY = re.compile(r"https://github\.com/swath-map/swath/(?:blob|raw|tree)/main/([^)\s#\"]+)")


def build(target: str, source: Path, folder: Path) -> Path:
    """What `python -m build --no-isolation` would make of a source tree."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)],
        cwd=source,
        check=True,
        capture_output=True,
    )
    (made,) = folder.iterdir()
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", PROJECT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    """What a package index shows of it."""
    with zipfile.ZipFile(wheel) as held:
        (name,) = (name for name in held.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(held.read(name))


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel; what swath stands on is lent by the one of the tests."""
    folder = tmp_path_factory.mktemp("clean")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", str(wheel)], check=True)
    (site / "lent.pth").write_text(sysconfig.get_path("purelib"))
    return folder


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
    assert {name.partition("/")[0].partition("-")[0] for name in inside} == {"swath"}


def test_sdist_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(build("sdist", PROJECT, tmp_path / "sdist")) as held:
        held.extractall(tmp_path, filter="data")
    source = tmp_path / f"swath-{swath.__version__}"
    for name in ("tests/conftest.py", "docs/training.md", "Makefile", "CITATION.cff", "CONTRIBUTING.md"):
        assert (source / name).is_file(), name
    again = build("wheel", source, tmp_path / "wheel")
    assert again.name == wheel.name
    assert hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(wheel.read_bytes()).digest()


def test_the_wheel_maps_in_a_clean_environment(clean: Path, tmp_path: Path) -> None:
    """Version, place and a map with the starter weights, by the installed command."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    image = tmp_path / "2024-05-01.tif"
    profile = {"driver": "GTiff", "width": 64, "height": 64, "count": 4, "dtype": "uint16", "nodata": 0}
    place = {"crs": "EPSG:32631", "transform": Affine(10, 0, 450000, 0, -10, 5400000)}
    with rasterio.open(image, "w", **profile, **place) as written:
        written.write(np.random.default_rng(0).integers(300, 3000, (4, 64, 64)).astype("uint16"))
        written.descriptions = ("B04", "B03", "B02", "B08")

    def shown(*command: str) -> str:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    command = str(clean / "bin" / "swath")
    assert str(clean) in shown(str(clean / "bin" / "python"), "-c", "import swath; print(swath.__file__)")
    assert shown(command, "--version") == f"swath {swath.__version__}\n"
    shown(command, "map", str(image), "--out", "maps", "--no-page")
    assert len(list(tmp_path.glob("maps/*/pmap.tif"))) == 1


def test_version_stands_in_one_place(metadata: Message, wheel: Path) -> None:
    assert metadata["Version"] == swath.__version__
    assert f"swath-{swath.__version__}-" in wheel.name
    citation = yaml.safe_load((PROJECT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == swath.__version__
    log = (PROJECT / "CHANGELOG.md").read_text("utf-8")
    versions = re.findall(r"^## \[([\d.]+)\] - (\d{4}-\d\d-\d\d)$", log, re.MULTILINE)
    assert versions[0] == (swath.__version__, str(citation["date-released"]))
    starts = [log.index("## [Unreleased]"), log.index(f"## [{swath.__version__}]")]
    assert starts == sorted(starts)


def test_what_an_index_shows_leads_somewhere(metadata: Message) -> None:
    """README with whole addresses, and those of our own repository are files in it."""
    text = metadata.get_payload()
    assert isinstance(text, str)
    targets = re.findall(r"\]\(([^)]+)\)|<img src=\"([^\"]+)", text)
    assert len(targets) > 20
    assert all(link.startswith(("https://", "#")) for pair in targets for link in pair if link)
    card = (PROJECT / "src" / "swath" / "starter" / "README.md").read_text("utf-8")
    assert all(link.startswith("https://") for link in re.findall(r"\]\(([^)]+)\)", card))
    paths = [*REPOSITORY.findall(text), *REPOSITORY.findall(card), *REPOSITORY.findall(str(metadata))]
    assert [path for path in paths if not (PROJECT / path).exists()] == []
    assert metadata["Description-Content-Type"] == "text/markdown"


def test_supported_pythons_are_the_same_everywhere(metadata: Message) -> None:
    named = [text.rpartition(" ")[2] for text in metadata.get_all("Classifier", ()) if ":: 3." in text]
    workflow = yaml.safe_load((PROJECT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == named
    assert metadata["Requires-Python"] == f">={named[0]}"
    assert f"{sys.version_info[0]}.{sys.version_info[1]}" in named


def test_the_public_workflow_runs_what_ours_does() -> None:
    """The same script, and hooks with the tools of the lock."""
    workflow = yaml.safe_load((PROJECT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))
    steps = [step.get("run", "") for step in workflow["jobs"]["test"]["steps"]]
    assert "bash .ci/run" in steps
    hooks = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    makefile = (PROJECT / "Makefile").read_text("utf-8")
    for hook in hooks[0]["hooks"]:
        command = hook["entry"].removeprefix(".venv/bin/").split()[0]
        assert f"$(BIN)/{command}" in makefile


def test_licence_is_apache() -> None:
    text = (PROJECT / "LICENSE").read_text("utf-8")
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_links_between_the_documents_lead_somewhere() -> None:
    pages = [*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")]
    assert pages
    broken = [
        f"{page.relative_to(PROJECT)} -> {link}"
        for page in pages
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
        if not link.startswith(("http://", "https://", "mailto:")) and not (page.parent / link).exists()
    ]
    assert broken == []
