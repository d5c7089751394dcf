"""The card of an exported model: what it reads, what it gives, what it learnt from, how it is used."""

from collections.abc import Mapping

from swath.models.spec import ModelSpec
from swath.models.trained import TrainedModel
from swath.sentinel2 import STANDARD_MEDIAN, STANDARD_SPREAD

_ENCODINGS = {
    "tci": "the 8-bit numbers of ESA's True Colour Image, 1..255",
    "reflectance": "reflectance x 10000, without the offset of products since 2022",
    "dos": "reflectance x 10000, each band moved so that the scene's first percentile lies at 500",
    "standardised": (
        "reflectance x 10000 times a gain plus an offset, two numbers for each band of each scene, so that "
        f"the band's median is {STANDARD_MEDIAN} and its spread, (75th - 25th percentile) / 1.349, is "
        f"{STANDARD_SPREAD}: gain = {STANDARD_SPREAD} / spread, offset = {STANDARD_MEDIAN} - gain x median, "
        "both over the pixels with data, clouds left out; a large scene in cells of 6 km"
    ),
}
"""What the numbers of an image are, in words."""


def card_of(model: TrainedModel, differences: Mapping[str, float]) -> str:
    """The card as Markdown.

    Args:
        model: What was exported.
        differences: Of each file's probabilities from PyTorch's.
    """
    spec = model.spec
    names = ", ".join(spec.legend.names)
    fused = "`fusion.onnx`" if model.fusion else "no network: take the mean over the dates that have data"
    lines = [
        f"# {spec.name}: {names} from Sentinel-2",
        "",
        f"Files, and how far their probabilities were from PyTorch's at most: {_differences(differences)}.",
        "",
        "## What it reads",
        "",
        f"`unet.onnx`, input `image`: float32 (batch, {len(spec.image.bands)}, height, width), any batch, "
        f"height and width. Bands {', '.join(spec.image.bands)} at 10 m, as "
        f"{_ENCODINGS[spec.image.encoding]}. "
        "0 in all bands = no data. The files of a dataset that `swath build` made are such images.",
        "",
        "The graph then scales by itself: (number - offset) / scale, and 0 where a number is 0.",
        "",
        "| band | offset | scale |",
        "|---|---:|---:|",
        *(
            f"| {band} | {offset:.6g} | {scale:.6g} |"
            for band, offset, scale in zip(
                spec.image.bands, spec.scaling.offset, spec.scaling.scale, strict=True
            )
        ),
        "",
        "## What it gives",
        "",
        f"`pmap`: float32 (batch, {len(spec.legend.classes)}, height, width), 0..1, probabilities of "
        f"{names}; {spec.finer} x {spec.finer} map pixels to one of the image. "
        "`known`: bool (batch, height, width), False where there is no data and `pmap` means nothing.",
        "",
        f"Dates are fused by {fused}. Inputs: `pmaps` (batch, dates, class, height, width), oldest first, "
        "and `known` (batch, dates, height, width); any number of dates.",
        "",
        f"A scene in tiles: origins at multiples of {model.stride} px, {model.fcn.receptive_radius} px more "
        "on each side than is kept; then tiles fit together exactly.",
        "",
        "`qgis.onnx`: for the plugin Deepness of QGIS, which divides numbers by 255; of two classes "
        "the second alone.",
        "",
        "## What it learnt from",
        "",
        *_training(spec),
    ]
    return "\n".join(lines) + "\n"


def _differences(differences: Mapping[str, float]) -> str:
    return ", ".join(f"`{name}` {value:.0e}" for name, value in differences.items())


def _training(spec: ModelSpec) -> list[str]:
    splits = [f"- {split}: {', '.join(sites) or 'none'}" for split, sites in spec.splits.items()]
    scores = [
        f"- {stage}: " + ", ".join(f"{key} {value:.3f}" for key, value in of.items() if value is not None)
        for stage, of in spec.scores.items()
    ]
    return [
        "Sites, by split:",
        "",
        *splits,
        "",
        *(
            ["Scores during training (a report on other sites is to be trusted):", "", *scores, ""]
            if scores
            else []
        ),
        f"Series of {spec.dates} dates; each image seen in {spec.orientations} orientations; temperature "
        f"{spec.temperature:g}.",
        "",
        f"Training data: {spec.attribution or 'not stated'}. Keep this with the files and their maps.",
    ]
