"""What a run is fed with: data sets, which of their images make up an epoch, and the loader."""

from dataclasses import dataclass
from functools import reduce
from typing import assert_never

from roadseg.data import (
    ClassCenters,
    EpochPlan,
    MixedDataset,
    RoadDataset,
    Shuffled,
    Source,
    StepSampler,
    find_class_centers,
    open_source,
    with_autolabels,
)
from roadseg.data.epochs import Balanced, ClassUniform, RareClass
from roadseg.data.loading import Loader, training_loader
from roadseg.errors import RecipeError
from roadseg.recipes import Data, Recipe
from roadseg.recipes import spec as recipes
from roadseg.training.build import build_transform, class_indices
from roadseg.training.distributed import World
from roadseg.training.report import Reporter

__all__ = ["Feed", "open_sources"]


def open_sources(data: Data) -> tuple[Source, ...]:
    """Open the recipe's data sets: the first is validated on too.

    Raises:
        RecipeError: The recipe does not say where they are.
        DataError: They are not there.
    """
    if not data.root:
        raise RecipeError(
            "no data is given to train on",
            remedy="add --data FOLDER; `roadseg data synth FOLDER` renders some when you have none",
        )
    first = open_source(data.root)
    if data.autolabels is not None:
        first = with_autolabels(first, **vars(data.autolabels))
    return (first, *map(open_source, data.parts))


@dataclass(frozen=True)
class Feed:
    """The training data of a run.

    Attributes:
        recipe: The plan.
        world: The processes.
        source: The data set that gives the label space, and that is validated on.
        dataset: All images, one data set after the other; rendered scenes last.
        plan: Which real ones make up an epoch.
        rendered: Number of rendered scenes.
    """

    recipe: Recipe
    world: World
    source: Source
    dataset: MixedDataset
    plan: EpochPlan
    rendered: int

    @classmethod
    def of(cls, recipe: Recipe, world: World, report: Reporter) -> "Feed":
        """Find the data of a recipe; nothing is decoded, except labels for the samplings that look at classes.

        Raises:
            RecipeError: The recipe names no data, or values that do not fit them.
            DataError: The data are not there, or of several label spaces.
        """
        data, sampling = recipe.data, recipe.sampling
        sources = open_sources(data)
        first = sources[0]
        if data.val:
            first.find(data.val)  # what is wrong with it should show now, not after the first epochs
        transform = build_transform(recipe.augment, first.target.ignore)
        cache = data.cache or None
        members = [RoadDataset(source, data.train, transform, cache=cache) for source in sources]
        real = len(members)
        if isinstance(sampling, recipes.ClassUniform) and sampling.boost:
            # A cache holds stored labels, not those of a network.
            stored = cache if data.autolabels is None else None
            members.append(RoadDataset(first, sampling.boost_split, transform, cache=stored))
        sizes = [len(member) for member in members]
        plan = _Planner(recipe, world, report, sources).plan(sizes[:real])
        rendered = 0
        if data.synthetic is not None:
            members.append(RoadDataset(open_source(data.synthetic.root), "train", transform))
            rendered = len(members[-1])
        return cls(recipe, world, first, MixedDataset(*members), plan, rendered)

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of an epoch."""
        return StepSampler.steps_per_epoch(len(self.plan), self.recipe.batch_size)

    def loader(self, steps: range) -> Loader:
        """Return the batches of some steps, for this process.

        Raises:
            RecipeError: There is too little shared memory for the loader processes.
        """
        recipe, synthetic = self.recipe, self.recipe.data.synthetic
        mixed = None
        if synthetic is not None:
            last = recipe.steps or recipe.epochs * self.steps_per_epoch
            mixed = (self.rendered, synthetic.share, round(synthetic.until * last))
        sampler = StepSampler(
            self.plan,
            batch_size=recipe.batch_size,
            seed=recipe.seed,
            steps=steps,
            rank=self.world.rank,
            world=self.world.size,
            accumulate=recipe.accumulate,
            mixed=mixed,
        )
        return training_loader(
            self.dataset,
            sampler,
            workers=recipe.workers,
            device=self.world.device,
            processes=self.world.local_size,
        )


@dataclass(frozen=True)
class _Planner:
    """Turns a recipe's sampling into the plan of its epochs."""

    recipe: Recipe
    world: World
    report: Reporter
    sources: tuple[Source, ...]

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
        train = self.recipe.data.train
        match sampling:
            case recipes.Shuffle():
                return Shuffled(size, seed)
            case recipes.ClassUniform():
                centers = self._centers(train, sampling.tile)
                if sampling.boost:
                    channels = class_indices(self.sources[0].target, sampling.boost)
                    extra = self._find(self.sources[0], sampling.boost_split, sampling.tile)
                    centers = centers.followed_by(extra, channels)
                return ClassUniform(size, centers, sampling.share, seed, sampling.until)
            case recipes.RareClass():
                centers = self._centers(train, sampling.tile)
                return RareClass(size, centers, sampling.share, sampling.power, seed)
            case recipes.Balanced():
                return Balanced(
                    sizes,
                    batch_size=self.recipe.batch_size,
                    seed=seed,
                    weights=sampling.weights,
                    epoch=sampling.epoch,
                )
            case _:
                assert_never(sampling)

    def _centers(self, split: str, tile: int) -> ClassCenters:
        found = [self._find(source, split, tile) for source in self.sources]
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
