"""All the maps of one site: rasters, vectors and the item that describes them."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from swath.files import replacing_folder
from swath.mapping.maps import SiteMaps
from swath.mapping.predict import Predictor, predict_series
from swath.mapping.rasters import writing_maps
from swath.mapping.series import Series
from swath.mapping.tiles import DEFAULT_TILE_PX
from swath.models.trained import WEIGHTS, ModelSpec, weights_hash
from swath.products.item import write_item
from swath.products.vectors import write_vectors
from swath.progress import track


@dataclass(frozen=True, slots=True)
class MappedSite:
    """What mapping a site gave.

    Attributes:
        maps: The maps.
        class_share: Class name -> its share of the pixels with data, 0..1.
        seconds: Wall time of all that was done for the site.
        mpx_per_s: Megapixels of images (pixels x dates) read, mapped and written a second.
    """

    maps: SiteMaps
    class_share: dict[str, float]
    seconds: float
    mpx_per_s: float


def map_site(
    predictor: Predictor,
    run: Path,
    series: Series,
    out: Path,
    *,
    tile_px: int = DEFAULT_TILE_PX,
    overwrite: bool = False,
) -> MappedSite:
    """Map a series into `out`/<site>: all of its files, or none.

    Other sites in `out` stay as they are.

    Args:
        predictor: The run's model.
        run: The run's folder, which holds the weights.
        series: What to map.
        out: MAPS.
        tile_px: Largest side of a tile.
        overwrite: Whether maps of this site may be replaced.

    Raises:
        OutputExistsError: The site has maps already, and `overwrite` is False.
        SettingsError: A tile size that is not a positive multiple of the model's stride.
        InputError: An image cannot be read.
    """
    began = time.perf_counter()
    spec = predictor.model.spec
    home = out / series.site
    tiles = len(predictor.plan(series.grid.shape, len(series.dates), tile_px))
    with replacing_folder(home, overwrite=overwrite) as folder:
        maps = SiteMaps(
            folder=folder,
            site=series.site,
            dates=series.dates,
            legend=spec.legend,
            model=spec.name,
            model_sha256=weights_hash(run),
            fusion=predictor.fusion,
            splits={split: tuple(names) for split, names in spec.splits.items()},
            attribution=_attribution(series.attribution, spec),
        )
        scratch = folder / ".series"
        scratch.mkdir()
        images = series.prepare(scratch)
        started = time.perf_counter()
        with writing_maps(
            folder, series.grid, series.dates, spec.legend, maps.attribution
        ) as writer:
            predictions = predict_series(predictor, images, series.grid.shape, tile_px)
            for prediction in track(predictions, f"mapping {series.site}", tiles):
                writer.write(prediction)
        mapped = time.perf_counter() - started
        shutil.rmtree(scratch)
        write_vectors(maps)
        write_item(maps, spec, run / WEIGHTS, series.grid)
    pixels = series.grid.window.size
    known = max(1, int(writer.class_counts.sum()))
    return MappedSite(
        maps.model_copy(update={"folder": home}),
        {
            name: int(count) / known
            for name, count in zip(spec.legend.names, writer.class_counts, strict=True)
        },
        time.perf_counter() - began,
        pixels * len(series.dates) / 1e6 / mapped,
    )


def _attribution(images: str, spec: ModelSpec) -> str:
    """Who made the images, and what the model learnt from where that is other data."""
    if not spec.attribution or spec.attribution == images:
        return images
    return f"{images}; model trained with: {spec.attribution}"
