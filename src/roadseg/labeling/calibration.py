"""Thresholds by calibration: from which confidence on are so many of a class's labels right?

On a labeled split, pixels are counted by predicted class, by the 256 steps of confidence, and by whether they are right:
2 x 256 numbers for a class, however large the split. The precision above a confidence follows from sums of these.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from roadseg.data import Record, Source
from roadseg.data.class_centers import channel_table
from roadseg.data.thresholds import LEVELS, Thresholds, threshold_of
from roadseg.errors import DataError, LabelError
from roadseg.inference.pipeline import Shard
from roadseg.labeling.agreement import Opinion, Teachers
from roadseg.labeling.trust import Trust
from roadseg.labels import LabelSpace
from roadseg.media import read_image

__all__ = ["Calibrated", "ConfidenceCounts", "calibrate", "check_sizes"]

WRONG, RIGHT = 0, 1
FEW = 0.01  # share of a class's labels below which a threshold rests on too little to hold for other pictures


class Calibrated(NamedTuple):
    """Thresholds, and what is to be said about them.

    Attributes:
        thresholds: Infinity for classes that never reach the precision.
        notes: What each class's threshold gives, by name.
        warnings: Why classes were removed, in sentences.
    """

    thresholds: Thresholds
    notes: Mapping[str, str]
    warnings: tuple[str, ...]


@dataclass(eq=False)
class ConfidenceCounts:
    """Pixels by predicted class, confidence, and whether they are right; those of several processes add up.

    Attributes:
        space: The label space.
        counts: int64 ``[C, 256, 2]``: pixels of a predicted class and a step of confidence, wrong and right ones.
        truth: int64 ``[C]``: pixels of each class in the truth.
        pictures: Number of pictures.
    """

    space: LabelSpace
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, LEVELS, 2), dtype=np.int64))
    truth: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    pictures: int = 0

    def __post_init__(self) -> None:
        """Start from nothing where no counts are given."""
        if not len(self.counts):
            self.counts = np.zeros((self.space.num_classes, LEVELS, 2), dtype=np.int64)
            self.truth = np.zeros(self.space.num_classes, dtype=np.int64)

    def update(self, opinion: Opinion, places: NDArray[np.bool_], truth: NDArray[Any]) -> None:
        """Count a picture.

        Args:
            opinion: What the teachers say.
            places: Where it may be used, bool ``[H, W]``.
            truth: Ids of the space, ``[H, W]``; pixels without truth do not count.
        """
        classes = self.space.num_classes
        real = channel_table(self.space)[truth]
        self.truth += np.bincount(real.ravel(), minlength=classes + 1)[:classes]
        judged = places & (real < classes)
        said = opinion.channels[judged].astype(np.int64)
        cell = (said * LEVELS + opinion.confidence[judged]) * 2 + (said == real[judged])
        self.counts += np.bincount(cell, minlength=self.counts.size).reshape(self.counts.shape)
        self.pictures += 1

    def __add__(self, other: "ConfidenceCounts") -> "ConfidenceCounts":
        return ConfidenceCounts(
            self.space, self.counts + other.counts, self.truth + other.truth, self.pictures + other.pictures
        )

    def above(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return right and all pixels at or above each step of confidence, int64 ``[C, 256]`` each."""
        from_top = self.counts[:, ::-1].cumsum(1)[:, ::-1]
        return from_top[..., RIGHT], from_top.sum(2)

    def calibrated(self, precision: float, where: str = "the labels") -> Calibrated:
        """Return for each class the smallest threshold above which its precision is reached.

        Higher precisions never give lower thresholds.

        Args:
            precision: Share of a class's trusted pixels that are to be right, 0..1.
            where: What was counted, for the sentences.
        """
        right, total = self.above()
        values, notes, warnings = [], {}, []
        for channel, name in enumerate(self.space.names):
            enough = (total[channel] > 0) & (right[channel] >= precision * total[channel])
            level = int(enough.argmax()) if enough.any() else LEVELS
            values.append(threshold_of(level))
            if level < LEVELS:
                correct = right[channel, level] / total[channel, level]
                kept = total[channel, level] / total[channel, 0]
                notes[name] = f"{correct:.1%} right, {kept:.1%} kept"
                if kept < FEW:
                    warnings.append(f"hardly any pixel of {name} is trusted: {notes[name]} (on {where})")
            else:
                notes[name] = self._reason(channel, right[channel], total[channel])
                warnings.append(f"no pixel of {name} is trusted: {notes[name]} (on {where})")
        return Calibrated(Thresholds(self.space, tuple(values)), notes, tuple(warnings))

    def _reason(self, channel: int, right: NDArray[np.int64], total: NDArray[np.int64]) -> str:
        """Say why a class has no threshold."""
        if not total[0]:
            return (
                "it is never predicted"
                if self.truth[channel]
                else "it does not occur, in truth or prediction"
            )
        if not self.truth[channel]:
            return "it does not occur in the truth, so that all its labels are wrong"
        shares = np.where(total > 0, right / np.maximum(total, 1), 0)
        return f"at most {shares.max():.1%} of its labels are right, whatever their confidence"

    def to_json(self) -> dict[str, Any]:
        """Return the counts as plain JSON values."""
        return {
            "space": self.space.to_json(),
            "pictures": self.pictures,
            "truth": self.truth.tolist(),
            "wrong": self.counts[..., WRONG].tolist(),
            "right": self.counts[..., RIGHT].tolist(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` returned; raises ``KeyError``, ``TypeError`` or ``ValueError`` on anything else."""
        counts = np.stack([np.array(data["wrong"]), np.array(data["right"])], axis=2).astype(np.int64)
        space = LabelSpace.from_json(data["space"])
        if counts.shape != (space.num_classes, LEVELS, 2):
            raise ValueError(f"counts of shape {counts.shape}")
        return cls(space, counts, np.array(data["truth"], dtype=np.int64), int(data["pictures"]))


def calibrate(
    teachers: Teachers,
    source: Source,
    split: str = "val",
    *,
    trust: Trust | None = None,
    shard: Shard | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ConfidenceCounts:
    """Count on a labeled split how often confidence is right.

    Only pixels count that ``trust`` would use: a precision is that of the labels which are written.

    Args:
        teachers: The networks.
        source: The labeled data set; its labels are translated to the teachers' label space.
        split: Its split.
        trust: The rules that do not look at confidence.
        shard: This process's share; the counts are those of all processes.
        progress: Called with (pictures done, pictures of this process).

    Raises:
        DataError: There are no labels, or one has another size than its picture.
        LabelError: No map leads from the labels of the data set to those of the teachers.
        InputError: A picture or label cannot be read.
    """
    shard, trust = shard or Shard(), trust or Trust()
    labeled = _in_space(source, teachers.space)
    records = labeled.find(split)
    if unlabeled := [record for record in records if record.label is None]:
        raise DataError(
            f"split {split!r} has no labels ({len(unlabeled)} of {len(records)} pictures have none)",
            where=source.root,
            remedy="calibrate on a labeled split that the networks were not trained on",
        )
    share = shard.of(records)
    counts = ConfidenceCounts(teachers.space)
    for done, (opinion, truth) in enumerate(_judged(teachers, labeled, share), start=1):
        counts.update(opinion, trust.places(opinion), truth)
        if progress is not None:
            progress(done, len(share))
    first, *others = shard.gather(counts)
    total: ConfidenceCounts = first
    for one in others:
        total += one
    return total


def _judged(
    teachers: Teachers, source: Source, records: list[Record]
) -> Iterator[tuple[Opinion, NDArray[Any]]]:
    for record in records:
        opinion, truth = teachers(read_image(record.image)), source.read_label(record)
        check_sizes(record, opinion, truth)
        yield opinion, truth


def check_sizes(record: Record, opinion: Opinion, truth: NDArray[Any]) -> None:
    """Raise a `DataError` unless a picture and its stored label have one size."""
    if truth.shape != opinion.channels.shape:
        sizes = [f"{shape[1]}x{shape[0]}" for shape in (truth.shape, opinion.channels.shape)]
        raise DataError(
            f"the label is {sizes[0]} pixels, its picture {sizes[1]}",
            where=record.label,
            remedy="give labels of the size of the picture",
        )


def _in_space(source: Source, space: LabelSpace) -> Source:
    try:
        return source.to(space)
    except LabelError as error:
        raise LabelError(
            f"has the label space {source.target.name}, which no map leads from to {space.name}",
            where=source.root,
            remedy="calibrate on data of the teachers' classes",
        ) from error
