"""From one label space to another: ids by one lookup, scores by sums."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from roadseg.errors import LabelError
from roadseg.labels.colors import as_stored, count_ids
from roadseg.labels.report import MapReport
from roadseg.labels.space import LabelSpace, near_matches

__all__ = ["LabelMap"]


@dataclass(frozen=True, repr=False)
class LabelMap:
    """For every class of one space, the class of another.

    Args:
        source: The space that masks and scores come in.
        target: The space that they go to.
        table: ``(source id, target id)`` for every source class, in any order; ``target.ignore`` drops a
            class. ``source.ignore`` goes to ``target.ignore`` unless the table says otherwise.

    Raises:
        LabelError: A source class is missing or listed twice, or an id belongs to neither space.
    """

    source: LabelSpace
    target: LabelSpace
    table: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        where = f"label map {self.source.name} to {self.target.name}"
        entries = dict(self.table)
        if len(entries) != len(self.table):
            raise LabelError(
                "lists a source id more than once", where=where, remedy="give each source class one target"
            )
        if missing := [item.name for item in self.source.classes if item.id not in entries]:
            raise LabelError(
                f"says nothing about {', '.join(missing)}",
                where=where,
                remedy=f"map every source class; {self.target.ignore} (ignore) drops one",
            )
        known = ({*self.source.ids, self.source.ignore}, {*self.target.ids, self.target.ignore})
        for ids, allowed, space in zip(
            (entries, entries.values()), known, (self.source, self.target), strict=True
        ):
            if strange := sorted(set(ids) - allowed):
                raise LabelError(
                    f"uses id {strange[0]}, which {space.name} does not have",
                    where=where,
                    remedy=f"its ids are {_ranges(space)}",
                )
        # One order and no redundant entry: maps that do the same are equal.
        table = [(number, int(entries[number])) for number in self.source.ids]
        extra = (self.source.ignore, int(entries.get(self.source.ignore, self.target.ignore)))
        if extra[0] not in self.source.ids and extra[1] != self.target.ignore:
            table.append(extra)
        object.__setattr__(self, "table", tuple(table))

    def __repr__(self) -> str:
        kept = sum(wanted != self.target.ignore for _, wanted in self.table)
        return f"LabelMap({self.source.name!r} to {self.target.name!r}, {kept} of {len(self.table)} ids kept)"

    @classmethod
    def by_name(
        cls, source: LabelSpace, target: LabelSpace, names: Mapping[str, str | None] | None = None
    ) -> Self:
        """Map classes by name.

        Args:
            source: The space to map from.
            target: The space to map to.
            names: Target class of a source class, or None to drop it. A source class that is not listed goes to
                the target class of its own name, and is dropped where there is none.

        Raises:
            LabelError: ``names`` names a class that a space does not have.
        """
        chosen: dict[str, str | None] = {
            name: name if name in target.names else None for name in source.names
        }
        for name, wanted in (names or {}).items():
            source.index(name)
            chosen[name] = wanted
        ids = {item.name: item.id for item in target.classes}

        def target_id(name: str | None) -> int:
            if name is None:
                return target.ignore
            if name not in ids:
                raise LabelError(
                    f"has no class {name!r}",
                    where=f"label space {target.name!r}",
                    remedy=near_matches(name, ids),
                )
            return ids[name]

        table = tuple((item.id, target_id(chosen[item.name])) for item in source.classes)
        return cls(source=source, target=target, table=table)

    @property
    def is_identity(self) -> bool:
        """Whether every id stays what it is, the ignored one included."""
        return all(number == wanted for number, wanted in self._entries.items())

    @property
    def matrix(self) -> npt.NDArray[np.float32]:
        """The map as a matrix ``[Ct, Cs]`` of zeros and ones, by channel; a column of zeros drops a class."""
        rows = {number: channel for channel, number in enumerate(self.target.ids)}
        matrix = np.zeros((self.target.num_classes, self.source.num_classes), dtype=np.float32)
        for channel, number in enumerate(self.source.ids):
            if (row := rows.get(self._entries[number])) is not None:
                matrix[row, channel] = 1
        return matrix

    def relabel(self, mask: npt.NDArray[Any], where: str = "") -> npt.NDArray[Any]:
        """Translate stored ids.

        Args:
            mask: Stored ids of ``source``, uint8 or uint16 (other integer types are converted), any shape.
            where: The file it came from, for the error text.

        Returns:
            Stored ids of ``target`` in its smallest type (``target.dtype``), same shape.

        Raises:
            LabelError: The mask holds ids that ``source`` does not have; the text names them with pixel counts.
        """
        stored = as_stored(np.asarray(mask), where)
        lookup, unknown = self._lookup8 if stored.dtype == np.uint8 else self._lookup16
        relabeled = _look_up(lookup, stored)
        found = relabeled == unknown
        if found.any():
            raise LabelError(
                f"holds {count_ids(stored[found])}, which {self.source.name} does not have",
                where=where or "label mask",
                remedy=f"its ids are {_ranges(self.source)}: give the label space the mask was written in, "
                "or mend the mask",
            )
        return relabeled.astype(self.target.dtype, copy=False)

    def project(self, scores: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Sum the scores of the source classes that share a target class; dropped classes count nowhere.

        Sums are meant for probabilities (MSeg, Lambert et al. 2020, "universal to test taxonomy").

        Args:
            scores: ``[Cs, ...]`` by source channel.

        Returns:
            ``[Ct, ...]`` by target channel; the same floating type, float32 for integers.

        Raises:
            LabelError: The first axis is not the number of source classes.
        """
        if scores.ndim == 0 or scores.shape[0] != self.source.num_classes:
            raise LabelError(
                f"scores of shape {list(scores.shape)} do not fit the {self.source.num_classes} classes "
                f"of {self.source.name}",
                remedy="give [classes, ...]",
            )
        kind = scores.dtype if scores.dtype.kind == "f" else np.dtype(np.float32)
        wide = np.result_type(kind, np.float32)  # half floats lose small classes in long sums
        return np.tensordot(self.matrix.astype(wide), scores.astype(wide, copy=False), axes=1).astype(
            kind, copy=False
        )

    def then(self, other: "LabelMap") -> "LabelMap":
        """Return the map that does this one and then another.

        Raises:
            LabelError: The other map does not start where this one ends.
        """
        if other.source != self.target:
            raise LabelError(
                f"a map from {other.source.name} cannot follow one to {self.target.name}",
                remedy="chain maps whose spaces are equal",
            )
        table = tuple((number, other._entries[wanted]) for number, wanted in self._entries.items())
        return LabelMap(source=self.source, target=other.target, table=table)

    def report(self) -> MapReport:
        """Return what the map loses: classes ignored, classes never reached, classes merged."""
        return MapReport.of(self)

    @cached_property
    def _entries(self) -> dict[int, int]:
        return {self.source.ignore: self.target.ignore, **dict(self.table)}

    @cached_property
    def _lookup8(self) -> tuple[npt.NDArray[Any], int]:
        return self._build_lookup(np.dtype(np.uint8))

    @cached_property
    def _lookup16(self) -> tuple[npt.NDArray[Any], int]:
        return self._build_lookup(np.dtype(np.uint16))

    def _build_lookup(self, dtype: np.dtype[Any]) -> tuple[npt.NDArray[Any], int]:
        """Return the table for masks of a type, and the value in it that marks ids unknown to the source."""
        space = self.target
        used = {space.stored_id(number) for number in self._entries.values()}
        # A value of the target's own type that no class uses: the check is one comparison, no wider copy.
        free = next(value for value in range(len(used) + 1) if value not in used)
        wide = space.dtype if free <= np.iinfo(space.dtype).max else np.dtype(np.uint32)
        table = np.full(np.iinfo(dtype).max + 1, free, dtype=wide)
        for number, wanted in self._entries.items():
            stored = self.source.stored_id(number, dtype)
            if stored < len(table):
                table[stored] = space.stored_id(wanted)
        return table, free


def _look_up(table: npt.NDArray[Any], stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return ``table[stored]``; for bytes by the interpreter's own translation, which is several times as fast."""
    if table.dtype != np.uint8 or stored.dtype != np.uint8:
        return np.take(table, stored)
    translated = bytearray(stored.tobytes()).translate(table.tobytes())
    return np.frombuffer(translated, np.uint8).reshape(stored.shape)


def _ranges(space: LabelSpace) -> str:
    """Return the ids of a space as ``-1..33``, ``0..18, 255``."""
    ids = sorted({*space.ids, space.ignore})
    starts = [i for i in range(len(ids)) if i == 0 or ids[i] != ids[i - 1] + 1]
    spans = [(ids[a], ids[b - 1]) for a, b in zip(starts, [*starts[1:], len(ids)], strict=True)]
    return ", ".join(str(low) if low == high else f"{low}..{high}" for low, high in spans)
