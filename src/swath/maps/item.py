"""The STAC item of a site's maps: where, when, which files, and which model made them."""

import datetime as dt
import os
from pathlib import Path
from typing import Any

import pystac
import shapely
from pyproj import Transformer
from shapely.geometry import mapping

from swath.files import write_json
from swath.grid import Grid
from swath.legend import Legend
from swath.maps.rasters import CHANGES_NODATA, COMPOSITE_NODATA, composite_dates
from swath.maps.sitemaps import PMAP_NODATA, PMAP_SCALE, SiteMaps
from swath.models.spec import ModelSpec
from swath.scenes.raster import open_raster
from swath.sentinel2 import BANDS

MLM = "https://stac-extensions.github.io/mlm/v1.4.0/schema.json"

EXTENSIONS = (
    MLM,
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/raster/v2.0.0/schema.json",
    "https://stac-extensions.github.io/eo/v2.0.0/schema.json",
    "https://stac-extensions.github.io/classification/v2.0.0/schema.json",
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
)

PARQUET = "application/vnd.apache.parquet"
SAFETENSORS = "application/octet-stream; application=safetensors"

_SHA256_PREFIX = "1220"
"""The file extension stores multihashes: 0x12 = SHA-256, 0x20 = its 32 bytes."""


def write_item(maps: SiteMaps, spec: ModelSpec, weights: Path, grid: Grid) -> None:
    """Write item.json beside the maps that it describes.

    The fields `mlm:*` follow the Machine Learning Model extension; `swath:*` are what
    `swath.maps.sitemaps.read_maps` reads.

    Args:
        maps: What was written; all its files are in place.
        spec: Of the model.
        weights: The model's weights; named relative to the item.
        grid: Of the maps.
    """
    item = pystac.Item(
        id=maps.site,
        geometry=_footprint(grid),
        bbox=list(grid.lonlat_bounds),
        datetime=None,
        start_datetime=dt.datetime.combine(maps.all_dates[0], dt.time(), dt.UTC),
        end_datetime=dt.datetime.combine(maps.dates[-1], dt.time(23, 59, 59), dt.UTC),
        properties={
            "title": f"{' and '.join(c.name for c in maps.legend.foreground)} at {maps.site}",
            "license": "other",
            "providers": [{"name": maps.attribution, "roles": ["licensor"]}],
            "bands": [_input_band(name) for name in spec.image.bands],
            **_projection(grid),
            **_model_fields(maps, spec),
            **maps.fields(),
        },
        stac_extensions=list(EXTENSIONS),
    )
    for date in maps.all_dates:
        path = maps.pmap_path(date)
        item.add_asset(path.stem, _pmap_asset(path, maps.legend, f"Probabilities of {date}"))
    fused = f"Probabilities of {len(maps.dates)} dates fused ({maps.fusion})"
    item.add_asset("pmap", _pmap_asset(maps.fused_path, maps.legend, fused))
    item.add_asset("classes", _classes_asset(maps))
    item.add_asset("composite", _composite_asset(maps))
    if maps.changes:
        item.add_asset("changes", _changes_asset(maps))
    for key, path, kind in (
        ("roads_gpkg", maps.gpkg_path, pystac.MediaType.GEOPACKAGE),
        ("roads_parquet", maps.parquet_path, PARQUET),
    ):
        item.add_asset(key, _asset(path, "Foreground as vectors", kind, ["data"], {}))
    item.add_asset("model", _model_asset(maps, weights))
    write_json(maps.item_path, item.to_dict(include_self_link=False))


def _footprint(grid: Grid) -> dict[str, Any]:
    """The outline of the grid in degrees, its edges densified: they are curves there."""
    outline = shapely.box(*grid.bounds)
    dense = shapely.segmentize(outline, outline.length / 16)
    to_lonlat = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    lonlat = shapely.transform(dense, to_lonlat.transform, interleaved=False)
    return dict(mapping(lonlat))


def _projection(grid: Grid) -> dict[str, Any]:
    code = grid.crs if ":" in grid.crs and "[" not in grid.crs else None
    return {
        "proj:code": code,
        **({} if code else {"proj:wkt2": grid.crs}),
        "proj:shape": list(grid.shape),
        "proj:transform": list(grid.transform)[:6],
        "proj:bbox": list(grid.bounds),
    }


def _model_fields(maps: SiteMaps, spec: ModelSpec) -> dict[str, Any]:
    """The properties `mlm:*`; -1 stands for any size."""
    lc = len(maps.legend.classes)
    scaling = zip(spec.scaling.offset, spec.scaling.scale, strict=True)
    return {
        "mlm:name": f"swath-{spec.name}",
        "mlm:architecture": spec.name,
        "mlm:framework": "PyTorch",
        "mlm:tasks": ["semantic-segmentation"],
        "mlm:input": [
            {
                "name": "series",
                "description": "Images of one place, oldest first; pixels without data are 0",
                "bands": list(spec.image.bands),
                "input": {
                    "shape": [-1, -1, len(spec.image.bands), -1, -1],
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
                    "shape": [-1, lc, -1, -1],
                    "dim_order": ["batch", "class", "height", "width"],
                    "data_type": "float32",
                },
                "classification:classes": _classes(maps.legend),
                "post_processing_function": None,
            }
        ],
    }


def _classes(legend: Legend) -> list[dict[str, Any]]:
    return [
        {"value": c.id, "name": c.name, "color_hint": c.color[1:].upper()} for c in legend.classes
    ]


def _input_band(name: str) -> dict[str, Any]:
    band = BANDS[name]
    common = {"eo:common_name": band.common_name} if band.common_name else {}
    return {"name": name, **common, "eo:center_wavelength": band.wavelength_um}


def _asset(
    path: Path, title: str, media_type: str, roles: list[str], fields: dict[str, Any]
) -> pystac.Asset:
    size = {"file:size": path.stat().st_size}
    return pystac.Asset(f"./{path.name}", title, None, media_type, roles, size | fields)


def _pmap_asset(path: Path, legend: Legend, title: str) -> pystac.Asset:
    fields = {
        "data_type": "uint8",
        "nodata": PMAP_NODATA,
        "raster:scale": 1 / PMAP_SCALE,
        "bands": [{"name": name} for name in legend.names],
    }
    return _asset(path, title, pystac.MediaType.COG, ["data"], fields)


def read_threshold(maps: SiteMaps) -> float | None:
    """Above which score of the foreground a pixel of classes.tif is of that class.

    None with more than two classes, where the likeliest wins.

    Raises:
        InputError: classes.tif is missing or unreadable.
    """
    with open_raster(maps.classes_path) as source:
        said = source.tags().get("THRESHOLD")
    return None if said is None else float(said)


def _classes_asset(maps: SiteMaps) -> pystac.Asset:
    threshold = read_threshold(maps)
    fields = {
        **({} if threshold is None else {"swath:threshold": threshold}),
        "data_type": "uint8",
        "nodata": PMAP_NODATA,
        "bands": [{"name": "class"}],
        "classification:classes": _classes(maps.legend),
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
        "classification:classes": _classes(maps.legend),
    }
    title = "Where the class last changed when a date was added"
    return _asset(maps.changes_path, title, pystac.MediaType.COG, ["data"], fields)


def _model_asset(maps: SiteMaps, weights: Path) -> pystac.Asset:
    fields = {
        "mlm:artifact_type": "safetensors",
        "file:checksum": _SHA256_PREFIX + maps.model_sha256,
    }
    href = Path(os.path.relpath(weights, maps.folder)).as_posix()
    return pystac.Asset(href, "Weights", None, SAFETENSORS, ["mlm:model", "mlm:weights"], fields)
