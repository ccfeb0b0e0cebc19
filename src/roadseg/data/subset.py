"""A selection of another data set's pictures: a file that names the data set and the pictures of each split.

::

    of: ../camvid                 # the data set: a folder or data.yaml, relative to this file; NAME:PATH forces a layout
    splits:
      train: [0001TP_006690, ...]        # keys of its records, in order
      train-rest: [0001TP_006720, ...]   # a split of any name
    parts: {train-rest: train}    # the split that those are of, where the name is another

Splits that are not named stay as they are. Pictures and labels are not copied, and labels are read as the data set's own.
"""

import json
import os
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from roadseg.data.records import Record
from roadseg.data.source import Source
from roadseg.errors import DataError, OutputError, RecipeError
from roadseg.media import write_text
from roadseg.media.writing import is_utf8

__all__ = ["LOOKS_FOR", "NAME", "REST", "divide", "open_root", "write_subset"]

NAME = "subset"
LOOKS_FOR = "a .yaml file with the keys of and splits, as `roadseg data subset` writes it"
REST = "-rest"
"""What the name of a split has after it for the pictures that were not taken."""

_SUFFIXES = (".yaml", ".yml")
_MARK = "of"
_LAYOUT = re.compile(r"[\w-]{2,}:")  # a single letter before the colon is a drive, a longer path a path


def open_root(root: Path) -> Source | None:
    """Return the data set that a file selects; None for anything else.

    Raises:
        DataError: The file is damaged, or names pictures that the data set does not have.
    """
    if not root.is_file() or root.suffix.lower() not in _SUFFIXES:
        return None
    try:
        data = yaml.safe_load(root.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return None  # the layout of data.yaml tells what is wrong
    if not isinstance(data, dict) or _MARK not in data:
        return None
    splits, parts = _texts_by_split(root, data), data.get("parts", {})
    if not isinstance(data[_MARK], str) or not isinstance(parts, dict) or not splits:
        raise DataError(
            "is no selection of a data set", where=root, remedy="write it with `roadseg data subset`"
        )
    from roadseg.data.sources import open_source  # which lists this layout

    place = _resolved(root, data[_MARK])
    if place == os.path.normpath(root.absolute()):
        raise DataError("is a selection of itself", where=root, remedy="name another data set under of")
    source = open_source(place)
    origins = {name: str(parts.get(name, name)) for name in splits}
    if missing := [origin for origin in origins.values() if origin not in source.splits]:
        raise DataError(
            f"takes pictures of the split {missing[0]!r}, which {source.root} does not have",
            where=root,
            remedy=f"it has {', '.join(source.splits)}",
        )
    parted = [name for name, origin in origins.items() if origin in source.base_splits]
    return replace(
        source,
        root=root,
        splits=tuple(dict.fromkeys((*source.splits, *splits))),
        list_split=partial(_list_split, root, source, splits, origins),
        base_splits=tuple(dict.fromkeys((*source.base_splits, *parted))),
    )


def divide(
    records: Sequence[Record], share: float, seed: int = 0, *, by_sequence: bool = False
) -> tuple[list[Record], list[Record]]:
    """Take a share of pictures at random, and return those and the rest, both in the order they had.

    Args:
        records: The pictures.
        share: The share to take, above 0 and below 1; at least one is taken and one is left.
        seed: Other seeds take other pictures.
        by_sequence: Take the share of every sequence, by the folder or the name before the number of the frame; otherwise
            of all pictures together.

    Raises:
        RecipeError: The share is out of range, or there is only one picture.
    """
    if not 0 < share < 1 or len(records) < 2:
        raise RecipeError(
            f"a share of {share} of {len(records)} pictures cannot be taken",
            remedy="give a share above 0 and below 1, of two pictures or more",
        )
    groups: dict[str, list[int]] = {}
    for position, record in enumerate(records):
        groups.setdefault(sequence_of(record.key) if by_sequence else "", []).append(position)
    wanted = min(max(1, round(share * len(records))), len(records) - 1)
    taken = set(_drawn(groups, wanted, len(records), seed))
    return (
        [record for position, record in enumerate(records) if position in taken],
        [record for position, record in enumerate(records) if position not in taken],
    )


def sequence_of(key: str) -> str:
    """Return a record's key without the number of its frame and what follows: ``0001TP`` of ``0001TP_006690``.

    >>> sequence_of("aachen/aachen_000003_000019")
    'aachen/aachen_000003'
    """
    name = key.rstrip("0123456789").rstrip("_-f")
    return name or key.rpartition("/")[0]


def write_subset(
    path: Path,
    spec: str,
    source: Source,
    split: str,
    share: float,
    seed: int = 0,
    *,
    by_sequence: bool = False,
) -> dict[str, int]:
    """Write a file that divides splits of a data set: ``SPLIT`` becomes the share, ``SPLIT-rest`` the others.

    Args:
        path: The file, ``.yaml``.
        spec: The data set as it was given: a path, or ``NAME:PATH``.
        source: The data set.
        split: The split to divide, or several joined by ``+``, each of which is divided.
        share: As for `divide`, like the rest.
        seed: Likewise.
        by_sequence: Likewise.

    Returns:
        The number of pictures of each new split.

    Raises:
        DataError: There is no such split, the file is not called ``.yaml``, or a name is not UTF-8.
        RecipeError: As for `divide`.
        OutputError: The file cannot be written, or is the data set itself.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise DataError(
            "has no name for a data set file", where=path, remedy="give a name that ends in .yaml"
        )
    if path.resolve() == source.root.resolve():
        raise OutputError("is the data set itself", where=path, remedy="give the selection another name")
    found: dict[str, list[Record]] = {}
    for part in split.split("+"):
        found[part], found[f"{part}{REST}"] = divide(source.find(part), share, seed, by_sequence=by_sequence)
    lines = [
        f"# {share:g} of {split}, seed {seed}",
        f"of: {_quoted(_absolute(spec))}",
        "splits:",
    ]
    for name, records in found.items():
        lines += [f"  {_quoted(name)}:", *(f"  - {_quoted(item.key)}" for item in records)]
    lines += ["parts:", *(f"  {_quoted(part + REST)}: {_quoted(part)}" for part in split.split("+"))]
    write_text(path, "\n".join(lines) + "\n")
    return {name: len(records) for name, records in found.items()}


def _drawn(groups: Mapping[str, Sequence[int]], wanted: int, total: int, seed: int) -> list[int]:
    """Draw positions from groups in proportion to their sizes; the largest remainders round up."""
    exact = {name: wanted * len(group) / total for name, group in groups.items()}
    counts = {name: int(number) for name, number in exact.items()}
    by_remainder = sorted(groups, key=lambda name: (counts[name] - exact[name], name))
    for name in by_remainder[: wanted - sum(counts.values())]:
        counts[name] += 1
    drawn: list[int] = []
    for name, group in groups.items():
        # One order per seed and group: a larger share holds all of a smaller one's pictures of the group.
        order = random.Random(f"{seed}/{name}").sample(list(group), len(group))  # noqa: S311 - no secret
        drawn += order[: counts[name]]
    return drawn


def _texts_by_split(file: Path, data: Mapping[str, Any]) -> dict[str, list[str]]:
    splits = data.get("splits")
    if not isinstance(splits, dict) or not all(isinstance(keys, list) and keys for keys in splits.values()):
        raise DataError(
            "names no pictures in splits", where=file, remedy="write it with `roadseg data subset`"
        )
    return {str(name): [str(key) for key in keys] for name, keys in splits.items()}


def _list_split(
    file: Path,
    source: Source,
    splits: Mapping[str, Sequence[str]],
    origins: Mapping[str, str],
    split: str,
) -> list[Record]:
    """Return the records of a split; of one that is selected, those of its keys."""
    if split not in splits:
        return source.list_split(split)
    by_key = {record.key: record for record in source.list_split(origins[split])}
    if missing := [key for key in splits[split] if key not in by_key]:
        raise DataError(
            f"names {len(missing)} pictures that {source.root} does not have, for example {missing[0]}",
            where=file,
            remedy="write it anew with `roadseg data subset`",
        )
    return [by_key[key] for key in splits[split]]


def _resolved(file: Path, spec: str) -> str:
    """Return a data set's name or path, seen from a file, as `open_source` takes it."""
    layout, _, path = spec.partition(":")
    prefix, place = (f"{layout}:", path) if _LAYOUT.match(spec) else ("", spec)
    return f"{prefix}{os.path.normpath(file.parent / Path(place).expanduser())}"


def _absolute(spec: str) -> str:
    return _resolved(Path.cwd() / "x", spec)


def _quoted(text: str) -> str:
    """Return a text as YAML that is never read as anything else: bare, ``no`` and ``0001`` are no texts.

    Raises:
        DataError: It is the name of a file or folder that is not UTF-8.
    """
    if not is_utf8(text):
        raise DataError(
            f"the name {text!r} is not UTF-8, so that a YAML file cannot hold it",
            remedy="rename the picture with its label, or the folder",
        )
    return json.dumps(text, ensure_ascii=False)
