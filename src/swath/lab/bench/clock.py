"""Timing several things in turn, so that what slows the machine slows all of them."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypedDict

Work = Callable[[], object]

Report = dict[str, object]
"""A part of what `swath lab bench` prints: plain JSON values, every measured one a `Figure`."""


class Figure(TypedDict):
    """A measured figure: the median of the rounds, the smallest and the largest."""

    value: float
    unit: str
    low: float
    high: float
    repetitions: int


def usable_processors() -> int:
    """Processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def clock_name() -> str:
    """`processor` on one processor, else `wall`.

    Bound to one processor, the processor time of this process is the time that it would take alone,
    whatever else runs. On several processors it adds up the threads, so the clock on the wall is
    read.
    """
    return "processor" if usable_processors() == 1 else "wall"


def now() -> float:
    """Seconds of the clock that `clock_name` tells."""
    return time.process_time() if clock_name() == "processor" else time.perf_counter()


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one thing took.

    Attributes:
        seconds: One number a repetition, in the order of the rounds.
    """

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Seconds."""
        return median(self.seconds)

    def rate(self, amount: float, unit: str, digits: int = 4) -> Figure:
        """`amount` a second, as the report has it: median, slowest, fastest, repetitions."""
        return _summary([amount / s for s in self.seconds], unit, digits)

    def report(self) -> Figure:
        """The seconds themselves."""
        return _summary(self.seconds, "s", 4)

    def times_faster_than(self, other: "Timing") -> Figure:
        """The other's time through this one's, round by round."""
        pairs = zip(other.seconds, self.seconds, strict=True)
        return _summary([theirs / mine for theirs, mine in pairs], "times", 3)


def measure(cases: Mapping[str, Work], repetitions: int, *, warm_up: bool = True) -> dict[str, Timing]:
    """Time each case once a round.

    Args:
        cases: What to run, by name.
        repetitions: Number of rounds, at least 1.
        warm_up: Whether each case runs once before, which does not count.

    Returns:
        The timings by name; the i-th of each is of the same round.
    """
    if warm_up:
        for work in cases.values():
            work()
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(repetitions):
        for name, work in cases.items():
            began = now()
            work()
            # A clock of coarse steps may see nothing pass.
            seconds[name].append(max(now() - began, 1e-9))
    return {name: Timing(tuple(values)) for name, values in seconds.items()}


def number(value: float, unit: str, digits: int = 4) -> Figure:
    """A single figure of the report, measured or counted once."""
    return _summary([value], unit, digits)


def _summary(values: Sequence[float], unit: str, digits: int) -> Figure:
    def short(value: float) -> float:
        return float(f"{value:.{digits}g}")

    return {
        "value": short(median(values)),
        "unit": unit,
        "low": short(min(values)),
        "high": short(max(values)),
        "repetitions": len(values),
    }
