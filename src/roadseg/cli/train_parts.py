"""What ``roadseg train --dry-run`` tells of the data sets of a run: what each gives to it."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from roadseg.data import Source, open_source
from roadseg.data.joint import UNION, joined
from roadseg.errors import RoadsegError
from roadseg.labels import LabelSpace, space
from roadseg.recipes import Balanced, Data, Recipe
from roadseg.training.feed import balanced
from roadseg.training.parts import Place, further_places, named, places

__all__ = ["PartPlan", "attempt", "look_at", "steps_per_epoch", "target_of"]


@dataclass(frozen=True, kw_only=True)
class PartPlan:
    """What one data set gives to a run.

    Attributes:
        name: Tells it apart from the others.
        place: Where it lies, and its splits.
        source: The data set; None where it cannot be opened.
        images: Number of images to train on; 0 when unknown.
        validation: Number of images to validate on.
        share: Part of all samples that are drawn from it, 0..1; 0 when unknown.
    """

    name: str
    place: Place
    source: Source | None
    images: int
    validation: int
    share: float = 0.0
    in_every_batch: bool = False

    def to_json(self, samples: int) -> dict[str, Any]:
        """Return plain JSON values; ``samples`` are those of the whole run."""
        source = self.source
        return {
            "name": self.name,
            "root": self.place.root,
            "found": source is not None,
            "train": self.place.train,
            "val": self.place.val,
            "images": self.images,
            "validation": self.validation,
            "share": round(self.share, 4),
            "samples": round(self.share * samples),
            "classes": None if source is None else source.target.num_classes - len(source.unreachable),
        }

    def tell(self, samples: int) -> str:
        """Return it in a line."""
        drawn = round(self.share * samples)
        texts = [
            f"{self.images:,} images ({self.place.train})" if self.images else "not found",
            f"{100 * self.share:.1f}% of {'every batch' if self.in_every_batch else 'all crops'}"
            if self.share
            else "",
            f"{drawn:,} crops" if drawn else "",
            f"{drawn / self.images:.1f} passes" if drawn and self.images else "",
            f"{self.validation:,} to validate on ({self.place.val})" if self.validation else "",
            "not validated on" if not self.place.val else "",
        ]
        if self.source is not None:
            target = self.source.target
            texts.append(
                f"{target.num_classes - len(self.source.unreachable)} of {target.num_classes} classes"
            )
        return ", ".join(filter(None, texts))


def attempt(act: Any, missing: list[str]) -> Any:  # noqa: ANN401 - what it returns is up to the caller
    """Return what ``act`` returns; None, and a line in ``missing``, where it raises."""
    try:
        return act()
    except RoadsegError as error:
        missing.append(str(error))
        return None


def look_at(recipe: Recipe, missing: list[str]) -> tuple[PartPlan, ...]:
    """Look at a recipe's data sets; what is wrong with them becomes lines in ``missing``."""
    found: tuple[Place, ...] = attempt(partial(places, recipe.data), missing) or ()
    for place in () if found else further_places(recipe.data):
        attempt(
            partial(open_source, place.root), missing
        )  # the first is not named; the others may be missing too
    opened = [attempt(partial(open_source, place.root), missing) for place in found]
    sources = _translated(opened, recipe.data.to, missing)
    here = [source for source in sources if source is not None]
    names = named(here) if len(here) == len(found) else tuple(place.root for place in found)
    parts = tuple(
        PartPlan(
            name=name,
            place=place,
            source=source,
            images=_count(source, place.train, missing),
            validation=_count(source, place.val, missing) if place.val else 0,
            in_every_batch=isinstance(recipe.sampling, Balanced),
        )
        for name, place, source in zip(names, found, sources, strict=True)
    )
    shares = _shares(recipe, [part.images for part in parts])
    return tuple(replace(part, share=share) for part, share in zip(parts, shares, strict=True))


def target_of(recipe: Recipe, parts: Sequence[PartPlan], missing: list[str]) -> tuple[LabelSpace, str]:
    """Return the label space of a run, and what to call it; where its data are not there, the one it was written for."""
    data = recipe.data
    if parts and all(part.source is not None for part in parts):
        target: LabelSpace | None = parts[0].source.target if parts[0].source is not None else None
    else:
        target = _stated(data, missing)
    if target is not None:
        return target, f"{target.name}, {target.num_classes} classes"
    return space(data.space or "cityscapes-19"), "all class names of the data sets, once they are there"


def steps_per_epoch(recipe: Recipe, sizes: Sequence[int]) -> int | None:
    """Return the steps of an epoch that is made up of equal or weighted shares; None for other samplings."""
    if not isinstance(recipe.sampling, Balanced) or not sizes or not min(sizes):
        return None
    with suppress(ValueError):
        return balanced(recipe, recipe.sampling, sizes).steps
    return None


def _stated(data: Data, missing: list[str]) -> LabelSpace | None:
    if data.to == UNION:
        return None
    found: LabelSpace | None = attempt(partial(space, data.to), missing) if data.to else None
    return found or space(data.space or "cityscapes-19")


def _translated(sources: Sequence[Source | None], to: str, missing: list[str]) -> Sequence[Source | None]:
    here = [source for source in sources if source is not None]
    if to == UNION:
        return joined(here, to) if here and len(here) == len(sources) else sources
    return [
        (attempt(partial(joined, [source], to), missing) or [source])[0] if source is not None else None
        for source in sources
    ]


def _shares(recipe: Recipe, images: Sequence[int]) -> list[float]:
    if not images:
        return []
    weights: Sequence[float] = images
    if isinstance(recipe.sampling, Balanced):
        weights = recipe.sampling.weights or [1.0] * len(images)
    total = sum(weights)
    if len(weights) != len(images) or not total:
        return [0.0] * len(images)
    return [weight / total for weight in weights]


def _count(source: Source | None, split: str, missing: list[str]) -> int:
    found = None if source is None else attempt(lambda: source.find(split), missing)
    return 0 if found is None else len(found)
