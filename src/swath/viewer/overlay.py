"""Vectors on top of the page's maps: the map's own lines, and whatever files are shown beside them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
from pandas.api.types import is_float_dtype, is_numeric_dtype
from pydantic import JsonValue
from pyogrio.errors import FeatureError

from swath.errors import InputError
from swath.grid import Bounds, Grid, transform_bounds
from swath.labels.features import OGR_SUFFIXES, PARQUET_SUFFIXES
from swath.labels.vectorfile import placed, reading_vectors
from swath.maps.sitemaps import SiteMaps
from swath.maps.styles import STYLES_TABLE, vector_layers

Role = Literal[
    "roads",
    "areas",
    "osm",
    "candidate",
    "missing",
    "both",
    "new",
    "gone",
    "changes",
    "found",
    "missed",
    "false",
    "wrong",
    "other",
]

SUFFIXES = (*OGR_SUFFIXES, *PARQUET_SUFFIXES)
"""Vector files that are shown; of files that differ by suffix only, the first of these."""

_ROLES: tuple[tuple[str, Role], ...] = (
    ("found", "found"),
    ("missed", "missed"),
    ("false", "false"),
    ("wrong", "wrong"),
    ("candidate", "candidate"),
    ("map_only", "candidate"),
    ("osm_only", "missing"),
    ("both", "both"),
    ("new", "new"),
    ("vanished", "gone"),
    ("gone", "gone"),
    ("osm", "osm"),
    ("openstreetmap", "osm"),
)
"""Part of a layer's name -> what it is; the first that fits."""

CANDIDATES = "candidates.geojson"
"""What `swath conflate` calls the list for mappers, beside its conflation.gpkg."""

_RANKS = ("rank", "confidence")
"""Columns that say which feature to look at first."""

MOST_RANKED = 2_000
"""Features of a list to check that the page holds: the first ones."""


@dataclass(frozen=True, slots=True)
class Overlay:
    """A layer of a vector file, beside the maps of a site.

    Attributes:
        id: What the page calls it.
        title: What a reader is told.
        path: The file.
        layer: In the file; None: its only one.
        role: What it shows.
        count: How many features the file has.
        ranked: Whether its features are a list to check.
        crs: Of the file.
    """

    id: str
    title: str
    path: Path
    layer: str | None
    role: Role
    count: int
    ranked: bool
    crs: str

    def fields(self) -> dict[str, JsonValue]:
        """As the page's content has it, without its features."""
        count = min(self.count, MOST_RANKED) if self.ranked else self.count
        return {"id": self.id, "title": self.title, "role": self.role, "count": count, "ranked": self.ranked}

    def read(self, grid: Grid, bounds: Bounds | None = None) -> gpd.GeoDataFrame:
        """Its features in the CRS of a grid, those that cross `bounds` (of that CRS; None: the grid's).

        The index is the number of a feature in its file. The first to look at stand first; of a list
        to check there are no more than `MOST_RANKED`.

        Raises:
            InputError: The file cannot be read.
        """
        with reading_vectors(self.path):
            box = transform_bounds(bounds or grid.bounds, grid.crs, self.crs)
            frame = _read(self.path, self.layer, box).to_crs(grid.crs)
        frame = frame[placed(frame.geometry.values)]
        columns = [name for name in ("rank", "confidence", "p_mean", "probability") if name in frame]
        if columns and is_numeric_dtype(frame[columns[0]]):
            frame = frame.sort_values(columns[0], ascending=columns[0] == "rank", kind="stable")
        return frame.head(MOST_RANKED) if self.ranked else frame

    def first(self, grid: Grid, order: "Order", bounds: Bounds | None = None) -> gpd.GeoDataFrame:
        """The first of its features in an order, numbered as by `read`, in the CRS of a grid.

        Raises:
            InputError: The file cannot be read, or has no such column of numbers.
        """
        box = None if bounds is None else transform_bounds(bounds, grid.crs, self.crs)
        if self.path.suffix.lower() in PARQUET_SUFFIXES:
            frame = _read(self.path, self.layer, box)
            return frame.loc[order.numbers(frame)].to_crs(grid.crs)
        with reading_vectors(self.path):
            # Values first, places of the few alone: of a whole scene that is ten times faster.
            table = pyogrio.read_dataframe(
                self.path.absolute(),
                layer=self.layer,
                bbox=box,
                columns=order.columns,
                read_geometry=False,
                fid_as_index=True,
            )
            numbers = order.numbers(table)
            frame = pyogrio.read_dataframe(
                self.path.absolute(), layer=self.layer, fids=numbers, fid_as_index=True
            )
        return frame.loc[numbers].to_crs(grid.crs)

    def one(self, grid: Grid, number: int) -> gpd.GeoDataFrame:
        """The feature of a number, in the CRS of a grid: a row, or none.

        Raises:
            InputError: The file cannot be read.
        """
        if self.path.suffix.lower() in PARQUET_SUFFIXES:
            frame = _read(self.path, self.layer, None)
            return frame[frame.index == number].to_crs(grid.crs)
        path = self.path.absolute()
        with reading_vectors(self.path):
            try:
                frame = pyogrio.read_dataframe(path, layer=self.layer, fids=[number], fid_as_index=True)
            except FeatureError:  # there is none
                return gpd.GeoDataFrame(geometry=[], crs=grid.crs)
        return frame.to_crs(grid.crs)


@dataclass(frozen=True, slots=True)
class Order:
    """Which features a table has first.

    Attributes:
        sort: A column of numbers.
        falling: The highest first.
        most: How many.
        column: Of numbers; only features within `low` and `high` there. None: all.
        low: See `column`.
        high: See there.
    """

    sort: str
    falling: bool
    most: int
    column: str | None = None
    low: float = -np.inf
    high: float = np.inf

    @property
    def columns(self) -> list[str]:
        """Those that decide."""
        return list(dict.fromkeys(name for name in (self.sort, self.column) if name is not None))

    def numbers(self, table: pd.DataFrame) -> list[int]:
        """The numbers of the features of a table that come first, in their order."""
        for name in self.columns:
            if name not in table or not is_numeric_dtype(table[name]):
                raise InputError(f"there is no column of numbers {name!r}")
        if self.column is not None:
            table = table[table[self.column].between(self.low, self.high)]
        ordered = table[self.sort].dropna().sort_values(ascending=not self.falling, kind="stable")
        return [int(number) for number in ordered.index[: self.most]]


def site_overlays(maps: SiteMaps, beside: Sequence[Path]) -> tuple[Overlay, ...]:
    """The map's own vectors, then the layers of the files `beside` that reach into the site.

    Raises:
        InputError: A file cannot be read.
    """
    grid = maps.grid
    own = [_describe(path, layer, _title(layer), own=True) for path, layer in vector_layers(maps.folder)]
    files = [file for path in beside for file in vector_files(path)]
    others = [overlay for file in files for overlay in _overlays_of(file, grid, files)]
    named: dict[str, Overlay] = {}
    for overlay in (*own, *others):
        if overlay is not None:
            name = overlay.id if overlay.id not in named else f"{overlay.id}-{len(named)}"
            named[name] = replace(overlay, id=name)
    return tuple(named.values())


def vector_files(path: Path) -> list[Path]:
    """The vector files of a folder, one a stem; or the file itself.

    Raises:
        InputError: There are none.
    """
    if path.is_file() and path.suffix.lower() in SUFFIXES:
        return [path]
    # What ends in .json may be anything, and is shown only where it is named itself.
    shown = set(SUFFIXES) - {".json"}
    files = [file for file in path.iterdir() if file.suffix.lower() in shown] if path.is_dir() else []
    if not files:
        raise InputError(f"{path}: no vector file ({', '.join(SUFFIXES)}), nor a folder with one")
    order = {suffix: rank for rank, suffix in enumerate(SUFFIXES)}
    files.sort(key=lambda file: (file.stem, order[file.suffix.lower()]))
    return [file for at, file in enumerate(files) if at == 0 or files[at - 1].stem != file.stem]


def open_vectors(path: Path) -> gpd.GeoDataFrame:
    """All features of a vector file: of its only layer, or its first.

    Raises:
        InputError: The file cannot be read.
    """
    return _read(path, _layers_of(path)[0], None)


def geojson(frame: gpd.GeoDataFrame, step: float) -> dict[str, JsonValue]:
    """Features as GeoJSON in their own CRS, numbered by the index; places rounded to `step`."""
    frame = frame.copy()
    digits = max(0, round(-np.log10(step)))
    frame["geometry"] = shapely.transform(frame.geometry.array, lambda xy: np.round(xy, digits))
    for name in frame.columns.difference(["geometry"]):
        if is_float_dtype(frame[name]):
            with np.errstate(over="ignore"):
                numbers = frame[name].astype(float).round(4)
            frame[name] = numbers.where(np.isfinite(numbers))
        elif not is_numeric_dtype(frame[name]):
            values = frame[name].map(_hex) if frame[name].dtype == object else frame[name]
            frame[name] = values.astype(str).where(values.notna(), None)
    collection: dict[str, JsonValue] = json.loads(frame.to_json(na="null", to_wgs84=False, drop_id=False))
    collection.pop("crs", None)
    return collection


def _hex(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else value


def _overlays_of(file: Path, grid: Grid, beside: Sequence[Path]) -> list[Overlay]:
    """The layers of a file that reach into the site; the candidates, shown `beside`, not once more."""
    overlays, twice = [], file.with_name(CANDIDATES) in beside
    layers = [layer for layer in _layers_of(file) if not (twice and layer == "map_only")]
    for layer in layers:
        telling = layer and (len(layers) > 1 or layer in dict(_ROLES))
        overlay = _describe(file, layer, _title(layer if layer and telling else file.stem))
        if overlay is not None and not overlay.read(grid).empty:
            overlays.append(overlay)
    return overlays


def _title(name: str) -> str:
    """A layer's name as people write it."""
    words = name.replace("_", " ").replace("osm", "OpenStreetMap")
    return words[:1].upper() + words[1:]


def _layers_of(path: Path) -> list[str | None]:
    """The layers of a vector file that have places; None: the only one of a format without names."""
    if path.suffix.lower() in PARQUET_SUFFIXES:
        return [None]
    with reading_vectors(path):
        layers = pyogrio.list_layers(path.absolute())
        names = [name for name, kind in layers if kind is not None and name != STYLES_TABLE]
        if not names:
            raise ValueError("there is no geometry in it")
    return names


def _describe(path: Path, layer: str | None, title: str, *, own: bool = False) -> Overlay | None:
    """What a layer of a file is; None where it has no places."""
    if path.suffix.lower() in PARQUET_SUFFIXES:
        frame = _read(path, None, None)
        columns, count, crs = list(frame.columns), len(frame), frame.crs
        kind = ""
    else:
        with reading_vectors(path):
            facts = pyogrio.read_info(path.absolute(), layer=layer, force_feature_count=True)
        if facts["geometry_type"] is None:
            return None
        columns, count, crs = list(facts["fields"]), int(facts["features"]), facts["crs"]
        kind = facts["geometry_type"]
    if crs is None:
        raise InputError(f"{path} has no coordinate system; give it one")
    name = f"{path.stem} {layer or ''}".lower()
    role: Role = (
        ("areas" if "Polygon" in kind else "roads")
        if own
        else "changes"
        if "p_change" in columns
        else next((role for part, role in _ROLES if part in name), "other")
    )
    ranked = not own and any(column in columns for column in _RANKS)
    key = path.stem if layer in (None, path.stem) else f"{path.stem}-{layer}"
    return Overlay(key.replace(" ", "_"), title, path, layer, role, count, ranked, str(crs))


def _read(path: Path, layer: str | None, box: Bounds | None) -> gpd.GeoDataFrame:
    with reading_vectors(path):
        if path.suffix.lower() in PARQUET_SUFFIXES:
            frame = gpd.read_parquet(path)
            frame = frame if box is None else frame[frame.intersects(shapely.box(*box))]
        else:
            frame = gpd.read_file(path.absolute(), layer=layer, bbox=box, fid_as_index=True)
        frame = frame[placed(frame.geometry.values)]
        return frame if frame.geometry.name == "geometry" else frame.rename_geometry("geometry")
