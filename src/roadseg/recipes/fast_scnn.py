"""Fast-SCNN, trained from scratch (Poudel, Liwicki, Cipolla, BMVC 2019, arXiv 1902.04502)."""

import dataclasses

from roadseg.recipes.half_hour import ZOOMED, half_hour
from roadseg.recipes.spec import (
    SGD,
    AdamW,
    Augment,
    Auxiliary,
    CrossEntropy,
    Data,
    Expectation,
    Lovasz,
    Model,
    Poly,
    Preprocess,
    RareClass,
    Recipe,
)
from roadseg.recipes.splits import CAMVID, CITYSCAPES

__all__ = [
    "camvid",
    "camvid_30min",
    "camvid_fine",
    "camvid_refined",
    "camvid_regions",
    "camvid_varied",
    "cityscapes",
    "synthetic",
]

PAPER = "https://arxiv.org/abs/1902.04502"

_OPTIONS = {"aux": ("stem", "context"), "align_corners": False}
"""The paper's two auxiliary classifiers, and a grid that is the same at every image size."""


def cityscapes() -> Recipe:
    """Train on Cityscapes as the paper does: SGD, 1000 epochs, no pretraining (all recalled, not verified).

        torchrun --nproc-per-node 4 -m roadseg train fast-scnn.cityscapes --data CITYSCAPES

    The size of the crops, the strength of the color changes and the number of GPUs are chosen here. On the paper's 69.1
    to 69.2 with ImageNet or coarse labels there is no recipe.
    """
    return Recipe(
        name="fast-scnn.cityscapes",
        paper=PAPER,
        model=Model(name="fast-scnn", options={"aux": ("stem", "context")}),
        data=CITYSCAPES,
        augment=Augment(crop=(768, 1536), scale=(0.5, 2.0), brightness=0.25, contrast=0.25, saturation=0.25),
        aux=Auxiliary(weights=(0.4,), at="image"),
        optim=SGD(lr=0.045, weight_decay=4e-5, decay_all=False),
        schedule=Poly(power=0.9),
        epochs=1000,
        batch_size=12,
        devices=4,
        eval_every=20,
        expects=(
            Expectation(split="Cityscapes val (paper)", published=68.6),
            Expectation(split="Cityscapes test (paper)", published=68.0),
        ),
    )


def camvid() -> Recipe:
    """Train on CamVid's 468 training and validation images at 480x360; score on its 233 test images.

        roadseg train fast-scnn.camvid --data CAMVID

    The paper has no CamVid result. Its auxiliary weight, its decay of full convolutions only, its poly schedule and
    "no pretraining, many epochs" are kept. AdamW replaces its SGD, which was behind at every epoch of a short trial;
    mild class weights are added for poles and signs.
    """
    loss = CrossEntropy(class_weights="enet", enet_constant=1.1)
    return Recipe(
        name="fast-scnn.camvid",
        paper=PAPER,
        model=Model(name="fast-scnn", options=_OPTIONS),
        data=CAMVID,
        augment=Augment(crop=(256, 320), scale=(0.5, 2.0), brightness=0.4, contrast=0.4, saturation=0.4),
        loss=loss,
        aux=Auxiliary(weights=(0.4,), loss=loss),
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

        roadseg train fast-scnn.camvid --data CAMVID --max-steps 2340
        roadseg train fast-scnn.camvid-fine --data CAMVID

    At 480x360, a pole is half as wide as one of the network's cells; the first stage does not even fit the poles of
    its training images. The image is enlarged to 768x576 and the crops zoomed accordingly; class weights are milder,
    because they make the first stage see signs on facades.
    """
    loss = CrossEntropy(class_weights="enet", enet_constant=1.2)
    return dataclasses.replace(
        camvid(),
        name="fast-scnn.camvid-fine",
        model=Model(name="fast-scnn", options=_OPTIONS, weights="runs/fast-scnn.camvid/last.safetensors"),
        preprocess=Preprocess(short_side=576),
        augment=ZOOMED,
        loss=loss,
        aux=Auxiliary(weights=(0.4,), loss=loss),
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


def camvid_refined() -> Recipe:
    """Go on from `camvid_fine`'s weights with corrections of the logits at a quarter of the image.

        roadseg train fast-scnn.camvid-refined --data CAMVID --max-steps 1450

    The corrections (`roadseg.models.fast_scnn`) cost one part in a hundred and let thin things be drawn. Half of the crops
    are cut around poles, signs, people and bicyclists, so class weights can be milder still. Nothing is watched during
    the run: all labeled images outside of the test split are trained on.
    """
    loss = CrossEntropy(class_weights="enet", enet_constant=1.4)
    fine = camvid_fine()
    return dataclasses.replace(
        fine,
        name="fast-scnn.camvid-refined",
        model=Model(
            name="fast-scnn",
            options={**_OPTIONS, "refine": 48},
            weights="runs/fast-scnn.camvid-fine/last.safetensors",
        ),
        data=dataclasses.replace(CAMVID, val=""),
        augment=dataclasses.replace(ZOOMED, hue=0.03),
        sampling=RareClass(share=0.5, power=0.5, tile=128),
        loss=loss,
        aux=Auxiliary(weights=(0.4,), loss=loss),
        epochs=64,
        eval_every=5,
        select_best=True,  # there is nothing to select on: the last weights are kept
        seed=8,
        expects=(),
    )


def camvid_varied() -> Recipe:
    """Go on from `camvid_refined`'s weights with images that look more different from each other.

        roadseg train fast-scnn.camvid-varied --data CAMVID

    What separates training from test images by now is streets that look different: colors change more, images turn and
    blur a little, and weights decay three times as fast.
    """
    refined = camvid_refined()
    return dataclasses.replace(
        refined,
        name="fast-scnn.camvid-varied",
        model=dataclasses.replace(refined.model, weights="runs/fast-scnn.camvid-refined/last.safetensors"),
        augment=dataclasses.replace(
            ZOOMED,
            scale=(0.8, 3.0),
            rotate=3.0,
            rotate_p=0.3,
            brightness=0.5,
            contrast=0.5,
            saturation=0.5,
            hue=0.05,
            blur="gaussian",
            blur_sigma=(0.3, 1.5),
            blur_p=0.2,
        ),
        optim=AdamW(lr=1.4e-3, weight_decay=3e-2),
        epochs=72,
        eval_every=4,
        seed=9,
        expects=(
            Expectation(
                split="CamVid test, 480x360, void truth ignored",
                ours=59.98,
                hardware="2 CPU cores",
                hours=3.6,
                command="the four stages up to this one, as `make weights DATA=CAMVID` trains them",
            ),
        ),
    )


def camvid_regions() -> Recipe:
    """Go on from `camvid_varied`'s weights with a loss of whole regions beside that of pixels: what ships.

        roadseg train fast-scnn.camvid-regions --data CAMVID

    Lovasz-softmax is the score itself, made continuous: it counts a class as much as any other, however few its pixels,
    so the pixels' cross entropy needs no class weights any more. `make weights DATA=CAMVID` trains the four stages
    before, too.
    """
    varied = camvid_varied()
    return dataclasses.replace(
        varied,
        name="fast-scnn.camvid-regions",
        model=dataclasses.replace(varied.model, weights="runs/fast-scnn.camvid-varied/last.safetensors"),
        loss=Lovasz(stride=4, cross_entropy=1.0),
        epochs=100,
        seed=10,
        expects=(
            Expectation(
                split="CamVid test, 480x360, void truth ignored",
                ours=62.65,
                hardware="2 CPU cores",
                hours=5.4,
                command="make weights DATA=CAMVID",
            ),
        ),
    )


def synthetic() -> Recipe:
    """Train on rendered streets: the recipe that runs anywhere, with ``roadseg data synth`` as its data.

    roadseg data synth STREETS
    roadseg train fast-scnn.synthetic --data STREETS
    """
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


def camvid_30min() -> Recipe:
    """Train from scratch on CamVid, half an hour on two cores, images enlarged 1.6 times.

    roadseg train fast-scnn.camvid-30min --data CAMVID
    """
    return half_hour(
        "fast-scnn.camvid-30min",
        PAPER,
        Model(name="fast-scnn", options=_OPTIONS),
        measured=(51.05, 1.24),
        preprocess=Preprocess(short_side=576),
        augment=ZOOMED,
        epochs=50,
        eval_every=10,
    )
