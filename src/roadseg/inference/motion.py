"""How a picture moved since the one before it: dense optical flow, and where it can be trusted."""

from types import ModuleType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from roadseg.errors import RecipeError

__all__ = ["Motion", "motion_between", "optical_flow", "reduced"]

_LONG_SIDE = 448  # pixels that flow is computed at: 3 ms on one core, and finer than the scores it moves
# OpenCV picks the layers of its search by the long side and reads out of bounds (5.0 crashes) where the short side of
# the coarsest is smaller than its patches of 8 pixels. Flow is in shares of the sides, so pictures may be stretched.
_SHORTEST = 64
_SLIMMEST = 1 / 3
_TOLERANCE = 16.0  # gray levels by which a moved pixel may differ and keep exp(-1) of its trust
_BLUR = 5  # pixels: a score cell covers several
_CUT = 0.55  # mean trust; driving gives 0.9 to 0.99, other streets of the same look 0.65 and less


class Motion(NamedTuple):
    """Where the pixels of a frame were in the frame before.

    Attributes:
        flow: float32 ``[h, w, 2]``: what to add to x and y, in shares of the picture's width and height.
        trust: float32 ``[h, w]``, 0..1: how well the moved frame before explains this one.
    """

    flow: npt.NDArray[np.float32]
    trust: npt.NDArray[np.float32]


def optical_flow(what: str = "temporal smoothing", where: str = "smooth") -> ModuleType:
    """Return OpenCV.

    Args:
        what: What needs it, for the error.
        where: How that was asked for.

    Raises:
        RecipeError: It is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        raise RecipeError(
            f"{what} needs OpenCV for optical flow",
            where=where,
            remedy="pip install 'roadseg[fast]', or pip install opencv-python-headless",
        ) from error
    return cv2


def reduced(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the gray picture that flow is computed on: uint8 ``[h, w]``, its long side at most 448.

    Very small and very slim pictures are stretched.
    """
    cv2 = optical_flow()
    height, width = pixels.shape[:2]
    factor = min(1.0, _LONG_SIDE / max(height, width))
    least = max(_SHORTEST, round(max(height, width) * factor * _SLIMMEST))
    size = (max(least, round(width * factor)), max(least, round(height * factor)))
    gray: npt.NDArray[np.uint8] = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return gray if size == (width, height) else cv2.resize(gray, size, interpolation=cv2.INTER_AREA)


def motion_between(before: npt.NDArray[np.uint8], now: npt.NDArray[np.uint8]) -> Motion | None:
    """Return how ``now`` came from ``before``, or None where it did not: at a cut between scenes.

    The flow is that of dense inverse search (Kroeger et al., ECCV 2016), as OpenCV has it. With the frame before moved
    along it, ``W``, the trust is ``exp(-((now - W) / 16)^2)``, and 0 where the flow leaves the picture. A mean trust
    below 0.55 is a cut.

    Args:
        before: uint8 ``[h, w]`` of `reduced`.
        now: The same of the next frame.
    """
    cv2 = optical_flow()
    height, width = now.shape
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    flow = search.calc(now, before, None)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    x, y = columns + flow[..., 0], rows + flow[..., 1]
    moved = cv2.remap(before, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    off = (moved.astype(np.float32) - now) / _TOLERANCE
    trust = np.exp(-off * off)
    trust[(x < -0.5) | (y < -0.5) | (x > width - 0.5) | (y > height - 0.5)] = 0
    if trust.mean() < _CUT:
        return None
    return Motion(
        flow / np.array([width, height], dtype=np.float32), cv2.blur(trust.astype(np.float32), (_BLUR, _BLUR))
    )
