"""The roads of a map beside OpenStreetMap's: both, the map alone, OpenStreetMap alone."""

from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

from swath.conflation.candidates import confidence, false_friends, joined_ends
from swath.conflation.profile import measure_lines, probability_along, scores_at
from swath.errors import DatasetError
from swath.grid import Grid
from swath.groundsize import metres_per_unit
from swath.labels.source import LabelSettings, read_labels_source
from swath.legend import Legend, read_legend
from swath.maps.sitemaps import SiteMaps
from swath.metrics.linematch import Lines, sample_lines
from swath.metrics.linepieces import LEAST_M, split_by_nearness, split_where

SURROUNDINGS = "surroundings"
"""The shipped legend of what is read of OpenStreetMap."""

MARGIN_PX = 10


@dataclass(frozen=True, slots=True)
class Conflation:
    """A map's roads beside OpenStreetMap's, in the CRS of the map.

    Attributes:
        both: OpenStreetMap's roads that the map sees: `confidence`, the mean of the PMap along them.
        map_only: Candidates, the best first: lines of the map by which OpenStreetMap has no way of any
            kind. `rank` from 1; `confidence`, see `swath.conflation.candidates`; `false_friend`, what
            they may be instead, or empty; `joined`, how many ends lie by a way; `p_line`, the mean of the
            whole mapped line; and the columns of the map's roads, measured along the piece (not `width_m`).
        osm_only: OpenStreetMap's roads that the map does not see: `confidence`, 1 minus the mean of
            the PMap.
        only_roads: Whether OpenStreetMap's part holds no more than roads, so that no candidate could be told
            to be something else.
        source: Where OpenStreetMap's part comes from.
        attribution: Of both.
    """

    both: gpd.GeoDataFrame
    map_only: gpd.GeoDataFrame
    osm_only: gpd.GeoDataFrame
    only_roads: bool
    source: str
    attribution: str


def conflate_site(maps: SiteMaps, osm: LabelSettings) -> Conflation:
    """Lay the roads of a site's map beside those of OpenStreetMap.

    Args:
        maps: The site's maps; the legend has a class of lines.
        osm: Any source of labels that `swath build` reads; paths start at the working directory.

    Raises:
        InputError: A file cannot be read, or has nothing there.
        SettingsError, RemoteError, MissingExtraError: As of `read_labels_source`.
    """
    grid = maps.grid
    source = read_labels_source(osm, read_legend(SURROUNDINGS), grid, Path(), MARGIN_PX)
    told = "; ".join(dict.fromkeys(text for text in (maps.attribution, source.attribution) if text))
    return conflate(maps, source.features, str(source.features.attrs.get("source", "")), told)


def conflate(maps: SiteMaps, features: gpd.GeoDataFrame, source: str, attribution: str) -> Conflation:
    """Lay the roads of a map beside features that have `class_id` of the legend `surroundings`."""
    grid, legend = maps.grid, read_legend(SURROUNDINGS)
    roads = maps.roads()
    if "p_mean" not in roads:
        raise DatasetError(f"{maps.parquet_path}: expected a column p_mean; map the site again")
    mapped = _metres(roads, grid)
    ways = features[features["class_id"] == 1]
    drawn = _single(_metres(ways, grid))
    pieces, owner, near = split_by_nearness(mapped, drawn)
    alone = ~near & (shapely.length(pieces) >= LEAST_M)
    table = roads.drop(columns="geometry").iloc[owner[alone]].reset_index(drop=True)
    candidates = gpd.GeoDataFrame(table, geometry=pieces[alone], crs=grid.crs)
    candidates["length_m"] = shapely.length(pieces[alone])
    candidates["p_line"] = candidates["p_mean"]
    for column, values in measure_lines(maps, pieces[alone], grid).items():
        candidates[column] = values.astype(np.float32 if column.startswith("p_") else np.int32)
    candidates["joined"] = joined_ends(pieces[alone], drawn)
    candidates["false_friend"] = false_friends(pieces[alone], features, legend, metres_per_unit(grid))
    candidates["confidence"] = confidence(candidates)
    order = np.argsort(-candidates["confidence"].to_numpy(), kind="stable")
    candidates = candidates.iloc[order].reset_index(drop=True)
    candidates.insert(0, "rank", np.arange(1, len(candidates) + 1))
    both, osm_only = _seen(maps, ways, mapped, grid)
    both, candidates, osm_only = (_placed(frame, grid) for frame in (both, candidates, osm_only))
    only_roads = len(ways) == len(features)
    return Conflation(both, candidates, osm_only, only_roads, source, attribution)


def _seen(
    maps: SiteMaps, ways: gpd.GeoDataFrame, mapped: Lines, grid: Grid
) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]:
    """OpenStreetMap's roads of the map's own legend, by whether the map has them."""
    wanted = _in_legend(ways, maps.legend)
    parts = _metres(wanted, grid)
    lines = _single(parts)
    number = np.repeat(np.arange(len(parts)), shapely.get_num_geometries(parts))
    lines, whole = _within_data(maps, lines, grid)
    number = number[whole]
    pieces, owner, near = split_by_nearness(lines, mapped)
    p_mean = probability_along(maps, pieces, grid)
    keys = [
        key for key in wanted.columns if key not in ("geometry", "class_id") and wanted[key].notna().any()
    ]
    frame = gpd.GeoDataFrame(
        wanted[keys].iloc[number[owner]].reset_index(drop=True), geometry=pieces, crs=grid.crs
    )
    frame["length_m"] = shapely.length(pieces)
    frame["confidence"] = np.where(near, p_mean, 1 - p_mean)
    known = np.isfinite(p_mean)
    return frame[near & known], frame[~near & known]


def _in_legend(ways: gpd.GeoDataFrame, legend: Legend) -> gpd.GeoDataFrame:
    keys = [key for key in ways.columns if key not in ("geometry", "class_id")]
    rows = ways[keys].to_dict("records")
    wanted = np.array([any(c.matches(row) for c in legend.lines) for row in rows], bool)
    return ways.loc[wanted]


def _within_data(maps: SiteMaps, lines: Lines, grid: Grid) -> tuple[Lines, NDArray[np.int64]]:
    """What of lines lies where the map has data, and the line that each piece is of."""
    if not len(lines):
        return lines, np.zeros(0, np.int64)
    known = np.isfinite(scores_at(maps, sample_lines(lines)[0], grid))
    pieces, owner, inside = split_where(lines, known)
    return pieces[inside], owner[inside]


def _metres(frame: gpd.GeoDataFrame, grid: Grid) -> NDArray[np.object_]:
    """(n,) the geometries of a frame in metres east and north."""
    scale = metres_per_unit(grid)
    geometries: NDArray[np.object_] = shapely.transform(frame.geometry.to_numpy(), lambda xy: xy * scale)
    return geometries


def _single(geometries: NDArray[np.object_]) -> Lines:
    parts: Lines = shapely.get_parts(geometries)
    return parts


def _placed(frame: gpd.GeoDataFrame, grid: Grid) -> gpd.GeoDataFrame:
    scale = metres_per_unit(grid)
    return frame.set_geometry(
        shapely.transform(frame.geometry.to_numpy(), lambda xy: xy / scale), crs=grid.crs
    )
