"""Learning rates of a run's steps."""

import math
from typing import assert_never

from roadseg.recipes import Cosine, Milestones, Poly, RescaledPoly, Schedule, Step

__all__ = ["learning_rate"]


def learning_rate(schedule: Schedule, peak: float, step: int, steps: int, steps_per_epoch: int) -> float:
    """Return the learning rate of a step; a pure function, so that nothing needs restoring on resume.

    During the warm-up the rate grows linearly, from above zero to just below the peak. `Poly` and `Cosine` then spread
    over the steps that are left; `RescaledPoly`, `Step` and `Milestones` count epochs from the start of the run, as their formulas do.
    The last step of a run has a rate above zero: progress is taken at the beginning of a step or an epoch.

    Args:
        schedule: The recipe's schedule.
        peak: Highest rate.
        step: 0 .. steps-1.
        steps: All steps of the run; not necessarily whole epochs.
        steps_per_epoch: Steps of an epoch.

    Returns:
        A rate in 0..peak; above the peak only where `RescaledPoly` has a ``rescale`` above 1.
    """
    warmup = round(schedule.warmup * steps)
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    epoch = step // steps_per_epoch
    match schedule:
        case Poly():
            progress = _progress(schedule.per == "epoch", step, warmup, steps, steps_per_epoch)
            doubled = schedule.double_from is not None and epoch >= schedule.double_from
            return float(peak * _left(progress) ** (schedule.power * (2 if doubled else 1)))
        case RescaledPoly():
            return peak * _rescaled(schedule, epoch, steps / steps_per_epoch)
        case Cosine(final=final):
            progress = _progress(schedule.per == "epoch", step, warmup, steps, steps_per_epoch)
            return peak * (final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2)
        case Step():
            return float(peak * schedule.factor ** (epoch // schedule.every))
        case Milestones():
            return float(peak * schedule.factor ** sum(epoch >= each for each in schedule.epochs))
        case _:
            assert_never(schedule)


def _progress(by_epoch: bool, step: int, warmup: int, steps: int, steps_per_epoch: int) -> float:
    """Return how much of the run after the warm-up is over: at the step, or where its epoch began."""
    place = step // steps_per_epoch * steps_per_epoch if by_epoch else step
    return max(0, place - warmup) / max(1, steps - warmup)


def _rescaled(schedule: RescaledPoly, epoch: int, epochs: float) -> float:
    if epoch < schedule.restart:
        return float(_left(epoch / epochs) ** schedule.power)
    after = (epoch - schedule.restart) / max(1.0, epochs - schedule.restart)
    return float(schedule.rescale * _left(after) ** schedule.power_after)


def _left(progress: float) -> float:
    return max(0.0, 1 - progress)
