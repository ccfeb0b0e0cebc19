"""Scores that follow from a confusion matrix, each with the protocol it was computed under."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from roadseg.labels import LabelSpace
from roadseg.metrics.confusion import Confusion
from roadseg.metrics.instances import Instances, InstanceScores
from roadseg.metrics.iou import AbsentRule, intersection_over_union, known_or_none, mean_of_known

__all__ = ["Protocol", "Scores", "VoidRule", "scored_channels"]

VoidRule = Literal["ignored", "false-positive"]
"""What a prediction on a pixel without truth counts as. ``ignored`` is the field's standard; ``false-positive`` is what
some CamVid papers (ESPNet among them) report. The difference on CamVid is 1.5 to 4 points of mIoU."""

_ABSENT = {
    "left-out": "classes present in the truth",
    "zero-if-predicted": "classes present in the truth or predicted",
    "zero": "all classes, absent ones as 0",
}


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
        absent: What a class without truth counts as.
        excluded: Classes that are left out of the means; their pixels count as errors of others all the same.
        relabeled: Whether predictions in relabeled classes were scored on the labels before relabeling, by the rule
            of `roadseg.metrics.credit_relabeled`.
    """

    dataset: str = ""
    split: str = ""
    images: int = 0
    space: str = ""
    resolution: str = "stored labels"
    strategy: str = "whole image, single scale, no flip"
    void: VoidRule = "ignored"
    absent: AbsentRule = "left-out"
    excluded: tuple[str, ...] = ()
    relabeled: bool = False

    @property
    def averaged(self) -> str:
        """Which classes the means are over, in words."""
        without = f" without {', '.join(self.excluded)}" if self.excluded else ""
        return _ABSENT[self.absent] + without

    def __str__(self) -> str:
        data = f"{self.dataset} {self.split}".strip()
        relabeled = ", a relabeled model on the original labels" if self.relabeled else ""
        return (
            f"{data}: {self.images} images, {self.space}, at {self.resolution}, {self.strategy}, void truth"
            f" {'ignored' if self.void == 'ignored' else 'counted as false positives'}{relabeled}, mean over"
            f" {self.averaged}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain JSON values, and the whole in words."""
        plain = {**vars(self), "excluded": list(self.excluded)}
        return {**plain, "averaged": self.averaged, "text": str(self)}


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores in 0..1, from one confusion matrix.

    Attributes:
        names: Class names, in channel order.
        iou: ``[C]`` intersection over union; NaN for a class without truth (but see `Protocol.absent`).
        recall: ``[C]`` share of the class's truth that was found; NaN without truth.
        precision: ``[C]`` share of the class's predictions that are right; NaN without predictions.
        pixels: ``[C]`` truth pixels per class.
        miou: Mean IoU over the classes that the protocol averages.
        pixel_accuracy: Right pixels over all pixels with a truth.
        mean_accuracy: Mean recall over the same classes.
        frequency_weighted_iou: IoU weighted by each class's share of the truth.
        protocol: How the scores came about.
        categories: IoU per group of classes; confusions within a group are no errors. Empty where the label space has
            no groups.
        category_miou: Mean over the groups.
        instances: iIoU, where objects were told apart.
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
    categories: dict[str, float]
    category_miou: float
    instances: InstanceScores | None = None

    @classmethod
    def from_confusion(
        cls,
        confusion: Confusion,
        protocol: Protocol | None = None,
        *,
        evaluated: Collection[str] | None = None,
        instances: Instances | None = None,
    ) -> "Scores":
        """Compute the scores; without any truth they are NaN.

        A class that shares the space's ignore id (a void channel) is not scored.

        Args:
            confusion: The counts.
            protocol: How they came about.
            evaluated: The classes that are scored; None for all. The others are like pixels without truth, and where
                they are predicted that is a miss: stored Cityscapes ids are scored so on 19 of their classes.
            instances: Instance-weighted counts of the same images, for iIoU.

        Raises:
            LabelError: The protocol excludes a class that the space does not have.
        """
        protocol = protocol or Protocol(images=confusion.images, space=confusion.space.name)
        space = confusion.space
        classes = scored_channels(space, evaluated)
        counts = confusion.counts[classes]  # truth rows
        true_positive = confusion.counts[classes, classes].astype(np.float64)
        truth = counts.sum(axis=1).astype(np.float64)
        rows = confusion.counts if protocol.void == "false-positive" else counts
        predicted = rows[:, classes].sum(axis=0).astype(np.float64)

        present = truth > 0
        kept = ~np.isin(classes, [space.index(name) for name in protocol.excluded])
        iou = intersection_over_union(true_positive, truth, predicted, protocol.absent)
        recall = _ratio(true_positive, truth, present)
        averaged = np.nan_to_num(recall) if protocol.absent == "zero" else recall
        categories = _categories(space, classes, rows, counts, protocol.absent)
        return cls(
            names=tuple(space.names[channel] for channel in classes),
            iou=iou,
            recall=recall,
            precision=_ratio(true_positive, predicted, predicted > 0),
            pixels=truth.astype(np.int64),
            miou=float(mean_of_known(iou, kept)),
            pixel_accuracy=float(true_positive.sum() / truth.sum()) if present.any() else float("nan"),
            mean_accuracy=float(mean_of_known(averaged, kept)),
            frequency_weighted_iou=(
                float((truth[present] * iou[present]).sum() / truth.sum()) if present.any() else float("nan")
            ),
            protocol=protocol,
            categories=categories,
            category_miou=float(mean_of_known(np.array(list(categories.values()), np.float64))),
            instances=None
            if instances is None
            else instances.scores(confusion, classes, kept, protocol.absent),
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; NaN becomes null."""
        per_class = {
            name: {
                "iou": known_or_none(self.iou[i]),
                "recall": known_or_none(self.recall[i]),
                "precision": known_or_none(self.precision[i]),
                "pixels": int(self.pixels[i]),
            }
            for i, name in enumerate(self.names)
        }
        groups: dict[str, dict[str, float | None]] = {
            name: {"iou": known_or_none(value)} for name, value in self.categories.items()
        }
        result: dict[str, Any] = {
            "miou": known_or_none(self.miou),
            "pixel_accuracy": known_or_none(self.pixel_accuracy),
            "mean_accuracy": known_or_none(self.mean_accuracy),
            "frequency_weighted_iou": known_or_none(self.frequency_weighted_iou),
        }
        if groups:
            result["category_miou"] = known_or_none(self.category_miou)
        if self.instances is not None:
            result |= {
                "iiou": known_or_none(self.instances.miou),
                "category_iiou": known_or_none(self.instances.category_miou),
            }
            for i, name in enumerate(self.names):
                per_class[name]["iiou"] = known_or_none(self.instances.iou[i])
            for name in groups:
                groups[name]["iiou"] = known_or_none(self.instances.categories.get(name, float("nan")))
        result["classes"] = per_class
        if groups:
            result["categories"] = groups
        return {**result, "protocol": self.protocol.to_json()}


def scored_channels(space: LabelSpace, evaluated: Collection[str] | None = None) -> NDArray[np.int64]:
    """Return the channels that are scored: of the evaluated classes, those that do not share the ignore id."""
    return np.array(
        [
            channel
            for channel, item in enumerate(space.classes)
            if item.id != space.ignore and (evaluated is None or item.name in evaluated)
        ],
        dtype=np.int64,
    )


def _categories(
    space: LabelSpace,
    classes: NDArray[np.int64],
    rows: NDArray[np.int64],
    counts: NDArray[np.int64],
    absent: AbsentRule,
) -> dict[str, float]:
    """Return the IoU of every group of scored classes, in the order of the space."""
    groups = np.array([space.classes[channel].group for channel in classes])
    names = [name for name in dict.fromkeys(groups.tolist()) if name]
    found, truth, predicted = np.zeros((3, len(names)))
    for i, name in enumerate(names):
        members = groups == name
        found[i] = counts[members][:, classes[members]].sum()
        truth[i] = counts[members].sum()
        predicted[i] = rows[:, classes[members]].sum()
    iou = intersection_over_union(found, truth, predicted, absent)
    return dict(zip(names, iou.tolist(), strict=True))


def _ratio(
    top: NDArray[np.float64], bottom: NDArray[np.float64], where: NDArray[np.bool_]
) -> NDArray[np.float64]:
    ratio: NDArray[np.float64] = np.full(top.shape, np.nan)
    return np.divide(top, bottom, out=ratio, where=where & (bottom > 0))
