"""All numbers of the recipe, and where its places are split."""

import dataclasses
from dataclasses import dataclass
from typing import Self

from swath.legend import read_legend
from swath.models.spec import ModelSpec
from swath.scaling import Scaling
from swath.sentinel2 import STANDARD_MEDIAN, STANDARD_SPREAD, ImageSettings

SPREADS = (-5.0, 15.0)
"""What a place's 8 bits hold of a pixel, in spreads from its scene's median; beyond lie clouds."""

INPUT_OFFSET, INPUT_SCALE = 0.2, 1.5
"""The network sees (spreads - 0.2) / 1.5: about mean 0 and deviation 1 over the places."""

LEAST_SPREAD = 100.0
"""Of the images that the weights will map: below it noise is taken for streets (docs/lab/starter.md).
No band of the towns to learn from has so little."""

PIXEL_M = 10

FAR_M = 999.0
"""The distance to a line where there is none near."""

MODEL = "unet-attention"
"""The architecture whose first half a U-Net is; `fusion.py --network` gives it another second half."""


@dataclass(frozen=True)
class Learning:
    """How weights are fitted; `--set name=value` of `unet.py` and `fusion.py` changes one value.

    Attributes:
        steps: Batches.
        peak: The learning rate at its highest; it rises over 5 % of the steps and falls as a cosine.
        average: Of the weights that are kept, what each step leaves of the average before it.
        loss_weight: Of the cross entropy; the rest is -log of the soft IoU.
    """

    steps: int = 2400
    peak: float = 2e-3
    weight_decay: float = 0.01
    clip: float = 1.0
    average: float = 0.998
    loss_weight: float = 0.7

    def changed(self, settings: list[str]) -> Self:
        """With some values replaced, each given as `name=value`."""
        types = {field.name: type(getattr(self, field.name)) for field in dataclasses.fields(self)}
        pairs = [setting.split("=", 1) for setting in settings]
        return dataclasses.replace(self, **{name: types[name](value) for name, value in pairs})


@dataclass(frozen=True)
class Recipe(Learning):
    """What a U-Net learns from.

    Attributes:
        finer: Map pixels to the side of an image pixel.
        target: What is a road: `15`: all within so many metres, half to each side of a line; `class`: as
            wide as its class; `soft`: a Gaussian of the distance (`soft_m`).
        width: Of the U-Net's first level.
        batch, patch_px: Patches in a batch, and the image pixels to their side.
        free: The share of patches at any turn and at a scale of up to `zoom`; the others turn by quarters.
        offset_px: By so much do patches that turn by quarters lie off the image's pixels. 0: they are the
            pixels as they are; 0.5, with which the starter weights were made by mistake: each is the mean of
            four, and the patch is blurred.
        near: The share of patches about a point of a line; the others lie anywhere.
        real, unlabelled: Their shares of a batch; the rest is simulated.
        taught: The teachers' share of a labelled pixel's truth; elsewhere they are the truth.
        clouds: The share of patches with a painted cloud.
        missing: The share of patches without the near infrared.
    """

    finer: int = 2
    target: str = "15"
    soft_m: float = 6.0
    width: int = 32
    batch: int = 24
    patch_px: int = 160
    free: float = 0.5
    zoom: float = 1.3
    offset_px: float = 0.0
    near: float = 0.5
    real: float = 0.55
    unlabelled: float = 0.15
    taught: float = 0.5
    clouds: float = 0.08
    missing: float = 0.25

    def spec(self, learnt: list[str], attribution: str) -> ModelSpec:
        """What a U-Net's `model.json` says; standardised numbers are 10000 + 1000 spreads."""
        bands = ("B04", "B03", "B02", "B08")
        offset, scale = STANDARD_MEDIAN + STANDARD_SPREAD * INPUT_OFFSET, STANDARD_SPREAD * INPUT_SCALE
        return ModelSpec(
            name=MODEL,
            image=ImageSettings(
                bands=bands, encoding="standardised", optional=("B08",), least_spread=LEAST_SPREAD
            ),
            legend=read_legend("roads"),
            scaling=Scaling(offset=(offset,) * len(bands), scale=(scale,) * len(bands)),
            finer=self.finer,
            sizes={"width": self.width, "decoder_convs": 1},
            dates=1,
            splits={"train": learnt},
            training=dataclasses.asdict(self),
            attribution=attribution,
        )


@dataclass(frozen=True)
class FusionRecipe(Learning):
    """What a fusion learns from: PMaps of a U-Net that learns no more.

    Attributes:
        hidden, layers: Sizes of the fusion.
        dates_a_batch, patch_px: Series in a batch times their dates, about; image pixels to their side.
        lengths: Of series: how often they have 1, 2, 3, ... dates.
        real: The share of real series; the others are simulated, and half of those change by themselves.
        day, clouds, missing: The share of dates seen on another day, and of those the shares with a painted
            cloud and without the near infrared.
        changed_share: The share of real series in which roads are built, and of these in `gone` they vanish
            instead: the U-Net saw images from which they were erased.
        erase_m, erase_noise: How far from a line ground is erased, and the noise of what is put there,
            in steps of the 8 bits.
        weight: How much more what changes weighs.
        prior: By so much is the score of a change lowered in the end, in logits: most series that it learnt
            from change, hardly any ground does.
        lost, moved, move_px: The shares of dates that nobody knows, and that lie off by so many map pixels.
    """

    steps: int = 700
    peak: float = 5e-3
    average: float = 0.995
    hidden: int = 16
    layers: int = 2
    dates_a_batch: int = 24
    patch_px: int = 48
    lengths: tuple[float, ...] = (0.06, 0.2, 0.22, 0.22, 0.15, 0.15)
    real: float = 0.5
    day: float = 0.35
    clouds: float = 0.6
    missing: float = 0.1
    changed_share: float = 0.6
    gone: float = 0.2
    erase_m: float = 16.0
    erase_noise: float = 2.5
    weight: float = 2.0
    prior: float = 3.3
    lost: float = 0.06
    moved: float = 0.1
    move_px: int = 2


def simulated_split(number: int) -> str:
    """What place `number` of `simulated-corpus.py` is for.

    U-Nets learn from `train`; the fusion from `fusion` too, whose PMaps are those of unseen ground.
    """
    if number >= 56:
        return "test"
    return "fusion" if number >= 53 or number % 10 == 5 else "train"
