"""Score a `Predictor` on a labeled split, at the resolution of the stored labels."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Subset

from roadseg.data import Record, RoadDataset, Source
from roadseg.errors import DataError
from roadseg.inference.predictor import Predictor, decode_scores, label_ids
from roadseg.inference.strategies import ScoreMap, ScoreSum, has_own_size
from roadseg.labels import LabelMap, label_map
from roadseg.metrics import AbsentRule, Confusion, Protocol, VoidRule, credit_relabeled

__all__ = ["Judged", "evaluate", "judge", "protocol_of"]


class Judged(NamedTuple):
    """One image with its truth and what a network made of it.

    Attributes:
        position: Of the image in the split.
        record: Where the image came from.
        scores: What the strategy gave.
        seen: Height and width of the image as the strategy saw it.
        truth: ``[H, W]`` ids of the data set's label space.
        prediction: ``[H, W]`` likewise.
    """

    position: int
    record: Record
    scores: ScoreMap | ScoreSum
    seen: tuple[int, int]
    truth: NDArray[Any]
    prediction: NDArray[Any]


def evaluate(
    predictor: Predictor,
    source: Source,
    split: str,
    *,
    rank: int = 0,
    world: int = 1,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Confusion:
    """Count truth against prediction over a split; `roadseg.inference.examine` finds out more.

    Predictions are made at the stored label's size and translated to the data set's label space. Every image counts
    once: process ``rank`` of ``world`` takes every world-th image, without padding; the caller sums the counts.

    Args:
        predictor: What is scored.
        source: The data set.
        split: Its split.
        rank: This process.
        world: Number of processes.
        workers: Loader processes.
        progress: Called with (images done, images in this process's share).

    Raises:
        InputError: An image or label cannot be read.
        LabelError: A label holds an unknown id, or the two label spaces have nothing in common.
    """
    confusion = Confusion(source.target)
    for item in judge(predictor, source, split, rank=rank, world=world, workers=workers, progress=progress):
        confusion.update(item.truth, item.prediction, where=item.record.key)
    return confusion


def judge(
    predictor: Predictor,
    source: Source,
    split: str,
    *,
    rank: int = 0,
    world: int = 1,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
    original: Source | None = None,
) -> Iterator[Judged]:
    """Yield every image of this process's share of a split with its truth and its prediction.

    Args:
        predictor: As for `evaluate`, like the other arguments.
        source: The data set.
        split: Its split.
        rank: This process.
        world: Number of processes.
        workers: Loader processes.
        progress: Called with (images done, images in this process's share), once an image has been used.
        original: The same images with the labels they had before relabeling: predictions are credited by
            `roadseg.metrics.credit_relabeled`.

    Raises:
        DataError: The original labels are of other images, or sizes differ.
        InputError: An image or label cannot be read.
        LabelError: A label holds an unknown id, or the two label spaces have nothing in common.
    """
    dataset = RoadDataset(source, split)
    indices = range(rank, len(dataset), world)
    translate = label_map(predictor.space, source.target)
    before = None if original is None else _Originals(original, split, source, dataset)
    loader = DataLoader(Subset(dataset, indices), batch_size=None, num_workers=workers)
    for done, (index, sample) in enumerate(zip(indices, loader, strict=True), start=1):
        truth: NDArray[Any] = sample.mask.numpy()
        size = (truth.shape[0], truth.shape[1])
        scores, seen = predictor.scores(sample.image[None])
        prediction = label_ids(decode_scores(scores, seen, size).labels[0], predictor.space)
        if not translate.is_identity:
            prediction = translate.relabel(prediction)
        record = dataset.records[index]
        if before is not None:
            prediction, truth = credit_relabeled(
                prediction, truth, before.read(record), source.target, str(record.label)
            )
        yield Judged(index, record, scores, seen, truth, prediction)
        if progress is not None:
            progress(done, len(indices))


class _Originals:
    """The labels before relabeling, by the keys of the relabeled data set, in its label space."""

    def __init__(self, original: Source, split: str, source: Source, dataset: RoadDataset) -> None:
        self.source = original
        self.records = {record.key: record for record in original.find(split)}
        self.translate: LabelMap = label_map(original.target, source.target)
        if missing := [record.key for record in dataset.records if record.key not in self.records]:
            raise DataError(
                f"has no {missing[0]} in split {split!r}, which the relabeled data set has",
                where=original.root,
                remedy="give the same images with their labels before relabeling",
            )

    def read(self, record: Record) -> NDArray[np.integer]:
        found: NDArray[np.integer] = self.translate.relabel(self.source.read_label(self.records[record.key]))
        return found


def protocol_of(
    predictor: Predictor,
    source: Source,
    split: str,
    confusion: Confusion,
    void: VoidRule = "ignored",
    *,
    absent: AbsentRule = "left-out",
    excluded: tuple[str, ...] = (),
    relabeled: bool = False,
) -> Protocol:
    """Return the protocol of scores from `evaluate`.

    Args:
        predictor: What was scored.
        source: The data set.
        split: Its split.
        confusion: What was counted.
        void: What predictions on pixels without truth count as.
        absent: What a class without truth counts as.
        excluded: Classes that are left out of the means.
        relabeled: Whether the truth were labels before relabeling.
    """
    spec = predictor.card.preprocess
    seen = "stored labels"
    if has_own_size(predictor.strategy):
        pass  # which its words say
    elif spec.size is not None:
        seen += f", network input {spec.size[1]}x{spec.size[0]}"
    elif spec.short_side is not None:
        seen += f", network input with a short side of {spec.short_side}"
    return Protocol(
        dataset=source.name,
        split=split,
        images=confusion.images,
        space=confusion.space.name,
        resolution=seen,
        strategy=predictor.strategy.describe(),
        void=void,
        absent=absent,
        excluded=excluded,
        relabeled=relabeled,
    )
