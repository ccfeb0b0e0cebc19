"""DF1-Seg and DF2-Seg (Li, Zhou, Pan, Feng, Partial Order Pruning, CVPR 2019, arXiv 1903.03777)."""

from roadseg.recipes.fast_seg import fast_seg
from roadseg.recipes.spec import Expectation, Model, Recipe

__all__ = ["df1_cityscapes", "df2_seg1_cityscapes", "df2_seg2_cityscapes"]

PAPER = "https://arxiv.org/abs/1903.03777"


def df1_cityscapes() -> Recipe:
    """Train DF1-Seg on Cityscapes.

        torchrun --nproc-per-node 4 -m roadseg train df1-seg.cityscapes --data CITYSCAPES --model.weights dfnetv1.pth

    The authors' own training is not published, beyond a weight decay of 1e-4, "else worse". The rest is lxtGH/Fast_Seg's
    plan for these networks. The PyTorch files of the trunks expect RGB, the authors' Caffe files do not.
    """
    return _plan("df1-seg", "DF1 trained on ImageNet (dfnetv1.pth of SFSegNets)", val=74.1, test=73.0)


def df2_seg1_cityscapes() -> Recipe:
    """Train DF2-Seg1 on Cityscapes: as `df1_cityscapes`.

    torchrun --nproc-per-node 4 -m roadseg train df2-seg1.cityscapes --data CITYSCAPES --model.weights dfnetv2.pth
    """
    return _plan("df2-seg1", _DF2, val=75.9, test=74.8)


def df2_seg2_cityscapes() -> Recipe:
    """Train DF2-Seg2, the wider decoder, on Cityscapes: as `df1_cityscapes`.

    torchrun --nproc-per-node 4 -m roadseg train df2-seg2.cityscapes --data CITYSCAPES --model.weights dfnetv2.pth
    """
    return _plan("df2-seg2", _DF2, val=76.9, test=75.3)


_DF2 = "DF2 trained on ImageNet (dfnetv2.pth of SFSegNets)"


def _plan(network: str, starts_from: str, *, val: float, test: float) -> Recipe:
    return fast_seg(
        f"{network}.cityscapes",
        PAPER,
        Model(name=network, starts_from=starts_from),
        weight_decay=1e-4,
        expects=(
            Expectation(split="Cityscapes val (paper)", published=val),
            Expectation(split="Cityscapes test (paper)", published=test),
        ),
    )
