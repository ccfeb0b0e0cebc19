"""The few building blocks that several network families truly share.

A family's own blocks live in the family's file; only what would otherwise be copied with the same meaning is here.
"""

import torch
import torch.nn.functional as F
from torch import nn

__all__ = ["AdaptiveAvgPool", "adaptive_avg_pool", "conv_bn_relu", "enlarge", "resize"]


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


def enlarge(x: torch.Tensor, factor: int, size: tuple[int, int], align_corners: bool) -> torch.Tensor:
    """Enlarge feature maps ``[B, C, h, w]``, whose cells are ``factor`` times as large, bilinearly to ``[B, C, *size]``.

    Without ``align_corners`` by exactly the factor, and then cropped: a cell keeps its place where the sides are no
    multiples of it.
    """
    if align_corners:
        return resize(x, size, align_corners=True)
    full = (x.shape[-2] * factor, x.shape[-1] * factor)
    x = resize(x, full, align_corners=False)
    # Cropped by negative padding: the exporter ties a slice to the traced size.
    return F.pad(x, (0, size[1] - full[1], 0, size[0] - full[0]))


def _pooling_matrix(length: int, bins: int, like: torch.Tensor, least: int = 1) -> torch.Tensor:
    """Return ``[max(bins, least), length]`` whose row i averages positions floor(i*L/b) .. ceil((i+1)*L/b) - 1.

    Rows beyond ``bins`` repeat the last one.
    """
    index = torch.arange(torch.sym_max(bins, least), device=like.device).clamp(max=bins - 1)
    start = (index * length).div(bins, rounding_mode="floor")
    stop = ((index + 1) * length + bins - 1).div(bins, rounding_mode="floor")
    position = torch.arange(length, device=like.device)
    inside = (position >= start[:, None]) & (position < stop[:, None])
    return inside.to(like.dtype) / (stop - start)[:, None].to(like.dtype)


def adaptive_avg_pool(x: torch.Tensor, bins: int | tuple[int, int], least: int = 1) -> torch.Tensor:
    """Average ``[B, C, H, W]`` over a grid of cells, to ``[B, C, rows, columns]``.

    Equal to ``torch.nn.functional.adaptive_avg_pool2d``, which does it where it can. A graph that is traced gets two
    small matrix products instead, because the exporter to ONNX gives silently wrong graphs for the built-in at dynamic
    sizes (bins of 2, 3 and 6); so does MPS, whose built-in refuses sides that are no multiples of the bins.

    Args:
        x: Feature maps.
        bins: Rows and columns of the grid, one number for both; they may follow from the size of ``x``.
        least: Rows and columns returned at least: a smaller grid has its last cell repeated. 2 is for grids that follow
            from the size, as the exporter treats a side of 1 apart; resizing gives the same from one cell or two alike.
    """
    height, width = x.shape[-2:]
    rows, columns = bins if isinstance(bins, tuple) else (bins, bins)
    if not torch.compiler.is_compiling() and x.device.type != "mps":
        x = F.adaptive_avg_pool2d(x, (rows, columns))
        missing = max(least - rows, 0), max(least - columns, 0)
        return F.pad(x, (0, missing[1], 0, missing[0]), mode="replicate") if any(missing) else x
    vertical, horizontal = _pooling_matrix(height, rows, x, least), _pooling_matrix(width, columns, x, least)
    return vertical @ x @ horizontal.transpose(0, 1)


class AdaptiveAvgPool(nn.Module):
    """`adaptive_avg_pool` to a grid of ``bins`` x ``bins`` cells, as a layer."""

    def __init__(self, bins: int) -> None:
        super().__init__()
        self.bins = bins

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``[B, C, h, w]`` to ``[B, C, bins, bins]``."""
        return adaptive_avg_pool(x, self.bins)
