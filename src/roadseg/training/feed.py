"""What a run is fed with: data sets, which of their images make up an epoch, and the loader."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from pathlib import Path
from typing import assert_never

import numpy as np
import torch

from roadseg.data import (
    ClassCenters,
    EpochPlan,
    MixedDataset,
    RoadDataset,
    Sample,
    Shuffled,
    Source,
    StepSampler,
    TrainTransform,
    find_class_centers,
    open_source,
)
from roadseg.data.epochs import Balanced, ClassUniform, RareClass
from roadseg.data.joint import find_cache
from roadseg.data.loading import Loader, training_loader
from roadseg.errors import RecipeError
from roadseg.recipes import Recipe
from roadseg.recipes import spec as recipes
from roadseg.training.build import build_transform, class_indices
from roadseg.training.distributed import World
from roadseg.training.parts import Part, open_parts
from roadseg.training.report import Reporter

__all__ = ["Feed", "balanced"]


@dataclass(frozen=True)
class Feed:
    """The training data of a run.

    Attributes:
        recipe: The plan.
        world: The processes.
        parts: The data sets; the first gives the label space.
        dataset: All images, one data set after the other; rendered scenes last.
        plan: Which real ones make up an epoch.
        rendered: Number of rendered scenes.
    """

    recipe: Recipe
    world: World
    parts: tuple[Part, ...]
    dataset: MixedDataset
    plan: EpochPlan
    rendered: int

    @classmethod
    def of(cls, recipe: Recipe, world: World, report: Reporter) -> "Feed":
        """Find the data of a recipe; nothing is decoded, except labels for the samplings that look at classes.

        Raises:
            RecipeError: The recipe names no data, or values that do not fit them.
            DataError: The data are not there, or of several label spaces.
            LabelError: There is no such label space to translate them to, or no map leads to it.
        """
        data, sampling = recipe.data, recipe.sampling
        parts = open_parts(data)
        for part in parts:
            if part.val:  # what is wrong with it should show now, not after the first epochs
                part.source.find(part.val)
        first = parts[0].source
        transform = build_transform(recipe.augment, first.target.ignore)
        members = [_training_set(part.source, part.train, transform, data.cache) for part in parts]
        if isinstance(sampling, recipes.ClassUniform) and sampling.boost:
            # A cache holds stored labels, not those of a network.
            stored = data.cache if data.autolabels is None else ""
            members.append(_training_set(first, sampling.boost_split, transform, stored))
        plan = _Planner(recipe, world, report, parts).plan([len(member) for member in members[: len(parts)]])
        rendered = 0
        if data.synthetic is not None:
            scenes = open_source(data.synthetic.root)
            scenes = scenes.to(first.target) if data.to else scenes
            members.append(RoadDataset(scenes, "train", transform))
            rendered = len(members[-1])
        return cls(recipe, world, parts, MixedDataset(*members), plan, rendered)

    @property
    def source(self) -> Source:
        """The data set that gives the label space."""
        return self.parts[0].source

    @property
    def license(self) -> str:
        """What the data may be used for: the licenses of all data sets, in a line."""
        return "; ".join(dict.fromkeys(part.source.license for part in self.parts))

    @property
    def objectives(self) -> tuple[str, ...]:
        """Names of what `origins` counts: the data sets, and rendered scenes where there are some."""
        return (*(part.name for part in self.parts), *(["rendered"] if self.rendered else []))

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of an epoch."""
        return StepSampler.steps_per_epoch(len(self.plan), self.recipe.batch_size)

    def loader(self, steps: range) -> Loader[Sample]:
        """Return the batches of some steps, for this process.

        Raises:
            RecipeError: There is too little shared memory for the loader processes.
        """
        return training_loader(
            self.dataset,
            self._sampler(steps),
            workers=self.recipe.workers,
            device=self.world.device,
            processes=self.world.local_size,
        )

    def origins(self, step: int) -> list[torch.Tensor]:
        """Return which of the `objectives` each sample of this process's micro-batches is of, ``[B]`` each."""
        owners = torch.arange(len(self.dataset.datasets))
        owners[len(self.parts) :] = 0  # a boosted split is one of the first data set
        if self.rendered:
            owners[-1] = len(self.parts)
        members = (
            np.searchsorted(self.dataset.starts, [draw.position for draw in part], side="right") - 1
            for part in self._lookup.parts(step)
        )
        return [owners[torch.from_numpy(found)] for found in members]

    @cached_property
    def _lookup(self) -> StepSampler:
        return self._sampler(range(0))

    def _sampler(self, steps: range) -> StepSampler:
        recipe, synthetic = self.recipe, self.recipe.data.synthetic
        mixed = None
        if synthetic is not None:
            last = recipe.steps or recipe.epochs * self.steps_per_epoch
            mixed = (self.rendered, synthetic.share, round(synthetic.until * last))
        return StepSampler(
            self.plan,
            batch_size=recipe.batch_size,
            seed=recipe.seed,
            steps=steps,
            rank=self.world.rank,
            world=self.world.size,
            accumulate=recipe.accumulate,
            mixed=mixed,
        )


def balanced(recipe: Recipe, sampling: recipes.Balanced, sizes: Sequence[int]) -> Balanced:
    """Return the plan that gives every batch images of each data set.

    Raises:
        ValueError: A data set is empty, or the weights do not fit.
    """
    return Balanced(
        sizes,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        weights=sampling.weights,
        epoch=sampling.epoch,
    )


def _training_set(source: Source, split: str, transform: TrainTransform, cache: str) -> RoadDataset:
    folder = find_cache(Path(cache), source, split) if cache else None
    return RoadDataset(source, split, transform, cache=folder)


@dataclass(frozen=True)
class _Planner:
    """Turns a recipe's sampling into the plan of its epochs."""

    recipe: Recipe
    world: World
    report: Reporter
    parts: tuple[Part, ...]

    def plan(self, sizes: list[int]) -> EpochPlan:
        """Return the plan for data sets of these sizes."""
        try:
            return self._plan(sizes)
        except ValueError as error:
            raise RecipeError(
                str(error), where="sampling", remedy="change the recipe's sampling values"
            ) from error

    def _plan(self, sizes: list[int]) -> EpochPlan:
        sampling, seed, size = self.recipe.sampling, self.recipe.seed, sum(sizes)
        match sampling:
            case recipes.Shuffle():
                return Shuffled(size, seed)
            case recipes.ClassUniform():
                centers = self._centers(sampling.tile)
                if sampling.boost:
                    first = self.parts[0].source
                    channels = class_indices(first.target, sampling.boost)
                    extra = self._find(first, sampling.boost_split, sampling.tile)
                    centers = centers.followed_by(extra, channels)
                return ClassUniform(size, centers, sampling.share, seed, sampling.until)
            case recipes.RareClass():
                centers = self._centers(sampling.tile)
                return RareClass(size, centers, sampling.share, sampling.power, seed)
            case recipes.Balanced():
                return balanced(self.recipe, sampling, sizes)
            case _:
                assert_never(sampling)

    def _centers(self, tile: int) -> ClassCenters:
        found = [self._find(part.source, part.train, tile) for part in self.parts]
        return reduce(ClassCenters.followed_by, found)

    def _find(self, source: Source, split: str, tile: int) -> ClassCenters:
        """Look for the places of classes: first one process, then, from what it wrote, the others."""
        if not self.world.is_first:
            self.world.wait()
        found = find_class_centers(
            source,
            split,
            tile=tile,
            workers=self.recipe.workers,
            progress=self.report.scanning if self.world.is_first else None,
            note=self.report.prepared,
        )
        if self.world.is_first:
            self.world.wait()
        return found
