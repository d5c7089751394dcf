"""The labels of a site on its grid, whatever they come from: features, or a class raster."""

from dataclasses import dataclass
from pathlib import Path

import geopandas
import numpy as np
from numpy.typing import NDArray

from swath.grid import Grid
from swath.labels.burn import Widening, burn, margin_px
from swath.labels.coded import Coding
from swath.labels.source import LabelSettings, read_labels_source
from swath.legend import IGNORE, Legend
from swath.scenes.codes import NO_CODE, RASTER_SUFFIXES, read_codes


@dataclass(frozen=True, slots=True)
class SiteLabels:
    """Labels on a grid.

    Attributes:
        classes: (H, W) uint8 class ids; 255 where the source says nothing.
        features: What was burnt, see `swath.labels.source.Labelled`; None for a class raster.
        origin: What is known of the source: `source`, `date`, `attribution`, each only where known.
    """

    classes: NDArray[np.uint8]
    features: geopandas.GeoDataFrame | None
    origin: dict[str, str]


def is_class_raster(settings: LabelSettings) -> bool:
    """Whether labels come from a raster file."""
    return settings.path is not None and settings.path.lower().endswith(RASTER_SUFFIXES)


def read_labels(
    settings: LabelSettings,
    legend: Legend,
    grid: Grid,
    widening: Widening,
    folder: Path,
    shift_m: tuple[float, float] = (0.0, 0.0),
    *,
    complete: bool = False,
) -> SiteLabels:
    """Read and burn the labels of a legend on a grid.

    Args:
        settings: Where they come from.
        legend: The classes.
        grid: Where they are wanted.
        widening: How burnt lines are widened.
        folder: Where relative paths start.
        shift_m: (east, north) by which what the source says is moved.
        complete: Whether a place without any feature of the legend is known to have none.

    Raises:
        InputError, SettingsError, RemoteError, MissingExtraError: As `read_labels_source`.
    """
    east, north = shift_m
    before = grid.moved(-east, -north)  # where the labels lie before they are moved
    if settings.path is not None and is_class_raster(settings):
        coding, path = settings.coding(folder) or Coding(), folder / settings.path
        origin = {"source": path.name, "attribution": coding.attribution}
        values = read_codes(path, before)
        present, where = np.unique(values, return_inverse=True)
        named = present != NO_CODE
        ids = np.full(len(present), IGNORE, np.uint8)
        ids[named] = coding.codes(legend).of_values(present[named], path)
        return SiteLabels(ids[where].reshape(grid.shape), None, {k: v for k, v in origin.items() if v})
    margin = margin_px(legend, grid, widening)
    source = read_labels_source(settings, legend, before, folder, margin, complete=complete)
    features = source.features
    if shift_m != (0.0, 0.0):
        features = features.set_geometry(features.geometry.translate(east, north))
        features.attrs = source.features.attrs
    classes = burn(features, legend, grid, widening)
    if source.complete is not None:
        classes[~source.complete] = IGNORE
    origin = {key: str(value) for key, value in features.attrs.items()}
    if source.attribution:
        origin["attribution"] = source.attribution
    return SiteLabels(classes, features, origin)
