"""How close a made picture is to the real one, and an optical flow to the true one."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["WINDOW", "PictureScores", "end_point_error", "interpolation_error", "psnr", "ssim"]

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.float32] | npt.NDArray[np.float64]

_PEAK = 255.0
_ROUNDING = 1 / 12  # mean squared error of rounding to whole gray levels
WINDOW, _SIGMA = 11, 1.5  # pixels of structural similarity; smaller pictures have none
_K1, _K2 = 0.01, 0.03
_LUMA = np.array([0.299, 0.587, 0.114])  # of ITU-R BT.601


class PictureScores(NamedTuple):
    """How close made pictures are to the real ones.

    Attributes:
        psnr: Peak signal-to-noise ratio, in decibel.
        ssim: Structural similarity, at most 1.
        ie: Interpolation error, in gray levels.
    """

    psnr: float
    ssim: float
    ie: float

    @classmethod
    def of(cls, made: Pixels, real: Pixels) -> "PictureScores":
        """Score one picture."""
        return cls(psnr(made, real), ssim(made, real), interpolation_error(made, real))

    @classmethod
    def mean(cls, scores: Iterable["PictureScores"]) -> "PictureScores":
        """Return the mean of each score over pictures; there is at least one."""
        return cls(*np.mean(list(scores), axis=0).tolist())


def psnr(made: Pixels, real: Pixels) -> float:
    """Return the peak signal-to-noise ratio, ``10 log10(255^2 / mean squared error)``, in decibel.

    The error counts as at least that of rounding to whole gray levels, so that equal pictures have 58.9 dB and a mean
    over pictures is a number.

    Args:
        made: ``[H, W]`` or ``[H, W, 3]``, 0..255.
        real: The same of the real picture.
    """
    return float(10 * np.log10(_PEAK**2 / max(_squared_error(made, real), _ROUNDING)))


def interpolation_error(made: Pixels, real: Pixels) -> float:
    """Return the root of the mean squared difference, in gray levels (Baker et al., IJCV 2011, section 4.1).

    Args:
        made: ``[H, W]`` or ``[H, W, 3]``, 0..255.
        real: The same of the real picture.
    """
    return float(np.sqrt(_squared_error(made, real)))


def ssim(made: Pixels, real: Pixels) -> float:
    """Return the structural similarity (Wang et al., IEEE TIP 2004, equation 13), 1 for equal pictures.

    As there, of the pictures' luminance, in a Gaussian window of 11 x 11 pixels and sigma 1.5 around every pixel where
    it lies inside, with K1 = 0.01 and K2 = 0.03.

    Args:
        made: ``[H, W]`` or ``[H, W, 3]``, 0..255, at least 11 pixels high and wide.
        real: The same of the real picture.

    Raises:
        ValueError: The pictures differ in size, or no window fits in.
    """
    _check_sizes(made, real)
    if min(made.shape[:2]) < WINDOW:
        raise ValueError(f"{made.shape[1]}x{made.shape[0]} pixels are fewer than a window has")
    x, y = _luminance(made), _luminance(real)
    # Second moments are those of differences from the middle gray: no large numbers cancel each other.
    x, y = x - _PEAK / 2, y - _PEAK / 2
    mean_x, mean_y = _blurred(x), _blurred(y)
    variance_x, variance_y = _blurred(x * x) - mean_x**2, _blurred(y * y) - mean_y**2
    covariance = _blurred(x * y) - mean_x * mean_y
    mean_x, mean_y = mean_x + _PEAK / 2, mean_y + _PEAK / 2
    c1, c2 = (_K1 * _PEAK) ** 2, (_K2 * _PEAK) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return float((luminance * structure).mean())


def end_point_error(
    found: npt.NDArray[np.float32], true: npt.NDArray[np.float32], valid: npt.NDArray[np.bool_] | None = None
) -> float:
    """Return the mean distance between two flows, in pixels (Baker et al., IJCV 2011, section 4.1).

    Args:
        found: ``[H, W, 2]``.
        true: The same of the true flow.
        valid: ``[H, W]``, where that is known; None for everywhere.

    Returns:
        The mean over the valid pixels; NaN where there is none.

    Raises:
        ValueError: The flows differ in size.
    """
    _check_sizes(found, true)
    distance = np.linalg.norm(found.astype(np.float64) - true, axis=-1)
    if valid is not None:
        distance = distance[valid]
    return float(distance.mean()) if distance.size else float("nan")


def _squared_error(made: Pixels, real: Pixels) -> float:
    _check_sizes(made, real)
    return float(np.square(made.astype(np.float64) - real).mean())


def _check_sizes(one: npt.NDArray[np.generic], other: npt.NDArray[np.generic]) -> None:
    if one.shape != other.shape:
        raise ValueError(f"shapes {one.shape} and {other.shape} differ")


def _luminance(pixels: Pixels) -> npt.NDArray[np.float64]:
    values = pixels.astype(np.float64)
    return values if values.ndim == 2 else values @ _LUMA


def _blurred(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the weighted mean in the window around every pixel where it lies inside."""
    place = np.arange(WINDOW) - WINDOW // 2
    weights = np.exp(-(place**2) / (2 * _SIGMA**2))
    weights /= weights.sum()
    for axis in range(2):
        windows = np.lib.stride_tricks.sliding_window_view(values, WINDOW, axis=axis)
        values = windows @ weights
    return values
