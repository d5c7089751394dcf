"""Where and in which precision the networks run."""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

from swath.errors import SettingsError

Precision = Literal["fp32", "bf16"]


def pick_device(name: str = "auto") -> torch.device:
    """The device for `auto` (CUDA where there is one), `cpu` or `cuda`.

    Raises:
        SettingsError: An unknown name, or `cuda` on a machine without it.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise SettingsError(f"the device must be auto, cpu or cuda, got {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise SettingsError("no CUDA device here; take auto or cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def best_precision(device: torch.device) -> Precision:
    """`bf16` where the device computes it in hardware, else `fp32`."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return "bf16" if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else "fp32"


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """The context in which a network runs in `precision`.

    `fp32` on CUDA means float32: by default cuDNN would convolve in TF32, with 10 bits of mantissa.
    """
    if precision == "fp32" and device.type == "cuda":
        cudnn = torch.backends.cudnn
        return cudnn.flags(
            enabled=cudnn.enabled,
            benchmark=cudnn.benchmark,
            deterministic=cudnn.deterministic,
            allow_tf32=False,
        )
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
