"""Presets: how much care is taken over an image, and what it costs."""

from typing import Literal

import torch
from torch import nn

from roadseg.errors import RecipeError
from roadseg.inference.strategies import (
    Bounded,
    Flip,
    Hierarchical,
    MultiScale,
    Probabilities,
    Sliding,
    Strategy,
    Whole,
    projected,
    view_sizes,
)
from roadseg.labels import LabelMap

__all__ = ["QUALITIES", "QualityName", "choose", "cost", "gives_attention", "mseg_protocol"]

QualityName = Literal["fast", "balanced", "best"]
QUALITIES: tuple[QualityName, ...] = ("fast", "balanced", "best")

_BEST_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
_ATTENTION_SCALES = (0.5, 1.0, 2.0)
_WINDOW_STEP = 0.75
_PROBE = 128


def choose(
    quality: QualityName,
    model: nn.Module,
    *,
    scales: tuple[float, ...] | None = None,
    flip: bool = False,
    window: int | None = None,
    max_memory: int | None = None,
    to: LabelMap | None = None,
) -> Strategy:
    """Return the strategy of a preset for a network, with some of its choices replaced.

    Images that do not fit in memory are cut into windows in any case.

    Args:
        quality: ``fast`` runs the image once, ``balanced`` also its mirror image, ``best`` several scales of both, or
            those that the network learned to blend by attention.
        model: The network.
        scales: Scales, instead of the preset's.
        flip: Take the mirror image as well, whatever the preset.
        window: Side of sliding windows in pixels, instead of the whole image.
        max_memory: Bytes that the network may take at a time.
        to: Sum probabilities into these classes.

    Raises:
        RecipeError: A choice is not usable.
    """
    leaf: Strategy = Bounded(max_memory) if window is None else _windows(window, model, max_memory)
    if scales is None and quality == "best":
        scales = _ATTENTION_SCALES if gives_attention(model) else _BEST_SCALES
    if scales is not None and 1 in scales and quality == "best" and gives_attention(model):
        blended = Hierarchical(scales)
        if window is None:
            strategy: Strategy = Bounded(max_memory, blended)
        else:
            strategy = Sliding(window, stride=_step(window, model), inner=blended, batch=1)
        strategy = Flip(strategy) if flip else strategy
    elif scales is not None:
        strategy = MultiScale(scales, flip=flip or quality != "fast", inner=leaf)
    else:
        strategy = Flip(leaf) if flip or quality == "balanced" else leaf
    return strategy if to is None or to.is_identity else projected(strategy, to)


def mseg_protocol(
    short_side: int,
    scales: tuple[float, ...] = (1.0,),
    *,
    window: int = 713,
    flip: bool = False,
    to: LabelMap | None = None,
) -> Strategy:
    """Return how MSeg is evaluated: probabilities averaged over windows, views and scales of a length of the shorter side.

    Lambert et al., MSeg, CVPR 2020, section 5: windows of 713 pixels, each two thirds of that from the last, of the
    image at 360, 720 and 1080 pixels, of which the best is reported; smaller images are padded with the mean.

    Args:
        short_side: Length of the image's shorter side at scale 1, in pixels.
        scales: Factors of that.
        window: Side of the windows in pixels; 0 for the whole image at once.
        flip: Average every window with its mirror image.
        to: Sum probabilities into these classes.

    Raises:
        RecipeError: A number is not usable.
    """
    if short_side < 1 or window < 0:
        raise RecipeError(
            f"a short side of {short_side} and windows of {window} pixels are not possible",
            remedy="for example 1080 and 713",
        )
    wanted = None if to is None or to.is_identity else to
    view: Strategy = Probabilities(Whole(extend="auto") if window else Bounded(), wanted)
    view = Flip(view) if flip else view
    windows = Sliding(window, overlap=1 / 3, pad=True, inner=view) if window else view
    return MultiScale(scales, inner=windows, short_side=short_side)


def _windows(window: int, model: nn.Module, max_memory: int | None) -> Strategy:
    if window < 1:
        raise RecipeError(
            f"windows of {window} pixels see nothing", where="--window", remedy="for example 1024"
        )
    return Sliding(window, stride=_step(window, model), max_memory=max_memory)


def _step(window: int, model: nn.Module) -> int:
    """Return three quarters of a window, in whole cells of the network, so that windows merge at its resolution."""
    stride = int(model.stride)  # type: ignore[arg-type]
    return min(window, max(stride, int(window * _WINDOW_STEP) // stride * stride))


def gives_attention(model: nn.Module) -> bool:
    """Return whether a network says how far its scores are to be trusted at a scale (`roadseg.models.hierarchical`)."""
    if not any(name.startswith("scale_attn") for name, _ in model.named_children()):
        return False  # spares a run of a large network for nothing
    first = next(model.parameters())
    training = model.training
    with torch.inference_mode():
        output = model.eval()(torch.zeros(1, 3, _PROBE, _PROBE, device=first.device, dtype=first.dtype))
    model.train(training)
    return getattr(output, "attention", None) is not None


def cost(strategy: Strategy, size: tuple[int, int]) -> tuple[int, float]:
    """Return what a strategy costs for an image of a height and width.

    Returns:
        How often the network runs, and its multiply-adds relative to running the whole image once.
    """
    sizes = view_sizes(strategy, size)
    whole = view_sizes(Whole(), size)
    return len(sizes), sum(h * w for h, w in sizes) / sum(h * w for h, w in whole)
