"""Results on stdout: text for people, or one JSON object. All else goes to stderr."""

import json
from collections.abc import Mapping, Sequence

import typer


def emit(result: Mapping[str, object], as_json: bool, lines: Sequence[str]) -> None:
    """Print the result of a command: plain JSON values without NaN, or lines."""
    if as_json:
        typer.echo(json.dumps(result, ensure_ascii=False, allow_nan=False))
    else:
        for line in lines:
            typer.echo(line)
