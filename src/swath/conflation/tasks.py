"""What mappers are given: candidates with OSM tags, in squares that one person does in one sitting."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import shapely
from pydantic import JsonValue

from swath.conflation.conflate import Conflation
from swath.files import write_json, write_text
from swath.grid import LONLAT
from swath.groundsize import pixel_m
from swath.maps.sitemaps import SiteMaps
from swath.outfolder import Kind, replacing_folder

TASK_M = 1000.0
"""Side of a task's square."""

TAGS = {"highway": "road"}
"""What OpenStreetMap calls a road whose kind nobody knows yet."""

PACKAGE, CANDIDATES, TASKS, PROJECT = "conflation.gpkg", "candidates.geojson", "tasks.geojson", "project.json"


def write_conflation(
    found: Conflation, maps: SiteMaps, out: Path, reads: Sequence[Path] = (), *, overwrite: bool = False
) -> dict[str, Path]:
    """Write the folder of `swath conflate`, whole or not at all. Nothing is ever sent anywhere.

    - `conflation.gpkg`: layers `both`, `map_only`, `osm_only`, in the CRS of the map.
    - `candidates.geojson`: `map_only` in degrees, the best first, with OSM tags (`highway=road`: its
      kind is for the mapper to say), `source`, `confidence`, `false_friend` and `task`.
    - `tasks.geojson`: the squares of `TASK_M` that hold candidates: `task`, how many, how many km.
    - `project.json`: name, instructions, area and squares for a tasking manager.

    Args:
        found: What was found.
        maps: The maps it was found in.
        out: The folder.
        reads: What it was made from, which is never replaced.
        overwrite: Whether such a folder may be replaced.

    Raises:
        OutputExistsError: `out` exists and may not be replaced.
    """
    candidates, squares = _squares(found.map_only, maps)
    days = f"{maps.dates[0]}..{maps.dates[-1]}" if len(maps.dates) > 1 else str(maps.dates[0])
    source = f"Sentinel-2 {days}, mapped by swath ({maps.model})"
    kept = ("rank", "confidence", "false_friend", "length_m", "p_mean", "dates_seen", "dates_known", "task")
    columns = [name for name in kept if name in candidates.columns]
    shown = candidates[[*columns, "geometry"]].to_crs(LONLAT).assign(source=source, **TAGS)
    about = {"layer_metadata": {"attribution": found.attribution, "osm": found.source}}
    with replacing_folder(out, Kind.CONFLATION, reads, overwrite=overwrite) as folder:
        layers = {"both": found.both, "map_only": candidates, "osm_only": found.osm_only}
        for name, frame in layers.items():
            path = folder / PACKAGE
            pyogrio.write_dataframe(
                frame, path, layer=name, append=path.exists(), geometry_type="LineString", **about
            )
        _write_geojson(shown, folder / CANDIDATES, found.attribution)
        _write_geojson(squares.to_crs(LONLAT), folder / TASKS, found.attribution)
        write_json(folder / PROJECT, _project(squares.to_crs(LONLAT), maps, found, source))
    return {name: out / name for name in (PACKAGE, CANDIDATES, TASKS, PROJECT)}


def _squares(candidates: gpd.GeoDataFrame, maps: SiteMaps) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]:
    """The candidates with `task`, and the squares that hold some, numbered from the north-west."""
    grid = maps.grid
    left, _, _, top = grid.bounds
    x_size, y_size = grid.resolution
    side = np.array([TASK_M / pixel_m(grid)[1] * x_size, TASK_M / pixel_m(grid)[0] * y_size])
    middle = shapely.get_coordinates(
        shapely.line_interpolate_point(candidates.geometry.to_numpy(), 0.5, normalized=True)
    )
    cols, rows = np.floor((middle - [left, top]) / [side[0], -side[1]]).astype(np.int64).T
    across = math.ceil(grid.width * x_size / side[0])
    codes, number = np.unique(rows * across + cols, return_inverse=True)
    rows, cols = np.divmod(codes, across)
    west, north = left + cols * side[0], top - rows * side[1]
    boxes = shapely.box(west, north - side[1], west + side[0], north)
    candidates = candidates.assign(task=number + 1)
    km = np.bincount(number, candidates["length_m"].to_numpy(np.float64), len(codes)) / 1e3
    squares = gpd.GeoDataFrame(
        {
            "task": np.arange(1, len(codes) + 1),
            "candidates": np.bincount(number, minlength=len(codes)),
            "km": np.round(km, 3),
        },
        geometry=boxes,
        crs=grid.crs,
    )
    return candidates, squares


def _write_geojson(frame: gpd.GeoDataFrame, path: Path, attribution: str) -> None:
    text = frame.to_json(drop_id=True, to_wgs84=True)
    head = f'{{"attribution": {json.dumps(attribution, ensure_ascii=False)}, '
    write_text(path, head + text.removeprefix("{"))


def _project(
    squares: gpd.GeoDataFrame, maps: SiteMaps, found: Conflation, source: str
) -> dict[str, JsonValue]:
    tasks: list[JsonValue] = [
        {
            "type": "Feature",
            "properties": {"task": int(row.task), "candidates": int(row.candidates), "km": float(row.km)},
            "geometry": shapely.geometry.mapping(row.geometry),
        }
        for row in squares.itertuples()
    ]
    area = shapely.geometry.mapping(shapely.union_all(squares.geometry.to_numpy())) if tasks else None
    return {
        "name": f"Missing roads near {maps.site}",
        "short_description": "Roads that satellite images show and OpenStreetMap lacks.",
        "instructions": (
            f"Every candidate is a guess of a machine ({source}). Add a road only where an image that may be "
            "traced from shows it, with the kind it has and in the place it has there; candidates lie up to "
            "20 m off. Skip what `false_friend` explains and what you are not sure of."
        ),
        "mapping_types": ["ROADS"],
        "changeset_comment": f"#swath missing roads near {maps.site}",
        "source": source,
        "attribution": found.attribution,
        "area_of_interest": area,
        "tasks": {"type": "FeatureCollection", "features": tasks},
    }
