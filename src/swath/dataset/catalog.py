"""Reading the catalog of a dataset, as `swath.dataset.catalogfile` wrote it: nothing outside is looked at."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

from affine import Affine
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from swath import stacfields as stac
from swath.dataset.site import CATALOG, FORMAT, Acquisition, Dataset, Region, Site
from swath.errors import DatasetError, GridError, InputError
from swath.files import read_json
from swath.grid import Finer, Grid, Window
from swath.legend import Legend
from swath.names import Line, SiteName, place_inside
from swath.scenes.scene import Conditions, ShiftMetres
from swath.sentinel2 import ImageSettings
from swath.sites.schema import SplitName
from swath.validation import first_problem

Metres = tuple[ShiftMetres, ShiftMetres]
Pixels = Annotated[int, Field(ge=0, le=2**31)]


class _Part(BaseModel):
    """Of a STAC file; what swath does not read is not looked at."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class _Link(_Part):
    rel: str
    href: str


class _Asset(_Part):
    href: str
    checksum: Annotated[str, Field(alias="file:checksum", pattern="^(1220)?[0-9a-f]{64}$")]


class _Vectors(_Part):
    href: str


class _Catalog(_Part):
    links: tuple[_Link, ...]
    legend: Legend = Field(alias="swath:legend")
    image: ImageSettings = Field(alias="swath:image")
    attribution: Line = Field(alias="swath:attribution")


class _Region(_Part):
    split: SplitName
    window: tuple[Pixels, Pixels, Pixels, Pixels]


class _SiteAssets(_Part):
    labels: _Asset
    roads: _Vectors | None = None


class _Collection(_Part):
    id: SiteName
    links: tuple[_Link, ...]
    assets: _SiteAssets
    code: str | None = Field(alias="proj:code")
    wkt: str | None = Field(default=None, alias="proj:wkt2")
    transform: list[float] = Field(alias="proj:transform", min_length=6, max_length=9)
    shape: tuple[Pixels, Pixels] = Field(alias="proj:shape")
    labels_date: dt.date | None = Field(alias="swath:labels_date")
    shift_m: Metres = Field(alias="swath:shift_m")
    finer: Finer = Field(default=1, alias="swath:finer")  # datasets of before have labels as fine as images
    regions: tuple[_Region, ...] = Field(alias="swath:regions")


class _Properties(_Part):
    datetime: dt.datetime
    shift_m: Metres = Field(alias="swath:shift_m")
    cloud: float | None = Field(default=None, alias="eo:cloud_cover")
    azimuth: float | None = Field(default=None, alias="view:sun_azimuth")
    elevation: float | None = Field(default=None, alias="view:sun_elevation")
    masks: dict[str, JsonValue] = Field(alias="swath:masks")


class _ItemAssets(_Part):
    image: _Asset


class _Item(_Part):
    properties: _Properties
    assets: _ItemAssets


P = TypeVar("P", bound=_Part)


def read_dataset(root: Path) -> Dataset:
    """Read a dataset from its `catalog.json` (STAC) and check that its files are there.

    All that it names lies in its folder, under relative paths; no server is asked.

    Raises:
        DatasetError: No catalog, one that swath did not write, or a file that is missing.
    """
    path = root / CATALOG
    if not path.is_file():
        raise DatasetError(f"{root} holds no catalog.json; make a dataset with: swath build")
    content = _content(path)
    if content.get("swath:format") != FORMAT:
        raise DatasetError(
            f"{path}: not a dataset of this version of swath (format "
            f"{str(content.get('swath:format'))[:20]}, expected {FORMAT}); build it again"
        )
    catalog = _parse(path, content, _Catalog)
    children = _linked(root, path, catalog.links, "child")
    sites = tuple(_read_site(root, child) for child in children)
    if len({site.name for site in sites}) != len(sites) or not sites:
        raise DatasetError(f"{path}: expected one or more sites, each of its own name; build it again")
    return Dataset(root, catalog.legend, catalog.image, sites, catalog.attribution)


def _content(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path)
    except InputError as error:
        raise DatasetError(str(error)) from None
    if not isinstance(content, dict):
        raise DatasetError(f"{path}: not a STAC file (no table); build the dataset again")
    return content


def _parse(path: Path, content: dict[str, Any], part: type[P]) -> P:
    try:
        return part.model_validate(content)
    except ValidationError as error:
        raise DatasetError(f"{path}: {first_problem(error)}; build it again") from None


def _linked(root: Path, path: Path, links: tuple[_Link, ...], rel: str) -> Iterator[Path]:
    return (_place(root, path, link.href) for link in links if link.rel == rel)


def _place(root: Path, path: Path, href: str) -> Path:
    """The file that a catalog file at `path` names; it is there."""
    try:
        place = place_inside(root, path.parent, href)
    except InputError as error:
        raise DatasetError(str(error)) from None
    if not place.is_file():
        raise DatasetError(f"{place}: the catalog names this file, but it is not there")
    return place


def _read_site(root: Path, path: Path) -> Site:
    site = _parse(path, _content(path), _Collection)
    try:
        grid = Grid(site.code or site.wkt or "", Affine(*site.transform[:6]), site.shape)
    except GridError as error:
        raise DatasetError(f"{path}: {error}") from None
    regions = tuple(Region(region.split, Window(*region.window)) for region in site.regions)
    if any(not grid.window.contains(region.window) for region in regions):
        raise DatasetError(f"{path}: a region reaches outside the {grid.size_text}")
    acquisitions = [_read_acquisition(root, item) for item in _linked(root, path, site.links, "item")]
    if len({acquisition.date for acquisition in acquisitions}) != len(acquisitions) or not acquisitions:
        raise DatasetError(f"{path}: expected one or more images, each of its own day; build it again")
    labels, roads = site.assets.labels, site.assets.roads
    return Site(
        name=site.id,
        grid=grid,
        acquisitions=tuple(sorted(acquisitions, key=lambda acquisition: acquisition.date)),
        labels=_place(root, path, labels.href),
        labels_sha256=stac.read_checksum({"file:checksum": labels.checksum}),
        roads=None if roads is None else _place(root, path, roads.href),
        regions=regions,
        labels_date=site.labels_date,
        shift_m=site.shift_m,
        finer=site.finer,
    )


def _read_acquisition(root: Path, path: Path) -> Acquisition:
    item = _parse(path, _content(path), _Item)
    image, properties = item.assets.image, item.properties
    return Acquisition(
        properties.datetime.date(),
        _place(root, path, image.href),
        stac.read_checksum({"file:checksum": image.checksum}),
        properties.shift_m,
        Conditions(properties.cloud, properties.azimuth, properties.elevation),
        properties.masks,
    )
