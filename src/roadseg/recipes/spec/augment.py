"""Random changes to training samples."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Augment"]


@dataclass(frozen=True, kw_only=True)
class Augment:
    """Random changes to training samples, image and mask jointly, in this order.

    Attributes:
        pre_size: Length that ``pre_edge`` of every image is brought to first; None keeps the image's own size.
        pre_edge: The ``long`` or the ``short`` edge.
        crop: Height and width of the training crop.
        scale: Range of the random zoom.
        scale_draw: ``log``: halving is as likely as doubling; ``uniform``: every factor is as likely.
        scale_step: Draw only factors that are whole multiples of it away from the lowest; 0 for any.
        place: Where an image smaller than the crop lies in it: anywhere, in the middle, or at the top left.
        fill: What is around it: ``mean`` gray or ``black``; labels are ignored there.
        rotate: Largest rotation to either side, in degrees.
        rotate_p: Probability of a rotation.
        flip: Probability of a horizontal flip.
        rand_augment: Number of operations and their magnitude 0..30 (Cubuk et al. 2020); None for none.
        brightness: Range 1 +- value of the brightness factor; likewise contrast and saturation.
        contrast: See ``brightness``.
        saturation: See ``brightness``.
        hue: Range +- value of the hue shift, in turns (at most 0.5).
        blur: Kind of blur.
        blur_sigma: Range of its standard deviation: of a ``gaussian`` in pixels; of a ``bilateral`` one, its spatial part.
        blur_p: Probability of a blur.
    """

    pre_size: int | None = None
    pre_edge: Literal["long", "short"] = "long"
    crop: tuple[int, int]
    scale: tuple[float, float] = (0.5, 2.0)
    scale_draw: Literal["log", "uniform"] = "log"
    scale_step: float = 0.0
    place: Literal["random", "center", "corner"] = "random"
    fill: Literal["mean", "black"] = "mean"
    rotate: float = 0.0
    rotate_p: float = 0.5
    flip: float = 0.5
    rand_augment: tuple[int, float] | None = None
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    blur: Literal["none", "gaussian", "bilateral"] = "none"
    blur_sigma: tuple[float, float] = (0.15, 1.3)
    blur_p: float = 1.0
