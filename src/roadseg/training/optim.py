"""Learning rates, parameter groups and averaged weights."""

import math
from typing import assert_never

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from roadseg.recipes import Cosine, Poly, Schedule

__all__ = ["averaged", "learning_rate", "parameter_groups"]


def learning_rate(schedule: Schedule, peak: float, step: int, steps: int) -> float:
    """Return the learning rate of a step; a pure function, so that nothing needs restoring on resume.

    Args:
        schedule: The recipe's schedule.
        peak: Highest rate.
        step: 0 .. steps-1.
        steps: All steps of the run.
    """
    warmup = round(schedule.warmup * steps)
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    progress = (step - warmup) / max(1, steps - warmup)
    match schedule:
        case Poly(power=power):
            return float(peak * (1 - progress) ** power)
        case Cosine(final=final):
            return peak * (final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2)
        case _:
            assert_never(schedule)


def parameter_groups(model: nn.Module, weight_decay: float, decay_all: bool) -> list[dict[str, object]]:
    """Return the optimizer's parameter groups: decayed and not decayed.

    Without ``decay_all``, biases, normalization and activation parameters (fewer than two dimensions) and depthwise
    filters are not decayed (Fast-SCNN, section 4.1, leaves out depthwise filters).
    """
    if decay_all:
        return [{"params": [p for p in model.parameters() if p.requires_grad], "weight_decay": weight_decay}]
    depthwise = {
        id(m.weight) for m in model.modules() if isinstance(m, nn.Conv2d) and m.groups == m.in_channels > 1
    }
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for parameter in model.parameters():
        if parameter.requires_grad:
            (free if parameter.ndim < 2 or id(parameter) in depthwise else decayed).append(parameter)
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]


def averaged(model: nn.Module, decay: float) -> AveragedModel:
    """Return an exponential moving average of a model's parameters and buffers.

    The decay grows with the number of updates, ``min(decay, (1 + n) / (10 + n))``, so that the average does not
    remember the random start.
    """

    @torch.no_grad()
    def update(
        average: list[torch.Tensor] | tuple[torch.Tensor, ...],
        current: list[torch.Tensor] | tuple[torch.Tensor, ...],
        count: torch.Tensor | int,
    ) -> None:
        number = int(count)
        share = 1 - min(decay, (1 + number) / (10 + number))
        if average[0].is_floating_point():
            torch._foreach_lerp_(list(average), list(current), share)
        else:  # counters
            for old, new in zip(average, current, strict=True):
                old.copy_(new)

    return AveragedModel(model, multi_avg_fn=update, use_buffers=True)
