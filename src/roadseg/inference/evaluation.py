"""Score a `Predictor` on a labeled split, at the resolution of the stored labels."""

from collections.abc import Callable

from torch.utils.data import DataLoader, Subset

from roadseg.data import RoadDataset, Source
from roadseg.inference.predictor import Predictor
from roadseg.labels import label_map
from roadseg.metrics import Confusion, Protocol, VoidRule

__all__ = ["evaluate", "protocol_of"]


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
    """Count truth against prediction over a split.

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
    dataset = RoadDataset(source, split)
    share = Subset(dataset, range(rank, len(dataset), world))
    translate = label_map(predictor.space, source.target)
    confusion = Confusion(source.target)
    for done, sample in enumerate(DataLoader(share, batch_size=None, num_workers=workers), start=1):
        size = (sample.mask.shape[-2], sample.mask.shape[-1])
        labels = predictor.decode(sample.image[None], size).labels[0].cpu().numpy()
        if not translate.is_identity:
            labels = translate.relabel(labels)
        confusion.update(sample.mask.numpy(), labels, where=sample.key)
        if progress is not None:
            progress(done, len(share))
    return confusion


def protocol_of(
    predictor: Predictor, source: Source, split: str, confusion: Confusion, void: VoidRule = "ignored"
) -> Protocol:
    """Return the protocol of scores from `evaluate`."""
    spec = predictor.card.preprocess
    seen = "stored labels"
    if spec.size is not None:
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
    )
