"""Whether a network's probabilities mean what they say: calibration error, reliability, temperature."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadseg.errors import LabelError
from roadseg.labels import LabelSpace
from roadseg.metrics.channels import channels_of
from roadseg.metrics.iou import known_or_none

__all__ = ["Calibration", "CalibrationScores", "pick_pixels"]

BINS = 15
PER_IMAGE = 4096
TEMPERATURES = 2.0 ** (np.arange(-16, 25) / 8)  # 1/4 .. 8, nine percent apart; 1 is among them
_ONE = 16  # where 1 stands
_CONFIDENCE, _RIGHT, _COUNT = 0, 1, 2


@dataclass(frozen=True, eq=False)
class CalibrationScores:
    """How confidence and accuracy agree; NaN without any pixel.

    Attributes:
        ece: Expected calibration error in 0..1: the mean over pixels of the gap between confidence and accuracy of
            their bin.
        temperature: What to divide the logits by for the smallest negative log-likelihood; above 1, the network is too
            sure.
        ece_after: The error with that temperature.
        nll: Mean negative log-likelihood of the true class, in nats, as the network is.
        confidence: ``[bins]`` mean probability of the winning class, as the network is.
        accuracy: ``[bins]`` share of right pixels.
        counts: ``[bins]`` pixels.
    """

    ece: float
    temperature: float
    ece_after: float
    nll: float
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    counts: NDArray[np.int64]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; NaN becomes null."""
        number = len(self.counts)
        bins = [
            {
                "low": i / number,
                "high": (i + 1) / number,
                "confidence": known_or_none(self.confidence[i]),
                "accuracy": known_or_none(self.accuracy[i]),
                "count": int(self.counts[i]),
            }
            for i in range(number)
        ]
        return {
            "ece": known_or_none(self.ece),
            "temperature": known_or_none(self.temperature),
            "ece_after": known_or_none(self.ece_after),
            "nll": known_or_none(self.nll),
            "pixels": int(self.counts.sum()),
            "bins": bins,
        }


@dataclass(eq=False)
class Calibration:
    """Accumulates the expected calibration error and what fits a temperature (Guo et al., ICML 2017).

    Pixels of one image say much the same, so a few thousand of each image, picked by `pick_pixels`, measure the error
    of a data set to a thousandth. What is kept does not grow with their number, and adding is exact in any order: for
    each temperature of a fixed grid, the reliability bins and the derivative of the negative log-likelihood by the
    inverse temperature. That likelihood is convex in the inverse temperature, so the derivative rises through zero
    once, at the best temperature; between the grid's points it is taken as linear (within 0.5 % of the exact one).
    A best temperature outside 1/4 .. 8 is given as the nearer end. The error after fitting is interpolated likewise.

    Attributes:
        space: Label space of the truth; the logits' channels are its classes.
        bins: Bins of equal width in 0..1; a confidence on an edge belongs to the bin below.
        reliability: float64 ``[T, bins, 3]``: sum of confidence, right pixels, and pixels.
        slopes: float64 ``[T]``: summed derivatives of the negative log-likelihood.
        nll: Summed negative log-likelihood at temperature 1, in nats.
        images: Images counted.
    """

    space: LabelSpace
    bins: int = BINS
    reliability: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0, 0)))
    slopes: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(TEMPERATURES)))
    nll: float = 0.0
    images: int = 0

    def __post_init__(self) -> None:
        if self.reliability.size == 0:
            self.reliability = np.zeros((len(TEMPERATURES), self.bins, 3))

    def update(self, truth: NDArray[np.integer], logits: NDArray[np.floating], where: str = "") -> None:
        """Add pixels of one image.

        Args:
            truth: ``[N]`` ids; pixels without truth are left out.
            logits: ``[N, C]`` scores before softmax, or log-probabilities, of any float type.
            where: Names the image in errors.

        Raises:
            LabelError: The shapes do not fit, or an id is neither a class nor the ignore id.
        """
        number = self.space.num_classes
        if truth.ndim != 1 or logits.shape != (len(truth), number):
            raise LabelError(
                f"truth of shape {truth.shape} and logits of shape {logits.shape} do not fit {number} classes",
                where=where or None,
                remedy=f"give [N] and [N, {number}]",
            )
        channels = channels_of(truth, self.space, "truth", where)
        kept = channels < number
        self.images += 1
        self._add(channels[kept].astype(np.intp), logits[kept].astype(np.float32))

    def _add(self, channels: NDArray[np.intp], logits: NDArray[np.float32]) -> None:
        if not len(channels):
            return
        # Log-probabilities of exactly 0 are -inf, which times 0 is no number: so unlikely is unlikely enough.
        scores = np.maximum(logits - logits.max(axis=1, keepdims=True), np.float32(-1e4))
        true = np.take_along_axis(scores, channels[:, None], axis=1)[:, 0]
        right = (scores.argmax(axis=1) == channels).astype(np.float64)
        for i, temperature in enumerate(TEMPERATURES):
            weights = np.exp(scores / np.float32(temperature))
            total = weights.sum(axis=1)
            confidence = 1 / total  # the winner's weight is exp(0)
            expected = np.einsum("nc,nc->n", weights, scores) / total
            self.slopes[i] += float((expected - true).sum(dtype=np.float64))
            if i == _ONE:
                self.nll += float((np.log(total) - true).sum(dtype=np.float64))
            index = np.clip(np.ceil(confidence * self.bins).astype(np.intp) - 1, 0, self.bins - 1)
            for column, values in ((_CONFIDENCE, confidence), (_RIGHT, right), (_COUNT, None)):
                self.reliability[i, :, column] += np.bincount(index, values, self.bins)

    def result(self) -> CalibrationScores:
        """Compute the scores."""
        table = self.reliability[_ONE]
        counts = table[:, _COUNT]
        errors = _errors(self.reliability)
        place = _root(self.slopes) if counts.any() else float("nan")
        inverse = np.interp(place, np.arange(len(TEMPERATURES)), 1 / TEMPERATURES)
        return CalibrationScores(
            ece=float(errors[_ONE]),
            temperature=float(1 / inverse),
            ece_after=float(np.interp(place, np.arange(len(TEMPERATURES)), errors)),
            nll=self.nll / counts.sum() if counts.any() else float("nan"),
            confidence=_shares(table[:, _CONFIDENCE], counts),
            accuracy=_shares(table[:, _RIGHT], counts),
            counts=counts.astype(np.int64),
        )

    def __add__(self, other: "Calibration") -> "Calibration":
        if (self.space, self.bins) != (other.space, other.bins):
            raise LabelError("cannot add calibration counts of different label spaces or bins")
        return Calibration(
            self.space,
            self.bins,
            self.reliability + other.reliability,
            self.slopes + other.slopes,
            self.nll + other.nll,
            self.images + other.images,
        )


def pick_pixels(
    truth: NDArray[np.integer], space: LabelSpace, key: str = "", count: int = PER_IMAGE, seed: int = 0
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pick pixels with a truth, the same ones for the same image whichever process sees it, and in any order.

    Args:
        truth: ``[H, W]`` ids of the space.
        space: The label space, for its ignore id.
        key: What tells the image from others.
        count: How many at most; each pixel once.
        seed: For other picks.

    Returns:
        Rows and columns, ``[N]`` each, in the image's order.
    """
    known = np.flatnonzero(truth != space.ignore)
    if len(known) > count:
        digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
        generator = np.random.default_rng(int.from_bytes(digest[:8], "little"))
        known = known[np.sort(generator.choice(len(known), count, replace=False))]
    rows, columns = np.divmod(known, max(1, truth.shape[1]))
    return rows, columns


def _errors(reliability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the expected calibration error of every temperature; NaN without pixels."""
    gaps = np.abs(reliability[:, :, _CONFIDENCE] - reliability[:, :, _RIGHT]).sum(axis=1)
    return _shares(gaps, reliability[:, :, _COUNT].sum(axis=1))


def _root(slopes: NDArray[np.float64]) -> float:
    """Return where the slopes pass zero, as a place between points; they fall along the points."""
    if slopes[0] <= 0:
        return 0.0
    if slopes[-1] >= 0:
        return float(len(slopes) - 1)
    above = int(np.flatnonzero(slopes >= 0)[-1])
    return above + float(slopes[above] / (slopes[above] - slopes[above + 1]))


def _shares(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = np.full(top.shape, np.nan)
    return np.divide(top, bottom, out=shares, where=bottom > 0)
