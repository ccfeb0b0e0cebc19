"""What moves in a scene, or could: vehicles, riders and people."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from roadseg.data.synth.layout import Planner
from roadseg.data.synth.parts import Part, Pose
from roadseg.data.synth.people import cyclist, draw_looks, walker
from roadseg.data.synth.street import Junction, Street
from roadseg.data.synth.vehicles import Body, bicycle, bus, car, motorcycle, tram, truck, van

__all__ = ["Along", "Populator"]


@dataclass(frozen=True, eq=False)
class Along:
    """A motion at constant speed in street coordinates.

    Attributes:
        street: The street.
        s: Where it starts, meters along the street.
        d: Meters to the right of the middle line.
        turn: Heading relative to the street, radians; the motion is along it.
        speed: Meters per second.
        y: Height of the ground there.
    """

    street: Street
    s: float
    d: float
    turn: float
    speed: float
    y: float = 0.0

    def __call__(self, time: float) -> Pose:
        """The pose at a time."""
        way = self.speed * time
        return self.street.place(
            self.s + way * float(np.cos(self.turn)),
            self.d + way * float(np.sin(self.turn)),
            self.y,
            self.turn,
        )


@dataclass(eq=False)
class Populator:
    """Put vehicles and people on the street of a planner.

    Attributes:
        plan: The street and what stands there.
        rng: Randomness.
        traffic: Factor on the number of vehicles.
        people: Factor on the number of people.
        ego_speed: Speed of the camera, meters per second.
        ego_lane: Lane of the camera.
        occupied: Circles (x, z, radius) on the ground where vehicles stand at time 0.
    """

    plan: Planner
    rng: np.random.Generator
    traffic: float
    people: float
    ego_speed: float
    ego_lane: int
    occupied: list[tuple[float, float, float]] = field(default_factory=list)

    @property
    def street(self) -> Street:
        """The street."""
        return self.plan.street

    def _uniform(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def populate(self) -> None:
        """Everything that moves or is parked."""
        ego = self.street.place(1.5, self.street.lane(self.ego_lane))
        self._claim(ego, 0.95, 5.5)
        self._parked()
        self._lanes()
        for junction in self.street.junctions:
            self._crossing_traffic(junction)
            self._crossing_people(junction)
        self._cyclists()
        for side in (-1, 1):
            self._sidewalk(side)
            self._parked_bicycles(side)

    def _claim(self, pose: Pose, half_width: float, half_length: float) -> bool:
        """Take the ground that a vehicle needs, unless another one stands there."""
        reach = max(half_length - half_width, 0.0)
        count = max(2, round(reach / half_width) + 1)
        circles = [
            (
                pose.x + shift * float(np.sin(pose.yaw)),
                pose.z + shift * float(np.cos(pose.yaw)),
                half_width + 0.12,
            )
            for shift in np.linspace(-reach, reach, count)
        ]
        if self.occupied:
            theirs, ours = np.array(self.occupied), np.array(circles)
            gap = np.hypot(theirs[:, None, 0] - ours[:, 0], theirs[:, None, 1] - ours[:, 1])
            if (gap < theirs[:, None, 2] + ours[:, 2]).any():
                return False
        self.occupied += circles
        return True

    def _add_vehicle(self, label: str, body: Body, pose: Callable[[float], Pose], far: bool = False) -> bool:
        if not self._claim(pose(0.0), body.half_width, body.half_length):
            return False
        parts = body.parts
        if far:  # details of a few centimeters cannot be seen
            parts = [part for part in parts if max(part.half) > 0.25]
        self.plan.world.add_entity(label, pose, parts, (body.half_width, body.half_length))
        return True

    def _vehicle(self, lights: float, braking: float, large: float = 0.17) -> tuple[str, Body]:
        rng = self.rng
        pick = float(rng.random())
        if pick < large * 0.45:
            return "truck", truck(rng, lights, braking)
        if pick < large:
            return "bus", bus(rng, lights, braking)
        if pick < large + 0.14:
            return "car", van(rng, lights, braking)
        return "car", car(rng, lights, braking)

    def _lights(self) -> float:
        return 1.0 if self.plan.night > 0.3 or self.rng.random() < 0.25 else 0.0

    def _parked(self) -> None:
        rng, street = self.rng, self.street
        if self.plan.setting == "rural":
            return
        for side in (-1, 1):
            strip = street.strips[(side + 1) // 2]
            if strip.parking == 0 and rng.random() < 0.62:
                continue
            density = self._uniform(0.25, 0.9)
            d = street.traffic_half + strip.parking / 2
            if not strip.parking:  # two wheels on the sidewalk
                if strip.verge + strip.sidewalk < 1.8:
                    continue
                d += 0.5
            s = self._uniform(-4, 6)
            while s < 115:
                step = self._uniform(5.6, 7.5)
                gap_from, gap_to = self.plan.gap_after(side, s - 8)
                if rng.random() < density and not gap_from - 7 < s < gap_to + 7 and s < self.plan.last - 6:
                    self._park(side, s, side * d)
                s += step

    def _park(self, side: int, s: float, d: float) -> None:
        rng = self.rng
        turn = 0.0 if side == self.street.driving else np.pi
        turn += float(rng.normal(0, 0.02)) + (np.pi if rng.random() < 0.1 else 0.0)
        if rng.random() < 0.06:
            body = motorcycle(rng, 0.0)
            self._add_vehicle("motorcycle", body, Along(self.street, s, d + side * 0.4, turn, 0.0))
            return
        label, body = self._vehicle(0.0, 0.0, large=0.04)
        if label == "bus":
            label, body = "car", van(rng, 0.0, 0.0)
        self._add_vehicle(label, body, Along(self.street, s, d, float(turn), 0.0), far=s > 55)

    def _lanes(self) -> None:
        rng, street = self.rng, self.street
        for lane in range(-street.lanes, street.lanes):
            ours = lane >= 0
            d = street.lane(lane)
            speed = self.ego_speed * self._uniform(0.8, 1.2) if ours else self._uniform(5, 13)
            s = self._uniform(9, 40) if ours else self._uniform(2, 40)
            if ours and lane == self.ego_lane:
                s = max(s, 8.0 + 4.0 * float(rng.random()))
            if street.rails and lane in (0, -1) and rng.random() < 0.6:
                turn = 0.0 if ours else np.pi
                start = s + 12
                self._add_vehicle(
                    "train", tram(rng, 1.0), Along(street, start, d, float(turn), speed if ours else 7.0)
                )
                s = start + 18
            while s < min(150, street.end - 5):
                length = 5.0
                if rng.random() < 0.75 * min(self.traffic, 1.3):
                    length = self._drive(lane, s, d + float(rng.normal(0, 0.15)), speed)
                s += length + self._uniform(4, 25) / max(self.traffic, 0.3)

    def _drive(self, lane: int, s: float, d: float, speed: float) -> float:
        """Put a vehicle into a lane with its rear at s; returns its length."""
        rng, street = self.rng, self.street
        ours = lane >= 0
        turn = 0.0 if ours else float(np.pi)
        if rng.random() < 0.06:
            self._motorcyclist(s, d, turn, speed)
            return 2.2
        label, body = self._vehicle(self._lights(), float(rng.random() < 0.3) * float(ours))
        self._add_vehicle(label, body, Along(street, s + body.half_length, d, turn, speed), far=s > 55)
        return 2 * body.half_length

    def _motorcyclist(self, s: float, d: float, turn: float, speed: float) -> None:
        looks = draw_looks(self.rng)
        path = Along(self.street, s, d, turn, speed)
        if self._add_vehicle("motorcycle", motorcycle(self.rng, self._lights()), path):
            self.plan.world.add_entity("rider", path, cyclist(looks, 0.0, 0.0, motor=True))

    def _crossing_traffic(self, junction: Junction) -> None:
        rng, street = self.rng, self.street
        for way in (-1, 1):  # +1 drives to the right
            for _ in range(2):
                if rng.random() > 0.4 * self.traffic:
                    continue
                offset = street.driving * -way * junction.half_width / 2
                d = self._uniform(-25, 25)
                if not junction.right:
                    d = -abs(d) - 4
                if not junction.left:
                    d = abs(d) + 4
                turn = way * np.pi / 2
                label, body = self._vehicle(self._lights(), 0.0)
                speed = self._uniform(0, 8) if abs(d) > street.front_line(1) else self._uniform(4, 9)
                self._add_vehicle(label, body, Along(street, junction.s + offset, d, float(turn), speed))

    def _cyclists(self) -> None:
        rng, street = self.rng, self.street
        count = int(rng.poisson(1.5 * self.people * (1.4 if self.plan.setting in ("city", "town") else 0.6)))
        for _ in range(count):
            ours = rng.random() < 0.65
            side = street.driving if ours else -street.driving
            s, speed = 6 + 45 * float(rng.random()) ** 1.5, self._uniform(3, 6.5)
            d = side * (street.traffic_half - self._uniform(0.5, 1.2))
            self._cyclist(s, d, 0.0 if ours else float(np.pi), speed)

    def _cyclist(self, s: float, d: float, turn: float, speed: float) -> None:
        looks = draw_looks(self.rng)
        path = Along(self.street, s, d, turn, speed)
        if self._add_vehicle("bicycle", bicycle(self.rng), path):
            self.plan.world.add_entity(
                "rider", path, lambda time: cyclist(looks, time, speed * 1.1, motor=False)
            )

    def _walk(self, s: float, d: float, turn: float, speed: float, y: float) -> None:
        looks = draw_looks(self.rng)
        figure: Callable[[float], list[Part]] = lambda time: walker(looks, time, speed)  # noqa: E731
        self.plan.world.add_entity("person", Along(self.street, s, d, turn, speed, y), figure, (0.22, 0.18))

    def _sidewalk(self, side: int) -> None:
        rng, street = self.rng, self.street
        strip = street.strips[(side + 1) // 2]
        rate = {"city": 7.5, "town": 5.5, "suburb": 2.2, "park": 3.0, "rural": 0.3}[self.plan.setting]
        if strip.sidewalk == 0:
            rate *= 0.3
        inner = street.edge(side) + strip.verge
        for _ in range(int(rng.poisson(rate * self.people))):
            s = 4 + 60 * float(rng.random()) ** 1.2
            if self.plan.gap_after(side, s - 3)[0] < s + 3 and street.near_junction(s, 3.0):
                continue
            d = inner + self._uniform(0.35, max(strip.sidewalk - 0.3, 0.6))
            ahead = rng.random() < 0.5
            speed = 0.0 if rng.random() < 0.25 else self._uniform(0.8, 1.7)
            turn = (0.0 if ahead else np.pi) + float(rng.normal(0, 0.1))
            if speed == 0:
                turn = self._uniform(0, 2 * np.pi)
            for k in range(1 + int(rng.random() < 0.3)):
                self._walk(s + 0.2 * k, side * (d + 0.55 * k), float(turn), speed, street.curb)
        if strip.sidewalk > 2 and rng.random() < 0.12 * self.people:
            d = side * (inner + 0.9)
            self._cyclist(self._uniform(8, 40), d, 0.0, 3.5)

    def _crossing_people(self, junction: Junction) -> None:
        rng, street = self.rng, self.street
        for flank in (-1, 1):
            for _ in range(int(rng.poisson(0.7 * self.people if junction.zebra else 0.15 * self.people))):
                way = 1 if rng.random() < 0.5 else -1
                d = self._uniform(-street.edge(-1), street.edge(1))
                s = junction.s + flank * (junction.half_width + 3.2) + self._uniform(-1, 1)
                self._walk(s, d, way * np.pi / 2, self._uniform(0.9, 1.6), 0.0)

    def _parked_bicycles(self, side: int) -> None:
        rng, street = self.rng, self.street
        if rng.random() > {"city": 0.5, "town": 0.45}.get(self.plan.setting, 0.2):
            return
        start = self._uniform(5, 35)
        rack = rng.random() < 0.6
        front = street.front_line(side)
        for k in range(int(rng.integers(1, 7))):
            s = start + (0.55 * k if rack else 2.1 * k)
            if street.near_junction(s, 3.0):
                continue
            turn = np.pi / 2 if rack else float(rng.choice((0.0, np.pi)))
            d = side * (front - (1.0 if rack else 0.4))
            self._add_vehicle(
                "bicycle",
                bicycle(rng),
                Along(street, s, d, turn + float(rng.normal(0, 0.12)), 0.0, street.curb),
            )
