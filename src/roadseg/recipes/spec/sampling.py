"""Which samples make up an epoch."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Balanced", "ClassUniform", "RareClass", "Sampling", "Shuffle"]


@dataclass(frozen=True, kw_only=True)
class Shuffle:
    """Every image once per epoch, in random order."""


@dataclass(frozen=True, kw_only=True)
class ClassUniform:
    """Part of every epoch is cut around places where each class occurs, equally often for all classes.

    Zhu et al., CVPR 2019, section 3.4: label maps are divided into tiles, and for every class in a tile the center of
    its pixels is a place to cut around. The rest of the epoch are random images.

    Attributes:
        share: Part of the epoch that is drawn by class, 0..1.
        tile: Side of the tiles, in pixels; in smaller images, the image is one tile.
        until: Epoch from which all images are drawn at random; None for never.
        boost: Names of classes whose places are also looked for in ``boost_split``.
        boost_split: A split with further labels, often coarse ones.
    """

    share: float = 0.5
    tile: int = 1024
    until: int | None = None
    boost: tuple[str, ...] = ()
    boost_split: str = "train_extra"


@dataclass(frozen=True, kw_only=True)
class RareClass:
    """Every image once per epoch; part of them are cut around a rare class that they hold.

    Attributes:
        share: Part of the samples that are cut so, 0..1.
        power: A class is chosen with probability in proportion to ``share_of_its_pixels ** -power``.
        tile: Side of the tiles in which places are looked for, in pixels.
    """

    share: float = 0.5
    power: float = 0.5
    tile: int = 256


@dataclass(frozen=True, kw_only=True)
class Balanced:
    """Every batch holds images of each data set of ``data.root`` and ``data.parts``, whatever their sizes (MSeg, 4.2).

    Attributes:
        weights: Share of each data set in a batch, in order; empty for equal shares.
        epoch: What an epoch is as long as: the ``largest`` data set's turn, or the ``total`` of all images.
    """

    weights: tuple[float, ...] = ()
    epoch: Literal["largest", "total"] = "total"


Sampling = Shuffle | ClassUniform | RareClass | Balanced
