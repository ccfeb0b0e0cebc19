"""PSPNet (Zhao, Shi, Qi, Wang, Jia, CVPR 2017, arXiv 1612.01105), as the authors train it in hszhao/semseg."""

import dataclasses

from roadseg.recipes.spec import SGD, Augment, Auxiliary, Expectation, Model, Poly, Recipe
from roadseg.recipes.splits import CITYSCAPES

__all__ = ["resnet50_cityscapes", "resnet101_cityscapes"]

PAPER = "https://arxiv.org/abs/1612.01105"


def resnet50_cityscapes() -> Recipe:
    r"""Train PSPNet on ResNet-50: SGD, 200 epochs, rotations up to 10 degrees, blur, ten times the trunk's rate above it.

        torchrun --nproc-per-node 8 -m roadseg train pspnet-resnet50.cityscapes --data CITYSCAPES \
            --model.weights resnet50_v2.pth

    The blur's kernel is 5x5 and half of the images are blurred, as in MSeg, which continues this code; OpenCV's standard
    deviation for that kernel is 1.1. The hardware of the source is not known.
    """
    return Recipe(
        name="pspnet-resnet50.cityscapes",
        paper=PAPER,
        model=Model(
            name="pspnet-resnet50",
            starts_from="ResNet-50 with a deep stem trained on ImageNet (resnet50_v2.pth of semseg)",
        ),
        data=CITYSCAPES,
        augment=Augment(
            crop=(713, 713),
            scale=(0.5, 2.0),
            scale_draw="uniform",
            place="center",
            rotate=10.0,
            rotate_p=0.5,
            blur="gaussian",
            blur_sigma=(1.1, 1.1),
            blur_p=0.5,
        ),
        aux=Auxiliary(weights=(0.4,), at="image"),
        optim=SGD(lr=1e-1, weight_decay=1e-4, trunk_lr=0.1),
        schedule=Poly(power=0.9),
        epochs=200,
        batch_size=16,
        devices=8,
        eval_every=10,
        expects=(
            Expectation(split="Cityscapes val, one scale (hszhao/semseg)", published=77.30),
            Expectation(split="Cityscapes val, several scales (hszhao/semseg)", published=78.38),
        ),
    )


def resnet101_cityscapes() -> Recipe:
    """Train PSPNet on ResNet-101: as `resnet50_cityscapes`.

    torchrun --nproc-per-node 8 -m roadseg train pspnet-resnet101.cityscapes --data CITYSCAPES
    """
    return dataclasses.replace(
        resnet50_cityscapes(),
        name="pspnet-resnet101.cityscapes",
        model=Model(
            name="pspnet-resnet101", starts_from="ResNet-101 with a deep stem trained on ImageNet (semseg)"
        ),
        expects=(
            Expectation(split="Cityscapes val, one scale (hszhao/semseg)", published=78.63),
            Expectation(split="Cityscapes val, several scales (hszhao/semseg)", published=79.29),
            Expectation(split="Cityscapes val, one scale (hszhao/PSPNet, Caffe)", published=79.70),
            Expectation(split="Cityscapes val, several scales (hszhao/PSPNet, Caffe)", published=80.91),
        ),
    )
