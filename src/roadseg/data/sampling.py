"""Which samples make up which step: a pure function of plan, seed, step and rank."""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from torch.utils.data import Sampler

from roadseg.data.dataset import Draw
from roadseg.data.epochs import EpochPlan, Place, Shuffled, mix_seed

__all__ = ["StepSampler"]


class StepSampler(Sampler[list[Draw]]):
    """Yields the draws of one micro-batch after the other, for this process.

    Every epoch of a plan is cut into steps of ``batch_size``; what does not fill a step is left out (with a plan that
    shuffles, it comes in another epoch). Epochs shorter than a step follow each other within it. Each step's batch is
    divided evenly over the processes and the micro-batches, in order, so the union over the processes does not depend on
    their number.

    Args:
        plan: Which samples an epoch consists of.
        batch_size: Samples per step over all processes and micro-batches.
        seed: Seed of the run.
        steps: ``range`` of global step numbers to yield; a resumed run starts in the middle.
        rank: This process.
        world: Number of processes.
        accumulate: Micro-batches per step.
        mixed: ``(size, share, until)``: a further data set, whose positions follow those of the plan, gets this share
            of all samples up to this step (exclusive): of each batch, rounded down or up.

    Raises:
        ValueError: Batches cannot be divided evenly.
    """

    def __init__(
        self,
        plan: EpochPlan,
        *,
        batch_size: int,
        seed: int,
        steps: range,
        rank: int = 0,
        world: int = 1,
        accumulate: int = 1,
        mixed: tuple[int, float, int] | None = None,
    ) -> None:
        if batch_size % (world * accumulate):
            raise ValueError(
                f"batch size {batch_size} is not divisible by {world} processes x {accumulate} parts"
            )
        self.plan = plan
        self.batch_size = batch_size
        self.seed = seed
        self.steps = steps
        self.rank = rank
        self.world = world
        self.accumulate = accumulate
        self.mixed = mixed
        self._epochs = _remembered(plan)
        self._others = None if mixed is None else _remembered(Shuffled(mixed[0], seed, stream=1))

    @staticmethod
    def steps_per_epoch(size: int, batch_size: int) -> int:
        """Return the optimizer steps in one pass; at least one."""
        return max(1, size // batch_size)

    def __len__(self) -> int:
        return len(self.steps) * self.accumulate

    def __iter__(self) -> Iterator[list[Draw]]:
        for step in self.steps:
            yield from self.parts(step)

    def parts(self, step: int) -> list[list[Draw]]:
        """Return the micro-batches of any step, for this process."""
        share = self.batch_size // self.world
        micro = share // self.accumulate
        mine = self._batch(step)[self.rank * share : (self.rank + 1) * share]
        return [mine[start : start + micro] for start in range(0, share, micro)]

    def _batch(self, step: int) -> list[Draw]:
        batch = self._take(self._epochs, len(self.plan), step * self.batch_size, self.batch_size)
        if self.mixed is not None and self._others is not None:
            size, share, until = self.mixed
            # Rounding every batch alone would lose a share of less than half a sample.
            start, end = (math.floor(each * self.batch_size * share + 0.5) for each in (step, step + 1))
            count = end - start if step < until else 0
            others = self._take(self._others, size, start, count)
            # The same places in every batch would always fall to the same rank: spread them evenly instead.
            for i, (position, center) in enumerate(others):
                batch[round((i + 0.5) * self.batch_size / count - 0.5)] = (
                    self.plan.images + position,
                    center,
                )
        return [
            Draw(position, mix_seed(self.seed, step, place), center)
            for place, (position, center) in enumerate(batch)
        ]

    def _take(
        self, epochs: Callable[[int], Sequence[Place]], length: int, start: int, count: int
    ) -> list[Place]:
        """Return ``count`` samples from the ``start``-th on, through one epoch after the other."""
        used = length // self.batch_size * self.batch_size or length
        taken: list[Place] = []
        while len(taken) < count:
            number, offset = divmod(start + len(taken), used)
            taken.extend(epochs(number)[offset : min(used, offset + count - len(taken))])
        return taken


def _remembered(plan: EpochPlan) -> Callable[[int], Sequence[Place]]:
    """Return the plan's epochs; the last one is kept, because its steps ask for it one after the other."""
    return lru_cache(maxsize=1)(plan.epoch)
