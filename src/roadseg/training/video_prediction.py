"""Teaching a network to predict the next frame of a video: the loop.

As in `roadseg.training.fit`, everything random is a function of (seed, step), so a run that was interrupted and resumed
ends bit for bit like one that was not.
"""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from roadseg.data import Shuffled, StepSampler, mix_seed
from roadseg.data.loading import Loader, training_loader
from roadseg.data.triplets import FlowBetween, Triplet, Triplets, find_videos
from roadseg.errors import RecipeError
from roadseg.inference import autocast, autocast_dtype
from roadseg.inference.motion_weights import save_motion
from roadseg.losses.video_prediction import VideoPredictionLoss
from roadseg.media.run_files import STATE
from roadseg.metrics.pictures import PictureScores
from roadseg.recipes import VideoPrediction
from roadseg.training.checkpoint import SAVE_SECONDS, check_same_recipe, load_state, save_state
from roadseg.training.distributed import World, join, leave
from roadseg.training.fit import FitResult
from roadseg.training.journal import Journal, cpu_seconds
from roadseg.training.motion_start import fresh_network, motion_card
from roadseg.training.optim import build_optimizer, gradient_scaler, set_learning_rate, take_step
from roadseg.training.parallel import connection_errors
from roadseg.training.report import Reporter, Silent
from roadseg.training.schedule import learning_rate
from roadseg.training.stopping import stop_on_signal
from roadseg.training.validation import check_interval
from roadseg.training.watch import LossWatch

__all__ = ["train_video_prediction"]


def train_video_prediction(
    recipe: VideoPrediction,
    out: str | Path,
    *,
    flow_between: FlowBetween | None = None,
    device: str = "auto",
    resume: bool = False,
    report: Reporter | None = None,
    max_steps: int | None = None,
) -> FitResult:
    """Train.

    Writes into ``out`` what `roadseg.training.fit` does. Under torchrun, the processes share the work and the first one
    writes.

    Args:
        recipe: The plan.
        out: Folder of the run.
        flow_between: Computes the flow that the recipe's network is handed.
        device: As for `roadseg.inference.choose_device`.
        resume: Go on from ``last.pt``.
        report: Hears of progress.
        max_steps: Stop, resumably, after this step of the plan.

    Raises:
        RecipeError: The recipe does not fit the run to be resumed, or its flow is missing.
        RunError: The loss is no number, or another process ended.
        InputError: The videos cannot be read.
        OutputError: The results cannot be written.
    """
    out = Path(out)
    if recipe.network.flow != "flownet2" and flow_between is None:
        raise RecipeError(
            f"the network is handed flow of {recipe.network.flow}, and nothing computes it",
            where="network.flow",
            remedy="pass flow_between",
        )
    world = join(device)
    try:
        with connection_errors(world, out):
            state = load_state(out / STATE) if resume else None
            if state is not None:
                check_same_recipe(state["recipe"], recipe, out / STATE)
                _check_same_devices(state["devices"], world, out)
            run = _Run(recipe, out, world, report or Silent(), flow_between)
            if state is not None:
                run.restore(state)
            return run.train(run.steps if max_steps is None else min(run.steps, max_steps))
    finally:
        leave()


def _check_same_devices(before: int, world: World, out: Path) -> None:
    if before != world.size:
        raise RecipeError(
            f"the run was started on {before} processes and is resumed on {world.size}, which would change its batches",
            where=out,
            remedy=f"resume it on {before}",
        )


class _Run:
    """One training run: the objects of a recipe, and the loop over them."""

    def __init__(
        self,
        recipe: VideoPrediction,
        out: Path,
        world: World,
        report: Reporter,
        flow_between: FlowBetween | None,
    ) -> None:
        check_interval(recipe.eval_every)
        self.recipe = recipe
        self.out = out
        self.world = world
        self.report = report
        self.journal = Journal(out, recipe, world)
        torch.manual_seed(mix_seed(recipe.seed, 0))
        network, note = fresh_network(recipe.network)
        self.network = network.to(world.device)
        if note is not None and world.is_first:
            report.prepared(note)
        self._open(flow_between)
        weights = recipe.loss
        self.loss = VideoPredictionLoss(
            color=weights.color, gradient=weights.gradient, smoothness=weights.smoothness
        ).to(world.device)
        self.optimizer = build_optimizer(recipe.optim, self.network)
        self.autocast_dtype = autocast_dtype(recipe.precision, world.device)
        self.scaler = gradient_scaler(self.autocast_dtype, world.device)
        self.watch = LossWatch(out, world, tolerant=self.scaler.is_enabled())
        self.step, self.saved_step = 0, -1
        self.best: float | None = None
        self.seconds = self.cpu_seconds = 0.0  # of earlier parts of the run

    def _open(self, flow_between: FlowBetween | None) -> None:
        """Find the videos; nothing is decoded."""
        recipe, data = self.recipe, self.recipe.data
        if not data.root:
            raise RecipeError("names no videos", where=recipe.name, remedy="give them with --data FOLDER")
        if data.val and data.val_frames < 1:
            raise RecipeError(
                f"validates on {data.val_frames} frames", where="data.val_frames", remedy="give 1 or more"
            )
        self.computes_flow = flow_between is not None and recipe.network.flow != "flownet2"
        given = flow_between if self.computes_flow else None
        flows = self.network.num_flows
        self.triplets = Triplets(
            find_videos(data.root, data.train),
            crop=recipe.crop,
            flip=recipe.flip,
            reverse=recipe.reverse,
            flow_between=given,
            flows=flows,
        )
        self.val = (
            Triplets(find_videos(data.root, data.val), flow_between=given, flows=flows) if data.val else None
        )
        self.batch_size = recipe.batch_size * self.world.size
        self.steps_per_epoch = StepSampler.steps_per_epoch(len(self.triplets), self.batch_size)
        self.steps = recipe.steps or recipe.epochs * self.steps_per_epoch

    def train(self, until: int) -> FitResult:
        """Run the loop from the current step to ``until`` (exclusive)."""
        self.journal.start(self.step, self.steps, self.steps_per_epoch)
        network = self.network if self.world.size == 1 else DistributedDataParallel(self.network)
        self.network.train()
        self.report.started(self.step, self.steps)
        started = saved = time.monotonic()
        before, cpu_before = self.seconds, self.cpu_seconds - cpu_seconds()
        with self._loader(range(self.step, until)) as loader, stop_on_signal() as stopping:
            for batch in loader:
                lr = learning_rate(
                    self.recipe.schedule, self.recipe.optim.lr, self.step, self.steps, self.steps_per_epoch
                )
                set_learning_rate(self.optimizer, lr)
                loss = self._optimize(network, batch)
                self.watch.add(self.step, loss, tuple(batch.key), lr)
                self.step += 1
                self.seconds = before + time.monotonic() - started
                self.cpu_seconds = cpu_before + cpu_seconds()
                self.report.stepped(self.step, self.watch.last, lr)
                epoch, rest = divmod(self.step, self.steps_per_epoch)
                if self.step == self.steps or (rest == 0 and epoch % self.recipe.eval_every == 0):
                    self._validate(epoch, lr, loader.take_times().waiting)
                    saved = time.monotonic()
                stop, save = self.world.any_of(stopping[0], time.monotonic() - saved > SAVE_SECONDS)
                if stop:
                    break
                if save:
                    self._save()
                    saved = time.monotonic()
        if self.saved_step != self.step:
            self._save()
        finished = self.step == self.steps
        if finished:
            self.journal.finish(self.step, self.seconds, {"best_psnr": self.best})
        return FitResult(self.step, finished, self.best, self.journal.weights)

    def _loader(self, steps: range) -> Loader[Triplet]:
        recipe, world = self.recipe, self.world
        sampler = StepSampler(
            Shuffled(len(self.triplets), recipe.seed),
            batch_size=self.batch_size,
            seed=recipe.seed,
            steps=steps,
            rank=world.rank,
            world=world.size,
        )
        return training_loader(
            self.triplets,
            sampler,
            workers=recipe.workers,
            device=world.device,
            processes=world.local_size,
            # OpenCV's threads, which compute the flow, do not survive a fork.
            start="spawn" if self.computes_flow else None,
        )

    def _optimize(self, network: nn.Module, batch: Triplet) -> torch.Tensor:
        """Do one optimizer step; return the mean loss over all processes."""
        frames = batch.frames.float()
        with autocast(self.autocast_dtype, self.world.device):
            made = network(frames, batch.flows if self.computes_flow else None)
        loss: torch.Tensor = self.loss(made.image.float(), frames[:, 2], made.flow.float())
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        take_step(self.optimizer, self.scaler, self.network, self.recipe.clip_norm)
        return self.world.sum(loss.detach()) / self.world.size

    def _validate(self, epoch: int, lr: float, waiting: float) -> None:
        """Score predicted frames of the validation split, note the scores, keep the weights."""
        row: dict[str, Any] = {
            "step": self.step,
            "epoch": epoch,
            "seconds": round(self.seconds, 1),
            "cpu_seconds": round(self.cpu_seconds, 1),
            "loss": self.watch.mean(),
            "lr": lr,
            "waiting": waiting,
        }
        scores = self._score(self.val) if self.val is not None else {}
        best = bool(scores) and (self.best is None or scores["psnr"] > self.best)
        if best:
            self.best = scores["psnr"]
        self.journal.note(row | ({"val": scores} if scores else {}))
        provenance = self.journal.provenance(self.step, self.seconds)
        card = motion_card(self.recipe.network, scores=scores, provenance=provenance)
        self.journal.keep(lambda path: save_motion(path, self.network, card), best=best)
        if scores:
            self.report.validated(epoch, scores, best)
        self._save()

    @torch.inference_mode()
    def _score(self, val: Triplets) -> dict[str, Any]:
        """Return the mean scores of predicted frames, and those of frames that repeat the one before."""
        count = min(len(val), self.recipe.data.val_frames)
        positions = np.linspace(0, len(val) - 1, count).round().astype(int).tolist()
        self.network.eval()
        sums = torch.zeros(2, 3, dtype=torch.float64)
        for done, position in enumerate(positions[self.world.rank :: self.world.size]):
            if self.world.is_first:
                self.report.validating(done * self.world.size, count)
            frames, flows, _ = val[position]
            given = flows[None].to(self.world.device) if self.computes_flow else None
            with autocast(self.autocast_dtype, self.world.device):
                made = self.network(frames[None].to(self.world.device).float(), given).image[0].float()
            real = frames[2].permute(1, 2, 0).numpy()
            predicted = made.round().clamp(0, 255).to("cpu", torch.uint8).permute(1, 2, 0).numpy()
            pictures = (predicted, frames[1].permute(1, 2, 0).numpy())
            sums += torch.tensor([PictureScores.of(picture, real) for picture in pictures])
        self.network.train()
        own, copied = (PictureScores(*row) for row in (self.world.sum(sums) / count).tolist())
        return {**own._asdict(), "copy": copied._asdict(), "frames": count}

    def _save(self) -> None:
        self.watch.flush()  # what a bad loss made of the weights must not replace the last good state
        self.saved_step = self.step
        if not self.world.is_first:
            return
        save_state(
            self.out / STATE,
            {
                "recipe": json.dumps(self.recipe.to_json()),
                "devices": self.world.size,
                "model": self.network.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(),
                "step": self.step,
                "best": self.best,
                "seconds": self.seconds,
                "cpu_seconds": self.cpu_seconds,
            },
        )

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to where the run's last state was saved."""
        self.network.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if state["scaler"]:  # empty where the run's precision needed none so far
            self.scaler.load_state_dict(state["scaler"])
        self.step, self.best = state["step"], state["best"]
        self.seconds, self.cpu_seconds = state["seconds"], state["cpu_seconds"]
