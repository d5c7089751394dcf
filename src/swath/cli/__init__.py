"""The command line: `swath COMMAND`. One file a command; nothing heavy is imported at start-up.

Exit codes: 0 done, 2 bad input or usage (one line on stderr), 1 a bug (with a traceback), 130
interrupted.
"""

import errno
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from swath import __version__
from swath.cli import (
    build,
    demo,
    evaluate,
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
from swath.errors import Remedy, SwathError

app = typer.Typer(
    name="swath",
    help="Road and land cover maps from time series of Sentinel-2 images.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("demo", short_help="The whole way on a small simulated world, in minutes.")(demo.command)
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
app.command("view", short_help="Look at maps in the browser.")(view.command)
app.command("report", short_help="Maps as one page to send.")(report.command)
app.command("show", short_help="A file as a picture, in the terminal or as PNG.")(show.command)
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
    Remedy.RUN: "; say with --run where it is now",
    Remedy.SITE: "; choose one with --site",
    Remedy.BANDS: "; name them with --bands, or as `bands:` in a sites file",
    Remedy.WORKERS: " (--workers)",
    Remedy.LESS_MEMORY: " (--workers, --tile)",
    Remedy.REPLAN: "; choose anew with --replan",
    Remedy.DRY_RUN: "; --dry-run says why each date was left out",
    Remedy.MAP_RESUME: " with swath map --resume",
    Remedy.MAP_OVERWRITE: " with swath map --overwrite",
}
"""What to type where an argument mends an error."""

_BAD_INPUT = {errno.EACCES, errno.EISDIR, errno.ENOTDIR, errno.ENOSPC, errno.EROFS, errno.EPERM}
"""What the system refuses for a reason that the user can mend: no rights, no space."""


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
    command = typer.main.get_command(app)
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = command.main(args=given, prog_name="swath", standalone_mode=False, obj=given)
    except SwathError as error:
        return _complain(str(error) + _ADVICE.get(error.remedy, ""))
    except _UsageError as error:
        context = getattr(error, "ctx", None)
        where = context.command_path if context else "swath"
        return _complain(f"{error.format_message()} Try '{where} --help'.")  # type: ignore[attr-defined]
    except OSError as error:
        if error.errno == errno.EPIPE:  # the reader of our output has gone: `swath ... | head`
            sys.stderr.close()
            return 1
        if error.errno not in _BAD_INPUT or error.filename is None:
            raise
        return _complain(f"{error.filename}: {error.strerror}")
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    if code == 130:
        typer.echo("interrupted", err=True)
    return code if isinstance(code, int) else 0


def _complain(message: str) -> int:
    typer.echo(f"error: {' '.join(message.split())}", err=True)
    return 2


def main() -> None:
    """The console script."""
    sys.exit(run())
