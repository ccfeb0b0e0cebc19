"""Where windows lie along the sides of an image."""

import math
from dataclasses import dataclass

import torch

__all__ = ["Line", "window_starts"]

_GAUSS = 8  # windows are this many standard deviations wide


def window_starts(length: int, window: int, step: int) -> list[int]:
    """Return where windows begin along one side: every ``step`` pixels, the last one shifted back to the border."""
    if window >= length:
        return [0]
    count = math.ceil((length - window) / step) + 1
    return [min(index * step, length - window) for index in range(count)]


@dataclass(frozen=True)
class Line:
    """Windows along one side of the image.

    Attributes:
        length: Pixels of the (extended) image.
        window: Pixels of a window.
        starts: First pixel of each window.
        on_grid: Whether cells of the network's stride of all windows lie on one grid.
    """

    length: int
    window: int
    starts: list[int]
    on_grid: bool

    @classmethod
    def build(cls, length: int, window: int, step: int, stride: int, base: int) -> "Line":
        """Put windows on a side, which is extended to the network's grid if they fit it; `base` is 1 or 0."""
        whole = length + -(length - base) % stride
        if window >= whole:
            return cls(whole, whole, [0], on_grid=True)
        if (window - base) % stride == 0 and step % stride == 0:
            return cls(whole, window, window_starts(whole, window, step), on_grid=True)
        window = min(window, length)
        return cls(length, window, window_starts(length, window, step), on_grid=False)

    def pitch(self, cells: int, base: int) -> int | None:
        """Return the pixels per cell if windows of so many cells share one grid, else None."""
        if cells == self.window:
            return 1
        if cells <= base or (self.window - base) % (cells - base):
            return None
        pitch = (self.window - base) // (cells - base)
        shared = all(place % pitch == 0 for place in (*self.starts, self.length - base))
        return pitch if shared else None

    def weights(self, cells: int, kind: str) -> torch.Tensor:
        """Return the weight of each cell of a window along this side."""
        if kind == "uniform":
            return torch.ones(cells)
        place = (torch.arange(cells) - (cells - 1) / 2) / max(1.0, cells / _GAUSS)
        return torch.exp(-0.5 * place**2)

    def counts(self, weights: torch.Tensor, pitch: int, cells: int) -> torch.Tensor:
        """Return the sum of all windows' weights for each cell of the image."""
        total = torch.zeros(cells)
        for start in self.starts:
            total[start // pitch : start // pitch + len(weights)] += weights
        return total
