"""``roadseg motion train --dry-run``: what a run would do, and what it lacks on this machine."""

from pathlib import Path

import torch

from roadseg.cli.terminal import Terminal
from roadseg.cli.train_parts import attempt
from roadseg.cli.train_plan import spelled
from roadseg.data import StepSampler
from roadseg.data.triplets import Triplets, find_videos
from roadseg.errors import RecipeError
from roadseg.inference import find_weights
from roadseg.inference.motion import optical_flow
from roadseg.inference.motion_weights import build_motion
from roadseg.recipes import FrameNetwork, VideoPrediction
from roadseg.training.motion_start import motion_card

__all__ = ["tell_plan"]


def tell_plan(recipe: VideoPrediction, out: Path, terminal: Terminal) -> int:
    """Print what a run would do; nothing is written. Return 1 when it could not start."""
    spec, missing = recipe.network, list[str]()
    triplets = attempt(lambda: _count(recipe), missing) or 0
    if spec.weights is not None:
        attempt(lambda: find_weights(spec.weights or ""), missing)
    if spec.flow == "dis":
        attempt(lambda: optical_flow("dense inverse search", "network.flow"), missing)
    parameters = _parameters(spec)
    each = StepSampler.steps_per_epoch(triplets, recipe.batch_size) if triplets else 0
    steps = recipe.steps or recipe.epochs * each
    terminal.emit(
        {
            "recipe": recipe.to_json(),
            "out": str(out),
            "parameters": parameters,
            "triplets": triplets,
            "steps": steps,
            "missing": missing,
        }
    )
    task = "reconstructs a frame that it sees" if spec.reconstruction else "predicts the next frame"
    rows = {
        "network": f"SDC-Net2D, {parameters / 1e6:.2f} M parameters, {task}; flow of {spec.flow}",
        "data": f"{triplets or 'triplets'} to train on ({recipe.data.train}), validated on"
        f" {recipe.data.val or 'nothing'}",
        "steps": f"{f'{steps:,}' if steps else f'{recipe.epochs} epochs'}, {recipe.batch_size} crops of"
        f" {recipe.crop[1]}x{recipe.crop[0]} for each process",
        "loss": spelled(recipe.loss),
        "optimizer": spelled(recipe.optim),
        "schedule": spelled(recipe.schedule),
        "folder": str(out),
    }
    terminal.say(
        f"plan of {recipe.name} ({recipe.paper})", *(f"  {key:<10} {text}" for key, text in rows.items())
    )
    if spec.starts_from:
        terminal.say(f"  note       the published run started from {spec.starts_from}")
    for problem in missing:
        terminal.say(f"  missing    {problem}")
    terminal.say("" if missing else "  ready      leave out --dry-run to train")
    return 1 if missing else 0


def _count(recipe: VideoPrediction) -> int:
    """Return the triplets to train on; those to validate on have to be there too."""
    data = recipe.data
    if not data.root:
        raise RecipeError("no videos are named", remedy="give them with --data FOLDER")
    if data.val:
        Triplets(find_videos(data.root, data.val))
    return len(Triplets(find_videos(data.root, data.train)))


def _parameters(spec: FrameNetwork) -> int:
    with torch.device("meta"):
        network = build_motion(motion_card(spec))
    return sum(parameter.numel() for parameter in network.parameters())
