"""Predicting the next frame of a video, by which labels travel (Zhu et al., CVPR 2019, arXiv 1812.01593, section 3.1).

The network is SDC-Net2D, the 2D form of SDC-Net (Reda et al., ECCV 2018, arXiv 1811.00684): it predicts a flow, by which
the last known frame becomes the next one. `roadseg motion train NAME` trains by these plans.
"""

import dataclasses
import difflib
import inspect
from collections.abc import Callable

from roadseg.errors import RecipeError
from roadseg.recipes.spec import AdamW, FrameNetwork, Milestones, Poly, VideoPrediction, Videos

__all__ = ["about", "cityscapes", "cityscapes_reconstruction", "get", "names", "small_streets"]

PAPER = "https://arxiv.org/abs/1812.01593"


def cityscapes() -> VideoPrediction:
    r"""Train SDC-Net2D to predict the next frame from two, on the video of Cityscapes.

        torchrun --nproc-per-node 8 -m roadseg motion train sdcnet2d.cityscapes --data CITYSCAPES \
            --network.weights flownet2.pth

    500 epochs of Adam at 1e-4, a tenth of that from epoch 250 and a hundredth from 450; 4 crops of 448 on each GPU; a
    loss of pixels, gradients and smoothness by 0.7, 0.2 and 0.1; seed 1234 (published script). FlowNet2 inside starts
    from its own published weights and keeps them. Chosen here: no weight decay. Crops are the only random change that the
    source names.
    """
    return VideoPrediction(
        name="sdcnet2d.cityscapes",
        paper=PAPER,
        network=FrameNetwork(starts_from="FlowNet2 as published by its authors, kept as it is"),
        data=Videos(val="val"),
        crop=(448, 448),
        optim=AdamW(lr=1e-4, weight_decay=0.0, decoupled=False),
        schedule=Milestones(epochs=(250, 450), factor=0.1),
        epochs=500,
        batch_size=4,
        seed=1234,
    )


def cityscapes_reconstruction() -> VideoPrediction:
    r"""Train SDC-Net2D to reconstruct the last of three frames from the one before, all three of which it sees.

        torchrun --nproc-per-node 8 -m roadseg motion train sdcnet2d-recon.cityscapes --data CITYSCAPES \
            --network.weights flownet2.pth

    The plan of `cityscapes`. When labels are propagated, the frame that they go to is there to be looked at (section
    3.1, "video reconstruction").
    """
    plan = cityscapes()
    return dataclasses.replace(
        plan,
        name="sdcnet2d-recon.cityscapes",
        network=dataclasses.replace(plan.network, reconstruction=True),
    )


def small_streets() -> VideoPrediction:
    """Train an eighth as wide an SDC-Net2D to reconstruct frames of rendered streets, in minutes on a processor.

        roadseg data synth clips/ --images 0 --sequences 12 --frames 12 --size 128x192
        roadseg motion train sdcnet2d-small.streets --data clips/

    Everything is chosen here. The flow that FlowNet2 would compute is that of dense inverse search, which needs no
    weights; the last layer starts as one that passes this flow on, so that training refines it.
    """
    return VideoPrediction(
        name="sdcnet2d-small.streets",
        paper=PAPER,
        network=FrameNetwork(reconstruction=True, width=0.125, flow="dis", starts_at="flow"),
        crop=(128, 128),
        flip=0.5,
        reverse=0.5,
        optim=AdamW(lr=5e-4, weight_decay=0.0, decoupled=False),
        schedule=Poly(power=0.9, warmup=0.02),
        epochs=20,
        steps=600,
        batch_size=4,
        clip_norm=1.0,
        eval_every=5,
        workers=0,
    )


_RECIPES: dict[str, Callable[[], VideoPrediction]] = {
    "sdcnet2d-recon.cityscapes": cityscapes_reconstruction,
    "sdcnet2d-small.streets": small_streets,
    "sdcnet2d.cityscapes": cityscapes,
}


def names() -> tuple[str, ...]:
    """Return the names of all plans, sorted."""
    return tuple(sorted(_RECIPES))


def get(name: str) -> VideoPrediction:
    """Return a plan by name.

    Raises:
        RecipeError: There is none of that name.
    """
    if name not in _RECIPES:
        near = difflib.get_close_matches(name, names(), n=1)
        known = f"there are {', '.join(names())}"
        raise RecipeError(
            f"there is no plan {name!r} to train motion by",
            remedy=f"did you mean {near[0]}? {known}" if near else known,
        )
    return _RECIPES[name]()


def about(name: str) -> str:
    """Return what a plan's function says about it: what is published, what is chosen.

    Raises:
        RecipeError: There is none of that name.
    """
    get(name)
    return inspect.getdoc(_RECIPES[name]) or ""
