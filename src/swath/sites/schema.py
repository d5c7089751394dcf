"""The sites file: what users write of their places, and its checks."""

import datetime as dt
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BeforeValidator, Field, model_validator

from swath.files import write_text
from swath.grid import Finer
from swath.labels.burn import Widening
from swath.labels.source import LabelSettings
from swath.names import Line, SiteName
from swath.scenes.scene import SceneSettings, ShiftMetres
from swath.sentinel2 import ImageSettings
from swath.validation import Frozen, read_yaml

SplitName = Literal["train", "validation", "test"]

FINER_LINE_M = 15.0
"""Width of lines in labels finer than the images: three pixels of 5 m. Wider ones melt together."""


class RegionSettings(Frozen):
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


def _in_turn(value: object) -> object:
    """A list of texts; one text is a list of one."""
    return (value,) if isinstance(value, str) else value


class FetchSettings(Frozen):
    """What `swath fetch` looks for; a site may say it differently in its own `fetch`.

    Attributes:
        api: `earth-search`, `planetary-computer`, `copernicus`, or the URL of a STAC API; several
            are asked in turn until one serves.
        collection: Name of the collection; None: the one that goes with each API.
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
        min_cover: Share of the site, in percent, that the items of one flight must cover.
        clear_by: `scl`: by the scene classification inside the site; `tile`: by the item's cloud
            cover alone.
        mask: `scl`: what the scene classification calls cloud, cirrus, shadow or defective
            becomes no data; `none`: the images stay as they are.
        offset_dn: What to add to the stored numbers, where the metadata are known to be wrong.
        mgrs_tile: Only items of this tile, such as `15SUD`.
    """

    api: Annotated[tuple[str, ...], BeforeValidator(_in_turn), Field(min_length=1, max_length=8)] = (
        "earth-search",
        "planetary-computer",
    )
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
        both = self.model_dump(exclude_unset=True) | site.model_dump(exclude_unset=True)
        return FetchSettings.model_validate(both)


class SiteSettings(Frozen):
    """One place: its images, its labels, and the split it belongs to.

    Attributes:
        scenes: The acquisitions; at least one to build, none yet to fetch.
        fetch: What to fetch for this site, where it differs from the file's `fetch`.
        split: The split of the whole site; or give `regions`.
        regions: Rectangles of the site, each in a split, apart by at least `guard_px`.
        guard_px: Strip between regions of different splits that belongs to none.
        bounds: (west, south, east, north) in degrees, east below west across the 180th meridian;
            None: where all scenes overlap.
        crs: Projected system whose metres are true there; None: the UTM zone of the centre.
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
    guard_px: int = Field(default=96, ge=0, le=100_000)
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


class SitesFile(Frozen):
    """SITES.yaml: everything `swath build` needs to make a dataset.

    Attributes:
        legend: Name of a shipped legend, or the path of a YAML file beside this one.
        image: What the network is shown.
        resolution_m: Pixel size of every site's grid.
        finer: How many pixels of the labels, and of the maps of a model that learns from them, there
            are to the side of an image pixel: 1, 2 or 4.
        widening: How burnt lines are widened; None: as the paper does, and where labels are finer
            than images, to the legend's widths or else to `FINER_LINE_M`.
        fetch: What `swath fetch` looks for.
        sites: By name, which becomes a folder's: letters, digits, `_` and `-`.
        attribution: Who made the data; kept in the catalogue and in every map.
    """

    legend: str = "roads"
    image: ImageSettings = ImageSettings()
    resolution_m: float = Field(default=10.0, ge=0.1, le=1000)
    finer: Finer = 1
    widening: Widening | None = None
    fetch: FetchSettings = FetchSettings()
    sites: dict[SiteName, SiteSettings]
    attribution: Line = "Contains modified Copernicus Sentinel data; (c) OpenStreetMap contributors"

    @property
    def lines(self) -> Widening:
        """How burnt lines are widened, the default worked out."""
        if self.widening is not None:
            return self.widening
        if self.finer == 1:
            return Widening()
        return Widening(method="width", width_m=FINER_LINE_M, ring_px=0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.sites:
            raise ValueError("a sites file needs at least one site")
        if "all" in self.sites:
            raise ValueError("a site cannot be called 'all': reports use it for all sites together")
        folders: dict[str, str] = {}
        for name in self.sites:
            if (other := folders.setdefault(name.lower(), name)) != name:
                raise ValueError(f"sites {other} and {name} would share a folder where case does not count")
        return self


def read_sites_file(path: Path) -> SitesFile:
    """Read SITES.yaml.

    Raises:
        SettingsError: The file is missing, or breaks the format (unknown key, bad value).
    """
    return read_yaml(path, SitesFile)


def write_sites_file(path: Path, settings: SitesFile, *remarks: str) -> None:
    """Write SITES.yaml with remarks above it, a comment each; what is as by default is not said."""
    values = settings.model_dump(mode="json", exclude_defaults=True)
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    write_text(path, "".join(f"# {remark}\n" for remark in remarks) + text)
