"""Vectors with a class code: polygons and points with a column of codes."""

from dataclasses import dataclass
from pathlib import Path

import geopandas
import numpy as np
import shapely
from numpy.typing import NDArray

from swath.errors import InputError
from swath.grid import Grid
from swath.labels.burn import burn_mask
from swath.labels.crosswalk import CODE, Codes, Crosswalk
from swath.labels.features import cut_features, lonlat_box, read_table
from swath.legend import IGNORE, Legend


@dataclass(frozen=True, slots=True)
class Coding:
    """How a file's codes are read.

    Attributes:
        crosswalk: What they mean; None: the legend knows, by its tags, its ids or its names.
        column: Where a vector file keeps them; None: where the crosswalk says.
        point_m: A point stands for the pixels within so many metres of it, 0: for its own.
    """

    crosswalk: Crosswalk | None = None
    column: str | None = None
    point_m: float = 0.0

    def codes(self, legend: Legend) -> Codes:
        """What codes mean to a legend.

        Raises:
            SettingsError: The crosswalk was made for another legend.
        """
        return (
            self.crosswalk.codes(legend) if self.crosswalk else Codes.of_legend(legend, self.column or CODE)
        )

    @property
    def attribution(self) -> str:
        """Who made the source, as far as the crosswalk says."""
        return self.crosswalk.attribution if self.crosswalk else ""

    def read(
        self, path: Path, legend: Legend, grid: Grid, margin_px: int = 0
    ) -> tuple[geopandas.GeoDataFrame, NDArray[np.bool_] | None]:
        """Read a vector file of codes on a grid and `margin_px` around it.

        Returns:
            `class_id` and `geometry` in the grid's CRS, as of `read_features`, points as the areas that
            they stand for; (H, W) bool, True where the file says something, None: everywhere.

        Raises:
            InputError: The file cannot be read, does not overlap the grid, lacks the column, or has
                a code that is not in the table.
            SettingsError: The crosswalk was made for another legend.
        """
        codes = self.codes(legend)
        frame = read_table(path, lonlat_box(grid, margin_px))
        if frame.empty:
            raise InputError(f"{path}: the labels do not overlap the image, which spans {grid.lonlat_text}")
        ids = codes.of_values(frame[self._column(frame, path)].to_numpy(object), path)
        frame = geopandas.GeoDataFrame(
            {"class_id": ids.astype(np.int64)}, geometry=frame.geometry.values, crs=frame.crs
        ).to_crs(grid.crs)
        points = shapely.get_dimensions(frame.geometry.values) == 0
        frame["geometry"] = self._areas(frame.geometry.values, points, grid)
        cut = cut_features(frame, grid.crop(grid.window.grow(margin_px)).bounds)
        silent = cut["class_id"] == IGNORE
        complete = None
        if points.all():  # nobody has looked elsewhere
            complete = burn_mask(cut.geometry, grid)
        if silent.any():
            unknown = burn_mask(cut.geometry[silent], grid)
            complete = ~unknown if complete is None else complete & ~unknown
        return _tagged(cut[~silent].reset_index(drop=True), legend), complete

    def _column(self, frame: geopandas.GeoDataFrame, path: Path) -> str:
        wanted = (self.column,) if self.column else self.crosswalk.columns if self.crosswalk else (CODE,)
        present = [name for name in wanted if name in frame.columns]
        if not present:
            columns = ", ".join(str(name) for name in frame.columns if name != "geometry")
            raise InputError(
                f"{path}: expected the codes in a column {' or '.join(wanted) or '(none is named)'}; the "
                f"file has {columns or 'none'}; name it as `column` of the labels"
            )
        return present[0]

    def _areas(
        self, shapes: NDArray[np.object_], points: NDArray[np.bool_], grid: Grid
    ) -> NDArray[np.object_]:
        """The shapes, points as the squares of their pixels, or as disks."""
        areas = shapes.copy()
        if self.point_m:
            areas[points] = shapely.buffer(shapes[points], self.point_m)
            return areas
        parts, owner = shapely.get_parts(shapes[points], return_index=True)
        left, _, _, top = grid.bounds
        width, height = grid.resolution
        col = np.floor((shapely.get_x(parts) - left) / width)
        row = np.floor((top - shapely.get_y(parts)) / height)
        x, y = left + col * width, top - row * height
        squares = shapely.box(x, y - height, x + width, y)
        groups = [shapely.union_all(squares[owner == at]) for at in range(int(points.sum()))]
        areas[points] = groups
        return areas


def _tagged(frame: geopandas.GeoDataFrame, legend: Legend) -> geopandas.GeoDataFrame:
    """The features with the first tag of their class, so that who reads them again finds it."""
    for key in legend.keys:
        values = {c.id: c.tags[key][0] for c in legend.tagged if next(iter(c.tags)) == key}
        frame[key] = [values.get(number) for number in frame["class_id"]]
    return frame
