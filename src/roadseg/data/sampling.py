"""Which samples make up which step: a pure function of seed, step and rank."""

import hashlib
from collections.abc import Iterator

import torch
from torch.utils.data import Sampler

from roadseg.data.dataset import Draw

__all__ = ["StepSampler", "mix_seed"]


def mix_seed(*parts: int) -> int:
    """Return a 63-bit seed that depends on every part; neighboring parts give unrelated seeds."""
    digest = hashlib.blake2b(",".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


class StepSampler(Sampler[list[Draw]]):
    """Yields the draws of one micro-batch after the other, for this process.

    Every epoch is one permutation of the data set, cut into steps of ``batch_size``; what does not fill a step is left
    out (it comes in another epoch's permutation). Each step's batch is divided evenly over the processes and the
    micro-batches, in order, so the union over the processes does not depend on their number.

    Args:
        size: Samples in the data set.
        batch_size: Samples per step over all processes and micro-batches.
        seed: Seed of the run.
        steps: ``range`` of global step numbers to yield; a resumed run starts in the middle.
        rank: This process.
        world: Number of processes.
        accumulate: Micro-batches per step.
        mixed: ``(size, share, until)``: a second data set, whose indices follow the first one's, gets this share of
            every batch up to this step (exclusive).
    """

    def __init__(
        self,
        size: int,
        *,
        batch_size: int,
        seed: int,
        steps: range,
        rank: int = 0,
        world: int = 1,
        accumulate: int = 1,
        mixed: tuple[int, float, int] | None = None,
    ) -> None:
        if size < 1:
            raise ValueError("a data set needs at least one sample")
        if batch_size % (world * accumulate):
            raise ValueError(
                f"batch size {batch_size} is not divisible by {world} processes x {accumulate} parts"
            )
        self.size = size
        self.batch_size = batch_size
        self.seed = seed
        self.steps = steps
        self.rank = rank
        self.world = world
        self.accumulate = accumulate
        self.mixed = mixed

    @staticmethod
    def steps_per_epoch(size: int, batch_size: int) -> int:
        """Return the optimizer steps in one pass; at least one."""
        return max(1, size // batch_size)

    def __len__(self) -> int:
        return len(self.steps) * self.accumulate

    def __iter__(self) -> Iterator[list[Draw]]:
        share = self.batch_size // self.world
        micro = share // self.accumulate
        for step in self.steps:
            mine = self._batch(step)[self.rank * share : (self.rank + 1) * share]
            for part in range(self.accumulate):
                yield mine[part * micro : (part + 1) * micro]

    def _batch(self, step: int) -> list[Draw]:
        indices = self._cycle(step * self.batch_size, self.size, stream=0)
        if self.mixed is not None:
            extra, share, until = self.mixed
            count = round(self.batch_size * share) if step < until else 0
            # The same positions in every batch would always fall to the same rank: spread them evenly instead.
            places = [round((i + 0.5) * self.batch_size / count - 0.5) for i in range(count)]
            others = self._cycle(step * count, extra, stream=1)
            for place, index in zip(places, others, strict=False):
                indices[place] = self.size + index
        return [Draw(index, mix_seed(self.seed, step, place)) for place, index in enumerate(indices)]

    def _cycle(self, start: int, size: int, stream: int) -> list[int]:
        """Return ``batch_size`` indices from ``start`` on, through one permutation of ``size`` after the other."""
        per_epoch = size // self.batch_size * self.batch_size or size
        indices: list[int] = []
        while len(indices) < self.batch_size:
            epoch, offset = divmod(start + len(indices), per_epoch)
            generator = torch.Generator().manual_seed(mix_seed(self.seed, epoch, stream, size))
            order = torch.randperm(size, generator=generator)[offset:per_epoch]
            indices.extend(order[: self.batch_size - len(indices)].tolist())
        return indices
