"""What a run tells while it runs, and what it writes down."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import torch

from roadseg.media import atomic_path, write_json
from roadseg.recipes import Recipe

__all__ = ["Reporter", "Silent", "append_metrics", "keep_metrics_until", "write_run"]


class Reporter(Protocol):
    """Hears of a run's progress, for example to draw a progress bar."""

    def prepared(self, note: str) -> None:
        """Something worth knowing, in a sentence: what was loaded, what was changed for this machine."""

    def scanning(self, done: int, count: int) -> None:
        """A label file is read, to find the places of classes."""

    def started(self, step: int, steps: int) -> None:
        """The run starts (or resumes) at a step."""

    def stepped(self, step: int, loss: float, lr: float) -> None:
        """A step is done."""

    def validated(self, epoch: int, scores: Mapping[str, Any], best: bool) -> None:
        """The validation set was scored; ``scores`` as from ``Scores.to_json``.

        With several data sets, ``miou`` is the mean of theirs, and ``vals`` are their scores by name.
        """

    def validating(self, done: int, count: int) -> None:
        """An image of the validation set is done."""


class Silent:
    """A reporter that says nothing."""

    def prepared(self, note: str) -> None:
        """Say nothing."""

    def scanning(self, done: int, count: int) -> None:
        """Say nothing."""

    def started(self, step: int, steps: int) -> None:
        """Say nothing."""

    def stepped(self, step: int, loss: float, lr: float) -> None:
        """Say nothing."""

    def validated(self, epoch: int, scores: Mapping[str, Any], best: bool) -> None:
        """Say nothing."""

    def validating(self, done: int, count: int) -> None:
        """Say nothing."""


def append_metrics(path: Path, row: Mapping[str, Any]) -> None:
    """Append one line of JSON."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def keep_metrics_until(path: Path, step: int) -> None:
    """Drop the lines after a step: a resumed run writes them again."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        with suppress(json.JSONDecodeError):  # a killed run may leave half a line
            if json.loads(line)["step"] <= step:
                kept.append(line)
    with atomic_path(path) as temporary:
        temporary.write_text("".join(line + "\n" for line in kept), encoding="utf-8")


def write_run(
    path: Path, recipe: Recipe, device: torch.device, world: int, *, steps: int, steps_per_epoch: int
) -> None:
    """Write ``run.json``: the resolved recipe, versions, device, and the code's commit where there is one."""
    packages = ("roadseg", "torch", "torchvision", "numpy", "pillow")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    write_json(
        path,
        {
            "recipe": recipe.to_json(),
            "steps": steps,
            "steps_per_epoch": steps_per_epoch,
            "command": sys.argv,
            "pid": os.getpid(),
            "host": platform.node(),
            "versions": {"python": platform.python_version(), **{p: metadata.version(p) for p in packages}},
            "commit": _commit(),
            "device": {
                "type": device.type,
                "name": name,
                "threads": torch.get_num_threads(),
                "processes": world,
            },
        },
    )


def _processor() -> str:
    """Return the name of the processor; where Linux knows no better, that of its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _commit() -> str | None:
    """Return the commit of the checkout that this code runs from; None for an installed package."""
    here = Path(__file__).parent
    try:
        result = subprocess.run(  # noqa: S603 - a fixed command
            ["git", "-C", str(here), "rev-parse", "HEAD"],  # noqa: S607 - whichever git the user has
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None
