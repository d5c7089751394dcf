"""Results on stdout: text for people, or one JSON object. All else goes to stderr."""

import json
import sys
from collections.abc import Mapping, Sequence

import typer


def emit(result: Mapping[str, object], as_json: bool, lines: Sequence[str]) -> None:
    """Print the result of a command: plain JSON values without NaN, or lines."""
    if as_json:
        unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
        typer.echo(json.dumps(result, ensure_ascii=not unicode, allow_nan=False))
    else:
        for line in lines:
            typer.echo(line)
