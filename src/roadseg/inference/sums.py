"""Labels that are the best sums of probabilities, without the probabilities.

Where sums are all that is done with probabilities (nothing is averaged after them), labels need less than `Probabilities`
computes: of a pixel's classes k with the logits l_k, class T of the other space wins whose sum over k in T of
``exp(l_k - c)`` is largest, whatever the constant c. Probabilities differ from that by a factor that all sums share. So
the classes that are dropped, of MSeg's 194 nine in ten on the way to Cityscapes, need not even be interpolated, and sums
exist for a few rows at a time.
"""

from dataclasses import replace

import torch
from torch import Tensor

from roadseg.inference.strategies import (
    Bounded,
    Part,
    Probabilities,
    ScoreMap,
    ScoreSum,
    Strategy,
    band_rows,
)
from roadseg.inference.winners import first_argmax, label_dtype
from roadseg.labels import LabelMap

__all__ = ["split_sums", "summed_labels"]


def split_sums(strategy: Strategy) -> tuple[Strategy, LabelMap | None]:
    """Return a strategy without the sums that it ends with, and what they sum into; None if it ends otherwise.

    One that keeps to a limit of memory does not: it may have to average windows after the sums.
    """
    match strategy:
        case Probabilities(project=LabelMap() as project):
            return strategy.inner, project
        case Bounded(max_memory=None, inner=Probabilities(project=LabelMap() as project) as sums):
            return replace(strategy, inner=sums.inner), project
    return strategy, None


@torch.inference_mode()
def summed_labels(found: ScoreMap | ScoreSum, size: tuple[int, int], project: LabelMap) -> Tensor:
    """Return the classes, by channel, whose sums of probabilities are the best, ``[B, H, W]``.

    Args:
        found: The network's scores of images.
        size: Height and width of the images.
        project: What is summed into what; a sum of none never wins.
    """
    matrix = torch.from_numpy(project.matrix)
    kept = matrix.any(0).nonzero().squeeze(1)
    parts = found.parts if isinstance(found, ScoreSum) else (Part(found, size),)
    first = parts[0].map.scores
    shape, kind = (len(first), *size), label_dtype(project.target.num_classes)
    labels = torch.zeros(shape, dtype=kind, device=first.device)
    if not len(kept):
        return labels
    matrix, kept = matrix[:, kept].to(first.device), kept.to(first.device)
    few = (part._replace(map=part.map._replace(scores=part.map.scores[:, kept])) for part in parts)
    total = ScoreSum(tuple(few), size)
    for top, bottom in band_rows(size, len(first) * len(kept), first.device):
        rows = total.rows(top, bottom)
        if not total.probabilities:
            rows.sub_(rows.amax(1, keepdim=True)).exp_()
        for image, scores in zip(labels, rows, strict=True):
            sums = (matrix @ scores.flatten(1)).view(-1, *scores.shape[1:])
            image[top:bottom] = first_argmax(sums, sums.amax(0))
    return labels
