"""The data sets of a run, each with the splits that it is trained and validated on."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from roadseg.data import Source, open_source, with_autolabels
from roadseg.data.joint import joined
from roadseg.errors import RecipeError
from roadseg.recipes import Data

__all__ = ["Part", "Place", "further_places", "named", "open_parts", "places"]

_SPLITS = re.compile(r"(?P<root>.+?)@(?P<train>[^@/\\]*)(?:@(?P<val>[^@/\\]*))?")


@dataclass(frozen=True)
class Place:
    """Where a data set lies, before it is opened.

    Attributes:
        root: Folder or ``data.yaml``; ``NAME:PATH`` forces a layout.
        train: Split to train on.
        val: Split to validate on; empty for none.
    """

    root: str
    train: str
    val: str


@dataclass(frozen=True)
class Part:
    """One data set of a run.

    Attributes:
        name: Tells it apart from the run's other data sets.
        source: The data set, in the label space of the run.
        train: Split to train on.
        val: Split to validate on; empty for none.
    """

    name: str
    source: Source
    train: str
    val: str


def places(data: Data) -> tuple[Place, ...]:
    """Return where a recipe's data sets lie; ``PATH@TRAIN@VAL`` names splits, unless there is such a path.

    Raises:
        RecipeError: The recipe does not say where they are.
    """
    if not data.root:
        raise RecipeError(
            "no data is given to train on",
            remedy="add --data FOLDER; `roadseg data synth FOLDER` renders some when you have none",
        )
    return (Place(data.root, data.train, data.val), *further_places(data))


def further_places(data: Data) -> tuple[Place, ...]:
    """Return where the data sets after the first lie."""
    return tuple(_place(text, data) for text in data.parts)


def open_parts(data: Data) -> tuple[Part, ...]:
    """Open a recipe's data sets, in one label space where it names one.

    Raises:
        RecipeError: The recipe does not say where they are.
        DataError: They are not there.
        LabelError: There is no such label space, or no map leads to it.
    """
    found = places(data)
    sources = joined([open_source(place.root) for place in found], data.to)
    if data.autolabels is not None:
        sources = (with_autolabels(sources[0], **vars(data.autolabels)), *sources[1:])
    return tuple(
        Part(name, source, place.train, place.val)
        for name, source, place in zip(named(sources), sources, found, strict=True)
    )


def named(sources: Sequence[Source]) -> tuple[str, ...]:
    """Return names that differ: of the layouts, else of the folders, else of folders with numbers."""
    names = tuple(source.name for source in sources)
    if len(set(names)) < len(names):
        names = tuple(_folder(source.root).name for source in sources)
    if len(set(names)) < len(names):
        names = tuple(f"{name}-{number}" for number, name in enumerate(names, 1))
    return names


def _place(text: str, data: Data) -> Place:
    found = _SPLITS.fullmatch(text)
    if found is None or any(Path(path).exists() for path in (text, text.partition(":")[2]) if path):
        return Place(text, data.train, data.val)
    val = data.val if found["val"] is None else found["val"]
    return Place(found["root"], found["train"] or data.train, val)


def _folder(root: Path) -> Path:
    return root.parent if root.suffix else root
