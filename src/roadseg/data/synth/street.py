"""The ground plan: where the road runs, how wide it is, what lies beside it."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from roadseg.data.synth.camera import Array, Value
from roadseg.data.synth.parts import Pose

__all__ = ["FRONT_CELL", "FRONT_START", "Junction", "Street", "Strip", "Zone"]

FRONT_START, FRONT_CELL = (
    -40.0,
    1.0,
)  # meters along the street: first cell of the front table, length of a cell


class Zone(IntEnum):
    """What a point of the ground is."""

    ROAD = 0
    PARKING = 1
    SIDEWALK = 2
    VERGE = 3
    PAVED = 4
    GRASS = 5


@dataclass(frozen=True)
class Junction:
    """A street that crosses.

    Attributes:
        s: Where its middle line crosses, meters along the street.
        half_width: Half the width of its carriageway.
        left: Whether it leaves to the left.
        right: Whether it leaves to the right.
        zebra: Whether stripes for people cross the main street before and after it.
        signals: Whether traffic lights stand there.
    """

    s: float
    half_width: float
    left: bool = True
    right: bool = True
    zebra: bool = True
    signals: bool = False


@dataclass(frozen=True)
class Strip:
    """One side of the street, from the edge of the carriageway outwards, meters.

    Attributes:
        parking: Width of the parking lane, inside the carriageway.
        verge: Width of the green strip behind the curb.
        sidewalk: Width of the sidewalk.
    """

    parking: float
    verge: float
    sidewalk: float


@dataclass(frozen=True, eq=False)
class Street:
    """A street and its coordinates: ``s`` meters along the middle line, ``d`` meters to the right of it.

    Attributes:
        bend_start: Where the bend begins, meters along z.
        bend_length: How long it lasts.
        bend: Half its curvature, 1/meters, positive to the right.
        lanes: Lanes per direction.
        lane_width: Meters.
        driving: +1 where people drive on the right, -1 on the left.
        strips: Left and right side.
        parking_paved: Whether parking lanes look (and are labeled) different from the road.
        curb: Height of the curb, 0 without one.
        junctions: Streets that cross.
        end: Where the street ends at a crossing one (a T), infinite otherwise.
        front: uint8 ``[2, n]`` zone of the ground in front of the buildings, per side and cell.
        markings: "dashed", "solid", "double" or "none" for the middle line.
        edge_lines: Whether lines run along the edges.
        rails: Whether tram rails lie in the middle lanes.
    """

    bend_start: float
    bend_length: float
    bend: float
    lanes: int
    lane_width: float
    driving: int
    strips: tuple[Strip, Strip]
    parking_paved: bool
    curb: float
    junctions: tuple[Junction, ...]
    end: float
    front: Array
    markings: str
    edge_lines: bool
    rails: bool

    @property
    def traffic_half(self) -> float:
        """Half the width of the traffic lanes."""
        return self.lanes * self.lane_width

    def edge(self, side: int) -> float:
        """Distance of the curb from the middle line on a side (-1 left, +1 right)."""
        return self.traffic_half + self.strips[(side + 1) // 2].parking

    def front_line(self, side: int) -> float:
        """Distance of the outer edge of the sidewalk from the middle line on a side."""
        strip = self.strips[(side + 1) // 2]
        return self.edge(side) + strip.verge + strip.sidewalk

    def lane(self, number: int) -> float:
        """Middle of a lane: 0, 1 ... ours from the middle line outwards, -1, -2 ... the opposite ones."""
        return self.driving * (number + 0.5) * self.lane_width

    def _line(self, z: Array) -> tuple[Array, Array]:
        """The middle line at z: its x and its slope."""
        q = np.clip(z - self.bend_start, 0, self.bend_length)
        slope = 2 * self.bend * q
        return slope * (z - self.bend_start - q / 2), slope

    def place(self, s: float, d: float, y: float = 0.0, turn: float = 0.0) -> Pose:
        """The pose at (s, d), looking along the street plus ``turn`` radians."""
        x, slope = self._line(np.array(s, np.float64))
        yaw = float(np.arctan(slope))
        return Pose(float(x) + d * float(np.cos(yaw)), y, s - d * float(np.sin(yaw)), yaw + turn)

    def locate(self, x: Array, z: Array) -> tuple[Array, Array]:
        """Ground points as (s, d)."""
        if self.bend == 0:
            return z, x
        line, slope = self._line(z)
        norm = 1 / np.sqrt(1 + slope * slope)
        d = (x - line) * norm
        s = z + d * slope * norm
        line, slope = self._line(s)
        norm = 1 / np.sqrt(1 + slope * slope)
        return s, (x - line) * norm - (z - s) * slope * norm

    def road_distance(self, s: Array, d: Array) -> Array:
        """Signed distance to the edge of the carriageway, negative on it; corners of crossings are rounded."""
        half = np.where(d > 0, np.float32(self.edge(1)), np.float32(self.edge(-1)))
        distance = np.abs(d) - half
        if np.isfinite(self.end):
            distance = np.maximum(distance, s - np.float32(self.end))
        for junction in self.junctions:
            across = np.abs(s - np.float32(junction.s)) - np.float32(junction.half_width)
            if not junction.left:
                across = np.maximum(across, -d)
            if not junction.right:
                across = np.maximum(across, d)
            radius = np.float32(5.0)
            blend = np.clip(0.5 + (distance - across) * (0.5 / radius), 0, 1)
            distance = distance + (across - distance) * blend - radius * blend * (1 - blend)
        return distance

    def near_junction(self, s: Value, margin: float) -> Array:
        """Whether points along the street are within ``margin`` meters of a crossing's edge."""
        near = np.zeros(np.shape(s), bool)
        for junction in self.junctions:
            near |= np.abs(s - junction.s) < junction.half_width + margin
        return near

    def zones(self, s: Array, d: Array) -> tuple[Array, Array]:
        """Zone (uint8) and signed distance to the carriageway of ground points."""
        distance = self.road_distance(s, d)
        right = d > 0
        left_strip, right_strip = self.strips
        verge = np.where(right, np.float32(right_strip.verge), np.float32(left_strip.verge))
        walk = verge + np.where(right, np.float32(right_strip.sidewalk), np.float32(left_strip.sidewalk))
        cell = np.clip((s - FRONT_START) / FRONT_CELL, 0, self.front.shape[1] - 1).astype(np.int32)
        zone = self.front[right.astype(np.int32), cell]
        zone = np.where(distance < walk, np.uint8(Zone.SIDEWALK), zone)
        zone = np.where((distance < verge) & (distance > 0.2), np.uint8(Zone.VERGE), zone)
        zone = np.where(distance < 0, np.uint8(Zone.ROAD), zone)
        if self.parking_paved:
            lane = (np.abs(d) > self.traffic_half) & (distance < 0)
            zone = np.where(lane & ~self.near_junction(s, 5.0), np.uint8(Zone.PARKING), zone)
        return zone, distance
