"""A run as ONNX files: whole and checked, or not at all."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from swath.errors import ModelError
from swath.export.card import card_of
from swath.export.cases import desktop_cases, fusion_cases, image_cases
from swath.export.desktop import desktop_properties, plan_tile
from swath.export.graphs import DesktopGraph, FusionGraph, ImageGraph
from swath.export.item import item_of
from swath.export.onnxfile import Case, Signature, check, describe, trace
from swath.files import write_bytes, write_json, write_text
from swath.models.trained import TrainedModel, weights_hash
from swath.outfolder import Kind, replacing_folder
from swath.progress import track
from swath.version import __version__


@dataclass(frozen=True, slots=True)
class Graph:
    """A file to be made: what it computes, and what it is held against."""

    module: nn.Module
    example: tuple[Tensor, ...]
    signature: Signature
    cases: Callable[[], Iterable[Case]]
    properties: Mapping[str, str]


def export_onnx(model: TrainedModel, out: Path, *, overwrite: bool = False) -> dict[str, float]:
    """Write a model's networks as ONNX files, with their card (README.md) and item.json.

    `unet.onnx` maps one image, `fusion.onnx` fuses the PMaps of dates (a model without a fusing
    network has none: take the mean), `qgis.onnx` is the first for the plugin Deepness. Numbers are
    scaled, and pixels without data found, inside of the files.

    Args:
        model: As `load_model` gives it.
        out: The folder.
        overwrite: Whether a folder of that kind may be replaced.

    Returns:
        File name -> the largest difference of its probabilities from PyTorch's.

    Raises:
        ModelError: The model maps whole series, or a file would not do what PyTorch does.
        OutputExistsError: `out` is there and may not be replaced.
    """
    if model.series is not None:
        raise ModelError(
            f"model {model.spec.name!r} maps whole series by one network; only models of a network for "
            "one image and a fusion are exported"
        )
    reads = () if model.folder is None else (model.folder,)
    differences: dict[str, float] = {}
    with replacing_folder(out, Kind.EXPORT, reads, overwrite=overwrite) as folder:
        for name, graph in track(list(graphs_of(model).items()), "exporting and checking"):
            content, differences[name] = onnx_of(name, graph, model)
            write_bytes(folder / name, content)
        write_json(folder / "item.json", item_of(model.spec, [folder / name for name in differences]))
        write_text(folder / "README.md", card_of(model, differences))
    return differences


def onnx_of(name: str, graph: Graph, model: TrainedModel) -> tuple[bytes, float]:
    """A file's content, and how far its probabilities are from PyTorch's; ModelError: too far."""
    proto = trace(graph.module.eval(), graph.example, graph.signature)
    content = describe(proto, {**_properties(model), **graph.properties})
    return content, check(name, content, graph.cases())


def graphs_of(model: TrainedModel) -> dict[str, Graph]:
    """What is exported, by the files' names."""
    fusion = {} if model.fusion is None else {"fusion.onnx": _fusion(model)}
    return {"unet.onnx": _image(model), **fusion, "qgis.onnx": _desktop(model)}


def _image(model: TrainedModel) -> Graph:
    bands = len(model.spec.image.bands)
    return Graph(
        ImageGraph(model),
        (torch.ones(2, bands, 40, 56),),
        Signature({"image": ("batch", bands, "height", "width")}, ("pmap", "known")),
        lambda: image_cases(model),
        {},
    )


def _fusion(model: TrainedModel) -> Graph:
    lc = len(model.spec.legend.classes)
    axes = ("batch", "dates", lc, "height", "width")
    return Graph(
        FusionGraph(model),
        (torch.full((2, 3, lc, 9, 11), 0.5), torch.ones(2, 3, 9, 11, dtype=torch.bool)),
        Signature({"pmaps": axes, "known": (*axes[:2], *axes[3:])}, ("pmap",)),
        lambda: fusion_cases(model),
        {},
    )


def _desktop(model: TrainedModel) -> Graph:
    bands = len(model.spec.image.bands)
    side_px, _ = plan_tile(model.fcn.receptive_radius, model.stride)
    return Graph(
        DesktopGraph(ImageGraph(model)),
        (torch.ones(1, bands, side_px, side_px),),
        Signature({"tile": (1, bands, side_px, side_px)}, ("classes",)),
        lambda: desktop_cases(model, side_px),
        desktop_properties(model),
    )


def _properties(model: TrainedModel) -> dict[str, str]:
    """What every file says of its model."""
    spec = model.spec
    return {
        "swath:version": __version__,
        "swath:architecture": spec.name,
        "swath:weights_sha256": "" if model.folder is None else weights_hash(model.folder),
        "swath:bands": json.dumps(spec.image.bands),
        "swath:encoding": spec.image.encoding,
        "swath:scaling": spec.scaling.model_dump_json(),
        "swath:classes": json.dumps(spec.legend.names),
        "swath:finer": str(spec.finer),
        "swath:stride_px": str(model.stride),
        "swath:margin_px": str(model.fcn.receptive_radius),
        "swath:attribution": spec.attribution,
    }
