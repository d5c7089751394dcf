"""The rasters of a site's maps as layers of the page: what their numbers mean."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import JsonValue
from rasterio.io import DatasetReader

from swath.errors import InputError
from swath.grid import Bounds
from swath.maps.images import image_paths
from swath.maps.sitemaps import PMAP_SCALE, SiteMaps
from swath.maps.styles import EPOCH
from swath.scenes.raster import open_raster

Kind = Literal["probability", "classes", "colours", "dates"]

TILE_PX = 512
"""Side of a tile of the page, as of the blocks of the rasters."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One raster that the page can show.

    Attributes:
        path: The file.
        kind: `probability`: a band a class, `number * scale + offset`; `classes`: class ids; `colours`:
            red, green, blue, 0 in all = no data; `dates`: days since 1970-01-01.
        date: Of which day, if of one.
        bands: Which bands of the file, 1 = the first; of probabilities those of classes with features.
        names: The class of each, of probabilities.
        labels: What a reader is told of bands or values.
        scale: See `kind`.
        offset: See `kind`.
        nodata: Number of pixels without data.
        bounds: Of the raster, in the CRS of the maps.
        sizes: (width, height) of the raster and of its overviews, from fine to coarse.
    """

    path: Path
    kind: Kind
    date: dt.date | None
    bands: tuple[int, ...]
    names: tuple[str, ...]
    labels: tuple[str, ...]
    scale: float
    offset: float
    nodata: float | None
    bounds: Bounds
    sizes: tuple[tuple[int, int], ...]

    @property
    def id(self) -> str:
        """What the page calls it: the file's stem."""
        return self.path.stem

    def fields(self) -> dict[str, JsonValue]:
        """As the page's content has it, without its pixels."""
        return {
            "id": self.id,
            "kind": self.kind,
            "date": None if self.date is None else str(self.date),
            "bands": [band - 1 for band in self.bands],
            "names": list(self.names),
            "labels": list(self.labels),
            "scale": self.scale,
            "offset": self.offset,
            "nodata": self.nodata,
            "bounds": list(self.bounds),
            "tile": TILE_PX,
        }


def read_layers(maps: SiteMaps) -> tuple[Layer, ...]:
    """The rasters of a site: images, PMaps of the dates, fused PMap, classes, composite, changes.

    Raises:
        InputError: One is unreadable.
    """
    shown = tuple(c.name for c in maps.legend.tagged)  # what a mere background has is the rest
    layers = [_read(path, "colours", date) for date, path in image_paths(maps).items()]
    layers += [_read(maps.pmap_path(date), "probability", date, shown) for date in maps.all_dates]
    layers.append(_read(maps.fused_path, "probability", None, shown))
    layers += [_read(maps.classes_path, "classes"), _read(maps.composite_path, "colours")]
    if maps.changes:
        layers.append(_read(maps.changes_path, "dates"))
    return tuple(layers)


def _read(path: Path, kind: Kind, date: dt.date | None = None, names: tuple[str, ...] = ()) -> Layer:
    with open_raster(path) as source:
        bands: tuple[int, ...] = (1,)
        scale, offset = 1.0, 0.0
        labels: tuple[str, ...] = ()
        if kind == "probability":
            # Files of before say in words what newer ones say as a scale.
            bands = tuple(source.descriptions.index(name) + 1 for name in names)
            scale, offset = source.scales[bands[0] - 1], source.offsets[bands[0] - 1]
            scale = 1 / PMAP_SCALE if scale == 1 else scale
        elif kind == "colours":
            if source.count < 3 or source.dtypes[0] != "uint8":
                raise InputError(
                    f"{path}: {source.count} bands of {source.dtypes[0]}; expected red, green and blue of "
                    "uint8; remove it, or map again"
                )
            bands, labels = (1, 2, 3), tuple(text or "" for text in source.descriptions[:3])
        box = source.bounds
        return Layer(
            path, kind, date, bands, names, labels, scale, offset, source.nodata, tuple(box), _sizes(source)
        )


def _sizes(source: DatasetReader) -> tuple[tuple[int, int], ...]:
    """(width, height) of a raster and of its overviews, as GDAL rounds them: up."""
    factors = [1, *source.overviews(1)]
    return tuple((-(-source.width // factor), -(-source.height // factor)) for factor in factors)


def change_days(layer: Layer) -> list[int]:
    """The values of a layer of dates, rising: days since 1970-01-01."""
    with open_raster(layer.path) as source:
        days = np.unique(source.read(1))
    return [int(day) for day in days if day != layer.nodata]


def day_label(day: int) -> str:
    """A day since 1970-01-01 as YYYY-MM-DD."""
    return str(EPOCH + dt.timedelta(days=day))
