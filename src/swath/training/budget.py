"""How long a training may take, given as a whole: minutes or steps, shared by its stages."""

from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, JsonValue, model_validator

from swath.training.presets import StageSettings, TrainSettings
from swath.validation import Frozen

MOST_VALIDATION = 0.1
"""Of the time that steps take: so much may go into looking at validation sites between them."""


class Budget(Frozen):
    """What a whole training may cost: one of the two.

    Attributes:
        minutes: Wall time on this machine, from the survey of the data to the finished model. Steps
            are timed first, and as many are planned as fit.
        steps: Optimiser steps of all stages together.
    """

    minutes: float | None = Field(default=None, gt=0, le=100_000)
    steps: int | None = Field(default=None, ge=2, le=1_000_000_000)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.minutes is None) == (self.steps is None):
            raise ValueError("a budget is minutes or steps, one of the two")
        return self

    @property
    def record(self) -> dict[str, JsonValue]:
        """What run.json and model.json say of it."""
        return self.model_dump(mode="json", exclude_none=True)


@dataclass(frozen=True, slots=True)
class StageRates:
    """What one network costs here.

    Attributes:
        step_s: One optimiser step, reading its patches included.
        validation_s: One validation epoch.
        forward_s_per_mpx: One pass over a megapixel of all dates without gradients.
        parameters: Trained weights.
    """

    step_s: float
    validation_s: float
    forward_s_per_mpx: float
    parameters: int

    @property
    def least_batches(self) -> int:
        """Steps of an epoch below which the validation after each takes more than its share."""
        return round(self.validation_s / (self.step_s * MOST_VALIDATION))

    def seconds(self, steps: int, epochs: int) -> float:
        """A whole training."""
        return steps * self.step_s + epochs * self.validation_s


BudgetedStage = Literal["fcn", "rnn"]

Rates = dict[BudgetedStage, StageRates]
"""Of the stages that a run has."""


def steps_within(seconds: float, settings: TrainSettings, rates: Rates) -> int:
    """The steps that fit into so many seconds; 2 at least."""
    shares = {name: stage_of(settings, name).steps for name in rates}
    step_s = sum(shares[name] * rate.step_s for name, rate in rates.items()) / sum(shares.values())
    return max(2, int(seconds / (step_s * (1 + MOST_VALIDATION))))


def with_steps(
    settings: TrainSettings, steps: int, stages: tuple[BudgetedStage, ...], rates: Rates | None = None
) -> TrainSettings:
    """Settings by which all stages together take so many steps, in the shares that they have.

    Phases keep their shares of a stage; epochs keep their length, or get longer where `rates` show
    that looking at the validation sites takes long. By rounding it is some steps less.
    """
    total = sum(stage_of(settings, name).steps for name in stages)
    changed: dict[str, StageSettings] = {}
    left = steps
    for name in stages:
        stage = stage_of(settings, name)
        share = max(1, left if name == stages[-1] else round(steps * stage.steps / total))
        share = min(share, max(1, left - 1)) if name != stages[-1] else share
        left -= share
        changed[name] = _resized(stage, share, rates[name].least_batches if rates else 0)
    return settings.model_copy(update=changed)


def stage_of(settings: TrainSettings, name: BudgetedStage) -> StageSettings:
    """The settings of a stage."""
    return settings.fcn if name == "fcn" else settings.rnn


def _resized(stage: StageSettings, steps: int, least_batches: int) -> StageSettings:
    """A stage of so many steps; phases that would have no epoch left go, the first one first."""
    wanted = max(1, round(steps / max(stage.batches, least_batches)))
    phases = stage.phases[-wanted:]
    planned = sum(phase.epochs for phase in phases)
    ends = [round(wanted * sum(p.epochs for p in phases[: at + 1]) / planned) for at in range(len(phases))]
    epochs = [end - start for start, end in zip([0, *ends], ends, strict=False)]
    kept = tuple(
        phase.model_copy(update={"epochs": number})
        for phase, number in zip(phases, epochs, strict=True)
        if number
    )
    return stage.model_copy(update={"phases": kept, "batches": max(1, steps // wanted)})
