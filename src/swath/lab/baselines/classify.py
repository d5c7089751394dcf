"""Fitting a classifier of pixels and mapping with it, in one process: nothing is stored of it."""

import datetime as dt
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pystac
from numpy.typing import NDArray
from shapely.geometry import box, mapping

from swath.dataset.patches import measure_scaling
from swath.dataset.site import Dataset
from swath.errors import ModelError
from swath.files import sha256, write_json
from swath.grid import Window
from swath.lab.baselines.methods import METHODS, Classifier
from swath.lab.baselines.sample import PixelSample, draw_sample, stack_dates
from swath.lab.baselines.settings import PixelSettings
from swath.legend import Legend
from swath.mapping.predict import DatedImage
from swath.mapping.sources import Series, join_attributions
from swath.maps.manifest import CLASSES_NAME, MANIFEST_NAME, Manifest, Mapped, Output, Settings
from swath.maps.rasters import (
    fused_layers,
    fused_rasters,
    pmap_raster,
    writing_rasters,
)
from swath.maps.sitemaps import SiteMaps, encode_pmap
from swath.maps.vectors import write_vectors
from swath.outfolder import Kind, replacing_folder
from swath.progress import track
from swath.scaling import Scaling
from swath.sentinel2 import valid_mask
from swath.tiles import plan_tiles

TILE_PX = 512
"""Side of the pieces that are mapped at once; it changes no pixel."""


@dataclass(frozen=True, slots=True)
class PixelModel:
    """A fitted classifier of pixels.

    Attributes:
        settings: How it was made.
        dates: T, the only length of a series that it takes.
        scaling: From digital numbers to features.
        legend: The classes.
        splits: Split -> names of sites.
        attribution: Who made the training data.
        classifier: Of scikit-learn, fitted.
        prior: (known classes,) what corrects its probabilities for the balanced sample.
    """

    settings: PixelSettings
    dates: int
    scaling: Scaling
    legend: Legend
    splits: dict[str, list[str]]
    attribution: str
    classifier: Classifier
    prior: NDArray[np.float64]

    def predict(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map a series.

        Args:
            images: (T, C, H, W) float32, scaled; 0 where there is no data.

        Returns:
            (lc, H, W) float32 probabilities; they sum to 1.
        """
        height, width = images.shape[-2:]
        chance = self.classifier.predict_proba(stack_dates(images)) * self.prior
        chance /= chance.sum(axis=1, keepdims=True)
        pmap = np.zeros((len(self.legend.classes), height * width), np.float32)
        pmap[self.classifier.classes_] = chance.T
        return pmap.reshape(-1, height, width)


def fit(dataset: Dataset, settings: PixelSettings, dates: int, seed: int) -> PixelModel:
    """Fit a classifier on the training sites.

    It learns from as many pixels of each class where there are enough; its probabilities are then
    corrected for how frequent the classes are in the training sites.

    Args:
        dataset: With its splits.
        settings: Which classifier.
        dates: T; the last ones of each site are taken.
        seed: Of the draw and the classifier.

    Raises:
        DatasetError: Fewer than two classes have a pixel.
        ModelError: The labels are finer than the images.

    Source: the correction: M. Saerens, P. Latinne, C. Decaestecker, Neural Computation 14 (2002),
    equation 2.4.
    """
    if dataset.finer > 1:
        raise ModelError(
            f"classifiers of pixels map the pixels of the image, and the labels of {dataset.root} have "
            f"{dataset.finer} x {dataset.finer} to each; build the dataset with finer: 1"
        )
    scaling = measure_scaling(dataset)
    sample = draw_sample(dataset, scaling, dates, settings.pixels, seed)
    classifier = METHODS[settings.method](seed)
    classifier.fit(sample.features, sample.labels)
    return PixelModel(
        settings,
        dates,
        scaling,
        dataset.legend,
        dataset.splits,
        dataset.attribution,
        classifier,
        _prior(sample, classifier.classes_),
    )


def _prior(sample: PixelSample, classes: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How frequent the classes are, over how frequent the classifier was shown them."""
    drawn = np.array([(sample.labels == c).mean() for c in classes])
    ratio: NDArray[np.float64] = sample.share[classes] / drawn
    return ratio


def map_pixels(model: PixelModel, series: Series, out: Path) -> SiteMaps:
    """Map a series into `out`/<site>: the rasters and vectors of `swath map`, and their item.

    A date alone is mapped as a series of that date only, repeated: as networks for whole series do.

    Args:
        model: The fitted classifier.
        series: What to map.
        out: MAPS.

    Raises:
        ModelError: A series of another length than the classifier was fitted for.
        InputError: An image cannot be read.
    """
    if len(series.dates) != model.dates:
        raise ModelError(
            f"{model.settings.method} was fitted on {model.dates} dates, {series.site} has "
            f"{len(series.dates)}; give that many"
        )
    home = out / series.site
    with replacing_folder(home, Kind.MAPS, overwrite=True) as folder:
        maps = SiteMaps(
            folder=folder,
            site=series.site,
            dates=series.dates,
            legend=model.legend,
            model=model.settings.method,
            fusion="series",
            splits=model.splits,
            attribution=join_attributions([source.attribution for source in series.sources]),
        )
        scratch = folder / ".series"
        images = [source.prepare(scratch) for source in series.sources]
        tiles = plan_tiles(series.grid.shape, TILE_PX, 0, 1)
        rasters = [
            *(pmap_raster(s.date, model.legend, s.attribution) for s in series.sources),
            *fused_rasters(series.dates, model.legend, maps.attribution),
        ]
        with writing_rasters(folder, series.grid, rasters) as write:
            for tile in track(tiles, f"mapping {series.site}"):
                write(tile.core, _predict(model, images, tile.core))
        shutil.rmtree(scratch, ignore_errors=True)
        write_vectors(maps)
        _write_item(maps, series)
        _write_manifest(maps, series)
    return maps.model_copy(update={"folder": home})


def _predict(model: PixelModel, images: Sequence[DatedImage], core: Window) -> list[NDArray[np.uint8]]:
    """What each raster gets: the PMap of every date, the fused one, classes and composite.

    These classifiers know no gaps: where a date has no data they see the mean of the training pixels.
    """
    pixels = np.stack([image.read(core) for image in images])
    valid = valid_mask(pixels)
    scaled = model.scaling.apply(pixels)
    dated = np.stack(
        [
            encode_pmap(model.predict(np.stack([date] * model.dates)), seen)
            for date, seen in zip(scaled, valid, strict=True)
        ]
    )
    fused = encode_pmap(model.predict(scaled), np.asarray(valid.any(axis=0)))
    dates = [image.date for image in images]
    return [*dated, *fused_layers(fused, dated, dates)]


def _write_item(maps: SiteMaps, series: Series) -> None:
    """A plain STAC item: there is no model file that it could describe."""
    bounds = list(series.grid.lonlat_bounds)
    item = pystac.Item(
        id=maps.site,
        geometry=dict(mapping(box(*bounds))),
        bbox=bounds,
        datetime=None,
        start_datetime=dt.datetime.combine(maps.dates[0], dt.time(), dt.UTC),
        end_datetime=dt.datetime.combine(maps.dates[-1], dt.time(23, 59, 59), dt.UTC),
        properties=maps.fields(),
    )
    for path in (*maps.raster_paths, *maps.vector_paths):
        item.add_asset(path.name, pystac.Asset(f"./{path.name}", roles=["data"]))
    write_json(maps.item_path, item.to_dict(include_self_link=False))


def _write_manifest(maps: SiteMaps, series: Series) -> None:
    """The manifest that reports and pages read; no run could make these maps again."""
    dates = {source.date: Mapped(source="", attribution=source.attribution) for source in series.sources}
    edge = 0.5 if len(maps.legend.classes) == 2 else None
    classes = Output(key="", sha256=sha256(maps.classes_path), threshold=edge)
    manifest = Manifest(
        run="",
        model_sha256="",
        settings=Settings(
            tile_px=TILE_PX, precision="fp32", orientations=1, device="cpu", max_dates=len(dates)
        ),
        crs=series.grid.crs,
        transform=tuple(series.grid.transform)[:6],
        shape=series.grid.shape,
        dates=dates,
        outputs={CLASSES_NAME: classes},
    )
    write_json(maps.folder / MANIFEST_NAME, manifest.model_dump(mode="json"))
