"""Color jitter on uint8 pixels: brightness, contrast, saturation and hue, in random order.

What torchvision's ``ColorJitter`` does, with the same factors and the same colors up to rounding, several times as
fast: in 16-bit integers, block by block so that the numbers stay in the processor's cache, and with a hue shift that
neither divides nor converts to HSV.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

__all__ = ["ColorJitter", "adjust_colors", "shift_hue"]

_Pixels = npt.NDArray[np.int16]  # [3, N], 0..255
_Step = Callable[[_Pixels], None]

_BLOCK = 32768  # pixels at a time: large against the cost of a call, small against the cache
_PREVIEW = 40_000  # pixels that the mean gray of an image is taken from, at least

# NumPy compares with an array of constants several times as fast as with one constant.
_BLACK = np.zeros(_BLOCK, np.int16)
_WHITE = np.full(_BLOCK, 255, np.int16)


@dataclass(frozen=True, kw_only=True)
class ColorJitter:
    """Random brightness, contrast, saturation and hue.

    Attributes:
        brightness: Half-width of the factor's range around 1, at most 1; likewise contrast and saturation.
        contrast: See ``brightness``.
        saturation: See ``brightness``.
        hue: Half-width of the range of the shift around 0, in turns, at most 0.5.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __post_init__(self) -> None:
        """Refuse factors below 0 and shifts of more than half a turn."""
        for name in ("brightness", "contrast", "saturation"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be from 0 to 1, not {getattr(self, name)}")
        if not 0 <= self.hue <= 0.5:
            raise ValueError(f"hue must be from 0 to 0.5 turns, not {self.hue}")

    def __call__(self, rng: np.random.Generator, image: npt.NDArray[np.uint8]) -> None:
        """Change the colors of an image ``[3, H, W]`` in place."""
        changes = [
            (name, rng.uniform(middle - width, middle + width))
            for name, middle, width in (
                ("brightness", 1.0, self.brightness),
                ("contrast", 1.0, self.contrast),
                ("saturation", 1.0, self.saturation),
                ("hue", 0.0, self.hue),
            )
            if width
        ]
        adjust_colors(image, [changes[index] for index in rng.permutation(len(changes))])


def adjust_colors(image: npt.NDArray[np.uint8], changes: list[tuple[str, float]]) -> None:
    """Apply changes one after the other, in place.

    Args:
        image: ``[3, H, W]`` RGB, contiguous.
        changes: ``brightness``, ``contrast`` or ``saturation`` with a factor 0..2, or ``hue`` with a shift in turns.
    """
    if not changes:
        return
    pixels = image.reshape(3, -1)
    # Contrast is relative to the mean gray of all pixels as the steps before have left them; a small share of the
    # pixels tells it. The odd stride walks through all columns.
    stride = 1 + 2 * (pixels.shape[1] // (2 * _PREVIEW))
    preview = pixels[:, ::stride].astype(np.int16)
    steps: list[_Step] = []
    for name, amount in changes:
        steps.append(_step(name, amount, preview))
        for start in range(0, preview.shape[1], _BLOCK):
            steps[-1](preview[:, start : start + _BLOCK])
    for start in range(0, pixels.shape[1], _BLOCK):
        block = pixels[:, start : start + _BLOCK].astype(np.int16)
        for step in steps:
            step(block)
        pixels[:, start : start + _BLOCK] = block


def _step(name: str, amount: float, before: _Pixels) -> _Step:
    match name:
        case "brightness":
            return lambda pixels: _blend(pixels, np.int16(0), amount)
        case "contrast":
            gray = np.int16(_luma(before).mean() + 0.5)
            return lambda pixels: _blend(pixels, gray, amount)
        case "saturation":
            return lambda pixels: _blend(pixels, _luma(pixels), amount)
        case "hue":
            return partial(shift_hue, turns=amount)
        case _:
            raise ValueError(f"no such change of colors: {name}")


def _luma(pixels: _Pixels) -> _Pixels:
    """Return the brightness of each pixel, ``[N]`` (ITU-R BT.601, weights in 1/128)."""
    luma: _Pixels = pixels[0] * np.int16(38)
    luma += pixels[1] * np.int16(75)
    luma += pixels[2] * np.int16(15)
    luma += np.int16(64)
    luma >>= 7
    return luma


def _blend(pixels: _Pixels, origin: _Pixels | np.int16, factor: float) -> None:
    """Multiply the distance from ``origin`` by a factor 0..2 (in steps of 1/128), in place."""
    change = pixels - origin
    change *= np.int16(round((factor - 1) * 128))  # at most 255 * 128: fits
    change += np.int16(64)
    change >>= 7
    pixels += change
    if factor > 1:
        number = pixels.shape[1]
        np.minimum(pixels, _WHITE[:number], out=pixels)
        np.maximum(pixels, _BLACK[:number], out=pixels)


def shift_hue(pixels: _Pixels, turns: float) -> None:
    """Shift the hue in HSV, in place, for a shift of up to half a turn.

    A channel's value over the hue is a tent with its top and its bottom cut off at the pixel's largest and smallest
    channel. Uncut, red is ``red + largest + smallest - green - blue``, and shifting the hue by up to half a sixth of
    a turn moves it along its slope, whose sign says which of the two others is larger. Shifts by whole sixths need no
    arithmetic: they exchange channels, and an odd number of them mirrors each value between largest and smallest.

    Args:
        pixels: int16 ``[3, N]`` RGB in 0..255.
        turns: -0.5..0.5.
    """
    sixths = round(6 * turns)
    rest = 6 * turns - sixths
    red, green, blue = pixels
    largest = np.maximum(red, green)
    np.maximum(largest, blue, out=largest)
    smallest = np.minimum(red, green)
    np.minimum(smallest, blue, out=smallest)
    step = largest - smallest
    step *= np.int16(round(abs(rest) * 128))  # at most 255 * 64
    step += np.int16(64)
    step >>= 7

    slope = np.empty_like(pixels)
    np.subtract(blue, green, out=slope[0])
    np.subtract(red, blue, out=slope[1])
    np.subtract(green, red, out=slope[2])
    slope *= np.int16(128 if rest > 0 else -128)  # any difference is more than a step now, and still fits
    np.minimum(slope, step, out=slope)
    np.maximum(slope, -step, out=slope)

    ends = largest + smallest
    tent = pixels + pixels
    tent += ends - red - green - blue
    tent += slope
    np.maximum(tent, smallest, out=tent)
    np.minimum(tent, largest, out=tent)
    if sixths % 2:
        np.subtract(ends, tent, out=tent)
        sixths += 3  # a mirrored channel is half a turn away
    for channel in range(3):
        pixels[(channel + sixths // 2) % 3] = tent[channel]
