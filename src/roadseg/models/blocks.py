"""The few building blocks that several network families truly share.

A family's own blocks live in the family's file; only what would otherwise be copied with the same meaning is here.
"""

import torch
import torch.nn.functional as F
from torch import nn

__all__ = ["adaptive_avg_pool", "conv_bn_relu", "resize"]


def conv_bn_relu(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    padding: int | None = None,
    groups: int = 1,
) -> list[nn.Module]:
    """Return the three layers convolution (without bias), batch normalization, ReLU.

    A list, not a module, so that each family can nest it under its own published parameter names.
    ``padding=None`` keeps the size at stride 1.
    """
    padding = kernel_size // 2 if padding is None else padding
    return [
        nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    ]


def resize(x: torch.Tensor, size: tuple[int, int], align_corners: bool) -> torch.Tensor:
    """Resize feature maps ``[B, C, h, w]`` bilinearly to ``[B, C, *size]``."""
    return F.interpolate(x, size=size, mode="bilinear", align_corners=align_corners)


def _pooling_matrix(length: int, bins: int, like: torch.Tensor) -> torch.Tensor:
    """Return ``[bins, length]`` whose row i averages positions floor(i*L/b) .. ceil((i+1)*L/b) - 1."""
    index = torch.arange(bins, device=like.device)
    start = (index * length).div(bins, rounding_mode="floor")
    stop = ((index + 1) * length + bins - 1).div(bins, rounding_mode="floor")
    position = torch.arange(length, device=like.device)
    inside = (position >= start[:, None]) & (position < stop[:, None])
    return inside.to(like.dtype) / (stop - start)[:, None].to(like.dtype)


def adaptive_avg_pool(x: torch.Tensor, bins: int) -> torch.Tensor:
    """Average ``[B, C, H, W]`` over a grid of ``bins`` x ``bins`` cells, to ``[B, C, bins, bins]``.

    Equal to ``torch.nn.functional.adaptive_avg_pool2d``, written as two small matrix products because the exporter to
    ONNX gives silently wrong graphs for the built-in at dynamic sizes (bins of 2, 3 and 6).
    """
    height, width = x.shape[-2:]
    return _pooling_matrix(height, bins, x) @ x @ _pooling_matrix(width, bins, x).transpose(0, 1)
