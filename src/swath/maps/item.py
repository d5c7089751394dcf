"""The STAC item of a site's maps: where, when, which files, and which model made them."""

import os
from dataclasses import dataclass
from pathlib import Path

import pystac

from swath import stacfields as stac
from swath.files import write_json
from swath.grid import Grid
from swath.legend import Legend
from swath.maps.rasters import CHANGES_NODATA, COMPOSITE_NODATA, composite_dates
from swath.maps.sitemaps import PMAP_NODATA, PMAP_SCALE, SiteMaps
from swath.scaling import Scaling

EXTENSIONS = (stac.MLM, stac.PROJECTION, stac.RASTER, stac.EO, stac.CLASSIFICATION, stac.FILE)

SAFETENSORS = "application/octet-stream; application=safetensors"


@dataclass(frozen=True, slots=True)
class Maker:
    """The model that made maps.

    Attributes:
        name: Of its architecture.
        bands: What it reads.
        scaling: From digital numbers to its input.
        weights: Its weights file.
    """

    name: str
    bands: tuple[str, ...]
    scaling: Scaling
    weights: Path


def write_item(maps: SiteMaps, maker: Maker, grid: Grid, threshold: float | None) -> None:
    """Write item.json beside the maps that it describes.

    The fields `mlm:*` follow the Machine Learning Model extension; `swath:*` are what
    `swath.maps.sitemaps.read_maps` reads.

    Args:
        maps: What was written; all its files are in place.
        maker: Its weights are named relative to the item.
        grid: Of the maps.
        threshold: Of the class map, see `swath.maps.manifest.Manifest.threshold`.
    """
    item = pystac.Item(
        id=maps.site,
        geometry=stac.footprint(grid),
        bbox=list(grid.lonlat_bounds),
        datetime=None,
        start_datetime=stac.first_second(maps.all_dates[0]),
        end_datetime=stac.last_second(maps.dates[-1]),
        properties={
            "title": f"{' and '.join(c.name for c in maps.legend.foreground)} at {maps.site}",
            "license": "other",
            "providers": [{"name": maps.attribution, "roles": ["licensor"]}],
            "bands": [stac.band_fields(name) for name in maker.bands],
            **stac.projection(grid),
            "proj:bbox": list(grid.bounds),
            **_model_fields(maps.legend, maker),
            **maps.fields(),
        },
        stac_extensions=list(EXTENSIONS),
    )
    for date in maps.all_dates:
        path = maps.pmap_path(date)
        item.add_asset(path.stem, _pmap_asset(path, maps.legend, f"Probabilities of {date}"))
    fused = f"Probabilities of {len(maps.dates)} dates fused ({maps.fusion})"
    item.add_asset("pmap", _pmap_asset(maps.fused_path, maps.legend, fused))
    item.add_asset("classes", _classes_asset(maps, threshold))
    item.add_asset("composite", _composite_asset(maps))
    if maps.changes:
        item.add_asset("changes", _changes_asset(maps))
    for key, path, kind in (
        ("roads_gpkg", maps.gpkg_path, pystac.MediaType.GEOPACKAGE),
        ("roads_parquet", maps.parquet_path, stac.PARQUET),
    ):
        item.add_asset(key, _asset(path, "Foreground as vectors", kind, ["data"], {}))
    item.add_asset("model", _model_asset(maps, maker.weights))
    write_json(maps.item_path, item.to_dict(include_self_link=False))


def _model_fields(legend: Legend, maker: Maker) -> dict[str, object]:
    """The properties `mlm:*`; -1 stands for any size."""
    scaling = zip(maker.scaling.offset, maker.scaling.scale, strict=True)
    return {
        "mlm:name": f"swath-{maker.name}",
        "mlm:architecture": maker.name,
        "mlm:framework": "PyTorch",
        "mlm:tasks": ["semantic-segmentation"],
        "mlm:input": [
            {
                "name": "series",
                "description": "Images of one place, oldest first; pixels without data are 0",
                "bands": list(maker.bands),
                "input": {
                    "shape": [-1, -1, len(maker.bands), -1, -1],
                    "dim_order": ["batch", "time", "channel", "height", "width"],
                    "data_type": "float32",
                },
                "value_scaling": [
                    {"type": "z-score", "mean": mean, "stddev": deviation}
                    for mean, deviation in scaling
                ],
                "resize_type": None,
                "pre_processing_function": None,
            }
        ],
        "mlm:output": [
            {
                "name": "pmap",
                "description": "Probability of each class",
                "tasks": ["semantic-segmentation"],
                "result": {
                    "shape": [-1, len(legend.classes), -1, -1],
                    "dim_order": ["batch", "class", "height", "width"],
                    "data_type": "float32",
                },
                "classification:classes": stac.class_fields(legend),
                "post_processing_function": None,
            }
        ],
    }


def _asset(
    path: Path, title: str, media_type: str, roles: list[str], fields: dict[str, object]
) -> pystac.Asset:
    more = {"file:size": path.stat().st_size, **fields}
    return pystac.Asset(f"./{path.name}", title, None, media_type, roles, more)


def _pmap_asset(path: Path, legend: Legend, title: str) -> pystac.Asset:
    fields = {
        "data_type": "uint8",
        "nodata": PMAP_NODATA,
        "raster:scale": 1 / PMAP_SCALE,
        "bands": [{"name": name} for name in legend.names],
    }
    return _asset(path, title, pystac.MediaType.COG, ["data"], fields)


def _classes_asset(maps: SiteMaps, threshold: float | None) -> pystac.Asset:
    fields = {
        **({} if threshold is None else {"swath:threshold": threshold}),
        "data_type": "uint8",
        "nodata": PMAP_NODATA,
        "bands": [{"name": "class"}],
        "classification:classes": stac.class_fields(maps.legend),
    }
    return _asset(maps.classes_path, "Classes", pystac.MediaType.COG, ["data"], fields)


def _composite_asset(maps: SiteMaps) -> pystac.Asset:
    days = composite_dates(maps.dates)
    fields = {
        "data_type": "uint8",
        "nodata": COMPOSITE_NODATA,
        "bands": [
            {"name": color, "description": f"{' and '.join(map(str, shown))}"}
            for color, shown in zip(("red", "green", "blue"), days, strict=True)
        ],
    }
    title = "Three days as red, green and blue; white where all agree"
    return _asset(maps.composite_path, title, pystac.MediaType.COG, ["visual"], fields)


def _changes_asset(maps: SiteMaps) -> pystac.Asset:
    fields = {
        "data_type": "uint16",
        "nodata": CHANGES_NODATA,
        "bands": [
            {"name": "date", "description": "Days since 1970-01-01 of the added date"},
            {"name": "before", "description": "Class before that date was added"},
        ],
        "classification:classes": stac.class_fields(maps.legend),
    }
    title = "Where the class last changed when a date was added"
    return _asset(maps.changes_path, title, pystac.MediaType.COG, ["data"], fields)


def _model_asset(maps: SiteMaps, weights: Path) -> pystac.Asset:
    fields = {
        "mlm:artifact_type": "safetensors",
        **stac.checksum_fields(maps.model_sha256),
    }
    href = Path(os.path.relpath(weights, maps.folder)).as_posix()
    return pystac.Asset(href, "Weights", None, SAFETENSORS, ["mlm:model", "mlm:weights"], fields)
