"""The labels of a site: read from the source that its settings name, and told where it ends."""

import datetime as dt
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import geopandas
import numpy as np
import shapely
from numpy.typing import NDArray
from pydantic import Field, model_validator

from swath.errors import InputError, reason_of
from swath.grid import LONLAT, Bounds, Grid, lonlat_parts
from swath.labels.burn import burn_mask
from swath.labels.coded import Coding
from swath.labels.crosswalk import read_crosswalk
from swath.labels.features import choose_features, lonlat_box, read_near
from swath.labels.osm import (
    FeatureSource,
    check_osmium,
    read_extract,
    reading_errors,
)
from swath.labels.overpass import fetch, plan_queries
from swath.labels.sortedextract import merge_extracts
from swath.legend import Legend
from swath.validation import Frozen


class LabelSettings(Frozen):
    """Where labels come from: a file, or an Overpass server as of a date.

    Example:
        >>> import swath
        >>> labels = swath.LabelSettings(path="points.gpkg", crosswalk="codes.yaml", point_m=15)
        >>> labels.point_m
        15.0

    Attributes:
        path: Vector file, class raster or OpenStreetMap extract, relative to the sites file.
        as_of: The day (0:00 UTC) whose state of a full-history file (`.osh.pbf`) is wanted.
        overpass: URL of an Overpass interpreter, or a name that `swath.labels.overpass` knows.
        date: The day (0:00 UTC) whose state of OpenStreetMap Overpass is asked for.
        crosswalk: What the codes of a class raster, or of a column of polygons or points, are in the
            legend: `worldcover`, `corine`, or a YAML file relative to the sites file. A raster needs
            none where its numbers are the legend's ids, or tags `code` of its classes.
        column: Of the codes in a vector file, where the crosswalk does not name it; without a
            crosswalk its values are names or ids of the legend's classes.
        point_m: A point stands for the pixels within so many metres, 0: for its own.
    """

    path: str | None = None
    as_of: dt.date | None = None
    overpass: str | None = None
    date: dt.date | None = None
    crosswalk: str | None = None
    column: str | None = None
    point_m: float = Field(default=0.0, ge=0, le=1000)

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: object) -> object:
        return {"path": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.path is None) == (self.overpass is None):
            raise ValueError("give either path (a file) or overpass (a server), not both")
        if self.path is not None and self.date is not None:
            raise ValueError("date belongs to overpass; a full-history file takes as_of")
        if self.overpass is not None and (self.date is None or self.as_of is not None):
            raise ValueError("overpass needs date, the day whose OpenStreetMap is wanted")
        if (self.crosswalk or self.column) and (self.path is None or self.as_of is not None):
            raise ValueError("crosswalk and column belong to path, a file of class codes")
        return self

    def coding(self, folder: Path) -> Coding | None:
        """How the file's class codes are read, `folder` being where paths start; None: it has tags.

        A class raster has codes even where nothing is said of them: `Coding()`.
        """
        if self.crosswalk is None and self.column is None:
            return None
        crosswalk = read_crosswalk(self.crosswalk, folder) if self.crosswalk else None
        return Coding(crosswalk, self.column, self.point_m)


_EDGE_DEG = 1e-4
"""An extract that ends less than a pixel inside the image covers it."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """The features of a legend on a grid, and what is known of their source.

    Attributes:
        features: See `swath.labels.features.read_features`. Its `attrs` say where it comes from:
            `source`, `date` (YYYY-MM-DD) and `attribution`, each only where known; they are kept in
            GeoParquet.
        complete: (H, W) bool: where the source is complete; None: everywhere, as far as it says.
        attribution: Who made the source; empty if it does not say.
    """

    features: geopandas.GeoDataFrame
    complete: NDArray[np.bool_] | None
    attribution: str


def read_labels_source(
    settings: LabelSettings,
    legend: Legend,
    grid: Grid,
    folder: Path,
    margin_px: int = 0,
    cache: Path | None = None,
    *,
    complete: bool = False,
) -> Labelled:
    """Read the features of a legend on a grid and `margin_px` around it.

    Args:
        settings: A file or Overpass.
        legend: Which features.
        grid: Where they are wanted.
        folder: Where relative paths start.
        margin_px: How far outside the grid a feature still counts.
        cache: Folder that keeps the answers of Overpass; see `swath.labels.overpass`.
        complete: Whether the user says where the labels are complete: then there may be none.

    Raises:
        InputError: The file cannot be read or does not fit the place or the legend.
        SettingsError: An unknown Overpass server or crosswalk, or an impossible day.
        RemoteError: The Overpass server refuses or does not recover.
        MissingExtraError: OpenStreetMap data without the package osmium.
    """
    if settings.path is not None and (coding := settings.coding(folder)) is not None:
        path = folder / settings.path
        features, known = coding.read(path, legend, grid, margin_px)
        features.attrs = {"source": path.name} | (
            {"attribution": coding.attribution} if coding.attribution else {}
        )
        return Labelled(features, known, coding.attribution)
    box = lonlat_box(grid, margin_px)
    if settings.path is not None:
        source = read_near(folder / settings.path, legend, box, settings.as_of)
        origin = Path(source.origin).name
    else:
        source = _read_overpass(settings, legend, box, cache)
        origin = source.origin
    features = choose_features(source, legend, grid, margin_px, complete=complete)
    told = {"date": source.date and str(source.date), "attribution": source.attribution}
    features.attrs = {"source": origin, **{key: text for key, text in told.items() if text}}
    return Labelled(features, _complete(source, grid), source.attribution)


def _read_overpass(settings: LabelSettings, legend: Legend, box: Bounds, cache: Path | None) -> FeatureSource:
    check_osmium("reading from Overpass")
    if settings.overpass is None or settings.date is None:
        raise InputError("labels name neither a file nor an Overpass server with a date")
    queries = plan_queries(settings.overpass, box, legend, settings.date)
    answers = fetch(queries, cache)
    refusals: tuple[type[Exception], ...] = (InputError, *reading_errors())
    with tempfile.TemporaryDirectory() as folder:
        path = answers[0]
        try:
            if len(answers) > 1:
                path = Path(folder) / "merged.osm.pbf"
                merge_extracts(answers, path)
            source = read_extract(path, legend, box)
        except refusals as error:
            for answer in answers:
                answer.unlink(missing_ok=True)
            raise InputError(
                f"{queries[0].server}: its answer is not readable ({reason_of(error)}); run again to ask anew"
            ) from None
    return replace(source, origin=queries[0].server, extent=None, date=settings.date, knows_place=True)


def _complete(source: FeatureSource, grid: Grid) -> NDArray[np.bool_] | None:
    """Where on the grid a source is complete; None if it covers the grid or does not say."""
    if source.extent is None:
        return None
    extent = shapely.box(*source.extent)
    wide = extent.buffer(_EDGE_DEG, join_style="mitre")
    if all(wide.covers(shapely.box(*part)) for part in lonlat_parts(grid.lonlat_bounds)):
        return None
    # Straight in degrees is not straight on the grid: the sides are cut into short pieces.
    outline = shapely.segmentize(extent, 0.01)
    return burn_mask(geopandas.GeoSeries([outline], crs=LONLAT).to_crs(grid.crs), grid)
