"""The best class of each pixel, and how probable it is."""

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Canvas", "first_argmax", "label_dtype", "magnitude"]


def label_dtype(num_classes: int) -> torch.dtype:
    """Return the smallest integer type that numbers so many classes, and that torch computes with."""
    if num_classes <= 2**8:
        return torch.uint8
    return torch.int16 if num_classes <= 2**15 else torch.int32


@dataclass(frozen=True)
class Canvas:
    """The labels ``[H, W]`` of one picture and, if asked for, their confidence, to be painted."""

    labels: Tensor
    confidence: Tensor | None
    probabilities: bool

    def paint(self, pixels: Tensor | slice, scores: Tensor, *, finite: bool) -> None:
        """Write the winners of ``scores [C, ...]``, which are overwritten, to `pixels` counted in reading order."""
        best = scores.amax(0)
        if self.confidence is not None:
            chance = best if self.probabilities else (scores - best).exp_().sum(0).reciprocal_()
            self.confidence.view(-1)[pixels] = chance.clamp_max(1)
        winner = first_argmax(scores, best) if finite else scores.max(0).indices
        self.labels.view(-1)[pixels] = winner.to(self.labels.dtype)


def magnitude(image: Tensor) -> float:
    """The largest absolute score in float32; not finite if any score is not."""
    return float(torch.stack(image.aminmax()).float().abs().amax())


def first_argmax(scores: Tensor, best: Tensor) -> Tensor:
    """The lowest class that attains ``best = scores.amax(0)``, as ``scores.max(0).indices``, for finite scores.

    Classes that attain the best get their rank, counted down from C, the others 0; the highest rank is the lowest
    class. These are plain passes over whole planes, which vectorize, where ``max(dim)`` walks from class to class for
    every pixel. `scores` are overwritten.
    """
    ranks = torch.arange(len(scores), 0, -1, dtype=scores.dtype, device=scores.device)
    ranked = scores.ge_(best).mul_(ranks.view(-1, *(1,) * best.ndim))
    return len(scores) - ranked.amax(0)
