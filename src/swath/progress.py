"""Progress bars on stderr, so that stdout stays free for results."""

from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

T = TypeVar("T")

console = Console(stderr=True, markup=False)
"""Everything meant for people's eyes while a command runs goes here."""


_repeated = ContextVar("repeated", default=False)


def tell(text: str) -> None:
    """Print a line that people should read, whatever they asked for."""
    if not _repeated.get():
        console.print(text, soft_wrap=True, markup=False, highlight=False)


@contextmanager
def repeating() -> Iterator[None]:
    """What is done in the block was done before, and what it tells was told."""
    token = _repeated.set(True)
    try:
        yield
    finally:
        _repeated.reset(token)


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield `items` while a bar on stderr counts them; `total` is for those without a length."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    # Elsewhere than on a terminal a bar would leave blank lines in the log.
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield from progress.track(items, total=total, description=description)
