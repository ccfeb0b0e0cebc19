"""Where a training crop lies in its image, and how it is cut: zoom, place, rotate and flip in one go.

The window is chosen first and only its pixels are read and resized, once, so the cost depends on the crop and not on
the size of the image, and a memory-mapped image is touched nowhere else.
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

__all__ = ["Placement", "Span", "Window"]

_Matrix = npt.NDArray[np.float64]
_T = TypeVar("_T", bound=np.generic)

# Source pixels around the corners of a turned window that antialiasing and interpolation may look at.
_MARGIN = 4


class Span(NamedTuple):
    """One side of a crop: ``length`` source pixels from ``start`` become ``result`` ones after ``before`` empty ones.

    What is left of the crop after them is empty, too.
    """

    start: int
    length: int
    before: int
    result: int

    @property
    def source(self) -> slice:
        """The source pixels."""
        return slice(self.start, self.start + self.length)

    def nearest(self) -> npt.NDArray[np.int64]:
        """Return which of the source pixels is under the center of each result pixel, ``[result]``."""
        return (2 * np.arange(self.result) + 1) * self.length // (2 * self.result)

    def matrix(self) -> tuple[float, float]:
        """Return factor and offset from crop to source coordinates; pixel i covers i to i+1."""
        factor = self.length / self.result
        return factor, self.start - self.before * factor


@dataclass(frozen=True, kw_only=True)
class Window:
    """One drawn window, to be cut out of an image and of its mask.

    Attributes:
        crop: Height and width of the result.
        rows: From which source rows it comes.
        columns: From which source columns it comes.
        flip: Whether left and right are exchanged, last.
        angle: Clockwise rotation of the content, in radians.
        pivot: Point (x, y) of the unflipped crop that stays in place when it is turned.
    """

    crop: tuple[int, int]
    rows: Span
    columns: Span
    flip: bool = False
    angle: float = 0.0
    pivot: tuple[float, float] = (0.0, 0.0)

    def cut_image(self, image: torch.Tensor, fill: int) -> npt.NDArray[np.uint8]:
        """Return the window of an image.

        Args:
            image: uint8 ``[3, H, W]`` with any strides; fastest where the channels of a pixel lie side by side.
            fill: Value where the window reaches beyond the image.

        Returns:
            uint8 ``[3, *crop]``, contiguous. Bilinear, antialiased where it is made smaller.
        """
        if self.angle:
            return self._turn_image(image, fill)
        part = image[:, self.rows.source, self.columns.source]
        return self._placed(_resize(part, (self.rows.result, self.columns.result)).numpy(), fill)

    def cut_mask(self, mask: torch.Tensor, ignore: int) -> npt.NDArray[np.generic]:
        """Return the window of a mask ``[H, W]``: nearest pixels, ``ignore`` beyond its borders."""
        if self.angle:
            return self._turn_mask(mask, ignore)
        part = mask[self.rows.source, self.columns.source].numpy()
        if part.shape != (self.rows.result, self.columns.result):
            part = part.take(self.rows.nearest(), axis=0).take(self.columns.nearest(), axis=1)
        return self._placed(part, ignore)

    def _placed(self, part: npt.NDArray[_T], fill: int) -> npt.NDArray[_T]:
        """Put the resized part ``[..., rows, columns]`` into the crop, and flip it."""
        canvas = np.empty((*part.shape[:-2], *self.crop), dtype=part.dtype)
        if part.shape[-2:] != self.crop:
            canvas.fill(fill)
        view = canvas[..., ::-1] if self.flip else canvas
        top, left = self.rows.before, self.columns.before
        view[..., top : top + part.shape[-2], left : left + part.shape[-1]] = part
        return canvas

    def _turn_image(self, image: torch.Tensor, fill: int) -> npt.NDArray[np.uint8]:
        top, left, height, width = self._box(image.shape[-2], image.shape[-1])
        size = (
            max(1, round(height * self.rows.result / self.rows.length)),
            max(1, round(width * self.columns.result / self.columns.length)),
        )
        part = _resize(image[:, top : top + height, left : left + width], size)
        # What grid_sample takes from beyond the border is 0: shifted by the fill, that becomes the fill.
        shifted = part.contiguous().float().sub_(fill)[None]
        grid = self._grid((top, left, height, width))
        turned = F.grid_sample(shifted, grid, align_corners=False)[0]
        result: npt.NDArray[np.uint8] = turned.add_(fill + 0.5).numpy().astype(np.uint8)
        return result

    def _turn_mask(self, mask: torch.Tensor, ignore: int) -> npt.NDArray[np.generic]:
        box = self._box(mask.shape[-2], mask.shape[-1])
        top, left, height, width = box
        # float32 holds every id exactly; the shift makes ignore of what lies beyond the border.
        part = mask[top : top + height, left : left + width].float().sub_(ignore)[None, None]
        turned = F.grid_sample(part, self._grid(box), mode="nearest", align_corners=False)[0, 0]
        result: npt.NDArray[np.generic] = turned.add_(ignore).to(mask.dtype).numpy()
        return result

    def _matrix(self) -> _Matrix:
        """Return the map from (x, y, 1) of the crop to source coordinates, ``[3, 3]``."""
        (x_factor, x_offset), (y_factor, y_offset) = self.columns.matrix(), self.rows.matrix()
        source = np.array([[x_factor, 0, x_offset], [0, y_factor, y_offset], [0, 0, 1]])
        (x, y), cos, sin = self.pivot, math.cos(self.angle), math.sin(self.angle)
        turn = np.array([[cos, sin, x - cos * x - sin * y], [-sin, cos, y + sin * x - cos * y], [0, 0, 1]])
        flip = np.array([[-1, 0, self.crop[1]], [0, 1, 0], [0, 0, 1]]) if self.flip else np.eye(3)
        matrix: _Matrix = source @ turn @ flip
        return matrix

    def _box(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Return top, left, height and width of the source pixels that a turned window needs."""
        corners = np.array([[x, y, 1] for x in (0, self.crop[1]) for y in (0, self.crop[0])]).T
        xs, ys, _ = self._matrix() @ corners
        left, right = (min(max(round(x), 0), width) for x in (xs.min() - _MARGIN, xs.max() + _MARGIN))
        top, bottom = (min(max(round(y), 0), height) for y in (ys.min() - _MARGIN, ys.max() + _MARGIN))
        return top, left, bottom - top, right - left

    def _grid(self, box: tuple[int, int, int, int]) -> torch.Tensor:
        """Return where in a box each crop pixel lies, for ``grid_sample``: float32 ``[1, *crop, 2]`` in -1..1."""
        top, left, height, width = box
        norm = np.array([[2 / width, 0, -1 - 2 * left / width], [0, 2 / height, -1 - 2 * top / height]])
        matrix = norm @ self._matrix()
        rows, columns = np.arange(self.crop[0]) + 0.5, np.arange(self.crop[1]) + 0.5
        grid = np.empty((1, *self.crop, 2), np.float32)
        for axis in (0, 1):
            along, down, offset = matrix[axis].astype(np.float32)
            first = (down * rows + offset).astype(np.float32)
            np.add(first[:, None], (along * columns).astype(np.float32), out=grid[0, :, :, axis])
        return torch.from_numpy(grid)


@dataclass(frozen=True, kw_only=True)
class Placement:
    """How windows are drawn; fields as in `roadseg.recipes.Augment`."""

    crop: tuple[int, int]
    pre_size: int | None
    pre_edge: Literal["long", "short"]
    scale: tuple[float, float]
    scale_draw: Literal["log", "uniform"]
    scale_step: float
    place: Literal["random", "center", "corner"]
    rotate: float
    rotate_p: float
    flip: float

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        if min(self.crop) < 1:
            raise ValueError(f"crop must be at least 1 pixel high and wide, not {self.crop}")
        if self.pre_size is not None and self.pre_size < 1:
            raise ValueError(f"pre_size must be at least 1 pixel, not {self.pre_size}")
        if not 0 < self.scale[0] <= self.scale[1] < math.inf:
            raise ValueError(f"scale must be an increasing range above 0, not {self.scale}")
        if not 0 <= self.scale_step < math.inf:
            raise ValueError(f"scale_step must be 0 or above, not {self.scale_step}")
        if not 0 <= self.rotate <= 180:
            raise ValueError(f"rotate must be 0 to 180 degrees, not {self.rotate}")
        for name, value in (("rotate_p", self.rotate_p), ("flip", self.flip)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must be a probability from 0 to 1, not {value}")

    def draw(
        self, rng: np.random.Generator, height: int, width: int, center: tuple[int, int] | None
    ) -> Window:
        """Draw a window of an image of this size that contains ``center`` (x, y), where one is given."""
        zoom = self._zoom(rng)
        if self.pre_size is not None:
            zoom *= self.pre_size / (max if self.pre_edge == "long" else min)(height, width)
        x, y = center if center is not None else (None, None)
        rows = self._span(rng, height, self.crop[0], zoom, y)
        columns = self._span(rng, width, self.crop[1], zoom, x)
        angle = 0.0
        if self.rotate and rng.random() < self.rotate_p:
            angle = math.radians(rng.uniform(-self.rotate, self.rotate))
        return Window(
            crop=self.crop,
            rows=rows,
            columns=columns,
            flip=bool(rng.random() < self.flip),
            angle=angle,
            pivot=(_pivot(columns, x), _pivot(rows, y)),
        )

    def _zoom(self, rng: np.random.Generator) -> float:
        low, high = self.scale
        if self.scale_step:
            # The small number forgives that (2.1 - 0.7) / 0.1 is just below 14.
            return low + self.scale_step * int(rng.integers(int((high - low) / self.scale_step + 1e-6) + 1))
        if self.scale_draw == "uniform":
            return float(rng.uniform(low, high))
        return math.exp(rng.uniform(math.log(low), math.log(high)))

    def _span(
        self, rng: np.random.Generator, length: int, crop: int, zoom: float, center: int | None
    ) -> Span:
        wanted = max(1, round(crop / zoom))
        if wanted > length:
            result = min(crop, max(1, round(length * zoom)))
            return Span(0, length, self._before(rng, crop - result), result)
        if center is None:
            return Span(int(rng.integers(length - wanted + 1)), wanted, 0, crop)
        # As published: drawn around the center first, moved into the image then.
        start = center - int(rng.integers(wanted))
        return Span(min(max(start, 0), length - wanted), wanted, 0, crop)

    def _before(self, rng: np.random.Generator, empty: int) -> int:
        match self.place:
            case "random":
                return int(rng.integers(empty + 1))
            case "center":
                return empty // 2
            case "corner":
                return 0


def _pivot(span: Span, center: int | None) -> float:
    """Return what a rotation leaves in place along one side: the center that was asked for, or the middle."""
    if center is None:
        return span.before + span.result / 2
    factor, offset = span.matrix()
    return (center + 0.5 - offset) / factor


def _resize(part: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Resize a uint8 image ``[3, h, w]``."""
    if part.shape[-2:] == size:
        return part
    # With the channels side by side, torch has a vectorized path for uint8, several times as fast.
    pixels = part[None].contiguous(memory_format=torch.channels_last)
    return F.interpolate(pixels, size, mode="bilinear", antialias=True)[0]
