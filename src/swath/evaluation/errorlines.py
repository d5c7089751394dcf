"""Where a map's lines and the true ones differ: found, missed and false lines, as vectors to look at."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
from numpy.typing import NDArray
from pydantic import Field

from swath.evaluation.lines import inside_mask, read_sides
from swath.evaluation.truth import Truth
from swath.grid import transform_bounds
from swath.groundsize import metres_per_unit
from swath.legend import LegendClass
from swath.maps.sitemaps import SiteMaps
from swath.metrics.linematch import Counted, Lines, Points, cut_lines, distances_m
from swath.validation import Written

NEAR_M = 10.0
"""How far apart two lines may be and still be the same road; the headline's tolerance."""

_DETAIL_M = 0.1


class Outcome(StrEnum):
    """What became of a line; the layers of a file of errors."""

    FOUND = "found"
    MISSED = "missed"
    FALSE = "false"


ErrorLines = Mapping[Outcome, gpd.GeoDataFrame]
"""Outcome -> lines in the CRS of the maps, with columns `class`, `split`, `length_m`."""


class MissedLine(Written):
    """The longest true line that a map lacks.

    Attributes:
        split: Of the ground.
        site: Its name.
        class_name: The class; `class` in JSON.
        length_m: How much of it is beyond 10 m of the map's lines, in one piece.
        lon: Its middle, in degrees.
        lat: The same.
    """

    split: str
    site: str
    class_name: str = Field(alias="class")
    length_m: float
    lon: float
    lat: float


def error_lines(maps: SiteMaps, truth: Truth, targets: Sequence[LegendClass]) -> ErrorLines:
    """The true lines that the map has (found) or lacks (missed), and the map's that are none (false).

    Only what lies on scored pixels; near is within `NEAR_M`. Empty where the truth has no vectors.

    Raises:
        InputError: The vectors of a map or of the truth cannot be read.
    """
    rows: dict[Outcome, list[gpd.GeoDataFrame]] = {outcome: [] for outcome in Outcome}
    for target in targets:
        sides = read_sides(maps, truth, target)
        if sides is None:
            continue
        scale = metres_per_unit(truth.grid)
        for split in truth.splits:
            scored = inside_mask(sides.labelled & truth.inside(split), truth.grid)
            parts = {
                Outcome.FOUND: (sides.true, sides.mapped, True),
                Outcome.MISSED: (sides.true, sides.mapped, False),
                Outcome.FALSE: (sides.mapped, sides.true, False),
            }
            for outcome, (lines, others, near) in parts.items():
                kept = shapely.simplify(cut_lines(lines, _counted(scored, others, near)), _DETAIL_M)
                columns = {"class": target.name, "split": split, "length_m": shapely.length(kept)}
                placed = shapely.transform(kept, lambda places, scale=scale: places / scale)
                rows[outcome].append(gpd.GeoDataFrame(columns, geometry=placed, crs=truth.grid.crs))
    return {
        outcome: gpd.GeoDataFrame(pd.concat(frames, ignore_index=True))
        for outcome, frames in rows.items()
        if frames
    }


def _counted(scored: Counted, others: Lines, near: bool) -> Counted:
    """Whether points are scored, and near other lines, or not near."""

    def counted(points: Points) -> NDArray[np.bool_]:
        close = distances_m(points, others, NEAR_M) <= NEAR_M
        result: NDArray[np.bool_] = scored(points) & (close == near)
        return result

    return counted


def longest_missed(site: str, errors: ErrorLines) -> list[MissedLine]:
    """The longest missed line of a site, one a split and class."""
    missed = errors.get(Outcome.MISSED)
    if missed is None or missed.empty:
        return []
    found = missed.loc[missed.groupby(["split", "class"], sort=False)["length_m"].idxmax()]
    rows = []
    for row, line in zip(found.itertuples(), found.geometry, strict=True):
        x, y = line.interpolate(0.5, normalized=True).coords[0]
        lon, lat, _, _ = transform_bounds((x, y, x, y), str(missed.crs), "EPSG:4326")
        named = {"split": row.split, "class": found.loc[row.Index, "class"], "length_m": row.length_m}
        rows.append(MissedLine(site=site, lon=round(lon, 5), lat=round(lat, 5), **named))
    return rows


def write_error_lines(path: Path, errors: ErrorLines) -> None:
    """Write a GeoPackage with the layers `found`, `missed` and `false`."""
    for outcome, frame in errors.items():
        pyogrio.write_dataframe(
            frame, path, layer=outcome.value, driver="GPKG", geometry_type="LineString", append=path.exists()
        )
