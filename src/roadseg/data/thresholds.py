"""From which confidence on a network's labels are trusted, class by class.

Confidence is stored in 256 steps, ``byte = floor(255 * probability)``, and trusted where ``byte / 255`` reaches the threshold
of the pixel's class. As a file::

    default = 0.5           # of classes that are not named; without it all of them must be

    [thresholds]
    "road" = 0.41
    "train" = inf           # never trusted
"""

import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from roadseg.errors import DataError
from roadseg.labels import LabelSpace
from roadseg.media import write_text

__all__ = ["LEVELS", "Thresholds", "threshold_of"]

LEVELS = 256
"""Steps that confidence is stored in."""

_STEPS = 10_000  # four digits in files: a step of confidence is 0.0039


@dataclass(frozen=True)
class Thresholds:
    """A threshold for each class.

    Attributes:
        space: The label space of the labels that are judged.
        values: Least confidence by channel, 0..1; infinity where a class is never trusted.
    """

    space: LabelSpace
    values: tuple[float, ...]

    @classmethod
    def of(cls, threshold: "float | str | Path | Thresholds", space: LabelSpace) -> "Thresholds":
        """Return the thresholds of one number for all classes, or of a file.

        Raises:
            DataError: The number is none of 0..1, or the file is not usable.
            LabelError: The file names a class that the space does not have.
        """
        if isinstance(threshold, Thresholds):
            return threshold
        if isinstance(threshold, int | float):
            _check(threshold, "the threshold", "")
            return cls(space, (float(threshold),) * space.num_classes)
        return cls.read(threshold, space)

    @classmethod
    def read(cls, path: str | Path, space: LabelSpace) -> Self:
        """Read a file.

        Raises:
            DataError: It cannot be read, lacks a class, or holds something else than numbers 0..1 and ``inf``.
            LabelError: It names a class that the space does not have.
        """
        try:
            data = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
        except (OSError, ValueError) as error:  # TOML and UTF-8 errors are ValueErrors
            raise DataError(
                f"cannot be read as a file of thresholds ({getattr(error, 'strerror', None) or error})",
                where=path,
                remedy='write [thresholds] and below it lines such as "road" = 0.5',
            ) from error
        named, default = data.get("thresholds", {}), data.get("default")
        if not isinstance(named, Mapping) or not set(data) <= {"thresholds", "default"}:
            raise DataError(
                f"holds {', '.join(data) or 'nothing'}",
                where=path,
                remedy="it may hold default = NUMBER and the table [thresholds] of numbers by class name",
            )
        for name in named:
            space.index(name)
        values = {name: named.get(name, default) for name in space.names}
        if missing := [name for name, value in values.items() if value is None]:
            raise DataError(
                f"has no threshold for {', '.join(missing)}",
                where=path,
                remedy="add them, or default = NUMBER",
            )
        for name, value in values.items():
            _check(value, f"the threshold of {name}", path)
        return cls(space, tuple(float(value) for value in values.values()))

    @property
    def by_name(self) -> dict[str, float]:
        """The thresholds by class name."""
        return dict(zip(self.space.names, self.values, strict=True))

    @property
    def removed(self) -> tuple[str, ...]:
        """Names of the classes that are never trusted."""
        return tuple(name for name, value in self.by_name.items() if math.isinf(value))

    @property
    def levels(self) -> NDArray[np.uint16]:
        """The lowest trusted byte of confidence by channel, ``[C]``; 256 where there is none."""
        steps = np.arange(LEVELS) / (LEVELS - 1)
        below: NDArray[np.int64] = (steps[None] < np.array(self.values)[:, None]).sum(1)
        return below.astype(np.uint16)

    def trusted(self, ids: NDArray[Any], confidence: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Return where labels are trusted, bool ``[H, W]``; those that are no class never are.

        Args:
            ids: Stored ids of the space, ``[H, W]``.
            confidence: ``[H, W]``.
        """
        table = np.full(np.iinfo(ids.dtype).max + 1, LEVELS, dtype=np.uint16)
        for number, level in zip(self.space.ids, self.levels, strict=True):
            table[self.space.stored_id(number, ids.dtype)] = level
        table[self.space.stored_id(self.space.ignore, ids.dtype)] = LEVELS
        found: NDArray[np.bool_] = confidence >= table[ids]
        return found

    def write(self, path: Path, title: str, notes: Mapping[str, str] | None = None) -> None:
        """Write a file, with remarks on the whole and on classes.

        Raises:
            OutputError: It cannot be written.
        """
        lines = [f"# {line}" for line in title.splitlines()] + ["", "[thresholds]"]
        for name, value in self.by_name.items():
            note = (notes or {}).get(name, "")
            lines.append(f"{json.dumps(name, ensure_ascii=False)} = {value!r}{f'  # {note}' if note else ''}")
        write_text(path, "\n".join(lines) + "\n")


def threshold_of(level: int) -> float:
    """Return the threshold, of few digits, that a byte of confidence is the lowest to reach; infinity above 255."""
    if level >= LEVELS:
        return math.inf
    return math.floor(level / (LEVELS - 1) * _STEPS) / _STEPS


def _check(value: object, what: str, where: str | Path) -> None:
    if (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and (0 <= value <= 1 or value == math.inf)
    ):
        return
    raise DataError(
        f"{what} is {value!r}", where=where or None, remedy="give a number 0..1, or inf to trust nothing"
    )
