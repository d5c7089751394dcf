"""Landscapes: what is taken for roads and is none, laid over a place or over no place at all."""

from collections.abc import Callable
from dataclasses import replace

import geopandas
import numpy as np
import pandas as pd
import shapely
from affine import Affine
from rasterio.features import shapes
from shapely.geometry import shape

from swath.errors import SettingsError
from swath.grid import Grid
from swath.simulate import openland, waterland, workland
from swath.simulate.houses import Density
from swath.simulate.layout import PIXEL_M, Layout, area_table
from swath.simulate.scenery import Canvas, scenery_table

LANDSCAPES: dict[str, Callable[[Canvas], None]] = {
    build.__name__: build
    for build in (
        waterland.tidal,
        waterland.lagoon,
        waterland.mangrove,
        waterland.braided,
        waterland.river,
        waterland.harbour,
        waterland.saltpans,
        waterland.reservoir,
        waterland.sea,
        workland.airfield,
        workland.railway,
        workland.quarry,
        workland.golf,
        workland.greenhouses,
        workland.motorway,
        openland.fields,
        openland.polder,
        openland.terraces,
        openland.woods,
        openland.canopy,
        openland.desert,
        openland.mountain,
        openland.lane,
    )
}
"""Name -> what lays it out on a canvas."""

_BRIDGED = ("motorway", "motorway_link", "trunk", "primary", "secondary", "rail")
"""Roads that cross rivers, canals, railways and motorways."""


_TOWN_KM_PER_KM2 = 4.0
"""Road density from which on open country has become a town."""


def open_sea(size_px: int, latitude_deg: float = 45.0) -> Grid:
    """A square in the open Atlantic, so that nobody takes what is simulated on it for a real place."""
    zone = "EPSG:32627" if latitude_deg >= 0 else "EPSG:32727"
    bottom = round(110_600 * latitude_deg + (0 if latitude_deg >= 0 else 10_000_000), -1)
    transform = Affine(PIXEL_M, 0, 500_000, 0, -PIXEL_M, bottom + size_px * PIXEL_M)
    return Grid(zone, transform, (size_px, size_px))


def empty_layout(grid: Grid, seed: int) -> Layout:
    """Open country without a road or a house."""
    columns = ["kind", "width_m", "paved", "highway", "geometry"]
    lines = geopandas.GeoDataFrame(columns=columns, geometry="geometry", crs=grid.crs)
    lines = lines.astype({"width_m": float, "paved": bool})
    return Layout(grid, area_table([], np.array([], object), np.zeros(0), grid.crs), lines, seed)


def add_landscapes(layout: Layout, names: tuple[str, ...], dates: int) -> Layout:
    """Lay landscapes over a layout, later ones over earlier ones.

    Roads of the place are cut where the landscape leaves no room for them; main ones cross rivers.

    Args:
        layout: Its seed decides how they look.
        names: Of `LANDSCAPES`; one twice is laid out twice, differently.
        dates: How many images there will be: tides, ships and snow differ between them.

    Raises:
        SettingsError: A name that is none.
    """
    left, bottom, right, top = layout.grid.bounds
    lines = [layout.lines]
    open_country = None if layout.lines.empty else _open_country(layout)
    corner = np.array([left, bottom])
    patches: list[dict[str, object]] = []
    for number, name in enumerate(names):
        if name not in LANDSCAPES:
            raise SettingsError(f"no landscape {name!r}; there are {', '.join(LANDSCAPES)}")
        rng = np.random.default_rng((layout.seed, 707, number))
        canvas = Canvas(rng, right - left, top - bottom, dates)
        LANDSCAPES[name](canvas)
        if open_country is not None and LANDSCAPES[name].__module__ == openland.__name__:
            canvas.clip(open_country)
        for kept, parts in ((False, canvas.cleared), (True, canvas.crossed)):
            gone = shapely.transform(shapely.union_all(parts), lambda xy: xy + corner)
            lines = [_cut(table, gone, kept) for table in lines]
        own = geopandas.GeoDataFrame(
            canvas.lines, columns=layout.lines.columns, geometry="geometry", crs=layout.grid.crs
        )
        own["geometry"] = own.translate(left, bottom)
        lines.append(own)
        patches += canvas.patches
    scenery = scenery_table(patches, layout.grid.crs)
    scenery["geometry"] = scenery.translate(left, bottom)
    if layout.scenery is not None and len(layout.scenery):
        scenery = pd.concat([layout.scenery, scenery], ignore_index=True)
    near = scenery.intersects(shapely.box(left, bottom, right, top).buffer(200))
    tables = [table for table in lines if len(table)]
    joined = pd.concat(tables, ignore_index=True) if tables else layout.lines[:0]
    return replace(
        layout,
        lines=geopandas.GeoDataFrame(joined, crs=layout.grid.crs),
        scenery=scenery[near].reset_index(drop=True),
    )


def _open_country(layout: Layout) -> shapely.Geometry:
    """Where few roads are, in metres from the grid's south-west corner: fields and woods end at the town."""
    left, bottom, right, top = layout.grid.bounds
    x, y = np.arange(left - 220, right + 220, 40), np.arange(bottom - 220, top + 220, 40)
    few = Density(layout).at(*np.meshgrid(x, y)) < _TOWN_KM_PER_KM2
    transform = Affine(40, 0, -240, 0, 40, -240)
    cells = [shape(ring) for ring, _ in shapes(few.astype(np.uint8), few, transform=transform)]
    return shapely.union_all(cells).buffer(60).buffer(-60)


def _cut(table: geopandas.GeoDataFrame, gone: shapely.Geometry, bridged: bool) -> geopandas.GeoDataFrame:
    """Lines without what lies in a shape; with `bridged` main roads and railways stay whole."""
    hit = table.intersects(gone).to_numpy()
    if bridged:
        hit = hit & ~(table["highway"].isin(_BRIDGED) | (table["kind"] == "railway")).to_numpy()
    if not hit.any():
        return table
    cut = table.copy()
    cut.loc[hit, "geometry"] = shapely.difference(table.geometry.values[hit], gone)
    cut = cut[~cut.is_empty].explode(index_parts=False)
    return cut.reset_index(drop=True)
