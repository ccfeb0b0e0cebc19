"""The one return type of every network, and what the rest of the toolkit may ask of a network."""

from typing import NamedTuple, Protocol

import torch

__all__ = ["Output", "SegmentationModel"]


class Output(NamedTuple):
    """What a network returns, in training and in evaluation alike.

    Attributes:
        logits: ``[B, C, h, w]`` at the network's own stride: networks never upsample to the image.
        aux: Auxiliary logits ``[B, C, h_i, w_i]``, main to least important; empty in evaluation mode.
        attention: ``[B, 1, h, w]`` in 0..1, how much these logits are to be trusted against those of a smaller scale;
            only from networks that learned it (`roadseg.models.hierarchical`), and in evaluation mode.
    """

    logits: torch.Tensor
    aux: tuple[torch.Tensor, ...] = ()
    attention: torch.Tensor | None = None


class SegmentationModel(Protocol):
    """A ``torch.nn.Module`` that maps normalised images ``[B, 3, H, W]`` to an `Output`.

    Attributes:
        num_classes: Channels of the logits.
        stride: Image pixels per logit cell. Images whose sides are no multiples of it are welcome.
        align_corners: How the logits are to be upsampled to the image (torch's meaning of the word).
    """

    num_classes: int
    stride: int
    align_corners: bool

    def __call__(self, images: torch.Tensor) -> Output:
        """Run the network."""
        ...
