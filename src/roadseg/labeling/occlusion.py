"""Which pixels of a warped picture show something that the source never saw."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from roadseg.labeling.motion import Flow
from roadseg.models.warping import warp

__all__ = ["occluded", "outside", "warped"]

_RELATIVE, _ABSOLUTE = (
    0.01,
    0.5,
)  # of Sundaram et al.: motion must return within a hundredth of its square, or half


def occluded(flow: Flow, back: Flow) -> npt.NDArray[np.bool_]:
    """Mark the pixels whose motion does not return to where it began.

    With ``w`` the flow of a pixel and ``w'`` the flow back from where it leads to, a pixel is consistent where
    ``|w + w'|² < 0.01 (|w|² + |w'|²) + 0.5`` (Sundaram, Brox and Keutzer, "Dense point trajectories by GPU-accelerated
    large displacement optical flow", ECCV 2010, equation 5). Pixels from outside the source are marked too.

    Args:
        flow: From the target to the source, float32 ``[H, W, 2]`` in pixels.
        back: From the source to the target, likewise.

    Returns:
        bool ``[H, W]``.
    """
    returned: Flow = warped(back, flow, nearest=False)
    misses = np.square(flow + returned).sum(axis=2)
    lengths = np.square(flow).sum(axis=2) + np.square(returned).sum(axis=2)
    marked: npt.NDArray[np.bool_] = misses >= _RELATIVE * lengths + _ABSOLUTE
    return marked | outside(flow)


def outside(flow: Flow) -> npt.NDArray[np.bool_]:
    """Mark the pixels whose flow leads out of the picture by more than half a pixel, bool ``[H, W]``."""
    height, width = flow.shape[:2]
    x = flow[..., 0] + np.arange(width, dtype=np.float32)
    y = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    marked: npt.NDArray[np.bool_] = (x < -0.5) | (y < -0.5) | (x > width - 0.5) | (y > height - 0.5)
    return marked


def warped(array: npt.NDArray[Any], flow: Flow, *, nearest: bool) -> npt.NDArray[Any]:
    """Fetch every pixel from where the flow points to.

    Args:
        array: ``[H, W]`` or ``[H, W, C]``, of any type; whole numbers that are mixed are rounded.
        flow: float32 ``[H, W, 2]``.
        nearest: Take the nearest pixel; else mix four.

    Returns:
        An array of the same shape and type.
    """
    planes = array[..., None] if array.ndim == 2 else array
    # torch has few operations on 16-bit ids.
    exact = planes.astype(np.int32) if planes.dtype == np.uint16 else planes
    images = torch.from_numpy(np.ascontiguousarray(exact)).permute(2, 0, 1)[None]
    field = torch.from_numpy(np.ascontiguousarray(flow)).permute(2, 0, 1)[None]
    if nearest:
        moved = warp(images, field, "nearest")
    else:
        moved = warp(images.float(), field)
        moved = moved if images.is_floating_point() else moved.round().clamp(0, 255)
    result: npt.NDArray[Any] = moved[0].permute(1, 2, 0).numpy().astype(array.dtype)
    return result.reshape(array.shape)
