"""What is to be mapped, with which model, and where the maps go: what a user asks for."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from swath.dataset.site import CATALOG, Dataset
from swath.errors import InputError, ModelError, SettingsError
from swath.files import TemporaryFolder
from swath.grid import Grid
from swath.mapping.arrays import Date, LabelledArray, Stack, as_dates, band_names
from swath.mapping.options import DEFAULTS, MapOptions
from swath.mapping.sources import Series, check_images, scene_series, select_sites, site_series
from swath.mapping.stages import MappedSite, map_sites
from swath.maps.maps import Maps
from swath.models.spec import ModelSpec
from swath.models.starter import STARTER_NAME, find_run
from swath.models.trained import TrainedModel, load_model
from swath.names import SITE_NAME
from swath.sites.schema import SplitName

UNNAMED = "map"
"""The site of images that nothing names."""


Scenes = Path | str | Sequence[Path | str] | Dataset | NDArray[np.generic] | LabelledArray
Model = TrainedModel | Path | str
Level = Literal["L1C", "L2A"]
Split = SplitName | Literal["all"]


class Facts(TypedDict, total=False):
    """What may be said of scenes; see `Request`."""

    name: str | None
    bands: Sequence[str] | None
    mask: str | None
    level: Level | None
    grid: Grid | None
    dates: Sequence[Date]
    split: Split
    sites: Sequence[str]


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """Which series are to be mapped.

    Attributes:
        scenes: Paths of images of one place, a date each; or a dataset; or images in memory.
        name: Of the place, and of its folder; None: that of the images' folder.
        bands: Names of the bands in their order; None: as the images say, or of an array that does
            not say those that the model reads.
        mask: What not to use: a raster that is not 0 there (`{date}` in its path is each one's), or
            `ukis-csmask`, a model of clouds and shadows.
        level: Processing level of image files, for that model.
        grid: Where the pixels of a plain array lie; of files, where the map lies, None: what they cover.
        dates: Days of a plain array's images; of a dataset, those to map: none are the last ones.
        split: Sites of a dataset, as the model's run had split them.
        sites: Only these sites of the split; none are all of them.
    """

    scenes: Scenes
    name: str | None = None
    bands: Sequence[str] | None = None
    mask: str | None = None
    level: Level | None = None
    grid: Grid | None = None
    dates: Sequence[Date] = ()
    split: Split = "all"
    sites: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.name is not None and not SITE_NAME.fullmatch(self.name):
            raise SettingsError(
                f"a site's name becomes a folder: letters, digits, _ and -; got {self.name!r}"
            )
        placed = self.grid is not None or len(self.dates) > 0
        if isinstance(self.scenes, Dataset):
            facts = (self.name, self.bands, self.mask, self.level, self.grid)
            if any(fact is not None for fact in facts):
                raise SettingsError("name, bands, mask, level and grid are for images; a dataset has its own")
        elif self.split != "all" or self.sites:
            raise SettingsError("split and sites choose from a dataset; images are all mapped")
        elif self.paths is not None and len(self.dates) > 0:
            raise SettingsError("dates are for arrays; files have their own")
        elif isinstance(self.scenes, LabelledArray) and placed:
            raise SettingsError("grid and dates are for plain arrays; this one has its own")

    @property
    def paths(self) -> tuple[Path, ...] | None:
        """The image files; None for a dataset and for images in memory."""
        if isinstance(self.scenes, Path | str):
            return (Path(self.scenes),)
        if isinstance(self.scenes, Dataset | np.ndarray | LabelledArray):
            return None
        return tuple(map(Path, self.scenes))

    @contextmanager
    def series(self, spec: ModelSpec) -> Iterator[tuple[Series, ...]]:
        """Read the headers; give the series for a model, which can be read while the block lasts.

        Images in memory are written as files first, and mapped as files are.

        Raises:
            InputError: An image that is missing or unusable.
            DatasetError: A site or date that the dataset does not have.
            ModelError: The dataset's images are not what the model reads.
        """
        paths = self.paths
        if paths is not None:
            if not paths:
                raise InputError("no images to map")
            yield (self._of_files(paths, spec, self.name or folder_name(paths[0])),)
        elif isinstance(self.scenes, Dataset):
            check_images(self.scenes, spec)
            split = None if self.split == "all" else self.split
            sites = select_sites(self.scenes, spec, split, self.sites)
            days = as_dates(self.dates)
            yield tuple(site_series(site, self.scenes, spec.dates, days) for site in sites)
        else:
            with TemporaryDirectory(prefix="swath-") as folder:
                written = self._stack(spec).write(Path(folder))
                plain = replace(self, bands=None, grid=None, dates=())
                yield (plain._of_files(written, spec, self.name or UNNAMED),)

    def _of_files(self, paths: Sequence[Path], spec: ModelSpec, name: str) -> Series:
        for path in paths:
            if (path / CATALOG).is_file():
                raise InputError(
                    f"{path} is a dataset, not an image; open it (open_dataset) and give it as the dataset"
                )
        bands = None if self.bands is None else tuple(self.bands)
        return scene_series(name, paths, bands, spec.image, self.mask, self.level, self.grid)

    def _stack(self, spec: ModelSpec) -> Stack:
        if isinstance(self.scenes, np.ndarray):
            bands = self.bands or spec.image.bands
            return Stack.of_numpy(self.scenes, self.grid, self.dates, bands)
        assert isinstance(self.scenes, LabelledArray)
        bands = self.bands or band_names(self.scenes) or spec.image.bands
        return Stack.of_labelled(self.scenes, bands)


def map_scenes(
    scenes: Scenes,
    model: Model = STARTER_NAME,
    *,
    out: Path | str | None = None,
    options: MapOptions = DEFAULTS,
    **facts: Unpack[Facts],
) -> Maps:
    """Map images of one place, or the sites of a dataset.

    Args:
        scenes: Paths of GeoTIFFs with YYYY-MM-DD in their names, or of Sentinel-2 products (.SAFE
            folders or their zips): one, several, or a pattern with `*`. Or a dataset that is open
            (`open_dataset`). Or images in memory, 0 = no data, as uint8 (True Colour) or uint16
            (reflectance x 10000): a NumPy array (T, C, H, W), plain or masked, with its `grid` and
            `dates`; or an xarray `DataArray` with the axes time, band, y and x, and a CRS.
        model: What `load_model` gave, a run's folder, or `starter`: the weights that come with
            swath, which read bands B04, B03, B02 and B08.
        out: MAPS, the folder to map into; None: a temporary one that lives as long as the maps.
        options: How.
        facts: What is said of the scenes. `name`: of the place. `bands`: their names in order.
            `mask`: a raster that is not 0 where pixels are not to be used, or `ukis-csmask`, a model
            of clouds, for which image files need their `level` (`L1C`, `L2A`). `grid`, `dates`: of a
            NumPy array; `grid` also of files that are mapped in part. Of a dataset: `split` (all
            sites unless given), `sites`, `dates`.

    Returns:
        The maps of all that was asked for.

    Raises:
        InputError: An image that is missing or unusable.
        SettingsError: Facts or options that do not fit.
        DatasetError: A site or date that the dataset does not have.
        ModelError: The model cannot be read, or not used on these images.
        OutputExistsError: There are other maps in `out`, and neither `resume` nor `overwrite` is
            set.

    Example:
        >>> import swath
        >>> maps = swath.map_scenes("town/*.tif", "run")
        >>> maps.dates[0].isoformat(), maps.pmap().shape
        ('2019-03-11', (2, 96, 96))

        An array is mapped as a file is:

        >>> import numpy as np
        >>> image = np.full((1, 3, 96, 96), 90, np.uint8)
        >>> grey = swath.map_scenes(image, "run", grid=maps.grid, dates=["2019-03-11"])
        >>> grey.classes().shape
        (96, 96)
    """
    place = TemporaryFolder() if out is None else Path(out)
    folder = place if isinstance(place, Path) else place.path
    mapped = map_request(Request(scenes, **facts), find_model(model), folder, options)
    return Maps(folder, [site.maps for site in mapped], keeper=place)


def map_request(
    request: Request, model: TrainedModel, out: Path, options: MapOptions = DEFAULTS
) -> tuple[MappedSite, ...]:
    """Map what is asked for, and tell what was done; see `map_scenes`."""
    predictor = options.predictor(model)
    reads = (request.scenes.root,) if isinstance(request.scenes, Dataset) else ()
    with request.series(model.spec) as wanted:
        return map_sites(predictor, run_of(model), wanted, out, options, reads)


def find_model(model: Model) -> TrainedModel:
    """A model as it is given, or read from its run's folder, or the `starter`."""
    if isinstance(model, TrainedModel):
        return model
    return load_model(find_run(model))


def run_of(model: TrainedModel) -> Path:
    """The folder that a model was read from; ModelError if there is none."""
    if model.folder is None:
        raise ModelError("the model lies in memory only; save it, and load it from its folder")
    return model.folder


def folder_name(path: Path) -> str:
    """The name of a site whose images lie beside `path`."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", path.absolute().parent.name).strip("_-")[:100] or UNNAMED
