"""Where and in which precision networks run."""

import pytest
import torch

from swath.errors import SettingsError
from swath.models.device import autocast, pick_device


@pytest.mark.parametrize("deterministic", [False, True])
def test_float32_on_cuda_is_not_tf32_and_leaves_no_trace(deterministic):
    cudnn = torch.backends.cudnn
    with cudnn.flags(enabled=True, deterministic=deterministic, allow_tf32=True):
        with autocast(torch.device("cuda"), "fp32"):
            assert not cudnn.allow_tf32
            assert cudnn.deterministic == deterministic
        assert cudnn.allow_tf32
        assert cudnn.deterministic == deterministic


def test_on_a_cpu_only_bf16_changes_anything():
    image, weight = torch.ones(1, 1, 4, 4), torch.ones(1, 1, 3, 3)
    found = {}
    for precision in ("fp32", "bf16"):
        with autocast(torch.device("cpu"), precision):
            found[precision] = torch.nn.functional.conv2d(image, weight).dtype
    assert found == {"fp32": torch.float32, "bf16": torch.bfloat16}


def test_a_device_that_is_not_there():
    with pytest.raises(SettingsError, match="the device must be auto, cpu or cuda, got 'tpu'"):
        pick_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(SettingsError, match="no CUDA device here"):
            pick_device("cuda")
