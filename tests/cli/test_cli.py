"""The command line as a user meets it: exit codes, one line for bad input, light start-up."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pyogrio.errors import DataSourceError
from pyproj.exceptions import ProjError
from rasterio.errors import CRSError, RasterioIOError

import swath
from swath import cli
from swath.cli.output import counted, emit, time_text
from swath.errors import InputError, Remedy

COMMANDS = ("demo", "fetch", "build", "train", "map", "evaluate", "lab compare")
MOVED = ("bench", "compare", "days", "realism", "robustness", "variance")
HEAVY = ("torch", "geopandas", "pandas", "rasterio", "shapely", "matplotlib", "pytorch_lightning")


def in_child(code: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )


def test_to_read_a_model_imports_no_compiler() -> None:
    code = "import sys, swath; swath.load_model(); sys.exit('torch._dynamo' in sys.modules)"
    assert in_child(code).returncode == 0


def failing(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code when `swath evaluate` runs into `error`."""

    def raise_it(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("swath.evaluation.evaluate.evaluate_labels", raise_it)
    return cli.run(["evaluate", "maps", "--labels", "labels.tif", "--out", "report"])


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out == f"swath {swath.__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_help_names_every_command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(arguments) == 0
    captured = capsys.readouterr()
    assert all(f"\n  {command.split()[0]} " in captured.out for command in COMMANDS)
    assert captured.err == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_and_speaks_json(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([*command.split(), "--help"]) == 0
    captured = capsys.readouterr()
    assert "--json" in captured.out
    assert "--out" in captured.out
    assert "Args:" not in captured.out  # the docstring's section is for programmers


@pytest.mark.parametrize("arguments", [["--help"], *([*c.split(), "--help"] for c in COMMANDS)])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    child = in_child(
        "import sys; from swath.cli import run; "
        f"code = run({arguments!r}); "
        f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr); sys.exit(code)"
    )
    assert child.returncode == 0, child.stderr
    assert child.stderr == "[]\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fly"], "fly"),
        (["build"], "Try 'swath build --help'"),
        (["build", "sites.yaml"], "--out"),
        (["demo", "--seed", "x"], "--seed"),
        (["demo", "--seed", "-1"], "--seed"),
        (["demo", "--device", "tpu"], "--device"),
        (["--nonsense"], "--nonsense"),
        (["build", "/nowhere/sites.yaml", "--out", "d"], "/nowhere/sites.yaml"),
        (["train", "/nowhere", "--out", "r"], "/nowhere"),
        (["map", "/nowhere", "scene.tif", "--out", "m"], "/nowhere"),
        (["evaluate", "/nowhere", "--dataset", "/nowhere", "--out", "r"], "/nowhere"),
        (["evaluate", "/nowhere", "--out", "r"], "--labels"),
        (["map", "", "--out", "m"], "an argument is empty"),
        (["map", "scene.tif", "--out="], "an argument is empty"),
        (["build", "sites.yaml", "--out", "d\n"], "not shown: 'd\\n'"),
        (["show", "a.tif", "--out", "a\x1b.png"], "not shown: 'a\\x1b.png'"),
        (["build", "sites.yaml", "--out=a\udcff"], "--out is a name that is not UTF-8: '--out=a\\udcff'"),
        (["simulate", "roads.osm", "--out", "r" * 300], "File name too long); choose a shorter name"),
        (["map", "/" + "z" * 6000, "--out", "m"], f"/{'z' * 149}...zzz"),
        (["map", "/" + "z" * 6000, "--out", "m"], "choose a shorter name"),
        (["fetch", "--bbox", "1,1,2,2", "--between", "2024", "2023", "--out", "f"], "got 2024 and 2023"),
    ],
)
def test_bad_usage_is_one_line_and_exit_2(
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert words in captured.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", MOVED)
def test_a_moved_command_says_where_it_went(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([command, "some.yaml", "--out", "folder"]) == 2
    assert f"swath {command} is now swath lab {command}" in capsys.readouterr().err
    assert cli.run(["lab", command, "--help"]) == 0


def test_message_of_several_lines_becomes_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failing(InputError("a.tif: broken\n  at byte 7"), monkeypatch) == 2
    assert capsys.readouterr().err == "error: a.tif: broken at byte 7\n"


@pytest.mark.parametrize("remedy", list(Remedy))
def test_every_remedy_has_advice(
    remedy: Remedy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failing(InputError("a.tif: not right", remedy), monkeypatch) == 2
    line = capsys.readouterr().err
    assert line.startswith("error: a.tif: not right")
    assert "--" in line


def test_bug_is_raised_and_ends_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError):
        failing(ZeroDivisionError(), monkeypatch)
    child = in_child(
        "import swath.evaluation.evaluate as r; from swath.cli import main; import sys; "
        "r.evaluate_labels = None; sys.argv = ['swath', 'evaluate', 'm', '--labels', 'l', "
        "'--out', 'o']; main()"
    )
    assert child.returncode == 1
    assert "Traceback" in child.stderr
    assert "NoneType" in child.stderr
    assert child.stderr.endswith("and: swath evaluate m --labels l --out o\n")


def test_a_library_that_does_not_load_is_no_bug() -> None:
    child = in_child(
        "import os, sys; os.environ['TORCH_LOGS'] = 'nope'; from swath.cli import main; "
        "sys.argv = ['swath', 'plan', 'x.tif']; main()"
    )
    assert child.returncode == 2
    assert child.stderr.startswith("error: a library does not load (import torch: Invalid log settings")
    assert child.stderr.count("\n") == 1


def test_what_libraries_tell_developers_is_not_printed() -> None:
    code = "import warnings, swath.cli as c; c.run = lambda: warnings.warn('odd') or 0; c.main()"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stderr == ""


def test_interrupt_is_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert failing(KeyboardInterrupt(), monkeypatch) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize("module", ["swath.cli", "swath.cli.build", "typer.main"])
def test_interrupt_while_the_command_line_is_imported_is_one_line(module: str) -> None:
    child = in_child(
        "import os, runpy, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # background jobs ignore it
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "runpy.run_module('swath', run_name='__main__')"
    )
    assert (child.returncode, child.stderr) == (130, "interrupted\n")


def test_interrupt_while_text_is_executed_is_130() -> None:
    """As dataclasses and named tuples have it; what is to be done at the end is done."""
    child = in_child(
        "import atexit, swath.cli as c, sys\n"
        "from swath.__main__ import main\n"
        "def run():\n"
        "    atexit.register(print, 'swept', flush=True)\n"
        "    exec('raise KeyboardInterrupt')\n"
        "c.run = run\n"
        "main()"
    )
    assert (child.returncode, child.stdout, child.stderr) == (130, "swept\n", "interrupted\n")


def test_interrupt_before_a_command_begins_is_one_line() -> None:
    child = in_child(
        "import os, signal, typer\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "typer.main.get_command = lambda app: os.kill(os.getpid(), signal.SIGINT)\n"
        "from swath.cli import main; main()"
    )
    assert (child.returncode, child.stderr) == (130, "interrupted\n")


def test_a_current_folder_that_is_gone_is_one_line(tmp_path: Path) -> None:
    code = (
        f"import os; os.rmdir(os.getcwd()); from swath.cli import run; raise SystemExit(run({['doctor']!r}))"
    )
    gone = tmp_path / "gone"
    gone.mkdir()
    child = subprocess.run(
        [sys.executable, "-c", code], cwd=gone, capture_output=True, text=True, check=False
    )
    said = "error: the current folder is gone; change to one that is there\n"
    assert (child.returncode, child.stdout, child.stderr) == (2, "", said)


def test_full_disk_is_no_bug(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "/mnt/report")
    assert failing(full, monkeypatch) == 2
    assert capsys.readouterr().err == "error: /mnt/report: No space left on device\n"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.EIO, "Input/output error", "x.tif"), "x.tif: Input/output error"),
        (OSError(errno.EFBIG, "File too large"), "the output: File too large"),
        (OSError("cannot read"), "cannot read"),
        (EOFError(), "a file, or the input, ended before its time"),
        (MemoryError("3 TiB"), "out of memory: 3 TiB (--workers, --tile)"),
        (RuntimeError("can't allocate memory: 9 bytes"), "out of memory: can't allocate memory: 9 bytes"),
        (RuntimeError("can't start new thread"), "out of memory: can't start new thread"),
        (ImportError("x.so: failed to map segment"), "out of memory: x.so: failed to map segment"),
        (RecursionError("too deep"), "the input is nested too deeply: too deep"),
        (CRSError("no such system\n at all"), "no such system at all"),
        (RasterioIOError("not a raster"), "not a raster"),
        (ProjError("no grid"), "no grid"),
        (DataSourceError("no vectors"), "no vectors"),
    ],
)
def test_what_the_system_and_the_formats_refuse_is_one_line(
    error: Exception, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failing(error, monkeypatch) == 2
    printed = capsys.readouterr().err
    assert printed.strip().startswith(f"error: {line}")
    assert len(printed.strip().splitlines()) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a system without /dev/full")
def test_a_full_disk_behind_stdout_is_one_line() -> None:
    command = [sys.executable, "-m", "swath", "--help"]
    with Path("/dev/full").open("w") as full:
        child = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (child.returncode, child.stderr) == (2, "error: the output: No space left on device\n")


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8"])
def test_what_a_console_cannot_show_is_replaced(tmp_path: Path, encoding: str) -> None:
    code = "import sys; from swath.cli import run; sys.exit(run(sys.argv[1:]))"
    folder = tmp_path / "\u6771\u4eac"
    folder.mkdir()
    (folder / "2020-01-01.tif").write_text("no image")
    done = subprocess.run(
        [sys.executable, "-c", code, "inspect", str(folder / "2020-01-01.tif")],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert (folder.name if encoding == "utf-8" else "??/2020-01-01.tif: not read") in done.stderr.decode()


@pytest.mark.parametrize("end", [">&-", "| true; exit ${PIPESTATUS[0]}"])
def test_nobody_has_to_read_what_is_done(end: str) -> None:
    command = f"{sys.executable} -m swath --version {end}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_no_text_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene = tmp_path / os.fsdecode(b"\xff2024-03-11.tif")
    scene.write_bytes(b"")
    for arguments in (
        ["inspect", str(scene)],
        ["map", str(tmp_path / "*.tif"), "--out", str(tmp_path / "maps")],
    ):
        assert cli.run(arguments) == 2
        assert capsys.readouterr().err.endswith("a name that is not UTF-8; rename the file or folder\n")
    assert not (tmp_path / "maps").exists()


def test_emit_prints_one_object_or_the_lines(capsys: pytest.CaptureFixture[str]) -> None:
    emit({"name": "Düsseldorf", "value": None}, True, ["text"])
    assert json.loads(capsys.readouterr().out) == {"name": "Düsseldorf", "value": None}
    emit({"name": "x"}, False, ["one", "two"])
    assert capsys.readouterr().out == "one\ntwo\n"


def test_emit_refuses_nan() -> None:
    with pytest.raises(ValueError, match="JSON"):
        emit({"iou": float("nan")}, True, [])


def test_build_speaks_json_only_on_stdout(
    tiny_world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["build", str(tiny_world), "--out", str(tmp_path / "d"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [site["splits"] for site in result["sites"]] == [["train"], ["validation"], ["test"]]
    assert cli.run(["build", str(tiny_world), "--out", str(tmp_path / "d")]) == 2
    assert "--overwrite" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_command_takes_the_short_help_and_says_how_loud_it_is(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([*command.split(), "-h"]) == 0
    text = capsys.readouterr().out
    for option in ("-h, --help", "-v, --verbose", "-q, --quiet"):
        assert option in text


@pytest.mark.parametrize(
    ("option", "said"), [("--quiet", False), ("-q", False), ("--no-page", True), ("-v", True)]
)
def test_quiet_leaves_results_and_errors(
    option: str, said: bool, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    # Without a run, that the starter is used is said before the images are missed.
    arguments = ["map", str(tmp_path / "gone_2020-01-01.tif"), "--out", str(tmp_path / "maps"), option]
    assert cli.run(arguments) == 2
    error = capsys.readouterr().err
    assert ("starter weights (or your own" in error) == said
    assert "error: " in error


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_names_commands_and_options(shell: str) -> None:
    words = {"bash": ("swath do", 1), "zsh": ("swath do", 1), "fish": ("swath do", 1)}[shell]
    environment = {
        **os.environ,
        "_SWATH_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": words[0],
        "COMP_CWORD": str(words[1]),
        "_TYPER_COMPLETE_ARGS": words[0],
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    child = subprocess.run(
        [sys.executable, "-c", "from swath.cli import main; main()"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "doctor" in child.stdout, child.stderr


@pytest.mark.parametrize("laid", [{}, {"COMP_WORDS": "swath ma", "COMP_CWORD": "x"}])
def test_completion_that_no_shell_asks_for_is_one_line(
    laid: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"_SWATH_COMPLETE": "complete_bash", **laid}.items():
        monkeypatch.setenv(name, value)
    assert cli.run([]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: _SWATH_COMPLETE is set, but not by a shell")


@pytest.mark.parametrize("command", ["", "map", "doctor", "lab compare"])
def test_help_fits_narrow_terminals(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert cli.run([*command.split(), "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    # Names of options and their values are not cut.
    assert max(len(line) for line in lines if "<" not in line and "://" not in line) <= 60


def test_texts_of_a_raster_that_are_no_utf8_leave_no_trace(tmp_path: Path) -> None:
    import rasterio
    from affine import Affine

    path = tmp_path / "a.tif"
    where = {"crs": "EPSG:32630", "transform": Affine(10, 0, 0, 0, -10, 0)}
    with rasterio.open(path, "w", "GTiff", 8, 8, 1, dtype="uint8", **where) as file:
        file.update_tags(a="MARKER")
    whole = path.read_bytes()
    assert b">MARKER" in whole
    path.write_bytes(whole.replace(b">MARKER", b"\xf4MARKER"))  # GDAL says that this is no attribute
    command = [sys.executable, "-m", "swath", "show", str(path), "--out", str(tmp_path / "a.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "usage"),
    [
        (["map"], "[RUN] [SCENES]..."),
        (["view"], "MAPS..."),
        (["changes"], "OLD [NEW]"),
        (["fetch"], "[SITES]"),
        (["lab", "variance"], "SITES.yaml [RUN]"),
    ],
)
def test_arguments_are_named_as_the_texts_name_them(
    arguments: list[str], usage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([*arguments, "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[0] == f"Usage: swath {' '.join(arguments)} [OPTIONS] {usage}"
    assert "list[" not in shown
    assert "%Y" not in shown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (7, "7 s"), (187, "3 min 7 s"), (3599.6, "1 h 0 min"), (7500, "2 h 5 min")],
)
def test_times_and_counts_as_people_write_them(seconds: float, text: str) -> None:
    assert time_text(seconds) == text
    assert (counted(1, "line"), counted(0, "line"), counted(1200, "date")) == (
        "1 line",
        "0 lines",
        "1,200 dates",
    )
