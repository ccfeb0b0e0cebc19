"""What the numbers and colors in the masks of a data.yaml mean."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import numpy as np

from roadseg.data.records import Record
from roadseg.errors import DataError, ImageError
from roadseg.labels import Class, LabelMap, LabelSpace, space
from roadseg.media import read_mask

__all__ = ["YamlLabels", "read_labels"]

BYTE, WORD = 255, 65535  # the highest id of 8 and of 16 bits
IGNORE_WORDS = ("ignore", "ignore_label", None, -1)
BACKGROUND = "background"
ENOUGH_MASKS, MOST_MASKS = 32, 512  # read on opening, to tell whether 255 is a class or is ignored


class YamlLabels(NamedTuple):
    """How masks are decoded.

    Attributes:
        map: From what is stored to what is trained.
        colored: Whether color masks are decoded by the colors of the stored space.
        notes: Decisions the user should know of, in sentences.
    """

    map: LabelMap
    colored: bool
    notes: tuple[str, ...] = ()


def read_labels(file: Path, data: Mapping[str, Any], records: Sequence[Record]) -> YamlLabels:
    """Read the keys names, space, ignore, colors, label_mapping and binary of a data.yaml.

    Args:
        file: The file, for error texts; its stem names the label space.
        data: Its content.
        records: Images and masks of all splits; some masks are read to find out whether 255 is a class.

    Raises:
        DataError: A value is missing or malformed, or two contradict each other.
        LabelError: The label space does not exist, or class names repeat.
    """
    ignore = _read_ignore(file, data)
    if "space" in data:
        target = _read_space(file, data)
        stored = (
            target if ignore is None else replace(target, name=f"{target.name} ({file.stem})", ignore=ignore)
        )
    else:
        names = _read_names(file, data)
        default = LabelSpace.ignore if len(names) <= BYTE else WORD
        target = LabelSpace.from_names(names, name=file.stem, ignore=default if ignore is None else ignore)
        stored = target
    if "colors" in data and "label_mapping" in data:
        raise DataError(
            "has both colors and label_mapping",
            where=file,
            remedy="leave out a color's class in colors instead",
        )
    if "label_mapping" in data:
        return YamlLabels(_read_mapping(file, data, stored, target), colored=False)
    if "colors" in data:
        stored, target = _read_colors(file, data, stored, target)
    labels = YamlLabels(LabelMap.by_name(stored, target), colored="colors" in data or "space" in data)
    return _read_binary(file, data, labels, records)


def _read_ignore(file: Path, data: Mapping[str, Any]) -> int | None:
    ignore = data.get("ignore")
    if ignore is not None and not (_is_id(ignore) and 0 <= ignore <= WORD):
        raise DataError(
            f"ignore is {ignore!r}",
            where=file,
            remedy=f"give one id 0..{WORD}, or use label_mapping for several",
        )
    return None if ignore is None else int(ignore)


def _read_space(file: Path, data: Mapping[str, Any]) -> LabelSpace:
    if "names" in data:
        raise DataError("has both names and space", where=file, remedy="keep one of them")
    name = str(data["space"])
    found = space(str(file.parent / name) if name.endswith(".toml") else name)
    if not found.is_contiguous:
        raise DataError(
            f"space {found.name} does not number its classes from 0 without gaps, so no network can predict it",
            where=file,
            remedy="name one that does, such as cityscapes-19, and map the stored ids to it by label_mapping",
        )
    return found


def _read_names(file: Path, data: Mapping[str, Any]) -> list[str]:
    names = data.get("names")
    if not isinstance(names, list | dict) or not names:
        what = "has no names" if names is None else f"names is {names!r}"
        raise DataError(what, where=file, remedy="list the classes: names: {0: road, 1: car}, or give space")
    if isinstance(names, list):
        names = dict(enumerate(names))
    numbered = {_as_id(file, "names", key): name for key, name in names.items()}
    if sorted(numbered) != list(range(len(names))):
        raise DataError(
            f"names are numbered {', '.join(map(str, sorted(numbered)))}",
            where=file,
            remedy="number them from 0 without gaps, and map the stored ids to them by label_mapping",
        )
    for number, name in numbered.items():
        if isinstance(name, bool) or not isinstance(name, str | int | float):
            raise DataError(
                f"the name of class {number} is read by YAML as {name!r}",
                where=file,
                remedy="put it in quotes",
            )
    if "nc" in data and data["nc"] != len(names):
        raise DataError(
            f"nc is {data['nc']!r} but there are {len(names)} names",
            where=file,
            remedy="correct or remove nc",
        )
    return [str(numbered[number]) for number in range(len(names))]


def _read_mapping(file: Path, data: Mapping[str, Any], stored: LabelSpace, target: LabelSpace) -> LabelMap:
    """Read ``label_mapping``.

    A class id that is no key keeps its meaning, unless another id is mapped to that class: then the table evidently
    replaces the numbering, and the id is unknown rather than silently wrong.
    """
    mapping = data["label_mapping"]
    if not isinstance(mapping, dict) or not mapping:
        raise DataError(
            f"label_mapping is {mapping!r}", where=file, remedy="give {id in the masks: class or ignore}"
        )
    table: dict[int, int] = {}
    for key, value in mapping.items():
        number, wanted = _as_id(file, "label_mapping", key), _wanted_id(file, value, stored, target)
        if number >= 0:
            table[number] = wanted
        elif wanted != target.ignore:
            raise DataError(
                f"label_mapping maps {key}, which label files cannot hold",
                where=file,
                remedy=f"write {BYTE} instead",
            )
    taken = set(table.values())
    table.update({item: item for item in target.ids if item not in table and item not in taken})
    classes = tuple(Class(f"id {number}", number, (0, 0, 0)) for number in sorted(table))
    source = LabelSpace(f"{file.stem}, as stored", classes, stored.ignore)
    return LabelMap(source, target, tuple(table.items()))


def _wanted_id(file: Path, value: object, stored: LabelSpace, target: LabelSpace) -> int:
    if value in IGNORE_WORDS or (_is_id(value) and value == stored.ignore and value not in target.ids):
        return target.ignore
    if isinstance(value, str) and value in target.names:
        return target.ids[target.index(value)]
    number = _as_id(file, "label_mapping", value)
    if number not in target.ids:
        raise DataError(
            f"label_mapping maps to {value!r}, which is no class",
            where=file,
            remedy=f"map to 0..{target.num_classes - 1}, a class name, or ignore",
        )
    return number


def _read_colors(
    file: Path, data: Mapping[str, Any], stored: LabelSpace, target: LabelSpace
) -> tuple[LabelSpace, LabelSpace]:
    """Return both spaces with the colors of the masks; colors of no class become stored classes that are dropped."""
    colors = data["colors"]
    if not isinstance(colors, dict):
        raise DataError(f"colors is {colors!r}", where=file, remedy="give {name: [red, green, blue]}")
    chosen = {str(name): _as_color(file, str(name), color) for name, color in colors.items()}
    owners: dict[tuple[int, int, int], str] = {}
    for name, color in chosen.items():
        if color in owners:
            raise DataError(
                f"colors gives {owners[color]} and {name} the same color",
                where=file,
                remedy="correct one of them",
            )
        owners[color] = name
    missing = [name for name in stored.names if name not in chosen]
    if missing and "space" not in data:
        raise DataError(f"colors lacks {', '.join(missing)}", where=file, remedy="give every class a color")
    classes = tuple(replace(item, color=chosen.get(item.name, item.color)) for item in stored.classes)
    # Far from the ids of classes: a gray mask that holds the next id after the last class is still refused.
    extra = tuple(
        Class(name, WORD - 1 - i, chosen[name]) for i, name in enumerate(chosen) if name not in stored.names
    )
    if "space" not in data:
        target = replace(target, classes=classes)
    return replace(stored, name=f"{file.stem}, as stored", classes=(*classes, *extra)), target


def _read_binary(
    file: Path, data: Mapping[str, Any], labels: YamlLabels, records: Sequence[Record]
) -> YamlLabels:
    """Decide what 255 means where there are one or two classes and neither ignore nor space says it."""
    choice = data.get("binary", "auto")
    if choice not in (True, False, "auto"):
        raise DataError(f"binary is {choice!r}", where=file, remedy="give true, false or auto")
    target = labels.map.target
    is_candidate = "space" not in data and "ignore" not in data and target.num_classes <= 2
    if choice is True and not is_candidate:
        raise DataError(
            "binary needs one or two names, and no ignore or space", where=file, remedy="remove it"
        )
    if not is_candidate or choice is False or target.names == (BACKGROUND,):
        return labels
    values = _sample_values(records, labels.colored)
    is_byte = choice is True or (BYTE in values and values <= {0, BYTE})
    if target.num_classes == 2 and not is_byte:
        return labels
    return _as_binary(labels, BYTE if is_byte else 1)


def _as_binary(labels: YamlLabels, foreground_id: int) -> YamlLabels:
    """Return labels whose masks hold 0 and ``foreground_id``; one class gets a background beside it."""
    target, stored = labels.map.target, labels.map.source
    extra = stored.classes[target.num_classes :]
    if target.num_classes == 1:
        only = target.classes[0]
        other = Class(BACKGROUND, 0, (0, 0, 0) if only.color != (0, 0, 0) else (BYTE, BYTE, BYTE))
        target = replace(target, classes=(other, replace(only, id=1)))
        what = f"{only.name} is the only name: 0 is read as {BACKGROUND}, {foreground_id} as {only.name}"
        front = 1
    else:
        white = [i for i, item in enumerate(target.classes) if item.color == (BYTE, BYTE, BYTE)]
        front = white[0] if labels.colored and white else 1
        what = f"masks hold only 0 and {BYTE}: {BYTE} is read as class {front} ({target.names[front]})"
    classes = tuple(
        replace(item, id=foreground_id if i == front else 0) for i, item in enumerate(target.classes)
    )
    known = {item.color for item in classes}
    ignore = WORD if foreground_id == BYTE else target.ignore
    classes += tuple(item for item in extra if item.color not in known)
    source = LabelSpace(f"{target.name}, as stored", classes, ignore)
    note = f"{what}; write binary: false into the data.yaml if {BYTE} should be left out and 0 is class 0"
    return labels._replace(map=LabelMap.by_name(source, target), notes=(note,))


def _sample_values(records: Sequence[Record], colored: bool) -> set[int]:
    """Return the ids in masks from all over the data set; masks that cannot be read are left to the check."""
    files = [record.label for record in records if record.label is not None and record.label.is_file()]
    step = max(1, len(files) // ENOUGH_MASKS)
    values: set[int] = set()
    for count, file in enumerate(file for start in range(step) for file in files[start::step]):
        # An empty foreground says nothing: go on until something is seen.
        if count >= (ENOUGH_MASKS if values - {0} else MOST_MASKS):
            break
        try:
            mask = read_mask(file)
        except ImageError:
            continue
        if mask.ndim == 2:
            values.update(np.unique(mask).tolist())
        elif not colored:
            values.update(np.unique(mask[..., 0]).tolist())
    return values


def _as_color(file: Path, name: str, color: object) -> tuple[int, int, int]:
    if isinstance(color, list) and len(color) == 3 and all(_is_id(v) and 0 <= v <= BYTE for v in color):
        return color[0], color[1], color[2]
    raise DataError(
        f"the color of {name} is {color!r}", where=file, remedy="give [red, green, blue], 0..255 each"
    )


def _as_id(file: Path, key: str, value: object) -> int:
    if isinstance(value, str) and value.strip().lstrip("-").isdigit():
        value = int(value)
    if not _is_id(value) or not -1 <= value <= WORD:
        raise DataError(f"{key} holds {value!r}, which is no id", where=file, remedy=f"ids are 0..{WORD}")
    return value


def _is_id(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
