"""A graph as an ONNX file that does what PyTorch does, or no file."""

import logging
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from swath.errors import ModelError
from swath.version import __version__

OPSET = 18
"""What ONNX Runtime reads since 1.14 (2023)."""

WITHIN = 1e-4
"""As far as probabilities may lie from PyTorch's."""

Case = tuple[Mapping[str, NDArray[np.generic]], Sequence[NDArray[np.generic]]]
"""Inputs by name, and the outputs that PyTorch gives, in order."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What a graph takes and gives.

    Attributes:
        inputs: Name -> its axes, by name where any length will do, as numbers where one alone.
        outputs: Names.
    """

    inputs: Mapping[str, tuple[str | int, ...]]
    outputs: tuple[str, ...]


def trace(graph: nn.Module, example: tuple[Tensor, ...], signature: Signature) -> onnx.ModelProto:
    """Write down what a graph computes.

    Args:
        graph: In evaluation mode.
        example: Inputs; open axes are at least 2 long and of different lengths.
        signature: Their names, and those of the outputs.

    Returns:
        The model, with its weights; open axes have their names.
    """
    axes = tuple(signature.inputs.values())
    anything = torch.export.Dim.AUTO
    open_axes = tuple({at: anything for at, axis in enumerate(of) if isinstance(axis, str)} for of in axes)
    with _silence(), torch.inference_mode():
        # In two steps: at once, the exporter refuses a scan over axes of any length.
        program = torch.export.export(graph, example, dynamic_shapes=open_axes)
        exported = torch.onnx.export(
            program,
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=list(signature.inputs),
            output_names=list(signature.outputs),
        )
    assert exported is not None
    proto = exported.model_proto
    names: dict[str, str] = {}
    for value, of in zip(proto.graph.input, axes, strict=True):
        for dim, axis in zip(value.type.tensor_type.shape.dim, of, strict=True):
            if isinstance(axis, str):
                names[dim.dim_param] = axis
    for value in (*proto.graph.input, *proto.graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = re.sub(r"\w+", lambda found: names.get(found[0], found[0]), dim.dim_param)
    del proto.graph.value_info[:]  # they name the axes by the exporter's symbols
    return proto


def describe(proto: onnx.ModelProto, properties: Mapping[str, str]) -> bytes:
    """The file's content, with what it says of itself."""
    proto.producer_name, proto.producer_version = "swath", __version__
    onnx.helper.set_model_props(proto, dict(properties))
    onnx.checker.check_model(proto)
    content: bytes = proto.SerializeToString()
    return content


def check(name: str, content: bytes, cases: Iterable[Case]) -> float:
    """Check that ONNX Runtime gives what PyTorch gives, on the CPU.

    Args:
        name: What to call the file.
        content: Of the file.
        cases: Inputs, and what PyTorch makes of them.

    Returns:
        The largest difference of any number.

    Raises:
        ModelError: One is more than `WITHIN`, or no number.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    most = 0.0
    for inputs, expected in cases:
        for given, wanted in zip(session.run(None, dict(inputs)), expected, strict=True):
            difference = float(np.abs(given.astype(np.float32) - wanted.astype(np.float32)).max())
            if given.shape != wanted.shape or not difference <= WITHIN:
                shapes = " and ".join(f"{key} {value.shape}" for key, value in inputs.items())
                raise ModelError(
                    f"{name} would give other numbers than PyTorch: for {shapes} they differ by up to "
                    f"{difference:.1e}, {WITHIN:g} is allowed; nothing is exported"
                )
            most = max(most, difference)
    return most


@contextmanager
def _silence() -> Iterator[None]:
    """The exporter speaks of its own parts, on stderr and as warnings."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
