"""ESPNet (Mehta, Rastegari, Caspi, Shapiro, Hajishirzi, ECCV 2018, arXiv 1803.06815)."""

import dataclasses

from roadseg.recipes.half_hour import half_hour
from roadseg.recipes.spec import (
    AdamW,
    Augment,
    Auxiliary,
    CrossEntropy,
    Expectation,
    Model,
    Poly,
    Preprocess,
    Recipe,
    Step,
)
from roadseg.recipes.splits import CAMVID, CITYSCAPES

__all__ = [
    "camvid",
    "camvid_30min",
    "camvid_two_stage",
    "cityscapes",
    "encoder_camvid",
    "encoder_cityscapes",
]

PAPER = "https://arxiv.org/abs/1803.06815"

CAMVID_PREPROCESS = Preprocess(
    order="BGR",
    mean=(110.331, 108.409, 105.033),
    std=(72.126, 72.691, 69.904),
    scale=1 / 255,
)
"""Statistics of the CamVid training set as the authors compute them: the std is the mean of the images' own."""

CITYSCAPES_PREPROCESS = Preprocess(
    order="BGR", mean=(72.39, 82.91, 73.16), std=(45.32, 46.15, 44.91), scale=1 / 255, size=(512, 1024)
)
"""The authors' statistics of Cityscapes, and the size that their figures are of."""

_ADAM = AdamW(lr=5e-4, weight_decay=5e-4, decoupled=False, decay_all=True)


def encoder_cityscapes() -> Recipe:
    """Train ESPNet-C, the encoder, on Cityscapes at 1024x512: the first of two stages.

        roadseg train espnet-c.cityscapes --data CITYSCAPES

    Adam with an L2 penalty, the rate halved every 100 of 300 epochs, class-weighted cross entropy. What differs from the
    published code: it shrinks labels to 1/8, here logits are enlarged; it knows a 20th class, background, here ignored;
    an epoch of it goes through five scales, which are not known, here every image gets a random one. The c of the
    class weights is the ENet paper's. The hardware of the source is not known.
    """
    return Recipe(
        name="espnet-c.cityscapes",
        paper=PAPER,
        model=Model(name="espnet-c", options={"alpha2": 2, "alpha3": 8}),
        data=CITYSCAPES,
        preprocess=CITYSCAPES_PREPROCESS,
        # Half the size of the frames, and around that: the stored frames are 2048 x 1024.
        augment=Augment(crop=(512, 1024), scale=(0.25, 0.75)),
        loss=CrossEntropy(class_weights="enet", enet_constant=1.02),
        optim=_ADAM,
        schedule=Step(every=100, factor=0.5),
        epochs=300,
        batch_size=12,
        eval_every=10,
    )


def cityscapes() -> Recipe:
    """Train ESPNet on Cityscapes at 1024x512: the second stage, from the encoder of the first, batches of 6.

    roadseg train espnet-c.cityscapes --data CITYSCAPES
    roadseg train espnet.cityscapes --data CITYSCAPES
    """
    return dataclasses.replace(
        encoder_cityscapes(),
        name="espnet.cityscapes",
        model=Model(
            name="espnet",
            options={"alpha2": 2, "alpha3": 8, "skip": "features"},
            weights="runs/espnet-c.cityscapes/best.safetensors",
        ),
        aux=Auxiliary(weights=(0.0,)),
        batch_size=6,
        expects=(Expectation(split="Cityscapes test, 1024x512 (authors' repository)", published=60.34),),
    )


def encoder_camvid() -> Recipe:
    """Train ESPNet-C on CamVid at 480x360: the first of two stages.

        roadseg train espnet-c.camvid --data CAMVID

    Crops and batches are those of `camvid`; how the authors trained on CamVid is not known.
    """
    return dataclasses.replace(
        camvid(),
        name="espnet-c.camvid",
        model=Model(name="espnet-c", options={"alpha2": 2, "alpha3": 8}),
        aux=Auxiliary(),
        schedule=Step(every=100, factor=0.5),
        expects=(),
    )


def camvid_two_stage() -> Recipe:
    """Train ESPNet on CamVid at 480x360: the second stage, from the encoder of the first.

    roadseg train espnet-c.camvid --data CAMVID
    roadseg train espnet.camvid-two-stage --data CAMVID
    """
    return dataclasses.replace(
        encoder_camvid(),
        name="espnet.camvid-two-stage",
        model=dataclasses.replace(camvid().model, weights="runs/espnet-c.camvid/last.safetensors"),
        aux=Auxiliary(weights=(0.0,)),
        batch_size=6,
        expects=camvid().expects,
    )


def camvid() -> Recipe:
    """Train ESPNet (alpha2=2, alpha3=8) on CamVid at 480x360.

        roadseg train espnet.camvid --data CAMVID

    Adam with an L2 penalty of 5e-4 and class-weighted cross entropy as published, in one stage: the encoder's own
    classifier is trained along with the decoder instead of before it. The published figure counts predictions on void
    as false positives.
    """
    loss = CrossEntropy(class_weights="enet", enet_constant=1.1)
    return Recipe(
        name="espnet.camvid",
        paper=PAPER,
        model=Model(name="espnet", options={"alpha2": 2, "alpha3": 8}),
        data=CAMVID,
        preprocess=CAMVID_PREPROCESS,
        augment=Augment(crop=(256, 320), scale=(0.5, 2.0)),
        loss=loss,
        aux=Auxiliary(weights=(1.0,), loss=loss),
        optim=_ADAM,
        schedule=Poly(power=0.9),
        epochs=300,
        batch_size=12,
        eval_every=20,
        select_best=False,
        expects=(
            Expectation(
                metric="mIoU, void truth counted as false positives",
                split="CamVid test, 480x360",
                published=55.64,
            ),
        ),
    )


def camvid_30min() -> Recipe:
    """Train ESPNet from scratch on CamVid, half an hour on two cores.

    roadseg train espnet.camvid-30min --data CAMVID
    """
    return half_hour(
        "espnet.camvid-30min",
        PAPER,
        Model(name="espnet", options={"alpha2": 2, "alpha3": 8}),
        aux_weight=1.0,
        measured=(42.97, 1.18),
        preprocess=CAMVID_PREPROCESS,
        epochs=32,
        eval_every=8,
    )
