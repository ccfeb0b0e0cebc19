"""ICNet (Zhao, Qi, Shen, Shi, Jia, ECCV 2018, arXiv 1704.08545)."""

import dataclasses

from roadseg.recipes.fast_seg import fast_seg
from roadseg.recipes.spec import SGD, Augment, Auxiliary, Expectation, Model, Poly, Preprocess, Recipe
from roadseg.recipes.splits import CITYSCAPES, CITYSCAPES_TRAINVAL

__all__ = ["cityscapes", "cityscapes_trainval", "resnet50_cityscapes"]

PAPER = "https://arxiv.org/abs/1704.08545"

CAFFE = Preprocess(order="BGR", mean=(104.00699, 116.66877, 122.67891), std=(1.0, 1.0, 1.0))
"""ImageNet's mean in BGR, no division: what networks converted from Caffe expect."""


def cityscapes() -> Recipe:
    """Train ICNet, the authors' pruned network, on Cityscapes's training images.

        torchrun --nproc-per-node 2 -m roadseg train icnet.cityscapes --data CITYSCAPES

    30 000 steps of 16 images; labels of each auxiliary output at its own scale, weights 0.4 and 0.16 (all recalled, not
    verified). The authors train the unpruned network first and prune it, which roadseg does not do. Chosen here: crops
    of 832, a decay of 1e-4.
    """
    return Recipe(
        name="icnet.cityscapes",
        paper=PAPER,
        model=Model(name="icnet", starts_from="an unpruned ICNet, which was pruned"),
        data=CITYSCAPES,
        preprocess=CAFFE,
        augment=Augment(crop=(832, 832)),
        aux=Auxiliary(weights=(0.4, 0.16)),
        optim=SGD(lr=1e-2, weight_decay=1e-4),
        schedule=Poly(power=0.9),
        epochs=162,
        steps=30_000,
        batch_size=16,
        devices=2,
        eval_every=5,
        expects=(Expectation(split="Cityscapes val, 30 000 steps (hszhao/ICNet, Caffe)", published=67.7),),
    )


def cityscapes_trainval() -> Recipe:
    """Train ICNet on training and validation images for 90 000 steps, for the test server.

    torchrun --nproc-per-node 2 -m roadseg train icnet.cityscapes-trainval --data CITYSCAPES
    """
    return dataclasses.replace(
        cityscapes(),
        name="icnet.cityscapes-trainval",
        data=CITYSCAPES_TRAINVAL,
        epochs=415,
        steps=90_000,
        expects=(Expectation(split="Cityscapes test (hszhao/ICNet, Caffe)", published=69.5),),
    )


def resnet50_cityscapes() -> Recipe:
    r"""Train ICNet with a whole ResNet-50 by lxtGH/Fast_Seg's script.

        torchrun --nproc-per-node 4 -m roadseg train icnet-resnet50.cityscapes --data CITYSCAPES \
            --model.weights resnet50-deep.pth

    Hard pixels in all losses. Fast_Seg weighs the main logits twice, 1 at full size and 0.4 at 1/4; here once.
    """
    plan = fast_seg(
        "icnet-resnet50.cityscapes",
        PAPER,
        Model(
            name="icnet-resnet50",
            options={"ceil_mode": True},
            starts_from="ResNet-50 with a deep stem trained on ImageNet (resnet50-deep.pth of Fast_Seg)",
        ),
        expects=(Expectation(split="Cityscapes val (lxtGH/Fast_Seg, README)", published=74.5),),
    )
    return dataclasses.replace(
        plan, preprocess=CAFFE, aux=Auxiliary(weights=(0.4, 0.4), loss=plan.loss, at="image")
    )
