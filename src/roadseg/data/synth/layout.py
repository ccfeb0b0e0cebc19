"""The still part of a scene: what lines the street, and its furniture."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from roadseg.data.synth.boundaries import Boundary, boundary
from roadseg.data.synth.buildings import building
from roadseg.data.synth.furniture import bollard, clutter, lamp, shelter, sign, signals, utility_pole
from roadseg.data.synth.parts import Material, Part, box
from roadseg.data.synth.plan import FAR_END, between
from roadseg.data.synth.plants import bush, tree
from roadseg.data.synth.street import FRONT_CELL, FRONT_START, Junction, Street, Zone
from roadseg.data.synth.style import Setting
from roadseg.data.synth.world import World

__all__ = ["Planner"]

BOUNDARIES: tuple[Boundary, ...] = ("wall", "fence", "railing", "mesh", "hedge", "rail")  # and none
MOODS: tuple[Setting, ...] = ("city", "town", "suburb", "park")


@dataclass(eq=False)
class Planner:
    """Puts still things along a street.

    Attributes:
        rng: Randomness.
        world: Filled.
        street: The street; the ground in front of the buildings is written to its table.
        setting: Kind of street.
        night: 0 by day, 1 at night.
        season: 0 summer, 1 late autumn.
    """

    rng: np.random.Generator
    world: World
    street: Street
    setting: Setting
    night: float
    season: float

    @property
    def last(self) -> float:
        """Where the lined part of the street ends."""
        return min(FAR_END, self.street.end - 2)

    def gap_after(self, side: int, s: float) -> tuple[float, float]:
        """The next interval on a side at or after ``s`` where a street leaves; empty at the end without one."""
        for junction in self.street.junctions:
            reach = junction.half_width + 2.8
            if junction.s + reach <= s or not (junction.right if side > 0 else junction.left):
                continue
            return junction.s - reach, junction.s + reach
        return self.last + 400, self.last + 400

    def line_streets(self) -> None:
        """Buildings, gardens, walls and fences on both sides, along the crossing streets and at the end."""
        for side in (-1, 1):
            self._line_side(side)
            self._background(side)
        for junction in self.street.junctions:
            for side in (-1, 1):
                if junction.right if side > 0 else junction.left:
                    self._line_crossing(junction, side)
        self._close_end()

    def _line_side(self, side: int) -> None:
        s = -24.0 + between(self.rng, 0, 6)
        mood = self.setting
        while s < self.last:
            gap_from, gap_to = self.gap_after(side, s)
            if s >= gap_from:
                s = gap_to
                continue
            if self.rng.random() < 0.12:
                mood = self.setting if self.setting == "rural" else MOODS[int(self.rng.integers(len(MOODS)))]
            width = min(self._plot_width(mood), gap_from - s)
            if width > 2.5:
                self._plot(side, s, width, mood)
            s += max(width, 1.0)

    def _plot_width(self, mood: Setting) -> float:
        low, high = {
            "city": (9, 26),
            "town": (5.5, 13),
            "suburb": (9, 17),
            "park": (14, 34),
            "rural": (16, 40),
        }[mood]
        return between(self.rng, low, high)

    def _plot(self, side: int, s: float, width: float, mood: Setting) -> None:
        rng, street = self.rng, self.street
        front = street.front_line(side)
        middle = s + width / 2
        built = rng.random() < {"city": 0.93, "town": 0.9, "suburb": 0.82, "park": 0.05, "rural": 0.12}[mood]
        setback = {
            "city": 0.0,
            "town": 0.0,
            "suburb": between(rng, 3, 8),
            "park": 0.0,
            "rural": between(rng, 4, 18),
        }[mood]
        if mood in ("city", "town"):
            setback = between(rng, 0, 0.6) if rng.random() < 0.72 else between(rng, 1.5, 5)
        green = (setback > 1 and rng.random() < 0.75) or not built
        cells = slice(int((s - FRONT_START) / FRONT_CELL), int((s + width - FRONT_START) / FRONT_CELL) + 1)
        street.front[(side + 1) // 2, cells] = Zone.GRASS if green else Zone.PAVED
        if built:
            storeys = int(rng.integers(*{"city": (3, 8), "town": (2, 5), "suburb": (1, 4)}.get(mood, (1, 3))))
            if mood == "city" and rng.random() < 0.08:
                storeys += int(rng.integers(3, 9))
            span = width if mood in ("city", "town") else width * between(rng, 0.6, 0.85)
            depth = between(rng, 8, 14)
            parts = building(rng, mood, side, span, depth, storeys, self.night)
            self.world.add(parts, street.place(middle, side * (front + setback + 0.05)))
        if setback > 1 or not built:
            self._garden(side, middle, width, front, setback if built else 14.0, mood)

    def _garden(
        self, side: int, middle: float, width: float, front: float, reach: float, mood: Setting
    ) -> None:
        rng, street = self.rng, self.street
        shares = {
            "suburb": (0.25, 0.2, 0.1, 0.03, 0.27, 0.0, 0.15),
            "park": (0.15, 0.1, 0.25, 0.12, 0.18, 0.0, 0.2),
            "rural": (0.06, 0.22, 0.0, 0.1, 0.22, 0.15, 0.25),
        }.get(mood, (0.3, 0.15, 0.25, 0.1, 0.08, 0.0, 0.12))
        number = int(rng.choice(len(shares), p=shares))
        if number < len(BOUNDARIES):
            kind = BOUNDARIES[number]
            inward = 0.25 if kind != "hedge" else 0.7
            self.world.add(boundary(rng, kind, width), street.place(middle, side * (front + inward)))
        trees = (
            int(rng.integers(2, 5)) if mood in ("park", "rural") else int(rng.random() < 0.4 and reach > 2.5)
        )
        for _ in range(trees):
            s = middle + between(rng, -0.45, 0.45) * width
            d = front + between(rng, 1.2, max(reach - 0.8, 1.5))
            self.world.add(tree(rng, between(rng, 5, 14), self.season), street.place(s, side * d))
        for _ in range(int(rng.integers(0, 4))):
            s = middle + between(rng, -0.45, 0.45) * width
            d = front + between(rng, 0.8, max(reach * 0.5, 1.5))
            self.world.add(bush(rng, between(rng, 0.5, 1.4), self.season), street.place(s, side * d))

    def _background(self, side: int) -> None:
        """Taller buildings and trees behind the first row."""
        rng = self.rng
        front = self.street.front_line(side)
        for _ in range(int(rng.integers(4, 9))):
            s, d = between(rng, 15, 190), side * (front + between(rng, 22, 45))
            gap_from, gap_to = self.gap_after(side, s)
            if gap_from - 10 < s < gap_to + 10 or s > self.last - 5:
                continue
            if self.setting in ("park", "rural", "suburb") and rng.random() < 0.7:
                self.world.add(tree(rng, between(rng, 8, 17), self.season), self.street.place(s, d))
                continue
            storeys = int(rng.integers(2, 12 if self.setting == "city" else 6))
            parts = building(rng, self.setting, side, between(rng, 10, 24), 12.0, storeys, self.night)
            self.world.add(parts, self.street.place(s, d))

    def _line_crossing(self, junction: Junction, side: int) -> None:
        """Buildings along a crossing street, on its near and far side."""
        rng, street = self.rng, self.street
        front = street.front_line(side)
        reach = junction.half_width + 2.9
        for flank in (-1, 1):
            d = front + (15.0 if street.end != junction.s or flank < 0 else -front)
            while d < front + 62:
                width = between(rng, 8, 16)
                if rng.random() < {"park": 0.25, "rural": 0.15, "suburb": 0.6}.get(self.setting, 0.92):
                    parts = building(
                        rng, self.setting, flank, width, 9.0, int(rng.integers(2, 5)), self.night
                    )
                    self.world.add(
                        parts,
                        street.place(junction.s + flank * reach, side * (d + width / 2), 0.0, -np.pi / 2),
                    )
                else:
                    spot = street.place(junction.s + flank * (reach + 3), side * (d + width / 2))
                    self.world.add(tree(rng, between(rng, 6, 12), self.season), spot)
                d += width + 0.3

    def _close_end(self) -> None:
        """Something at the far end, so that the street does not run into nothing."""
        if np.isfinite(self.street.end):
            return
        rng = self.rng
        for d in np.arange(-24, 25, 8.0):
            spot = self.street.place(FAR_END + between(rng, 18, 40), float(d) + between(rng, -3, 3))
            if rng.random() < {"city": 0.3, "town": 0.45}.get(self.setting, 0.85):
                self.world.add(tree(rng, between(rng, 7, 15), self.season), spot)
            elif abs(d) > 9:
                parts = building(rng, self.setting, 1, 12.0, 12.0, int(rng.integers(2, 6)), self.night)
                self.world.add(parts, spot)

    def furnish(self) -> None:
        """Trees at the curb, lamps, signs, lights, bollards, bins and the like."""
        rng = self.rng
        tree_share = {"city": 0.35, "town": 0.35, "suburb": 0.5, "park": 0.7, "rural": 0.2}[self.setting]
        wood = self.setting in ("suburb", "rural") and rng.random() < 0.5
        pitch = between(rng, 20, 34)
        for side in (-1, 1):
            if rng.random() < tree_share:
                self._avenue(side)
            if rng.random() < 0.75:
                self._row(
                    side,
                    between(rng, -8, 20),
                    pitch,
                    lambda side: utility_pole(rng) if wood else lamp(rng, side),
                    0.45,
                )
            if rng.random() < 0.2:
                start = between(rng, 3, 30)
                for k in range(int(rng.integers(4, 12))):
                    self._stand(side, start + 1.6 * k, bollard(rng), 0.3)
            self._signs(side)
            if rng.random() < 0.25:
                kind: Boundary = "railing" if rng.random() < 0.8 else "mesh"
                self._stand(side, between(rng, 8, 40), boundary(rng, kind, between(rng, 6, 18)), 0.25)
            for _ in range(int(rng.integers(0, 4))):
                self._stand(side, between(rng, 5, 60), clutter(rng), between(rng, 0.5, 1.2))
            if self.setting in ("city", "town", "suburb") and rng.random() < 0.15:
                self._stand(side, between(rng, 10, 45), shelter(rng, side), 1.2)
        self._traffic_lights()
        if rng.random() < 0.04:
            self._bridge()

    def _on_curb(self, side: int, s: float) -> bool:
        """Whether something may stand beside the road here."""
        gap_from, gap_to = self.gap_after(side, s)
        return not gap_from - 1.5 < s < gap_to + 1.5 and s < self.last

    def _stand(self, side: int, s: float, parts: list[Part], offset: float) -> None:
        if self._on_curb(side, s):
            spot = self.street.place(s, side * (self.street.edge(side) + offset), self.street.curb)
            self.world.add(parts, spot)

    def _row(
        self, side: int, start: float, pitch: float, make: Callable[[int], list[Part]], offset: float
    ) -> None:
        for s in np.arange(start, self.last, pitch):
            self._stand(side, float(s), make(side), offset)

    def _avenue(self, side: int) -> None:
        rng = self.rng
        pitch, height = between(rng, 8, 15), between(rng, 5.5, 12)
        for s in np.arange(between(rng, -6, 8), self.last, pitch):
            if rng.random() < 0.85:
                self._stand(side, float(s), tree(rng, height * between(rng, 0.8, 1.2), self.season), 0.75)

    def _signs(self, side: int) -> None:
        rng = self.rng
        for _ in range(int(rng.integers(3, 8))):
            s = between(rng, 4, 75)
            away = side != self.street.driving
            if away and rng.random() < 0.5:
                continue
            turn = float(rng.normal(0, 0.12))
            face = (np.pi if not away or rng.random() < 0.4 else 0.0) + turn
            self._stand(side, s, sign(rng, float(face), abs(face) < np.pi / 2), between(rng, 0.3, 0.7))
        for junction in self.street.junctions:
            if rng.random() < 0.7:
                s = junction.s - junction.half_width - between(rng, 4.5, 7)
                self._stand(side, s, sign(rng, float(np.pi), False), 0.5)

    def _traffic_lights(self) -> None:
        rng, street = self.rng, self.street
        for junction in street.junctions:
            if not junction.signals:
                continue
            state = int(rng.choice(3, p=(0.45, 0.12, 0.43)))
            reach = junction.half_width + 4.8
            for side in (-1, 1):
                overhead = (
                    -side * between(rng, 2.5, 4.5) if side == street.driving and rng.random() < 0.4 else 0.0
                )
                near = street.place(junction.s - reach, side * (street.edge(side) + 0.5), street.curb)
                far = street.place(junction.s + reach, side * (street.edge(side) + 0.5), street.curb)
                if side == street.driving or rng.random() < 0.6:
                    self.world.add(signals(rng, state, overhead, True), near)
                if rng.random() < 0.75:
                    self.world.add(signals(rng, state, 0.0, rng.random() < 0.6), far)

    def _bridge(self) -> None:
        rng = self.rng
        spot = self.street.place(between(rng, 45, 110), 0.0)
        gray = between(rng, 0.2, 0.4)
        deck = box(
            Material.MASONRY,
            "bridge",
            (0.0, 6.6, 0.0),
            (60.0, between(rng, 0.6, 1.1), 4.0),
            (gray, gray, gray * 0.95),
            accent=(gray * 0.8, gray * 0.8, gray * 0.8),
            params=(7.0, 2.0, 0.15),
        )
        self.world.add([deck], spot)
