"""Progress on stderr, so that stdout stays free for results: bars on a terminal, lines in a log."""

import _thread
import math
import os
import threading
import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

T = TypeVar("T")

EVERY_S = 30.0
"""How often a log, or what else is no terminal, is told how far things are."""

_LAST_LINE_S = 1.0
"""How long a line that is being written at the end is waited for."""

_VERBOSITY = "SWATH_VERBOSITY"
"""Tells worker processes of this machine what was asked of the first."""


class Verbosity(StrEnum):
    """How much is said on stderr."""

    QUIET = "quiet"
    NORMAL = "normal"
    VERBOSE = "verbose"


console = Console(stderr=True, markup=False)
"""Everything meant for people's eyes while a command runs goes here."""


_repeated = ContextVar("repeated", default=False)

_log = {"told": -math.inf, "counted": -math.inf}
"""When a log was told how far things are, and when something was last counted for it."""


def speak(how: Verbosity) -> None:
    """Begin a command: say nothing but errors, the usual, or what each step took as well."""
    _log.update(told=-math.inf, counted=-math.inf)
    console.quiet = how == Verbosity.QUIET
    os.environ[_VERBOSITY] = how.value


def tell(text: str) -> None:
    """Print a line that people should read, unless they asked for quiet."""
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


def detail(text: str) -> None:
    """Print a line for those who asked for details."""
    if os.environ.get(_VERBOSITY) == Verbosity.VERBOSE:
        tell(text)


@dataclass(slots=True)
class _Count:
    """How many of some items are done, and how much of the one in work."""

    description: str
    total: int | None
    done: int = 0
    part: float = 0.0
    began: float = field(default_factory=time.perf_counter)
    task: TaskID | None = None

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.began

    @property
    def completed(self) -> float:
        return self.done + self.part

    def line(self) -> str:
        """Such as `warping 2019-03-11: 3 of 12, 27 %; 0:00:45, 0:02:01 left`."""
        if not self.completed and self.seconds < 1:
            return f"{self.description} begins"
        spent = timedelta(seconds=round(self.seconds))
        if not self.total:
            return f"{self.description}: {self.done} done; {spent}"
        text = f"{self.description}: {self.done} of {self.total}, {100 * self.completed / self.total:.0f} %"
        if not self.completed:
            return f"{text}; {spent}"
        left = self.seconds * (self.total / self.completed - 1)
        return f"{text}; {spent}, {timedelta(seconds=round(left))} left"


_counts: list[_Count] = []
"""What is counted at the moment, the outermost first."""

_bars: list[Progress] = []
"""The one display that all bars share; none where there is no terminal."""


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield `items` while a bar on stderr counts them; `total` is for those without a length.

    Where stderr is no terminal, a line every `EVERY_S` seconds says how far it is.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    count = _Count(description, total)
    with _shown(count):
        for item in items:
            yield item
            count.done, count.part = count.done + 1, 0.0
            _draw(count)
    detail(f"{description}: {count.done} in {count.seconds:.1f} s")


def within(part: float) -> None:
    """Say how much of the item in work is done, 0..1, of whatever is counted innermost."""
    if _counts:
        count = _counts[-1]
        count.part = min(max(part, 0.0), 1.0)
        _draw(count)


def _draw(count: _Count) -> None:
    if _bars and count.task is not None:
        _bars[0].update(count.task, completed=count.completed)


@contextmanager
def _shown(count: _Count) -> Iterator[None]:
    """Count while the block lasts: on the display, or in lines."""
    outermost = not _counts
    _counts.append(count)
    try:
        if console.quiet:
            yield
        elif console.is_terminal:
            with _bar(count):
                yield
        elif outermost:
            with _heartbeat():
                yield
        else:
            yield
    finally:
        _counts.remove(count)


@contextmanager
def _bar(count: _Count) -> Iterator[None]:
    """A bar of its own; those within another one go when they are done."""
    if _bars:
        count.task = _bars[0].add_task(count.description, total=count.total)
        try:
            yield
        finally:
            _bars[0].remove_task(count.task)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(20),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        _bars.append(progress)
        count.task = progress.add_task(count.description, total=count.total)
        try:
            yield
        finally:
            _bars.clear()


@contextmanager
def _heartbeat() -> Iterator[None]:
    """Lines of a thread, which come even where one step takes long.

    Short counts in a row are one wait for who reads the log.
    """
    over, ended = threading.Event(), threading.Event()
    if time.perf_counter() - _log["counted"] > EVERY_S:
        _log["told"] = time.perf_counter()

    def beat() -> None:
        while not over.wait(max(0.0, _log["told"] + EVERY_S - time.perf_counter())):
            _log["told"] = time.perf_counter()
            if counts := _counts[-1:]:
                tell(counts[0].line())
        ended.set()

    # `Thread.start` waits for ever for one that has too little memory to say that it runs.
    _thread.start_new_thread(beat, ())
    try:
        yield
    finally:
        over.set()
        ended.wait(_LAST_LINE_S)
        _log["counted"] = time.perf_counter()


speak(Verbosity(os.environ.get(_VERBOSITY, Verbosity.NORMAL)))
