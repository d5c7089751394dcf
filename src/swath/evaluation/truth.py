"""The truth that maps are scored against: labels, centre lines, and which pixels count."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray

from swath.dataset.site import Acquisition, Dataset, Site
from swath.errors import GridError, InputError
from swath.grid import Grid, Window
from swath.labels.burn import Widening, burn_mask
from swath.labels.features import read_features
from swath.labels.source import LabelSettings
from swath.legend import IGNORE, Legend, LegendClass
from swath.maps.sitemaps import SiteMaps, read_grid
from swath.metrics.tolerance import centre_line
from swath.scenes.raster import open_raster, read_raster
from swath.sites.labels import is_class_raster, read_labels

_MARGIN_PX = 100
WHOLE = "all"
"""The split of a label file that belongs to no dataset."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known of one mapped site.

    Attributes:
        site: Its name.
        grid: Of labels and maps.
        legend: Classes of the labels.
        labels: GeoTIFF of class ids on the grid, 255 = ignore; or, of a file of other labels, what
            was made of it.
        roads: The vector features that made the labels, where kept.
        splits: Split -> the rectangles that are scored under it, in pixels of `grid`.
        acquisitions: Its images, oldest first; none for a label file alone.
        bands: Names of the images' bands.
        note: A remark for the report, or empty.
        finer: Its pixels to the side of one of the image.
    """

    site: str
    grid: Grid
    legend: Legend
    labels: Path | NDArray[np.uint8]
    roads: Path | None
    splits: Mapping[str, tuple[Window, ...]]
    acquisitions: tuple[Acquisition, ...] = ()
    bands: tuple[str, ...] = ()
    note: str = ""
    finer: int = 1

    def read_labels(self) -> NDArray[np.uint8]:
        """(H, W) uint8 class ids; 255 = ignore.

        Raises:
            InputError: Unreadable, or a value that is no class.
        """
        if not isinstance(self.labels, Path):
            return self.labels
        labels: NDArray[np.uint8] = read_raster(self.labels)[0]
        known = len(self.legend.classes)
        # One value a pixel, 256 possible ones: a count is cheaper than a sort.
        values = np.flatnonzero(np.bincount(labels.ravel(), minlength=256))
        strange = [int(value) for value in values if value >= known and value != IGNORE]
        if strange:
            raise InputError(
                f"{self.labels}: label {strange[0]} is no class of the legend "
                f"{self.legend.name!r} (0..{known - 1}, or {IGNORE} = ignore)"
            )
        return labels

    def inside(self, split: str) -> NDArray[np.bool_]:
        """(H, W) bool, True in the rectangles of a split."""
        mask = np.zeros(self.grid.shape, bool)
        for window in self.splits[split]:
            mask[window.intersect(self.grid.window).slices] = True
        return mask

    def features(self, target: LegendClass) -> gpd.GeoSeries | None:
        """The vector features of a class on the grid and a margin around it, where they were kept."""
        if self.roads is None:
            return None
        # The margin: a file whose features all lie beside the grid is no error here.
        features = read_features(self.roads, self.legend, self.grid, _MARGIN_PX)
        return features.geometry[features["class_id"] == target.id]

    def centre_lines(self, target: LegendClass, labels: NDArray[np.uint8]) -> NDArray[np.bool_] | None:
        """(H, W) the true centre lines of a class, one pixel wide; None for a class of areas.

        They are the features that made the labels, burnt as lines; where those were not kept, the
        skeleton of the labels (of `read_labels`).
        """
        if target.geometry != "line":
            return None
        here = labels == target.id
        shapes = self.features(target)
        if shapes is None:
            return centre_line(here)
        # Under a class that stands later in the legend the line is not to be seen.
        seen: NDArray[np.bool_] = here | (labels == IGNORE)
        return burn_mask(shapes, self.grid) & seen


def truths_of_dataset(maps: Sequence[SiteMaps], dataset: Dataset) -> tuple[Truth, ...]:
    """The truth of every mapped site, from a dataset that has the sites by the same names.

    Raises:
        DatasetError: A mapped site is not in the dataset.
        GridError: A map is not on its site's grid.
        InputError: The legends differ.
    """
    truths = []
    for site_maps in maps:
        site = dataset.site(site_maps.site)
        if site_maps.legend.names != dataset.legend.names:
            raise InputError(
                f"{site_maps.folder} maps {', '.join(site_maps.legend.names)}, the dataset labels "
                f"{', '.join(dataset.legend.names)}; both must have the same classes"
            )
        mapped = read_grid(site_maps.fused_path)
        if not _same(mapped, site.map_grid):
            raise GridError(
                f"{site_maps.folder} lies on {_describe(mapped)}, the labels of {dataset.root} on "
                f"{_describe(site.map_grid)}; map the dataset itself, then its maps lie on its grids; "
                f"its labels have {site.finer} x {site.finer} pixels to one of the image, the maps "
                f"{site_maps.finer} x {site_maps.finer}"
            )
        truths.append(truth_of_site(site, dataset, site_maps.splits, str(site_maps.folder)))
    return tuple(truths)


def truth_of_site(site: Site, dataset: Dataset, run_splits: Mapping[str, Sequence[str]], whose: str) -> Truth:
    """The truth of a site of a dataset.

    Args:
        site: Of `dataset`.
        dataset: Gives legend and bands.
        run_splits: Split -> names of the sites that the model's run had in it.
        whose: What was made with that run, for the message.

    Raises:
        InputError: The run split the site's inside in another way.
    """
    splits, note = _splits(site, run_splits, whose)
    inside = {
        split: tuple(window.finer(site.finer) for window in windows) for split, windows in splits.items()
    }
    return Truth(
        site.name,
        site.map_grid,
        dataset.legend,
        site.labels,
        site.roads,
        inside,
        site.acquisitions,
        dataset.image.bands,
        note,
        site.finer,
    )


def _splits(
    site: Site, run_splits: Mapping[str, Sequence[str]], whose: str
) -> tuple[dict[str, tuple[Window, ...]], str]:
    """The scored rectangles of a site by split, as the model's own run had them.

    A run may have been trained on another split than the dataset's (one site left out at a time,
    say). Then the run's is the true one: nothing the network was trained on may pass as a test.
    """
    by_dataset = {split: site.windows(split) for split in site.splits}
    by_run = [split for split, names in run_splits.items() if site.name in names]
    if not by_run or set(by_run) == set(by_dataset):
        return {str(split): windows for split, windows in by_dataset.items()}, ""
    if len(by_run) > 1:
        raise InputError(
            f"{whose}: the model's run split {site.name} into {', '.join(by_run)}, the "
            f"dataset into {', '.join(by_dataset)}; evaluate against the dataset it was trained on"
        )
    note = (
        f"{site.name} counts as {by_run[0]}: the model's run had it there, "
        f"not in {' and '.join(by_dataset)} as the dataset does."
    )
    return {by_run[0]: (site.grid.window,)}, note


def truth_of_file(maps: Sequence[SiteMaps], settings: LabelSettings) -> tuple[SiteMaps, Truth]:
    """The truth of a label file, and the one site of the maps that it belongs to.

    Class ids on a map's own grid are taken as they are; all other labels (features with tags,
    polygons or points with codes, class rasters) are brought onto the map, as `swath build` does.

    Raises:
        InputError: The file is unreadable, or says nothing of the legend's classes there.
        SettingsError: A crosswalk that is unknown, or of another legend.
        GridError: No mapped site lies on its grid, or several do.
    """
    path = Path(settings.path or "")
    if settings.crosswalk is None and is_class_raster(settings):
        return _truth_of_ids(maps, path)
    if len(maps) != 1:
        raise GridError(
            f"{path}: labels that are no raster on a map's grid belong to one site; the maps are of "
            f"{', '.join(m.site for m in maps)}"
        )
    (site,) = maps
    grid = read_grid(site.classes_path)
    labels = read_labels(settings, site.legend, grid, Widening(), Path()).classes
    splits = {WHOLE: (grid.window,)}
    return site, Truth(site.site, grid, site.legend, labels, None, splits, finer=site.finer)


def _truth_of_ids(maps: Sequence[SiteMaps], labels: Path) -> tuple[SiteMaps, Truth]:
    with open_raster(labels) as source:
        if source.count != 1 or source.dtypes[0] != "uint8":
            raise InputError(
                f"{labels}: expected one band of uint8 class ids, got {source.count} of {source.dtypes[0]}"
            )
    grid = read_grid(labels)
    matching = [m for m in maps if _same(read_grid(m.fused_path), grid)]
    if len(matching) != 1:
        names = ", ".join(m.site for m in (matching or maps))
        number = "several mapped sites lie" if matching else "no mapped site lies"
        raise GridError(
            f"{labels}: {number} on its grid ({_describe(grid)}); sites: {names}; "
            "evaluate against a dataset, or name a crosswalk, then the labels are brought onto the map"
        )
    site = matching[0]
    splits = {WHOLE: (grid.window,)}
    return site, Truth(site.site, grid, site.legend, labels, None, splits, finer=site.finer)


def _same(mapped: Grid, labelled: Grid) -> bool:
    tolerance = 1e-6 * min(*mapped.resolution, *labelled.resolution)
    return (
        mapped.shape == labelled.shape
        and mapped.crs == labelled.crs
        and mapped.transform.almost_equals(labelled.transform, tolerance)
    )


def _describe(grid: Grid) -> str:
    left, _, _, top = grid.bounds
    crs = grid.crs if len(grid.crs) < 20 else "a CRS without a code"
    return f"{grid.size_text} from ({left:g}, {top:g}) in {crs}"
