"""What memory a training step takes, found out without taking it."""

from dataclasses import dataclass

import torch

from roadseg.models import build
from roadseg.recipes import SGD, CrossEntropy, Recipe
from roadseg.training.compute import checkpoint_activations
from roadseg.training.freeze import freeze, train_mode

__all__ = ["TrainingMemory", "estimate_memory"]

_FLOAT = 4  # bytes


@dataclass(frozen=True)
class TrainingMemory:
    """A rough estimate of what training takes on one device, in bytes; workspace of convolutions not counted.

    Attributes:
        params: Trainable parameters (their number).
        state: Weights, gradients, moments of the optimizer, averaged weights.
        activations: What a forward pass keeps for the backward pass, in float32.
    """

    params: int
    state: int
    activations: int


def estimate_memory(recipe: Recipe, num_classes: int, devices: int = 1) -> TrainingMemory | None:
    """Estimate the memory of a training step by tracing one on torch's ``meta`` device: nothing is allocated.

    Args:
        recipe: The plan.
        num_classes: Number of classes.
        devices: Processes that share each batch.

    Returns:
        None for a network that cannot be traced.

    Raises:
        RecipeError: The network cannot be built, or has no part that is to be frozen.
    """
    saved: dict[int, int] = {}
    kept: list[object] = []

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        saved[id(storage)] = storage.nbytes()
        kept.append(storage)  # while it lives, its id is its own
        return tensor

    batch = max(1, recipe.batch_size // (recipe.accumulate * devices))
    images = min(batch, 2)  # more are in proportion
    try:
        with torch.device("meta"):
            model = build(recipe.model.name, num_classes, **recipe.model.options)
            freeze(model, recipe.freeze, norm=recipe.freeze_norm)
            train_mode(model, freeze_norm=recipe.freeze_norm)
            if recipe.engine.checkpointing:
                checkpoint_activations(model)
            with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
                output = model(torch.empty(images, 3, *recipe.augment.crop))
    except (NotImplementedError, RuntimeError):
        return None
    weights = {parameter.untyped_storage() for parameter in model.parameters()}
    weight_bytes = sum(storage.nbytes() for storage in weights)
    traced = max(0, sum(saved.values()) - weight_bytes)  # convolutions save their weights too
    params = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    moments = 1 if isinstance(recipe.optim, SGD) else 2
    copies = 2 + moments + (1 if recipe.ema else 0)  # weights and gradients, and those
    shards = devices if recipe.engine.sharding == "fsdp" else 1
    height, width = recipe.augment.crop
    # Losses keep logits at the size of the crop: their copy, their log-softmax, their gradient. Cross entropy does not.
    guides = len(output.aux) if recipe.aux.at == "image" else 0
    losses = [recipe.loss, *([recipe.aux.loss] * guides)]
    maps = sum(not (loss is None or isinstance(loss, CrossEntropy)) for loss in losses)
    loss = 3 * _FLOAT * batch * num_classes * height * width * maps
    return TrainingMemory(params, copies * params * _FLOAT // shards, traced * batch // images + loss)
