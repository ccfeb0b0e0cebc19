"""Losses written straight from their formulas: slow, large, and easy to check by eye.

They are the oracle of the tests and the baseline of the benchmarks.
"""

from typing import Literal

import torch
import torch.nn.functional as F

__all__ = ["bce_direct", "rmi_direct"]

RIDGE = 5e-4


def bce_direct(logits: torch.Tensor, mask: torch.Tensor, ignore: int) -> torch.Tensor:
    """Return sigmoid cross entropy summed over classes and valid pixels, divided by one more than these pixels."""
    valid = mask != ignore
    one_hot = _one_hot(logits, mask, valid)
    terms = F.binary_cross_entropy_with_logits(
        logits, one_hot, weight=valid[:, None].float(), reduction="sum"
    )
    return terms / (valid.sum() + 1)


def rmi_direct(
    logits: torch.Tensor,
    mask: torch.Tensor,
    ignore: int,
    *,
    share: float = 0.5,
    radius: int = 3,
    stride: int = 4,
    pool: Literal["average", "max", "interpolate"] = "average",
) -> torch.Tensor:
    """Return the RMI loss of ``[B, C, H, W]`` logits: every region written out, in float64.

    Zhao, Wang, Yang, Cai: Region Mutual Information Loss for Semantic Segmentation, NeurIPS 2019, equations 10 to 14.
    """
    valid = mask != ignore
    one_hot = _one_hot(logits, mask, valid)
    probability = logits.sigmoid() * valid[:, None] + 1e-6
    truths = _regions(_pooled(one_hot, stride, pool, nearest=True), radius)
    guesses = _regions(_pooled(probability, stride, pool), radius)
    ridge = RIDGE * torch.eye(radius**2, dtype=torch.float64, device=logits.device)
    inverse = torch.inverse(guesses @ guesses.mT + ridge)
    cross = truths @ guesses.mT
    rest = truths @ truths.mT - cross @ inverse @ cross.mT
    factor = torch.linalg.cholesky(rest + ridge)
    half_logdet = (factor.diagonal(dim1=-2, dim2=-1) + 1e-8).log().sum(-1)
    region = (half_logdet / radius**2).sum(1).mean().float()
    return (1 - share) * bce_direct(logits, mask, ignore) + share * region


def _one_hot(logits: torch.Tensor, mask: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    classes = logits.shape[1]
    hot = F.one_hot(mask.long() * valid, classes).float() * valid[..., None]
    return hot.permute(0, 3, 1, 2)


def _pooled(maps: torch.Tensor, stride: int, pool: str, nearest: bool = False) -> torch.Tensor:
    if pool == "average":
        return F.avg_pool2d(maps, stride, stride, stride // 2)
    if pool == "max":
        return F.max_pool2d(maps, stride, stride, stride // 2)
    size = [side // stride for side in maps.shape[-2:]]
    if nearest:
        return F.interpolate(maps, size, mode="nearest")
    return F.interpolate(maps, size, mode="bilinear", align_corners=True)


def _regions(maps: torch.Tensor, radius: int) -> torch.Tensor:
    """Return ``[B, C, radius^2, positions]`` centered regions in float64."""
    rows, columns = (side - radius + 1 for side in maps.shape[-2:])
    shifted = [
        maps[..., y : y + rows, x : x + columns].flatten(2) for y in range(radius) for x in range(radius)
    ]
    stacked = torch.stack(shifted, 2).double()
    return stacked - stacked.mean(-1, keepdim=True)
