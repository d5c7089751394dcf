"""Commands whose output cannot be written, is an input, or is somebody else's: nothing is lost."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.limits import file_limit
from support.saved_runs import save_run
from swath.cli import run as swath
from swath.dataset.site import Dataset
from swath.errors import InputError

Line = pytest.CaptureFixture[str]


def call(capsys: Line, *arguments: object) -> tuple[int, str]:
    """Exit code and stderr of a command."""
    capsys.readouterr()
    code = swath([*map(str, arguments)])
    return code, capsys.readouterr().err


def refused(capsys: Line, *arguments: object) -> str:
    """The one line with which a command ends that is refused."""
    code, text = call(capsys, *arguments)
    lines = [line for line in text.splitlines() if line.startswith("error: ")]
    assert (code, len(lines)) == (2, 1), text
    assert text.rstrip().endswith(lines[0])
    assert "Traceback" not in text
    return lines[0]


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "run"
    save_run(folder, {})
    return folder


@pytest.fixture
def world(tiny_world: Path, tmp_path: Path) -> Path:
    """A folder of one's own with images, labels and a sites file."""
    folder = tmp_path / "src"
    shutil.copytree(tiny_world.parent, folder)
    return folder


@pytest.mark.parametrize("out", [".", "..", "sim_test", "link", "../src/sim_test/.."])
def test_build_never_replaces_its_inputs(
    out: str, world: Path, monkeypatch: pytest.MonkeyPatch, capsys: Line
) -> None:
    monkeypatch.chdir(world)
    (world.parent / "link").symlink_to("src")
    before = digests(world)
    target = world.parent / out if out == "link" else Path(out)
    assert "--overwrite" not in refused(capsys, "build", "sites.yaml", "--out", target, "--overwrite")
    assert "--overwrite" not in refused(capsys, "build", "sites.yaml", "--out", target)
    assert digests(world) == before


def test_map_never_replaces_its_scenes(
    world: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Line
) -> None:
    """The default name is that of the scenes' folder, and MAPS may be where that lies."""
    monkeypatch.chdir(world)
    before = digests(world)
    scenes = sorted((world / "sim_test").glob("*.tif"))
    for more in ((), ("--overwrite",), ("--resume",)):
        line = refused(capsys, "map", run_folder, *scenes, "--out", ".", *more)
        assert "which is read" in line
        assert "--overwrite" not in line
    assert digests(world) == before


def test_other_commands_never_replace_their_inputs(
    world: Path, dataset: Dataset, run_folder: Path, tmp_path: Path, capsys: Line
) -> None:
    data = tmp_path / "data"
    shutil.copytree(dataset.root, data)
    maps = tmp_path / "maps"
    command = ("map", run_folder, "--dataset", data, "--split", "all", "--tile", 64, "--out", maps)
    assert call(capsys, *command)[0] == 0
    before = digests(tmp_path)
    for arguments in (
        ("train", data, "--out", data),
        ("train", data, "--out", data / "sim_train"),
        ("evaluate", maps, "--dataset", data, "--out", maps),
        ("evaluate", maps, "--dataset", data, "--out", data),
        ("evaluate", maps, "--dataset", data, "--out", maps / "sim_test"),
        ("labels", "check", data, "--out", data / "sim_test"),
        ("simulate", world / "sim_test" / "roads.geojson", "--out", world / "sim_test"),
        ("map", run_folder, "--dataset", data, "--split", "all", "--out", data),
        ("demo", "--out", tmp_path),
        ("lab", "days", "fit", world / "sites.yaml", "--out", world / "sites.yaml"),
        ("lab", "robustness", "--dataset", data, "--out", data, run_folder),
    ):
        assert "--overwrite" not in refused(capsys, *arguments, "--overwrite")
    assert digests(tmp_path) == before


def test_update_loses_no_scene_that_was_put_into_the_maps(
    world: Path, run_folder: Path, tmp_path: Path, capsys: Line
) -> None:
    first, second = sorted((world / "sim_test").glob("*.tif"))
    maps = tmp_path / "maps"
    assert call(capsys, "map", run_folder, first, "--tile", 64, "--out", maps)[0] == 0
    added = shutil.copy2(second, maps / "sim_test" / second.name)
    before = digests(maps)
    assert "is read" in refused(capsys, "update", maps, added)
    assert digests(maps) == before
    assert not list(maps.glob(".work-*"))


@pytest.mark.parametrize("size", [100, 4000, 16_000])
def test_files_that_may_not_grow_are_one_line_and_leave_nothing(
    size: int, world: Path, dataset: Dataset, run_folder: Path, tmp_path: Path, capsys: Line
) -> None:
    """The output is blamed, not an input; and no half-written file has a final name."""
    scenes = sorted((world / "sim_test").glob("*.tif"))
    commands: dict[str, tuple[object, ...]] = {
        "world": ("simulate", world / "sim_test" / "roads.geojson", "--dates", 1),
        "data": ("build", world / "sites.yaml"),
        "maps": ("map", run_folder, "--dataset", dataset.root, "--split", "test", "--tile", 64),
        "loose": ("map", run_folder, *scenes, "--tile", 64),
    }
    for name, arguments in commands.items():
        out = tmp_path / "out" / name
        with file_limit(size):
            line = refused(capsys, *arguments, "--out", out)
        assert "cannot be written" in line, name
        assert str(out) in line
        assert not [path for path in out.rglob("*") if path.suffix in (".tif", ".gpkg", ".parquet")
                    and not any(part.startswith(".work-") for part in path.parts)]  # fmt: skip
    assert not list((tmp_path / "out").glob(".tmp-*"))


def test_libraries_print_nothing_of_their_own(world: Path, tmp_path: Path) -> None:
    """libtiff would, at the level of the system."""
    command = [
        sys.executable,
        "-m",
        "swath",
        "build",
        str(world / "sites.yaml"),
        "--out",
        str(tmp_path / "out"),
    ]
    with file_limit(8000):
        child = subprocess.run(command, capture_output=True, text=True, check=False)
    assert child.returncode == 2
    assert child.stdout == ""
    assert child.stderr.startswith(f"error: {tmp_path / 'out'}")
    assert child.stderr.count("\n") == 1


def test_a_folder_that_cannot_be_made_is_one_line(world: Path, capsys: Line) -> None:
    for place in ("/dev/full", "/dev/full/data", "/proc/data"):
        assert place.split("/")[1] in refused(capsys, "build", world / "sites.yaml", "--out", place)


def test_roads_without_a_length_are_one_line(tmp_path: Path, capsys: Line) -> None:
    """Such lines come out of editors; GEOS makes an error of them."""
    lines = tmp_path / "roads.geojson"
    feature = (
        '{"type":"Feature","properties":{"highway":"road"},"geometry":{"type":"LineString","coordinates":%s}}'
    )
    lines.write_text('{"type":"FeatureCollection","features":[%s]}' % (feature % "[[2,48],[2,48]]"))
    assert "has a length" in refused(capsys, "simulate", lines, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_map_that_is_refused_leaves_no_folder(
    world: Path, run_folder: Path, tmp_path: Path, capsys: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise InputError("an image that is found wanting when its pixels are read")

    monkeypatch.setattr("swath.mapping.sources.scene_levels", refuse)
    scenes = sorted((world / "sim_test").glob("*.tif"))
    refused(capsys, "map", run_folder, *scenes, "--tile", 64, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
