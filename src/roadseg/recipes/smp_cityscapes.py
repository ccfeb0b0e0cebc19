"""U-Net and DeepLabV3+ on EfficientNet-B4, as massimilianoviola/semantic-segmentation-cityscapes trains them (MIT).

The networks are those of segmentation_models_pytorch (Ronneberger et al. 2015, Chen et al. 2018, Tan and Le 2019).
"""

import dataclasses

from roadseg.recipes.spec import AdamW, Augment, Cosine, Model, Recipe
from roadseg.recipes.splits import CITYSCAPES

__all__ = ["deeplabv3plus", "unet"]


def deeplabv3plus() -> Recipe:
    r"""Train DeepLabV3+ on EfficientNet-B4: Adam, cosine, 60 epochs of random crops of 512, nothing else random.

        roadseg train deeplabv3plus-efficientnet-b4.cityscapes --data CITYSCAPES \
            --model.weights efficientnet-b4.pth

    The source has a 20th class, background, that everything unlabeled is trained as; here those pixels are ignored, as
    the benchmark does. It needs a GPU of 16 GB; no score is published.
    """
    return Recipe(
        name="deeplabv3plus-efficientnet-b4.cityscapes",
        paper="https://arxiv.org/abs/1802.02611",
        model=Model(
            name="smp:deeplabv3plus/efficientnet-b4", starts_from="EfficientNet-B4 trained on ImageNet"
        ),
        data=CITYSCAPES,
        augment=Augment(crop=(512, 512), scale=(1.0, 1.0), flip=0.0),
        optim=AdamW(lr=5e-4, weight_decay=0.0, decoupled=False, decay_all=True),
        schedule=Cosine(final=1e-6 / 5e-4, per="epoch"),
        epochs=60,
        batch_size=8,
        eval_every=5,
    )


def unet() -> Recipe:
    """Train U-Net on EfficientNet-B4, the source's other network: as `deeplabv3plus`.

    roadseg train unet-efficientnet-b4.cityscapes --data CITYSCAPES --model.weights efficientnet-b4.pth
    """
    plan = deeplabv3plus()
    return dataclasses.replace(
        plan,
        name="unet-efficientnet-b4.cityscapes",
        paper="https://arxiv.org/abs/1505.04597",
        model=dataclasses.replace(plan.model, name="smp:unet/efficientnet-b4"),
    )
