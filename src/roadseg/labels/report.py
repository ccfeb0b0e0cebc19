"""What a label map loses, told before it is used."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from roadseg.labels.mapping import LabelMap

__all__ = ["MapReport"]

NAMED = 12  # classes that a sentence names before it counts


@dataclass(frozen=True)
class MapReport:
    """What becomes of the classes of a map.

    Args:
        source: Name of the space that the map starts from.
        target: Name of the space that it leads to.
        goals: Target class of each source class, None for those that are ignored.
        dropped: Source classes whose pixels are ignored, void classes aside.
        unreachable: Target classes that nothing leads to, void classes aside: never predicted, so their IoU is 0.
        merged: Target classes that several source classes share: the way back is ambiguous.
    """

    source: str
    target: str
    goals: dict[str, str | None]
    dropped: tuple[str, ...]
    unreachable: tuple[str, ...]
    merged: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, found: "LabelMap") -> Self:
        """Return the report of a map."""
        source, target = found.source, found.target
        names = {item.id: item.name for item in target.classes if item.id != target.ignore}
        entries = dict(found.table)
        goals = {item.name: names.get(entries[item.id]) for item in source.classes}
        members: dict[str, tuple[str, ...]] = dict.fromkeys(names.values(), ())
        for name, goal in goals.items():
            if goal is not None:
                members[goal] += (name,)
        void = {item.name for item in source.classes if item.id == source.ignore}
        return cls(
            source=source.name,
            target=target.name,
            goals=goals,
            dropped=tuple(name for name, goal in goals.items() if goal is None and name not in void),
            unreachable=tuple(name for name, those in members.items() if not those),
            merged={name: those for name, those in members.items() if len(those) > 1},
        )

    @property
    def is_lossless(self) -> bool:
        """Whether every class has a place of its own and none waits in vain."""
        return not (self.dropped or self.unreachable or self.merged)

    def sentences(self) -> list[str]:
        """Return what is lost as sentences; one that says so when nothing is."""
        if self.is_lossless:
            return [f"Nothing is lost from {self.source} to {self.target}."]
        said = []
        if self.dropped:
            said.append(f"{_count(self.dropped)} of {self.source} ignored: {_listing(self.dropped)}.")
        if self.unreachable:
            never = f"{_count(self.unreachable)} of {self.target} never reached (IoU 0)"
            said.append(f"{never}: {_listing(self.unreachable)}.")
        if self.merged:
            pairs = [f"{name} from {', '.join(_shortened(those))}" for name, those in self.merged.items()]
            said.append(
                f"{_count(self.merged)} of {self.target} merged, not told apart again: {_listing(pairs, '; ')}."
            )
        return said

    def to_json(self) -> dict[str, Any]:
        """Return the losses as plain dicts and lists."""
        return {
            "dropped": list(self.dropped),
            "unreachable": list(self.unreachable),
            "merged": {name: list(those) for name, those in self.merged.items()},
        }


def _count(names: tuple[str, ...] | dict[str, tuple[str, ...]]) -> str:
    return f"{len(names)} {'class' if len(names) == 1 else 'classes'}"


def _listing(names: tuple[str, ...] | list[str], separator: str = ", ") -> str:
    return separator.join(_shortened(tuple(names)))


def _shortened(names: tuple[str, ...]) -> list[str]:
    more = len(names) - NAMED
    return [*names[:NAMED], *([f"{more} more"] if more > 0 else [])]
