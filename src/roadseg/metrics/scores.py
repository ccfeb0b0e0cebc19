"""Scores that follow from a confusion matrix, each with the protocol it was computed under."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from roadseg.metrics.confusion import Confusion

__all__ = ["Protocol", "Scores", "VoidRule"]

VoidRule = Literal["ignored", "false-positive"]
"""What a prediction on a pixel without truth counts as. ``ignored`` is the field's standard; ``false-positive`` is what
some CamVid papers (ESPNet among them) report. The difference on CamVid is 1.5 to 4 points of mIoU."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How a score came about. Two scores with different protocols must not be compared.

    Attributes:
        dataset: Name of the data set.
        split: Its split.
        images: Number of images scored.
        space: Label space scored in.
        resolution: Where truth and prediction met, for example ``stored labels``.
        strategy: How the network was run, for example ``whole image, single scale, no flip``.
        void: What predictions on pixels without truth count as.
        averaged: Which classes the mean is over.
    """

    dataset: str = ""
    split: str = ""
    images: int = 0
    space: str = ""
    resolution: str = "stored labels"
    strategy: str = "whole image, single scale, no flip"
    void: VoidRule = "ignored"
    averaged: str = "classes present in the truth"

    def __str__(self) -> str:
        data = f"{self.dataset} {self.split}".strip()
        return (
            f"{data}: {self.images} images, {self.space}, at {self.resolution}, {self.strategy}, void truth"
            f" {'ignored' if self.void == 'ignored' else 'counted as false positives'}, mean over {self.averaged}"
        )


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores in 0..1, from one confusion matrix.

    Attributes:
        names: Class names, in channel order.
        iou: ``[C]`` intersection over union; NaN for a class without truth.
        recall: ``[C]`` share of the class's truth that was found; NaN without truth.
        precision: ``[C]`` share of the class's predictions that are right; NaN without predictions.
        pixels: ``[C]`` truth pixels per class.
        miou: Mean IoU over the classes present in the truth.
        pixel_accuracy: Right pixels over all pixels with a truth.
        mean_accuracy: Mean recall over the classes present in the truth.
        frequency_weighted_iou: IoU weighted by each class's share of the truth.
        protocol: How the scores came about.
    """

    names: tuple[str, ...]
    iou: NDArray[np.float64]
    recall: NDArray[np.float64]
    precision: NDArray[np.float64]
    pixels: NDArray[np.int64]
    miou: float
    pixel_accuracy: float
    mean_accuracy: float
    frequency_weighted_iou: float
    protocol: Protocol

    @classmethod
    def from_confusion(cls, confusion: Confusion, protocol: Protocol | None = None) -> "Scores":
        """Compute the scores; without any truth they are NaN.

        A class that shares the space's ignore id (a void channel) is not scored.
        """
        protocol = protocol or Protocol(images=confusion.images, space=confusion.space.name)
        space = confusion.space
        scored = [channel for channel, class_id in enumerate(space.ids) if class_id != space.ignore]
        classes = np.array(scored, dtype=np.int64)
        counts = confusion.counts[:-1][classes]  # truth rows
        true_positive = confusion.counts[classes, classes].astype(np.float64)
        truth = counts.sum(axis=1).astype(np.float64)
        rows = confusion.counts if protocol.void == "false-positive" else confusion.counts[:-1]
        predicted = rows[:, classes].sum(axis=0).astype(np.float64)

        present = truth > 0
        iou = _ratio(true_positive, truth + predicted - true_positive, present)
        recall = _ratio(true_positive, truth, present)
        return cls(
            names=tuple(space.names[channel] for channel in scored),
            iou=iou,
            recall=recall,
            precision=_ratio(true_positive, predicted, predicted > 0),
            pixels=truth.astype(np.int64),
            miou=_mean(iou[present]),
            pixel_accuracy=float(true_positive.sum() / truth.sum()) if present.any() else float("nan"),
            mean_accuracy=_mean(recall[present]),
            frequency_weighted_iou=(
                float((truth[present] * iou[present]).sum() / truth.sum()) if present.any() else float("nan")
            ),
            protocol=protocol,
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; NaN becomes null."""
        per_class = {
            name: {
                "iou": _json(self.iou[i]),
                "recall": _json(self.recall[i]),
                "precision": _json(self.precision[i]),
                "pixels": int(self.pixels[i]),
            }
            for i, name in enumerate(self.names)
        }
        return {
            "miou": _json(self.miou),
            "pixel_accuracy": _json(self.pixel_accuracy),
            "mean_accuracy": _json(self.mean_accuracy),
            "frequency_weighted_iou": _json(self.frequency_weighted_iou),
            "classes": per_class,
            "protocol": {**vars(self.protocol), "text": str(self.protocol)},
        }


def _ratio(
    top: NDArray[np.float64], bottom: NDArray[np.float64], where: NDArray[np.bool_]
) -> NDArray[np.float64]:
    ratio: NDArray[np.float64] = np.full(top.shape, np.nan)
    return np.divide(top, bottom, out=ratio, where=where & (bottom > 0))


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else float("nan")


def _json(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
