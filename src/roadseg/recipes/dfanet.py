"""DFANet (Li, Xiong, Fan, Sun, CVPR 2019, arXiv 1904.02216)."""

import dataclasses

from roadseg.recipes.fast_seg import fast_seg
from roadseg.recipes.spec import SGD, Augment, Auxiliary, Expectation, Model, Ohem, Poly, Recipe
from roadseg.recipes.splits import CAMVID, CITYSCAPES

__all__ = ["camvid", "cityscapes", "cityscapes_fast_seg"]

PAPER = "https://arxiv.org/abs/1904.02216"


def cityscapes() -> Recipe:
    """Train DFANet A as the paper does: batches of 48, rate 0.2, crops of 1024 (recalled, not verified).

        torchrun --nproc-per-node 8 -m roadseg train dfanet-a.cityscapes --data CITYSCAPES

    Nobody has reproduced the score: public attempts report 50 to 59. Neither the length of the training nor its loss
    and hardware are known; 60 000 steps are Fast_Seg's for this network, plain cross entropy is chosen here.
    """
    return Recipe(
        name="dfanet-a.cityscapes",
        paper=PAPER,
        model=Model(name="dfanet-a", starts_from="XceptionA trained on ImageNet"),
        data=CITYSCAPES,
        augment=Augment(crop=(1024, 1024)),
        optim=SGD(lr=0.2, weight_decay=1e-5),
        schedule=Poly(power=0.9),
        epochs=969,
        steps=60_000,
        batch_size=48,
        devices=8,
        eval_every=20,
        expects=(Expectation(split="Cityscapes test, 1024x1024 (paper)", published=71.3),),
    )


def cityscapes_fast_seg() -> Recipe:
    r"""Train DFANet A by lxtGH/Fast_Seg's script, with its two auxiliary classifiers (hard pixels, weight 0.4).

        torchrun --nproc-per-node 4 -m roadseg train dfanet-a.cityscapes-fast-seg --data CITYSCAPES \
            --model.weights xceptiona_imagenet.pth

    No score is published, and the script cannot run as it is.
    """
    model = Model(
        name="dfanet-a",
        options={"aux": True, "align_corners": True},
        starts_from="XceptionA trained on ImageNet (xceptiona_imagenet.pth of Fast_Seg)",
    )
    plan = fast_seg("dfanet-a.cityscapes-fast-seg", PAPER, model, crop=1024, steps=60_000)
    return dataclasses.replace(plan, aux=Auxiliary(weights=(0.4,), loss=plan.loss, at="image"))


def camvid() -> Recipe:
    """Train DFANet A on CamVid's training and validation images at 960x720.

        roadseg train dfanet-a.camvid --data CAMVID

    How the paper trained on CamVid is not known. Chosen here: hard pixels, batches of 16, the rate lowered in
    proportion, crops of 704.
    """
    return dataclasses.replace(
        cityscapes(),
        name="dfanet-a.camvid",
        data=CAMVID,
        augment=Augment(crop=(704, 704)),
        loss=Ohem(min_kept=0, min_share=1 / 16),
        optim=SGD(lr=0.2 * 16 / 48, weight_decay=1e-5),
        epochs=400,
        steps=None,
        batch_size=16,
        devices=1,
        select_best=False,
        expects=(Expectation(split="CamVid test, 960x720 (paper)", published=64.7),),
    )
