"""Blurs of uint8 images ``[3, H, W]``: Gaussian, and bilateral, which spares edges."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = ["Blur", "bilateral_blur", "gaussian_blur"]

_Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Blur:
    """A blur of random width.

    Attributes:
        kind: ``gaussian`` or ``bilateral``.
        sigma: Range of the (spatial) standard deviation in pixels.
        probability: How often an image is blurred.
    """

    kind: Literal["gaussian", "bilateral"]
    sigma: tuple[float, float]
    probability: float

    def __post_init__(self) -> None:
        """Refuse an empty range."""
        if not 0 < self.sigma[0] <= self.sigma[1] < math.inf:
            raise ValueError(f"blur_sigma must be an increasing range above 0, not {self.sigma}")
        if not 0 <= self.probability <= 1:
            raise ValueError(f"blur_p must be a probability from 0 to 1, not {self.probability}")

    def __call__(self, rng: np.random.Generator, image: _Image) -> _Image:
        """Return the image, blurred or not."""
        if rng.random() >= self.probability:
            return image
        sigma = float(rng.uniform(*self.sigma))
        return gaussian_blur(image, sigma) if self.kind == "gaussian" else bilateral_blur(image, sigma)


def gaussian_blur(image: _Image, sigma: float) -> _Image:
    """Blur with a Gaussian that is cut at three standard deviations; border pixels repeat outward.

    Two passes of 16-bit integers with weights in 1/256.
    """
    taps = np.exp(-0.5 * (np.arange(math.ceil(3 * sigma) + 1) / sigma) ** 2)
    weights = np.round(256 * taps / (taps[0] + 2 * taps[1:].sum())).astype(np.uint16)
    weights = weights[: np.flatnonzero(weights).max() + 1]
    weights[0] = 256 - 2 * weights[1:].sum()  # a flat image stays what it is
    radius = len(weights) - 1
    if radius == 0:
        return image
    height, width = image.shape[1:]
    result = np.empty_like(image)
    for channel, blurred in zip(image, result, strict=True):
        tall = np.pad(channel, ((radius, radius), (0, 0)), mode="edge").astype(np.uint16)
        down = _rounded([tall[start : start + height] for start in range(2 * radius + 1)], weights)
        wide = np.pad(down, ((0, 0), (radius, radius)), mode="edge")
        blurred[:] = _rounded([wide[:, start : start + width] for start in range(2 * radius + 1)], weights)
    return result


def _rounded(
    shifted: list[npt.NDArray[np.uint16]], weights: npt.NDArray[np.uint16]
) -> npt.NDArray[np.uint16]:
    """Return the symmetric weighted sum of shifted views; 255 * 256 + 128 fits in 16 bits."""
    radius = len(weights) - 1
    total: npt.NDArray[np.uint16] = shifted[radius] * weights[0]
    for distance in range(1, radius + 1):
        pair = shifted[radius - distance] + shifted[radius + distance]
        pair *= weights[distance]
        total += pair
    total += np.uint16(128)
    total >>= np.uint16(8)
    return total


def bilateral_blur(image: _Image, sigma: float) -> _Image:
    """Blur where neighbors are of a similar color (Tomasi and Manduchi 1998, section 3).

    The standard deviation over colors is that of the image's own values, the default of scikit-image.

    Args:
        image: ``[3, H, W]``.
        sigma: Spatial standard deviation in pixels; neighbors up to three of them away count.
    """
    pixels = image.astype(np.float32)
    spread = float(pixels.std())
    if spread == 0:
        return image
    height, width = image.shape[1:]
    moved = np.zeros_like(pixels)
    weight = np.ones((height, width), np.float32)
    radius = max(1, round(3 * sigma))
    for down in range(min(radius, height - 1) + 1):
        for right in range(-radius if down else 1, radius + 1):
            if abs(right) >= width:
                continue
            # Each pair of neighbors is weighed once, for both.
            one = (..., slice(0, height - down), slice(max(0, -right), width - max(0, right)))
            other = (..., slice(down, height), slice(max(0, right), width - max(0, -right)))
            change = pixels[other] - pixels[one]
            near = (down**2 + right**2) / (2 * sigma**2)
            closeness = np.exp(np.square(change).sum(axis=0) / np.float32(-2 * spread**2) - np.float32(near))
            change *= closeness
            moved[one] += change
            moved[other] -= change
            weight[one] += closeness
            weight[other] += closeness
    return (pixels + moved / weight + np.float32(0.5)).astype(np.uint8)
