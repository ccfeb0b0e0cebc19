"""The whole image if memory allows, else windows as large as fit."""

import warnings
from dataclasses import dataclass, field

import torch

from roadseg.errors import RecipeError
from roadseg.inference.memory import bytes_text, is_out_of_memory, network_bytes, release
from roadseg.inference.strategies.scores import ScoreMap, ScoreSum
from roadseg.inference.strategies.sliding import Sliding
from roadseg.inference.strategies.whole import Strategy, Whole
from roadseg.models.output import SegmentationModel

__all__ = ["Bounded"]

_UNIT = 32  # windows are multiples of it, and so of the strides of nearly all networks
_STEP = 0.75  # of a window, from one to the next
_LEAST = 64


@dataclass(frozen=True)
class Bounded:
    """The whole image in one pass if memory allows, else `Sliding` windows as large as fit.

    Attributes:
        max_memory: Bytes that one run of the network may take beside its weights, by an estimate that a small trial run
            gives; None tries the whole image and cuts it when the device runs out of memory.
        inner: What is done with the image or with each window.
    """

    max_memory: int | None = None
    inner: Strategy = field(default_factory=Whole)

    def __call__(self, model: SegmentationModel, images: torch.Tensor) -> ScoreMap | ScoreSum:
        """Return the scores.

        Raises:
            RecipeError: Even the smallest window takes more than the limit.
        """
        size = images.shape[-2], images.shape[-1]
        if self.max_memory is not None:
            need = self._need(model, images)
            if need > self.max_memory:
                return self._windows(self._largest(size, need), model)(model, images)
        try:
            return self.inner(model, images)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or max(size) <= _LEAST:
                raise
        release(images.device)
        window = _unit(size[0] // 2), _unit(size[1] // 2)
        warnings.warn(
            f"out of memory: an image of {size[1]}x{size[0]} pixels was cut into windows of {window[1]}x{window[0]};"
            " scores may differ",
            RuntimeWarning,
            stacklevel=2,
        )
        return self._windows(window, model)(model, images)

    def _need(self, model: SegmentationModel, images: torch.Tensor) -> int:
        """Estimate the bytes that the inner strategy takes for images: those of its largest run of the network."""
        from roadseg.inference.strategies.nesting import view_sizes

        size = images.shape[-2], images.shape[-1]
        largest = max(height * width for height, width in view_sizes(self.inner, size))
        return int(network_bytes(model, images) * largest / (size[0] * size[1]))

    def _largest(self, size: tuple[int, int], need: int) -> tuple[int, int]:
        """Return the largest window, of about the image's shape, that stays within the limit."""
        limit = self.max_memory or need
        shrink = (limit / need) ** 0.5
        window = _unit(int(size[0] * shrink)), _unit(int(size[1] * shrink))
        per_pixel = need / (size[0] * size[1])
        if per_pixel * min(window[0], size[0]) * min(window[1], size[1]) > 1.1 * limit:
            raise RecipeError(
                f"{bytes_text(limit)} do not hold the smallest window of {_LEAST} pixels",
                where="--max-memory",
                remedy=f"give at least {bytes_text(int(1.01 * per_pixel * max(window) * _LEAST) + 1)}",
            )
        return window

    def _windows(self, window: tuple[int, int], model: SegmentationModel) -> Sliding:
        base = 1 if model.align_corners else 0
        step = max(_UNIT, int(min(window) * _STEP) // _UNIT * _UNIT)
        inner = None if self.inner == Whole() else self.inner
        return Sliding(
            window=(window[0] + base, window[1] + base),
            stride=step,
            inner=inner,
            batch=1,
            max_memory=self.max_memory,
        )

    def view_sizes(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        """Return the sizes of the images that the network sees for one image of a size, if memory allows."""
        from roadseg.inference.strategies.nesting import view_sizes

        return view_sizes(self.inner, size)

    def describe(self) -> str:
        """Return the words that stand in a score's protocol."""
        if self.max_memory is None:
            return self.inner.describe()
        return f"{self.inner.describe()}, in windows where it takes more than {bytes_text(self.max_memory)}"


def _unit(length: int) -> int:
    return max(_LEAST, length // _UNIT * _UNIT)
