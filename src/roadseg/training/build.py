"""The only translator from a recipe's values to objects."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import assert_never

import torch

from roadseg import losses
from roadseg.data import (
    Source,
    TrainTransform,
    count_pixels,
)
from roadseg.errors import LabelError, RecipeError
from roadseg.labels import LabelSpace
from roadseg.losses import Criterion, OutputLoss
from roadseg.recipes import (
    RMI,
    Augment,
    Auxiliary,
    BinaryCrossEntropy,
    Boundary,
    CrossEntropy,
    Dice,
    Focal,
    ImageWeighted,
    Loss,
    Lovasz,
    Ohem,
    Relaxed,
)
from roadseg.training.distributed import World

__all__ = ["Counter", "build_criterion", "build_loss", "build_transform", "counter"]

Counter = Callable[[], torch.Tensor]
"""Counts the pixels of each class in the training labels, ``[C]``; called only when a loss needs it."""


def build_transform(augment: Augment, ignore: int) -> TrainTransform:
    """Return the training transform of a recipe.

    Raises:
        RecipeError: A range is empty, or a factor negative.
    """
    values = {field.name: getattr(augment, field.name) for field in fields(augment)}
    try:
        return TrainTransform(**values, ignore=ignore)
    except ValueError as error:
        raise RecipeError(str(error), where="augment", remedy="change the recipe's augment values") from error


def counter(splits: Sequence[tuple[Source, str]], world: World) -> Counter:
    """Return a function that counts the pixels of each class in some splits, each process counting a share."""

    def count() -> torch.Tensor:
        shares = [(source, source.find(split)[world.rank :: world.size]) for source, split in splits]
        counts = torch.stack([torch.from_numpy(count_pixels(source, share)) for source, share in shares])
        return world.sum(counts.sum(dim=0))

    return count


def build_loss(
    loss: Loss, aux: Auxiliary, space: LabelSpace, count: Counter, *, align_corners: bool
) -> OutputLoss:
    """Return the loss of a network's output.

    Args:
        loss: Of the logits.
        aux: Of the auxiliary outputs.
        space: Label space of the masks.
        count: Counts the pixels of each class.
        align_corners: How the logits are upsampled.

    Raises:
        RecipeError: The recipe names a class that there is not, or a range is empty.
    """
    return OutputLoss(
        build_criterion(loss, space, count),
        aux=build_criterion(aux.loss or CrossEntropy(), space, count),
        aux_weights=aux.weights,
        aux_at=aux.at,
        align_corners=align_corners,
    )


def build_criterion(spec: Loss, space: LabelSpace, count: Counter) -> Criterion:  # noqa: C901 - one flat match
    """Return the criterion of one output; the arguments are those of `build_loss`.

    Raises:
        RecipeError: The recipe names a class that there is not, or a range is empty.
    """
    ignore = space.ignore
    match spec:
        case CrossEntropy():
            return losses.CrossEntropyLoss(
                ignore, class_weights=_weights(spec, count), label_smoothing=spec.label_smoothing
            )
        case Ohem():
            return losses.OhemLoss(
                ignore,
                threshold=spec.threshold,
                min_kept=spec.min_kept,
                min_share=spec.min_share,
                class_weights=_weights(spec, count),
            )
        case ImageWeighted():
            return losses.ImageWeightedLoss(
                ignore, bound=spec.bound, over=spec.over, reduction=spec.reduction
            )
        case Relaxed():
            return losses.RelaxedLoss(
                ignore,
                num_classes=space.num_classes,
                radius=spec.radius,
                strict=class_indices(space, spec.strict),
                off_epoch=spec.off_epoch,
                bound=spec.bound,
                over=spec.over,
                compat=spec.compat,
            )
        case RMI():
            return losses.RMILoss(
                ignore, share=spec.share, radius=spec.radius, stride=spec.stride, pool=spec.pool
            )
        case BinaryCrossEntropy():
            return losses.BinaryCrossEntropyLoss(ignore)
        case Focal():
            return losses.FocalLoss(ignore, gamma=spec.gamma, cross_entropy=spec.cross_entropy)
        case Dice():
            return losses.DiceLoss(ignore, smooth=spec.smooth, cross_entropy=spec.cross_entropy)
        case Lovasz():
            return losses.LovaszLoss(
                ignore, per_image=spec.per_image, stride=spec.stride, cross_entropy=spec.cross_entropy
            )
        case Boundary():
            return losses.BoundaryLoss(ignore, width=spec.width)
        case _:
            assert_never(spec)


def class_indices(space: LabelSpace, names: Sequence[str]) -> tuple[int, ...]:
    """Return the channels of classes given by name.

    Raises:
        RecipeError: There is no such class.
    """
    try:
        return tuple(space.index(name) for name in names)
    except LabelError as error:
        raise RecipeError(
            str(error), remedy="name classes of the data set's training labels: `roadseg labels`"
        ) from error


def _weights(spec: CrossEntropy | Ohem, count: Counter) -> torch.Tensor | None:
    match spec.class_weights:
        case "none":
            return None
        case "enet":
            return losses.enet_weights(count(), spec.enet_constant)
        case "median":
            return losses.median_frequency_weights(count())
        case "inverse":
            return losses.inverse_frequency_weights(count())
        case _:
            assert_never(spec.class_weights)
