"""`swath doctor`: whether swath can work here."""

import shutil
from textwrap import fill
from typing import TYPE_CHECKING

import typer

from swath.cli.options import JsonOption

if TYPE_CHECKING:
    from swath.doctor import Finding


def command(as_json: JsonOption = False) -> None:
    """Look at versions, device, memory, GDAL, extras, disk and network, and make a small map: in seconds.

    Exit code 0: swath can map here; what is optional may lack. 2: something is red, and it says what to do.
    """
    from swath.cli.output import emit
    from swath.doctor import Status, examine, is_well

    findings = []
    for finding in examine():
        findings.append(finding)
        if not as_json:
            emit({}, False, lines_of(finding))
    well = is_well(findings)
    red = sum(finding.status == Status.RED for finding in findings)
    lacking = sum(finding.status == Status.OPTIONAL for finding in findings)
    emit(
        {
            "well": well,
            "findings": [
                {"name": f.name, "status": f.status.value, "said": f.said, "advice": f.advice}
                for f in findings
            ],
        },
        as_json,
        [
            "",
            f"swath can map here; optional: {lacking} missing"
            if well
            else f"{red} red: do what stands below each, then run swath doctor again",
        ],
    )
    if not well:
        raise typer.Exit(2)


def lines_of(finding: "Finding") -> list[str]:
    """A finding as it is printed, no wider than the terminal."""
    width = max(30, min(shutil.get_terminal_size((110, 24)).columns, 110))
    text = fill(
        f"{finding.status.value:8}  {finding.name}: {finding.said}",
        width,
        subsequent_indent=" " * 10,
        break_on_hyphens=False,
    )
    return [text, *([f"{' ' * 10}-> {finding.advice}"] if finding.advice else [])]
