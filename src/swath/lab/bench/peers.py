"""What one would run the networks with instead, where it is installed (extra `bench`)."""

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from swath.lab.bench.clock import Work
from swath.models.device import Precision, best_precision

PEERS = ("onnxruntime", "openvino", "monai")


def installed() -> dict[str, bool]:
    """Which packages are here to compare with."""
    return {name: find_spec(name) is not None for name in PEERS}


def runtimes(network: nn.Module, example: Tensor) -> dict[str, Work]:
    """One forward pass of `network` on `example` by each inference runtime that is installed.

    Args:
        network: In evaluation mode, float32.
        example: Its input.

    Returns:
        By name and precision, for example `onnxruntime fp32`: what runs it once.
    """
    works: dict[str, Work] = {}
    here = installed()
    with _quiet():
        if here["onnxruntime"] and find_spec("onnxscript") is not None:
            works["onnxruntime fp32"] = _onnxruntime(network, example)
        if here["openvino"]:
            precisions: list[Precision] = ["fp32"]
            if best_precision(torch.device("cpu")) == "bf16":
                precisions.append("bf16")
            for precision in precisions:
                works[f"openvino {precision}"] = _openvino(network, example, precision)
    return works


def _onnxruntime(network: nn.Module, example: Tensor) -> Work:
    import onnxruntime

    program = torch.onnx.export(network, (example,), dynamo=True, verbose=False)
    assert program is not None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        program.model_proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feed = {session.get_inputs()[0].name: example.numpy()}
    return lambda: session.run(None, feed)


def _openvino(network: nn.Module, example: Tensor, precision: Precision) -> Work:
    import openvino

    settings = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[precision],
    }
    graph = openvino.convert_model(network, example_input=example, input=list(example.shape))
    compiled = openvino.Core().compile_model(graph, "CPU", settings)
    array = example.numpy()
    return lambda: compiled(array)


def sliding_window(network: Callable[[Tensor], Tensor], scene: Tensor, side_px: int) -> Work | None:
    """MONAI's sliding window at its default overlap of a quarter; None where it is missing."""
    if not installed()["monai"]:
        return None
    with _quiet():
        from monai.inferers.utils import sliding_window_inference

    def run() -> object:
        with torch.inference_mode():
            return sliding_window_inference(scene, (side_px, side_px), 1, network)

    return run


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps what other packages say off stdout, which is for the result, and warnings away."""
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
