"""``roadseg train --dry-run``: what a run would do, and what it lacks on this machine."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from roadseg.cli.machine import SMALL_DISK, SMALL_SHARED_MEMORY, devices, free_disk, has_module, shared_memory
from roadseg.cli.terminal import Terminal, percent, size_text
from roadseg.data import Source, StepSampler, open_source
from roadseg.errors import RoadsegError
from roadseg.labels import space
from roadseg.models import build
from roadseg.recipes import SGD, AdamW, Recipe
from roadseg.training.build import build_source
from roadseg.training.optim import learning_rate

__all__ = ["Memory", "Plan", "estimate_memory"]

_FLOAT = 4  # bytes


@dataclass(frozen=True)
class Memory:
    """A rough estimate of what training takes, in bytes; float32, workspace of convolutions not counted.

    Attributes:
        params: Trainable parameters (their number).
        state: Weights, gradients, moments of the optimizer, averaged weights.
        activations: What a forward pass keeps for the backward pass.
    """

    params: int
    state: int
    activations: int


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Attributes:
        recipe: Its recipe.
        out: Its folder.
        device: Where it would run.
        space: Its label space and number of classes.
        images: Number of images to train on; 0 when unknown.
        rendered: Number of rendered scenes to mix in.
        validation: Number of images to validate on.
        steps_per_epoch: Optimizer steps in an epoch.
        memory: Estimated memory; None where the network cannot be traced.
        missing: Why it cannot run now.
        remarks: What may be unintended.
    """

    recipe: Recipe
    out: Path
    device: str
    space: str
    images: int
    rendered: int
    validation: int
    steps_per_epoch: int
    memory: Memory | None
    missing: tuple[str, ...]
    remarks: tuple[str, ...]

    @classmethod
    def of(cls, recipe: Recipe, out: Path, device: str, *, tensorboard: bool = False) -> "Plan":
        """Look at the data and the machine; nothing is written."""
        missing: list[str] = []
        source = _try(lambda: build_source(recipe.data), missing)
        images = _count(source, recipe.data.train, missing)
        rendered = 0
        if recipe.data.synthetic is not None:
            root = recipe.data.synthetic.root
            rendered = _count(_try(lambda: open_source(root), missing), "train", missing)
        target = space("cityscapes-19") if source is None else source.target
        chosen = devices()[0].name if device == "auto" else device
        if tensorboard and not has_module("tensorboard"):
            missing.append("TensorBoard is not installed; pip install 'roadseg[tracking]'")
        memory = _try(lambda: estimate_memory(recipe, target.num_classes), missing)
        return cls(
            recipe=recipe,
            out=out,
            device=chosen,
            space=f"{target.name}, {target.num_classes} classes"
            if source is not None
            else "unknown without data",
            images=images,
            rendered=rendered,
            validation=_count(source, recipe.data.val, missing) if recipe.data.val else 0,
            steps_per_epoch=StepSampler.steps_per_epoch(images, recipe.batch_size) if images else 0,
            memory=memory,
            missing=tuple(missing),
            remarks=tuple(_remarks(recipe, out, chosen)),
        )

    @property
    def steps(self) -> int:
        """Optimizer steps of the run."""
        return self.recipe.epochs * self.steps_per_epoch

    @property
    def rates(self) -> dict[str, float]:
        """Learning rates at the first step, at the peak, in the middle and at the end."""
        steps = self.steps or 1000
        schedule, peak = self.recipe.schedule, self.recipe.optim.lr
        warm = round(schedule.warmup * steps)
        places = {"first": 0, "peak": min(warm, steps - 1), "middle": steps // 2, "last": steps - 1}
        return {name: learning_rate(schedule, peak, step, steps) for name, step in places.items()}

    def tell(self, terminal: Terminal) -> int:
        """Print the plan; 1 when the run could not start."""
        terminal.emit(self.to_json())
        recipe, rates = self.recipe, self.rates
        rows = {
            "network": f"{recipe.model.name} {dict(recipe.model.options) or ''}".strip(),
            "data": self._data_text(),
            "labels": self.space,
            "steps": f"{self.steps:,} = {recipe.epochs} epochs x {self.steps_per_epoch} steps of {recipe.batch_size} images"
            f" at {recipe.augment.crop[1]}x{recipe.augment.crop[0]}",
            "rate": f"{type(recipe.schedule).__name__.lower()}: "
            + ", ".join(f"{rate:.2g} {name}" for name, rate in rates.items()),
            "optimizer": ", ".join(
                f"{key} {value}" for key, value in vars(recipe.optim).items() if key != "lr"
            ),
            "memory": self._memory_text(),
            "device": self.device,
            "folder": str(self.out),
        }
        terminal.say(
            f"plan of {recipe.name} ({recipe.paper})", *(f"  {key:<10} {text}" for key, text in rows.items())
        )
        for item in recipe.expects:
            figures = [
                f"{value:.2f} {name}"
                for name, value in (("published", item.published), ("ours", item.ours))
                if value
            ]
            terminal.say(
                f"  expects    {item.metric} on {item.split}: {', '.join(figures) or 'not measured yet'}"
            )
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
            "space": self.space,
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
        val = f"{self.validation} to validate on ({data.val})" if data.val else "no validation"
        return f"{self.images} images to train on ({data.train}), {val}{mixed}"

    def _memory_text(self) -> str:
        if self.memory is None:
            return "not estimated"
        memory = self.memory
        total = size_text(memory.state + memory.activations)
        return f"about {total} (activations {size_text(memory.activations)}), {memory.params / 1e6:.2f} M parameters"


def estimate_memory(recipe: Recipe, num_classes: int) -> Memory | None:
    """Estimate the memory of a training step by tracing one without computing it.

    Returns:
        None for a network that cannot be traced on torch's ``meta`` device.

    Raises:
        RecipeError: The network cannot be built.
    """
    saved: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        saved[id(storage)] = storage.nbytes()
        kept.append(storage)  # while it lives, its id is its own
        return tensor

    kept: list[object] = []
    batch = max(1, recipe.batch_size // recipe.accumulate)
    try:
        with torch.device("meta"):
            model = build(recipe.model.name, num_classes, **recipe.model.options).train()
            images = torch.empty(batch, 3, *recipe.augment.crop)
            with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
                output = model(images)
    except (NotImplementedError, RuntimeError):
        return None
    params = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    match recipe.optim:
        case SGD():
            moments = 1
        case AdamW():
            moments = 2
    copies = 2 + moments + (1 if recipe.ema else 0)  # weights and gradients, and those
    # The loss keeps its logits at the size of the crop: their copy, their log-softmax, their gradient.
    loss = (
        3
        * _FLOAT
        * batch
        * num_classes
        * recipe.augment.crop[0]
        * recipe.augment.crop[1]
        * (1 + len(output.aux))
    )
    return Memory(params, copies * params * _FLOAT, sum(saved.values()) + loss)


def _try(act: Any, missing: list[str]) -> Any:  # noqa: ANN401 - what it returns is up to the caller
    """Return what ``act`` returns; None, and a line in ``missing``, where it raises."""
    try:
        return act()
    except RoadsegError as error:
        missing.append(str(error))
        return None


def _count(source: Source | None, split: str, missing: list[str]) -> int:
    found = None if source is None else _try(lambda: source.find(split), missing)
    return 0 if found is None else len(found)


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
    if (out / "last.pt").exists():
        found.append(f"{out} holds a run already: --resume goes on with it, -o chooses another folder")
    if any(item.ours is not None for item in recipe.expects):
        best = max(item.ours for item in recipe.expects if item.ours is not None)
        found.append(f"reproducing our {percent(best / 100, 2)} takes the recipe unchanged")
    return found
