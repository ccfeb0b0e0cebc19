"""What happens to a training sample between its file and its batch."""

from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from roadseg.data.records import Sample
from roadseg.data.transforms.blur import Blur
from roadseg.data.transforms.color import ColorJitter
from roadseg.data.transforms.rand_augment import RandAugment
from roadseg.data.transforms.window import Placement

__all__ = ["TrainTransform"]

# "mean" is close to the mean of natural images on the 0..255 scale, so that padding looks like "nothing".
_FILLS = {"mean": 124, "black": 0}

_CHOICES = {
    "pre_edge": ("long", "short"),
    "scale_draw": ("log", "uniform"),
    "place": ("random", "center", "corner"),
    "fill": tuple(_FILLS),
    "blur": ("none", "gaussian", "bilateral"),
}


class TrainTransform:
    """Random changes of a `Sample`; a value, so that loader processes can receive it.

    The arguments are the fields of `roadseg.recipes.Augment`, in whose order the changes happen, and ``ignore``, the
    mask id of pixels without truth. Everything is a function of one number drawn from torch's global generator.

    Raises:
        ValueError: A range is empty, or a value is outside of what it may be.
    """

    def __init__(
        self,
        *,
        crop: tuple[int, int],
        ignore: int,
        pre_size: int | None = None,
        pre_edge: Literal["long", "short"] = "long",
        scale: tuple[float, float] = (0.5, 2.0),
        scale_draw: Literal["log", "uniform"] = "log",
        scale_step: float = 0.0,
        place: Literal["random", "center", "corner"] = "random",
        fill: Literal["mean", "black"] = "mean",
        rotate: float = 0.0,
        rotate_p: float = 0.5,
        flip: float = 0.5,
        rand_augment: tuple[int, float] | None = None,
        brightness: float = 0.0,
        contrast: float = 0.0,
        saturation: float = 0.0,
        hue: float = 0.0,
        blur: Literal["none", "gaussian", "bilateral"] = "none",
        blur_sigma: tuple[float, float] = (0.15, 1.3),
        blur_p: float = 1.0,
    ) -> None:
        chosen = {"pre_edge": pre_edge, "scale_draw": scale_draw, "place": place, "fill": fill, "blur": blur}
        for name, value in chosen.items():
            if value not in _CHOICES[name]:
                raise ValueError(f"{name} must be one of {', '.join(_CHOICES[name])}, not {value}")
        self.ignore = ignore
        self.fill = _FILLS[fill]
        self.placement = Placement(
            crop=crop,
            pre_size=pre_size,
            pre_edge=pre_edge,
            scale=scale,
            scale_draw=scale_draw,
            scale_step=scale_step,
            place=place,
            rotate=rotate,
            rotate_p=rotate_p,
            flip=flip,
        )
        self.operations = None
        if rand_augment is not None:
            number, magnitude = rand_augment
            self.operations = RandAugment(number=number, magnitude=magnitude, ignore=ignore)
        self.jitter = ColorJitter(brightness=brightness, contrast=contrast, saturation=saturation, hue=hue)
        self.blur = None if blur == "none" else Blur(kind=blur, sigma=blur_sigma, probability=blur_p)

    def __call__(self, sample: Sample, center: tuple[int, int] | None = None) -> Sample:
        """Return the changed sample.

        Args:
            sample: The image may have any strides and may be read-only; only the window that is drawn is read.
            center: Point (x, y) of the stored image that the window has to contain.
        """
        rng = np.random.default_rng(int(torch.randint(2**63 - 1, ())))
        window = self.placement.draw(rng, sample.mask.shape[0], sample.mask.shape[1], center)
        image = window.cut_image(sample.image, self.fill)
        mask: npt.NDArray[np.generic] = window.cut_mask(sample.mask, self.ignore)
        if self.operations is not None:
            image, mask = self.operations(rng, image, mask)
        self.jitter(rng, image)
        if self.blur is not None:
            image = self.blur(rng, image)
        return Sample(torch.from_numpy(image), torch.from_numpy(mask), sample.key)
