"""Scores of a run's network on the validation split of each of its data sets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import Any

import torch

from roadseg.errors import RecipeError
from roadseg.inference import Predictor
from roadseg.inference.evaluation import evaluate, protocol_of
from roadseg.metrics import Confusion, Scores
from roadseg.metrics.iou import known_or_none
from roadseg.training.distributed import World
from roadseg.training.parts import Part

__all__ = ["Validation", "check_interval", "validate"]


@dataclass(frozen=True)
class Validation:
    """Scores by data set, in order.

    Attributes:
        scores: Of every data set that has a split to validate on, by its name.
    """

    scores: dict[str, Scores]

    @property
    def mean_miou(self) -> float:
        """Mean of the data sets' mean IoU, each counting the same; what the best weights are chosen by."""
        known = [scores.miou for scores in self.scores.values() if not isnan(scores.miou)]
        return sum(known) / len(known) if known else nan

    def to_json(self) -> dict[str, Any]:
        """Return what goes into a row of the run's metrics.

        Returns:
            ``val``: scores of the first data set. Where there are several, also ``vals``: scores by the name of the data
            set, and ``val_mean_miou``: the mean of their mean IoU.
        """
        plain = {name: scores.to_json() for name, scores in self.scores.items()}
        row: dict[str, Any] = {"val": next(iter(plain.values()))}
        if len(plain) > 1:
            row |= {"vals": plain, "val_mean_miou": known_or_none(self.mean_miou)}
        return row

    def told(self) -> dict[str, Any]:
        """Return what a `Reporter` hears: scores of the first data set, but ``miou`` is the mean of all."""
        row = self.to_json()
        return {
            **row["val"],
            "miou": row.get("val_mean_miou", row["val"]["miou"]),
            "vals": row.get("vals", {}),
        }


def check_interval(eval_every: int) -> None:
    """Refuse an interval between validations that is none.

    Raises:
        RecipeError: It is less than an epoch.
    """
    if eval_every < 1:
        raise RecipeError(
            f"validations cannot be {eval_every} epochs apart",
            where="eval_every",
            remedy='give 1 or more; --data.val "" validates on nothing',
        )


def validate(
    predictor: Predictor,
    parts: Sequence[Part],
    world: World,
    progress: Callable[[int, int], None] | None = None,
) -> Validation:
    """Score a network on every data set's own validation split, in the label space of the run.

    Every process scores its share of the images of each. Classes that no label of a data set can name are left out of
    its means.

    Args:
        predictor: The network.
        parts: The data sets; those without a split to validate on are passed over.
        world: The processes.
        progress: Hears of images done, and of how many, of each data set.
    """
    return Validation({part.name: _score(predictor, part, world, progress) for part in parts if part.val})


def _score(
    predictor: Predictor, part: Part, world: World, progress: Callable[[int, int], None] | None
) -> Scores:
    confusion = evaluate(
        predictor, part.source, part.val, rank=world.rank, world=world.size, progress=progress
    )
    counts = world.sum(torch.from_numpy(confusion.counts))
    images = world.sum(torch.tensor(confusion.images))
    confusion = Confusion(confusion.space, counts.numpy(), int(images))
    # Where labels are not translated, a class of the space that no file holds is still one of the data set's.
    excluded = () if part.source.translation is None else part.source.unreachable
    return Scores.from_confusion(
        confusion, protocol_of(predictor, part.source, part.val, confusion, excluded=excluded)
    )
