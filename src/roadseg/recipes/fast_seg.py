"""The training of lxtGH/Fast_Seg, which several fast networks share (Apache-2.0, commit 7895738).

Its trainer cannot run most of the networks it ships; the plan below is what its scripts state. OHEM keeps 100 000
pixels of the four images of a GPU there; here the same share of all pixels, so that it does not depend on the number
of GPUs. Its scores are those of the README, where there are any.
"""

from roadseg.recipes.spec import SGD, Augment, Expectation, Model, Ohem, Poly, Recipe
from roadseg.recipes.splits import CITYSCAPES

__all__ = ["fast_seg"]


def fast_seg(
    name: str,
    paper: str,
    model: Model,
    *,
    crop: int = 832,
    steps: int = 50_000,
    weight_decay: float = 5e-4,
    expects: tuple[Expectation, ...] = (),
) -> Recipe:
    """Return Fast_Seg's plan for a network on Cityscapes: 4 GPUs, 4 images each.

    Args:
        name: Name of the recipe.
        paper: The network's paper.
        model: The network.
        crop: Side of the square crops: 832, for DFANet 1024.
        steps: Optimizer steps: 50 000, for DFANet 60 000.
        weight_decay: 5e-4 in the scripts.
        expects: Published scores.
    """
    return Recipe(
        name=name,
        paper=paper,
        model=model,
        data=CITYSCAPES,
        # The stated scales are 0.7, 0.8 ... 2.1; images are padded after normalization, that is with the mean.
        augment=Augment(
            crop=(crop, crop), scale=(0.7, 2.1), scale_draw="uniform", scale_step=0.1, place="corner"
        ),
        loss=Ohem(threshold=0.7, min_kept=0, min_share=100_000 / (4 * crop**2)),
        optim=SGD(lr=1e-2, weight_decay=weight_decay),
        schedule=Poly(power=0.9),
        epochs=-(-steps * 16 // 2975),
        steps=steps,
        batch_size=16,
        devices=4,
        eval_every=10,
        expects=expects,
    )
