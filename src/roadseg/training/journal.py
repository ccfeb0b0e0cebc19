"""What a run writes down: its plan, its scores as it goes, its result, and weights to use."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from roadseg.errors import RecipeError
from roadseg.media import atomic_path, write_json
from roadseg.media.run_files import BEST, LAST, METRICS, RESULT, RUN
from roadseg.recipes import Recipe, VideoPrediction
from roadseg.training.distributed import World

__all__ = ["Journal", "cpu_seconds"]


class Journal:
    """Writes into the folder of a run; on every process but the first, nothing.

    Args:
        out: The folder.
        recipe: The plan as it is carried out.
        world: The processes.
        tensorboard: Also write TensorBoard event files.

    Raises:
        RecipeError: TensorBoard is asked for but not installed.
    """

    def __init__(
        self, out: Path, recipe: Recipe | VideoPrediction, world: World, tensorboard: bool = False
    ) -> None:
        self.out = out
        self.recipe = recipe
        self.world = world
        self.silent = not world.is_first
        self.board = _open_board(out) if tensorboard and world.is_first else None

    def start(self, step: int, steps: int, steps_per_epoch: int) -> None:
        """Note the plan; lines after the step are dropped, because the run will write them again.

        Weights that an earlier run left in the folder are not those of a run that begins.
        """
        if self.silent:
            return
        _write_run(
            self.out / RUN,
            self.recipe,
            self.world.device,
            self.world.size,
            steps=steps,
            steps_per_epoch=steps_per_epoch,
        )
        _keep_metrics_until(self.out / METRICS, step)
        for name in (RESULT, BEST, LAST) if step == 0 else (RESULT,):
            (self.out / name).unlink(missing_ok=True)

    def note(self, row: Mapping[str, Any]) -> None:
        """Append a line to the scores."""
        if self.silent:
            return
        _append_metrics(self.out / METRICS, row)
        if self.board is not None:
            _write_board(self.board, row)

    def keep(self, save: Callable[[Path], None], *, best: bool) -> None:
        """Write weights to use, by what is given: the last ones, and where they are the best so far, those too."""
        if self.silent:
            return
        save(self.out / LAST)
        if best:
            save(self.out / BEST)

    def finish(self, steps: int, seconds: float, best: Mapping[str, float | None]) -> None:
        """Note that the run is complete, with its best score by the name of that."""
        if self.silent:
            return
        write_json(
            self.out / RESULT,
            {
                "finished": True,
                "steps": steps,
                "seconds": round(seconds, 1),
                **best,
                "weights": self.weights.name,
            },
        )

    @property
    def weights(self) -> Path:
        """The weights to use: the best ones where the recipe selects them, else the last."""
        best = self.out / BEST
        return best if best.is_file() else self.out / LAST

    def provenance(self, step: int, seconds: float) -> dict[str, Any]:
        """Return where the run's weights come from, for their card."""
        return {
            "recipe": self.recipe.to_json(),
            "step": step,
            "hours": round(seconds / 3600, 3),
            "device": self.world.device.type,
        }


def cpu_seconds() -> float:
    """Return the processor time of this process and its ended children: the cost of a run on a shared machine."""
    times = os.times()
    return round(times.user + times.system + times.children_user + times.children_system, 1)


def _append_metrics(path: Path, row: Mapping[str, Any]) -> None:
    """Append one line of JSON."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def _keep_metrics_until(path: Path, step: int) -> None:
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


def _write_run(
    path: Path,
    recipe: Recipe | VideoPrediction,
    device: torch.device,
    world: int,
    *,
    steps: int,
    steps_per_epoch: int,
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


def _open_board(out: Path) -> Any:  # noqa: ANN401 - tensorboard is an optional, untyped dependency
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise RecipeError(
            "TensorBoard is not installed",
            remedy="pip install 'roadseg[tracking]', or leave out --tensorboard",
        ) from error
    return SummaryWriter(str(out))


def _write_board(board: Any, row: Mapping[str, Any]) -> None:  # noqa: ANN401
    for key in ("loss", "lr", "waiting"):
        if row.get(key) is not None:
            board.add_scalar(key, row[key], row["step"])
    if "val" in row:
        if row["val"]["miou"] is not None:
            board.add_scalar("val/miou", row["val"]["miou"], row["step"])
        for name, values in row["val"]["classes"].items():
            if values["iou"] is not None:
                board.add_scalar(f"val/iou/{name}", values["iou"], row["step"])
    for name, scores in row.get("vals", {}).items():
        if scores["miou"] is not None:
            board.add_scalar(f"vals/{name}/miou", scores["miou"], row["step"])
    board.flush()
