"""Several scales and the mirror image, averaged.

The network's maps of different scales have different resolutions. They are kept as they are, in a `ScoreSum` that is added
up row by row where labels are read, unless together they have more cells than the image has pixels: then they are added
up at once. Each is upsampled in one step from the network's resolution to the image's; published evaluations go by way
of the size of the scaled image, which is the same up to the rounding of corners at cell centers.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

import torch

from roadseg.errors import RecipeError
from roadseg.inference.memory import is_out_of_memory, release
from roadseg.inference.strategies.scores import ScoreMap, ScoreSum, band_rows
from roadseg.inference.strategies.sliding import Sliding
from roadseg.inference.strategies.totals import Sink, Total
from roadseg.inference.strategies.whole import Probabilities, Strategy, Whole, extended, gives_probabilities
from roadseg.models.blocks import resize
from roadseg.models.hierarchical import scaled_size
from roadseg.models.output import SegmentationModel

__all__ = ["Flip", "MultiScale", "Pooling"]

_SINGLE = ", single scale, no flip"


@dataclass(frozen=True)
class Flip:
    """The average of an image and its mirror image, mirrored back.

    Where the inner strategy extends the image, the extended image is mirrored: both maps then have the same cells, and
    are averaged at their own resolution.

    Attributes:
        inner: What is done with the image and with its mirror image.
    """

    inner: Strategy = field(default_factory=Whole)

    def __call__(self, model: SegmentationModel, images: torch.Tensor) -> ScoreMap:
        """Return the average."""
        found = _as_map(self.inner(model, images))
        mirrored = _as_map(self.inner(model, extended(images, found.grid).flip(-1)))
        # Probabilities are in memory of their own, and large; a network's scores may be what it keeps.
        own = isinstance(self.inner, Probabilities)
        total = found.scores.to(torch.promote_types(found.scores.dtype, torch.float32), copy=not own)
        size = total.shape[-2], total.shape[-1]
        for top, bottom in band_rows(size, total.shape[0] * total.shape[1], total.device):
            other = mirrored.scores[..., top:bottom, :].flip(-1).to(total.device)
            total[..., top:bottom, :].add_(other).mul_(0.5)
        return found._replace(scores=total)

    def view_sizes(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        """Return the sizes of the images that the network sees for one image of a size."""
        from roadseg.inference.strategies.nesting import view_sizes

        return view_sizes(self.inner, size) * 2

    def describe(self) -> str:
        """Return the words that stand in a score's protocol."""
        return f"{self.inner.describe().replace(', no flip', '')}, with flip"


def _as_map(found: ScoreMap | ScoreSum) -> ScoreMap:
    if isinstance(found, ScoreMap):
        return found
    return ScoreMap(found.scores, found.grid, found.align_corners, found.probabilities)


@dataclass(frozen=True)
class MultiScale:
    """The average over several sizes of the image.

    Attributes:
        scales: Factors of the image's size or, with ``short_side``, of that.
        flip: Average with the mirror image at every scale.
        inner: What is done at each scale.
        average: What is averaged over scales and flips: ``logits``, or the ``probabilities`` of the image at each scale.
        short_side: Length of the image's shorter side at scale 1, whatever the image's size, as MSeg has it; its
            preprocessing then is without a size of its own.
    """

    scales: tuple[float, ...] = (0.5, 1.0, 2.0)
    flip: bool = False
    inner: Strategy = field(default_factory=Whole)
    average: Literal["logits", "probabilities"] = "logits"
    short_side: int | None = None

    def __post_init__(self) -> None:
        """Refuse scales that are none."""
        if not self.scales or not all(0 < scale <= 16 for scale in self.scales):
            raise RecipeError(
                f"{self.scales} are no scales", where="MultiScale", remedy="give numbers above 0 and up to 16"
            )

    def __call__(self, model: SegmentationModel, images: torch.Tensor) -> ScoreMap | ScoreSum:
        """Return the average."""
        own = images.shape[-2], images.shape[-1]
        views = sum(height * width for height, width in (self.size_at(own, scale) for scale in self.scales))
        if self.average == "logits" and views > own[0] * own[1]:
            try:
                return self._run(model, images, pouring=True)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            release(images.device)  # and the way that yields memory step by step
        return self._run(model, images, pouring=False)

    def _run(self, model: SegmentationModel, images: torch.Tensor, *, pouring: bool) -> ScoreMap | ScoreSum:
        """Add up all views; with `pouring`, windows of pixels go to the sum directly."""
        own = images.shape[-2], images.shape[-1]
        total = Total(own)
        for scale in self.scales:
            size = self.size_at(own, scale)
            view = images if size == own else resize(images, size, align_corners=False)
            weight = 1 / len(self.scales)
            windows = _grown(self.inner, scale)
            if pouring and isinstance(windows, Sliding) and windows.by_pixel(model, size):
                for mirrored in (False, True) if self.flip else (False,):
                    windows.pour(model, view, Sink(total, weight / (1 + self.flip), mirrored))
            else:
                total.add(self._at(scale)(model, view), size, weight)
        return total.result()

    def size_at(self, size: tuple[int, int], scale: float) -> tuple[int, int]:
        """Return the height and width at a scale of an image of a height and width."""
        if self.short_side is None:
            return size if scale == 1 else scaled_size(size, scale)
        short = max(1, round(scale * self.short_side))
        height, width = (max(1, round(short / min(size) * side)) for side in size)
        return (short, width) if size[0] <= size[1] else (height, short)

    def _at(self, scale: float) -> Strategy:
        """Return what is done at a scale."""
        strategy = _grown(self.inner, scale)
        if self.average == "probabilities":
            strategy = Probabilities(strategy)
        return Flip(strategy) if self.flip else strategy

    def view_sizes(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        """Return the sizes of the images that the network sees for one image of a size."""
        from roadseg.inference.strategies.nesting import view_sizes

        return [
            each for scale in self.scales for each in view_sizes(self._at(scale), self.size_at(size, scale))
        ]

    def describe(self) -> str:
        """Return the words that stand in a score's protocol."""
        unit = "" if self.short_side is None else f" of short side {self.short_side}"
        flip = " with flip" if self.flip else ""
        scales = ", ".join(f"{scale:g}" for scale in self.scales)
        inner = self.inner.describe().removesuffix(_SINGLE)
        mean = "probabilities" if gives_probabilities(self.inner) else self.average
        return f"{inner}, scales {scales}{unit}{flip}, mean {mean}"


def _grown(strategy: Strategy, scale: float) -> Strategy:
    """Return a strategy for the image at a scale: windows may grow with it."""
    at_scale = getattr(strategy, "at_scale", None)
    if at_scale is not None:
        grown: Strategy = at_scale(scale)
        return grown
    inner = getattr(strategy, "inner", None)
    if inner is None or _grown(inner, scale) == inner:
        return strategy
    return replace(strategy, inner=_grown(inner, scale))  # type: ignore[type-var]


@dataclass(frozen=True)
class Pooling:
    """The whole image at half, once and twice its size, scores averaged (NVIDIA's evaluation of the same name).

    Half the size is the mean of 2x2 pixels, which bilinear resizing is. The published code forgot to normalize the
    images; here, as everywhere, the network sees what it was trained on.

    Attributes:
        flip: Average with the mirror image at every scale.
        inner: What is done at each scale.
    """

    flip: bool = True
    inner: Strategy = field(default_factory=Whole)

    @property
    def _scales(self) -> MultiScale:
        return MultiScale((0.5, 1.0, 2.0), flip=self.flip, inner=self.inner)

    def __call__(self, model: SegmentationModel, images: torch.Tensor) -> ScoreMap | ScoreSum:
        """Return the average."""
        return self._scales(model, images)

    def view_sizes(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        """Return the sizes of the images that the network sees for one image of a size."""
        return self._scales.view_sizes(size)

    def describe(self) -> str:
        """Return the words that stand in a score's protocol."""
        return f"pooling: {self._scales.describe()}"
