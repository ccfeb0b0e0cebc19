"""How sure a score is: its spread over images drawn again and again from those at hand (Efron, 1979)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadseg.errors import DataError
from roadseg.metrics.images import ImageCounts
from roadseg.metrics.scores import Protocol

__all__ = [
    "LEVEL",
    "REPLICATES",
    "Interval",
    "draw",
    "miou_interval",
    "percentile_interval",
    "replicated_miou",
]

REPLICATES = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A confidence interval.

    Attributes:
        low: Its lower end.
        high: Its upper end.
        level: Share of the replicates that lie inside.
        replicates: How many sets of images were drawn.
    """

    low: float
    high: float
    level: float
    replicates: int

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return dict(vars(self))


def draw(images: int, replicates: int = REPLICATES, seed: int = 0) -> NDArray[np.float64]:
    """Return how often each image is in each replicate, ``[replicates, images]``.

    A replicate is as many images as there are, drawn with replacement. The same seed gives the same draw.

    Raises:
        DataError: There are fewer than two images, which tell nothing about the spread.
    """
    if images < 2:
        raise DataError(
            f"an interval over {images} image(s) means nothing",
            remedy="score at least two images, or ask for none: --replicates 0",
        )
    rng = np.random.default_rng(seed)
    return rng.multinomial(images, np.full(images, 1 / images), size=replicates).astype(np.float64)


def miou_interval(
    counts: ImageCounts,
    protocol: Protocol,
    *,
    replicates: int = REPLICATES,
    level: float = LEVEL,
    seed: int = 0,
) -> Interval:
    """Return the interval of mIoU over the data set (not of the mean over images).

    Raises:
        DataError: There are fewer than two images, or none has a score.
    """
    values = replicated_miou(counts, protocol, draw(len(counts), replicates, seed))
    return percentile_interval(values, level)


def replicated_miou(
    counts: ImageCounts, protocol: Protocol, drawn: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the mIoU of every replicate ``[R]``: counts are summed over its images, then divided."""
    flat = counts.counts.reshape(len(counts), -1).astype(np.float64)  # exact below 2**53 pixels
    return counts.miou((drawn @ flat).reshape(len(drawn), *counts.counts.shape[1:]), protocol)


def percentile_interval(values: NDArray[np.float64], level: float = LEVEL) -> Interval:
    """Return the interval that leaves out equal shares of the values at both ends.

    Raises:
        DataError: No replicate has a score, because no class that is averaged has a truth.
    """
    known = values[np.isfinite(values)]
    if not known.size:
        raise DataError(
            "no class that is averaged has a truth, so there is no score",
            remedy="check the labels, or exclude fewer classes",
        )
    tail = (1 - level) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return Interval(float(low), float(high), level, len(values))
