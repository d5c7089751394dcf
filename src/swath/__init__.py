"""swath: road and land cover maps from time series of Sentinel-2 images.

Nothing heavy is imported here: a name brings in what it needs when it is first used.
"""

import os
from importlib import import_module

from swath.version import __version__

# OpenMP's threads wait asleep: where they spin, busy cores give training three times as much work. For torch.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

TYPE_CHECKING = False  # for type checkers, who go by the name: typing takes longer than all else here

if TYPE_CHECKING:
    from swath.dataset.site import Dataset
    from swath.errors import SwathError
    from swath.grid import Grid
    from swath.labels.source import LabelSettings
    from swath.legend import Legend
    from swath.library import (
        build,
        changes,
        conflate,
        evaluate,
        export_onnx,
        fetch,
        load_model,
        open_dataset,
        train,
    )
    from swath.mapping.options import MapOptions
    from swath.mapping.request import map_scenes
    from swath.mapping.update import update
    from swath.maps.maps import Maps, open_maps
    from swath.maps.sitemaps import SiteMaps
    from swath.models.trained import TrainedModel
    from swath.sites.crop import Crop, open_crop
    from swath.workers import Workers

__all__ = [
    "Crop",
    "Dataset",
    "Grid",
    "LabelSettings",
    "Legend",
    "MapOptions",
    "Maps",
    "SiteMaps",
    "SwathError",
    "TrainedModel",
    "Workers",
    "__version__",
    "build",
    "changes",
    "conflate",
    "evaluate",
    "export_onnx",
    "fetch",
    "load_model",
    "map_scenes",
    "open_crop",
    "open_dataset",
    "open_maps",
    "train",
    "update",
]

_HOMES = {
    name: f"swath.{home}"
    for home, names in {
        "dataset.site": ["Dataset"],
        "errors": ["SwathError"],
        "grid": ["Grid"],
        "labels.source": ["LabelSettings"],
        "legend": ["Legend"],
        "library": [
            "build",
            "changes",
            "conflate",
            "evaluate",
            "export_onnx",
            "fetch",
            "load_model",
            "open_dataset",
            "train",
        ],
        "mapping.options": ["MapOptions"],
        "mapping.request": ["map_scenes"],
        "mapping.update": ["update"],
        "maps.maps": ["Maps", "open_maps"],
        "maps.sitemaps": ["SiteMaps"],
        "models.trained": ["TrainedModel"],
        "sites.crop": ["Crop", "open_crop"],
        "workers": ["Workers"],
    }.items()
    for name in names
}
"""Public name -> the module that it comes from."""


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'swath' has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
