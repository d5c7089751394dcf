"""A real place as a layout: areas and lines of an OpenStreetMap file."""

from pathlib import Path

import geopandas
import numpy as np
import shapely

from swath.errors import InputError, SettingsError
from swath.grid import LONLAT, Bounds, Grid, transform_bounds
from swath.labels.features import choose_features, lonlat_box, read_near
from swath.labels.osm import FeatureSource
from swath.labels.width import line_widths_m
from swath.simulate.layout import GROUND, PIXEL_M, Layout, area_table

MARGIN_PX = 15
"""How far outside the grid things are kept: as far as their shadows may reach in."""

LARGEST_PX = 1024
"""Side of the square that is taken where the user gives no bounds."""

_CELLS = 4000
"""Most cells to a side in which the metres of road are counted."""

GREATEST_PX = 10_980
"""Side of the largest square that is simulated: a tile of Sentinel-2."""

_STOREY_M = 3.0
_UNPAVED = frozenset(
    ("unpaved", "gravel", "fine_gravel", "dirt", "ground", "earth", "compacted", "sand", "grass")
)


def read_layout(path: Path, bounds: Bounds | None, seed: int) -> Layout:
    """Read a place from an OpenStreetMap file.

    Args:
        path: As labels are read (`swath.labels.features`); files with roads only will do.
        bounds: In degrees; None: a square of at most `LARGEST_PX` px where roads lie closest.
        seed: Of all that the file does not say.

    Raises:
        InputError: The file cannot be read, or has no road in the bounds.
        GridError: Impossible bounds.
        SettingsError: Bounds larger than a tile of Sentinel-2.
        MissingExtraError: An OpenStreetMap extract without the package osmium.
    """
    if bounds is None:
        source = read_near(path, GROUND, None)
        grid = Grid.from_lonlat(_densest(source), None, PIXEL_M)
    else:
        grid = Grid.from_lonlat(bounds, None, PIXEL_M)
        if max(grid.shape) > GREATEST_PX:
            raise SettingsError(
                f"the bounds are {grid.size_text}; at most {GREATEST_PX} px of 10 m "
                "a side are simulated at once, choose a smaller box"
            )
        source = read_near(path, GROUND, lonlat_box(grid, MARGIN_PX))
    return layout_of(choose_features(source, GROUND, grid, MARGIN_PX), grid, seed)


def layout_of(features: geopandas.GeoDataFrame, grid: Grid, seed: int) -> Layout:
    """Sort features, chosen by `GROUND`, into areas with heights and lines with widths."""
    names = np.array(GROUND.names)[features["class_id"].to_numpy()]
    is_area = shapely.get_dimensions(features.geometry.values) == 2
    areas, lines = features[is_area], features[~is_area].copy()
    height = np.where(names[is_area] == "building", 2 * _STOREY_M, 0.0)
    lines["kind"] = names[~is_area]
    lines["width_m"] = 0.0
    for c in GROUND.tagged:
        if c.width is not None:
            chosen = lines["kind"] == c.name
            lines.loc[chosen, "width_m"] = line_widths_m(lines[chosen], c.width)
    lines["paved"] = ~lines["surface"].isin(_UNPAVED) & (lines["kind"] != "track")
    lines = lines[["kind", "width_m", "paved", "highway", "geometry"]]
    return Layout(
        grid=grid,
        areas=area_table(list(names[is_area]), areas.geometry.values, height, grid.crs),
        lines=_unique(lines),
        seed=seed,
    )


def _unique(lines: geopandas.GeoDataFrame) -> geopandas.GeoDataFrame:
    """Lines without repetitions: some extracts have one line for each direction of travel."""
    keys = shapely.to_wkb(shapely.normalize(lines.geometry.values))
    _, first = np.unique(keys, return_index=True)
    return lines.iloc[np.sort(first)].reset_index(drop=True)


def _densest(source: FeatureSource) -> Bounds:
    """The square in which most metres of road lie, in degrees."""
    frame = source.features
    roads = frame[frame["highway"].notna()] if "highway" in frame else frame[:0]
    if roads.empty:
        raise InputError(f"{source.origin}: no feature with the tag highway; nothing to simulate")
    try:
        crs = roads.crs if roads.crs.is_projected else roads.estimate_utm_crs()
    except RuntimeError:
        raise InputError(f"{source.origin}: roads where no zone of UTM is, as at the poles") from None
    metric = roads.geometry.to_crs(crs)
    metric = metric[metric.length > 0]
    if metric.empty:
        raise InputError(
            f"{source.origin}: no feature with the tag highway has a length; nothing to simulate"
        )
    extent = metric.total_bounds
    if source.extent is not None:
        extent = np.array(transform_bounds(source.extent, LONLAT, crs.to_wkt()))
    # A country is counted in coarser cells, so that memory does not grow with it.
    fine = 8 * PIXEL_M
    step = max(fine, float((extent[2:] - extent[:2]).max()) / _CELLS)
    if not step < LARGEST_PX * PIXEL_M:
        raise InputError(f"{source.origin}: roads lie further apart than can be; give bounds")
    # Less than a fine cell at the end may be left out, not of a coarse one.
    shape = np.maximum(1, ((extent[2:] - extent[:2]) // step).astype(int) + (step > fine))[::-1]
    points = shapely.get_coordinates(shapely.segmentize(metric.values, step))
    count, _, _ = np.histogram2d(
        points[:, 1],
        points[:, 0],
        bins=tuple(shape),
        range=((extent[1], extent[1] + shape[0] * step), (extent[0], extent[0] + shape[1] * step)),
    )
    side = np.minimum(shape, int(LARGEST_PX * PIXEL_M / step))
    total = np.pad(count, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    rows = total[side[0] :] - total[: -side[0]]
    inside = rows[:, side[1] :] - rows[:, : -side[1]]
    row, col = np.unravel_index(inside.argmax(), inside.shape)
    left, bottom = extent[0] + col * step, extent[1] + row * step
    box = (left, bottom, left + side[1] * step, bottom + side[0] * step)
    return transform_bounds(box, crs.to_wkt(), LONLAT)
