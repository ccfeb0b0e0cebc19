"""MSFNet (Si, Zhang, Lv, Yu, Lu, 2019, arXiv 1911.07217)."""

import dataclasses

from roadseg.recipes.spec import (
    SGD,
    Augment,
    Auxiliary,
    Boundary,
    Expectation,
    Model,
    Ohem,
    Poly,
    Recipe,
)
from roadseg.recipes.splits import CAMVID, CITYSCAPES

__all__ = ["camvid", "cityscapes"]

PAPER = "https://arxiv.org/abs/1911.07217"


def cityscapes() -> Recipe:
    """Train our re-interpretation of MSFNet on Cityscapes.

        torchrun --nproc-per-node 4 -m roadseg train msfnet.cityscapes --data CITYSCAPES --model.weights resnet18.pth

    No implementation was ever published. SGD, hard pixels, crops of 1024 and batches of 16 are recalled, not verified;
    chosen here are rate, decay, length, share of hard pixels, and the boundaries' weight of 1 and width of 3 pixels.
    """
    return Recipe(
        name="msfnet.cityscapes",
        paper=PAPER,
        model=Model(name="msfnet", starts_from="ResNet-18 trained on ImageNet"),
        data=CITYSCAPES,
        augment=Augment(crop=(1024, 1024)),
        loss=Ohem(threshold=0.7, min_kept=0, min_share=1 / 16),
        aux=Auxiliary(weights=(1.0,), loss=Boundary(width=3), at="image"),
        optim=SGD(lr=1e-2, weight_decay=5e-4),
        schedule=Poly(power=0.9),
        epochs=350,
        batch_size=16,
        devices=4,
        eval_every=10,
        expects=(
            Expectation(split="Cityscapes test, 2048x1024 (paper; not of this network)", published=77.1),
        ),
    )


def camvid() -> Recipe:
    """Train it on CamVid's training and validation images; the paper's figure is at 1024x768.

        roadseg train msfnet.camvid --data CAMVID --model.weights resnet18.pth

    How the paper trained on CamVid is not known; crops of 640 and batches of 16 are chosen here.
    """
    return dataclasses.replace(
        cityscapes(),
        name="msfnet.camvid",
        data=CAMVID,
        augment=Augment(crop=(640, 640)),
        devices=1,
        select_best=False,
        expects=(Expectation(split="CamVid test, 1024x768 (paper; not of this network)", published=75.4),),
    )
