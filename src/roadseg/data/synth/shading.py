"""Samples to be colored, and how light falls on them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from roadseg.data.synth.camera import Array, Value
from roadseg.data.synth.parts import Kind, PartTable
from roadseg.data.synth.style import Light

__all__ = ["Batch", "Coat", "environment", "luminance", "mix", "ramp"]


@dataclass(frozen=True, eq=False)
class Coat:
    """What a material says about its samples.

    Attributes:
        albedo: float32 ``[3, n]``.
        emission: float32 ``[3, n]``, light of its own.
        mirror: float32 ``[n]``, share of the reflected surroundings.
    """

    albedo: Array
    emission: Array | None = None
    mirror: Array | None = None


@dataclass(frozen=True, eq=False)
class Batch:
    """``n`` visible samples of one material.

    Attributes:
        table: All parts of the scene, in the world.
        axes: float32 ``[N, 3, 3]``, their frames.
        row: int ``[n]``, part of each sample.
        face: uint8 ``[n]``, plane of a convex solid.
        hit: float32 ``[3, n]``, position in the world.
        ray: float32 ``[3, n]``, ray from the camera, of unit depth.
        foot: float32 ``[n]``, width of a sample's footprint across the ray, meters.
        light: The light of the scene.
    """

    table: PartTable
    axes: Array
    row: Array
    face: Array
    hit: Array
    ray: Array
    foot: Array
    light: Light

    def __len__(self) -> int:
        return len(self.row)

    @cached_property
    def local(self) -> Array:
        """Positions in the parts' own frames, float32 ``[3, n]``."""
        offset = self.hit - self.table.center.T[:, self.row]
        frames = self.axes.reshape(-1, 9)
        out = np.empty_like(offset)
        for axis in range(3):
            out[axis] = offset[0] * frames[self.row, axis]
            out[axis] += offset[1] * frames[self.row, axis + 3]
            out[axis] += offset[2] * frames[self.row, axis + 6]
        return out

    @cached_property
    def local_normal(self) -> Array:
        """Surface normals in the parts' own frames, float32 ``[3, n]``."""
        kind = self.table.kind[self.row]
        normal = np.ascontiguousarray(self.table.planes[self.row, self.face, :3].T)
        flat = kind == Kind.PANEL
        if flat.any():
            normal[:, flat] = np.array([[0], [0], [1]], np.float32)
        rounded = np.flatnonzero((kind == Kind.CAPSULE) | (kind == Kind.BLOB))
        if len(rounded):
            half = self.table.half[self.row[rounded]]
            across = np.clip(self.local[0, rounded] / np.maximum(half[:, 0], 1e-4), -1, 1)
            up = np.where(
                kind[rounded] == Kind.BLOB, self.local[1, rounded] / np.maximum(half[:, 1], 1e-4), 0
            )
            up = np.clip(up, -1, 1)
            normal[0, rounded], normal[1, rounded] = across, up
            normal[2, rounded] = np.sqrt(np.maximum(1 - across * across - up * up, 0.02))
        return normal

    @cached_property
    def normal(self) -> Array:
        """Surface normals in the world, towards the viewer, float32 ``[3, n]``."""
        frames = self.axes.reshape(-1, 9)
        local = self.local_normal
        out = np.empty_like(local)
        for axis in range(3):
            out[axis] = local[0] * frames[self.row, 3 * axis]
            out[axis] += local[1] * frames[self.row, 3 * axis + 1]
            out[axis] += local[2] * frames[self.row, 3 * axis + 2]
        away = (out * self.ray).sum(0) > 0
        out[:, away] *= -1
        return out

    @cached_property
    def facing(self) -> Array:
        """Cosine between the ray and the normal, float32 ``[n]``, at least 0.04."""
        length = np.sqrt((self.ray * self.ray).sum(0))
        cosine: Array = np.maximum(np.abs((self.ray * self.normal).sum(0)) / length, np.float32(0.04))
        return cosine

    def color(self) -> Array:
        """Main colors, float32 ``[3, n]``; a new array."""
        return self.table.color.T[:, self.row]

    def accent(self) -> Array:
        """Second colors, float32 ``[3, n]``; a new array."""
        return self.table.accent.T[:, self.row]

    def half(self, axis: int) -> Array:
        """Half extents along an axis, float32 ``[n]``."""
        values: Array = self.table.half[self.row, axis]
        return values

    def param(self, number: int) -> Array:
        """A parameter of the material, float32 ``[n]``."""
        values: Array = self.table.params[self.row, number]
        return values

    def only(self, chosen: Array) -> "Batch":
        """The samples at some positions."""
        return Batch(
            self.table,
            self.axes,
            self.row[chosen],
            self.face[chosen],
            self.hit[:, chosen],
            self.ray[:, chosen],
            self.foot[chosen],
            self.light,
        )


def mix(below: Array, above: Value, share: Value) -> Array:
    """``above`` over ``below``, both ``[3, n]`` (or broadcastable), by a share ``[n]``."""
    mixed: Array = below + (above - below) * share
    return mixed


def ramp(distance: Value, width: Array) -> Array:
    """How much of a footprint lies inside an edge: 0..1 for a signed distance, positive inside."""
    inside: Array = np.clip(distance / np.maximum(width, 1e-4) + 0.5, 0, 1)
    return inside


def luminance(rgb: Array) -> Array:
    """Brightness of ``[3, n]``."""
    out: Array = 0.25 * rgb[0] + 0.6 * rgb[1] + 0.15 * rgb[2]
    return out


def environment(light: Light, ray: Array, normal: Array) -> Array:
    """What a mirror would show: sky above, a dark street below, float32 ``[3, n]``."""
    length = np.sqrt((ray * ray).sum(0))
    up = (ray[1] - 2 * (ray * normal).sum(0) * normal[1]) / length
    rise = np.clip(up * 2.5, 0, 1)
    sky = light.horizon[:, None] + (light.zenith - light.horizon)[:, None] * rise
    sky = sky + (light.cloud_color[:, None] - sky) * np.float32(0.6 * light.clouds)
    street = light.ambient[:, None] * np.float32(0.12)
    # Facades across the street hide the lowest part of the sky.
    return mix(street, sky, np.clip((up - 0.12) * 5, 0, 1))
