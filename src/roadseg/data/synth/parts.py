"""What the world is made of: parts (convex solids, capsules, ragged blobs, flat panels) and tables of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np

from roadseg.data.synth.camera import Array

__all__ = [
    "Kind",
    "Material",
    "Part",
    "PartTable",
    "Pose",
    "Shape",
    "blob",
    "box",
    "capsule",
    "extruded",
    "join",
    "panel",
    "stack",
    "wheel",
]

NUM_PARAMS = 8
MAX_PLANES = 12
Vec = tuple[float, float, float]
Plane = tuple[float, float, float, float]


class Kind(IntEnum):
    """How a part meets a ray."""

    CONVEX = 0  # intersection of half spaces
    CAPSULE = 1  # segment with a radius at each end, drawn as an imposter that faces the camera
    BLOB = 2  # ellipsoid with a ragged edge, drawn as an imposter
    PANEL = 3  # flat figure in a vertical plane


class Material(IntEnum):
    """How a part is colored; the functions are in ``roadseg.data.synth.materials``."""

    SKY = 0
    GROUND = 1
    SKYLINE = 2
    PLAIN = 3
    FACADE = 4
    ROOF = 5
    MASONRY = 6
    PAINT = 7
    CABIN = 8
    TIRE = 9
    CLOTH = 10
    FOLIAGE = 11
    BARK = 12
    SIGN = 13
    SIGNAL = 14
    LAMP = 15
    PICKET = 16
    COACH = 17
    HOOD = 18


class Shape(IntEnum):
    """Outline of a panel."""

    RECTANGLE = 0
    DISC = 1
    TRIANGLE = 2
    TRIANGLE_DOWN = 3
    OCTAGON = 4
    DIAMOND = 5
    RAILING = 6  # bars and two rails, with true gaps


@dataclass(frozen=True)
class Pose:
    """Where a frame stands: position in meters, heading in radians (0 looks along z, positive to the right)."""

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    yaw: float = 0.0


@dataclass(frozen=True, eq=False, slots=True)
class Part:
    """One surface element in its entity's frame.

    Attributes:
        kind: How it meets a ray.
        material: How it is colored.
        label: Class name in the Cityscapes space.
        center: Origin of its own frame; first end of a capsule.
        yaw: Heading of its own frame.
        half: Half extents along its own axes; for a blob its radii; for a capsule the radii at both ends and 0.
        tip: Middle of the bounds of a solid, blob or panel; second end of a capsule.
        shape: Outline of a panel.
        color: Main color, linear RGB 0..1.
        accent: Second color.
        params: Up to ``NUM_PARAMS`` numbers for the material.
        planes: Outward unit normals and offsets of a convex solid in its own frame.
        alpha: Opacity; below 1 the part is a veil over what lies behind and still owns the pixel's label.
    """

    kind: Kind
    material: Material
    label: str
    center: Vec
    yaw: float
    half: Vec
    tip: Vec
    shape: Shape
    color: Vec
    accent: Vec
    params: tuple[float, ...]
    planes: tuple[Plane, ...]
    alpha: float


@dataclass(frozen=True, eq=False)
class PartTable:
    """Parts as columns, ``N`` rows each (see ``Part``); ``owner`` is the index of the entity, -1 for none."""

    kind: Array
    material: Array
    label: Array
    owner: Array
    center: Array
    yaw: Array
    half: Array
    tip: Array
    shape: Array
    color: Array
    accent: Array
    params: Array
    planes: Array
    num_planes: Array
    alpha: Array

    def __len__(self) -> int:
        return len(self.kind)

    def take(self, rows: Array) -> "PartTable":
        """Some of the rows."""
        return PartTable(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def placed(self, poses: Sequence[Pose], which: Array, owner: Array) -> "PartTable":
        """The same parts in the world.

        Args:
            poses: Poses of the frames that the parts are in.
            which: int ``[N]``, pose of each part.
            owner: int32 ``[N]``, entity of each part.
        """
        numbers = np.array([(pose.x, pose.y, pose.z, pose.yaw) for pose in poses], np.float64).reshape(-1, 4)
        shift, yaw = numbers[which, :3].astype(np.float32), numbers[which, 3]
        c, s = np.cos(yaw).astype(np.float32), np.sin(yaw).astype(np.float32)
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in ("center", "tip"):
            x, y, z = columns[name].T
            columns[name] = np.stack([x * c + z * s, y, z * c - x * s], axis=1) + shift
        columns["yaw"] = self.yaw + yaw.astype(np.float32)
        columns["owner"] = owner
        return PartTable(**columns)


_NO_PLANES: tuple[Plane, ...] = ()
# Looked up once: members of an enumeration are slow to reach, and parts are made by the thousand.
_CONVEX, _CAPSULE, _BLOB, _PANEL, _RECTANGLE = (
    Kind.CONVEX,
    Kind.CAPSULE,
    Kind.BLOB,
    Kind.PANEL,
    Shape.RECTANGLE,
)


def stack(parts: Sequence[Part], label_ids: dict[str, int]) -> PartTable:
    """Parts as one table in the same order; ``label_ids`` gives the stored id of each class name."""
    count = len(parts)
    planes = np.zeros((count, MAX_PLANES, 4), np.float32)
    params = np.zeros((count, NUM_PARAMS), np.float32)
    for i, part in enumerate(parts):
        if part.planes:
            planes[i, : len(part.planes)] = part.planes
        if part.params:
            params[i, : len(part.params)] = part.params
    return PartTable(
        kind=np.array([part.kind for part in parts], np.uint8),
        material=np.array([part.material for part in parts], np.uint8),
        label=np.array([label_ids[part.label] for part in parts], np.uint8),
        owner=np.full(count, -1, np.int32),
        center=np.array([part.center for part in parts], np.float32).reshape(count, 3),
        yaw=np.array([part.yaw for part in parts], np.float32),
        half=np.array([part.half for part in parts], np.float32).reshape(count, 3),
        tip=np.array([part.tip for part in parts], np.float32).reshape(count, 3),
        shape=np.array([part.shape for part in parts], np.uint8),
        color=np.array([part.color for part in parts], np.float32).reshape(count, 3),
        accent=np.array([part.accent for part in parts], np.float32).reshape(count, 3),
        params=params,
        planes=planes,
        num_planes=np.array([len(part.planes) for part in parts], np.uint8),
        alpha=np.array([part.alpha for part in parts], np.float32),
    )


def join(tables: Sequence[PartTable]) -> PartTable:
    """Tables one after the other."""
    return PartTable(
        **{
            field.name: np.concatenate([getattr(table, field.name) for table in tables])
            for field in fields(PartTable)
        }
    )


def box(
    material: Material,
    label: str,
    center: Vec,
    half: Vec,
    color: Vec,
    *,
    yaw: float = 0.0,
    accent: Vec = (0.0, 0.0, 0.0),
    params: tuple[float, ...] = (),
    alpha: float = 1.0,
) -> Part:
    """A box; its faces are numbered left, right, bottom, top, back, front."""
    hx, hy, hz = half
    planes = (
        (-1.0, 0.0, 0.0, hx),
        (1.0, 0.0, 0.0, hx),
        (0.0, -1.0, 0.0, hy),
        (0.0, 1.0, 0.0, hy),
        (0.0, 0.0, -1.0, hz),
        (0.0, 0.0, 1.0, hz),
    )
    return Part(
        _CONVEX, material, label, center, yaw, half, center, _RECTANGLE, color, accent, params, planes, alpha
    )


def extruded(
    material: Material,
    label: str,
    profile: Sequence[tuple[float, float]],
    half_width: float,
    color: Vec,
    *,
    center: Vec = (0.0, 0.0, 0.0),
    yaw: float = 0.0,
    lean: float = 0.0,
    chamfer: float = 0.0,
    accent: Vec = (0.0, 0.0, 0.0),
    params: tuple[float, ...] = (),
) -> Part:
    """A convex profile in the (z, y) plane, swept along x.

    Args:
        material: Coloring.
        label: Class name.
        profile: Convex outline as (z, y) points, counter-clockwise seen from +x with z to the right.
        half_width: Half the extent along x at the lowest point of the profile.
        color: Main color.
        center: Origin of the profile.
        yaw: Heading.
        lean: How far the sides lean inwards, meters per meter of height.
        chamfer: Size of the cut at the four upright corners, meters.
        accent: Second color.
        params: For the material.
    """
    zs, ys = [point[0] for point in profile], [point[1] for point in profile]
    low, high, back, front = min(ys), max(ys), min(zs), max(zs)
    scale = 1 / math.hypot(1.0, lean)
    side = (half_width + lean * low) * scale
    planes = [(-scale, lean * scale, 0.0, side), (scale, lean * scale, 0.0, side)]
    for k, (z, y) in enumerate(profile):
        next_z, next_y = profile[(k + 1) % len(profile)]
        length = max(math.hypot(next_z - z, next_y - y), 1e-6)
        nz, ny = (next_y - y) / length, (z - next_z) / length
        planes.append((0.0, ny, nz, nz * z + ny * y))
    if chamfer > 0:
        root = math.sqrt(0.5)
        for sign in (-root, root):
            planes.append((sign, 0.0, root, root * (half_width + front - chamfer)))
            planes.append((sign, 0.0, -root, root * (half_width - back - chamfer)))
    mid_z, mid_y = (back + front) / 2, (low + high) / 2
    half = (half_width, (high - low) / 2, (front - back) / 2)
    tip = (center[0] + mid_z * math.sin(yaw), center[1] + mid_y, center[2] + mid_z * math.cos(yaw))
    rows = tuple(planes[:MAX_PLANES])
    return Part(
        _CONVEX, material, label, center, yaw, half, tip, _RECTANGLE, color, accent, params, rows, 1.0
    )


def wheel(label: str, center: Vec, radius: float, half_width: float, color: Vec, rim: Vec) -> Part:
    """A wheel whose axle is along x: an eight-sided prism."""
    angles = [(k + 0.5) * math.pi / 4 for k in range(8)]
    profile = [(math.cos(a) * radius * 1.04, math.sin(a) * radius * 1.04) for a in angles]
    return extruded(
        Material.TIRE, label, profile, half_width, color, center=center, accent=rim, params=(radius,)
    )


def capsule(
    material: Material,
    label: str,
    start: Vec,
    end: Vec,
    radii: tuple[float, float],
    color: Vec,
    *,
    accent: Vec = (0.0, 0.0, 0.0),
    params: tuple[float, ...] = (),
) -> Part:
    """A segment with a radius at each end."""
    half = (radii[0], radii[1], 0.0)
    return Part(
        _CAPSULE, material, label, start, 0.0, half, end, _RECTANGLE, color, accent, params, _NO_PLANES, 1.0
    )


def blob(
    material: Material,
    label: str,
    center: Vec,
    radii: tuple[float, float],
    color: Vec,
    *,
    accent: Vec = (0.0, 0.0, 0.0),
    params: tuple[float, ...] = (),
) -> Part:
    """An upright ellipsoid (radius across, radius up) with a ragged edge; ``params`` start with raggedness, noise offset, noise scale."""
    half = (radii[0], radii[1], radii[0])
    return Part(
        _BLOB, material, label, center, 0.0, half, center, _RECTANGLE, color, accent, params, _NO_PLANES, 1.0
    )


def panel(
    material: Material,
    label: str,
    center: Vec,
    half: tuple[float, float],
    color: Vec,
    *,
    shape: Shape = Shape.RECTANGLE,
    yaw: float = 0.0,
    accent: Vec = (0.0, 0.0, 0.0),
    params: tuple[float, ...] = (),
    alpha: float = 1.0,
) -> Part:
    """A flat figure in a vertical plane whose normal points along its own z."""
    size = (half[0], half[1], 0.0)
    return Part(
        _PANEL, material, label, center, yaw, size, center, shape, color, accent, params, _NO_PLANES, alpha
    )
