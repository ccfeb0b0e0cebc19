"""Taxonomies made by editing others: classes picked, dropped, merged, split and added, and what becomes of each."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import NamedTuple

from roadseg.errors import LabelError
from roadseg.labels.colors import generated_color
from roadseg.labels.space import Class, LabelSpace

__all__ = ["Derived", "Edits", "Names", "unused_colors"]

Names = Mapping[str, str | None]  # class of one space: class of another, None where it is dropped


@dataclass(frozen=True)
class Edits:
    """What a label space changes in its parent, by class name.

    Args:
        pick: The parent's classes to take, in this order; empty takes all in the parent's order.
        drop: Classes of the parent to leave out.
        merge: New class: the parent's classes that become one.
        split: Class of the parent: the new classes in its place.
    """

    pick: Sequence[str] = ()
    drop: Sequence[str] = ()
    merge: Mapping[str, Sequence[str]] = field(default_factory=dict)
    split: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.pick or self.drop or self.merge or self.split)

    def apply(self, parent: LabelSpace, where: str | None = None) -> "Derived":
        """Return the classes of the edited space and the maps from and to the parent.

        Edited classes are numbered from 0. A merged class stands where its first member stood and takes its color;
        the first part of a split class takes the color of the whole. The class of the parent's ignored id is left
        out unless it is picked or merged.

        Where the choice is not a matter of course, names decide: a split class goes to the part of its own name, a
        merged class back to the member of its own name; without one such pixels are ignored.

        Raises:
            LabelError: A class is edited twice, or the parent does not have it; near matches are named.
        """
        self._check(parent, where)
        if not self:
            same = {name: name for name in parent.names}
            return Derived(parent.classes, same, same)
        made = tuple(self._edited(parent))
        return Derived(
            tuple(replace(entry.item, id=i) for i, entry in enumerate(made)),
            dict.fromkeys(parent.names) | {name: entry.item.name for entry in made for name in entry.takes},
            {entry.item.name: entry.home for entry in made},
        )

    def _check(self, parent: LabelSpace, where: str | None) -> None:
        edited = [*self.drop, *(name for members in self.merge.values() for name in members), *self.split]
        for name in (*self.pick, *edited):
            parent.index(name)
        if twice := [name for name, times in Counter(edited).items() if times > 1]:
            raise LabelError(
                f"edits {', '.join(twice)} of {parent.name} more than once",
                where=where,
                remedy="name a class in one of drop, merge and split",
            )

    def _edited(self, parent: LabelSpace) -> Iterator["_Edited"]:
        """Yield the classes in order; ids are still those of the parent."""
        merged_as = {member: name for name, members in self.merge.items() for member in members}
        done: set[str] = set()
        colors = unused_colors(parent.classes)
        for name in self.pick or parent.names:
            item = parent.classes[parent.index(name)]
            if (new := merged_as.get(name)) is not None:
                members = self.merge[new]
                if new not in done:
                    yield _Edited(replace(item, name=new), members, new if new in members else None)
                done.add(new)
            elif name in self.split:
                for i, part in enumerate(self.split[name]):
                    color = next(colors) if i else item.color
                    yield _Edited(replace(item, name=part, color=color), (name,) * (part == name), name)
            elif name not in self.drop and (self.pick or item.id != parent.ignore):
                yield _Edited(item, (name,), name)


class _Edited(NamedTuple):
    """A class, the parent's classes whose pixels it takes, and the parent's class that its own pixels go back to."""

    item: Class
    takes: Sequence[str]
    home: str | None


@dataclass(frozen=True)
class Derived:
    """The outcome of edits.

    Args:
        classes: The classes in channel order.
        from_parent: What each class of the parent becomes.
        to_parent: What each class becomes in the parent.
    """

    classes: tuple[Class, ...]
    from_parent: Names
    to_parent: Names


def unused_colors(classes: Sequence[Class]) -> Iterator[tuple[int, int, int]]:
    """Yield generated colors that no class has."""
    used = {item.color for item in classes}
    return (color for color in map(generated_color, count()) if color not in used)
