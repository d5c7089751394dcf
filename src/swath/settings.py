"""What users write: the sites file, and the settings of a training run with their presets."""

import datetime as dt
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from swath.files import read_yaml
from swath.sentinel2 import BANDS, TCI_BANDS

SplitName = Literal["train", "validation", "test"]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ImageSettings(_Strict):
    """What the network is shown.

    Attributes:
        bands: Names of the bands, in the order of the network's input.
        encoding: `tci`: uint8, the fixed stretch of ESA's True Colour Image; `reflectance`: uint16
            reflectance x 10000.
    """

    bands: tuple[str, ...] = TCI_BANDS
    encoding: Literal["tci", "reflectance"] = "tci"

    @model_validator(mode="after")
    def _check(self) -> Self:
        unknown = [band for band in self.bands if band not in BANDS]
        if unknown or not self.bands or len(set(self.bands)) != len(self.bands):
            raise ValueError(f"bands must be distinct names of {', '.join(BANDS)}")
        return self


class Widening(_Strict):
    """How burnt lines are widened.

    Attributes:
        method: `dilate` (the paper's choice) or `gaussian` (its alternative: a blur, cut at half of
            the value that a straight line one pixel wide keeps at `sigma_px`).
        shape: Structuring element of one dilation: 3 x 3 `cross` or `square`, or a `disk` of
            radius `times` px applied once.
        times: How often (or the disk's radius).
        sigma_px: Standard deviation of the Gaussian.
    """

    method: Literal["dilate", "gaussian"] = "dilate"
    shape: Literal["cross", "square", "disk"] = "square"
    times: int = Field(default=1, ge=0, le=20)
    sigma_px: float = Field(default=1.0, gt=0, le=20)


class SceneSettings(_Strict):
    """One acquisition of a site.

    Attributes:
        path: GeoTIFF, relative to the sites file. A glob such as `rennes/*.tif` stands for one
            acquisition a file.
        date: Day of acquisition; None if the file's name holds it as YYYY-MM-DD or YYYYMMDD.
        bands: Band names in the file's order; None if its band descriptions say so.
        exclude: Dates to leave out where `path` is a glob (clouded ones, say).
    """

    path: str
    date: dt.date | None = None
    bands: tuple[str, ...] | None = None
    exclude: tuple[dt.date, ...] = ()


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


class SiteSettings(_Strict):
    """One place: its images, its labels, and the split it belongs to.

    Attributes:
        scenes: The acquisitions, at least one.
        split: The split of the whole site; or give `regions`.
        regions: Rectangles of the site, each in a split, apart by at least `guard_px`.
        guard_px: Strip between regions of different splits that belongs to none.
        bounds: (west, south, east, north) in degrees; None: where all scenes overlap.
        crs: Projected system in metres; None: the UTM zone of the centre.
        labels: Vector file with the labelled features, relative to the sites file.
        coverage: Polygons inside which the labels are complete; outside is *ignore*.
        ignore: Polygons to be ignored.
    """

    scenes: Annotated[tuple[SceneSettings, ...], Field(min_length=1)]
    split: SplitName | None = None
    regions: tuple[RegionSettings, ...] = ()
    guard_px: int = Field(default=96, ge=0)
    bounds: tuple[float, float, float, float] | None = None
    crs: str | None = None
    labels: str
    coverage: str | None = None
    ignore: str | None = None

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
        sites: Site name -> its settings. Names become folders: letters, digits, `_` and `-`.
        attribution: Who made the data; kept in the catalogue and in every map.
    """

    legend: str = "roads"
    image: ImageSettings = ImageSettings()
    resolution_m: float = Field(default=10.0, gt=0)
    widening: Widening = Widening()
    sites: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")], SiteSettings]
    attribution: str = "Contains modified Copernicus Sentinel data; (c) OpenStreetMap contributors"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.sites:
            raise ValueError("a sites file needs at least one site")
        return self


def read_sites_file(path: Path) -> SitesFile:
    """Read SITES.yaml.

    Raises:
        SettingsError: The file is missing, or breaks the format (unknown key, bad value).
    """
    return read_yaml(path, SitesFile)
