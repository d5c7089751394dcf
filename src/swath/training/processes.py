"""The processes of one training: each computes a part of every mini-batch."""

import os
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed
from torch.autograd.function import FunctionCtx
from torch.distributed import PrefixStore, Store, TCPStore  # type: ignore[attr-defined]

from swath.errors import Remedy, SettingsError, WorkerError
from swath.keys import Decided
from swath.progress import console

PATIENCE = timedelta(minutes=10)
"""How long a process waits for the others."""

NOTICE_S = 10.0
"""How long the first process may take to notice by itself that one it started is lost."""

LOST = (
    "a process of this training was lost, or did not come; the last whole epoch is kept, from "
    "which the run can be resumed"
)


@dataclass(frozen=True, slots=True)
class Processes:
    """How many processes train together, and which of them this is.

    Which it is stands in the environment, under the names that torchrun uses: LOCAL_RANK and, where
    there are several nodes, NODE_RANK (or GROUP_RANK), MASTER_ADDR and MASTER_PORT.

    Attributes:
        devices: Processes of each node; on CUDA each has a GPU of its own.
        nodes: Machines.
    """

    devices: int = 1
    nodes: int = 1

    @property
    def count(self) -> int:
        """Of all nodes."""
        return self.devices * self.nodes

    @property
    def local_rank(self) -> int:
        """Which of its node this process is."""
        return _number("LOCAL_RANK", "0")

    @property
    def rank(self) -> int:
        """Which of all processes this is."""
        if self.count == 1:
            return 0
        node = _number("NODE_RANK", os.environ.get("GROUP_RANK", "0"))
        return node * self.devices + self.local_rank

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    def share(self, batch_size: int) -> int:
        """How many of a mini-batch's patches each process takes.

        Raises:
            SettingsError: They cannot be shared evenly.
        """
        if batch_size % self.count:
            raise SettingsError(
                f"mini-batches of {batch_size} patches cannot be shared by {self.count} processes; "
                "take as many as divide it, or another batch_size"
            )
        return batch_size // self.count

    def check(self, device: torch.device) -> None:
        """Check that this node can take its part.

        Raises:
            SettingsError: Fewer GPUs than devices, or several nodes without an address.
        """
        if device.type == "cuda" and torch.cuda.device_count() < self.devices:
            raise SettingsError(
                f"{self.devices} devices were asked for, this machine has {torch.cuda.device_count()} GPUs"
            )
        apart = self.nodes > 1 or (self.count > 1 and "LOCAL_RANK" in os.environ)
        needed = ["MASTER_ADDR", "MASTER_PORT"]
        if self.nodes > 1 and "GROUP_RANK" not in os.environ:  # torchrun's name for it
            needed.append("NODE_RANK")
        missing = [name for name in needed if name not in os.environ]
        if apart and missing:
            raise SettingsError(
                f"to find the others ({self.nodes} x {self.devices} processes), set "
                f"{', '.join(missing)} on every node: address and port of the first, and 0, 1, ... "
                "for which one this is"
            )
        if self.rank >= self.count:
            raise SettingsError(
                f"NODE_RANK and LOCAL_RANK say that this is process {self.rank + 1} of "
                f"{self.count}; they count from 0"
            )


def _number(name: str, default: str) -> int:
    text = os.environ.get(name, default)
    if not text.isdecimal():
        raise SettingsError(f"{name} in the environment must be a number from 0 on, got {text!r}")
    return int(text)


ALONE = Processes()
"""One process."""


class _SumOfAll(torch.autograd.Function):
    """The sum of a tensor over all processes, and of its gradients on the way back."""

    @staticmethod
    def forward(ctx: FunctionCtx, part: Tensor) -> Tensor:
        total = part.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total


def sum_of_all(part: Tensor) -> Tensor:
    """The sum of a tensor over all processes of a training; differentiable.

    Every process must call it, in the same order. A loss that is computed from such sums is the
    same in all of them. Its gradients come out as many times too large as there are processes,
    which the mean that DistributedDataParallel takes of them makes good.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return part
    total: Tensor = _SumOfAll.apply(part)  # type: ignore[no-untyped-call]
    return total


@contextmanager
def joined(
    processes: Processes, device: torch.device, command: Sequence[str], decided: Decided
) -> Iterator[None]:
    """Bring the processes of a training together.

    The first process of every node starts the others of its node, unless LOCAL_RANK is set: then
    somebody else has (torchrun, say).

    Args:
        processes: How many.
        device: Where they train.
        command: What starts another process like this one.
        decided: What must be the same in all processes.

    Raises:
        WorkerError: A process is lost, or does not come.
        SettingsError: A process would train something else.
    """
    if processes.count == 1:
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads // processes.devices))
    before = dict(os.environ)
    siblings: list[subprocess.Popen[bytes]] = []
    over = threading.Event()
    try:
        store = _meet(processes)
        if "LOCAL_RANK" not in os.environ:
            siblings = _start(processes, command, torch.get_num_threads(), over)
        if device.type == "cuda":
            torch.cuda.set_device(processes.local_rank)
        distributed.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            store=store,
            rank=processes.rank,
            world_size=processes.count,
            timeout=PATIENCE,
        )
        _agree(store, processes, decided.key)
        yield
        for sibling in siblings:
            sibling.wait()
    except (RuntimeError, TimeoutError) as error:
        if not (isinstance(error, (distributed.DistError, TimeoutError)) or "gloo" in str(error)):
            raise  # it does not say that another process is gone
        if processes.local_rank > 0:  # the first of the node says it
            raise SystemExit(2) from None
        raise WorkerError(LOST, Remedy.RESUME) from None
    finally:
        over.set()
        for sibling in siblings:
            sibling.kill()
            sibling.wait()
        if distributed.is_initialized():
            distributed.destroy_process_group()
        os.environ.clear()
        os.environ.update(before)
        torch.set_num_threads(threads)


def _meet(processes: Processes) -> Store:
    """The place where the processes find each other; the first one opens it."""
    alone = processes.nodes == 1 and "LOCAL_RANK" not in os.environ
    if alone:
        os.environ["MASTER_ADDR"] = "127.0.0.1"
    host, port = os.environ["MASTER_ADDR"], 0 if alone else _number("MASTER_PORT", "")
    # torchrun may have opened one itself, at the same port.
    opens = processes.first and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    store = TCPStore(host, port, None, opens, PATIENCE, wait_for_workers=False)
    os.environ["MASTER_PORT"] = str(store.port)
    return PrefixStore("swath", store)


def _start(
    processes: Processes, command: Sequence[str], threads: int, over: threading.Event
) -> "list[subprocess.Popen[bytes]]":
    """Start the other processes of this node, and keep an eye on them."""
    siblings = [
        subprocess.Popen(
            command,
            env=os.environ | {"LOCAL_RANK": str(rank), "OMP_NUM_THREADS": str(threads)},
            stdout=subprocess.DEVNULL,
        )
        for rank in range(1, processes.devices)
    ]
    os.environ["LOCAL_RANK"] = "0"
    threading.Thread(target=_watch, args=(siblings, over), daemon=True).start()
    return siblings


def _watch(siblings: "list[subprocess.Popen[bytes]]", over: threading.Event) -> None:
    """End this process when one that it started is lost, and it would wait for it."""
    while not any(sibling.poll() for sibling in siblings):
        if over.wait(0.5):
            return
    if over.wait(NOTICE_S):
        return
    console.print(f"error: {LOST}", soft_wrap=True, highlight=False)
    for sibling in siblings:
        sibling.kill()
    os._exit(2)


def _agree(store: Store, processes: Processes, mine: str) -> None:
    if processes.first:
        store.set("decided by", mine)
    if store.get("decided by").decode() != mine:
        raise SettingsError(
            "this process would train with other settings, seed or data than the first one; give "
            "the same command on every node"
        )
