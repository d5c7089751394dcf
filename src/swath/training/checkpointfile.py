"""Checkpoints that are whole or absent: Lightning's own writer leaves half of one on a full disk."""

import io
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from swath.files import write_bytes


class WholeCheckpoints(TorchCheckpointIO):
    """Writes the checkpoints of a training; the last one stands until the next one is whole."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None
    ) -> None:
        """Write a checkpoint.

        Raises:
            OutputError: It cannot be written.
        """
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_bytes(Path(path), content.getvalue())
