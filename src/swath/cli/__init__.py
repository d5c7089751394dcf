"""The command line: `swath COMMAND`. One file a command; nothing heavy is imported at start-up.

Exit codes: 0 done, 2 bad input or usage, or a system that refuses (one line on stderr), 1 a bug (with
a traceback, and the command to report), 130 interrupted.
"""

import errno
import io
import os
import re
import shlex
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import typer

from swath import __version__
from swath.cli import (
    build,
    changes,
    conflate,
    demo,
    doctor,
    evaluate,
    export,
    fetch,
    inspect,
    lab,
    labels,
    plan,
    report,
    show,
    simulate,
    train,
    update,
    view,
)
from swath.cli import map as map_
from swath.cli.verbosity import add_verbosity, speak_normally
from swath.errors import Remedy, SettingsError, SwathError, brief, printable, reason_of

app = typer.Typer(
    name="swath",
    help="Road and land cover maps from time series of Sentinel-2 images.",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("demo", short_help="A real town at once; then the whole way on a simulated world.")(demo.command)
app.command("doctor", short_help="Can swath work here? What lacks, and what to do.")(doctor.command)
app.command("simulate", short_help="Images over a real OpenStreetMap layout.")(simulate.command)
app.command("inspect", short_help="What the headers of scenes say.")(inspect.command)
app.command("fetch", short_help="Find scenes in a STAC API and fetch the sites' part of them.")(fetch.command)
app.command("build", short_help="Images and labels become a dataset.")(build.command)
app.add_typer(labels.app, name="labels", short_help="How good the labels of a dataset are.")
app.command("train", short_help="Train the networks on a dataset.")(train.command)
app.command("plan", short_help="What `swath map` would take: time, memory, disk.")(plan.command)
app.command("map", short_help="Map scenes, or the sites of a dataset.")(map_.command)
app.command("update", short_help="Add a date to maps.")(update.command)
app.command("evaluate", short_help="Score maps against labels.")(evaluate.command)
app.command("export", short_help="A run as ONNX files, for other programs.")(export.command)
app.command("view", short_help="Look at maps in the browser.")(view.command)
app.command("report", short_help="Maps as one page to send.")(report.command)
app.command("show", short_help="A file as a picture, in the terminal or as PNG.")(show.command)
app.command("conflate", short_help="Compare roads with OpenStreetMap.")(conflate.command)
app.command("changes", short_help="What changed between two maps.")(changes.command)
app.add_typer(lab.app, name="lab", short_help="Measure the method itself.")
for _name in lab.MOVED:
    app.command(_name, hidden=True, context_settings=lab.ANYTHING)(lab.moved)

# typer exports BadParameter but not its parent, the class of all usage errors.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]

_ADVICE: dict[Remedy | None, str] = {
    Remedy.OVERWRITE: "; choose another --out or add --overwrite",
    Remedy.RESUME: "; add --resume",
    Remedy.OVERWRITE_OR_RESUME: (
        "; choose another --out, --resume to redo only what differs, or add --overwrite"
    ),
    Remedy.OTHER_OUT: ", or choose another --out",
    Remedy.ELSEWHERE: "; choose another --out",
    Remedy.RUN: "; say with --run where it is now",
    Remedy.SITE: "; choose one with --site",
    Remedy.DATE: ": --date YYYY-MM-DD",
    Remedy.BANDS: "; name them with --bands, or as `bands:` in a sites file",
    Remedy.BUILD: ", or with --bands, --encoding and --finer of swath build",
    Remedy.WORKERS: " (--workers)",
    Remedy.LESS_MEMORY: " (--workers, --tile)",
    Remedy.REPLAN: "; choose anew with --replan",
    Remedy.DRY_RUN: "; --dry-run says why each date was left out",
    Remedy.MAP_RESUME: " with swath map --resume",
    Remedy.MAP_OVERWRITE: " with swath map --overwrite",
}
"""What to type where an argument mends an error."""

_LIBRARIES = {"rasterio", "pyproj", "pyogrio", "pyarrow", "fiona", "osmium", "safetensors", "shapely"}
"""Whose errors speak of files and of coordinate systems."""

_NO_MEMORY = ("out of memory", "allocate memory", "bad_alloc", "start new thread", "failed to map segment")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"swath {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def run(arguments: Sequence[str] | None = None) -> int:
    """Run what stands after `swath` (by default the process's arguments); give the exit code.

    Bugs are raised.
    """
    _replace_unprintable()
    speak_normally()
    command = typer.main.get_command(app)
    add_verbosity(command)
    given = list(sys.argv[1:] if arguments is None else arguments)
    tail = ""
    try:
        _check_arguments(given)
        code = command.main(args=given, prog_name="swath", standalone_mode=False, obj=given)
        sys.stdout.flush()
    except _UsageError as error:
        context = getattr(error, "ctx", None)
        where = context.command_path if context else "swath"
        said = brief(error.format_message())  # type: ignore[attr-defined]
        return _complain(f"{said} Try '{where} --help'.")
    except (KeyboardInterrupt, typer.Abort) as error:
        if isinstance(error.__cause__, EOFError):  # of which typer makes an interrupt
            return _complain("a file, or the input, ended before its time")
        code = 130
        if error.__cause__ and Remedy.RESUME in error.__cause__.args:
            tail = f"; go on with: {_resumed(given)}"
    except SystemExit:  # so click ends where the reader of our output has gone: `swath ... | head`
        return 0
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.EPIPE:
            sys.stderr.close()  # or we do
            return 0
        message = _explained(error)
        if message is None:
            raise
        message = brief(printable(message))
        if isinstance(error, SwathError) and error.remedy == Remedy.RESUME:
            message += f": {_resumed(given)}"
        return _complain(message)
    if code == 130:
        _complain(f"interrupted{tail}", head="")
    return code if isinstance(code, int) else 0


def _check_arguments(given: Sequence[str]) -> None:
    """Raise `SettingsError` where an argument cannot be one, whatever it means, or paths start nowhere."""
    try:
        Path.cwd()
    except FileNotFoundError:
        raise SettingsError("the current folder is gone; change to one that is there") from None
    for name in ("LOCAL_RANK", "NODE_RANK", "GROUP_RANK"):  # libraries read them while they are imported
        if not os.environ.get(name, "0").isdecimal():
            raise SettingsError(f"{name} in the environment must be a number from 0 on; unset it, or mend it")
    for before, argument in pairwise(("", *given)):
        if re.fullmatch("(--[a-z-]+=)?", argument):
            raise SettingsError("an argument is empty, such as a path; give a value, or leave it out")
        out = before == "--out" or argument.startswith("--out=")
        if out and re.search(r"[\0-\x1f\x7f-\x9f]", argument):
            raise SettingsError(f"--out has a character that is not shown: {argument!r}; leave it out")
        if out and re.search(r"[\ud800-\udfff]", argument):
            raise SettingsError(f"--out is a name that is not UTF-8: {argument!r}; choose another one")


def _replace_unprintable() -> None:
    """Have what a console cannot show replaced, and what is closed swallowed: what is done is done."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _explained(error: Exception) -> str | None:
    """What to tell of an error that the user can mend; None for a bug."""
    advice = "; choose a shorter name" if os.strerror(errno.ENAMETOOLONG) in str(error) else ""
    if isinstance(error, SwathError):
        return str(error) + _ADVICE.get(error.remedy, advice)
    if "_SWATH_COMPLETE" in os.environ:  # typer reads what a shell lays beside it
        return f"_SWATH_COMPLETE is set, but not by a shell ({reason_of(error)}); unset it"
    if isinstance(error, MemoryError) or any(text in str(error) for text in _NO_MEMORY):
        return f"out of memory: {reason_of(error)}{_ADVICE[Remedy.LESS_MEMORY]}"
    if isinstance(error, UnicodeEncodeError) and "surrogates" in error.reason:
        return f"{error.object}: a name that is not UTF-8; rename the file or folder"
    if isinstance(error, RecursionError):
        return f"the input is nested too deeply: {reason_of(error)}"
    if isinstance(error, OSError):
        if error.errno is None:
            return reason_of(error)
        return f"{error.filename or 'the output'}: {error.strerror or reason_of(error)}{advice}"
    modules = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    if modules & _LIBRARIES:
        return reason_of(error)
    if imported := _refused_import(error):
        return f"a library does not load ({imported}: {reason_of(error)}); see what the environment sets"
    return None


def _refused_import(error: Exception) -> str:
    """The line of ours that imports a library which then failed; empty if it was not in an import.

    Libraries read settings of the environment and of files as they are loaded.
    """
    frames = traceback.extract_tb(error.__traceback__)
    ours = [
        at for at, frame in enumerate(frames) if Path(__file__).parents[1] in Path(frame.filename).parents
    ]
    after = frames[ours[-1] + 1 :] if ours else []
    loading = bool(after) and after[0].name == "<module>"
    return frames[ours[-1]].line or "" if loading else ""


def _resumed(given: Sequence[str]) -> str:
    """The command to type, to go on with what another one began."""
    kept = [argument for argument in given if argument not in ("--overwrite", "--resume")]
    return shlex.join(["swath", *kept, "--resume"])


def _complain(message: str, head: str = "error: ") -> int:
    """Print one line; what stdout could not take is dropped, so that Python's end finds nothing to say."""
    with suppress(OSError):
        typer.echo(f"{head}{printable(message)}", err=True)
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 2


def _drop_traces() -> None:
    """Keep traces from stderr where nothing can be caught.

    That is of what GDAL says of a file whose texts are no UTF-8, which rasterio cannot decode, and of a
    second Ctrl-C while the first one cleans up.
    """
    shown, ignored, quiet = sys.excepthook, sys.unraisablehook, (UnicodeDecodeError, KeyboardInterrupt)
    sys.excepthook = lambda kind, *rest: None if kind is UnicodeDecodeError else shown(kind, *rest)
    sys.unraisablehook = lambda what: None if what.exc_type in quiet else ignored(what)


def main() -> None:
    """The console script."""
    _drop_traces()
    if not sys.warnoptions:  # what libraries tell developers; workers read the variable
        warnings.simplefilter("ignore")
        os.environ["PYTHONWARNINGS"] = "ignore"
    os.environ["MPLBACKEND"] = "agg"  # pictures are files here, whatever a desktop was set to
    try:
        code = run()
    except KeyboardInterrupt:  # before a command began
        _complain("interrupted", head="")
        code = 130
    except Exception:
        traceback.print_exc()
        command = shlex.join(["swath", *sys.argv[1:]])
        typer.echo(
            f"this is a bug of swath {__version__}; please report the lines above, and: {command}", err=True
        )
        code = 1
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # too late to be told of by another exit code
    sys.exit(code)
