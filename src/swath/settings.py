"""What users write: the sites file, and the settings of a training run with their presets."""

import datetime as dt
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from swath.errors import InputError
from swath.files import read_yaml
from swath.sentinel2 import TCI_BANDS, check_bands

SplitName = Literal["train", "validation", "test"]

ShiftMetres = Annotated[float, Field(ge=-500, le=500)]


Encoding = Literal["tci", "reflectance", "dos", "standardised"]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ImageSettings(_Strict):
    """What the network is shown.

    Attributes:
        bands: Names of the bands, in the order of the network's input.
        encoding: `tci`: uint8, the fixed stretch of ESA's True Colour Image; `reflectance`: uint16
            reflectance x 10000; `dos`: the same after dark object subtraction, so that haze and
            the difference between Level-1C and Level-2A weigh less; `standardised`: every band of
            every scene has the same median and spread, so that sun, season and even haze weigh
            less as well (see `swath.scenes.levels`).
    """

    bands: tuple[str, ...] = TCI_BANDS
    encoding: Encoding = "tci"

    @model_validator(mode="after")
    def _check(self) -> Self:
        try:
            check_bands(self.bands)
        except InputError as error:
            raise ValueError(str(error)) from None
        return self


class Widening(_Strict):
    """How burnt lines are widened.

    Attributes:
        method: `dilate` (the paper's choice), `gaussian` (its alternative: a blur, cut at half of
            the value that a straight line one pixel wide keeps at `sigma_px`), or `width`: every
            line gets the width in metres that the legend gives it, and at least one pixel.
        shape: Structuring element of one dilation: 3 x 3 `cross` or `square`, or a `disk` of
            radius `times` px applied once.
        times: How often (or the disk's radius).
        sigma_px: Standard deviation of the Gaussian.
        ring_px: How many pixels around the widened lines are ignored, since a road's edge lies
            anywhere in them; None: 1 with `width`, else 0.
    """

    method: Literal["dilate", "gaussian", "width"] = "dilate"
    shape: Literal["cross", "square", "disk"] = "square"
    times: int = Field(default=1, ge=0, le=20)
    sigma_px: float = Field(default=1.0, gt=0, le=20)
    ring_px: int | None = Field(default=None, ge=0, le=20)

    @property
    def ring(self) -> int:
        """Pixels to ignore around lines, the default worked out."""
        if self.ring_px is None:
            return 1 if self.method == "width" else 0
        return self.ring_px


class SceneSettings(_Strict):
    """One acquisition of a site.

    Attributes:
        path: GeoTIFF or Sentinel-2 product (`.SAFE` folder or its zip), relative to the sites file.
            A glob such as `rennes/*.tif` stands for one acquisition a file.
        date: Day of acquisition; None if the file's name holds it as YYYY-MM-DD or YYYYMMDD.
        bands: Band names in the file's order; None if its band descriptions say so.
        exclude: Dates to leave out where `path` is a glob (clouded ones, say).
        mask: GeoTIFF, relative to the sites file, whose pixels other than 0 are not to be used
            (clouds, say); `{date}` in it stands for the acquisition's YYYY-MM-DD. Or `ukis-csmask`:
            the clouds and shadows that this model finds.
        level: Processing level of an image file, for the cloud model; a product says its own.
        scl_invalid: Classes of an L2A product's scene classification (SCL, 0..11) whose pixels are
            no data; None: 0, 1, 3, 8, 9, 10; an empty list: use all pixels.
        shift_m: (east, north) by which the image is moved, so that the dates of a site lie on one
            another: early Sentinel-2 images may be 10 m off. A `mask` stays where it is.
    """

    path: str
    date: dt.date | None = None
    bands: tuple[str, ...] | None = None
    exclude: tuple[dt.date, ...] = ()
    mask: str | None = None
    level: Literal["L1C", "L2A"] | None = None
    scl_invalid: tuple[Annotated[int, Field(ge=0, le=11)], ...] | None = None
    shift_m: tuple[ShiftMetres, ShiftMetres] = (0.0, 0.0)


class RegionSettings(_Strict):
    """A rectangle of a site that belongs to one split.

    Attributes:
        split: Which split.
        box: (left, top, right, bottom) as fractions 0..1 of the site's grid, (0, 0) = north-west.
    """

    split: SplitName
    box: tuple[float, float, float, float]

    @model_validator(mode="after")
    def _check(self) -> Self:
        left, top, right, bottom = self.box
        if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
            raise ValueError("box must be (left, top, right, bottom) as fractions 0..1")
        return self


class LabelSettings(_Strict):
    """Where the labelled features come from: a file, or an Overpass server as of a date.

    Attributes:
        path: Vector file or OpenStreetMap extract, relative to the sites file.
        as_of: The day (0:00 UTC) whose state of a full-history file (`.osh.pbf`) is wanted.
        overpass: URL of an Overpass interpreter, or a name that `swath.labels.overpass` knows.
        date: The day (0:00 UTC) whose state of OpenStreetMap Overpass is asked for.
    """

    path: str | None = None
    as_of: dt.date | None = None
    overpass: str | None = None
    date: dt.date | None = None

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.path is None) == (self.overpass is None):
            raise ValueError("give either path (a file) or overpass (a server), not both")
        if self.path is not None and self.date is not None:
            raise ValueError("date belongs to overpass; a full-history file takes as_of")
        if self.overpass is not None and (self.date is None or self.as_of is not None):
            raise ValueError("overpass needs date, the day whose OpenStreetMap is wanted")
        return self


class FetchSettings(_Strict):
    """What `swath fetch` looks for; a site may say it differently in its own `fetch`.

    Attributes:
        api: `earth-search`, `planetary-computer`, `copernicus`, or the URL of a STAC API.
        collection: Name of the collection; None: the one that goes with the API.
        source: `visual`: the 8-bit True Colour Image; `bands`: reflectance, band by band; `auto`:
            `visual` where the network is shown just that.
        access: `window`: read the site's part of a cloud-optimised file; `download`: the whole
            file, its checksum verified; `auto`: by the kind of file.
        start: First day; may be None where `wishes` are given.
        end: Last day.
        dates: How many acquisitions.
        wishes: Days that are wanted; they replace `dates`.
        within_days: How far from a wish an acquisition may be.
        max_cloud: Share of the *site*, in percent, that may be cloud, shadow, snow or no data.
        max_tile_cloud: Cloud of the whole item, in percent, above which it is not looked at.
        min_cover: Share of the site, in percent, that one item must cover.
        clear_by: `scl`: by the scene classification inside the site; `tile`: by the item's cloud
            cover alone.
        mask: `scl`: what the scene classification calls cloud, cirrus, shadow or defective
            becomes no data; `none`: the images stay as they are.
        offset_dn: What to add to the stored numbers, where the metadata are known to be wrong.
        mgrs_tile: Only items of this tile, such as `15SUD`.
    """

    api: str = "earth-search"
    collection: str | None = None
    source: Literal["auto", "visual", "bands"] = "auto"
    access: Literal["auto", "window", "download"] = "auto"
    start: dt.date | None = None
    end: dt.date | None = None
    dates: int = Field(default=3, ge=1, le=24)
    wishes: tuple[dt.date, ...] = ()
    within_days: int = Field(default=5, ge=0, le=60)
    max_cloud: float = Field(default=5.0, ge=0, le=100)
    max_tile_cloud: float = Field(default=60.0, ge=0, le=100)
    min_cover: float = Field(default=99.9, gt=0, le=100)
    clear_by: Literal["scl", "tile"] = "scl"
    mask: Literal["scl", "none"] = "scl"
    offset_dn: int | None = Field(default=None, ge=-10_000, le=10_000)
    mgrs_tile: str | None = Field(default=None, pattern=r"^[0-9]{1,2}[C-X][A-Z]{2}$")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.start is not None and self.end is not None and self.start > self.end:
            raise ValueError(f"start {self.start} is after end {self.end}")
        if len(set(self.wishes)) != len(self.wishes):
            raise ValueError("wishes must be different days")
        return self

    def merged(self, site: "FetchSettings | None") -> "FetchSettings":
        """These settings, with what a site's own `fetch` sets in their place."""
        if site is None:
            return self
        said = {name: getattr(site, name) for name in site.model_fields_set}
        return FetchSettings.model_validate(
            {**{name: getattr(self, name) for name in self.model_fields_set}, **said}
        )


class SiteSettings(_Strict):
    """One place: its images, its labels, and the split it belongs to.

    Attributes:
        scenes: The acquisitions; at least one to build, none yet to fetch.
        fetch: What to fetch for this site, where it differs from the file's `fetch`.
        split: The split of the whole site; or give `regions`.
        regions: Rectangles of the site, each in a split, apart by at least `guard_px`.
        guard_px: Strip between regions of different splits that belongs to none.
        bounds: (west, south, east, north) in degrees; None: where all scenes overlap.
        crs: Projected system in metres; None: the UTM zone of the centre.
        labels: Where the labelled features come from; plain text is the path of a file. Needed to
            build.
        coverage: Polygons inside which the labels are complete; outside is *ignore*.
        ignore: Polygons to be ignored.
        shift_m: (east, north) in metres by which the features of the labels are moved before they
            are burnt; `swath labels check` prints the line to paste.
        labels_date: Day whose state the labels show, where their source does not say it.
    """

    scenes: Annotated[tuple[SceneSettings, ...], Field(min_length=1)] = ()
    fetch: FetchSettings | None = None
    split: SplitName | None = None
    regions: tuple[RegionSettings, ...] = ()
    guard_px: int = Field(default=96, ge=0)
    bounds: tuple[float, float, float, float] | None = None
    crs: str | None = None
    labels: LabelSettings | None = None
    coverage: str | None = None
    ignore: str | None = None
    shift_m: tuple[ShiftMetres, ShiftMetres] = (0.0, 0.0)
    labels_date: dt.date | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.split is None) == (not self.regions):
            raise ValueError("give either split (whole site) or regions (rectangles), not both")
        return self


class SitesFile(_Strict):
    """SITES.yaml: everything `swath build` needs to make a dataset.

    Attributes:
        legend: Name of a shipped legend, or the path of a YAML file beside this one.
        image: What the network is shown.
        resolution_m: Pixel size of every site's grid.
        widening: How burnt lines are widened.
        fetch: What `swath fetch` looks for.
        sites: Site name -> its settings. Names become folders: letters, digits, `_` and `-`.
        attribution: Who made the data; kept in the catalogue and in every map.
    """

    legend: str = "roads"
    image: ImageSettings = ImageSettings()
    resolution_m: float = Field(default=10.0, gt=0)
    widening: Widening = Widening()
    fetch: FetchSettings = FetchSettings()
    sites: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")], SiteSettings]
    attribution: str = "Contains modified Copernicus Sentinel data; (c) OpenStreetMap contributors"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.sites:
            raise ValueError("a sites file needs at least one site")
        if "all" in self.sites:
            raise ValueError("a site cannot be called 'all': reports use it for all sites together")
        return self


def read_sites_file(path: Path) -> SitesFile:
    """Read SITES.yaml.

    Raises:
        SettingsError: The file is missing, or breaks the format (unknown key, bad value).
    """
    return read_yaml(path, SitesFile)
