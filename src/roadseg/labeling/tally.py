"""What became of the pixels: how many a network gave to each class, how many are trusted, and how many of both are right."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadseg.data.class_centers import channel_table
from roadseg.data.thresholds import LEVELS
from roadseg.labeling.agreement import Opinion
from roadseg.labels import LabelSpace

__all__ = ["COLUMNS", "Tally", "tally"]

COLUMNS = (
    *("predicted", "kept", "merged", "confidence", "kept_confidence"),
    *("truth", "judged", "right", "kept_truth", "kept_judged", "kept_right"),
)
"""What is counted of each class.

Pixels that the network gave to it, those of them that are trusted, those that the stored label added; sums of the bytes of
confidence of the first two; and among the pixels with truth: those of the class, those given to it, those given to it
rightly, and the same three among the trusted ones.
"""


@dataclass(eq=False)
class Tally:
    """Counts of pixels by class; those of several pictures add up.

    Attributes:
        space: The label space.
        counts: int64 ``[C]`` for each of `COLUMNS`.
        pixels: All pixels.
        disputed: Pixels that too few teachers agree on.
        pictures: Number of pictures.
    """

    space: LabelSpace
    counts: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    pixels: int = 0
    disputed: int = 0
    pictures: int = 0

    def __post_init__(self) -> None:
        """Start from nothing where no counts are given."""
        zeros = np.zeros(self.space.num_classes, dtype=np.int64)
        self.counts = {name: self.counts.get(name, zeros) for name in COLUMNS}

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.space,
            {name: self.counts[name] + other.counts[name] for name in COLUMNS},
            self.pixels + other.pixels,
            self.disputed + other.disputed,
            self.pictures + other.pictures,
        )

    @classmethod
    def of(cls, space: LabelSpace, facts: Iterable[Mapping[str, Any]]) -> "Tally":
        """Add up what `to_facts` returned for pictures."""
        total = cls(space)
        for one in facts:
            counts = {name: np.array(values, dtype=np.int64) for name, values in one["counts"].items()}
            total += cls(space, counts, one["pixels"], one["disputed"], 1)
        return total

    def to_facts(self) -> dict[str, Any]:
        """Return the counts of one picture as JSON; columns of zeros are left out."""
        counts = {name: values.tolist() for name, values in self.counts.items() if values.any()}
        return {"pixels": self.pixels, "disputed": self.disputed, "counts": counts}

    @property
    def has_truth(self) -> bool:
        """Whether any pixel has truth."""
        return bool(self.counts["truth"].any())

    @property
    def removed(self) -> tuple[str, ...]:
        """Names of classes that were predicted, and of which nothing is trusted."""
        gone = (self.counts["predicted"] > 0) & (self.counts["kept"] == 0)
        return tuple(name for name, is_gone in zip(self.space.names, gone, strict=True) if is_gone)

    def table(self) -> list[dict[str, Any]]:
        """Return a row per class: shares of all pixels, confidence, and scores where there is truth; None for unknown."""
        c = self.counts
        columns = {
            "predicted": _ratio(c["predicted"], self.pixels),
            "kept": _ratio(c["kept"], self.pixels),
            "kept_of_predicted": _ratio(c["kept"], c["predicted"]),
            "merged": _ratio(c["merged"], self.pixels),
            "confidence": _ratio(c["confidence"], c["predicted"] * (LEVELS - 1)),
            "kept_confidence": _ratio(c["kept_confidence"], c["kept"] * (LEVELS - 1)),
            "precision": _ratio(c["right"], c["judged"]),
            "kept_precision": _ratio(c["kept_right"], c["kept_judged"]),
            "iou": _ratio(c["right"], c["truth"] + c["judged"] - c["right"]),
            "kept_iou": _ratio(c["kept_right"], c["kept_truth"] + c["kept_judged"] - c["kept_right"]),
        }
        return [
            {"class": name, **{column: values[channel] for column, values in columns.items()}}
            for channel, name in enumerate(self.space.names)
        ]

    def to_json(self) -> dict[str, Any]:
        """Return shares and scores of all classes and of each as plain JSON values."""
        c, rows = self.counts, self.table()
        overall: dict[str, Any] = {
            "kept": _share(c["kept"].sum(), self.pixels),
            "disputed": _share(self.disputed, self.pixels),
            "merged": _share(c["merged"].sum(), self.pixels),
            "confidence": _share(c["confidence"].sum(), self.pixels * (LEVELS - 1)),
        }
        if self.has_truth:
            overall |= {
                "accuracy": _share(c["right"].sum(), c["judged"].sum()),
                "kept_accuracy": _share(c["kept_right"].sum(), c["kept_judged"].sum()),
                "miou": _mean(rows, "iou"),
                "kept_miou": _mean(rows, "kept_iou"),
            }
        return {"pictures": self.pictures, "pixels": self.pixels, **overall, "classes": rows}


def tally(
    space: LabelSpace,
    opinion: Opinion,
    kept: NDArray[np.bool_],
    truth: NDArray[Any] | None = None,
    merged: NDArray[np.bool_] | None = None,
) -> Tally:
    """Count one picture.

    Args:
        space: The label space.
        opinion: What the teachers say.
        kept: Where it is trusted, bool ``[H, W]``.
        truth: Stored label, ids ``[H, W]``.
        merged: Where the stored label's class is used in place of the teachers', bool ``[H, W]``.
    """
    classes = space.num_classes

    def count(channels: NDArray[Any], weights: NDArray[Any] | None = None) -> NDArray[np.int64]:
        return np.bincount(channels.ravel(), weights, classes + 1)[:classes].astype(np.int64)

    said, sure = opinion.channels.astype(np.int64), opinion.confidence
    counts = {
        "predicted": count(said),
        "kept": count(said[kept]),
        "confidence": count(said, sure.ravel()),
        "kept_confidence": count(said[kept], sure[kept]),
    }
    if truth is not None:
        real = channel_table(space)[truth]
        known = real < classes
        for prefix, where in (("", known), ("kept_", known & kept)):
            counts |= {
                f"{prefix}truth": count(real[where]),
                f"{prefix}judged": count(said[where]),
                f"{prefix}right": count(said[where & (said == real)]),
            }
        if merged is not None:
            counts["merged"] = count(real[merged])
    return Tally(space, counts, said.size, int((~opinion.agreed).sum()), 1)


def _ratio(top: NDArray[np.int64], bottom: NDArray[np.int64] | int) -> list[float | None]:
    pairs = zip(top.tolist(), np.broadcast_to(bottom, top.shape).tolist(), strict=True)
    return [part / whole if whole else None for part, whole in pairs]


def _share(part: int | np.int64, whole: int | np.int64) -> float | None:
    return float(part / whole) if whole else None


def _mean(rows: Iterable[Mapping[str, Any]], column: str) -> float | None:
    values = [row[column] for row in rows if row[column] is not None]
    return sum(values) / len(values) if values else None
