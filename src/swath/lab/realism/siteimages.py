"""The images of the places that are compared, in reflectance, with their road lines."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from swath.grid import Grid
from swath.labels.burn import burn_mask
from swath.labels.features import read_polygons
from swath.labels.source import read_labels_source
from swath.legend import read_legend
from swath.progress import track
from swath.sites.schema import SiteSettings, read_sites_file
from swath.sites.series import plan_series, read_series

BANDS = ("B02", "B03", "B04", "B08")


@dataclass(frozen=True, slots=True, eq=False)
class SiteImages:
    """The images of one site, in reflectance.

    Attributes:
        name: Of the site.
        images: (T, 4, H, W) float32 reflectance of `BANDS`, oldest first.
        valid: (T, H, W) bool.
        roads: (H, W) bool pixels of road lines; None without labels.
        complete: (H, W) bool where the lines are complete.
    """

    name: str
    images: NDArray[np.float32]
    valid: NDArray[np.bool_]
    roads: NDArray[np.bool_] | None
    complete: NDArray[np.bool_]


def read_places(sites_file: Path, what: str) -> list[SiteImages]:
    """Read the images of all sites of a sites file; sites need no labels.

    Args:
        sites_file: As `swath build` takes it.
        what: For the progress bar.

    Raises:
        SettingsError: The file breaks the format.
        InputError: An image or a label file cannot be read.
    """
    settings, folder = read_sites_file(sites_file), sites_file.parent
    planned = [plan_series(name, settings, folder, BANDS) for name in settings.sites]
    places = []
    for series in track(planned, f"reading {what} images"):
        images, valid = read_series(series, BANDS)
        roads, complete = _read_roads(settings.sites[series.name], series.grid, folder)
        places.append(SiteImages(series.name, images, valid, roads, complete))
    return places


def _read_roads(
    site: SiteSettings, grid: Grid, folder: Path
) -> tuple[NDArray[np.bool_] | None, NDArray[np.bool_]]:
    """(H, W) pixels of road lines, None without labels; (H, W) where the lines are complete."""
    everywhere = np.ones(grid.shape, np.bool_)
    if site.labels is None:
        return None, everywhere
    source = read_labels_source(site.labels, read_legend("roads"), grid, folder)
    complete = everywhere if source.complete is None else source.complete
    if site.coverage is not None:
        complete = complete & burn_mask(read_polygons(folder / site.coverage, grid), grid)
    return burn_mask(source.features.geometry, grid), complete
