"""`-v` and `--quiet`, which every command takes; and how all name their arguments."""

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


def _name(argument: Any) -> None:
    """Have an argument called NAME wherever it is told of, as the texts do: typer has {name} and <type>."""
    argument.metavar = argument.metavar or argument.name.upper()
    shown = argument.metavar if "[" in argument.metavar or argument.required else f"[{argument.metavar}]"
    shown += "..." if argument.nargs != 1 and not shown.endswith("...") else ""
    argument.get_usage_pieces = lambda ctx: [shown]
    argument.display_type_rich = lambda ctx: None


def _add(command: Any, options: list[Any]) -> None:
    for argument in (one for one in command.params if one.param_type_name == "argument"):
        _name(argument)
    command.params.extend(options)
    for below in getattr(command, "commands", {}).values():
        _add(below, options)
