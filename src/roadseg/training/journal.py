"""What a run writes down: its plan, its scores as it goes, its result, and weights to use."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from roadseg.errors import RecipeError
from roadseg.inference import WeightsCard, save_package
from roadseg.labels import LabelSpace
from roadseg.media import write_json
from roadseg.recipes import Recipe
from roadseg.training.distributed import World
from roadseg.training.report import append_metrics, keep_metrics_until, write_run

__all__ = ["BEST", "LAST", "METRICS", "RESULT", "RUN", "Journal"]

RUN, METRICS, RESULT = "run.json", "metrics.jsonl", "result.json"
BEST, LAST = "best.safetensors", "last.safetensors"


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

    def __init__(self, out: Path, recipe: Recipe, world: World, tensorboard: bool) -> None:
        self.out = out
        self.recipe = recipe
        self.world = world
        self.silent = not world.is_first
        self.board = _open_board(out) if tensorboard and world.is_first else None

    def start(self, step: int, steps: int, steps_per_epoch: int) -> None:
        """Note the plan; lines after the step are dropped, because the run will write them again."""
        if self.silent:
            return
        write_run(
            self.out / RUN,
            self.recipe,
            self.world.device,
            self.world.size,
            steps=steps,
            steps_per_epoch=steps_per_epoch,
        )
        keep_metrics_until(self.out / METRICS, step)
        (self.out / RESULT).unlink(missing_ok=True)

    def note(self, row: Mapping[str, Any]) -> None:
        """Append a line to the scores."""
        if self.silent:
            return
        append_metrics(self.out / METRICS, row)
        if self.board is not None:
            _write_board(self.board, row)

    def keep(self, model: nn.Module, card: WeightsCard, *, best: bool) -> None:
        """Write weights to use: the last ones, and where they are the best so far, those too."""
        if self.silent:
            return
        save_package(self.out / LAST, model, card)
        if best:
            save_package(self.out / BEST, model, card)

    def finish(self, steps: int, seconds: float, best: float | None) -> None:
        """Note that the run is complete."""
        if self.silent:
            return
        write_json(
            self.out / RESULT,
            {
                "finished": True,
                "steps": steps,
                "seconds": round(seconds, 1),
                "best_miou": best,
                "weights": self.weights.name,
            },
        )

    @property
    def weights(self) -> Path:
        """The weights to use: the best ones where the recipe selects them, else the last."""
        best = self.out / BEST
        return best if best.is_file() else self.out / LAST

    def card(
        self,
        space: LabelSpace,
        license_: str,
        *,
        step: int,
        seconds: float,
        scores: Sequence[Mapping[str, Any]],
    ) -> WeightsCard:
        """Return what the run's weights say about themselves."""
        return WeightsCard(
            model=self.recipe.model.name,
            options=self.recipe.model.options,
            space=space,
            preprocess=self.recipe.preprocess,
            scores=tuple(dict(each) for each in scores),
            license=license_,
            provenance={
                "recipe": self.recipe.to_json(),
                "step": step,
                "hours": round(seconds / 3600, 3),
                "device": self.world.device.type,
            },
        )


def cpu_seconds() -> float:
    """Return the processor time of this process and its ended children: the cost of a run on a shared machine."""
    times = os.times()
    return round(times.user + times.system + times.children_user + times.children_system, 1)


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
        board.add_scalar("val/miou", row["val"]["miou"], row["step"])
        for name, values in row["val"]["classes"].items():
            if values["iou"] is not None:
                board.add_scalar(f"val/iou/{name}", values["iou"], row["step"])
    for name, scores in row.get("vals", {}).items():
        if scores["miou"] is not None:
            board.add_scalar(f"vals/{name}/miou", scores["miou"], row["step"])
    board.flush()
