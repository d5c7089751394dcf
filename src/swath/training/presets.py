"""Settings of a training run, and the presets: values that can be printed, stored and compared."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, JsonValue, RootModel, ValidationError, model_validator

from swath.errors import SettingsError
from swath.models.orientations import Orientations
from swath.models.spec import Name
from swath.validation import Frozen, first_problem, read_yaml

PresetName = Literal["paper", "best", "demo"]


class Phase(Frozen):
    """Epochs at one (peak) learning rate."""

    learning_rate: float = Field(gt=0, le=100)
    epochs: int = Field(ge=1, le=100_000)


class StageSettings(Frozen):
    """How one of the two networks is trained.

    Attributes:
        phases: Run one after another with the same optimiser.
        batches: Mini-batches an epoch.
        batch_size: Patches a mini-batch.
        patch_px: Side of a patch.
        optimiser: `adam`, or `adamw` with `weight_decay`.
        schedule: `constant`: each phase at its learning rate; `cosine`: a warm-up over the first
            5 % of the steps, then down to 0 along a cosine.
        weight_decay: For `adamw`.
        clip: Largest norm of the gradient; None for no limit.
        ema: Decay a step of the exponential moving average of the weights that is kept in the
            end (see `decay`); None keeps the last weights.
    """

    phases: tuple[Phase, ...] = Field(min_length=1, max_length=1000)
    batches: int = Field(ge=1, le=1_000_000)
    batch_size: int = Field(ge=1, le=4096)
    patch_px: int = Field(ge=16, le=8192)
    optimiser: Literal["adam", "adamw"] = "adamw"
    schedule: Literal["constant", "cosine"] = "cosine"
    weight_decay: float = Field(default=0.01, ge=0, le=100)
    clip: float | None = Field(default=1.0, gt=0, le=1e9)
    ema: float | None = Field(default=0.99, gt=0, lt=1)

    @property
    def epochs(self) -> int:
        """Epochs of all phases."""
        return sum(phase.epochs for phase in self.phases)

    @property
    def steps(self) -> int:
        """Optimiser steps of all phases."""
        return self.epochs * self.batches

    @property
    def decay(self) -> float | None:
        """The moving average's decay, lowered in a short run.

        `1 - 6 / steps` at most: so the weights of the start keep less than exp(-6), a quarter of a
        percent, of the average. With 0.995 over 400 steps they would keep 13 %.
        """
        return None if self.ema is None else min(self.ema, max(0.0, 1 - 6 / self.steps))

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.schedule == "cosine" and len(self.phases) != 1:
            raise ValueError("the cosine schedule takes one phase")
        if self.batch_size == 1 and self.patch_px < 32:  # a pixel at the U-Net's bottom has no spread
            raise ValueError("a batch_size of 1 needs a patch_px of 32 or more")
        return self

    def learning_rate(self, step: int) -> float:
        """The learning rate of optimiser step `step` (0-based)."""
        if self.schedule == "constant":
            epoch = step // self.batches
            for phase in self.phases:
                if epoch < phase.epochs:
                    return phase.learning_rate
                epoch -= phase.epochs
            return self.phases[-1].learning_rate
        peak = self.phases[0].learning_rate
        warm = max(1, self.steps // 20)
        if step < warm:
            return peak * (step + 1) / warm
        done = min(1.0, (step - warm) / max(1, self.steps - warm))
        return peak * 0.5 * (1 + math.cos(math.pi * done))


class TrainSettings(Frozen):
    """Everything that decides what a training run computes, but its data and seed.

    Attributes:
        model: A name of the model registry.
        width: Filters of the U-Net's first level.
        decoder_convs: Convolutions in each decoder step.
        hidden: Channels of the fusion's states.
        layers: Layers of the ConvLSTM.
        dates: T of the series for the fusion; None: what every training site has, at most 3.
        orientations: 8: maps are made with the mean PMap over all turns and flips of the image, at
            eight times the cost of the network that sees images; training sees single ones.
        loss_weight: a in L = a H - (1 - a) log J.
        rarity: How much more the rare of more than two classes weigh in H: each by its share to the
            power of minus this.
        foreground_share: Share of the patches that are laid around a foreground cell.
        jitter: Strength of the radiometric augmentation.
        clouds: Share of the training series in which one date is clouded.
        missing: Share of the training dates without the bands that are optional.
        fcn: Stage 1; for a model of whole series its only one.
        rnn: Stage 2.
    """

    model: Name = "unet-convlstm"
    width: int = Field(default=32, ge=1, le=512)
    decoder_convs: int = Field(default=1, ge=1, le=16)
    hidden: int = Field(default=32, ge=1, le=1024)
    layers: int = Field(default=2, ge=1, le=16)
    dates: int | None = Field(default=None, ge=1, le=1000)
    orientations: Orientations = 1
    loss_weight: float = Field(default=0.7, ge=0, le=1)
    rarity: float = Field(default=0.0, ge=0, le=1)
    foreground_share: float = Field(default=0.5, ge=0, le=1)
    jitter: float = Field(default=0.0, ge=0, le=10)
    clouds: float = Field(default=0.0, ge=0, le=1)
    missing: float = Field(default=0.0, ge=0, le=1)
    fcn: StageSettings
    rnn: StageSettings


_PAPER_STAGE = StageSettings(
    phases=(
        Phase(learning_rate=0.1, epochs=10),
        Phase(learning_rate=0.01, epochs=10),
        Phase(learning_rate=0.001, epochs=10),
    ),
    batches=8,
    batch_size=2,
    patch_px=512,
    optimiser="adam",
    schedule="constant",
    weight_decay=0.0,
    clip=None,
    ema=None,
)

PRESETS: dict[str, TrainSettings] = {
    # Section 1.5 to the letter; the paper does not give the size of a mini-batch.
    "paper": TrainSettings(fcn=_PAPER_STAGE, rnn=_PAPER_STAGE),
    "best": TrainSettings(
        model="unet-attention",
        orientations=8,
        rarity=1.0,
        jitter=0.1,
        clouds=0.3,
        missing=0.3,
        fcn=StageSettings(
            phases=(Phase(learning_rate=2e-3, epochs=24),), batches=100, batch_size=4, patch_px=128, ema=0.995
        ),
        rnn=StageSettings(
            phases=(Phase(learning_rate=5e-3, epochs=6),), batches=100, batch_size=4, patch_px=128, ema=0.99
        ),
    ),
    # Small and short: the whole way in minutes.
    "demo": TrainSettings(
        width=16,
        hidden=16,
        rarity=1.0,
        jitter=0.1,
        fcn=StageSettings(
            phases=(Phase(learning_rate=2e-3, epochs=8),), batches=40, batch_size=8, patch_px=128
        ),
        rnn=StageSettings(
            phases=(Phase(learning_rate=1e-2, epochs=4),), batches=30, batch_size=8, patch_px=64, ema=0.95
        ),
    ),
}


def preset(name: str) -> TrainSettings:
    """The settings of a preset.

    Raises:
        SettingsError: There is none of that name.
    """
    if name not in PRESETS:
        raise SettingsError(f"no preset {name!r}; presets are {', '.join(PRESETS)}")
    return PRESETS[name]


class _Changes(RootModel[dict[str, JsonValue]]):
    """A YAML file with some of the settings."""


def override(
    name: str, file: Path | None = None, shape: Mapping[str, JsonValue] | None = None, **changes: JsonValue
) -> TrainSettings:
    """A preset with some of its settings replaced; see `change`.

    Args:
        name: Of the preset.
        file: YAML with changes.
        shape: Changes that come before the file's: those of the run that is begun with.
        changes: Further ones; None leaves the setting as it is.

    Raises:
        SettingsError: An unknown preset or key, or a bad value.
    """
    given = read_yaml(file, _Changes).root if file else {}
    kept = {key: value for key, value in changes.items() if value is not None}
    return change(preset(name), {**(shape or {}), **given, **kept}, str(file or "settings"))


def change(settings: TrainSettings, changes: Mapping[str, JsonValue], source: str) -> TrainSettings:
    """Settings, some of which are replaced.

    Args:
        settings: As they were.
        changes: Keys of `TrainSettings`; nested keys replace one by one.
        source: What to call the changes in an error.

    Raises:
        SettingsError: An unknown key, or a bad value.
    """
    values = settings.model_dump()
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(values.get(key), dict):
            values[key] |= value
        else:
            values[key] = value
    try:
        return TrainSettings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(f"{source}: {first_problem(error, TrainSettings)}") from None
