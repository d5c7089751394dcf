"""Rounds: a command is disturbed, run again, and must leave what an undisturbed one leaves."""

import random
import signal
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from swath.lab.faults.disk import can_mount, disk, empty, leave_pages
from swath.lab.faults.fault import Child, Fault
from swath.lab.faults.loss import (
    inputs_of,
    is_done,
    last_line,
    left_at_work,
    loss_at_once,
    loss_in_the_end,
    loss_midway,
)
from swath.lab.faults.outcome import FaultRounds, Outcome, tally
from swath.lab.faults.place import Command, Place, Plan, make_place
from swath.progress import tell, track

_MOST_MEMORY_MB = 512
_LEAST_FILE_BYTES = 512


def measure_faults(plan: Plan, rounds: int, seed: int, names: Sequence[str] = ()) -> FaultRounds:
    """Disturb commands in a small simulated world, run them again, and compare what they leave.

    An interrupt ends the rounds, not the measurement: what came of those before it is given.

    Args:
        plan: The commands.
        rounds: How many; commands and faults take turns.
        seed: Of the world, and of when and how each fault strikes.
        names: Commands to disturb; none: all.

    Raises:
        SettingsError: A name that is none.
        InputError: A command fails undisturbed.
    """
    with tempfile.TemporaryDirectory(prefix="swath-faults-") as name:
        folder = Path(name).resolve()
        untried = () if can_mount(folder) else (Fault.FULL,)
        with make_place(folder, plan, seed, names) as place:
            turns = [
                (command, fault)
                for command in place.commands
                for fault in command.faults
                if fault not in untried and (not names or command.name in names)
            ]
            draw = random.Random(seed)
            turns = draw.sample(turns, len(turns)) * (rounds // len(turns) + 1)
            outcomes: list[Outcome] = []
            with suppress(KeyboardInterrupt):
                for command, fault in track(turns[:rounds], "disturbing commands"):
                    one = Round(place, command, fault, draw.randrange(2**32))
                    outcomes.append(one.play(folder / "round"))
                    tell(f"round {len(outcomes)} of {rounds}: {outcomes[-1]}")
        unlike = {name: tuple(known.unlike) for name, known in place.undisturbed.items() if known.unlike}
    tallies = tally(outcomes)
    return FaultRounds(seed=seed, untried=untried, unlike=unlike, tallies=tallies, outcomes=tuple(outcomes))


@dataclass(frozen=True, slots=True)
class Round:
    """One command, one fault, and the seed of when and how it strikes."""

    place: Place
    command: Command
    fault: Fault
    seed: int

    def play(self, folder: Path) -> Outcome:
        """Disturb the command, run it again, compare; in a folder that is gone afterwards."""
        command, known = self.command, self.place.undisturbed[self.command.name]
        draw = random.Random(self.seed)
        replacing = bool(command.other) and draw.random() < 0.5
        with disk(folder, own=self.fault == Fault.FULL):
            self.place.copy(command, folder, old=replacing)
            inputs = inputs_of(command, folder)
            child, struck = self._disturb(folder, draw, replacing=replacing)
            code = child.end(known.longest_s)
            lost = loss_at_once(command, code, child.said)
            lost = lost or loss_midway(command, folder, known, replacing=replacing)
            self.place.catalogue.begin()
            if self.fault == Fault.FULL:
                empty(folder)
            done = is_done(command, folder, known)
            if not done or left_at_work(folder):
                more = command.replace if done or replacing else command.again
                again = Child(folder, [*command.arguments, *more])
                if (ended := again.end(known.longest_s)) != 0:
                    lost = lost or f"run again, it ended with {ended}: {last_line(again.said)}"
            lost = lost or loss_in_the_end(command, folder, known, inputs)
        return Outcome(
            command=command.name,
            fault=self.fault,
            seed=self.seed,
            replacing=replacing,
            struck=struck or code != 0,
            code=code,
            lost=lost,
        )

    def _disturb(self, folder: Path, draw: random.Random, *, replacing: bool) -> tuple[Child, bool]:
        """Run the command while something goes wrong; and whether that was felt for sure."""
        known, fault = self.place.undisturbed[self.command.name], self.fault
        killed = fault in (Fault.KILL, Fault.TERM)
        shared = fault == Fault.WORKER or (killed and bool(self.command.workers) and draw.random() < 0.15)
        moment_s = draw.random() * known.takes_s[shared]
        file_bytes = draw.randint(_LEAST_FILE_BYTES, known.bytes_most) if fault == Fault.LIMIT else None
        memory_mb = int(_MOST_MEMORY_MB ** draw.random()) if fault == Fault.MEMORY else None
        self.place.catalogue.begin(draw.randrange(known.requests) if fault == Fault.SERVER else None)
        if fault == Fault.FULL:
            leave_pages(folder, draw.randint(1, 2 * known.pages))
        arguments = [*self.command.arguments, *(self.command.replace if replacing else ())]
        arguments += self.command.workers if shared else ()
        child = Child(folder, arguments, file_bytes, memory_mb)
        if killed:
            child.wait(moment_s)
            child.signal(signal.SIGKILL if fault == Fault.KILL else signal.SIGTERM)
        elif fault == Fault.WORKER:
            child.wait(moment_s)
            return child, child.kill_worker(draw)
        elif fault == Fault.SERVER and draw.random() < 0.5:  # it comes back
            child.wait(known.takes_s[0] + 2)
            gone = self.place.catalogue.gone
            self.place.catalogue.begin()
            return child, gone
        return child, False
