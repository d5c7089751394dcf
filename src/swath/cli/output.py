"""Results on stdout: text for people, or one JSON object. All else goes to stderr."""

import json
import sys
from collections.abc import Mapping, Sequence

import typer


def counted(number: int, noun: str) -> str:
    """Such as `1 line` and `1,200 lines`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def time_text(seconds: float) -> str:
    """Such as `7 s`, `3 min 7 s` and `2 h 5 min`."""
    minutes, rest = divmod(max(1, round(seconds)), 60)
    hours, part = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {part} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def emit(result: Mapping[str, object], as_json: bool, lines: Sequence[str]) -> None:
    """Print the result of a command: plain JSON values without NaN, or lines."""
    if as_json:
        unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
        typer.echo(json.dumps(result, ensure_ascii=not unicode, allow_nan=False))
    else:
        for line in lines:
            typer.echo(line)
