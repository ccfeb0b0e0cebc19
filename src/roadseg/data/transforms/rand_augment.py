"""RandAugment: a few random operations of one magnitude (Cubuk et al. 2020, section 3), for image and mask jointly.

Ranges of the operations are those of the published hierarchical multi-scale attention training.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance, ImageOps

__all__ = ["RandAugment"]

_Affine = tuple[float, float, float, float, float, float]


def _rotation(turned: float, width: int, height: int) -> _Affine:
    cos, sin = math.cos(turned), math.sin(turned)
    x, y = width / 2, height / 2
    return cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y


# Level 0..1 with a sign, width, height -> where a pixel of the result comes from.
_SHAPES: dict[str, Callable[[float, int, int], _Affine]] = {
    "shear_x": lambda level, _width, _height: (1, 0.3 * level, 0, 0, 1, 0),
    "shear_y": lambda level, _width, _height: (1, 0, 0, 0.3 * level, 1, 0),
    "translate_x": lambda level, width, _height: (1, 0, 0.33 * level * width, 0, 1, 0),
    "translate_y": lambda level, _width, height: (1, 0, 0, 0, 1, 0.33 * level * height),
    "rotate": lambda level, width, height: _rotation(math.radians(30 * level), width, height),
}

# Level 0..1 -> another image.
_COLORS: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "identity": lambda image, _level: image,
    "autocontrast": lambda image, _level: ImageOps.autocontrast(image),
    "invert": lambda image, _level: ImageOps.invert(image),
    "equalize": lambda image, _level: ImageOps.equalize(image),
    "solarize": lambda image, level: ImageOps.solarize(image, int(110 * level)),
    "posterize": lambda image, level: ImageOps.posterize(image, int(4 + 4 * level)),
    "color": lambda image, level: ImageEnhance.Color(image).enhance(0.1 + 1.8 * level),
    "brightness": lambda image, level: ImageEnhance.Brightness(image).enhance(0.1 + 1.8 * level),
    "sharpness": lambda image, level: ImageEnhance.Sharpness(image).enhance(0.1 + 1.8 * level),
}

_NAMES = (*_SHAPES, *_COLORS)


@dataclass(frozen=True, kw_only=True)
class RandAugment:
    """Random operations, each drawn anew from all of them.

    Attributes:
        number: How many.
        magnitude: Their strength, 0..30.
        ignore: Mask id of pixels that a shift or rotation uncovers; the image is black there.
    """

    number: int
    magnitude: float
    ignore: int

    def __post_init__(self) -> None:
        """Refuse magnitudes beyond the published scale."""
        if self.number < 0 or self.number != int(self.number):
            raise ValueError(f"rand_augment must have 0 or more operations, not {self.number}")
        if not 0 <= self.magnitude <= 30:
            raise ValueError(f"rand_augment must have a magnitude from 0 to 30, not {self.magnitude}")

    def __call__(
        self, rng: np.random.Generator, image: npt.NDArray[np.uint8], mask: npt.NDArray[np.generic]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.generic]]:
        """Return image ``[3, H, W]`` and mask ``[H, W]`` after the operations."""
        picture = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
        # Pillow moves pixels of 8 and of 32 bits.
        labels = Image.fromarray(mask if mask.dtype == np.uint8 else mask.astype(np.int32))
        for _ in range(int(self.number)):
            picture, labels = self._apply(_NAMES[rng.integers(len(_NAMES))], rng, picture, labels)
        pixels = np.array(np.asarray(picture).transpose(2, 0, 1), order="C")  # Pillow's own are read-only
        return pixels, np.array(labels).astype(mask.dtype, copy=False)

    def _apply(
        self, name: str, rng: np.random.Generator, picture: Image.Image, labels: Image.Image
    ) -> tuple[Image.Image, Image.Image]:
        level = self.magnitude / 30
        if name in _COLORS:
            return _COLORS[name](picture, level), labels
        signed = level if rng.random() < 0.5 else -level
        affine = _SHAPES[name](signed, *picture.size)
        move = Image.Transform.AFFINE
        return (
            picture.transform(picture.size, move, affine, fillcolor=(0, 0, 0)),
            labels.transform(labels.size, move, affine, fillcolor=self.ignore),
        )
