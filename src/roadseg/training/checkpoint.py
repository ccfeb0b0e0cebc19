"""The state of a training run on disk: everything that an interrupted run needs to end as if it never had been."""

import io
import json
import pickle
from pathlib import Path
from typing import Any

import torch

from roadseg.errors import OutputError, RecipeError, WeightsError
from roadseg.media import atomic_path
from roadseg.recipes import Recipe, VideoPrediction
from roadseg.recipes.changes import changes

__all__ = ["SAVE_SECONDS", "check_same_recipe", "load_state", "save_state"]

SAVE_SECONDS = 300.0
"""A run saves its state as often."""


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write a state of tensors and plain values, atomically.

    Raises:
        OutputError: The file cannot be written.
    """
    buffer = io.BytesIO()  # torch's own writer hides the reason when a disk is full
    torch.save(state, buffer)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load_state(path: Path) -> dict[str, Any]:
    """Read a state written by `save_state`; nothing in the file is executed.

    Raises:
        WeightsError: The file is no state of a run.
        OutputError: There is none to resume from.
    """
    if not path.is_file():
        raise OutputError(
            "there is no run to resume", where=path.parent, remedy="leave out --resume to start one"
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise WeightsError(
            "is no state of a roadseg run", where=path, remedy="start the run anew in another folder"
        ) from error
    if not isinstance(state, dict) or "recipe" not in state:
        raise WeightsError(
            "is no state of a roadseg run", where=path, remedy="start the run anew in another folder"
        )
    return state


def check_same_recipe(saved: str, recipe: Recipe | VideoPrediction, path: Path) -> None:
    """Refuse to go on with a recipe that trains something else than the run did so far.

    Args:
        saved: The run's recipe as JSON text.
        recipe: The recipe it is to be resumed with.
        path: The run's state, for the error.

    Raises:
        RecipeError: They differ in more than where the data lie and how they are loaded.
    """
    changed = changes(json.loads(saved), recipe.to_json())
    if changed:
        raise RecipeError(
            f"the run was started with another recipe: {'; '.join(changed)}",
            where=path,
            remedy="resume with the same recipe, or start a new run with -o another folder",
        )
