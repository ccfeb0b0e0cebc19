"""Cross entropy over the hard pixels only."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from roadseg.losses.criterion import Criterion

__all__ = ["OhemLoss"]

_AT_ONCE = (
    2**20
)  # logits looked at together: few enough to stay in a processor's cache, many enough for a GPU


class OhemLoss(Criterion):
    """Cross entropy, averaged over the hard pixels (online hard example mining).

    Shrivastava, Gupta, Girshick, CVPR 2016, for pixels as in BiSeNet (Yu et al., ECCV 2018, section 3.3) and its
    successors. A pixel is hard when the probability of its true class is at most the larger of ``threshold`` and the
    k-th smallest such probability in the batch, ``k = max(min_kept, min_share * pixels)``. So at least k pixels are
    kept; all valid ones, when there are fewer than k or when k is 0.

    Every part of a step that is split over processes or micro-batches mines its own pixels, as in the published
    code; the parts' means are weighted by their valid pixels.

    Args:
        ignore: The mask id that means "no truth here".
        threshold: Probability, 0..1.
        min_kept: Pixels of the batch.
        min_share: Part of all the batch's pixels, 0..1; BiSeNet's code takes 1/16.
        class_weights: ``[C]``; the mean over the kept pixels is then weighted by each pixel's class weight. What is
            hard does not depend on them.
    """

    class_weights: torch.Tensor | None

    def __init__(
        self,
        ignore: int,
        *,
        threshold: float = 0.7,
        min_kept: int = 100_000,
        min_share: float = 0.0,
        class_weights: torch.Tensor | None = None,
    ) -> None:
        super().__init__(ignore)
        self.threshold = threshold
        self.min_kept = min_kept
        self.min_share = min_share
        self.register_buffer("class_weights", class_weights)

    def sums(self, logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return, as ``[1]``, the mean over the kept pixels times the number of valid ones."""
        valid = mask != self.ignore
        target = mask.masked_fill(~valid, 0).long()
        with torch.no_grad():
            loss, scale = _cross_entropy(logits, target)
            loss = loss.masked_fill_(~valid, 0)
            weights = self.kept(loss, valid).to(loss.dtype)
            if self.class_weights is not None:
                weights *= self.class_weights[target]
            weights *= valid.count_nonzero() / weights.sum().clamp(min=1e-12)
        total: torch.Tensor = _WeightedSum.apply(logits, target, loss, scale, weights)
        return total.reshape(1)

    def normalizers(self, mask: torch.Tensor) -> torch.Tensor:
        """Return, as ``[1]``, the number of valid pixels."""
        return (mask != self.ignore).count_nonzero().float().reshape(1)

    def kept(self, loss: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        """Return which pixels are mined.

        Args:
            loss: ``[B, H, W]`` cross entropy, which is minus the logarithm of the true class's probability; 0 where
                there is no truth.
            valid: ``[B, H, W]`` where there is one.
        """
        wanted = max(self.min_kept, math.ceil(self.min_share * loss.numel()))
        if not 0 < wanted <= int(valid.count_nonzero()):
            return valid
        limit = -math.log(self.threshold) if self.threshold > 0 else math.inf
        hard = loss >= limit
        if (
            int(hard.count_nonzero()) < wanted
        ):  # else the k-th value is beyond the limit, and need not be known
            hard = loss >= loss.flatten().topk(wanted, sorted=False).values.amin()
        return hard & valid


class _WeightedSum(torch.autograd.Function):
    """The sum of cross entropies times weights, where the cross entropies are known already.

    What has been computed to find them gives the gradient too, and no table of probabilities is kept for it.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch's own
        logits: torch.Tensor,
        target: torch.Tensor,
        loss: torch.Tensor,
        scale: torch.Tensor,
        weights: torch.Tensor,
    ) -> torch.Tensor:
        ctx.save_for_backward(logits, target, scale, weights)
        return (loss * weights).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, factor: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # noqa: ANN401
        logits, target, scale, weights = ctx.saved_tensors
        weights = weights * factor
        gradient = torch.empty_like(logits)
        for index in _blocks(logits):
            probabilities = torch.sub(logits[index], scale[index], out=gradient[index]).exp_()
            probabilities.mul_(weights[index]).scatter_add_(0, target[index][None], -weights[index][None])
        return gradient, None, None, None, None


def _cross_entropy(logits: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ``[B, H, W]`` cross entropies and log-sums of exponentials: probabilities are exp(logits - log-sum)."""
    loss, scale = (torch.empty_like(target, dtype=logits.dtype) for _ in range(2))
    for index in _blocks(logits):
        scores = logits[index]
        torch.logsumexp(scores, 0, out=scale[index])
        torch.sub(scale[index], scores.gather(0, target[index][None])[0], out=loss[index])
    return loss, scale


def _blocks(logits: torch.Tensor) -> Iterator[tuple[Any, ...]]:
    """Cut maps into rows of one image, as indices that serve both ``[B, C, H, W]`` and ``[B, H, W]``."""
    batch, classes, height, width = logits.shape
    rows = max(1, _AT_ONCE // (classes * width))
    for image in range(batch):
        for top in range(0, height, rows):
            yield image, ..., slice(top, top + rows), slice(None)
