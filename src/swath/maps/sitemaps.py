"""The maps of a site as a value: what was written for it, and how to read its PMaps.

No torch here: whoever reads maps (evaluation, viewer, updates) needs no network.
"""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, JsonValue, PrivateAttr, ValidationError

from swath.errors import DatasetError, InputError
from swath.files import read_json
from swath.grid import Finer, Grid, Window
from swath.legend import Legend
from swath.maps.change import Change
from swath.maps.header import check_headers
from swath.maps.labelled import Variable, labelled
from swath.maps.manifest import CLASSES_NAME, read_manifest
from swath.names import Line, SiteName
from swath.picture import card, thumbnail
from swath.scenes.raster import open_raster, rasterio_window
from swath.validation import first_problem

if TYPE_CHECKING:
    import geopandas as gpd
    import xarray as xr

PMAP_SCALE = 254
"""A PMap's byte is its probability times this; its file says so to GDAL (scale 1/254)."""

PMAP_NODATA = 255
"""The byte of a pixel without data, in PMaps and in class maps."""

ITEM_NAME = "item.json"

Fusion = Literal["convlstm", "attention", "since", "series", "mean"]

FUSED_BY: dict[Fusion, str] = {
    "convlstm": "the ConvLSTM",
    "attention": "attention over the dates",
    "since": "the mean since the last change",
    "series": "the network for series",
    "mean": "the mean of the dates",
}
"""How a map was fused -> how that is told."""

Masked = np.ma.MaskedArray[tuple[int, ...], np.dtype[np.float32]]
"""Pixels with their mask beside them: True in its `mask` = no data, as NumPy has it."""


class SiteMaps(BaseModel):
    """The maps of one site, as `item.json` tells them.

    Example:
        >>> import swath
        >>> town = swath.open_maps("maps")["town"]
        >>> town.pmap().shape, town.classes().dtype.name, town.legend.names
        ((2, 96, 96), 'uint8', ('background', 'road'))

    Attributes:
        folder: MAPS/<site>.
        site: Name of the site.
        dates: Dates of the PMaps that the fused one is made from, oldest first.
        earlier: Dates before them whose PMaps are kept.
        changes: What every date that was added later changed in the class map, oldest addition
            first; see `changes_path`.
        legend: The classes of the maps.
        model: Name of the model, for example `unet-convlstm`.
        model_sha256: SHA-256 of the model's weights.
        fusion: How the fused PMap was made.
        finer: Map pixels to the side of an image pixel; the composite has the images' grid.
        splits: Split -> names of the sites that the model's run had in it: what it has seen.
        attribution: Who made the data that the maps come from.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        alias_generator=lambda name: f"swath:{name}",
        protected_namespaces=(),
    )

    folder: Path
    site: SiteName
    dates: tuple[dt.date, ...] = Field(min_length=1)
    earlier: tuple[dt.date, ...] = ()
    changes: tuple[Change, ...] = ()
    legend: Legend
    model: str
    fusion: Fusion
    finer: Finer = 1
    model_sha256: str = ""
    splits: dict[str, tuple[str, ...]] = {}
    attribution: Line = ""
    _keeper: object = PrivateAttr(None)

    def kept_by(self, keeper: object) -> "SiteMaps":
        """The same maps, which keep an object alive: a temporary folder, say, that they lie in."""
        maps = self.model_copy()
        maps._keeper = keeper
        return maps

    def pmap(self, date: dt.date | str | None = None) -> Masked:
        """The probabilities of every class.

        Args:
            date: Of which date, a `datetime.date` or `YYYY-MM-DD`; None: all dates fused.

        Returns:
            (lc, H, W) float32, 0..1 in steps of 1/254, classes as in `legend`, masked where there
            is no data; `filled()` has NaN there.

        Raises:
            DatasetError: The site was not mapped on that date.
        """
        pmap, known = read_pmap(self.fused_path if date is None else self.pmap_path(date))
        mask = np.broadcast_to(~known, pmap.shape).copy()
        return np.ma.MaskedArray(pmap, mask, fill_value=np.nan)

    def classes(self) -> NDArray[np.uint8]:
        """The class map: (H, W) uint8 class ids of `legend`; 255 = no data."""
        ids: NDArray[np.uint8] = read_bytes(self.classes_path)[0]
        return ids

    def roads(self) -> "gpd.GeoDataFrame":
        """The classes of lines as vectors, in the CRS of the maps: their middle lines.

        `class`, `p_mean` (the mean of the fused PMap, 0..1) and `length_m`.

        Raises:
            DatasetError: The legend has no class of lines (see `landcover`), or the file is another's.
        """
        from swath.maps.linefile import read_lines

        if not self.legend.lines:
            raise DatasetError(f"{self.folder} maps no lines ({', '.join(self.legend.names)}); see landcover")
        return read_lines(self.parquet_path, self.grid)

    def landcover(self) -> "gpd.GeoDataFrame":
        """The classes as polygons that cover the map: `class`, `class_id`, `p_mean`, `area_ha`.

        Raises:
            DatasetError: The legend has no class of areas.
        """
        import geopandas as gpd

        if not self.legend.areas:
            raise DatasetError(f"{self.folder} maps no areas ({', '.join(self.legend.names)}); see roads")
        return gpd.read_file(self.landcover_path, layer="landcover")

    def to_xarray(self) -> "xr.Dataset":
        """All arrays with their coordinates, in memory.

        Returns:
            `pmap` (class, y, x) and `pmaps` (time, class, y, x) float32 0..1, NaN = no data;
            `classes` (y, x) uint8, 255 = no data; `x` and `y` of the pixels' centres and
            `spatial_ref`, where rioxarray and GDAL look for the CRS.

        Raises:
            MissingExtraError: xarray is not installed.
        """
        dated = np.stack([self.pmap(date).filled() for date in self.all_dates])
        layers: dict[str, Variable] = {
            "pmap": (("class", "y", "x"), self.pmap().filled(), {"long_name": "probability"}),
            "pmaps": (("time", "class", "y", "x"), dated, {"long_name": "probability"}),
            "classes": (("y", "x"), self.classes(), {"_FillValue": PMAP_NODATA}),
        }
        axes = {"time": np.array(self.all_dates, "datetime64[ns]"), "class": self.legend.names}
        notes = {"site": self.site, "model": self.model, "attribution": self.attribution}
        return labelled(layers, axes, self.grid, notes)

    def __repr__(self) -> str:
        """One line: where, when, of which classes, made how."""
        days = f"{self.dates[0]}..{self.dates[-1]}" if len(self.dates) > 1 else str(self.dates[0])
        names = ", ".join(self.legend.names)
        dates = f"{len(self.dates)} dates {days} fused by {FUSED_BY[self.fusion]}"
        return f"SiteMaps({self.site}: {dates if len(self.dates) > 1 else days}; {names})"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """The same with the composite as a picture, for notebooks."""
        facts = {
            "dates": ", ".join(map(str, self.dates)),
            "classes": ", ".join(self.legend.names),
            "model": f"{self.model}, fused by {FUSED_BY[self.fusion]}",
            "folder": str(self.folder),
            "data": self.attribution,
        }
        return card(f"Maps of {self.site}", facts, thumbnail(self.composite_path))

    @property
    def grid(self) -> Grid:
        """Where the maps lie."""
        return read_grid(self.classes_path)

    @property
    def threshold(self) -> float | None:
        """Above which score of the foreground, 0..1, a pixel is of that class.

        None with more than two classes, where the likeliest wins.
        """
        return read_manifest(self.folder).threshold

    @property
    def all_dates(self) -> tuple[dt.date, ...]:
        """All dates that have a PMap, oldest first."""
        return (*self.earlier, *self.dates)

    def pmap_path(self, date: dt.date | str) -> Path:
        """The PMap of one date.

        Raises:
            DatasetError: The site was not mapped on that date.
        """
        known = [str(day) for day in self.all_dates]
        if str(date) not in known:
            raise DatasetError(f"{self.folder} has no map of {date}; its dates are {', '.join(known)}")
        return self.folder / f"pmap_{date}.tif"

    @property
    def fused_path(self) -> Path:
        """The fused PMap."""
        return self.folder / "pmap.tif"

    @property
    def classes_path(self) -> Path:
        """Class ids: of two classes by `threshold`, of more the largest of the fused PMap."""
        return self.folder / CLASSES_NAME

    @property
    def composite_path(self) -> Path:
        """Three dates as red, green and blue, on the grid of the images."""
        return self.folder / "composite.tif"

    @property
    def gpkg_path(self) -> Path:
        """The classes of lines as vectors, a layer a class; only where the legend has one."""
        return self.folder / "roads.gpkg"

    @property
    def parquet_path(self) -> Path:
        """The same lines in one table."""
        return self.folder / "roads.parquet"

    @property
    def landcover_path(self) -> Path:
        """The classes as polygons that cover the map, where the legend has classes of areas."""
        return self.folder / "landcover.gpkg"

    @property
    def vector_paths(self) -> tuple[Path, ...]:
        """All files of vectors: lines where the legend has classes of lines, polygons where it has areas."""
        lines = (self.gpkg_path, self.parquet_path) if self.legend.lines else ()
        return (*lines, *((self.landcover_path,) if self.legend.areas else ()))

    @property
    def changes_path(self) -> Path:
        """Where the class last changed when a date was added; only after `swath update`.

        Two bands of uint16: `date`, the added date in days since 1970-01-01, and `before`, the
        class before it; both 65535 where the class never changed.
        """
        return self.folder / "changes.tif"

    @property
    def item_path(self) -> Path:
        """The STAC item."""
        return self.folder / ITEM_NAME

    @property
    def raster_paths(self) -> tuple[Path, ...]:
        """All rasters: the dates, then fused PMap, classes, composite, and changes if any."""
        dated = tuple(self.pmap_path(date) for date in self.all_dates)
        changes = (self.changes_path,) if self.changes else ()
        return (*dated, self.fused_path, self.classes_path, self.composite_path, *changes)

    def fields(self) -> dict[str, JsonValue]:
        """The properties `swath:*` of the STAC item, from which `read_maps` gets all this back."""
        return self.model_dump(mode="json", by_alias=True, exclude={"folder"})


def read_maps(folder: Path) -> tuple[SiteMaps, ...]:
    """The maps of all sites of a MAPS folder, by name, as their `item.json` tell them.

    Raises:
        DatasetError: No maps there, an item that breaks the contract, or a raster is missing.
    """
    items = sorted(folder.glob(f"[!.]*/{ITEM_NAME}"))
    if not items:
        raise DatasetError(f"{folder} holds no maps (no <site>/{ITEM_NAME}); run swath map first")
    return tuple(_read_item(path) for path in items)


def _read_item(path: Path) -> SiteMaps:
    try:
        content = read_json(path)
        properties = content.get("properties") if isinstance(content, dict) else None
        if not isinstance(properties, dict):
            raise DatasetError(f"{path}: not a STAC item (no properties); run swath map again")
        maps = SiteMaps.model_validate({**properties, "swath:folder": path.parent})
    except InputError as error:
        raise DatasetError(str(error)) from None
    except ValidationError as error:
        raise DatasetError(f"{path}: not an item of swath map: {first_problem(error)}") from None
    missing = [raster.name for raster in maps.raster_paths if not raster.is_file()]
    if missing:
        raise DatasetError(f"{path.parent} lacks {', '.join(missing)}; run swath map again")
    check_headers((maps.fused_path, *map(maps.pmap_path, maps.all_dates)), maps.classes_path, maps.legend)
    return maps


def read_grid(path: Path) -> Grid:
    """The grid of any raster of a MAPS folder.

    Raises:
        InputError: Missing or unreadable.
        GridError: Not north-up, or without a coordinate system.
    """
    with open_raster(path) as source:
        crs = source.crs.to_wkt() if source.crs else ""
        return Grid(crs, source.transform, source.shape)


def read_pmap(path: Path, window: Window | None = None) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read a PMap, of one date or fused, or a window inside it; see `read_codes`, `decode_pmap`."""
    return decode_pmap(read_codes(path, window))


def class_codes(codes: NDArray[np.uint8], class_id: int) -> NDArray[np.uint8]:
    """The bytes (..., h, w) of a class of PMaps as `read_codes` gives them: probability x 254.

    Of two classes only the second has bytes of its own.
    """
    return codes[..., class_id if codes.shape[-3] > 1 else 0, :, :]


def read_codes(path: Path, window: Window | None = None) -> NDArray[np.uint8]:
    """Read the bytes of a PMap as `encode_pmap` made them; of two classes that is the first band."""
    with open_raster(path) as source:
        return read_bytes(path, window, (1,) if source.count == 2 else None)


def read_bytes(
    path: Path, window: Window | None = None, bands: Sequence[int] | None = None
) -> NDArray[np.uint8]:
    """Read a raster of a MAPS folder, or a window inside it, as it is stored: (bands, h, w) uint8.

    Raises:
        InputError: Missing or unreadable, or the window reaches outside the raster.
    """
    with open_raster(path) as source:
        whole = Window(0, 0, *source.shape)
        part = window or whole
        if not whole.contains(part):
            raise InputError(f"{path} is {source.shape} pixels; {part} reaches outside")
        codes: NDArray[np.uint8] = source.read(bands, window=rasterio_window(part))
    return codes


def decode_pmap(codes: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """PMaps from the bytes of `encode_pmap`, (..., bands, h, w) uint8: probability x 254; 255 = no data.

    A single band is the second of two classes; the first has what that leaves of 1.

    Returns:
        (..., lc, h, w) float32 probabilities 0..1 in steps of 1/254, 0 where there is no data;
        (..., h, w) bool, True where there is.
    """
    valid = codes[..., 0, :, :] != PMAP_NODATA
    if codes.shape[-3] == 1:
        codes = np.concatenate([PMAP_SCALE - codes, codes], axis=-3)
    # In place: of many dates of a finer map a second copy would not fit into a small machine.
    values = codes.astype(np.float32)
    values /= np.float32(PMAP_SCALE)
    values *= valid[..., None, :, :]
    return values, valid


def encode_pmap(pmap: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """A PMap as bytes, (bands, h, w) uint8: probability x 254, rounded; 255 = no data.

    Of two classes the second alone, as its share of both; a file has both (`rasters.with_rest`).

    Args:
        pmap: (lc, h, w) float32 probabilities 0..1; anything where `valid` is False.
        valid: (h, w) bool, True where there is data.
    """
    known = pmap if valid.all() else np.where(valid, pmap, 0)
    if len(known) == 2:
        total = known[0] + known[1]
        known = np.divide(known[1], total, out=np.zeros_like(total), where=total > 0)[None]
    codes = np.rint(known * PMAP_SCALE).astype(np.uint8)
    return np.where(valid, codes, np.uint8(PMAP_NODATA))
