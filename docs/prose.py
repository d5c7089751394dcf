"""Wraps the prose of pages so that one can read them as they stand: `python docs/prose.py [PAGE...]`.

Tables, code, headings and comments stay as they are; so do paragraphs that are narrow already.
"""

import re
import sys
import textwrap
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

DOCS = Path(__file__).parent

WIDTH = 118

MADE = ("api.md", "licences.md", "reference", "lab")
"""Pages that are made from the code, and the laboratory's notebook."""

ITEM = re.compile(r"( *)([-*]|\d+\.) +")


def blocks(lines: list[str]) -> Iterator[tuple[bool, list[str]]]:
    """Runs of lines, and whether they are prose."""
    kinds, fence, before = [], False, ""
    for line in lines:
        edge = line.lstrip().startswith("```")
        fence = fence != edge
        code = line.startswith("    ") and (not before.strip() or kinds[-1] == "code")
        fixed = fence or edge or not line.strip() or line.lstrip().startswith(("|", "#", "!", "<", ">"))
        kinds.append("code" if code else "fixed" if fixed else "prose")
        before = line
    for kind, run in groupby(zip(kinds, lines, strict=True), key=lambda pair: pair[0]):
        yield kind == "prose", [line for _, line in run]


def paragraphs(lines: list[str]) -> Iterator[list[str]]:
    """Each item of a list is one of its own."""
    part: list[str] = []
    for line in lines:
        if part and ITEM.match(line):
            yield part
            part = []
        part.append(line)
    yield part


def wrapped(part: list[str]) -> list[str]:
    """A paragraph, none of whose lines is too long."""
    if max(map(len, part)) <= WIDTH:
        return part
    item = ITEM.match(part[0])
    first = item[0] if item else part[0][: len(part[0]) - len(part[0].lstrip())]
    text = " ".join(line.strip() for line in part)[len(first.strip()) :].strip()
    whole = re.sub(r"`[^`]+`|\]\([^)]+\)", lambda code: code[0].replace(" ", "\0"), text)
    lines = textwrap.wrap(
        whole,
        WIDTH,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace("\0", " ") for line in lines]


def wrap(text: str) -> str:
    """A page whose prose is narrow."""
    lines: list[str] = []
    for prose, block in blocks(text.splitlines()):
        lines += [line for part in paragraphs(block) for line in wrapped(part)] if prose else block
    return "\n".join(lines) + "\n"


def pages() -> list[Path]:
    """All pages that people write, but the laboratory's."""
    return [page for page in sorted(DOCS.rglob("*.md")) if page.relative_to(DOCS).parts[0] not in MADE]


if __name__ == "__main__":
    for page in map(Path, sys.argv[1:]) if len(sys.argv) > 1 else pages():
        page.write_text(wrap(page.read_text("utf-8")), "utf-8")
