"""What a scene is put together from: still objects, and entities that move and are counted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from roadseg.data.synth.parts import Part, PartTable, Pose, join, stack

__all__ = ["Entity", "World"]


@dataclass(frozen=True, eq=False)
class Entity:
    """One object that is counted or moves.

    Attributes:
        label: Class name of the object as a whole; its instance id counts objects of this class.
        pose: Where it stands at a time in seconds.
        parts: Its parts in its own frame.
        posture: Its parts at a time, for figures that change their shape; None for rigid ones.
        footprint: Half width and half length on the ground, for the shade beneath it.
    """

    label: str
    pose: Callable[[float], Pose]
    parts: PartTable
    posture: Callable[[float], PartTable] | None = None
    footprint: tuple[float, float] | None = None

    def at(self, time: float, owner: int) -> PartTable:
        """Its parts in the world."""
        parts = self.parts if self.posture is None else self.posture(time)
        return parts.placed(self.pose(time), owner)


@dataclass(eq=False)
class World:
    """Collects the contents of a scene while it is built."""

    label_ids: dict[str, int]
    still: list[PartTable] = field(default_factory=list)
    entities: list[Entity] = field(default_factory=list)

    def add(self, parts: Sequence[Part], pose: Pose) -> None:
        """Puts a still object somewhere."""
        if parts:
            self.still.append(stack(parts, self.label_ids).placed(pose, -1))

    def add_entity(
        self,
        label: str,
        pose: Callable[[float], Pose],
        parts: Sequence[Part] | Callable[[float], Sequence[Part]],
        footprint: tuple[float, float] | None = None,
    ) -> None:
        """Puts an object that is counted somewhere; parts that are a function of time change its shape."""
        ids = self.label_ids
        if callable(parts):
            figure = parts
            self.entities.append(
                Entity(label, pose, stack(figure(0.0), ids), lambda time: stack(figure(time), ids), footprint)
            )
        else:
            self.entities.append(Entity(label, pose, stack(parts, ids), None, footprint))

    def joined(self) -> PartTable:
        """All still parts."""
        return join(self.still)
