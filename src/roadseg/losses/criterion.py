"""What all losses have in common: sums over a batch, and what they are to be divided by."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
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

    @abstractmethod
    def normalizers(self, mask: torch.Tensor) -> torch.Tensor:
        """Return the ``[T]`` normalizers of a mask's terms, without gradient."""

    def start_epoch(self, epoch: int) -> None:
        """Hear which epoch follows, counted from 0; for losses that change in the course of a training."""

    def forward(self, logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the scalar loss; zero with zero gradient where nothing has a truth."""
        return (self.sums(logits, mask) / self.normalizers(mask).clamp(min=1e-12)).sum()
