"""Intersection over union from pixel counts, and what becomes of a class that is absent."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["AbsentRule", "intersection_over_union", "known_or_none", "mean_of_known"]

AbsentRule = Literal["left-out", "zero-if-predicted", "zero"]
"""What the IoU of a class without truth is. ``left-out``: it has none, and the mean is over the others.
``zero-if-predicted``: 0 where the class was predicted, else none, as the evaluation of Cityscapes does. ``zero``: 0, as
that of MSeg does, which also averages classes that no label of a test set can have."""


def intersection_over_union(
    found: NDArray[Any], truth: NDArray[Any], predicted: NDArray[Any], absent: AbsentRule = "left-out"
) -> NDArray[np.float64]:
    """Return IoU per class, NaN for a class that has none.

    Args:
        found: ``[..., C]`` pixels of a class that were predicted as such; may be weighted.
        truth: ``[..., C]`` its pixels in the truth.
        predicted: ``[..., C]`` its pixels in the prediction.
        absent: What a class without truth gets.
    """
    union = np.asarray(truth + predicted - found, dtype=np.float64)
    there = truth > 0 if absent == "left-out" else union > 0
    iou: NDArray[np.float64] = np.full(union.shape, 0.0 if absent == "zero" else np.nan)
    np.divide(found, union, out=iou, where=there & (union > 0))
    return iou


def mean_of_known(values: NDArray[np.float64], kept: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Return the mean over the last axis without NaN; NaN where nothing is left.

    Args:
        values: ``[..., C]``.
        kept: ``[C]`` which classes the mean is over; None for all.
    """
    known = np.isfinite(values) if kept is None else np.isfinite(values) & kept
    number = known.sum(axis=-1)
    total = np.where(known, values, 0.0).sum(axis=-1)
    mean: NDArray[np.float64] = np.full(np.shape(total), np.nan)
    np.divide(total, number, out=mean, where=number > 0)
    return mean


def known_or_none(value: float) -> float | None:
    """Return a score as JSON can hold it: NaN, for one that is not known, becomes null."""
    return None if np.isnan(value) else float(value)
