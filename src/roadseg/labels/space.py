"""What the numbers in a label picture mean: classes with ids, names and colors, and the ignored id."""

import difflib
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from operator import index as as_integer
from typing import Any, Self, SupportsIndex, cast

import numpy as np
import numpy.typing as npt

from roadseg.errors import LabelError
from roadseg.labels.colors import as_stored, decode_colors, generated_color, paint

__all__ = ["Class", "LabelSpace", "near_matches"]

MIN_ID, MAX_ID = -1, 65535
DEFAULT_IGNORE = 255  # the highest 8-bit id: what most label pictures and loss functions leave out


@dataclass(frozen=True)
class Class:
    """One class of a label space.

    Args:
        name: Its name, unique in the space.
        id: The number that stands for it in label pictures, -1..65535.
        color: Red, green, blue, 0..255 each.
        group: The category it belongs to, such as ``"vehicle"``; empty when the space has none.
        has_instances: Whether single objects can be told apart and counted.

    Raises:
        LabelError: The name is empty, the id or the color is out of range, or a value is of the wrong type.
    """

    name: str
    id: int
    color: tuple[int, int, int]
    group: str = ""
    has_instances: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise LabelError(f"a class has no name (got {self.name!r})", remedy="name every class")
        if not isinstance(self.group, str) or not isinstance(self.has_instances, bool):
            raise LabelError(
                f"class {self.name!r} has the group {self.group!r} and has_instances {self.has_instances!r}",
                remedy="group is text, has_instances true or false",
            )
        # Ids and colors often come from arrays or JSON: plain integers keep equality, hashing and JSON exact.
        object.__setattr__(self, "id", _integer(self.id, MIN_ID, MAX_ID, f"id of class {self.name!r}"))
        color = tuple(self.color) if isinstance(self.color, Iterable) else ()
        if len(color) != 3:
            raise LabelError(
                f"class {self.name!r} has the color {self.color!r}",
                remedy="give red, green and blue, 0..255 each",
            )
        channels = (_integer(value, 0, 255, f"color of class {self.name!r}") for value in color)
        object.__setattr__(self, "color", tuple(channels))


@dataclass(frozen=True, repr=False)
class LabelSpace:
    """An ordered set of classes; the position of a class is its channel in a network's scores.

    ``ignore`` is the id that means "no truth here" or "not evaluated". It may coincide with the id of a void
    class (stored Cityscapes ids: ``unlabeled`` 0; CamVid networks with a void channel: ``void`` 11).

    Label pictures have no negative numbers: id -1 is stored as the highest value of the picture's type, 255 in
    8 bits and 65535 in 16 bits.

    Args:
        name: Name of the space.
        classes: The classes in channel order; unique names and ids.
        ignore: The id that is left out of losses and scores, -1..65535.

    Raises:
        LabelError: There is no class, or two share a name or an id, or id -1 and the id it is stored as are both
            used.
    """

    name: str
    classes: tuple[Class, ...]
    ignore: int = DEFAULT_IGNORE

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))
        where = f"label space {self.name!r}"
        if not isinstance(self.name, str) or not self.name.strip():
            raise LabelError(f"a label space has no name (got {self.name!r})", remedy="name it")
        if not self.classes:
            raise LabelError("has no classes", where=where, remedy="give at least one")
        object.__setattr__(self, "ignore", _integer(self.ignore, MIN_ID, MAX_ID, f"ignored id of {where}"))
        for what, values in (("name", self.names), ("id", self.ids)):
            if repeated := [str(value) for value, count in Counter(values).items() if count > 1]:
                raise LabelError(
                    f"uses the {what} {', '.join(repeated)} more than once",
                    where=where,
                    remedy=f"make every {what} unique",
                )
        used = {*self.ids, self.ignore}
        if -1 in used and (taken := sorted(used & {255, MAX_ID})):
            raise LabelError(
                f"uses the ids -1 and {taken[0]}, which label pictures store alike",
                where=where,
                remedy="give one of them another id",
            )

    def __repr__(self) -> str:
        # The generated text would list every class and drown whatever it is printed in.
        return f"LabelSpace({self.name!r}, {self.num_classes} classes, ignore={self.ignore})"

    @property
    def num_classes(self) -> int:
        """How many classes there are, the ignored id not counted unless it is a class itself."""
        return len(self.classes)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Class names in channel order."""
        return tuple(item.name for item in self.classes)

    @cached_property
    def ids(self) -> tuple[int, ...]:
        """Class ids in channel order."""
        return tuple(item.id for item in self.classes)

    @property
    def is_contiguous(self) -> bool:
        """Whether id equals channel everywhere: only such a space can be predicted by a network."""
        return self.ids == tuple(range(len(self.classes)))

    @property
    def palette(self) -> npt.NDArray[np.uint8]:
        """Colors by channel, uint8 ``[C, 3]``; a new array each time."""
        return np.array([item.color for item in self.classes], dtype=np.uint8)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest type that stores every id and the ignored one: uint8 or uint16."""
        return np.dtype(np.uint8 if max(*self.ids, self.ignore) <= 255 else np.uint16)

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that change whenever anything in the space changes."""
        canonical = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    def index(self, name: str) -> int:
        """Return the channel of a class.

        Raises:
            LabelError: No class has that name; near matches are named.
        """
        if name not in self.names:
            raise LabelError(
                f"has no class {name!r}",
                where=f"label space {self.name!r}",
                remedy=near_matches(name, self.names),
            )
        return self.names.index(name)

    def stored_id(self, label: int, dtype: npt.DTypeLike | None = None) -> int:
        """Return the number that stands for an id in a picture of this type (default: :attr:`dtype`)."""
        return int(np.iinfo(self.dtype if dtype is None else np.dtype(dtype)).max) if label == -1 else label

    def to_json(self) -> dict[str, Any]:
        """Return the space as plain dicts, lists, strings and numbers; :meth:`from_json` reads it back."""
        classes = [{**asdict(item), "color": list(item.color)} for item in self.classes]
        return {"name": self.name, "ignore": self.ignore, "classes": classes}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Build the space that :meth:`to_json` described.

        Raises:
            LabelError: A key is missing or unknown, or a value does not fit.
        """
        try:
            classes = tuple(Class(**item) for item in data["classes"])
            return cls(name=data["name"], classes=classes, ignore=data["ignore"])
        except (KeyError, TypeError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise LabelError(
                f"is not a label space: {reason}",
                where="label space as JSON",
                remedy="it needs name, ignore and classes (name, id, color, group, has_instances)",
            ) from error

    @classmethod
    def from_names(
        cls, names: Sequence[str] | Mapping[int, str], name: str = "custom", ignore: int | None = None
    ) -> Self:
        """Build a space from class names alone; colors are generated, distinct and never black.

        Args:
            names: Names in id order from 0, or a mapping from id to name.
            name: Name of the space.
            ignore: The id that is left out of losses and scores; None takes 255, or 65535 where 255 is a
                class.

        Raises:
            LabelError: As for :class:`LabelSpace`.
        """
        if isinstance(names, str):
            raise LabelError(f"class names are one text, {names!r}", remedy="give a list of names")
        items = names.items() if isinstance(names, Mapping) else enumerate(names)
        classes = [Class(label, number, generated_color(i)) for i, (number, label) in enumerate(items)]
        if ignore is None:
            ignore = MAX_ID if any(item.id == DEFAULT_IGNORE for item in classes) else DEFAULT_IGNORE
        return cls(name=name, classes=tuple(classes), ignore=ignore)

    def encode_colors(self, rgb: npt.NDArray[np.uint8], where: str = "") -> npt.NDArray[Any]:
        """Turn a color label picture into ids.

        Black means the ignored id where no class is black. Where classes share a color, the first in class
        order gets the pixels.

        Args:
            rgb: Label picture, uint8 ``[H, W, 3]``.
            where: The file it came from, for the error text.

        Returns:
            Ids, uint8 or uint16 ``[H, W]`` (see :attr:`dtype`).

        Raises:
            LabelError: The picture has another shape or type, or holds a color of no class.
        """
        stored = {(0, 0, 0): self.stored_id(self.ignore)}
        # Reversed, so that the first class of a color is the one that stays.
        stored.update((item.color, self.stored_id(item.id)) for item in reversed(self.classes))
        return decode_colors(rgb, stored, self.dtype, space_name=self.name, where=where)

    def colorize(self, mask: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Paint ids in the colors of their classes; the ignored id and unknown ids become black.

        An ignored id that is also a class has the color of that class.

        Args:
            mask: Stored ids, any integer type, ``[H, W]``.

        Returns:
            Colors, uint8 ``[H, W, 3]``.

        Raises:
            LabelError: The mask does not hold integers.
        """
        mask = as_stored(np.asarray(mask))
        return paint(mask, [(self.stored_id(item.id, mask.dtype), item.color) for item in self.classes])


def near_matches(name: object, known: Iterable[str]) -> str:
    """Return the remedy for an unknown name: what it may have meant, else what there is."""
    known = tuple(known)
    by_folded = {item.casefold(): item for item in reversed(known)}
    close = difflib.get_close_matches(str(name).casefold(), by_folded, n=3)
    if close:
        return f"did you mean {' or '.join(by_folded[item] for item in close)}?"
    return f"known are {', '.join(known[:40])}{', ...' if len(known) > 40 else ''}"


def _integer(value: object, low: int, high: int, what: str) -> int:
    try:
        number = as_integer(cast("SupportsIndex", value))
    except TypeError:
        number = low - 1
    if isinstance(value, bool) or not low <= number <= high:
        raise LabelError(f"the {what} is {value!r}", remedy=f"give a whole number {low}..{high}")
    return number
