"""Clouds and their shadows by a model that was trained for it: ukis-csmask, of the extra `clouds`.

The network's weights come with its package; nothing is fetched when it runs.

Source: Wieland, Fichtner, Martinis, "UKIS-CSMASK: a Python package for multi-sensor cloud and cloud
shadow segmentation", 2022 (https://doi.org/10.5194/isprs-archives-XLIII-B3-2022-217-2022).
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from swath.errors import InputError
from swath.extras import need_extras
from swath.scenes.jp2 import usable_threads
from swath.sentinel2 import BANDS, QUANTIFICATION, Level, valid_mask

CLOUD_MODEL = "ukis-csmask"
"""Name of the package, and what stands for it where a mask is named."""

RESOLUTION_M = 30.0
"""Pixel size that the model is best at, as its authors say."""

BUFFER_PX = 4
"""How far, in its pixels, what it finds is widened: clouds end softly. The package's own choice."""

_FEWEST = ("B02", "B03", "B04", "B08")
_BEST = (*_FEWEST, "B11", "B12")
"""The model has a network for either; with the two bands of short-wave infrared it is better."""


@dataclass(frozen=True, slots=True)
class CloudModel:
    """The network of ukis-csmask that fits an image, and its package's version.

    It looks at `bands`, reflectance at the top of the atmosphere (L1C) or the surface (L2A).
    """

    level: Level
    bands: tuple[str, ...]
    version: str


def choose_cloud_model(path: Path, bands: Sequence[str], level: Level | None) -> CloudModel:
    """The network for an image `path`, as far as its bands and its level are known.

    Raises:
        InputError: It lacks a band that every network needs, or its level is not known.
        MissingExtraError: The package is not installed.
    """
    if missing := [band for band in _FEWEST if band not in bands]:
        raise InputError(
            f"{path}: `mask: {CLOUD_MODEL}` needs the bands {', '.join(_FEWEST)} (better also B11, "
            f"B12); there is no {', '.join(missing)}"
        )
    if level is None:
        raise InputError(
            f"{path}: `mask: {CLOUD_MODEL}` needs to know the image's processing level; give "
            "`level: L1C` (top of the atmosphere) or `level: L2A` (surface)"
        )
    need_extras(f"`mask: {CLOUD_MODEL}`", "clouds")
    chosen = _BEST if set(_BEST) <= set(bands) else _FEWEST
    return CloudModel(level, chosen, version(CLOUD_MODEL))


def find_clouds(model: CloudModel, image: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """Where clouds and their shadows are, or no farther away than `BUFFER_PX`: (H, W) bool.

    The image is (C, H, W) reflectance x 10000 of the model's bands in pixels of `RESOLUTION_M`; 0 =
    no data.
    """
    from ukis_csmask.mask import CSmask

    seen = valid_mask(image)
    if not seen.any():
        return np.zeros_like(seen)
    reflectance = np.moveaxis(image, 0, -1).astype(np.float32) / np.float32(QUANTIFICATION)
    with warnings.catch_warnings():
        # That the image is smaller than the network's window: a small site has no more.
        warnings.simplefilter("ignore", UserWarning)
        classes = CSmask(
            reflectance,
            [str(BANDS[band].common_name) for band in model.bands],
            product_level=model.level.lower(),
            invalid_buffer=1,  # of its own mask, which also widens the edge of the data
            intra_op_num_threads=usable_threads(),
            providers=["CPUExecutionProvider"],
        ).csm[..., 0]
    wide: NDArray[np.bool_] = ndimage.binary_dilation((classes != 0) & seen, iterations=BUFFER_PX)
    return wide
