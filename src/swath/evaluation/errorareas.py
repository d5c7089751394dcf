"""Where a map of many classes and its labels differ: areas to look at."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
from rasterio import features
from shapely.geometry import shape

from swath.evaluation.truth import Truth
from swath.legend import IGNORE
from swath.maps.landcover import pixel_ha
from swath.maps.sitemaps import PMAP_NODATA, SiteMaps, read_bytes

LAYER = "wrong"
"""The layer of a file of errors that holds them."""

LEAST_PX = 4
"""Smaller areas are left out: they are seams of labels, and too many to look at."""

MOST_AREAS = 3_000
"""The largest of a split that are kept."""


def error_areas(maps: SiteMaps, truth: Truth) -> gpd.GeoDataFrame:
    """Areas in which one class of the labels is mapped as one other class, the largest first.

    Columns: `class`, that of the labels; `mapped_as`; `split`; `area_ha`. Pixels that touch by a side
    are one area; those under `LEAST_PX` are left out, and all but the largest `MOST_AREAS` a split.

    Raises:
        InputError: A map or the labels cannot be read.
    """
    labels, mapped = truth.read_labels(), read_bytes(maps.classes_path)[0]
    names, grid = truth.legend.names, truth.grid
    wrong = (labels != mapped) & (labels != IGNORE) & (mapped != PMAP_NODATA)
    pairs = np.where(wrong, labels.astype(np.int16) * len(names) + mapped + 1, 0).astype(np.int16)
    frames = []
    for split in truth.splits:
        inside = np.where(truth.inside(split), pairs, 0)
        large = features.sieve(inside, LEAST_PX) == inside  # others have become their neighbours
        found = list(features.shapes(inside, mask=large & (inside > 0), transform=grid.transform))
        pair = np.array([value for _, value in found], np.int64) - 1
        frame = gpd.GeoDataFrame(
            {
                "class": np.array(names, object)[pair // len(names)],
                "mapped_as": np.array(names, object)[pair % len(names)],
                "split": split,
            },
            geometry=[shape(outline) for outline, _ in found],
            crs=grid.crs,
        )
        frame["area_ha"] = frame.area / np.prod(grid.resolution) * pixel_ha(grid)
        frames.append(frame.nlargest(MOST_AREAS, "area_ha"))
    return gpd.GeoDataFrame(pd.concat(frames, ignore_index=True))


def write_error_areas(path: Path, areas: gpd.GeoDataFrame) -> None:
    """Write them as a layer of a GeoPackage, beside those that are there."""
    pyogrio.write_dataframe(
        areas, path, layer=LAYER, driver="GPKG", geometry_type="Polygon", append=path.exists()
    )
