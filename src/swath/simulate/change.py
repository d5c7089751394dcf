"""What comes and goes between the dates of a series: quarters, roads, and other things that are no roads."""

from collections.abc import Sequence
from dataclasses import replace

import geopandas
import numpy as np
import pandas as pd
import shapely
from shapely.geometry.base import BaseGeometry

from swath.simulate.layout import Layout
from swath.simulate.scenery import ALWAYS, Canvas, scenery_table

_QUARTER = frozenset(("residential", "unclassified", "living_street", "service", "tertiary", "road"))
"""Roads that come and go with a quarter; others were there before."""

_FALLOW = ("meadow", "soil", "wheat", "steppe", "leafy", "scrub", "stubble")
_RUINED = ("soil", "water", "meadow", "scrub", "gravel", "rock")


def add_changes(layout: Layout, dates: int, *, roads: bool = True) -> Layout:
    """Let roads and quarters appear or vanish between the dates, and things that are no roads.

    At least one road changes where there is a road, or room for one; each change happens between two
    dates that are as likely as any. A place of one date stays as it is.

    Args:
        layout: Its seed decides what changes.
        dates: How many dates the series has.
        roads: False: only things that are no roads change.

    Returns:
        The layout with `since` and `until` of all lines, and scenery for what was there before and after.
    """
    rng = np.random.default_rng((layout.seed, 808))
    left, bottom, right, top = layout.grid.bounds
    lines = layout.lines.copy()
    lines["since"], lines["until"] = 0, ALWAYS
    canvas = Canvas(rng, right - left, top - bottom, dates)
    works = _Works(canvas, lines, np.array([left, bottom]))
    if dates > 1:
        area_km2 = canvas.width_m * canvas.height_m / 1e6
        for _ in range(1 + int(rng.poisson(0.15 * area_km2)) if roads else 0):
            works.quarter()
        for _ in range(1 + int(rng.poisson(0.12 * area_km2)) if roads else 0):
            works.road()
        for _ in range(int(rng.poisson(0.2 * area_km2))):
            works.distraction()
    patches = scenery_table(canvas.patches, layout.grid.crs)
    tables = [table for table in (layout.scenery, patches) if table is not None and len(table)]
    scenery = pd.concat(tables, ignore_index=True) if tables else patches
    return replace(layout, lines=works.lines, scenery=geopandas.GeoDataFrame(scenery, crs=layout.grid.crs))


class _Works:
    """A layout's lines while they are being changed."""

    def __init__(self, canvas: Canvas, lines: geopandas.GeoDataFrame, corner: np.ndarray) -> None:
        self.canvas, self.lines, self._corner = canvas, lines, corner

    def _lay(self, shape: BaseGeometry, materials: Sequence[str], dates: tuple[int, int]) -> None:
        material, other = self.canvas.rng.choice(materials, 2)
        height_m = 9.0 if material == "leafy" else 0.0
        mix = (str(other), 0.3 * float(self.canvas.rng.random()), 40.0)
        self.canvas.lay(shape, str(material), mix, height_m, dates)

    def _roads(self) -> np.ndarray:
        """(lines,) bool: roads that nothing has happened to yet."""
        there = (self.lines["since"] == 0) & (self.lines["until"] == ALWAYS)
        return np.asarray((self.lines["kind"] == "road") & there, np.bool_)

    def quarter(self) -> None:
        """The small roads within a patch appear together, out of a field or a wood, or vanish."""
        rng, lines = self.canvas.rng, self.lines
        small = np.flatnonzero(self._roads() & lines["highway"].isin(_QUARTER).to_numpy())
        inside = small[shapely.intersects(lines.geometry.values[small], self.frame)]
        if len(inside) == 0:
            return
        line = lines.geometry.values[rng.choice(inside)]
        centre = np.array(line.interpolate(rng.random(), normalized=True).coords[0])
        area = self.canvas.blob(centre, float(np.exp(rng.uniform(np.log(100), np.log(450)))), 1.3)
        at = int(rng.integers(1, self.canvas.dates))
        comes = rng.random() < 0.75
        hit = small[shapely.intersects(lines.geometry.values[small], area)]
        parts = lines.iloc[np.repeat(hit, 2)].copy()
        cut = lines.geometry.values[hit]
        pieces = np.stack([shapely.intersection(cut, area), shapely.difference(cut, area)], axis=1)
        parts["geometry"] = pieces.ravel()
        changed = np.tile([True, False], len(hit))
        parts.loc[changed, "since" if comes else "until"] = at
        parts = parts[~parts.is_empty].explode(index_parts=False)
        self._replace(hit, parts)
        if comes:
            self._lay(area, _FALLOW, (0, at))
            if rng.random() < 0.5:  # a building site, at the one or two dates before
                self._lay(area, ("soil", "gravel", "sand"), (max(0, at - int(rng.integers(1, 3))), at))
        else:
            self._lay(area, _RUINED, (at, ALWAYS))

    def road(self) -> None:
        """A road appears where there was none, or one that is there was built, or vanishes, at a date."""
        rng, lines = self.canvas.rng, self.lines
        at = int(rng.integers(1, self.canvas.dates))
        old = np.flatnonzero(self._roads())
        old = old[shapely.length(lines.geometry.values[old]) > 250]
        old = old[shapely.intersects(lines.geometry.values[old], self.frame)]
        if rng.random() < 0.6 or len(old) == 0:
            kind, wide = (("primary", 11.0), ("tertiary", 8.0), ("unclassified", 6.0), ("motorway", 22.0))[
                int(rng.integers(4))
            ]
            start = self._corner + self.canvas.place(0.05, 0.95)
            if len(old):
                start = np.array(shapely.get_coordinates(lines.geometry.values[rng.choice(old)])[0])
            line = self.canvas.wander(start, rng.uniform(0, 7), rng.uniform(400, 2600), 0.08)
            comes, table = True, lines.iloc[:0]
            row = {"kind": "road", "width_m": wide, "paved": True, "highway": kind, "geometry": line}
            new = geopandas.GeoDataFrame([row | {"since": at, "until": ALWAYS}], crs=lines.crs)
        else:
            chosen = int(rng.choice(old))
            comes, line = rng.random() < 0.6, lines.geometry.values[chosen]
            new = lines.iloc[[chosen]].copy()
            new["since" if comes else "until"] = at
            table = lines.iloc[[chosen]]
            wide = float(table["width_m"].iloc[0])
        self._replace(np.flatnonzero(lines.index.isin(table.index)), new)
        belt = line.buffer(wide / 2 + rng.uniform(4, 20))
        # What other roads need stays as it is.
        self._lay(belt, _FALLOW, (0, at) if comes else (at, ALWAYS))
        if comes and rng.random() < 0.4:
            self._lay(line.buffer(wide / 2 + rng.uniform(10, 35)), ("soil", "gravel", "scrub"), (at - 1, at))

    def distraction(self) -> None:
        """A felled wood, a pit, a hall, a ploughed strip: changes that are none of roads."""
        rng = self.canvas.rng
        at = int(rng.integers(1, self.canvas.dates))
        dates = (at, ALWAYS) if rng.random() < 0.6 else (at, min(at + int(rng.integers(1, 4)), ALWAYS))
        centre = self._corner + self.canvas.place(0, 1)
        area = self.canvas.blob(centre, rng.uniform(30, 160), rng.uniform(1, 2)).minimum_rotated_rectangle
        if rng.random() < 0.25:
            area = self.canvas.wander(centre, rng.uniform(0, 7), rng.uniform(200, 1000), 0.02).buffer(
                rng.uniform(3, 10)
            )
            self._lay(area, ("water", "scrub", "leafy"), dates)
        else:
            self._lay(area, ("soil", "metal", "flat", "stubble", "water", "rock", "plastic"), dates)

    @property
    def frame(self) -> BaseGeometry:
        """The grid, in its CRS."""
        left, bottom = self._corner
        return shapely.box(left, bottom, left + self.canvas.width_m, bottom + self.canvas.height_m)

    def _replace(self, old: np.ndarray, new: geopandas.GeoDataFrame) -> None:
        kept = self.lines.drop(index=self.lines.index[old])
        tables = [table for table in (kept, new) if len(table)]
        self.lines = geopandas.GeoDataFrame(pd.concat(tables, ignore_index=True), crs=self.lines.crs)
