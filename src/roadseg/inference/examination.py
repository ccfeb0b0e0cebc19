"""Everything that a score can be asked about, counted in one pass over a split."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from roadseg.data import Source
from roadseg.errors import DataError, LabelError
from roadseg.inference.evaluation import Judged, judge
from roadseg.inference.predictor import Predictor, probability_rows
from roadseg.media import read_mask
from roadseg.metrics import Boundary, Calibration, Confusion, ImageCounts, Instances, Protocol, Trimap
from roadseg.metrics.calibration import pick_pixels

__all__ = ["Aspect", "Findings", "ImageNote", "examine"]

Aspect = Literal["boundary", "trimap", "calibration"]
"""What costs extra time and is counted on request."""

_Counter = TypeVar("_Counter", Instances, Boundary, Trimap, Calibration)


class ImageNote(NamedTuple):
    """What is kept of one image.

    Attributes:
        position: Of the image in the split.
        key: The record's key.
        image: Its path.
        label: Its label's path.
        counts: int64 ``[4, C]``, see `roadseg.metrics.ImageCounts`.
    """

    position: int
    key: str
    image: str
    label: str
    counts: NDArray[np.int64]


@dataclass(eq=False)
class Findings:
    """Counts that scores follow from; those of several processes add up.

    Attributes:
        confusion: Truth against prediction.
        images: A note per image.
        instances: Weighted pixels of objects, where the data set tells objects apart.
        boundary: Outlines, on request.
        trimap: Pixels near outlines, on request.
        calibration: Confidence against accuracy, on request.
    """

    confusion: Confusion
    images: list[ImageNote] = field(default_factory=list)
    instances: Instances | None = None
    boundary: Boundary | None = None
    trimap: Trimap | None = None
    calibration: Calibration | None = None

    def __add__(self, other: "Findings") -> "Findings":
        return Findings(
            self.confusion + other.confusion,
            sorted(self.images + other.images, key=lambda note: note.position),
            _sum(self.instances, other.instances),
            _sum(self.boundary, other.boundary),
            _sum(self.trimap, other.trimap),
            _sum(self.calibration, other.calibration),
        )

    @property
    def counts(self) -> ImageCounts:
        """Counts per image, in the order of the split."""
        return ImageCounts.stack(self.confusion.space, [(note.key, note.counts) for note in self.images])

    def table(self, protocol: Protocol) -> list[dict[str, Any]]:
        """Return a row per image: key, paths, mIoU over its classes, accuracy, labeled pixels."""
        rows = zip(self.images, self.counts.table(protocol), strict=True)
        return [{"key": note.key, "image": note.image, "label": note.label, **row} for note, row in rows]


def examine(
    predictor: Predictor,
    source: Source,
    split: str,
    *,
    aspects: tuple[Aspect, ...] = (),
    original: Source | None = None,
    rank: int = 0,
    world: int = 1,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Findings:
    """Count truth against prediction over a split, in every respect that is asked for.

    Objects are counted where every record of the split has a file of them and the label spaces tell them apart.

    Args:
        predictor: What is scored.
        source: The data set.
        split: Its split.
        aspects: What else to count.
        original: The same images with their labels before relabeling, see `judge`.
        rank: This process; it takes every world-th image, without padding.
        world: Number of processes. The sum of their findings is that of one process.
        workers: Loader processes.
        progress: Called with (images done, images in this process's share).

    Raises:
        DataError: Files of one image differ in size, or the original labels are of other images.
        InputError: A file cannot be read.
        LabelError: A file holds an unknown id, the label spaces have nothing in common, or calibration is asked for
            of a network whose classes are not those of the data set.
    """
    findings = _start(predictor, source, split, aspects, original)
    items = judge(
        predictor,
        source,
        split,
        rank=rank,
        world=world,
        workers=workers,
        progress=progress,
        original=original,
    )
    for item in items:
        _add(findings, item)
    return findings


def _start(
    predictor: Predictor,
    source: Source,
    split: str,
    aspects: tuple[Aspect, ...],
    original: Source | None,
) -> Findings:
    space = source.target
    if "calibration" in aspects and predictor.space != space:
        raise LabelError(
            f"the network has probabilities for {predictor.space.name}, not for {space.name}",
            where="calibration",
            remedy="score in the network's own label space, or sum probabilities: --translate scores",
        )
    instances = Instances(source.label_map)
    # A relabeled model is scored by what its labels would have been: objects have no part in that rule.
    told_apart = original is None and all(record.instances is not None for record in source.find(split))
    return Findings(
        Confusion(space),
        instances=instances if told_apart and instances.any_class else None,
        boundary=Boundary(space) if "boundary" in aspects else None,
        trimap=Trimap(space) if "trimap" in aspects else None,
        calibration=Calibration(space) if "calibration" in aspects else None,
    )


def _add(findings: Findings, item: Judged) -> None:
    """Count one image."""
    record, truth, prediction = item.record, item.truth, item.prediction
    image = Confusion(findings.confusion.space)
    image.update(truth, prediction, where=record.key)
    findings.confusion += image
    findings.images.append(
        ImageNote(
            item.position, record.key, str(record.image), str(record.label), ImageCounts.of_image(image)
        )
    )
    if findings.instances is not None and record.instances is not None:
        objects = read_mask(record.instances)
        if objects.shape != truth.shape:
            sizes = " but its label is ".join("x".join(map(str, a.shape[1::-1])) for a in (objects, truth))
            raise DataError(
                f"is {sizes}", where=record.instances, remedy="it needs the size and form of the label file"
            )
        findings.instances.update(objects, prediction, where=str(record.instances))
    if findings.boundary is not None:
        findings.boundary.update(truth, prediction, where=record.key)
    if findings.trimap is not None:
        findings.trimap.update(truth, prediction, where=record.key)
    if findings.calibration is not None:
        rows, columns = pick_pixels(truth, findings.confusion.space, record.key)
        logits = _log_probabilities(item, rows, columns)
        findings.calibration.update(truth[rows, columns], logits, where=record.key)


def _log_probabilities(
    item: Judged, rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Return the logarithms of all classes' probabilities at some pixels, in their order from the top: ``[N, C]``."""
    found = []
    size = (item.truth.shape[0], item.truth.shape[1])
    for top, chances in probability_rows(item.scores, item.seen, size):
        here = (rows >= top) & (rows < top + chances.shape[2])
        y, x = (torch.from_numpy(place[here]).to(chances.device) for place in (rows - top, columns))
        found.append(chances[0][:, y, x].T.log().float().cpu().numpy())
    return np.concatenate(found)


def _sum(first: _Counter | None, second: _Counter | None) -> _Counter | None:
    return None if first is None or second is None else first + second
