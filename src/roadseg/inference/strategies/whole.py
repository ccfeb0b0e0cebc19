"""The whole image in one pass, and probabilities from scores."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Protocol

import torch
import torch.nn.functional as F

from roadseg.inference.strategies.scores import ScoreMap, ScoreSum, band_rows, upsampled_rows
from roadseg.labels import LabelMap
from roadseg.models.output import Output, SegmentationModel

__all__ = [
    "Probabilities",
    "Strategy",
    "Whole",
    "extended",
    "gives_probabilities",
    "pixel_classes",
    "run_extended",
]


class Strategy(Protocol):
    """Runs a network over images ``[B, 3, H, W]``; strategies are frozen values that nest."""

    def __call__(self, model: SegmentationModel, images: torch.Tensor) -> ScoreMap | ScoreSum:
        """Return the scores of all images."""
        ...

    def describe(self) -> str:
        """Return the words that stand in a score's protocol."""
        ...


def extended(images: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """Extend images at the bottom and the right by repeating their last row and column."""
    height, width = images.shape[-2:]
    if grid == (height, width):
        return images
    return F.pad(images, (0, grid[1] - width, 0, grid[0] - height), mode="replicate")


def run_extended(model: SegmentationModel, images: torch.Tensor) -> tuple[Output, tuple[int, int]]:
    """Run a network over images that were extended to multiples of its stride; also return their size."""
    height, width = images.shape[-2:]
    grid = (height + -height % model.stride, width + -width % model.stride)
    return model(extended(images, grid)), grid


@dataclass(frozen=True)
class Whole:
    """The whole image in one pass.

    The image is extended to a multiple of the network's stride by repeating its last row and column, so that a score
    cell covers the same pixels at every image size.

    Attributes:
        extend: False gives the network the image as it is and stretches the scores over it. That is exact for networks
            that align corners at sides of a multiple of the stride plus one, where cells lie on every stride-th pixel,
            the last one included. ``auto`` is False for networks that align corners and True for others: what
            `Sliding` does with windows, whose size is the user's choice.
    """

    extend: bool | Literal["auto"] = True

    def __call__(self, model: SegmentationModel, images: torch.Tensor) -> ScoreMap:
        """Return the network's logits."""
        extend = not model.align_corners if self.extend == "auto" else self.extend
        if not extend:
            return ScoreMap(model(images).logits, (images.shape[-2], images.shape[-1]), model.align_corners)
        output, grid = run_extended(model, images)
        return ScoreMap(output.logits, grid, model.align_corners)

    def view_sizes(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        """Return the sizes of the images that the network sees for one image of a size."""
        return [size]

    def describe(self) -> str:
        """Return the words that stand in a score's protocol."""
        return "whole image, single scale, no flip"


@dataclass(frozen=True)
class Probabilities:
    """Probabilities at the size of the image, by softmax of upsampled logits; on request summed into other classes.

    Softmax and sum are taken a few rows at a time: with ``project``, the many classes of the network exist at the
    network's own resolution alone. Sums of probabilities are MSeg's rule (Lambert et al., MSeg, CVPR 2020, section 4);
    what a map drops is not made up for.

    Attributes:
        inner: What gives the logits.
        project: Classes to sum into.
    """

    inner: Strategy = field(default_factory=Whole)
    project: LabelMap | None = None

    def __call__(self, model: SegmentationModel, images: torch.Tensor) -> ScoreMap:
        """Return probabilities ``[B, C', H, W]``."""
        size = images.shape[-2], images.shape[-1]
        found = self.inner(model, images)
        batch, classes = _batch_and_classes(found)
        matrix = None if self.project is None else self._matrix.to(images.device)
        count = classes if matrix is None else len(matrix)
        result = images.new_empty((batch, count, *size), dtype=torch.float32)
        for top, bottom in band_rows(size, batch * classes, images.device):
            if isinstance(found, ScoreSum):
                rows = found.rows(top, bottom)
            else:
                rows = upsampled_rows(found, top, bottom, size, size)
            chance = rows if found.probabilities else rows.softmax(1)
            if matrix is not None:
                chance = (matrix @ chance.flatten(2)).view(batch, count, bottom - top, size[1])
            result[:, :, top:bottom] = chance
        return ScoreMap(result, size, align_corners=False, probabilities=True)

    @cached_property
    def _matrix(self) -> torch.Tensor:
        if self.project is None:
            raise ValueError("there is no other space to project to")
        return torch.from_numpy(self.project.matrix)

    def describe(self) -> str:
        """Return the words that stand in a score's protocol."""
        words = self.inner.describe()
        return (
            words if self.project is None else f"{words}, probabilities summed to {self.project.target.name}"
        )


def pixel_classes(strategy: Strategy | None, model: SegmentationModel) -> int:
    """Return for how many classes a strategy gives scores at the size of the image; 0 if they are of low resolution."""
    found = _probabilities_in(strategy)
    if found is None:
        return 0
    return model.num_classes if found.project is None else found.project.target.num_classes


def gives_probabilities(strategy: Strategy | None) -> bool:
    """Return whether a strategy turns logits into probabilities."""
    return _probabilities_in(strategy) is not None


def _probabilities_in(strategy: Strategy | None) -> Probabilities | None:
    while strategy is not None and not isinstance(strategy, Probabilities):
        strategy = getattr(strategy, "inner", None)
    return strategy


def _batch_and_classes(found: ScoreMap | ScoreSum) -> tuple[int, int]:
    first = found.parts[0].map.scores if isinstance(found, ScoreSum) else found.scores
    return first.shape[0], first.shape[1]
