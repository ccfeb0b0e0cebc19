"""The label spaces that come with roadseg and those of users, and the maps between them.

Each space is a file ``spaces/<name>.toml``; users' own files, given by their path, read the same::

    name = "camvid-11"
    title = "one line"                # title, source and license may be left out in users' files
    source = "who defined it, where"
    license = "what may be done with data labeled this way"
    ignore = 11                       # the id that is left out; 255 or the parent's by default

    classes = [                       # in channel order; only the name must be given
        { name = "car", id = 8, color = [64, 0, 128], group = "vehicle", has_instances = true },
        "pothole",                    # the next id, a generated color
    ]

A space that takes its classes from another states only what differs::

    parent = "cityscapes"             # or the path of a file, seen from this one
    pick = ["road", "sidewalk"]       # the parent's classes in channel order
    drop = ["train"]                  # all but these
    merge = { cycle = ["motorcycle", "bicycle"] }
    split = { road = ["road", "crosswalk"] }
    classes = ["pothole"]             # appended

Any of pick, drop, merge and split numbers the classes from 0; without them the parent's ids stay. What becomes of the
parent's classes, and of these in the parent, follows (:class:`roadseg.labels.editing.Edits`).

Maps are declared in the file of the *target* space, by class name::

    [from]
    camvid-12 = "same names"          # each class goes to the class of its own name

    [from.camvid-32]                  # target class = its source classes; those that are not listed are ignored
    sky = ["Sky"]
    building = "all others"           # all that are not listed
    through = "cityscapes-19"         # or: those that are not listed go the way through that space

and ``[to.NAME]`` tables, of the same form, say where the classes of a user's space go (chains of maps make no use of
them). A map between two spaces that
come with roadseg may have a file of its own, ``maps/<target>/<source>.toml``, which is the table without its header:
those from and to the MSeg taxonomy do, as they are derived from data with terms of its own (see NOTICE).
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

from roadseg.errors import LabelError
from roadseg.labels.declared import SAME_NAMES, Declaration, inverted, resolve, through
from roadseg.labels.documents import Document, SpaceNote, parse_document, parse_toml
from roadseg.labels.mapping import LabelMap
from roadseg.labels.space import LabelSpace, near_matches

__all__ = ["find_space", "label_map", "space", "space_names", "space_note", "space_origins"]

_SUFFIX = ".toml"
_read: dict[str, Document] = {}  # users' files that were read, by the name of their space


@cache
def space_names() -> tuple[str, ...]:
    """Return the names of the spaces that come with roadseg, sorted."""
    return _listed("spaces")


def space(name: str | Path) -> LabelSpace:
    """Return a label space.

    Args:
        name: Name of a space that comes with roadseg, path of a ``.toml`` file, or the name of a space whose file
            was read before.

    Raises:
        LabelError: There is none of that name, near matches are named; or the file is damaged.
    """
    return _document(name).space


def find_space(given: LabelSpace | str | Path) -> LabelSpace:
    """Return the label space that a name or a file stands for; a space stands for itself.

    Raises:
        LabelError: As for :func:`space`.
    """
    return given if isinstance(given, LabelSpace) else space(given)


def space_note(name: str | Path) -> SpaceNote:
    """Return title, source and license of a space.

    Raises:
        LabelError: As for :func:`space`.
    """
    return _document(name).note


def space_origins(name: str | Path) -> tuple[str, ...]:
    """Return the names of the spaces that a declared map leads from to this one, sorted.

    Raises:
        LabelError: As for :func:`space`.
    """
    return tuple(_entries(_document(name).space.name, {}))


def label_map(source: LabelSpace | str | Path, target: LabelSpace | str | Path) -> LabelMap:
    """Return the map from one space to another.

    In this order: the declared map; by name, when the target has every name of the source (so equal spaces give
    the identity); the shortest chain of declared maps; by name, when at least one name is shared.

    Raises:
        LabelError: A name is unknown, or the spaces have nothing in common.
    """
    start, end = find_space(source), find_space(target)
    if all(item.name in space_names() and space(item.name) == item for item in (start, end)):
        return _shipped_map(start.name, end.name)
    return _find_map(start, end)


@cache
def _shipped_map(source: str, target: str) -> LabelMap:
    return _find_map(space(source), space(target))


def _find_map(start: LabelSpace, end: LabelSpace) -> LabelMap:
    known = _is_known(start) and _is_known(end)
    if known and (declared := _declaration(start.name, end.name)) is not None:
        return _resolved(declared, start, end)
    shared = set(start.names) & set(end.names)
    if len(shared) == start.num_classes:
        return LabelMap.by_name(start, end)
    if known and (chain := _chain(start.name, end.name)):
        return _joined(chain)
    if not shared:
        raise LabelError(
            f"no map leads from label space {start.name} to {end.name}: they share no class name",
            remedy="give a LabelMap.by_name(source, target, names) that says which class becomes which",
        )
    return LabelMap.by_name(start, end)


def _listed(*folder: str) -> tuple[str, ...]:
    place = files("roadseg.labels").joinpath(*folder)
    names = (entry.name for entry in place.iterdir()) if place.is_dir() else ()
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)))


def _document(name: str | Path) -> Document:
    if isinstance(name, Path) or name.endswith(_SUFFIX):
        return _read_file(Path(name))
    if name in space_names():
        return _shipped(name)
    if name not in _read:
        remedy = near_matches(name, (*space_names(), *_read))
        raise LabelError(
            f"unknown label space {name!r}", remedy=f"{remedy} (a file of your own ends in {_SUFFIX})"
        )
    return _read[name]


@cache
def _shipped(name: str) -> Document:
    return parse_document(_packaged("spaces", name), f"label space {name}", space)


@cache
def _packaged(*path: str) -> Mapping[str, Any]:
    entry = files("roadseg.labels").joinpath(*path[:-1], path[-1] + _SUFFIX)
    return parse_toml(entry.read_text(encoding="utf-8"), "/".join(path))


def _read_file(path: Path, children: tuple[Path, ...] = ()) -> Document:
    """Read a user's file, and remember it: its maps are known from then on."""
    if path in children:
        raise LabelError("is its own parent", where=path, remedy="name another parent")

    def find(parent: str) -> LabelSpace:
        if parent.endswith(_SUFFIX):
            return _read_file(path.parent / parent, (*children, path)).space
        return space(parent)

    name = None
    try:
        document = parse_document(parse_toml(_text_of(path), path), str(path), find)
        name = document.space.name
        if name in space_names():
            raise LabelError(
                f"has the name of the label space {name}, which comes with roadseg", remedy="rename it"
            )
        _read[name] = document
        for origin, declared in document.origins.items():  # mistakes show now, not when a map is used
            _resolved(declared, space(origin), document.space)
        for target, declared in document.targets.items():
            _resolved(declared, document.space, space(target))
    except LabelError as error:
        _read.pop(name or "", None)
        if error.where == str(path):
            raise
        what = error.what if error.where is None else f"{error.where} {error.what}"
        raise LabelError(what, where=path, remedy=error.remedy) from error
    return document


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LabelError(
            f"cannot be read as a label space ({error.strerror if isinstance(error, OSError) else 'no UTF-8 text'})",
            where=path,
            remedy="give the path of a .toml file",
        ) from error


def _is_known(item: LabelSpace) -> bool:
    """Whether the declared maps of this name are about this very space, and not another one that bears the name."""
    return (item.name in space_names() or item.name in _read) and space(item.name) == item


def _declaration(source: str, target: str) -> Declaration | None:
    """Return the declared map between two spaces, or what an edited space implies about its parent."""
    start, end = _document(source), _document(target)
    if (found := end.origins.get(source, start.targets.get(target))) is not None:
        return found
    if source in _map_files(target):
        return _packaged("maps", target, source)
    if end.parent == source:
        return inverted(end.from_parent)
    return inverted(start.to_parent) if start.parent == target else None


@cache
def _map_files(target: str) -> tuple[str, ...]:
    return _listed("maps", target)


def _resolved(declared: Declaration, source: LabelSpace, target: LabelSpace) -> LabelMap:
    waypoint = through(declared)
    via = label_map(source, waypoint).then(label_map(waypoint, target)) if waypoint else None
    return resolve(declared, source, target, via)


def _chain(source: str, target: str) -> tuple[str, ...]:
    """Return the names along the shortest chain of declared maps, found breadth first from its end; ties go by name.

    Only the files that lie on the way are read: those of the spaces that lead to the target, and of the parents of the
    source, which lead away from it.
    """
    parents = dict(_ancestry(source))
    ends: list[tuple[str, ...]] = [(target,)]
    reached = {target}
    while ends:
        farther: list[tuple[str, ...]] = []
        for path in ends:
            steps = [name for name in _entries(path[0], parents) if name not in reached]
            reached.update(steps)
            farther.extend((name, *path) for name in steps)
        for path in farther:
            if path[0] == source:
                return path
        ends = farther
    return ()


def _entries(target: str, parents: Mapping[str, str]) -> list[str]:
    """Return the spaces from which a declared map leads to this one, sorted; ``parents`` adds maps to parents."""
    document = _document(target)
    children = {child for child, parent in parents.items() if parent == target}
    return sorted({*document.origins, *_map_files(target), *children, document.parent} - {""})


def _ancestry(name: str) -> Iterator[tuple[str, str]]:
    """Yield a space and its parent, that one and its parent, and so on."""
    while parent := _document(name).parent:
        yield name, parent
        name = parent


def _joined(names: Sequence[str]) -> LabelMap:
    spaces = [space(name) for name in names]
    found = LabelMap.by_name(spaces[0], spaces[0])
    for start, end in pairwise(spaces):
        declared = _declaration(start.name, end.name)
        found = found.then(_resolved(declared if declared is not None else SAME_NAMES, start, end))
    return found
