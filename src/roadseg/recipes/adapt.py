"""A recipe for another machine, another budget or more data than it was written for."""

import dataclasses
import math
from typing import assert_never

from roadseg.recipes.spec import Recipe

__all__ = ["adapted", "scaled", "with_budget", "with_neighbors"]


def scaled(recipe: Recipe, batch_size: int) -> Recipe:
    """Return the recipe for another batch size, its learning rate scaled linearly (Goyal et al. 2017)."""
    optim = dataclasses.replace(recipe.optim, lr=recipe.optim.lr * batch_size / recipe.batch_size)
    return dataclasses.replace(recipe, batch_size=batch_size, optim=optim)


def with_budget(recipe: Recipe, crops: int, batch_size: int, *, data_sets: int = 1) -> Recipe:
    """Return a recipe that takes so many crops of every data set, in equal shares.

    Args:
        recipe: The plan; ``data.images`` says how many images its data sets have together.
        crops: Of each data set, in the whole run.
        batch_size: Samples per optimizer step.
        data_sets: How many there are.
    """
    steps = crops * data_sets // batch_size
    epochs = -(-steps * batch_size // recipe.data.images)
    return dataclasses.replace(recipe, steps=steps, epochs=epochs, batch_size=batch_size)


def adapted(recipe: Recipe, devices: int) -> tuple[Recipe, str | None]:
    """Return the recipe for fewer GPUs than it was written for, as its ``on_fewer`` says.

    On as many or more GPUs nothing changes: the same batch is divided over them. What is returned counts as written for
    its GPUs, so that adapting it again changes nothing.

    Args:
        recipe: The published plan.
        devices: GPUs, or processes, that are there.

    Returns:
        The recipe to run, and what was changed, in a sentence that says how to have it otherwise; None if nothing was.
    """
    if devices >= recipe.devices:
        return recipe, None
    match recipe.on_fewer:
        case "keep":
            return recipe, None
        case "scale":
            return _with_a_smaller_batch(recipe, devices)
        case "accumulate":
            return _in_more_parts(recipe, devices)
        case _:
            assert_never(recipe.on_fewer)


def _with_a_smaller_batch(recipe: Recipe, devices: int) -> tuple[Recipe, str]:
    """Keep the samples per GPU, and those seen in all."""
    batch_size = devices * max(1, recipe.batch_size // recipe.devices)
    smaller = dataclasses.replace(scaled(recipe, batch_size), devices=devices)
    changes = [
        f"batch {recipe.batch_size} -> {batch_size}",
        f"learning rate {recipe.optim.lr:g} -> {smaller.optim.lr:g}",
    ]
    if recipe.steps is not None:
        steps = math.ceil(recipe.steps * recipe.batch_size / batch_size)
        smaller = dataclasses.replace(smaller, steps=steps)
        changes.append(f"steps {recipe.steps} -> {steps}")
    hint = "--on-fewer accumulate keeps them, and --batch-size N chooses a batch"
    return smaller, _sentence(recipe, devices, changes, hint)


def _in_more_parts(recipe: Recipe, devices: int) -> tuple[Recipe, str]:
    """Keep batch and rate, and the samples that a GPU holds at a time."""
    parts = math.ceil(recipe.accumulate * recipe.devices / devices)
    # Where the parts come out uneven, the next smaller even ones fit in memory as well.
    even = (n for n in range(parts, recipe.batch_size + 1) if recipe.batch_size % (n * devices) == 0)
    parts = next(even, parts)
    more = dataclasses.replace(recipe, accumulate=parts, devices=devices)
    changes = [f"parts of a step {recipe.accumulate} -> {parts}"]
    hint = "--on-fewer scale lowers batch and learning rate instead, and --batch-size N chooses a batch"
    return more, _sentence(recipe, devices, changes, hint)


def _sentence(recipe: Recipe, devices: int, changes: list[str], hint: str) -> str:
    return f"{recipe.name} is written for {recipe.devices} GPUs and runs on {devices}: {', '.join(changes)}; {hint}"


def with_neighbors(plan: Recipe, *offsets: int, root: str = "data/propagated/data.yaml") -> Recipe:
    """Return a plan that also trains on the propagated neighbors of annotated frames.

    Class-uniform drawing then covers them too, so that rare classes are found in more places.

    Args:
        plan: The plan.
        offsets: Distances in frames, 1 or more; each stands for the frame so far before and the one so far behind.
        root: What `roadseg propagate` wrote.
    """
    splits = "+".join(f"{side}{offset}" for offset in offsets for side in ("plus", "minus"))
    data = dataclasses.replace(plan.data, parts=(*plan.data.parts, f"{root}@{splits}@"))
    return dataclasses.replace(plan, data=data)
