"""What a recipe may minimize."""

from dataclasses import dataclass
from typing import Literal

from roadseg.recipes.spec.check import above, at_least, within_one

__all__ = [
    "RMI",
    "Auxiliary",
    "BinaryCrossEntropy",
    "Boundary",
    "CrossEntropy",
    "Dice",
    "Focal",
    "ImageWeighted",
    "Loss",
    "Lovasz",
    "Ohem",
    "Relaxed",
]


@dataclass(frozen=True, kw_only=True)
class CrossEntropy:
    """Per-pixel cross entropy, averaged over the pixels that have a truth.

    Attributes:
        class_weights: ``none``; ``enet`` for 1/ln(c + share) as in ENet (Paszke et al. 2016, section 5.2); ``median``
            for median-frequency balancing (Eigen and Fergus 2015); ``inverse`` for 1/share, scaled to a mean of 1 over
            the classes that occur. Shares are counted on the training labels.
        enet_constant: The c of ``enet``: 1.02 in the paper; larger is milder.
        label_smoothing: Mass spread over all classes, 0..1.
    """

    class_weights: Literal["none", "enet", "median", "inverse"] = "none"
    enet_constant: float = 1.02
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        above(1, self, "enet_constant")  # a class that never occurs weighs 1/ln(constant)
        within_one(self, "label_smoothing")


@dataclass(frozen=True, kw_only=True)
class ImageWeighted:
    """Cross entropy whose class weights are counted on the very images: ``1 + bound * (1 - share)`` where present.

    Attributes:
        bound: How much a rare class may weigh beyond 1.
        over: Whether shares are those of each image or of the whole batch.
        reduction: ``mean`` over the images; the published code takes the ``sum``, which multiplies the learning rate by
            the images per GPU.
    """

    bound: float = 1.0
    over: Literal["image", "batch"] = "image"
    reduction: Literal["mean", "sum"] = "mean"


@dataclass(frozen=True, kw_only=True)
class Relaxed:
    """Boundary label relaxation (Zhu et al., CVPR 2019, section 3.3): near a boundary, any neighbor's class will do.

    Attributes:
        radius: Pixels around each pixel whose labels count as its own.
        strict: Names of classes whose own pixels are not relaxed.
        off_epoch: After this epoch the loss is `ImageWeighted`, boundary pixels counting twice; None for never.
        bound: As for `ImageWeighted`.
        over: As for `ImageWeighted`.
        compat: True for the published coupling: the images of a batch are divided by each other's counts, and summed.
    """

    radius: int = 1
    strict: tuple[str, ...] = ()
    off_epoch: int | None = None
    bound: float = 1.0
    over: Literal["image", "batch"] = "image"
    compat: bool = False

    def __post_init__(self) -> None:
        at_least(0, self, "radius")


@dataclass(frozen=True, kw_only=True)
class Ohem:
    """Cross entropy over the hard pixels only (online hard example mining).

    A pixel is hard when the probability of its true class is at most ``threshold``; at least the hardest
    ``max(min_kept, min_share * pixels)`` pixels of the batch are kept.

    Attributes:
        threshold: Probability, 0..1.
        min_kept: Pixels.
        min_share: Part of all pixels, 0..1.
        class_weights: As for `CrossEntropy`.
        enet_constant: As for `CrossEntropy`.
    """

    threshold: float = 0.7
    min_kept: int = 100_000
    min_share: float = 0.0
    class_weights: Literal["none", "enet", "median", "inverse"] = "none"
    enet_constant: float = 1.02

    def __post_init__(self) -> None:
        above(1, self, "enet_constant")
        within_one(self, "threshold", "min_share")


@dataclass(frozen=True, kw_only=True)
class RMI:
    """Region mutual information with binary cross entropy (Zhao et al., NeurIPS 2019).

    Attributes:
        share: Part of the region term in the sum, 0..1; the rest is binary cross entropy.
        radius: Side of the square regions, in cells.
        stride: Factor that maps are made smaller by before regions are taken.
        pool: How they are made smaller.
    """

    share: float = 0.5
    radius: int = 3
    stride: int = 4
    pool: Literal["average", "max", "interpolate"] = "average"

    def __post_init__(self) -> None:
        within_one(self, "share")
        at_least(1, self, "radius", "stride")


@dataclass(frozen=True, kw_only=True)
class BinaryCrossEntropy:
    """Sigmoid cross entropy of every class against the rest, summed over classes, averaged over pixels."""


@dataclass(frozen=True, kw_only=True)
class Focal:
    """Focal loss (Lin et al., ICCV 2017), through segmentation-models-pytorch.

    Attributes:
        gamma: How fast easy pixels lose weight.
        cross_entropy: Weight of plain cross entropy added to it.
    """

    gamma: float = 2.0
    cross_entropy: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Dice:
    """Soft Dice loss over the classes (Milletari et al., 3DV 2016), through segmentation-models-pytorch.

    Attributes:
        smooth: Added to numerator and denominator.
        cross_entropy: Weight of plain cross entropy added to it.
    """

    smooth: float = 0.0
    cross_entropy: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Lovasz:
    """Lovasz-softmax (Berman et al., CVPR 2018), through segmentation-models-pytorch.

    Attributes:
        per_image: Whether the loss of each image is taken alone.
        stride: Only every so many pixels, along both sides, are part of the regions.
        cross_entropy: Weight of plain cross entropy added to it.
    """

    per_image: bool = False
    stride: int = 1
    cross_entropy: float = 0.0

    def __post_init__(self) -> None:
        at_least(1, self, "stride")


@dataclass(frozen=True, kw_only=True)
class Boundary:
    """Binary cross entropy of class boundaries, for networks with an output of them (MSFNet, section 3.3).

    Attributes:
        width: Thickness of the true boundaries, in pixels.
    """

    width: int = 3


Loss = (
    CrossEntropy
    | ImageWeighted
    | Relaxed
    | Ohem
    | RMI
    | BinaryCrossEntropy
    | Focal
    | Dice
    | Lovasz
    | Boundary
)


@dataclass(frozen=True, kw_only=True)
class Auxiliary:
    """How a network's auxiliary outputs are supervised.

    Attributes:
        weights: Weight of each output's loss in the sum, in order; the last one is repeated.
        loss: The loss; None for plain cross entropy.
        at: ``cells`` compares each cell with the label of the pixel at its center, which costs little; ``image`` brings
            the output to the size of the labels first, as most published code does.
    """

    weights: tuple[float, ...] = (0.4,)
    loss: Loss | None = None
    at: Literal["cells", "image"] = "cells"
