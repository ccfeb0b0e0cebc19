"""What a scene is put together from: still objects, and entities that move or are counted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from roadseg.data.synth.parts import Part, PartTable, Pose, join, stack

__all__ = ["Entity", "Population", "World"]


@dataclass(frozen=True, eq=False)
class Entity:
    """One object that is counted or moves.

    Attributes:
        label: Class name of the object as a whole; its instance id counts objects of this class.
        pose: Where it stands at a time in seconds.
        parts: Its parts in its own frame; a function of time for figures that change their shape.
        footprint: Half width and half length on the ground, for the shade beneath it.
    """

    label: str
    pose: Callable[[float], Pose]
    parts: Sequence[Part] | Callable[[float], Sequence[Part]]
    footprint: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class Population:
    """The entities of a scene, with the parts of the rigid ones ready to be placed.

    Attributes:
        entities: All of them.
        label_ids: Stored id of each class name.
        rigid: Parts of the rigid entities, each in its entity's frame.
        rigid_owner: int32, entity of each of these parts.
    """

    entities: tuple[Entity, ...]
    label_ids: dict[str, int]
    rigid: PartTable
    rigid_owner: np.ndarray

    @classmethod
    def of(cls, entities: Sequence[Entity], label_ids: dict[str, int]) -> "Population":
        """The population of some entities."""
        parts: list[Part] = []
        owner: list[int] = []
        for number, entity in enumerate(entities):
            if not callable(entity.parts):
                parts += entity.parts
                owner += [number] * len(entity.parts)
        return cls(tuple(entities), label_ids, stack(parts, label_ids), np.array(owner, np.int32))

    def at(self, time: float) -> PartTable:
        """All parts in the world at a time; the order does not depend on it."""
        poses = [entity.pose(time) for entity in self.entities]
        parts: list[Part] = []
        owner: list[int] = []
        for number, entity in enumerate(self.entities):
            if callable(entity.parts):
                figure = entity.parts(time)
                parts += figure
                owner += [number] * len(figure)
        tables = [self.rigid.placed(poses, self.rigid_owner, self.rigid_owner)]
        if parts:
            owners = np.array(owner, np.int32)
            tables.append(stack(parts, self.label_ids).placed(poses, owners, owners))
        return join(tables)


@dataclass(eq=False)
class World:
    """Collects the contents of a scene while it is built."""

    still: list[Part] = field(default_factory=list)
    places: list[Pose] = field(default_factory=list)
    place_of: list[int] = field(default_factory=list)
    entities: list[Entity] = field(default_factory=list)

    def add(self, parts: Sequence[Part], pose: Pose) -> None:
        """Put a still object somewhere."""
        self.place_of += [len(self.places)] * len(parts)
        self.places.append(pose)
        self.still += parts

    def add_entity(
        self,
        label: str,
        pose: Callable[[float], Pose],
        parts: Sequence[Part] | Callable[[float], Sequence[Part]],
        footprint: tuple[float, float] | None = None,
    ) -> None:
        """Put an object that is counted somewhere; parts that are a function of time change its shape."""
        self.entities.append(Entity(label, pose, parts, footprint))

    def settled(self, label_ids: dict[str, int]) -> PartTable:
        """All still parts, in the world."""
        nobody = np.full(len(self.still), -1, np.int32)
        return stack(self.still, label_ids).placed(self.places, np.array(self.place_of, np.intp), nobody)
