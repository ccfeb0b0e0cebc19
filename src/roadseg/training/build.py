"""The only translator from a recipe's values to objects."""

from typing import assert_never

import torch
from torch import nn
from torch.utils.data import Dataset

from roadseg.data import MixedDataset, RoadDataset, Sample, Source, TrainTransform, count_pixels, open_source
from roadseg.errors import RecipeError
from roadseg.losses import CrossEntropyLoss, enet_weights, median_frequency_weights
from roadseg.recipes import SGD, AdamW, Augment, CrossEntropy, Data, Optimizer
from roadseg.training.distributed import World
from roadseg.training.optim import parameter_groups

__all__ = ["build_dataset", "build_loss", "build_optimizer", "build_source", "build_transform"]


def build_source(data: Data) -> Source:
    """Open the recipe's data set.

    Raises:
        RecipeError: The recipe does not say where it is.
        DataError: It is not there.
    """
    if not data.root:
        raise RecipeError(
            "no data is given to train on",
            remedy="add --data FOLDER; `roadseg data synth FOLDER` renders some when you have none",
        )
    return open_source(data.root)


def build_transform(augment: Augment, ignore: int) -> TrainTransform:
    """Return the training transform of a recipe.

    Raises:
        RecipeError: A range is empty, or a factor negative.
    """
    try:
        return TrainTransform(
            crop=augment.crop,
            scale=augment.scale,
            flip=augment.flip,
            brightness=augment.brightness,
            contrast=augment.contrast,
            saturation=augment.saturation,
            hue=augment.hue,
            ignore=ignore,
        )
    except ValueError as error:
        raise RecipeError(str(error), where="augment", remedy="change the recipe's augment values") from error


def build_dataset(data: Data, source: Source, transform: TrainTransform) -> tuple[Dataset[Sample], int, int]:
    """Return the training set, the number of its real samples, and of its rendered ones.

    Raises:
        DataError: The split is empty, or the rendered scenes are of another label space.
    """
    real = RoadDataset(source, data.train, transform)
    if data.synthetic is None:
        return real, len(real), 0
    rendered = RoadDataset(open_source(data.synthetic.root), "train", transform)
    return MixedDataset(real, rendered), len(real), len(rendered)


def build_loss(
    spec: CrossEntropy, model: nn.Module, source: Source, split: str, world: World
) -> CrossEntropyLoss:
    """Return the loss; class weights are counted on the training labels, each process counting a share."""
    weights = None
    if spec.class_weights != "none":
        records = source.find(split)
        counts = world.sum(torch.from_numpy(count_pixels(source, records[world.rank :: world.size])))
        if spec.class_weights == "enet":
            weights = enet_weights(counts, spec.enet_constant)
        else:
            weights = median_frequency_weights(counts)
    return CrossEntropyLoss(
        source.target.ignore,
        align_corners=bool(model.align_corners),
        class_weights=weights,
        label_smoothing=spec.label_smoothing,
        aux_weights=spec.aux_weights,
    )


def build_optimizer(spec: Optimizer, model: nn.Module) -> torch.optim.Optimizer:
    """Return the optimizer over a model's trainable parameters."""
    groups = parameter_groups(model, spec.weight_decay, spec.decay_all)
    match spec:
        case SGD():
            return torch.optim.SGD(groups, lr=spec.lr, momentum=spec.momentum)
        case AdamW():
            kind = torch.optim.AdamW if spec.decoupled else torch.optim.Adam
            return kind(groups, lr=spec.lr, betas=spec.betas)
        case _:
            assert_never(spec)
