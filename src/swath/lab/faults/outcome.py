"""What came of the rounds."""

from collections.abc import Iterable

from swath.lab.faults.fault import Fault
from swath.validation import Written
from swath.version import __version__


class Outcome(Written):
    """A round.

    Attributes:
        command: Its name.
        fault: What happened.
        seed: Draws the moment and the amount.
        replacing: Whether it was to replace a result that was there.
        struck: Whether the fault was felt: by the command, or by one of its workers.
        code: Exit code of the disturbed command, or the negative number of a signal; None: it hung.
        lost: What was lost, or ill said, in words; empty: nothing.
    """

    command: str
    fault: Fault
    seed: int
    replacing: bool
    struck: bool
    code: int | None
    lost: str = ""

    def __str__(self) -> str:
        felt = "felt" if self.struck else "not felt"
        return f"{self.command}, {self.fault}, {felt}, seed {self.seed}: {self.lost or 'nothing lost'}"


class Tally(Written):
    """Rounds of a command and a fault: how many, in how many it struck, and what came of it."""

    command: str
    fault: Fault
    rounds: int
    struck: int
    survived: int
    lost: int


class FaultRounds(Written):
    """What `measure_faults` found.

    Attributes:
        seed: Of all rounds.
        untried: Faults that this system does not allow.
        unlike: Files, by command, that undisturbed runs do not make alike; not compared.
        tallies: By command and fault.
        outcomes: Every round.
        version: Of swath.
    """

    seed: int
    untried: tuple[Fault, ...]
    unlike: dict[str, tuple[str, ...]]
    tallies: tuple[Tally, ...]
    outcomes: tuple[Outcome, ...]
    version: str = __version__

    @property
    def losses(self) -> tuple[Outcome, ...]:
        """The rounds in which something was lost."""
        return tuple(outcome for outcome in self.outcomes if outcome.lost)


def tally(outcomes: Iterable[Outcome]) -> tuple[Tally, ...]:
    """A row a command and fault, sorted."""
    rows: dict[tuple[str, Fault], list[Outcome]] = {}
    for outcome in outcomes:
        rows.setdefault((outcome.command, outcome.fault), []).append(outcome)
    return tuple(
        Tally(
            command=command,
            fault=fault,
            rounds=len(row),
            struck=sum(outcome.struck for outcome in row),
            survived=sum(not outcome.lost for outcome in row),
            lost=sum(bool(outcome.lost) for outcome in row),
        )
        for (command, fault), row in sorted(rows.items())
    )
