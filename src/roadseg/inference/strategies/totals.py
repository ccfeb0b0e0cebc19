"""Scores of several views of one picture, added up."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from roadseg.inference.memory import is_out_of_memory, release
from roadseg.inference.strategies.scores import (
    Part,
    ScoreMap,
    ScoreSum,
    band_rows,
    line_sources,
    upsampled_rows,
)

__all__ = ["Sink", "Span", "Total"]


@dataclass(frozen=True)
class Sink:
    """Takes the windows of one view of a picture, one by one, so that the view is never there as a whole.

    Windows are added to the total at the size of the picture. That is what adding them up at the size of the view and
    resizing the sum gives: resizing is linear, and each pixel of a window counts by one over the windows that saw it.

    Attributes:
        total: Where they go.
        weight: What the view counts.
        mirrored: Whether the windows are of the mirror image.
    """

    total: "Total"
    weight: float
    mirrored: bool = False

    def pour(self, window: ScoreMap, rows: "Span", columns: "Span") -> None:
        """Add a window, whose scores may be of low resolution.

        Args:
            window: Its scores.
            rows: Where it lies from top to bottom.
            columns: Where it lies from left to right.
        """
        scores, size = window.scores, (len(rows.gains), len(columns.gains))
        down = _Reach.of(self.total.size[0], rows, mirrored=False)
        across = _Reach.of(self.total.size[1], columns, mirrored=self.mirrored)
        shape = (*scores.shape[:2], *self.total.size)
        full = self.total.opened(shape, scores.device, window.probabilities)
        full = full[:, :, down.first : down.last, across.first : across.last]
        direct = tuple(scores.shape[-2:]) == size
        # About as many scores of the window at a time as of the picture, whichever is larger.
        width = size[1] * max(1, round(rows.view / self.total.size[0]))
        for top, bottom in band_rows((full.shape[2], width), shape[0] * shape[1], scores.device):
            band, first, last = down.part(top, bottom)
            if direct:
                lines = scores[..., first:last, :].float()
            else:
                lines = upsampled_rows(window, first, last, size, size)
            mixed = band.mix(across.mix(lines, 3), 2)
            full[:, :, top:bottom].add_(mixed.to(full.device), alpha=self.weight)


@dataclass(frozen=True)
class Span:
    """Where a window lies along one side of a view.

    Attributes:
        start: Its first pixel, counted from the view's; negative where the view was padded.
        gains: What each of its pixels counts, ``[n]``.
        view: Pixels of the view.
        length: The same with those by which the view was extended at its end.
    """

    start: int
    gains: Tensor
    view: int
    length: int


class _Reach(NamedTuple):
    """The lines of the picture that a window reaches along one side: each is a mixture of two lines of the window.

    Attributes:
        first: First line of the picture.
        last: Line after the last.
        low: ``[last - first]`` lines of the window.
        high: The ones after them.
        near: What the former count; nothing where they lie outside of the window.
        far: What the latter count.
    """

    first: int
    last: int
    low: Tensor
    high: Tensor
    near: Tensor
    far: Tensor

    @classmethod
    def of(cls, size: int, span: Span, *, mirrored: bool) -> "_Reach":
        """Return what a window reaches of a picture with so many pixels along the side."""
        length = span.length
        low, high, far = line_sources(0, size, size, span.view, length, length, align_corners=False)
        ends = torch.stack([low, high])
        ends = (length - 1 - ends if mirrored else ends) - span.start
        inside = (ends >= 0) & (ends < len(span.gains))
        reached = inside.any(0).nonzero()
        first, last = (int(reached[0]), int(reached[-1]) + 1) if len(reached) else (0, 0)
        ends, inside = ends[:, first:last].clamp(0, len(span.gains) - 1), inside[:, first:last]
        weights = torch.stack([1 - far, far])[:, first:last] * inside * span.gains[ends]
        return cls(first, last, ends[0], ends[1], weights[0], weights[1])

    def part(self, top: int, bottom: int) -> tuple["_Reach", int, int]:
        """Return some of the lines, made of lines of a part of the window: also its first and the one after its last."""
        low, high, near, far = (values[top:bottom] for values in self[2:])
        ends = torch.stack([low, high])
        first, last = int(ends.min()), int(ends.max()) + 1
        return _Reach(top, bottom, low - first, high - first, near, far), first, last

    def mix(self, lines: Tensor, axis: int) -> Tensor:
        """Return the mixtures of lines ``[B, C, h, w]`` along an axis."""
        low, high, near, far = (values.to(lines.device) for values in self[2:])
        shape = (-1, 1) if axis == 2 else (-1,)
        total = lines.index_select(axis, low).mul_(near.view(shape))
        if self.far.any():  # on the CPU, where the figures were made
            total.addcmul_(lines.index_select(axis, high), far.view(shape))
        return total


class Total:
    """Adds up maps of one picture: by keeping them while they are small, else at the size of the picture."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        self.kept: list[Part] = []
        self.full: torch.Tensor | None = None
        self.probabilities = False

    def add(self, found: ScoreMap | ScoreSum, size: tuple[int, int], weight: float) -> None:
        """Add what a strategy returned for the picture at some size."""
        parts = found.parts if isinstance(found, ScoreSum) else (Part(found, size),)
        self.kept += [Part(part.map, part.size, part.weight * weight) for part in parts]
        if sum(part.map.cells for part in self.kept) > self.size[0] * self.size[1]:
            for part in self.kept:
                self._pour(part)
            self.kept = []

    def opened(self, shape: tuple[int, ...], device: torch.device, probabilities: bool) -> Tensor:
        """Return the sum at the size of the picture, made if it is not there yet."""
        if self.full is None:
            self.full = _zeros(shape, device)
        self.probabilities = probabilities
        return self.full

    def _pour(self, part: Part) -> None:
        """Add a part at the size of the picture."""
        scores = part.map.scores
        planes = scores.shape[0] * scores.shape[1]
        full = self.opened((*scores.shape[:2], *self.size), scores.device, part.map.probabilities)
        for top, bottom in band_rows(self.size, planes, scores.device):
            rows = upsampled_rows(part.map, top, bottom, self.size, part.size)
            full[:, :, top:bottom].add_(rows.to(full.device), alpha=part.weight)

    def result(self) -> ScoreMap | ScoreSum:
        """Return the sum."""
        if self.full is None and len(self.kept) == 1 and self.kept[0][1:] == (self.size, 1.0):
            return self.kept[0].map
        if self.full is None:
            return ScoreSum(tuple(self.kept), self.size)
        full = ScoreMap(self.full, self.size, align_corners=False, probabilities=self.probabilities)
        return ScoreSum((Part(full, self.size), *self.kept), self.size) if self.kept else full


def _zeros(shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Return zeros on a device, or in main memory where the device has no room."""
    try:
        return torch.zeros(shape, dtype=torch.float32, device=device)
    except (RuntimeError, MemoryError) as error:
        if device.type == "cpu" or not is_out_of_memory(error):
            raise
    release(device)
    return torch.zeros(shape, dtype=torch.float32)
