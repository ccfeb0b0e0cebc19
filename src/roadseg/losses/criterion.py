"""What all losses have in common: sums over a batch, and what they are to be divided by."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import nn

__all__ = ["Criterion"]


class Criterion(nn.Module, ABC):
    """A loss of ``[B, C, H, W]`` logits against a ``[B, H, W]`` mask of the same size.

    A loss is one or more terms, each a sum that is divided by a normalizer known from the mask alone. A step that is
    split over processes or micro-batches adds up the normalizers of all parts first and divides each part's sums by
    them; so the parts' gradients add up to those of the undivided step.

    Logits are float32 whatever autocast made of the network, and the loss is never computed under autocast: a softmax
    over bfloat16 logits loses small gradients.

    Attributes:
        per: For each term, whether its normalizer counts pixels or images.
    """

    per: ClassVar[tuple[Literal["pixel", "image"], ...]] = ("pixel",)

    def __init__(self, ignore: int) -> None:
        super().__init__()
        self.ignore = ignore

    @abstractmethod
    def sums(self, logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the ``[T]`` undivided terms."""

    def upsampled_sums(
        self, logits: torch.Tensor, mask: torch.Tensor, *, align_corners: bool
    ) -> torch.Tensor:
        """Return `sums` of logits of any stride, float32 ``[B, C, h, w]``, that are upsampled to the mask.

        Args:
            logits: At the network's own cells.
            mask: ``[B, H, W]``.
            align_corners: Whether corner cells lie on corner pixels.
        """
        size = mask.shape[-2:]
        if logits.shape[-2:] != size:
            logits = F.interpolate(logits, size=size, mode="bilinear", align_corners=align_corners)
        return self.sums(logits, mask)

    @abstractmethod
    def normalizers(self, mask: torch.Tensor) -> torch.Tensor:
        """Return the ``[T]`` normalizers of a mask's terms, without gradient."""

    def start_epoch(self, epoch: int) -> None:
        """Hear which epoch follows, counted from 0; for losses that change in the course of a training."""

    def forward(self, logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the scalar loss; zero with zero gradient where nothing has a truth."""
        return (self.sums(logits, mask) / self.normalizers(mask).clamp(min=1e-12)).sum()
