"""The label spaces that come with roadseg, and the maps between them.

Each space is a file ``spaces/<name>.toml``::

    name = "camvid-11"
    title = "one line"
    source = "who defined it, where"
    license = "what may be done with data labeled this way"
    ignore = 11                       # the id that is left out

    classes = [                       # in channel order; group and has_instances may be left out
        { name = "car", id = 8, color = [64, 0, 128], group = "vehicle", has_instances = true },
    ]

A space that takes its classes from another states only what differs::

    parent = "cityscapes"
    pick = ["road", "sidewalk"]       # the parent's classes in channel order, ids renumbered from 0;
                                      # without pick: all classes of the parent with the parent's ids
    classes = []                      # optional, appended

Maps are declared in the file of the *target* space, by class name::

    [from]
    camvid-12 = "same names"          # each class goes to the class of its own name

    [from.camvid-32]                  # target class = its source classes; those that are not listed are ignored
    sky = ["Sky"]
    building = ["Archway", "Building"]
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

from roadseg.errors import LabelError
from roadseg.labels.mapping import LabelMap
from roadseg.labels.space import Class, LabelSpace, near_matches

__all__ = ["SpaceNote", "label_map", "space", "space_names", "space_note"]

SAME_NAMES = "same names"


@dataclass(frozen=True)
class SpaceNote:
    """Where a label space comes from.

    Args:
        title: One line.
        source: Who defined it, and where.
        license: What may be done with data labeled this way.
    """

    title: str
    source: str
    license: str


@cache
def space_names() -> tuple[str, ...]:
    """Return the names of the spaces that come with roadseg, sorted."""
    entries = (entry.name for entry in files("roadseg.labels").joinpath("spaces").iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in entries if name.endswith(".toml")))


@cache
def space(name: str) -> LabelSpace:
    """Return a space that comes with roadseg.

    Raises:
        LabelError: There is none of that name; near matches are named.
    """
    document = _document(name)
    classes: list[Class] = []
    if "parent" in document:
        parent = space(document["parent"])
        classes.extend(_picked(parent, document["pick"]) if "pick" in document else parent.classes)
    classes.extend(Class(**item) for item in document.get("classes", ()))
    return LabelSpace(name=name, classes=tuple(classes), ignore=document["ignore"])


@cache
def space_note(name: str) -> SpaceNote:
    """Return title, source and license of a space that comes with roadseg.

    Raises:
        LabelError: There is none of that name.
    """
    document = _document(name)
    return SpaceNote(title=document["title"], source=document["source"], license=document["license"])


def label_map(source: LabelSpace | str, target: LabelSpace | str) -> LabelMap:
    """Return the map from one space to another.

    In this order: the declared map; by name, when the target has every name of the source (so equal spaces give
    the identity); the shortest chain of declared maps; by name, when at least one name is shared.

    Raises:
        LabelError: A name is unknown, or the spaces have nothing in common.
    """
    start = space(source) if isinstance(source, str) else source
    end = space(target) if isinstance(target, str) else target
    if (declared := _declared_map(start, end)) is not None:
        return declared
    shared = set(start.names) & set(end.names)
    if len(shared) == start.num_classes:
        return LabelMap.by_name(start, end)
    if (chained := _declared_chain(start, end)) is not None:
        return chained
    if not shared:
        raise LabelError(
            f"no map leads from label space {start.name} to {end.name}: they share no class name",
            remedy="give a LabelMap.by_name(source, target, names) that says which class becomes which",
        )
    return LabelMap.by_name(start, end)


def _document(name: str) -> Mapping[str, Any]:
    if name not in space_names():
        raise LabelError(f"unknown label space {name!r}", remedy=near_matches(name, space_names()))
    return _read_document(name)


@cache
def _read_document(name: str) -> Mapping[str, Any]:
    text = files("roadseg.labels").joinpath("spaces", f"{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def _picked(parent: LabelSpace, names: Sequence[str]) -> list[Class]:
    return [replace(parent.classes[parent.index(name)], id=i) for i, name in enumerate(names)]


def _declared_map(source: LabelSpace, target: LabelSpace) -> LabelMap | None:
    """Return the map that the target's file declares; a space that only bears a known name has none."""
    known = space_names()
    if source.name not in known or target.name not in known:
        return None
    declared = _document(target.name).get("from", {}).get(source.name)
    if declared is None or space(source.name) != source or space(target.name) != target:
        return None
    if declared == SAME_NAMES:
        return LabelMap.by_name(source, target)
    names: dict[str, str | None] = dict.fromkeys(source.names)
    names |= {member: wanted for wanted, members in declared.items() for member in members}
    return LabelMap.by_name(source, target, names)


def _declared_chain(source: LabelSpace, target: LabelSpace) -> LabelMap | None:
    """Return the shortest chain of declared maps, found breadth first; ties go by name."""
    reached = {source.name}
    ends = [LabelMap.by_name(source, source)]
    while ends:
        farther: list[LabelMap] = []
        for path in ends:
            steps = (_declared_map(path.target, space(name)) for name in space_names() if name not in reached)
            farther.extend(path.then(step) for step in steps if step is not None)
            reached.update(path.target.name for path in farther)
        for path in farther:
            if path.target == target:
                return path
        ends = farther
    return None
