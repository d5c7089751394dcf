"""The STAC item of an exported model, as the Machine Learning Model extension has it."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import pystac
from pydantic import JsonValue

from swath import stacfields as stac
from swath.files import sha256
from swath.models.spec import ModelSpec

ONNX = "application/octet-stream; application=onnx"

FIRST_IMAGE = dt.datetime(2015, 6, 23, tzinfo=dt.UTC)
"""Launch of Sentinel-2A: the model reads images from then on."""

ALWAYS = dt.datetime(9999, 12, 31, tzinfo=dt.UTC)

TITLES = {
    "unet": "An image (batch, band, height, width) -> pmap, and known: where it has data",
    "fusion": "pmaps (batch, date, class, height, width) and known (batch, date, height, width) -> pmap",
    "qgis": "The same as unet in tiles of fixed size, for Deepness, a plugin of QGIS",
}
"""What each file computes, by its stem."""


def item_of(spec: ModelSpec, files: Sequence[Path]) -> dict[str, object]:
    """The item, with the files as assets beside it; its properties describe the first.

    Args:
        spec: Of the model.
        files: What was exported, in order.
    """
    name = f"swath-{spec.name}"
    image: dict[str, JsonValue] = {
        "name": "image",
        "description": "Digital numbers; 0 in all bands = no data. The graph scales them itself",
        "bands": list(spec.image.bands),
        "input": {
            "shape": [-1, len(spec.image.bands), -1, -1],
            "dim_order": ["batch", "channel", "height", "width"],
            "data_type": "float32",
        },
        "value_scaling": None,
        "resize_type": None,
        "pre_processing_function": None,
    }
    item = pystac.Item(
        id=name,
        geometry=None,
        bbox=None,
        datetime=None,
        start_datetime=FIRST_IMAGE,
        end_datetime=ALWAYS,
        properties={
            "title": f"Probabilities of {', '.join(spec.legend.names)} from Sentinel-2",
            "license": "other",
            "providers": [{"name": spec.attribution, "roles": ["licensor"]}],
            "bands": [stac.band_fields(band) for band in spec.image.bands],
            "mlm:name": name,
            "mlm:architecture": spec.name,
            "mlm:framework": "ONNX",
            "mlm:tasks": ["semantic-segmentation"],
            "mlm:input": [image],
            "mlm:output": [stac.pmap_output(spec.legend)],
        },
        stac_extensions=[stac.MLM, stac.EO, stac.CLASSIFICATION, stac.FILE],
        assets={path.stem: _asset(path) for path in files},
    )
    fields: dict[str, object] = item.to_dict(include_self_link=False)
    return fields


def _asset(path: Path) -> pystac.Asset:
    fields = {
        "mlm:artifact_type": "onnx",
        "file:size": path.stat().st_size,
        **stac.checksum_fields(sha256(path)),
    }
    return pystac.Asset(f"./{path.name}", TITLES[path.stem], None, ONNX, ["mlm:model"], fields)
