"""The images of a site, and what a perturbation makes of them."""

import datetime as dt
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swath.dataset.augment import BLACK_WHITE
from swath.grid import Grid, Window
from swath.lab.stability.perturbation import MOVES, Frame
from swath.mapping.predict import DatedImage, Image
from swath.scenes.levels import fit_levels
from swath.scenes.paintedclouds import cloud_over
from swath.sentinel2 import BANDS as SENTINEL2
from swath.sentinel2 import (
    CLOUD_REFLECTANCE,
    NODATA,
    QUANTIFICATION,
    TCI_REFLECTANCE,
    ImageSettings,
    tci_from_reflectance,
    valid_mask,
)
from swath.simulate.air import clouds, ice
from swath.simulate.day import Day

CLOUD_SHARE = 0.3
"""Share of the picture under thick cloud; the shadows come on top."""


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """The images of one site, whole and in memory.

    Attributes:
        site: Its name.
        grid: Where it lies; decides the height of the sun.
        settings: Bands and encoding.
        dates: Days of acquisition, oldest first.
        images: One (C, H, W) a date, 0 = no data.
        seed: Of the clouds.
    """

    site: str
    grid: Grid
    settings: ImageSettings
    dates: tuple[dt.date, ...]
    images: tuple[Image, ...]
    seed: int

    def show(self, frame: Frame) -> tuple[DatedImage, float]:
        """The image of a frame, and the share 0..1 of its pixels that a painted cloud hides."""
        pixels, hidden = self._change(frame)

        def read(window: Window) -> Image:
            part: Image = pixels[(..., *window.slices)]
            return part

        return DatedImage(self.dates[frame.date], read), hidden

    def _change(self, frame: Frame) -> tuple[Image, float]:
        image = self.images[frame.date]
        if frame.change == "none":
            return image, 0.0
        if frame.change == "empty":
            return np.zeros_like(image), 0.0
        if frame.change in MOVES:
            return move(image, MOVES[frame.change]), 0.0
        _, south, _, north = self.grid.lonlat_bounds
        drawn = np.random.default_rng((self.seed, zlib.crc32(self.site.encode()), frame.date))
        day = Day(
            self.dates[frame.date],
            (south + north) / 2,
            cloud=CLOUD_SHARE,
            seed=int(drawn.integers(2**20)),
        )
        masked = frame.change == "masked cloud"
        clouded, hidden = paint_clouds(image, day, self.settings, masked=masked)
        return clouded, float(hidden[valid_mask(image)].mean())


def move(image: Image, by: Sequence[int]) -> Image:
    """An image that lies 1 px off: its content is moved, what enters repeats the edge.

    Args:
        image: (C, H, W).
        by: (down, right) in px, each -1, 0 or 1.
    """
    down, right = by
    height, width = image.shape[1:]
    wide: Image = np.pad(image, ((0, 0), (1, 1), (1, 1)), mode="edge")  # type: ignore[assignment]
    return wide[:, 1 - down : 1 - down + height, 1 - right : 1 - right + width]


def paint_clouds(
    image: Image, day: Day, settings: ImageSettings, *, masked: bool = False
) -> tuple[Image, NDArray[np.bool_]]:
    """Paint thick clouds and their shadows into an image of a dataset.

    Args:
        image: (C, H, W) in the dataset's encoding, 0 = no data. With `dos` the dark level has been
            taken away; clouds are then by that little too bright. With `standardised` the
            reflectance is not known: the scene is taken for a town's (`BLACK_WHITE`), and it is
            standardised anew with its clouds, as it would be if they had been there.
        day: How much cloud, and where the sun stands.
        settings: Bands and encoding.
        masked: Whether a mask tells of them: what they hide becomes no data.

    Returns:
        The image, same shape and type, no data where it was; and (H, W) bool where cloud or
        shadow hides the ground.
    """
    valid = valid_mask(image)
    numbers = image.astype(np.float32)
    black, white = BLACK_WHITE["standardised"]
    if settings.encoding == "tci":
        reflectance = (numbers - 1) * np.float32(TCI_REFLECTANCE / 254)
    elif settings.encoding == "standardised":
        reflectance = (numbers - black) * np.float32(CLOUD_REFLECTANCE / (white - black))
    else:
        reflectance = numbers / np.float32(QUANTIFICATION)
    reflectance[:, ~valid] = np.nan
    painted, hidden = _with_clouds(reflectance, day, settings.bands)
    seen = valid & ~hidden if masked else valid
    digital = np.nan_to_num(painted) * np.float32(QUANTIFICATION)
    if settings.encoding == "standardised":
        gains, offsets = fit_levels(digital[:, seen], settings)
        digital = digital * gains[:, None, None] + offsets[:, None, None]
    stored = np.clip(np.rint(digital), 1, 65_535).astype(np.uint16)
    result: Image = tci_from_reflectance(stored) if settings.encoding == "tci" else stored
    result[:, ~seen] = NODATA
    return result, hidden & valid


def _with_clouds(
    image: NDArray[np.float32], day: Day, bands: Sequence[str]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Paint a day's thick clouds and their shadows into a real picture.

    Args:
        image: (bands, H, W) reflectance at the top of the atmosphere, pixels of about 10 m; NaN
            where there is no data.
        day: How much cloud, which pattern (`seed`), and where the sun stands.
        bands: Names of the bands.

    Returns:
        (bands, H, W) float32; and (H, W) bool: True where cloud or its shadow hides the ground.

    Source: as `through_air`; differs: what the air adds to the light of the ground is not known in
    a real picture, so its darkest thousandth stands for it, which a shadow does not darken.
    """
    cover, hidden, clear = clouds(Window(0, 0, *image.shape[1:]), day)
    clouded = np.empty_like(image)
    for at, band in enumerate(bands):
        known = image[at][np.isfinite(image[at])]
        path = np.float32(np.quantile(known, 0.001)) if known.size else np.float32(0)
        white = CLOUD_REFLECTANCE * ice(SENTINEL2[band].wavelength_um) / ice(0.5)
        clouded[at] = cloud_over(image[at], cover, clear, path, np.float32(white))
    return clouded, hidden
