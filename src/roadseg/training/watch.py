"""Reads the losses of steps without making the device wait, and stops a run whose loss is no number."""

import math
from pathlib import Path
from typing import NamedTuple

import torch

from roadseg.errors import RunError
from roadseg.media import write_json
from roadseg.training.distributed import World

__all__ = ["BAD_BATCH", "LossWatch"]

BAD_BATCH = "bad-batch.json"
PATIENCE = 20
"""Steps in a row that a float16 gradient scaler may skip while it looks for its scale."""


class _Seen(NamedTuple):
    step: int
    loss: torch.Tensor
    keys: tuple[str, ...]
    lr: float


class LossWatch:
    """Holds back the loss of the last step until the next one is on its way.

    Asking a GPU for a number makes the host wait for all that it was told to do; asked one step later, the number is
    there already.

    Args:
        out: Folder of the run, where a batch with a bad loss is written down.
        world: The processes; the losses are sums over them, so all see the same.
        tolerant: Whether single bad losses are in order, because a gradient scaler skips their steps.
    """

    def __init__(self, out: Path, world: World, tolerant: bool) -> None:
        self.out = out
        self.world = world
        self.patience = PATIENCE if tolerant else 1
        self.bad = 0
        self.total = 0.0
        self.count = 0
        self.last = math.nan
        self._held: _Seen | None = None

    def add(self, step: int, loss: torch.Tensor, keys: tuple[str, ...], lr: float) -> None:
        """Take the loss of a step, and look at the one before it.

        Raises:
            RunError: That one is no number.
        """
        held, self._held = self._held, _Seen(step, loss, keys, lr)
        if held is not None:
            self._look(held)

    def flush(self) -> None:
        """Look at the loss that is held back.

        Raises:
            RunError: It is no number.
        """
        if self._held is not None:
            held, self._held = self._held, None
            self._look(held)

    def mean(self) -> float | None:
        """Return the mean loss since the last call."""
        self.flush()
        mean = self.total / self.count if self.count else None
        self.total, self.count = 0.0, 0
        return mean

    def _look(self, seen: _Seen) -> None:
        self.last = float(seen.loss)
        if math.isfinite(self.last):
            self.bad = 0
            self.total += self.last
            self.count += 1
            return
        self.bad += 1
        if self.bad >= self.patience:
            self._stop(seen)

    def _stop(self, seen: _Seen) -> None:
        keys = self.world.gather(seen.keys)
        path = self.out / BAD_BATCH
        if self.world.is_first:
            write_json(
                path,
                {
                    "step": seen.step,
                    "loss": str(self.last),
                    "lr": seen.lr,
                    "keys": [key for part in keys for key in part],
                },
            )
        raise RunError(
            f"the loss became {self.last} at step {seen.step}; its images are listed in {path}",
            remedy="look at them with `roadseg data check`; where they are in order, lower the learning rate"
            " (--optim.lr), and go on from the last good state with --resume",
        )
