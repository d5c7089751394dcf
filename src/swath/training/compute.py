"""Where and by how many processes a training is computed."""

from dataclasses import dataclass

import torch

from swath.models.device import Precision, best_precision, pick_device
from swath.training.processes import ALONE, Processes


@dataclass(frozen=True, slots=True)
class Compute:
    """What a training is computed with; it asks for no other result, but rounds otherwise.

    Attributes:
        device: `auto`, `cpu` or `cuda`.
        precision: None: bf16 where the hardware has it.
        workers: Processes that read patches; 0 reads in the main process.
        processes: Train together, each on a part of every mini-batch; the first one writes.
        command: What starts another process like this one, where there are several.
    """

    device: str = "auto"
    precision: Precision | None = None
    workers: int = 0
    processes: Processes = ALONE
    command: tuple[str, ...] = ()

    @property
    def where(self) -> torch.device:
        """The device; see `pick_device`."""
        return pick_device(self.device)

    @property
    def exactness(self) -> Precision:
        """The precision that is computed in."""
        return self.precision or best_precision(self.where)


HERE = Compute()
"""This process, on the best device that it has."""
