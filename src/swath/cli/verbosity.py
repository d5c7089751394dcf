"""`-v` and `--quiet`, which every command takes."""

import logging
import sys
from typing import Annotated, Any

import typer

from swath.progress import Verbosity, speak


class _ToStderr(logging.Handler):
    """Writes what libraries log to whatever stderr is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a line."""
        sys.stderr.write(f"{record.name}: {record.getMessage()}\n")


_handler = _ToStderr(logging.INFO)


def speak_normally() -> None:
    """As it is where no option was given."""
    speak(Verbosity.NORMAL)
    logging.root.removeHandler(_handler)


def _say_more(wanted: bool) -> None:
    if wanted:
        speak(Verbosity.VERBOSE)
        logging.root.addHandler(_handler)
        logging.root.setLevel(logging.INFO)


def _say_less(wanted: bool) -> None:
    if wanted:
        speak(Verbosity.QUIET)


def _options(
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", callback=_say_more, help="Say what each step took, and what libraries log."
        ),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", callback=_say_less, help="Say nothing but results and errors.")
    ] = False,
) -> None:
    """Holds the two options, so that typer makes them."""


def add_verbosity(command: Any) -> None:
    """Give a command, and all below it, the two options."""
    donor = typer.Typer(add_completion=False)
    donor.command()(_options)
    options = [one for one in typer.main.get_command(donor).params if one.name in ("verbose", "quiet")]
    for option in options:
        option.expose_value = False
    _add(command, options)


def _add(command: Any, options: list[Any]) -> None:
    command.params.extend(options)
    for below in getattr(command, "commands", {}).values():
        _add(below, options)
