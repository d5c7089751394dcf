"""The STAC item of a site's maps: where, when, which files, and which model made them."""

import os
from collections.abc import Mapping
from pathlib import Path

import pystac

from swath import stacfields as stac
from swath.files import write_json
from swath.grid import Grid
from swath.legend import Legend
from swath.maps.rasters import CHANGES_NODATA, COMPOSITE_NODATA, composite_dates, pmap_bands
from swath.maps.sitemaps import PMAP_NODATA, PMAP_SCALE, SiteMaps
from swath.models.spec import ModelSpec

EXTENSIONS = (stac.MLM, stac.PROJECTION, stac.RASTER, stac.EO, stac.CLASSIFICATION, stac.FILE)

SAFETENSORS = "application/octet-stream; application=safetensors"


def write_item(maps: SiteMaps, spec: ModelSpec, weights: Path, grid: Grid, threshold: float | None) -> None:
    """Write item.json beside the maps that it describes.

    The fields `mlm:*` follow the Machine Learning Model extension; `swath:*` are what
    `swath.maps.sitemaps.read_maps` reads.

    Args:
        maps: What was written; all its files are in place.
        spec: Of the model that made them.
        weights: The model's weights file, which is named relative to the item.
        grid: Of the maps.
        threshold: Of the class map, see `swath.maps.manifest.Manifest.threshold`.
    """
    item = pystac.Item(
        id=maps.site,
        geometry=stac.footprint(grid),
        bbox=list(grid.bbox),
        datetime=None,
        start_datetime=stac.first_second(maps.all_dates[0]),
        end_datetime=stac.last_second(maps.dates[-1]),
        properties={
            "title": f"{' and '.join(c.name for c in maps.legend.foreground)} at {maps.site}",
            "license": "other",
            "providers": [{"name": maps.attribution, "roles": ["licensor"]}],
            "bands": [stac.band_fields(name) for name in spec.image.bands],
            **stac.projection(grid),
            "proj:bbox": list(grid.bounds),
            **_model_fields(maps.legend, spec),
            **maps.fields(),
        },
        stac_extensions=list(EXTENSIONS),
        assets=_assets(maps, threshold),
    )
    href = Path(os.path.relpath(weights, maps.folder)).as_posix()
    fields = {"mlm:artifact_type": "safetensors", **stac.checksum_fields(maps.model_sha256)}
    roles = ["mlm:model", "mlm:weights"]
    item.add_asset("model", pystac.Asset(href, "Weights", None, SAFETENSORS, roles, fields))
    write_json(maps.item_path, item.to_dict(include_self_link=False))


def _model_fields(legend: Legend, spec: ModelSpec) -> dict[str, object]:
    """The properties `mlm:*`; -1 stands for any size."""
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
                    {"type": "z-score", "mean": mean, "stddev": deviation} for mean, deviation in scaling
                ],
                "resize_type": None,
                "pre_processing_function": None,
            }
        ],
        "mlm:output": [stac.pmap_output(legend)],
    }


def _assets(maps: SiteMaps, threshold: float | None) -> dict[str, pystac.Asset]:
    """The files of the maps, by what the item calls them."""
    pmap = {
        "data_type": "uint8",
        "nodata": PMAP_NODATA,
        "raster:scale": 1 / PMAP_SCALE,
        "bands": [{"name": name} for name in pmap_bands(maps.legend)],
    }
    legend = {"classification:classes": stac.class_fields(maps.legend)}
    classes = {
        **({} if threshold is None else {"swath:threshold": threshold}),
        "data_type": "uint8",
        "nodata": PMAP_NODATA,
        "bands": [{"name": "class"}],
        **legend,
    }
    days = composite_dates(maps.dates)
    composite = {
        "data_type": "uint8",
        "nodata": COMPOSITE_NODATA,
        "bands": [
            {"name": color, "description": " and ".join(map(str, shown))}
            for color, shown in zip(("red", "green", "blue"), days, strict=True)
        ],
    }
    changes = {
        "data_type": "uint16",
        "nodata": CHANGES_NODATA,
        "bands": [
            {"name": "date", "description": "Days since 1970-01-01 of the added date"},
            {"name": "before", "description": "Class before that date was added"},
        ],
        **legend,
    }
    dated = {date: maps.pmap_path(date) for date in maps.all_dates}
    fused = f"Probabilities of {len(maps.dates)} dates fused ({maps.fusion})"
    agreement = "Three days as red, green and blue; white where all agree"
    changed = "Where the class last changed when a date was added"
    vectors = {
        maps.gpkg_path: ("Lines", pystac.MediaType.GEOPACKAGE),
        maps.parquet_path: ("Lines", stac.PARQUET),
        maps.landcover_path: ("Land cover as polygons", pystac.MediaType.GEOPACKAGE),
    }
    return {
        **{path.stem: _asset(path, f"Probabilities of {d}", pmap) for d, path in dated.items()},
        "pmap": _asset(maps.fused_path, fused, pmap),
        "classes": _asset(maps.classes_path, "Classes", classes),
        "composite": _asset(maps.composite_path, agreement, composite, role="visual"),
        **({"changes": _asset(maps.changes_path, changed, changes)} if maps.changes else {}),
        **{
            path.name.replace(".", "_"): _asset(path, vectors[path][0], {}, vectors[path][1])
            for path in maps.vector_paths
        },
    }


def _asset(
    path: Path,
    title: str,
    fields: Mapping[str, object],
    kind: str = pystac.MediaType.COG,
    role: str = "data",
) -> pystac.Asset:
    more = {"file:size": path.stat().st_size, **fields}
    return pystac.Asset(f"./{path.name}", title, None, kind, [role], more)
