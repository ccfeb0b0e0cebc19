"""Which of two networks is better: the difference of two scores on the same images, with its interval.

Images are hard or easy for both networks alike. The interval of the difference, from replicates that draw the same images
for both, is therefore far narrower than the two scores' own intervals let expect.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from roadseg.errors import DataError
from roadseg.metrics.bootstrap import (
    LEVEL,
    REPLICATES,
    Interval,
    draw,
    percentile_interval,
    replicated_miou,
)
from roadseg.metrics.images import ImageCounts
from roadseg.metrics.scores import Protocol

__all__ = ["Difference", "check_comparable", "compare"]

_ALIKE = ("dataset", "split", "space", "void", "absent", "excluded", "relabeled")


@dataclass(frozen=True)
class Difference:
    """First score minus second, on the same images.

    Attributes:
        miou: Difference of mIoU.
        interval: Its interval.
        better: Share of the replicates in which the first is better.
        classes: Difference of IoU by class; NaN for a class that has none in one of them.
    """

    miou: float
    interval: Interval
    better: float
    classes: Mapping[str, float]

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return not self.interval.low <= 0 <= self.interval.high

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; NaN becomes null."""
        classes = {name: None if np.isnan(value) else value for name, value in self.classes.items()}
        return {
            "miou": self.miou,
            "interval": self.interval.to_json(),
            "better": self.better,
            "clear": self.is_clear,
            "classes": classes,
        }


def compare(
    first: ImageCounts,
    second: ImageCounts,
    protocol: Protocol,
    *,
    replicates: int = REPLICATES,
    level: float = LEVEL,
    seed: int = 0,
) -> Difference:
    """Return the difference of two scores.

    Args:
        first: Counts per image of one.
        second: Counts per image of the other, in any order.
        protocol: The rules that both are scored by.
        replicates: How many sets of images are drawn.
        level: Level of the interval.
        seed: Of the draws.

    Raises:
        DataError: The two are not of the same classes and images, or of fewer than two images,
            or one has no score.
    """
    if first.names != second.names:
        raise DataError(
            f"the scores are of different classes ({len(first.names)} and {len(second.names)})",
            remedy="score both in one label space: --to",
        )
    second = second.in_order(first.keys)
    drawn = draw(len(first), replicates, seed)
    values = replicated_miou(first, protocol, drawn) - replicated_miou(second, protocol, drawn)
    sums = [counts.counts.sum(axis=0) for counts in (first, second)]
    miou = [float(first.miou(item, protocol)) for item in sums]
    classes = first.iou(sums[0], protocol) - first.iou(sums[1], protocol)
    return Difference(
        miou=miou[0] - miou[1],
        interval=percentile_interval(values, level),
        better=float((values > 0).mean()),
        classes=dict(zip(first.names, classes.tolist(), strict=True)),
    )


def check_comparable(protocol: Protocol, other: Mapping[str, Any], where: str) -> None:
    """Refuse a comparison of scores that different rules were applied to.

    The strategy may differ: what it is worth is a fair question.

    Args:
        protocol: Of the one score.
        other: Of the other, as `Protocol.to_json` gives it.
        where: Names the other in errors.

    Raises:
        DataError: The two protocols differ in more than the strategy.
    """
    mine = protocol.to_json()
    for field in _ALIKE:
        theirs = other.get(field, Protocol().to_json()[field])
        if theirs != mine[field]:
            raise DataError(
                f"was computed with {field} {theirs!r}, not {mine[field]!r}",
                where=where,
                remedy="compare scores of one protocol",
            )
