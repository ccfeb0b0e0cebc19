"""Moving pictures and labels along a flow, and comparing what lies along it: plain torch, on any device.

A flow ``[B, 2, H, W]`` is in pixels, x before y, and points backward: what belongs at ``(x, y)`` is found at
``(x + u, y + v)``. Outside a picture its border repeats.
"""

from typing import Literal

import torch
import torch.nn.functional as F

__all__ = ["channel_norm", "correlation", "displaced_convolution", "warp"]

_TILE = (
    32  # columns that are compared at once: a product of matrices of 32 rows and few columns that go to waste
)


def warp(
    images: torch.Tensor, flow: torch.Tensor, mode: Literal["bilinear", "nearest"] = "bilinear"
) -> torch.Tensor:
    """Fetch every pixel from where the flow points to.

    Args:
        images: ``[B, C, H, W]``; floating for "bilinear", of any type for "nearest".
        flow: ``[B, 2, h, w]``, in pixels; where it is no number, nothing moves.
        mode: "nearest" takes the pixel at ``floor(place + 0.5)`` and so invents no labels.

    Returns:
        ``[B, C, h, w]``, of the type of ``images``.

    Raises:
        TypeError: Whole numbers are to be mixed.
    """
    height, width = images.shape[-2:]
    y, x = _places(flow, height, width)
    if mode == "nearest":
        return _at(images, (y + 0.5).floor().long(), (x + 0.5).floor().long())
    if not images.is_floating_point():
        raise TypeError(f"{images.dtype} is warped with mode='nearest'; pictures are made floating first")
    grid = torch.stack([x * (2 / max(width - 1, 1)) - 1, y * (2 / max(height - 1, 1)) - 1], dim=-1)
    moved = F.grid_sample(images.to(grid.dtype), grid, padding_mode="border", align_corners=True)
    return moved.to(images.dtype)


def displaced_convolution(
    images: torch.Tensor, vertical: torch.Tensor, horizontal: torch.Tensor, flow: torch.Tensor
) -> torch.Tensor:
    """Convolve with a separable kernel of every pixel's own, around where the flow points to.

    The spatially displaced convolution of Reda et al., "SDC-Net", ECCV 2018, section 3: for kernels of side K,
    ``out[c, y, x] = sum_ij vertical[i, y, x] * horizontal[j, y, x] * images[c, y + v + i, x + u + j]``, where the place
    ``(x + u, y + v)`` is moved to the border of the picture where it lies outside, and read bilinearly.

    That is one kernel of side K + 1 on whole pixels: (K + 1)² reads instead of 4 K², of which one is held at a time.

    Args:
        images: ``[B, C, H + K - 1, W + K - 1]``: pictures with a margin for the kernels.
        vertical: ``[B, K, H, W]``.
        horizontal: ``[B, K, H, W]``.
        flow: ``[B, 2, H, W]``, in pixels.

    Returns:
        ``[B, C, H, W]``.
    """
    y, x = _places(flow, *flow.shape[-2:])
    top, left = y.floor(), x.floor()
    down, along = _spread(vertical, y - top), _spread(horizontal, x - left)
    rows = [(top.long() + i).clamp(max=images.shape[-2] - 1) for i in range(down.shape[1])]
    columns = [(left.long() + j).clamp(max=images.shape[-1] - 1) for j in range(along.shape[1])]
    result = torch.zeros_like(images[..., : flow.shape[-2], : flow.shape[-1]])
    for i, row in enumerate(rows):
        line = torch.zeros_like(result)
        for j, column in enumerate(columns):
            line = line + along[:, j : j + 1] * _at(images, row, column)
        result = result + down[:, i : i + 1] * line
    return result


def channel_norm(x: torch.Tensor) -> torch.Tensor:
    """Return the Euclidean length ``[B, 1, H, W]`` of every pixel of ``[B, C, H, W]``."""
    norm: torch.Tensor = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return norm


def correlation(
    first: torch.Tensor, second: torch.Tensor, *, displacement: int = 20, step: int = 2
) -> torch.Tensor:
    """Compare every pixel's features with those around the same place of another map: a cost volume.

    ``out[n(j) + n(i), y, x] = mean over c of first[c, y, x] * second[c, y + j, x + i]`` with i and j from
    ``-displacement`` to ``displacement`` by ``step``, rows first, zero outside. FlowNet (Dosovitskiy et al., ICCV 2015,
    section 3) has 441 of them: up to 20 pixels, every second one.

    Columns that a step apart can meet are laid side by side; in tiles of 32 of them all comparisons with a row of the
    other map are one product of matrices, whose diagonals are the result. Memory beside maps and result: one more copy
    of each map, and twice the result's share of one row of displacements (1/21 of 441).

    Args:
        first: ``[B, C, H, W]``.
        second: ``[B, C, H, W]``.
        displacement: The largest one, in pixels; a multiple of ``step``.
        step: Pixels between displacements.

    Returns:
        ``[B, (2 * displacement / step + 1)², H, W]``.
    """
    batch, channels, height, width = first.shape
    reach = displacement // step
    taps = 2 * reach + 1
    tiles = -(-width // (step * _TILE))
    columns = tiles * _TILE * step
    lanes = F.pad(first, (0, columns - width)).view(batch, channels, height, tiles, _TILE, step)
    lanes = lanes.permute(0, 2, 5, 3, 4, 1).reshape(-1, _TILE, channels)  # [B H step tiles, 32, C]
    wide = F.pad(second, (displacement, displacement + columns - width, displacement, displacement))
    wide = wide.view(*wide.shape[:3], -1, step).permute(0, 2, 4, 1, 3).contiguous()
    windows = wide.unfold(4, _TILE + 2 * reach, _TILE).transpose(
        3, 4
    )  # [B, rows, step, tiles, C, 32 + 2 reach]
    result = []
    for row in range(0, taps * step, step):
        products = lanes @ windows[:, row : row + height].reshape(-1, channels, _TILE + 2 * reach)
        # Row t of a product has its diagonal from column t on: rows longer by one move it to column 0.
        skewed = F.pad(products.flatten(1), (0, _TILE)).view(-1, _TILE, _TILE + taps)[..., :taps]
        found = skewed.view(batch, height, step, tiles, _TILE, taps).permute(0, 5, 1, 3, 4, 2)
        result.append(found.reshape(batch, taps, height, columns)[..., :width])
    return torch.cat(result, dim=1) / channels


def _places(flow: torch.Tensor, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the rows and columns ``[B, h, w]`` that a flow points to; those outside are moved to the border.

    In float64 where there is such a type: float32 places are off by up to 1e-4 pixels beyond column 1024, and twice that
    in the coordinates of ``grid_sample``.
    """
    flow = flow.float() if flow.device.type == "mps" else flow.double()
    rows, columns = (torch.arange(side, device=flow.device, dtype=flow.dtype) for side in flow.shape[-2:])
    # What is no number would be an index far outside; infinities are moved to the border like all that is too large.
    flow = flow.nan_to_num(0, posinf=torch.inf, neginf=-torch.inf)
    y, x = flow[:, 1] + rows[:, None], flow[:, 0] + columns
    return y.clamp(0, height - 1), x.clamp(0, width - 1)


def _at(images: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Return the pixels ``[B, C, h, w]`` of ``[B, C, H, W]`` at whole places ``[B, h, w]``."""
    index = (rows * images.shape[-1] + columns).flatten(1)[:, None].expand(-1, images.shape[1], -1)
    return images.flatten(2).gather(2, index).view(*images.shape[:2], *rows.shape[1:])


def _spread(kernel: torch.Tensor, fraction: torch.Tensor) -> torch.Tensor:
    """Return the kernel ``[B, K + 1, H, W]`` on whole pixels of one ``[B, K, H, W]`` that lies between them."""
    here, further = F.pad(kernel, (0, 0, 0, 0, 0, 1)), F.pad(kernel, (0, 0, 0, 0, 1, 0))
    return torch.lerp(here, further, fraction[:, None].to(kernel.dtype))
