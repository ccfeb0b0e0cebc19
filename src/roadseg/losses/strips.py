"""Cross entropy of low-resolution logits against a mask of full size, without ever holding logits of full size."""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["upsampled_cross_entropy"]

_STRIP_BYTES = {"cpu": 2 << 20}  # of logits: what stays in a core's cache
_STRIP_BYTES_ELSEWHERE = 256 << 20  # large enough to keep a GPU busy


def upsampled_cross_entropy(
    logits: Tensor,
    mask: Tensor,
    *,
    ignore: int,
    class_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
    align_corners: bool,
) -> Tensor:
    """Return the summed cross entropy of logits that are upsampled bilinearly to the mask.

    Bilinear upsampling is a matrix product along each axis, and the sum over pixels needs one pixel at a time: so the
    mask is gone through in strips of rows, and each strip's gradient is brought down to the cells at once. Memory is
    that of the logits and of a strip, where ``F.cross_entropy(F.interpolate(...))`` holds four maps of full size.

    Args:
        logits: ``[B, C, h, w]``, float32.
        mask: ``[B, H, W]`` class ids, or ``ignore``.
        ignore: The id of pixels that do not count.
        class_weights: ``[C]`` factor of each pixel's loss, by its true class.
        label_smoothing: Mass spread over all classes.
        align_corners: Whether corner cells lie on corner pixels.

    Returns:
        A scalar, equal to ``F.cross_entropy`` with ``reduction="sum"``; it can be differentiated once.
    """
    weights = torch.ones_like(logits[0, :, 0, 0]) if class_weights is None else class_weights
    total: Tensor = _UpsampledCrossEntropy.apply(
        logits, mask, ignore, weights, label_smoothing, align_corners
    )
    return total


class _UpsampledCrossEntropy(torch.autograd.Function):
    """The sum, and with it already its gradient."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        logits: Tensor,
        mask: Tensor,
        ignore: int,
        weights: Tensor,
        smoothing: float,
        align_corners: bool,
    ) -> Tensor:
        batch, classes, _, _ = logits.shape
        height, width = mask.shape[-2:]
        rows = _interpolation(logits.shape[-2], height, align_corners, logits)
        columns = _interpolation(logits.shape[-1], width, align_corners, logits)
        wanted = ctx.needs_input_grad[0]
        gradient = torch.zeros_like(logits, memory_format=torch.contiguous_format) if wanted else None
        total = logits.new_zeros(())
        for index in range(batch):
            # Classes innermost: a softmax over neighbors in memory, and one product for all columns and classes.
            wide = columns @ logits[index].permute(1, 2, 0)  # [h, W, C]
            down = torch.zeros_like(wide) if wanted else None
            for strip, cells in _strips(rows, width * classes, logits.device):
                scores = rows[strip, cells] @ wide[cells].flatten(1)
                loss, slope = _pixels(
                    scores.view(-1, classes), mask[index, strip].flatten(), ignore, weights, smoothing, wanted
                )
                total += loss
                if down is not None and slope is not None:
                    down[cells] += (rows[strip, cells].T @ slope.view(len(scores), -1)).view_as(down[cells])
            if gradient is not None and down is not None:
                gradient[index] = (columns.T @ down).permute(2, 0, 1)
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        (gradient,) = ctx.saved_tensors
        return gradient * slope, None, None, None, None, None


def _pixels(
    scores: Tensor, truth: Tensor, ignore: int, weights: Tensor, smoothing: float, wanted: bool
) -> tuple[Tensor, Tensor | None]:
    """Return the loss of pixels ``[N, C]`` against ``[N]``, and where wanted its gradient, which takes their place.

    Cross entropy against ``q``, with ``q[c] = weights[c] * ((1 - smoothing) * [c is true] + smoothing / C)``, has the
    gradient ``softmax * sum(q) - q``.
    """
    valid = truth != ignore
    truth = truth.long().masked_fill(~valid, 0)[:, None]
    own = weights[truth] * valid[:, None]  # [N, 1]
    spread = weights * (smoothing / len(weights))
    logs = scores.log_softmax(dim=1)
    loss = -(logs.gather(1, truth) * own).sum() * (1 - smoothing)
    if smoothing:
        loss -= (logs * valid[:, None] @ spread).sum()
    if not wanted:
        return loss, None
    mass = own * (1 - smoothing) + valid[:, None] * spread.sum()
    slope = logs.exp_().mul_(mass)
    slope.scatter_(
        1, truth, slope.gather(1, truth) - own * (1 - smoothing)
    )  # adding is not deterministic on CUDA
    if smoothing:
        slope -= valid[:, None] * spread
    return loss, slope


def _interpolation(cells: int, pixels: int, align_corners: bool, like: Tensor) -> Tensor:
    """Return the ``[pixels, cells]`` matrix that interpolates linearly: what it makes of unit vectors."""
    unit = torch.eye(cells, dtype=like.dtype, device=like.device)[None]
    return F.interpolate(unit, size=pixels, mode="linear", align_corners=align_corners)[0].T.contiguous()


def _strips(rows: Tensor, row_size: int, device: torch.device) -> Iterator[tuple[slice, slice]]:
    """Yield strips of pixel rows, and the cell rows that they come from."""
    pixels, cells = rows.shape
    step = max(1, _STRIP_BYTES.get(device.type, _STRIP_BYTES_ELSEWHERE) // (row_size * rows.element_size()))
    per_pixel = cells / pixels
    for start in range(0, pixels, step):
        stop = min(pixels, start + step)
        # Half a cell lies between the centers of neighbors, on either side; one more for rounding.
        yield (
            slice(start, stop),
            slice(max(0, int(start * per_pixel) - 2), min(cells, int(stop * per_pixel) + 3)),
        )
