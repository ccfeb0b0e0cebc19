"""Fast-SCNN, trained from scratch (Poudel, Liwicki, Cipolla, BMVC 2019, arXiv 1902.04502)."""

import dataclasses

from roadseg.recipes.spec import (
    AdamW,
    Augment,
    CrossEntropy,
    Data,
    Expectation,
    Model,
    Poly,
    Preprocess,
    Recipe,
)

__all__ = ["camvid", "camvid_fine", "synthetic"]

PAPER = "https://arxiv.org/abs/1902.04502"

_OPTIONS = {"aux": ("stem", "context"), "align_corners": False}
"""The paper's two auxiliary classifiers, and a grid that is the same at every image size."""


def camvid() -> Recipe:
    """Train on CamVid's 468 training and validation images at 480x360; score on its 233 test images.

    The paper has no CamVid result. Its auxiliary weight, its decay of full convolutions only, its poly schedule and
    "no pretraining, many epochs" are kept. AdamW replaces its SGD, which was behind at every epoch of a short trial;
    mild class weights are added for poles and signs.
    """
    return Recipe(
        name="fast-scnn.camvid",
        paper=PAPER,
        model=Model(name="fast-scnn", options=_OPTIONS),
        data=Data(train="train+val", val="test"),
        augment=Augment(crop=(256, 320), scale=(0.5, 2.0), brightness=0.4, contrast=0.4, saturation=0.4),
        loss=CrossEntropy(class_weights="enet", enet_constant=1.1),
        optim=AdamW(lr=2e-3, weight_decay=1e-2),
        schedule=Poly(power=0.9, warmup=0.02),
        epochs=160,
        batch_size=12,
        clip_norm=10.0,
        ema=0.999,
        eval_every=20,
        select_best=False,
        expects=(
            Expectation(
                split="CamVid test, 480x360, void truth ignored, after 60 of the 160 epochs",
                ours=47.8,
                hardware="2 CPU cores",
                hours=0.64,
                command="roadseg train fast-scnn.camvid --data CAMVID --max-steps 2340",
            ),
        ),
    )


def camvid_fine() -> Recipe:
    """Go on from `camvid`'s weights with images enlarged 1.6 times inside the network's preprocessing.

    At 480x360, a pole is half as wide as one of the network's cells; the first stage does not even fit the poles of
    its training images. The image is enlarged to 768x576 and the crops zoomed accordingly; class weights are milder,
    because they make the first stage see signs on facades.
    """
    return dataclasses.replace(
        camvid(),
        name="fast-scnn.camvid-fine",
        model=Model(name="fast-scnn", options=_OPTIONS, weights="runs/fast-scnn.camvid/last.safetensors"),
        preprocess=Preprocess(short_side=576),
        augment=Augment(crop=(320, 416), scale=(0.9, 2.8), brightness=0.4, contrast=0.4, saturation=0.4),
        loss=CrossEntropy(class_weights="enet", enet_constant=1.2),
        optim=AdamW(lr=1.4e-3, weight_decay=1e-2),
        schedule=Poly(power=0.9, warmup=0.01),
        epochs=50,
        batch_size=8,
        eval_every=10,
        expects=(
            Expectation(
                split="CamVid test, 480x360, void truth ignored",
                ours=56.0,
                hardware="2 CPU cores",
                hours=1.7,
                command="roadseg train fast-scnn.camvid --data CAMVID --max-steps 2340; "
                "roadseg train fast-scnn.camvid-fine --data CAMVID",
            ),
        ),
    )


def synthetic() -> Recipe:
    """Train on rendered streets: the recipe that runs anywhere, with ``roadseg data synth`` as its data."""
    return dataclasses.replace(
        camvid(),
        name="fast-scnn.synthetic",
        data=Data(train="train", val="val"),
        epochs=30,
        ema=0.99,
        eval_every=5,
        select_best=True,
        expects=(),
    )
