"""Many processes as one run: torchrun starts them, torch.distributed joins them."""

import os
from dataclasses import dataclass

import torch
import torch.distributed as dist

from roadseg.inference import choose_device

__all__ = ["World", "join", "leave"]


@dataclass(frozen=True)
class World:
    """This process among all.

    Attributes:
        rank: Number of this process.
        size: How many there are.
        device: What it computes on.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and reports progress."""
        return self.rank == 0

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Return the sum of a tensor over all processes."""
        if self.size == 1:
            return values
        total = values.to(self.device, copy=True)
        dist.all_reduce(total)
        return total.to(values.device)

    def wait(self) -> None:
        """Return when every process is here."""
        if self.size > 1:
            dist.barrier()


def join(device: str = "auto") -> World:
    """Join the processes that torchrun started; alone, that is a world of one.

    Args:
        device: As for `roadseg.inference.choose_device`; with CUDA, each process takes its own GPU.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    chosen = choose_device(device)
    if size > 1 and str(chosen) == "cuda":  # no GPU of its own was asked for
        chosen = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(chosen)
    if size > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    return World(rank, size, chosen)


def leave() -> None:
    """Leave the processes joined by `join`."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
