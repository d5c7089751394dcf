"""What is done to a series, as values: planned before any image is read."""

from dataclasses import dataclass
from itertools import permutations
from typing import Literal

import numpy as np

Change = Literal["none", "cloud", "masked cloud", "empty", "north", "south", "east", "west"]
"""What is done to one image: nothing; cloud and shadow are painted; the same, and what they hide is
no data; all is no data; it is moved by 1 px."""

MOVES: dict[str, tuple[int, int]] = {
    "north": (-1, 0),
    "south": (1, 0),
    "east": (0, 1),
    "west": (0, -1),
}
"""Change -> by how many pixels (down, right) the image is moved."""

SHUFFLES = 3
"""Random orders at most, besides the reversed one."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One image of a changed series.

    Attributes:
        date: Which date of the site it shows; 0 is the oldest.
        change: What is done to it.
    """

    date: int
    change: Change = "none"


@dataclass(frozen=True, slots=True)
class Perturbation:
    """A series as the model is to see it.

    Attributes:
        name: What kind of change it is.
        variant: Which of that kind.
        frames: The images, in the order in which the model sees them.
    """

    name: str
    variant: str
    frames: tuple[Frame, ...]


def plan_series(dates: int) -> Perturbation:
    """The undisturbed series of so many dates."""
    return Perturbation("undisturbed", "", tuple(Frame(at) for at in range(dates)))


def plan_perturbations(dates: int, seed: int) -> tuple[Perturbation, ...]:
    """All that is done to a series, kind by kind.

    Args:
        dates: T of the series, at least 1. Shorter ones allow fewer kinds: a single date has no
            order, and cannot be left out.
        seed: Of the random orders.

    Returns:
        One perturbation a variant. A cloud hangs over the middle date or the last one; it is the
        last date, on which a recurrent network leans most, that is moved.
    """
    last = dates - 1
    plain = plan_series(dates).frames

    def swapped(at: int, change: Change) -> tuple[Frame, ...]:
        return (*plain[:at], Frame(at, change), *plain[at + 1 :])

    plan = []
    clouds: tuple[tuple[str, Change], ...] = (
        ("cloud", "cloud"),
        ("cloud, masked", "masked cloud"),
    )
    for name, change in clouds:
        for at in sorted({last // 2, last}):
            plan.append(Perturbation(name, _date(at, dates), swapped(at, change)))
    if dates > 1:
        plan.append(Perturbation("order reversed", "", plain[::-1]))
        for order in _shuffles(dates, seed):
            text = " ".join(str(at + 1) for at in order)
            frames = tuple(plain[at] for at in order)
            plan.append(Perturbation("order shuffled", text, frames))
        for at in range(dates):
            same = (plain[at],) * dates
            plan.append(Perturbation("one date only, T times", _date(at, dates), same))
    plan.append(Perturbation("last date twice", "", (*plain, plain[last])))
    if dates > 1:
        for at in range(dates):
            rest = (*plain[:at], *plain[at + 1 :])
            plan.append(Perturbation("a date missing", _date(at, dates), rest))
        for at in range(dates):
            empty = swapped(at, "empty")
            plan.append(Perturbation("a date without data", _date(at, dates), empty))
    moves: tuple[Change, ...] = ("north", "south", "east", "west")
    plan += [Perturbation("last date 1 px off", move, swapped(last, move)) for move in moves]
    return tuple(plan)


def _date(at: int, dates: int) -> str:
    return f"date {at + 1} of {dates}"


def _shuffles(dates: int, seed: int) -> list[tuple[int, ...]]:
    """A few random orders that are neither the right one nor its reverse."""
    rng = np.random.default_rng((seed, 606))
    straight = tuple(range(dates))
    known = {straight, straight[::-1]}
    if dates <= 4:
        left = [order for order in permutations(straight) if order not in known]
        picked = rng.permutation(len(left))[:SHUFFLES]
        return [left[at] for at in sorted(picked)]
    orders: list[tuple[int, ...]] = []
    while len(orders) < SHUFFLES:
        order = tuple(int(at) for at in rng.permutation(dates))
        if order not in known:
            known.add(order)
            orders.append(order)
    return orders
