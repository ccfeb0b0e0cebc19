"""``roadseg train --dry-run``: what a run would do, and what it lacks on this machine."""

import os
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

from roadseg.cli.machine import SMALL_DISK, SMALL_SHARED_MEMORY, devices, free_disk, has_module, shared_memory
from roadseg.cli.recipes import figures
from roadseg.cli.terminal import Terminal, percent, size_text
from roadseg.cli.train_parts import PartPlan, attempt, look_at, steps_per_epoch, target_of
from roadseg.data import Record, StepSampler, open_source
from roadseg.inference import find_weights
from roadseg.media.run_files import STATE
from roadseg.recipes import Balanced, Recipe
from roadseg.recipes.adapt import adapted
from roadseg.training.memory import TrainingMemory, estimate_memory
from roadseg.training.schedule import learning_rate

__all__ = ["Plan", "spelled"]


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Attributes:
        recipe: Its recipe, as it would be carried out on this machine.
        out: Its folder.
        device: Where it would run.
        devices: How many processes would share the work.
        space: Its label space and number of classes.
        parts: The data sets, one for each of ``data.root`` and ``data.parts``.
        images: Number of images to train on; 0 when unknown.
        rendered: Number of rendered scenes to mix in.
        validation: Number of images to validate on.
        memory: Estimated memory; None where the network cannot be traced.
        missing: Why it cannot run now.
        remarks: What may be unintended.
    """

    recipe: Recipe
    out: Path
    device: str
    devices: int
    space: str
    parts: tuple[PartPlan, ...]
    images: int
    rendered: int
    validation: int
    memory: TrainingMemory | None
    missing: tuple[str, ...]
    remarks: tuple[str, ...]

    @classmethod
    def of(cls, recipe: Recipe, out: Path, device: str, *, tensorboard: bool = False) -> "Plan":
        """Look at the data and the machine; nothing is written."""
        missing: list[str] = []
        processes = int(os.environ.get("WORLD_SIZE", "1"))
        recipe, change = adapted(recipe, processes)
        data = recipe.data
        parts = look_at(recipe, missing)
        images = sum(part.images for part in parts)
        remarks = [] if change is None else [change]
        if recipe.model.starts_from:
            remarks.append(f"the published run started from {recipe.model.starts_from}")
        if not images and data.images:
            images = data.images
            remarks.append(f"counts are for the {images:,} images that the recipe was written for")
        if data.parts and not isinstance(recipe.sampling, Balanced):
            remarks.append(
                "data sets are drawn by their numbers of images; --shares equal, or numbers, weighs them"
            )
        rendered = 0
        if data.synthetic is not None:
            rendered = len(attempt(partial(_scenes, data.synthetic.root), missing) or ())
        target, known = target_of(recipe, parts, missing)
        if data.autolabels is not None and not Path(data.autolabels.root).is_dir():
            missing.append(
                f"labels made by a network are not in {data.autolabels.root or 'any folder'}: give"
                " --data.autolabels.root DIR"
            )
        _check_weights(recipe.model.weights, missing)
        if tensorboard and not has_module("tensorboard"):
            missing.append("TensorBoard is not installed; pip install 'roadseg[tracking]'")
        chosen = devices()[0].name if device == "auto" else device
        return cls(
            recipe=recipe,
            out=out,
            device=chosen,
            devices=processes,
            space=known,
            parts=parts,
            images=images,
            rendered=rendered,
            validation=sum(part.validation for part in parts),
            memory=attempt(partial(estimate_memory, recipe, target.num_classes, processes), missing),
            missing=tuple(dict.fromkeys(missing)),
            remarks=(*remarks, *_remarks(recipe, out, chosen)),
        )

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in an epoch; 0 when unknown."""
        balanced = steps_per_epoch(self.recipe, [part.images for part in self.parts])
        if balanced is not None:
            return balanced
        return StepSampler.steps_per_epoch(self.images, self.recipe.batch_size) if self.images else 0

    @property
    def steps(self) -> int:
        """Optimizer steps of the run; 0 when unknown."""
        return self.recipe.steps or self.recipe.epochs * self.steps_per_epoch

    @property
    def samples(self) -> int:
        """Samples of the run; 0 when unknown."""
        return self.steps * self.recipe.batch_size

    @property
    def rates(self) -> dict[str, float]:
        """Learning rates at the first step, at the peak, in the middle and at the end."""
        steps = self.steps or 1000
        steps_per_epoch = self.steps_per_epoch or max(1, steps // self.recipe.epochs)
        schedule, peak = self.recipe.schedule, self.recipe.optim.lr
        warm = round(schedule.warmup * steps)
        places = {"first": 0, "peak": min(warm, steps - 1), "middle": steps // 2, "last": steps - 1}
        return {
            name: learning_rate(schedule, peak, step, steps, steps_per_epoch) for name, step in places.items()
        }

    def tell(self, terminal: Terminal) -> int:
        """Print the plan; 1 when the run could not start."""
        terminal.emit(self.to_json())
        recipe = self.recipe
        rows = {
            "network": f"{recipe.model.name} {dict(recipe.model.options) or ''}".strip(),
            "data": self._data_text(),
            "labels": self.space,
            "sampling": spelled(recipe.sampling),
            "augment": spelled(recipe.augment),
            "loss": spelled(recipe.loss)
            + (", of each data set (mgda)" if recipe.objectives == "mgda" else ""),
            "auxiliary": spelled(recipe.aux),
            "steps": self._steps_text(),
            "optimizer": spelled(recipe.optim),
            "schedule": spelled(recipe.schedule)
            + ": "
            + ", ".join(f"{rate:.2g} {name}" for name, rate in self.rates.items()),
            "memory": self._memory_text(),
            "device": self.device if self.devices == 1 else f"{self.devices} processes, {self.device}",
            "folder": str(self.out),
        }
        terminal.say(
            f"plan of {recipe.name} ({recipe.paper})", *(f"  {key:<10} {text}" for key, text in rows.items())
        )
        if len(self.parts) > 1:
            for part in self.parts:
                terminal.say(f"  part       {part.name}: {part.tell(self.samples)}")
        for item in recipe.expects:
            terminal.say(f"  expects    {item.metric} on {item.split}: {figures(item)}")
        for remark in self.remarks:
            terminal.say(f"  note       {remark}")
        for problem in self.missing:
            terminal.say(f"  missing    {problem}")
        terminal.say("" if self.missing else "  ready      leave out --dry-run to train")
        return 1 if self.missing else 0

    def to_json(self) -> dict[str, Any]:
        """Return the plan as plain JSON values."""
        return {
            "recipe": self.recipe.to_json(),
            "out": str(self.out),
            "device": self.device,
            "devices": self.devices,
            "space": self.space,
            "parts": [part.to_json(self.samples) for part in self.parts],
            "images": self.images,
            "rendered": self.rendered,
            "validation": self.validation,
            "steps_per_epoch": self.steps_per_epoch,
            "steps": self.steps,
            "rates": self.rates,
            "memory": None if self.memory is None else asdict(self.memory),
            "missing": list(self.missing),
            "notes": list(self.remarks),
        }

    def _data_text(self) -> str:
        data = self.recipe.data
        mixed = f", {self.rendered} rendered scenes mixed in" if self.rendered else ""
        val = f"{self.validation or 'images'} to validate on ({data.val})" if data.val else "no validation"
        if len(self.parts) > 1:
            val += f", {len(self.parts)} data sets"
        return f"{self.images or 'images'} to train on ({data.train}), {val}{mixed}"

    def _steps_text(self) -> str:
        recipe = self.recipe
        each = f"{recipe.batch_size} images at {recipe.augment.crop[1]}x{recipe.augment.crop[0]}"
        parts = f" in {recipe.accumulate} passes" if recipe.accumulate > 1 else ""
        if recipe.steps:
            return f"{recipe.steps:,} of {each}{parts}"
        if not self.steps:
            return f"{recipe.epochs} epochs, steps of {each}{parts}"
        return f"{self.steps:,} = {recipe.epochs} epochs x {self.steps_per_epoch} of {each}{parts}"

    def _memory_text(self) -> str:
        if self.memory is None:
            return "not estimated"
        memory = self.memory
        total = size_text(memory.state + memory.activations)
        return (
            f"about {total} in float32 (activations {size_text(memory.activations)}),"
            f" {memory.params / 1e6:.2f} M parameters"
        )


def spelled(part: Any) -> str:  # noqa: ANN401 - any dataclass of a recipe
    """Return a part of a recipe in words: its kind, and what is not as usual."""
    told = [
        f"{item.name} {value if not is_dataclass(value) else spelled(value)}"
        for item in fields(part)
        if (value := getattr(part, item.name)) != item.default
    ]
    return f"{type(part).__name__}{': ' if told else ''}{', '.join(told)}"


def _scenes(root: str) -> list[Record]:
    return open_source(root).find("train")


def _check_weights(weights: str | None, missing: list[str]) -> None:
    """Say what is missing to start from: a file, or an earlier run."""
    if weights is None:
        return
    folder = Path(weights).parent
    if folder.parent == Path("runs") and not Path(weights).exists():
        missing.append(
            f"{weights} is not there: `roadseg train {folder.name}` makes it; or give --model.weights FILE"
        )
    else:
        attempt(partial(find_weights, weights), missing)


def _remarks(recipe: Recipe, out: Path, device: str) -> list[str]:
    found = []
    if device == "cpu":
        found.append("no GPU is used: on a processor this takes hours")
    shared = shared_memory()
    if recipe.workers and shared is not None and shared < SMALL_SHARED_MEMORY:
        found.append(
            f"shared memory has {size_text(shared)} left: loader processes may fail, --workers 0 needs none"
        )
    if (free := free_disk(out)) < SMALL_DISK:
        found.append(f"the disk of {out} has {size_text(free)} left")
    if (out / STATE).exists():
        found.append(f"{out} holds a run already: --resume goes on with it, -o chooses another folder")
    if any(item.ours is not None for item in recipe.expects):
        best = max(item.ours for item in recipe.expects if item.ours is not None)
        found.append(f"reproducing our {percent(best / 100, 2)} takes the recipe unchanged")
    return found
