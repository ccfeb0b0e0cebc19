"""The training loop.

Read `Run.train` first: it is the whole of it. Everything random is a function of (seed, step), so a run that was
interrupted and resumed ends bit for bit like one that was not, and so does one on another number of loader processes.
"""

import copy
import json
import math
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from roadseg.data import Sample, StepSampler, mix_seed
from roadseg.errors import RecipeError
from roadseg.inference import (
    Predictor,
    WeightsCard,
    autocast,
    autocast_dtype,
    normalize,
    save_package,
)
from roadseg.inference.evaluation import evaluate, protocol_of
from roadseg.metrics import Confusion, Scores
from roadseg.models import build as build_network
from roadseg.recipes import Recipe
from roadseg.training.build import (
    build_dataset,
    build_loss,
    build_optimizer,
    build_source,
    build_transform,
)
from roadseg.training.checkpoint import check_same_recipe, load_state, save_state
from roadseg.training.distributed import World, join, leave
from roadseg.training.optim import averaged, learning_rate
from roadseg.training.report import Reporter, Silent, append_metrics, keep_metrics_until, write_run
from roadseg.training.start import start_from

__all__ = ["FitResult", "fit"]

LAST_STATE = "last.pt"
SAVE_SECONDS = 300.0


@dataclass(frozen=True)
class FitResult:
    """How a run ended.

    Attributes:
        steps: Optimizer steps done.
        finished: False when the run was interrupted; it can be resumed.
        best: Best validation mIoU, in 0..1, or None without validation.
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
    resume from), ``best.safetensors`` and ``last.safetensors`` (weights to use). Under torchrun, the processes share
    the work and the first one writes.

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
        InputError: The data cannot be read.
        OutputError: The results cannot be written.
    """
    world = join(device)
    try:
        run = Run(recipe, Path(out), world, report or Silent(), tensorboard)
        if resume:
            run.restore()
        return run.train(run.steps if max_steps is None else min(run.steps, max_steps))
    finally:
        leave()


class Run:
    """One training run: the objects of a recipe, and the loop over them."""

    def __init__(self, recipe: Recipe, out: Path, world: World, report: Reporter, tensorboard: bool) -> None:
        self.recipe = recipe
        self.out = out
        self.world = world
        self.report = report
        if recipe.batch_size % (world.size * recipe.accumulate):
            raise RecipeError(
                f"batches of {recipe.batch_size} cannot be split evenly over {world.size} processes x"
                f" {recipe.accumulate} parts",
                remedy="choose another --batch-size or --accumulate",
            )
        torch.manual_seed(mix_seed(recipe.seed, 0))
        self.source = build_source(recipe.data)
        if recipe.data.val:
            self.source.find(
                recipe.data.val
            )  # what is wrong with it should show now, not after the first epochs
        transform = build_transform(recipe.augment, self.source.target.ignore)
        self.dataset, real, rendered = build_dataset(recipe.data, self.source, transform)
        self.steps_per_epoch = StepSampler.steps_per_epoch(real, recipe.batch_size)
        self.steps = recipe.epochs * self.steps_per_epoch
        self.real, self.rendered = real, rendered

        model = build_network(recipe.model.name, self.source.target.num_classes, **recipe.model.options)
        if recipe.model.weights is not None:
            report.prepared(start_from(model, recipe.model, self.source.target))
        if world.size > 1 and world.device.type == "cuda":  # torch has no synchronized normalization on CPU
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        self.model = model.to(world.device).to(memory_format=torch.channels_last).train()
        self.loss = build_loss(recipe.loss, model, self.source, recipe.data.train, world).to(world.device)
        self.optimizer = build_optimizer(recipe.optim, self.model)
        self.ema = averaged(self.model, recipe.ema) if recipe.ema else None
        self.autocast_dtype = autocast_dtype(recipe.precision, world.device)
        self.scaler = torch.amp.GradScaler(
            world.device.type, enabled=self.autocast_dtype is torch.float16 and world.device.type == "cuda"
        )
        self.step = 0
        self.best: float | None = None
        self.seconds = 0.0  # of earlier parts of the run
        self.board = _open_board(out) if tensorboard and world.is_first else None

    def train(self, until: int) -> FitResult:
        """Run the loop from the current step to ``until`` (exclusive)."""
        if self.world.is_first:
            self.out.mkdir(parents=True, exist_ok=True)
            write_run(self.out / "run.json", self.recipe, self.world.device, self.world.size)
            keep_metrics_until(self.out / "metrics.jsonl", self.step)
        network = self._parallel()
        batches = iter(self._loader(until))
        self.report.started(self.step, self.steps)
        started = saved = time.monotonic()
        before = self.seconds
        losses: list[float] = []
        waited = 0.0
        with _stop_on_signal() as stopping:
            while self.step < until and not self._agree(stopping[0]):
                waiting = time.monotonic()
                parts = [self._to_device(next(batches)) for _ in range(self.recipe.accumulate)]
                waited += time.monotonic() - waiting

                lr = self._set_learning_rate()
                losses.append(self._optimize(network, parts))
                self.step += 1
                self.seconds = before + time.monotonic() - started
                self.report.stepped(self.step, losses[-1], lr)

                epoch, rest = divmod(self.step, self.steps_per_epoch)
                if rest == 0 and (epoch % self.recipe.eval_every == 0 or self.step == self.steps):
                    row = {
                        "loss": sum(losses) / len(losses),
                        "lr": lr,
                        "waiting": waited / (self.seconds - before),
                    }
                    self._validate(epoch, row)
                    losses = []
                if time.monotonic() - saved > SAVE_SECONDS:
                    self._save()
                    saved = time.monotonic()
        self._save()
        best = self.out / "best.safetensors"
        weights = best if best.is_file() else self.out / "last.safetensors"
        return FitResult(self.step, self.step == self.steps, self.best, weights)

    def _optimize(self, network: nn.Module, parts: list[Sample]) -> float:
        """Do one optimizer step over the micro-batches; return the loss over all processes' pixels."""
        torch.manual_seed(mix_seed(self.recipe.seed, self.step, self.world.rank, 1))  # dropout
        weights = torch.stack([self.loss.normalizer(part.mask) for part in parts])
        total = self.world.sum(weights.sum()).clamp(min=1e-12)
        value = torch.zeros((), device=self.world.device)
        for index, part in enumerate(parts):
            last = index == len(parts) - 1
            hold = not last and isinstance(network, DistributedDataParallel)
            with network.no_sync() if hold else nullcontext():  # type: ignore[operator]
                with autocast(self.autocast_dtype, self.world.device):
                    output = network(normalize(part.image, self.recipe.preprocess))
                # The parts' means, weighted by their pixels, add up to the mean of the undivided step; the mean over
                # processes that DistributedDataParallel takes is undone by the factor of their number.
                loss = self.loss(output.logits, part.mask, output.aux) * (weights[index] / total)
                self.scaler.scale(loss * self.world.size).backward()
                value += loss.detach()
        if self.recipe.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.ema is not None:
            self.ema.update_parameters(self.model)
        loss_value = float(self.world.sum(value))
        if not math.isfinite(loss_value) and not self.scaler.is_enabled():
            raise RecipeError(
                f"the loss became {loss_value} at step {self.step}",
                remedy="lower the learning rate (--optim.lr)",
            )
        return loss_value

    def _validate(self, epoch: int, row: dict[str, Any]) -> None:
        """Score the validation split, note the scores, keep the weights."""
        row = {"step": self.step, "epoch": epoch, "seconds": round(self.seconds, 1), **row}
        best = False
        if self.recipe.data.val:
            scores = self._score()
            best = self.best is None or scores.miou > self.best
            self.best = scores.miou if best else self.best
            row["val"] = scores.to_json()
        if self.world.is_first:
            append_metrics(self.out / "metrics.jsonl", row)
            self._write_board(row)
            card = self._card(row.get("val"))
            save_package(self.out / "last.safetensors", self._final(), card)
            if best and self.recipe.select_best:
                save_package(self.out / "best.safetensors", self._final(), card)
            if "val" in row:
                self.report.validated(epoch, row["val"], best)
        self._save()

    def _score(self) -> Scores:
        predictor = Predictor(self._final(), self._card(None), device=str(self.world.device))
        confusion = evaluate(
            predictor,
            self.source,
            self.recipe.data.val,
            rank=self.world.rank,
            world=self.world.size,
            progress=self.report.validating if self.world.is_first else None,
        )
        self.model.train()
        counts = self.world.sum(torch.from_numpy(confusion.counts))
        images = self.world.sum(torch.tensor(confusion.images))
        confusion = Confusion(confusion.space, counts.numpy(), int(images))
        return Scores.from_confusion(
            confusion, protocol_of(predictor, self.source, self.recipe.data.val, confusion)
        )

    def _final(self) -> nn.Module:
        """Return the network that is validated and saved."""
        if self.ema is None:
            return self.model
        average: nn.Module = self.ema.module
        return average

    def _card(self, scores: dict[str, Any] | None) -> WeightsCard:
        return WeightsCard(
            model=self.recipe.model.name,
            options=self.recipe.model.options,
            space=self.source.target,
            preprocess=self.recipe.preprocess,
            scores=() if scores is None else (scores,),
            license=self.source.license,
            provenance={
                "recipe": self.recipe.to_json(),
                "step": self.step,
                "hours": round(self.seconds / 3600, 3),
                "device": self.world.device.type,
            },
        )

    def _save(self) -> None:
        if not self.world.is_first:
            return
        state = {
            "recipe": json.dumps(self.recipe.to_json()),
            "step": self.step,
            "best": self.best,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "ema": None if self.ema is None else self.ema.state_dict(),
            "scaler": self.scaler.state_dict(),
        }
        save_state(self.out / LAST_STATE, state)

    def restore(self) -> None:
        """Go back to where the run's last state was saved."""
        path = self.out / LAST_STATE
        state = load_state(path)
        check_same_recipe(state["recipe"], self.recipe, path)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
        if self.ema is not None:
            self.ema.load_state_dict(state["ema"])
        self.scaler.load_state_dict(state["scaler"])
        self.step, self.best, self.seconds = state["step"], state["best"], state["seconds"]

    def _loader(self, until: int) -> DataLoader[Sample]:
        synthetic = self.recipe.data.synthetic
        mixed = None
        if synthetic is not None:
            mixed = (self.rendered, synthetic.share, round(synthetic.until * self.steps))
        sampler = StepSampler(
            self.real,
            batch_size=self.recipe.batch_size,
            seed=self.recipe.seed,
            steps=range(self.step, until),
            rank=self.world.rank,
            world=self.world.size,
            accumulate=self.recipe.accumulate,
            mixed=mixed,
        )
        workers = self.recipe.workers
        if workers < 0:
            workers = min(8, max(1, (os.cpu_count() or 2) // self.world.size - 1))
        return DataLoader(
            self.dataset,
            batch_sampler=sampler,
            num_workers=workers,
            worker_init_fn=_ignore_interrupts,
            pin_memory=self.world.device.type == "cuda",
        )

    def _parallel(self) -> nn.Module:
        if self.world.size == 1:
            return self.model
        return DistributedDataParallel(self.model)

    def _to_device(self, batch: Sample) -> Sample:
        image = batch.image.to(self.world.device, memory_format=torch.channels_last, non_blocking=True)
        return Sample(image, batch.mask.to(self.world.device, non_blocking=True), batch.key)

    def _set_learning_rate(self) -> float:
        lr = learning_rate(self.recipe.schedule, self.recipe.optim.lr, self.step, self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        return lr

    def _agree(self, stopping: bool) -> bool:
        """Return whether any process was told to stop: all must leave the loop at the same step."""
        if self.world.size == 1:
            return stopping
        return bool(self.world.sum(torch.tensor(int(stopping))) > 0)

    def _write_board(self, row: dict[str, Any]) -> None:
        if self.board is None:
            return
        for key in ("loss", "lr", "waiting"):
            self.board.add_scalar(key, row[key], self.step)
        if "val" in row:
            self.board.add_scalar("val/miou", row["val"]["miou"], self.step)
            for name, values in row["val"]["classes"].items():
                if values["iou"] is not None:
                    self.board.add_scalar(f"val/iou/{name}", values["iou"], self.step)
        self.board.flush()


@contextmanager
def _stop_on_signal() -> Iterator[list[bool]]:
    """Turn the first interrupt or termination signal into a flag, so that a step is never left half done."""
    flag = [False]

    def handle(_number: int, _frame: object) -> None:
        flag[0] = True
        signal.signal(signal.SIGINT, before[signal.SIGINT])  # a second Ctrl-C stops at once

    try:
        before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread: the caller's signals are its own affair
        yield flag
        return
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignore_interrupts(_worker: int) -> None:
    """Leave Ctrl-C, which a terminal sends to loader processes too, to the training process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _open_board(out: Path) -> Any:  # noqa: ANN401 - tensorboard is an optional, untyped dependency
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise RecipeError(
            "TensorBoard is not installed",
            remedy="pip install 'roadseg[tracking]', or leave out --tensorboard",
        ) from error
    return SummaryWriter(str(out))
