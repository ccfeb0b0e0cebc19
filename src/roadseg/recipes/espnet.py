"""ESPNet (Mehta, Rastegari, Caspi, Shapiro, Hajishirzi, ECCV 2018, arXiv 1803.06815)."""

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

__all__ = ["camvid"]

PAPER = "https://arxiv.org/abs/1803.06815"

CAMVID_PREPROCESS = Preprocess(
    order="BGR",
    mean=(110.331, 108.409, 105.033),
    std=(72.126, 72.691, 69.904),
    scale=1 / 255,
)
"""Statistics of the CamVid training set as the authors compute them: the std is the mean of the images' own."""


def camvid() -> Recipe:
    """Train ESPNet (alpha2=2, alpha3=8) on CamVid at 480x360.

    Adam with an L2 penalty of 5e-4 and class-weighted cross entropy as published, in one stage: the encoder's own
    classifier is trained along with the decoder instead of before it. The published figure counts predictions on void
    as false positives.
    """
    return Recipe(
        name="espnet.camvid",
        paper=PAPER,
        model=Model(name="espnet", options={"alpha2": 2, "alpha3": 8}),
        data=Data(train="train+val", val="test"),
        preprocess=CAMVID_PREPROCESS,
        augment=Augment(crop=(256, 320), scale=(0.5, 2.0)),
        loss=CrossEntropy(class_weights="enet", enet_constant=1.1, aux_weights=(1.0,)),
        optim=AdamW(lr=5e-4, weight_decay=5e-4, decoupled=False, decay_all=True),
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
