"""Which values a plan may hold."""

import dataclasses
import math
import re

import pytest

from roadseg import recipes
from roadseg.errors import RecipeError
from roadseg.recipes import (
    RMI,
    SGD,
    AdamW,
    Cosine,
    CrossEntropy,
    Lovasz,
    Milestones,
    Ohem,
    Poly,
    RAdam,
    Relaxed,
    RescaledPoly,
    Step,
    Synthetic,
    video_prediction,
)

PLAN = recipes.get("fast-scnn.camvid")
VIDEO = video_prediction.get("sdcnet2d-small.streets")


@pytest.mark.parametrize(
    ("plan", "values"),
    [
        (PLAN, {"batch_size": 0}),
        (PLAN, {"accumulate": 0}),
        (PLAN, {"epochs": 0}),
        (PLAN, {"steps": 0}),
        (PLAN, {"devices": 0}),
        (PLAN, {"clip_norm": 0.0}),
        (PLAN, {"ema": 1.0}),
        (PLAN, {"ema": -0.1}),
        (VIDEO, {"batch_size": 0}),
        (VIDEO, {"epochs": 0}),
        (VIDEO, {"steps": 0}),
        (VIDEO, {"clip_norm": -1.0}),
        (VIDEO, {"flip": 1.1}),
        (VIDEO, {"reverse": -0.1}),
        (Synthetic(root="a"), {"share": 1.1}),
        (Synthetic(root="a"), {"until": -0.1}),
        (CrossEntropy(), {"enet_constant": 1.0}),
        (CrossEntropy(), {"label_smoothing": 1.1}),
        (Ohem(), {"enet_constant": 0.5}),
        (Ohem(), {"threshold": 7.0}),
        (Relaxed(), {"radius": -1}),
        (RMI(), {"radius": 0}),
        (RMI(), {"stride": 0}),
        (RMI(), {"share": -0.5}),
        (Lovasz(), {"stride": 0}),
        (SGD(lr=0.1), {"lr": 0.0}),
        (SGD(lr=0.1), {"lr": math.nan}),
        (SGD(lr=0.1), {"lr": math.inf}),
        (SGD(lr=0.1), {"momentum": 1.0}),
        (SGD(lr=0.1), {"weight_decay": -1e-4}),
        (SGD(lr=0.1, momentum=0.0), {"nesterov": True}),
        (AdamW(lr=0.1), {"lr": -0.1}),
        (AdamW(lr=0.1), {"betas": (0.9, 1.0)}),
        (AdamW(lr=0.1), {"weight_decay": -1e-4}),
        (RAdam(lr=0.1), {"lr": 0.0}),
        (RAdam(lr=0.1), {"betas": (-0.1, 0.9)}),
        (RAdam(lr=0.1), {"weight_decay": -1.0}),
        (Step(every=1), {"every": 0}),
        *((each, {"warmup": 3.0}) for each in (Poly(), RescaledPoly(), Cosine(), Step(every=1))),
        (Milestones(epochs=(1,)), {"warmup": -1.0}),
    ],
)
def test_what_makes_no_sense_is_refused(plan, values):
    (name,) = values
    with pytest.raises(RecipeError, match=rf"^{type(plan).__name__}\.{name}: .*; give "):
        dataclasses.replace(plan, **values)


def test_the_ends_of_a_range_are_allowed():
    dataclasses.replace(PLAN, batch_size=1, accumulate=1, epochs=1, steps=None, clip_norm=None, ema=0.0)
    dataclasses.replace(VIDEO, flip=0.0, reverse=1.0)
    RMI(share=1.0, radius=1, stride=1)
    SGD(lr=1e-9, momentum=0.0, weight_decay=0.0)
    AdamW(lr=0.1, betas=(0.0, 0.999))
    Poly(warmup=1.0)
    Relaxed(radius=0)


def test_the_sentence_says_what_to_give():
    with pytest.raises(
        RecipeError, match=re.escape("SGD.nesterov: needs momentum; give a momentum, or leave")
    ):
        SGD(lr=0.1, momentum=0.0, nesterov=True)
