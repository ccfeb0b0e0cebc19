"""How right the pixels near boundaries are: the trimap curve."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadseg.errors import LabelError
from roadseg.labels import LabelSpace
from roadseg.metrics.channels import pair_of
from roadseg.metrics.iou import known_or_none
from roadseg.metrics.neighborhood import squared_distance, unlike

__all__ = ["Trimap", "TrimapCurve"]

WIDTH = 20


@dataclass(frozen=True, eq=False)
class TrimapCurve:
    """Scores near the truth's boundaries, in 0..1; NaN where no pixel is.

    Attributes:
        widths: Distances in pixels, ascending.
        miou: ``[W]`` mean IoU over the pixels up to that far from a boundary, and the classes there.
        accuracy: ``[W]`` share of right pixels among them.
        pixels: ``[W]`` how many there are.
    """

    widths: tuple[int, ...]
    miou: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    pixels: NDArray[np.int64]

    def to_json(self) -> list[dict[str, Any]]:
        """Return a plain row per width; NaN becomes null."""
        rows = zip(self.widths, self.miou, self.accuracy, self.pixels, strict=True)
        return [
            {
                "width": width,
                "miou": known_or_none(miou),
                "accuracy": known_or_none(accuracy),
                "pixels": int(pixels),
            }
            for width, miou, accuracy, pixels in rows
        ]


@dataclass(eq=False)
class Trimap:
    """Accumulates accuracy and mean IoU within w pixels of the truth's boundaries (Kohli et al., IJCV 2009, 4.2).

    The boundary runs between two neighboring pixels (beside or below each other) of different classes, half a pixel
    from the centers of both. Width w takes the pixels whose center is within w - 1/2 of such a center, that is within
    about w of the boundary: w = 1 is the two rows of pixels along it. Distances are Euclidean and exact.

    Attributes:
        space: Label space of truth and prediction.
        width: The largest width; all from 1 on are measured.
        counts: int64 ``[width, C, C + 1]``: truth against prediction of pixels first taken by each width.
        images: Images counted.
    """

    space: LabelSpace
    width: int = WIDTH
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 0, 0), np.int64))
    images: int = 0

    def __post_init__(self) -> None:
        if self.counts.size == 0:
            number = self.space.num_classes
            self.counts = np.zeros((self.width, number, number + 1), np.int64)

    def update(self, truth: NDArray[np.integer], prediction: NDArray[np.integer], where: str = "") -> None:
        """Add one image; arguments and errors as of `Boundary.update`."""
        wanted, given = pair_of(self.space, truth, prediction, where)
        self.images += 1
        edges = np.zeros(wanted.shape, bool)
        for here, there in (
            (np.s_[:, :-1], np.s_[:, 1:]),
            (np.s_[:-1], np.s_[1:]),
        ):
            differs = unlike(wanted[here], wanted[there])
            edges[here] |= differs
            edges[there] |= differs
        if not edges.any():
            return
        squared = squared_distance(edges, self.width)
        first = np.arange(1, self.width + 1)
        # d <= w - 1/2 for whole squares d^2 is d^2 <= w^2 - w.
        level = np.searchsorted(first * first - first, np.arange(self.width * self.width))
        level = np.append(level, self.width)
        taken = np.flatnonzero((squared <= self.width * self.width - self.width) & (wanted > 0))
        at = level[squared.reshape(-1)[taken]]
        rows, columns = (
            wanted.reshape(-1)[taken].astype(np.intp) - 1,
            given.reshape(-1)[taken].astype(np.intp) - 1,
        )
        shape = self.counts.shape
        flat = (at * shape[1] + rows) * shape[2] + columns
        self.counts += np.bincount(flat, minlength=self.counts.size).reshape(shape)

    def result(self) -> TrimapCurve:
        """Compute the curve."""
        inside = np.cumsum(self.counts, axis=0)
        right = np.einsum("wcc->wc", inside[:, :, :-1]).astype(np.float64)
        true, predicted = inside.sum(axis=2), inside[:, :, :-1].sum(axis=1)
        iou = _ratio(right, true + predicted - right, true > 0)
        known = np.isfinite(iou)
        seen = np.asarray(known.any(axis=1))
        return TrimapCurve(
            widths=tuple(range(1, self.width + 1)),
            miou=_ratio(np.nansum(iou, axis=1), known.sum(axis=1), seen),
            accuracy=_ratio(right.sum(axis=1), true.sum(axis=1), seen),
            pixels=true.sum(axis=1),
        )

    def __add__(self, other: "Trimap") -> "Trimap":
        if (self.space, self.width) != (other.space, other.width):
            raise LabelError("cannot add trimap counts of different label spaces or widths")
        return Trimap(self.space, self.width, self.counts + other.counts, self.images + other.images)


def _ratio(top: NDArray[Any], bottom: NDArray[Any], where: NDArray[np.bool_]) -> NDArray[np.float64]:
    ratio: NDArray[np.float64] = np.full(np.shape(top), np.nan)
    np.divide(top, bottom, out=ratio, where=where & (bottom > 0))
    return ratio
