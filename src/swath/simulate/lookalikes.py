"""What an OpenStreetMap file holds that is taken for a road and is none, as scenery."""

from importlib.resources import files
from pathlib import Path

import geopandas
import numpy as np
import shapely

from swath.errors import InputError
from swath.grid import Grid
from swath.labels.features import choose_features, lonlat_box, read_near
from swath.labels.width import line_widths_m
from swath.legend import Legend
from swath.simulate.openstreetmap import MARGIN_PX
from swath.simulate.scenery import ALWAYS, PATCHES_M, scenery_table
from swath.validation import parse_yaml

LOOKALIKES = parse_yaml(
    (files("swath.simulate") / "lookalikes.yaml").read_text("utf-8"), Legend, "lookalikes.yaml"
)
"""Which OSM tags make which kind."""

_PAINT: dict[str, tuple[str, str, float, float]] = {
    "sea": ("water", "shallows", 0.1, 0),
    "tidalflat": ("mud", "mudflat", 0.35, 0),
    "mangrove": ("mangrove", "mud", 0.05, 7),
    "saltmarsh": ("saltmarsh", "mud", 0.15, 0),
    "saltpan": ("brine", "salt", 0.3, 0),
    "beach": ("sand", "shingle", 0.2, 0),
    "glacier": ("firn", "rock", 0.1, 0),
    "fairway": ("fairway", "fairway", 0, 0),
    "bunker": ("sand", "sand", 0, 0),
    "greenhouses": ("plastic", "soil", 0.3, 4),
    "breakwater": ("rock", "concrete", 0.2, 3),
    "pier": ("concrete", "paving", 0.3, 2),
    "cutline": ("meadow", "scrub", 0.3, 0.5),
    "hedge": ("leafy", "scrub", 0.3, 6),
    "dam": ("concrete", "rock", 0.2, 4),
    "taxiway": ("asphalt", "asphalt", 0, 0),
    "runway": ("runway", "runway", 0, 0),
}
"""Kind -> material, another in it, the other's share, height in m."""


def read_lookalikes(path: Path, grid: Grid) -> geopandas.GeoDataFrame:
    """Read the scenery of a place, as `Layout.scenery` has it; empty where the file has none.

    Args:
        path: A file that `read_layout` has read.
        grid: Of the place.
    """
    try:
        source = read_near(path, LOOKALIKES, lonlat_box(grid, MARGIN_PX))
        features = choose_features(source, LOOKALIKES, grid, MARGIN_PX)
    except InputError:  # the roads of this file were read before: it only has nothing of this
        return scenery_table([], grid.crs)
    patches = []
    for kind in LOOKALIKES.tagged:
        rows = features[features["class_id"] == kind.id]
        shapes = rows.geometry.values
        if kind.width is not None:
            shapes = shapely.buffer(shapes, line_widths_m(rows, kind.width) / 2, cap_style="flat")
        material, mixed, share, height_m = _PAINT[kind.name]
        row = {"material": material, "mixed": mixed, "share": share, "height_m": height_m}
        row |= {"patch_m": PATCHES_M[1], "since": 0, "until": ALWAYS}
        patches += [row | {"geometry": shape} for shape in np.asarray(shapes, object)]
    return scenery_table(patches, grid.crs)
