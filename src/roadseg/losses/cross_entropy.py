"""Cross entropy over the pixels that have a truth."""

import torch
import torch.nn.functional as F

from roadseg.losses.criterion import Criterion
from roadseg.losses.strips import upsampled_cross_entropy

__all__ = ["CrossEntropyLoss"]


class CrossEntropyLoss(Criterion):
    """Cross entropy, averaged over the pixels that have a truth.

    Args:
        ignore: The mask id that means "no truth here".
        class_weights: ``[C]``; the mean is then weighted by each pixel's class weight.
        label_smoothing: Mass spread over all classes.
    """

    class_weights: torch.Tensor | None

    def __init__(
        self, ignore: int, *, class_weights: torch.Tensor | None = None, label_smoothing: float = 0.0
    ) -> None:
        super().__init__(ignore)
        self.label_smoothing = label_smoothing
        self.register_buffer("class_weights", class_weights)

    def sums(self, logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the ``[1]`` sum over pixels, each times its class weight."""
        return F.cross_entropy(
            logits,
            mask.long(),
            weight=self.class_weights,
            ignore_index=self.ignore,
            label_smoothing=self.label_smoothing,
            reduction="sum",
        ).reshape(1)

    def upsampled_sums(
        self, logits: torch.Tensor, mask: torch.Tensor, *, align_corners: bool
    ) -> torch.Tensor:
        """Return the same of logits that are upsampled to the mask, which are never held at its size."""
        if logits.shape[-2:] == mask.shape[-2:]:
            return self.sums(logits, mask)
        return upsampled_cross_entropy(
            logits,
            mask,
            ignore=self.ignore,
            class_weights=self.class_weights,
            label_smoothing=self.label_smoothing,
            align_corners=align_corners,
        ).reshape(1)

    def normalizers(self, mask: torch.Tensor) -> torch.Tensor:
        """Return, as ``[1]``, the number of valid pixels, or the sum of their class weights."""
        valid = mask != self.ignore
        if self.class_weights is None:
            return valid.sum().float().reshape(1)
        return self.class_weights[mask.long().masked_fill(~valid, 0)].mul(valid).sum().reshape(1)
