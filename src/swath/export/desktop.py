"""What Deepness, the deep-learning plugin of QGIS, is told of a graph in its file."""

import json
from collections.abc import Mapping

from swath.errors import ModelError
from swath.models.trained import TrainedModel

PIXEL_CM = 1000
"""Of Sentinel-2's 10 m bands."""

TILES_PX = range(512, 2049, 16)

MOST_OVERLAP = 33
"""Per cent: of more, most of the arithmetic would be done twice."""


def plan_tile(radius_px: int, stride_px: int) -> tuple[int, int]:
    """Tiles whose map is that of the whole image: half their overlap is as far as the network sees.

    Args:
        radius_px: How far it sees.
        stride_px: Tile origins must be multiples of it.

    Returns:
        Their side in px, and their overlap in whole per cent of it.

    Raises:
        ModelError: No tile of a reasonable size is so.
    """
    for side in TILES_PX:
        for percent in range(1, MOST_OVERLAP + 1):
            overlap, rest = divmod(side * percent, 100)
            if not rest and overlap >= 2 * radius_px and (side - overlap) % stride_px == 0:
                return side, percent
    raise ModelError(f"the network sees {radius_px} px far, too far for tiles of {TILES_PX[-1]} px")


def desktop_properties(model: TrainedModel) -> Mapping[str, str]:
    """The properties that Deepness reads from an ONNX file."""
    side_px, percent = plan_tile(model.fcn.receptive_radius, model.stride)
    values = {
        "model_type": "Segmentor",
        "class_names": {c.id: c.name for c in model.spec.legend.classes},
        "resolution": PIXEL_CM,
        "tile_size": side_px,
        "tiles_overlap": percent,
        "seg_thresh": 0.5,
        "seg_small_segment": 0,
    }
    return {key: json.dumps(value) for key, value in values.items()}
