"""The training loop.

Read `Run.train` first: it is the whole of it. Everything random is a function of (seed, step), so a run that was
interrupted and resumed ends bit for bit like one that was not, and so does one on another number of loader processes.
"""

import itertools
import json
import math
import time
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from roadseg.data import Sample, mix_seed
from roadseg.data.loading import Loader
from roadseg.data.stages import SLOW
from roadseg.errors import RecipeError
from roadseg.inference import Predictor, WeightsCard, autocast, autocast_dtype, normalize, save_package
from roadseg.media.run_files import STATE
from roadseg.models import Output
from roadseg.models import build as build_network
from roadseg.recipes import Recipe
from roadseg.recipes.adapt import adapted
from roadseg.training.build import build_loss, counter
from roadseg.training.checkpoint import SAVE_SECONDS, check_same_recipe, load_state, save_state
from roadseg.training.compute import compiler_errors
from roadseg.training.distributed import World, join, leave
from roadseg.training.feed import Feed
from roadseg.training.freeze import freeze, train_mode
from roadseg.training.journal import Journal, cpu_seconds
from roadseg.training.multi_objective import MinNormGradients, check_engine
from roadseg.training.optim import averaged, build_optimizer, gradient_scaler, set_learning_rate, take_step
from roadseg.training.parallel import Shards, connection_errors, place, replicate
from roadseg.training.report import Reporter, Silent
from roadseg.training.schedule import learning_rate
from roadseg.training.start import start_from
from roadseg.training.stopping import stop_on_signal
from roadseg.training.validation import Validation, check_interval, validate
from roadseg.training.watch import LossWatch

__all__ = ["FitResult", "fit"]


@dataclass(frozen=True)
class FitResult:
    """How a run ended.

    Attributes:
        steps: Optimizer steps done.
        finished: False when the run was interrupted; it can be resumed.
        best: Best validation score, None without validation: the mIoU in 0..1, of video prediction the PSNR in decibel.
        weights: The weights to use: the best ones where the recipe selects them, else the last.
    """

    steps: int
    finished: bool
    best: float | None
    weights: Path


def fit(
    recipe: Recipe,
    out: str | Path,
    *,
    device: str = "auto",
    resume: bool = False,
    report: Reporter | None = None,
    max_steps: int | None = None,
    tensorboard: bool = False,
) -> FitResult:
    """Train.

    Writes into ``out``: ``run.json`` (plan, versions), ``metrics.jsonl`` (a line per validation), ``last.pt`` (state to
    resume from), ``best.safetensors`` and ``last.safetensors`` (weights to use), at the end ``result.json``. Under
    torchrun, the processes share the work and the first one writes.

    On fewer processes than the recipe was written for, it is changed as its ``on_fewer`` says, and the report hears how.
    A resumed run keeps what it was started with, whatever it is resumed on.

    Args:
        recipe: The plan.
        out: Folder of the run.
        device: As for `roadseg.inference.choose_device`.
        resume: Go on from ``last.pt``.
        report: Hears of progress.
        max_steps: Stop, resumably, after this step of the plan.
        tensorboard: Also write TensorBoard event files.

    Raises:
        RecipeError: The recipe does not fit the data, the processes or the run to be resumed.
        RunError: The loss is no number, or another process ended.
        InputError: The data cannot be read.
        OutputError: The results cannot be written.
    """
    out, report = Path(out), report or Silent()
    world = join(device)
    try:
        with connection_errors(world, out):
            state = load_state(out / STATE) if resume else None
            if state is not None:
                check_same_recipe(state["recipe"], recipe, out / STATE)
            devices = world.size if state is None else state["devices"]
            plan, change = adapted(recipe, devices)
            if change is not None:
                report.prepared(change)
            run = Run(plan, out, world, report, Journal(out, plan, world, tensorboard))
            run.origin = {"recipe": json.dumps(recipe.to_json()), "devices": devices}
            if state is not None:
                run.restore(state)
            with compiler_errors() if plan.engine.compile else nullcontext():
                return run.train(run.steps if max_steps is None else min(run.steps, max_steps))
    finally:
        leave()


class Run:
    """One training run: the objects of a recipe, and the loop over them."""

    def __init__(self, recipe: Recipe, out: Path, world: World, report: Reporter, journal: Journal) -> None:
        self.recipe = recipe
        self.out = out
        self.world = world
        self.report = report
        self.journal = journal
        self.origin: dict[str, Any] = {}
        if recipe.batch_size % (world.size * recipe.accumulate):
            raise RecipeError(
                f"batches of {recipe.batch_size} cannot be split evenly over {world.size} processes x"
                f" {recipe.accumulate} parts",
                remedy="choose another --batch-size or --accumulate",
            )
        check_interval(recipe.eval_every)
        if recipe.ema and recipe.engine.sharding != "none":
            raise RecipeError(
                "sharded parameters cannot be averaged over steps",
                remedy="set --ema 0, or --engine.sharding none",
            )
        if recipe.objectives == "mgda":
            check_engine(recipe.engine)
        torch.manual_seed(mix_seed(recipe.seed, 0))
        self.feed = Feed.of(recipe, world, report)
        self.source = self.feed.source
        self.steps_per_epoch = self.feed.steps_per_epoch
        self.steps = recipe.steps or recipe.epochs * self.steps_per_epoch

        model = self._network()
        if recipe.model.weights is not None:
            report.prepared(start_from(model, recipe.model, self.source.target))
        elif recipe.model.starts_from:
            known = recipe.model.starts_from
            report.prepared(
                f"starts from random weights; the published run from {known}: --model.weights FILE"
            )
        freeze(model, recipe.freeze, norm=recipe.freeze_norm)
        self.loss = build_loss(
            recipe.loss,
            recipe.aux,
            self.source.target,
            counter([(part.source, part.train) for part in self.feed.parts], world),
            align_corners=bool(model.align_corners),
        ).to(world.device)
        self.model = place(model, world, recipe.engine)
        self.objectives = (
            MinNormGradients(self.feed.objectives, self.model, self.loss, world)
            if recipe.objectives == "mgda"
            else None
        )
        train_mode(self.model, freeze_norm=recipe.freeze_norm)
        self.optimizer = build_optimizer(recipe.optim, self.model)
        self.shards = Shards(self.model, self.optimizer, recipe.engine)
        self.ema = averaged(self.model, recipe.ema) if recipe.ema else None
        self.autocast_dtype = autocast_dtype(recipe.precision, world.device)
        self.scaler = gradient_scaler(self.autocast_dtype, world.device)
        self.watch = LossWatch(out, world, tolerant=self.scaler.is_enabled())
        self.step, self.saved_step = 0, -1
        self.best: float | None = None
        self.seconds = self.cpu_seconds = 0.0  # of earlier parts of the run

    def train(self, until: int) -> FitResult:
        """Run the loop from the current step to ``until`` (exclusive)."""
        self.journal.start(self.step, self.steps, self.steps_per_epoch)
        network = replicate(self.model, self.world, self.recipe.engine)
        self.report.started(self.step, self.steps)
        started = saved = time.monotonic()
        before, cpu_before = self.seconds, self.cpu_seconds - cpu_seconds()
        with self.feed.loader(range(self.step, until)) as loader, stop_on_signal() as stopping:
            batches = iter(loader)
            while self.step < until:
                stop, save = self.world.any_of(stopping[0], time.monotonic() - saved > SAVE_SECONDS)
                if stop:
                    break
                if save:
                    self._save()
                    saved = time.monotonic()
                parts = list(itertools.islice(batches, self.recipe.accumulate))
                self.loss.start_epoch(self.step // self.steps_per_epoch)
                lr = self._learning_rate()
                set_learning_rate(self.optimizer, lr)
                loss = self._optimize(network, parts)
                self.watch.add(self.step, loss, tuple(key for part in parts for key in part.key), lr)
                self.step += 1
                self.seconds = before + time.monotonic() - started
                self.cpu_seconds = cpu_before + cpu_seconds()
                self.report.stepped(self.step, self.watch.last, lr)

                epoch, rest = divmod(self.step, self.steps_per_epoch)
                if self.step == self.steps or (rest == 0 and epoch % self.recipe.eval_every == 0):
                    self._validate(epoch, lr, loader)
        if self.saved_step != self.step:
            self._save()
        finished = self.step == self.steps
        if finished:
            self.journal.finish(self.step, self.seconds, {"best_miou": self.best})
        return FitResult(self.step, finished, self.best, self.journal.weights)

    def _optimize(self, network: nn.Module, parts: list[Sample]) -> torch.Tensor:
        """Do one optimizer step over the micro-batches; return the loss over all processes."""
        torch.manual_seed(mix_seed(self.recipe.seed, self.step, self.world.rank, 1))  # dropout
        if self.objectives is None:
            value = self._backward(network, parts)
        else:
            value = self.objectives.backward(
                partial(self._forward, self.model), parts, self.feed.origins(self.step), self.scaler.scale
            )
        take_step(self.optimizer, self.scaler, self.model, self.recipe.clip_norm)
        if self.ema is not None:
            self.ema.update_parameters(self.model)
        return value

    def _forward(self, network: nn.Module, images: torch.Tensor) -> Output:
        with autocast(self.autocast_dtype, self.world.device):
            output: Output = network(normalize(images, self.recipe.preprocess))
        return output

    def _backward(self, network: nn.Module, parts: list[Sample]) -> torch.Tensor:
        """Add up the gradients of the micro-batches; return the loss over all processes."""
        # What the terms of the undivided step are divided by: the parts' sums, divided by it, add up to its loss.
        normalizers = torch.stack([self.loss.normalizers(part.mask) for part in parts]).sum(dim=0)
        normalizers = self.world.sum(normalizers).clamp(min=1e-12)
        value = torch.zeros((), device=self.world.device)
        for index, part in enumerate(parts):
            last = index == len(parts) - 1
            hold = not last and isinstance(network, DistributedDataParallel)
            with network.no_sync() if hold else nullcontext():  # type: ignore[operator]
                output = self._forward(network, part.image)
                loss = (self.loss.sums(output.logits, part.mask, output.aux) / normalizers).sum()
                # DistributedDataParallel takes the mean over processes, where the sum is wanted.
                self.scaler.scale(loss * self.world.size).backward()  # type: ignore[no-untyped-call]
                value += loss.detach()
        return self.world.sum(value)

    def _validate(self, epoch: int, lr: float, loader: Loader[Sample]) -> None:
        """Score the validation split, note the scores, keep the weights."""
        times = loader.take_times()
        row: dict[str, Any] = {
            "step": self.step,
            "epoch": epoch,
            "seconds": round(self.seconds, 1),
            "cpu_seconds": round(self.cpu_seconds, 1),
            "loss": self.watch.mean(),
            "lr": lr,
            "waiting": times.waiting,
            "stages": times.to_json(),
        }
        if self.objectives is not None:
            row["objectives"] = self.objectives.mean_weights()
        best, final = False, self._final()
        validation = self._score(final)
        if validation is not None:
            miou = validation.mean_miou
            # Where no label has a class, there is no score.
            best = not math.isnan(miou) and (self.best is None or miou > self.best)
            self.best = miou if best else self.best
            row |= validation.to_json()
        self.journal.note(row)
        card = self._card(validation)
        self.journal.keep(lambda path: save_package(path, final, card), best=best and self.recipe.select_best)
        if validation is not None:
            self.report.validated(epoch, validation.told(), best)
        if times.waiting > SLOW:
            self.report.prepared(times.summary(workers=loader.workers, cached=bool(self.recipe.data.cache)))
        self._save()

    def _score(self, final: nn.Module) -> Validation | None:
        """Score every data set that has a split to validate on; None where none has."""
        if not any(part.val for part in self.feed.parts):
            return None
        # Running statistics that are not synchronized are each process's own; the first one's are saved.
        self.world.share(buffer for buffer in final.buffers() if buffer.is_floating_point())
        predictor = Predictor(final, self._card(None), device=str(self.world.device))
        progress = self.report.validating if self.world.is_first else None
        validation = validate(predictor, self.feed.parts, self.world, progress)
        train_mode(self.model, freeze_norm=self.recipe.freeze_norm)
        return validation

    def _final(self) -> nn.Module:
        """Return the network that is validated and saved; all processes have to ask together."""
        if self.ema is not None:
            average: nn.Module = self.ema.module
            return average
        return self.shards.whole(self._network)

    def _network(self) -> nn.Module:
        return build_network(
            self.recipe.model.name, self.source.target.num_classes, **self.recipe.model.options
        )

    def _card(self, validation: Validation | None) -> WeightsCard:
        found = () if validation is None else tuple(each.to_json() for each in validation.scores.values())
        return WeightsCard(
            model=self.recipe.model.name,
            options=self.recipe.model.options,
            space=self.source.target,
            preprocess=self.recipe.preprocess,
            scores=found,
            license=self.feed.license,
            provenance=self.journal.provenance(self.step, self.seconds),
        )

    def _save(self) -> None:
        self.watch.flush()  # what a bad loss made of the weights must not replace the last good state
        shards = self.shards.state()
        self.saved_step = self.step
        if not self.world.is_first:
            return
        state = {
            **self.origin,
            **shards,
            "step": self.step,
            "best": self.best,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "ema": None if self.ema is None else self.ema.state_dict(),
            "scaler": self.scaler.state_dict(),
        }
        save_state(self.out / STATE, state)

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to where the run's last state was saved."""
        self.shards.restore(state)
        if self.ema is not None:
            self.ema.load_state_dict(state["ema"])
        if state["scaler"]:  # empty where the run's precision needed none so far
            self.scaler.load_state_dict(state["scaler"])
        self.step, self.best = state["step"], state["best"]
        self.seconds, self.cpu_seconds = state["seconds"], state["cpu_seconds"]

    def _learning_rate(self) -> float:
        return learning_rate(
            self.recipe.schedule, self.recipe.optim.lr, self.step, self.steps, self.steps_per_epoch
        )
