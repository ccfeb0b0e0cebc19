"""How well outlines are met: boundary F and boundary IoU per class.

One rule for pixels without truth, here and in the trimap curve: they are taken out of truth and prediction alike, belong to no class, and
make no boundary. (Else the edge of every unlabeled region would be a boundary that each prediction meets for free.)
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadseg.errors import LabelError
from roadseg.labels import LabelSpace
from roadseg.metrics.channels import pair_of
from roadseg.metrics.iou import known_or_none
from roadseg.metrics.neighborhood import bits_within, differs_within, unlike

__all__ = ["Boundary", "BoundaryScores"]

F_RATIO, IOU_RATIO = 0.008, 0.02
_WORD = 64  # classes looked at together, a bit each


@dataclass(frozen=True, eq=False)
class BoundaryScores:
    """Boundary scores in 0..1; NaN for a class without truth.

    Attributes:
        names: Class names, in channel order.
        f: ``[C]`` boundary F, the mean over the images that hold the class in truth or prediction.
        f_pooled: ``[C]`` F of the precision and recall over all images' boundary pixels together.
        precision: ``[C]`` share of predicted boundary pixels near one of the truth, over all images.
        recall: ``[C]`` share of the truth's boundary pixels near a predicted one, over all images.
        iou: ``[C]`` boundary IoU, intersections and unions summed over images.
        radii: Every tolerance of the F measure that was used, in pixels (it follows the image's size).
        widths: Every width of the bands of boundary IoU, in pixels.
    """

    names: tuple[str, ...]
    f: NDArray[np.float64]
    f_pooled: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    iou: NDArray[np.float64]
    radii: tuple[int, ...]
    widths: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; NaN becomes null."""
        return {
            "f": _named(self.names, self.f),
            "f_pooled": _named(self.names, self.f_pooled),
            "precision": _named(self.names, self.precision),
            "recall": _named(self.names, self.recall),
            "iou": _named(self.names, self.iou),
            "radius_px": list(self.radii),
            "band_px": list(self.widths),
        }


@dataclass(eq=False)
class Boundary:
    """Accumulates boundary F (Perazzi et al., DAVIS, CVPR 2016) and boundary IoU (Cheng et al., CVPR 2021).

    *F*: a pixel is on the boundary of a class when it and its neighbor to the right, below, or to the lower right are
    not both in the class or both out of it. A predicted boundary pixel is right when a boundary pixel of the truth lies
    in the disk of radius ``ceil(f_ratio * diagonal)`` around it, and the other way round. In an image with one of the
    two boundaries empty, F is 0; with both empty but the class there, 1.

    *IoU*: of the class's pixels within d = ``max(1, round(iou_ratio * diagonal))`` pixels (chessboard distance, as the
    paper's code erodes) of another class or of the image's edge. The paper takes 2 % of the diagonal; for images as
    large as those of Cityscapes a smaller part is usual.

    Both are exact.

    Attributes:
        space: Label space of truth and prediction.
        f_ratio: Tolerance of F as a share of the image's diagonal.
        iou_ratio: Width of the band of boundary IoU as a share of the diagonal.
        counts: int64 ``[8, C]``: predicted boundary pixels and those met, true boundary pixels and those met;
            pixels in the intersection of bands, in the truth's and in the prediction's band; true pixels.
        sums: float64 ``[2, C]``: sum of F over images, and how many images.
        radii: Radii that were used.
        widths: Band widths that were used.
        images: Images counted.
    """

    space: LabelSpace
    f_ratio: float = F_RATIO
    iou_ratio: float = IOU_RATIO
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros((8, 0), np.int64))
    sums: NDArray[np.float64] = field(default_factory=lambda: np.zeros((2, 0)))
    radii: frozenset[int] = frozenset()
    widths: frozenset[int] = frozenset()
    images: int = 0

    def __post_init__(self) -> None:
        if self.counts.size == 0:
            self.counts = np.zeros((8, self.space.num_classes), np.int64)
            self.sums = np.zeros((2, self.space.num_classes))

    def update(self, truth: NDArray[np.integer], prediction: NDArray[np.integer], where: str = "") -> None:
        """Add one image.

        Args:
            truth: ``[H, W]`` ids of the space, or its ignore id.
            prediction: ``[H, W]`` likewise; the ignore id is "none of the classes".
            where: Names the image in errors.

        Raises:
            LabelError: The shapes differ, or an id is neither a class nor the ignore id.
        """
        wanted, given = pair_of(self.space, truth, prediction, where)
        diagonal = math.hypot(*truth.shape)
        radius, width = math.ceil(self.f_ratio * diagonal), max(1, round(self.iou_ratio * diagonal))
        number = self.space.num_classes
        held = np.stack([_count(wanted, number), _count(given, number)])
        self.counts[7] += held[0]
        self.counts[:4] += self._add_f(wanted, given, held, radius)
        self.counts[4:7] += _bands(wanted, given, width, number)
        self.radii |= {radius}
        self.widths |= {width}
        self.images += 1

    def _add_f(
        self,
        truth: NDArray[np.integer],
        prediction: NDArray[np.integer],
        held: NDArray[np.int64],
        radius: int,
    ) -> NDArray[np.int64]:
        """Count the boundary pixels of one image, ``[4, C]``, and add its F of every class to the sums."""
        counts = np.zeros((4, self.space.num_classes), np.int64)
        present = np.flatnonzero(held.any(axis=0))
        for start in range(0, len(present), _WORD):
            some = present[start : start + _WORD]
            counts[:, some] = _boundary_counts(truth, prediction, some, self.space.num_classes, radius)
        predicted, hit, true, met = counts[:, present]
        precision = np.where(predicted > 0, hit / np.maximum(predicted, 1), 1.0)
        recall = np.where(true > 0, met / np.maximum(true, 1), 1.0)
        precision[(true == 0) & (predicted > 0)] = 0.0
        recall[(predicted == 0) & (true > 0)] = 0.0
        self.sums[0, present] += _harmonic(precision, recall)
        self.sums[1, present] += 1
        return counts

    def result(self) -> BoundaryScores:
        """Compute the scores; NaN for a class without truth."""
        predicted, hit, true, met, both, true_band, predicted_band, pixels = self.counts.astype(np.float64)
        there = pixels > 0
        precision, recall = _ratio(hit, predicted, there), _ratio(met, true, there)
        # A boundary that only one side has is missed or made up altogether.
        pooled = _harmonic(np.nan_to_num(precision), np.nan_to_num(recall))
        return BoundaryScores(
            names=self.space.names,
            f=_ratio(self.sums[0], self.sums[1], there),
            f_pooled=np.where(there & (predicted + true > 0), pooled, np.nan),
            precision=precision,
            recall=recall,
            iou=_ratio(both, true_band + predicted_band - both, there),
            radii=tuple(sorted(self.radii)),
            widths=tuple(sorted(self.widths)),
        )

    def __add__(self, other: "Boundary") -> "Boundary":
        if (self.space, self.f_ratio, self.iou_ratio) != (other.space, other.f_ratio, other.iou_ratio):
            raise LabelError("cannot add boundary counts of different label spaces or ratios")
        return Boundary(
            self.space,
            self.f_ratio,
            self.iou_ratio,
            self.counts + other.counts,
            self.sums + other.sums,
            self.radii | other.radii,
            self.widths | other.widths,
            self.images + other.images,
        )


def _bands(
    truth: NDArray[np.integer], prediction: NDArray[np.integer], width: int, number: int
) -> NDArray[np.int64]:
    """Return pixels per class in both bands, in the truth's and in the prediction's, ``[3, C]``."""
    true = differs_within(truth, width)
    given = differs_within(prediction, width)
    for band in (true, given):
        band[:width] = band[-width:] = True
        band[:, :width] = band[:, -width:] = True
    both = true & given & (truth == prediction)
    return np.stack(
        [_count(truth[both], number), _count(truth[true], number), _count(prediction[given], number)]
    )


def _boundary_counts(
    truth: NDArray[np.integer],
    prediction: NDArray[np.integer],
    some: NDArray[np.intp],
    number: int,
    radius: int,
) -> NDArray[np.int64]:
    """Return predicted boundary pixels, those met, true ones, those met, of some classes: ``[4, len(some)]``."""
    kind = np.uint32 if len(some) <= 32 else np.uint64
    bits = np.zeros(number + 2, kind)
    bits[some + 1] = [1 << i for i in range(len(some))]
    fields = [_boundary_bits(labels, bits) for labels in (prediction, truth)]
    rows = []
    for mine, other in (fields, fields[::-1]):
        at = np.flatnonzero(mine)
        wanted = mine.reshape(-1)[at]
        met = bits_within(other, at, wanted, radius)
        rows += [[np.count_nonzero(values & bit) for bit in bits[some + 1]] for values in (wanted, met)]
    return np.array(rows, np.int64)


def _boundary_bits(labels: NDArray[np.integer], bits: NDArray[Any]) -> NDArray[Any]:
    """Return a bit per class whose boundary a pixel is on, by its neighbors right, below and lower right."""
    field_ = np.zeros(labels.shape, bits.dtype)
    for here, there in (
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[:-1], np.s_[1:]),
        (np.s_[:-1, :-1], np.s_[1:, 1:]),
    ):
        at = np.nonzero(unlike(labels[here], labels[there]))
        field_[here][at] |= bits[labels[here][at]] | bits[labels[there][at]]
    return field_


def _count(labels: NDArray[np.integer], number: int) -> NDArray[np.int64]:
    """Count shifted labels per class; what is no class is left out."""
    return np.bincount(labels.reshape(-1), minlength=number + 2)[1 : number + 1].astype(np.int64)


def _ratio(top: NDArray[Any], bottom: NDArray[Any], where: NDArray[np.bool_]) -> NDArray[np.float64]:
    ratio: NDArray[np.float64] = np.full(np.shape(top), np.nan)
    np.divide(top, bottom, out=ratio, where=where & (bottom > 0))
    return ratio


def _harmonic(precision: NDArray[np.float64], recall: NDArray[np.float64]) -> NDArray[np.float64]:
    total = precision + recall
    mean: NDArray[np.float64] = np.zeros_like(total)
    return np.divide(2 * precision * recall, total, out=mean, where=total > 0)


def _named(names: tuple[str, ...], values: NDArray[np.float64]) -> dict[str, float | None]:
    known = values[np.isfinite(values)]
    mean = float(known.mean()) if known.size else None
    return {**{name: known_or_none(value) for name, value in zip(names, values, strict=True)}, "mean": mean}
