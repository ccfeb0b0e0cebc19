"""CamVid from scratch in about half an hour on two processor cores: one plan, several networks.

The plan is that of ``fast-scnn.camvid-fine``, shortened: crops that show a fifth of the image, AdamW, mild class
weights, averaged weights that are scored. Epochs are set so that every network takes about as long.
"""

import dataclasses
from typing import Any

from roadseg.recipes.spec import AdamW, Augment, Auxiliary, CrossEntropy, Expectation, Model, Poly, Recipe
from roadseg.recipes.splits import CAMVID

__all__ = ["LOSS", "ZOOMED", "half_hour"]

LOSS = CrossEntropy(class_weights="enet", enet_constant=1.2)

ZOOMED = Augment(crop=(320, 416), scale=(0.9, 2.8), brightness=0.4, contrast=0.4, saturation=0.4)
"""Crops for networks whose images are enlarged to 768 x 576."""


def half_hour(
    name: str,
    paper: str,
    model: Model,
    aux_weight: float = 0.4,
    measured: tuple[float, float] | None = None,
    **changes: Any,  # noqa: ANN401 - any field of a recipe
) -> Recipe:
    """Return the plan for a network.

    Args:
        name: Name of the recipe.
        paper: The network's paper.
        model: The network.
        aux_weight: Weight of each auxiliary output, which has the same loss as the main one.
        measured: The mIoU that a run of it reached, and its hours.
        changes: Fields of the recipe that differ.
    """
    plan = Recipe(
        name=name,
        paper=paper,
        model=model,
        data=CAMVID,
        augment=Augment(crop=(256, 320), scale=(0.6, 1.9), brightness=0.4, contrast=0.4, saturation=0.4),
        loss=LOSS,
        aux=Auxiliary(weights=(aux_weight,), loss=LOSS),
        optim=AdamW(lr=2e-3, weight_decay=1e-2),
        schedule=Poly(power=0.9, warmup=0.03),
        epochs=50,
        batch_size=8,
        clip_norm=10.0,
        ema=0.998,
        eval_every=5,
        select_best=False,
        workers=1,
    )
    if measured is not None:
        ours = Expectation(
            split="CamVid test, 480x360",
            ours=measured[0],
            hours=measured[1],
            hardware="two cores of an AMD EPYC, shared with other work",
            command=f"roadseg train {name} --data CAMVID",
        )
        plan = dataclasses.replace(plan, expects=(ours,))
    return dataclasses.replace(plan, **changes)
