"""What strategies return: scores, the part of the picture that they cover, and how to read them row by row."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Part", "ScoreMap", "ScoreSum", "band_rows", "line_sources", "upsampled_rows"]

# Scores that are interpolated at a time: 4 MiB on a CPU, so that they stay in the cache; 64 MiB elsewhere.
_CHUNK_CPU, _CHUNK_ELSEWHERE = 2**20, 2**24


class ScoreMap(NamedTuple):
    """Scores, usually at low resolution, and the image area they cover.

    Attributes:
        scores: float ``[B, C, h, w]``, logits or probabilities.
        grid: Height and width, in pixels, of the area that the map covers; it starts at the image's top left corner
            and may reach beyond the image.
        align_corners: How the scores are to be upsampled to the grid.
        probabilities: Whether the scores are probabilities, or sums of some, rather than logits.
    """

    scores: Tensor
    grid: tuple[int, int]
    align_corners: bool
    probabilities: bool = False

    @property
    def cells(self) -> int:
        """Number of score cells of one image."""
        return self.scores.shape[-2] * self.scores.shape[-1]


class Part(NamedTuple):
    """One summand of a `ScoreSum`: a map, the size of the picture it was made from, and its weight."""

    map: ScoreMap
    size: tuple[int, int]
    weight: float = 1.0


@dataclass(frozen=True)
class ScoreSum:
    """A weighted sum of score maps of one picture at several sizes, each at its own low resolution.

    Maps of different resolution cannot be added without upsampling them: `rows` does so a few rows at a time, where
    they are read. ``scores``, ``grid`` and ``align_corners`` are those of a `ScoreMap` at the size of the picture, for
    whoever wants the sum as one array; it is made anew each time.

    Attributes:
        parts: The summands.
        size: Height and width of the picture.
    """

    parts: tuple[Part, ...]
    size: tuple[int, int]

    @property
    def grid(self) -> tuple[int, int]:
        """The area that `scores` covers: the picture."""
        return self.size

    @property
    def align_corners(self) -> bool:
        """`scores` has a cell for each pixel, so it does not matter."""
        return False

    @property
    def probabilities(self) -> bool:
        """Whether the scores are probabilities rather than logits."""
        return all(part.map.probabilities for part in self.parts)

    @property
    def scores(self) -> Tensor:
        """The sum ``[B, C, H, W]`` in float32, at the size of the picture."""
        first = self.parts[0].map.scores
        total = first.new_empty((*first.shape[:2], *self.size), dtype=torch.float32)
        for top, bottom in band_rows(self.size, total.shape[0] * total.shape[1], total.device):
            total[:, :, top:bottom] = self.rows(top, bottom)
        return total

    def rows(self, top: int, bottom: int, size: tuple[int, int] | None = None) -> Tensor:
        """Return rows ``top`` to ``bottom`` of the sum, ``[B, C, bottom - top, W]``, float32 and free to be overwritten.

        Args:
            top: First row.
            bottom: Row after the last.
            size: Height and width to which the picture is stretched; its own by default.
        """
        total: Tensor | None = None
        for part in self.parts:
            found = upsampled_rows(part.map, top, bottom, size or self.size, part.size)
            if total is None:
                total = found.mul_(part.weight)
            else:
                total.add_(found, alpha=part.weight)
        if total is None:
            raise ValueError("a sum of no maps has no scores")
        return total


def band_rows(size: tuple[int, int], planes: int, device: torch.device) -> Iterator[tuple[int, int]]:
    """Yield ranges of rows that cover a picture, each with about as many scores as are best handled at a time.

    Args:
        size: Height and width of the picture.
        planes: Score maps of that size: images times classes.
        device: Where the scores are.
    """
    chunk = _CHUNK_CPU if device.type == "cpu" else _CHUNK_ELSEWHERE
    step = max(1, chunk // max(1, planes * size[1]))
    for top in range(0, size[0], step):
        yield top, min(top + step, size[0])


def upsampled_rows(
    scores: ScoreMap, top: int, bottom: int, size: tuple[int, int], seen: tuple[int, int]
) -> Tensor:
    """Return some rows of a map, upsampled in one step to a picture of another size than the one it was made from.

    Args:
        scores: The map.
        top: First row.
        bottom: Row after the last.
        size: Height and width of the result of which these are rows.
        seen: Height and width of the picture that the map was made from.

    Returns:
        float32 ``[B, C, bottom - top, W]``, in memory of its own.
    """
    planes, (height, width) = scores.scores, scores.scores.shape[-2:]
    low, high, far = line_sources(top, bottom, size[0], seen[0], scores.grid[0], height, scores.align_corners)
    first, last = int(low[0]), int(high[-1])
    lines = _wide(planes[..., first : last + 1, :].float(), scores, size[1], seen[1], width)
    low, high, far = (part.to(planes.device) for part in (low - first, high - first, far[:, None]))
    above, below = lines.index_select(2, low), lines.index_select(2, high)
    return above.lerp_(below, far.expand_as(above[0, 0]))


def line_sources(
    first: int, last: int, size: int, seen: int, grid: int, cells: int, align_corners: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Where output lines ``first .. last - 1`` of `size` lie between cells: the two cells, and how far to the second."""
    line = torch.arange(first, last, dtype=torch.float64)
    pixel = (line + 0.5) * (seen / size) - 0.5  # in the picture that the network saw
    place = (
        pixel * ((cells - 1) / max(grid - 1, 1)) if align_corners else (pixel + 0.5) * (cells / grid) - 0.5
    )
    place = place.clamp(0, cells - 1)
    low = place.floor().long()
    return low, (low + 1).clamp_max(cells - 1), (place - low).float()


def _wide(lines: Tensor, scores: ScoreMap, size: int, seen: int, cells: int) -> Tensor:
    """Upsample lines ``[B, C, n, w]`` along their length to ``[B, C, n, size]``."""
    grid = scores.grid[1]
    if size == seen and grid == cells:
        return lines[..., :size]
    # The operator below copies lines of its result's own length, wherever the result lies.
    if (scores.align_corners and size != seen) or (not scores.align_corners and size == cells):
        low, high, far = (
            part.to(lines.device)
            for part in line_sources(0, size, size, seen, grid, cells, scores.align_corners)
        )
        return lines.index_select(-1, low).lerp_(lines.index_select(-1, high), far)
    batch, classes, count, _ = lines.shape
    flat = lines.reshape(1, batch * classes * count, cells)
    if scores.align_corners:
        wide = F.interpolate(flat, size=grid, mode="linear", align_corners=True)
    else:
        # The operator takes the size of its result and the factor apart: the grid need not be whole in new pixels.
        factor = grid * size / (cells * seen)
        wide = torch.ops.aten.upsample_linear1d(flat, [size], False, factor)
    return wide.view(batch, classes, count, -1)[..., :size]
