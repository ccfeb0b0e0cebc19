"""Reading one label space file; what may stand in it is told in :mod:`roadseg.labels.catalog`."""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from roadseg.errors import LabelError
from roadseg.labels.declared import SAME_NAMES, Declaration
from roadseg.labels.editing import Derived, Edits, Names, unused_colors
from roadseg.labels.space import DEFAULT_IGNORE, MAX_ID, Class, LabelSpace, near_matches

__all__ = ["Document", "SpaceNote", "parse_document", "parse_toml"]

_KEYS = (
    "name", "title", "source", "license", "ignore", "parent", "pick", "drop", "merge", "split", "classes",
    "from", "to",
)  # fmt: skip


@dataclass(frozen=True)
class SpaceNote:
    """Where a label space comes from.

    Args:
        title: One line.
        source: Who defined it, and where.
        license: What may be done with data labeled this way.
        parent: Name of the label space that it was made from; empty for none.
    """

    title: str
    source: str
    license: str
    parent: str = ""


@dataclass(frozen=True)
class Document:
    """A label space file.

    Args:
        space: The space it describes.
        note: Where it comes from.
        origins: Maps that lead here, by the name of the space they start from.
        targets: Maps that lead away, by the name of the space they go to.
        derived: What became of the parent's classes, None without a parent.
    """

    space: LabelSpace
    note: SpaceNote
    origins: Mapping[str, Declaration]
    targets: Mapping[str, Declaration]
    derived: Derived | None = None

    @property
    def parent(self) -> str:
        """Name of the space it was made from, empty for none."""
        return self.note.parent

    @property
    def from_parent(self) -> Names:
        """What each class of the parent becomes."""
        return self.derived.from_parent if self.derived else {}

    @property
    def to_parent(self) -> Names:
        """What each class becomes in the parent; added classes have no place there."""
        return self.derived.to_parent if self.derived else {}


def parse_toml(text: str, where: str | Path) -> dict[str, Any]:
    """Return a TOML text as dicts and lists.

    Raises:
        LabelError: It is not TOML.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise LabelError(
            f"is not TOML: {error}", where=where, remedy="class names with spaces need quotes"
        ) from error


def parse_document(data: Mapping[str, Any], where: str, find: Callable[[str], LabelSpace]) -> Document:
    """Return the label space that a file describes.

    Args:
        data: The file as :func:`parse_toml` returns it.
        where: Its name, for error texts.
        find: Returns the label space of a name, for the parent.

    Raises:
        LabelError: A key is unknown or holds something else than it should, or a class does not exist.
    """
    for key in data:
        if key not in _KEYS:
            raise LabelError(f"has the key {key!r}", where=where, remedy=near_matches(key, _KEYS))
    name = _typed(data, "name", "", where)
    parent = find(_typed(data, "parent", "", where)) if "parent" in data else None
    edits = Edits(
        pick=_names(data.get("pick", []), "pick", where),
        drop=_names(data.get("drop", []), "drop", where),
        merge=_name_lists(data, "merge", where),
        split=_name_lists(data, "split", where),
    )
    if parent is None and edits:
        raise LabelError("edits a label space without naming it", where=where, remedy="add `parent = ...`")
    derived = edits.apply(parent, where) if parent else None
    classes = _with_added(derived.classes if derived else (), _typed(data, "classes", [], where), where)
    title, source, license_text = (_typed(data, key, "", where) for key in ("title", "source", "license"))
    ignore = data.get("ignore", _default_ignore(parent if not edits else None, classes))
    return Document(
        space=LabelSpace(name=name, classes=classes, ignore=ignore),
        note=SpaceNote(title, source, license_text, parent=parent.name if parent else ""),
        origins=_declarations(data, "from", where),
        targets=_declarations(data, "to", where),
        derived=derived,
    )


def _default_ignore(parent: LabelSpace | None, classes: tuple[Class, ...]) -> int:
    if parent is not None:
        return parent.ignore
    return MAX_ID if any(item.id == DEFAULT_IGNORE for item in classes) else DEFAULT_IGNORE


def _with_added(start: tuple[Class, ...], added: list[Any], where: str) -> tuple[Class, ...]:
    """Append classes: tables, in which id and color may be left out, or names alone."""
    classes, known = list(start), {item.name for item in fields(Class)}
    for entry in added:
        facts: Any = {"name": entry} if isinstance(entry, str) else entry
        if not isinstance(facts, dict) or not facts.keys() <= known:
            raise LabelError(
                f"has the class {entry!r}",
                where=where,
                remedy=f"a class is a name, or a table of {', '.join(sorted(known))}",
            )
        facts = {"name": "", **facts}
        if "id" not in facts:
            facts["id"] = max((item.id for item in classes), default=-1) + 1
        if "color" not in facts:
            facts["color"] = next(unused_colors(classes))
        classes.append(Class(**facts))
    return tuple(classes)


_Kind = TypeVar("_Kind", str, list[Any], dict[str, Any])


def _typed(data: Mapping[str, Any], key: str, default: _Kind, where: str) -> _Kind:
    """Return a value that must be of the type of its default; name is the one that must be there."""
    value = data.get(key, default)
    if not isinstance(value, type(default)) or (key == "name" and not value):
        kind = {str: "a text", list: "a list", dict: "a table"}[type(default)]
        raise LabelError(f"has {key} = {value!r}", where=where, remedy=f"give {key} as {kind}")
    return value


def _declarations(data: Mapping[str, Any], key: str, where: str) -> dict[str, Declaration]:
    table = _typed(data, key, {}, where)
    for name, declared in table.items():
        if not isinstance(declared, str | dict):
            raise LabelError(
                f"has {key}.{name} = {declared!r}", where=where, remedy=f"give a table, or {SAME_NAMES!r}"
            )
    return table


def _names(value: object, key: str, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise LabelError(f"has {key} = {value!r}", where=where, remedy=f"give {key} as a list of class names")
    return tuple(value)


def _name_lists(data: Mapping[str, Any], key: str, where: str) -> dict[str, tuple[str, ...]]:
    table = _typed(data, key, {}, where)
    lists = {name: _names(value, f"{key}.{name}", where) for name, value in table.items()}
    if empty := [name for name, value in lists.items() if not value]:
        raise LabelError(f"has nothing in {key}.{empty[0]}", where=where, remedy="name at least one class")
    return lists
