"""How a network is run over an image: functions from (model, normalized images) to low-resolution score maps."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F

from roadseg.models.output import SegmentationModel

__all__ = ["ScoreMap", "Strategy", "Whole"]


class ScoreMap(NamedTuple):
    """Scores at low resolution, and the image area they cover.

    Attributes:
        scores: float ``[B, C, h, w]``, logits or probabilities.
        grid: Height and width, in pixels, of the area that the map covers; it starts at the image's top left corner
            and may reach beyond the image.
        align_corners: How the scores are to be upsampled to the grid.
    """

    scores: torch.Tensor
    grid: tuple[int, int]
    align_corners: bool


class Strategy(Protocol):
    """Runs a network over images ``[B, 3, H, W]``; strategies are frozen values that nest."""

    def __call__(self, model: SegmentationModel, images: torch.Tensor) -> ScoreMap:
        """Return the scores of all images."""
        ...

    def describe(self) -> str:
        """Return the words that stand in a score's protocol."""
        ...


@dataclass(frozen=True)
class Whole:
    """The whole image in one pass.

    The image is extended to a multiple of the network's stride by repeating its last row and column, so that a score
    cell covers the same pixels at every image size.
    """

    def __call__(self, model: SegmentationModel, images: torch.Tensor) -> ScoreMap:
        """Return the network's logits."""
        height, width = images.shape[-2:]
        grid = (height + -height % model.stride, width + -width % model.stride)
        if grid != (height, width):
            images = F.pad(images, (0, grid[1] - width, 0, grid[0] - height), mode="replicate")
        return ScoreMap(model(images).logits, grid, model.align_corners)

    def describe(self) -> str:
        """Return the words that stand in a score's protocol."""
        return "whole image, single scale, no flip"
