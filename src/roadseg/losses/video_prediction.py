"""What a network that predicts frames of a video is trained to: like the true frame, along a smooth flow."""

from typing import NamedTuple

import torch
from torch import nn

__all__ = ["VideoPredictionLoss", "VideoPredictionTerms"]

_WHITE = 255.0


class VideoPredictionTerms(NamedTuple):
    """What the loss is made of, each a scalar, not yet weighted.

    Attributes:
        color: Mean absolute difference of colors, in shares of white.
        gradient: Mean absolute difference of the contrasts between neighboring pixels, in gray levels, along x plus
            along y.
        smoothness: Mean absolute difference between the flows of neighboring pixels, in pixels, along x plus along y.
    """

    color: torch.Tensor
    gradient: torch.Tensor
    smoothness: torch.Tensor


class VideoPredictionLoss(nn.Module):
    """Compares a predicted frame with the true one (Reda et al., "SDC-Net", ECCV 2018, with the published weights).

    A contrast is an absolute difference: an edge from dark to bright equals one from bright to dark.

    Args:
        color: Weight of the colors.
        gradient: Weight of the contrasts.
        smoothness: Weight of the smoothness of the flow.
    """

    def __init__(self, *, color: float = 0.7, gradient: float = 0.2, smoothness: float = 0.1) -> None:
        super().__init__()
        self.color = color
        self.gradient = gradient
        self.smoothness = smoothness

    def terms(self, image: torch.Tensor, target: torch.Tensor, flow: torch.Tensor) -> VideoPredictionTerms:
        """Return the terms; see `forward`."""
        color = (image - target).abs().mean() / _WHITE
        along_x, along_y = ((_contrasts(image, axis) - _contrasts(target, axis)).abs() for axis in (-1, -2))
        uneven_x, uneven_y = (_contrasts(flow, axis) for axis in (-1, -2))
        return VideoPredictionTerms(color, along_x.mean() + along_y.mean(), uneven_x.mean() + uneven_y.mean())

    def forward(self, image: torch.Tensor, target: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
        """Return the scalar loss.

        Args:
            image: ``[B, C, H, W]``, 0..255: the prediction.
            target: ``[B, C, H, W]``, 0..255: the truth.
            flow: ``[B, 2, H, W]``, in pixels: what the prediction was moved along.
        """
        terms = self.terms(image, target, flow)
        return self.color * terms.color + self.gradient * terms.gradient + self.smoothness * terms.smoothness


def _contrasts(x: torch.Tensor, axis: int) -> torch.Tensor:
    return x.diff(dim=axis).abs()
