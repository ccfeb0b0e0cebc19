"""Many processes as one run: torchrun starts them, torch.distributed joins them."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist

from roadseg.errors import RecipeError
from roadseg.inference import choose_device

__all__ = ["World", "join", "leave"]

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """This process among all.

    Attributes:
        rank: Number of this process.
        size: How many there are.
        device: What it computes on.
        local_size: How many of them share this machine.
    """

    rank: int
    size: int
    device: torch.device
    local_size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and reports progress."""
        return self.rank == 0

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Return the sum of a tensor over all processes, on its own device: numbers on the host need no GPU to wait."""
        if self.size == 1:
            return values
        total = values.clone()
        dist.all_reduce(total)
        return total

    def share(self, tensors: Iterable[torch.Tensor]) -> None:
        """Give tensors the first process's values, in place."""
        if self.size == 1:
            return
        for tensor in tensors:
            first = tensor.contiguous()  # no other layout can be sent
            dist.broadcast(first, 0)
            tensor.copy_(first)

    def gather(self, value: T) -> list[T]:
        """Return every process's value, in the order of the ranks."""
        if self.size == 1:
            return [value]
        values: list[T] = [value] * self.size
        dist.all_gather_object(values, value)
        return values

    def any_of(self, *wishes: bool) -> tuple[bool, ...]:
        """Return for each wish whether any process has it: all must do the same in the same step."""
        if self.size == 1:
            return wishes
        return tuple((self.sum(torch.tensor(wishes, dtype=torch.int32)) > 0).tolist())

    def wait(self) -> None:
        """Return when every process is here."""
        if self.size > 1:
            dist.barrier()


def join(device: str = "auto") -> World:
    """Join the processes that torchrun started; alone, that is a world of one.

    Args:
        device: As for `roadseg.inference.choose_device`; with CUDA, each process takes its own GPU.

    Raises:
        InputError: There is no such device here.
        RecipeError: There are more processes than GPUs.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    chosen = choose_device(device)
    if size > 1 and str(chosen) == "cuda":  # no GPU of its own was asked for
        chosen = _own_gpu(int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(chosen)
    if size > 1 and not dist.is_initialized():
        dist.init_process_group("cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo")
    return World(rank, size, chosen, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def _own_gpu(number: int) -> torch.device:
    count = torch.cuda.device_count()
    if number >= count:
        raise RecipeError(
            f"process {number + 1} of this machine has no GPU of its own, for there are {count}",
            remedy=f"start no more than --nproc-per-node {count}",
        )
    return torch.device("cuda", number)


def leave() -> None:
    """Leave the processes joined by `join`."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
