"""Checkpoints are whole or absent."""

from pathlib import Path

import pytest
import torch

from support.limits import file_limit
from swath.errors import OutputError
from swath.training.checkpointfile import WholeCheckpoints


def test_the_last_checkpoint_stands_until_the_next_one_is_whole(tmp_path: Path) -> None:
    """As on a disk that is full: Lightning's own writer leaves half of the new one."""
    path, writer = tmp_path / "last.ckpt", WholeCheckpoints()
    writer.save_checkpoint({"weight": torch.zeros(3)}, path)
    with file_limit(4000), pytest.raises(OutputError, match=r"last\.ckpt"):
        writer.save_checkpoint({"weight": torch.zeros(3000)}, path)
    assert torch.load(path, weights_only=True)["weight"].tolist() == [0, 0, 0]
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]
