"""Cross entropy with class weights counted on the very images it is taken of."""

from typing import Literal

import torch
import torch.nn.functional as F

from roadseg.losses.criterion import Criterion

__all__ = ["ImageWeightedLoss", "count_classes", "share_weights"]


class ImageWeightedLoss(Criterion):
    """Cross entropy that weights a class ``1 + bound * (1 - share)``, share being its part of an image's valid pixels.

    Each image's loss is the weighted mean over its pixels (Zhu et al., CVPR 2019, published code).

    Args:
        ignore: The mask id that means "no truth here".
        bound: How much a rare class may weigh beyond 1.
        over: Whether shares are those of each image or of the whole batch.
        reduction: ``mean`` over the images that have a valid pixel. ``sum``, as published, multiplies the gradient by
            the images per GPU; the parts of a step that is split are then averaged.
    """

    per = ("image",)

    def __init__(
        self,
        ignore: int,
        *,
        bound: float = 1.0,
        over: Literal["image", "batch"] = "image",
        reduction: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__(ignore)
        self.bound, self.over, self.reduction = bound, over, reduction

    def sums(self, logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the ``[1]`` sum over images of their weighted means."""
        with torch.autocast(logits.device.type, enabled=False):
            counts = count_classes(mask, self.ignore, logits.shape[1])[:, :-1]
            weights = share_weights(counts, self.bound, self.over)
            ignored = mask == self.ignore
            target = mask.long().masked_fill(ignored, 0).flatten(1)
            weight = weights.gather(1, target).masked_fill_(ignored.flatten(1), 0)
            loss = F.cross_entropy(logits.float(), target.view_as(mask), reduction="none").flatten(1)
            return ((loss * weight).sum(1) / weight.sum(1).clamp(min=1e-12)).sum(0, keepdim=True)

    def normalizers(self, mask: torch.Tensor) -> torch.Tensor:
        """Return ``[1]``: the images that have a valid pixel, or 1 for a sum."""
        if self.reduction == "sum":
            return torch.ones(1, device=mask.device)
        return (mask != self.ignore).flatten(1).any(1).sum().float()[None]


def count_classes(
    mask: torch.Tensor, ignore: int, classes: int, times: torch.Tensor | None = None
) -> torch.Tensor:
    """Return ``[B, C + 1]`` pixels of each class, the ignored ones last.

    Args:
        mask: ``[B, H, W]``.
        ignore: The mask id that means "no truth here".
        classes: C.
        times: ``[B, H, W]`` how often each pixel counts, an integer; None for once.
    """
    slots = classes + 1
    first = torch.arange(0, len(mask) * slots, slots, device=mask.device)[:, None, None]
    slot = (mask.long().masked_fill(mask == ignore, classes) + first).flatten()
    if times is not None:
        slot = torch.cat([slot, slot.repeat_interleave(times.flatten().long() - 1)])
    return slot.bincount(minlength=len(mask) * slots).view(-1, slots).float()


def share_weights(counts: torch.Tensor, bound: float, over: Literal["image", "batch"]) -> torch.Tensor:
    """Return ``[B, C]`` weights ``1 + bound * (1 - share)`` of the classes that occur, and 1 of those that do not.

    Args:
        counts: ``[B, C]`` of each image.
        bound: How much a rare class may weigh beyond 1.
        over: Whether shares are those of each image or of the whole batch.
    """
    if over == "batch":
        counts = counts.sum(0, keepdim=True).expand_as(counts)
    share = counts / counts.sum(1, keepdim=True).clamp(min=1)
    return 1 + bound * (1 - share) * (counts > 0)
