"""Several scales, blended by the attention that a network learned."""

from dataclasses import dataclass

import torch

from roadseg.errors import RecipeError
from roadseg.inference.strategies.scores import ScoreMap
from roadseg.inference.strategies.whole import run_extended
from roadseg.models.blocks import resize
from roadseg.models.hierarchical import fuse_scales, scaled_size
from roadseg.models.output import SegmentationModel

__all__ = ["Hierarchical"]

_CLASSES_AT_ONCE = 4


@dataclass(frozen=True)
class _Scale:
    """What a network said about images at one scale, at its own stride."""

    factor: float
    logits: torch.Tensor
    attention: torch.Tensor
    grid: tuple[int, int]
    size: tuple[int, int]
    align_corners: bool

    def full(self, x: torch.Tensor) -> torch.Tensor:
        """Upsample one of its maps to the size of the images at this scale, in float32 or better."""
        x = resize(x.to(torch.promote_types(x.dtype, torch.float32)), self.grid, self.align_corners)
        return x[..., : self.size[0], : self.size[1]]


@dataclass(frozen=True)
class Hierarchical:
    """Several scales, blended by the network's own attention (`roadseg.models.hierarchical`).

    The network runs over one scale at a time. The maps are blended at the size of the image, a few classes at a time:
    beside the network and the result ``[B, C, H, W]``, that takes the memory of about a dozen maps of the size of the
    largest scale.

    Attributes:
        scales: The scales, in any order; 1 must be among them. The published networks were trained with (0.5, 1) and
            are evaluated with (0.5, 1, 2), on Mapillary Vistas with (0.25, 0.5, 1, 2).
        extend: Whether the image at each scale is extended to a multiple of the network's stride, as `Whole` does.
            False stretches the scores to its size as it is, as the published code does; the same for multiples.
    """

    scales: tuple[float, ...] = (0.5, 1.0, 2.0)
    extend: bool = True

    def __post_init__(self) -> None:
        """Refuse scales that cannot be blended."""
        if not all(scale > 0 for scale in self.scales) or len(set(self.scales)) < len(self.scales):
            raise RecipeError(f"scales have to be positive and different, not {self.scales}")
        if 1 not in self.scales:
            raise RecipeError(
                f"scale 1 is not among {self.scales}",
                where="Hierarchical",
                remedy="add it: the smaller scales are blended into it, and the result has its size",
            )

    def __call__(self, model: SegmentationModel, images: torch.Tensor) -> ScoreMap:
        """Return the joint logits, at the size of the images.

        Raises:
            RecipeError: If the network gives no attention.
        """
        runs = [self._run(model, images, scale) for scale in sorted(self.scales, reverse=True)]
        attention = [run.full(run.attention) for run in runs]
        size = images.shape[-2], images.shape[-1]
        joint = attention[0].new_empty((*runs[0].logits.shape[:2], *size))
        for first in range(0, joint.shape[1], _CLASSES_AT_ONCE):
            chosen = slice(first, first + _CLASSES_AT_ONCE)
            joint[:, chosen] = fuse_scales(
                (run.factor, run.full(run.logits[:, chosen]), trust)
                for run, trust in zip(runs, attention, strict=True)
            )
        return ScoreMap(joint, size, model.align_corners)

    def _run(self, model: SegmentationModel, images: torch.Tensor, scale: float) -> _Scale:
        size = images.shape[-2], images.shape[-1]
        if scale != 1:
            size = scaled_size(size, scale)
            images = resize(images, size, align_corners=False)
        output, grid = run_extended(model, images) if self.extend else (model(images), size)
        if output.attention is None:
            raise RecipeError(
                f"{type(model).__name__} gives no attention, by which scales could be blended",
                where="Hierarchical",
                remedy="use a network with hierarchical attention, such as hrnet-ocr-w48-hms, or average the scales",
            )
        return _Scale(scale, output.logits, output.attention, grid, size, model.align_corners)

    def view_sizes(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        """Return the sizes of the images that the network sees for one image of a size."""
        return [size if scale == 1 else scaled_size(size, scale) for scale in sorted(self.scales)]

    def describe(self) -> str:
        """Return the words that stand in a score's protocol."""
        return f"hierarchical attention over scales {', '.join(f'{scale:g}' for scale in sorted(self.scales))}, no flip"
