"""Shadows: a depth picture seen from the sun, and the shade right beneath things."""

from dataclasses import dataclass

import numpy as np

from roadseg.data.synth.camera import Array, Camera, Grid
from roadseg.data.synth.parts import PartTable
from roadseg.data.synth.raster import Layer, rasterize

__all__ = ["ShadowMap", "Spot", "cast_shadows", "contact_shade"]

Spot = tuple[float, float, float, float, float]  # a footprint: x, z, yaw, half width, half length
SUN_DISTANCE = 900.0  # meters; far enough for nearly parallel rays, near enough for 32-bit depth
REACH = 34.0  # meters around the middle of the lit area
SIDE = 640  # samples


@dataclass(frozen=True, eq=False)
class ShadowMap:
    """Depth from the sun."""

    camera: Camera
    inverse: Array

    def visible(self, hit: Array, normal: Array, toward: Array) -> Array:
        """Share of the sun that reaches points ``[3, n]`` with normals, float32 ``[n]``; outside of the map all of it."""
        # Start a little off the surface, along its normal and towards the sun, so that it does not shade itself.
        start = hit + normal * np.float32(0.06) + toward[:, None] * np.float32(0.12)
        view = self.camera.axes.T @ (start - self.camera.position[:, None])
        scale = self.camera.focal / view[2]
        x = self.camera.center[0] + view[0] * scale
        y = self.camera.center[1] - view[1] * scale
        inside = (x > 1) & (x < SIDE - 2) & (y > 1) & (y < SIDE - 2)
        x, y = np.clip(x, 1, SIDE - 2), np.clip(y, 1, SIDE - 2)
        ix, iy = x.astype(np.int32), y.astype(np.int32)
        fx, fy = x - ix, y - iy
        own = 1 / view[2]
        flat, cell = self.inverse.ravel(), iy * SIDE + ix
        lit = np.zeros_like(x)
        for dy, wy in ((0, 1 - fy), (1, fy)):
            for dx, wx in ((0, 1 - fx), (1, fx)):
                lit += (flat[cell + dy * SIDE + dx] <= own) * wx * wy
        return np.where(inside, lit, 1).astype(np.float32)


def cast_shadows(table: PartTable, rows: Array, sun: Array, eye: Camera) -> ShadowMap:
    """Look at the scene from the sun.

    Args:
        table: All parts, in the world.
        rows: Those that cast shadows.
        sun: Unit vector to the sun.
        eye: The camera; the map covers what lies before it.
    """
    flat = np.array([1, 0, 1], np.float32)
    target = (eye.position + eye.axes[:, 2] * np.float32(REACH * 0.82)) * flat
    position = target + sun * np.float32(SUN_DISTANCE)
    forward = -sun
    right = np.cross(np.array([0, 1, 0], np.float32), forward)
    right /= max(float(np.linalg.norm(right)), 1e-6)
    axes = np.stack([right, np.cross(forward, right), forward], axis=1).astype(np.float32)
    camera = Camera(
        position.astype(np.float32),
        axes,
        SIDE * SUN_DISTANCE / (2 * REACH),
        (SIDE, SIDE),
        ((SIDE - 1) / 2, (SIDE - 1) / 2),
    )
    layer = Layer.empty(Grid(camera.size))
    rasterize(table, camera, layer, rows)
    return ShadowMap(camera, layer.inverse)


def contact_shade(hit: Array, spots: list[Spot]) -> Array:
    """How dark the ground is beneath and close to things: a factor ``[n]``.

    Args:
        hit: Points of the ground ``[3, n]``.
        spots: Footprints of things.
    """
    shade = np.ones(hit.shape[1], np.float32)
    low, high = hit.min(axis=1), hit.max(axis=1)
    for x, z, yaw, half_width, half_length in spots:
        reach = max(half_width, half_length) * 1.2 + 0.6
        if not (low[0] - reach < x < high[0] + reach and low[2] - reach < z < high[2] + reach):
            continue
        near = np.flatnonzero((np.abs(hit[0] - x) < reach) & (np.abs(hit[2] - z) < reach))
        if not len(near):
            continue
        dx, dz = hit[0, near] - np.float32(x), hit[2, near] - np.float32(z)
        c, s = np.float32(np.cos(yaw)), np.float32(np.sin(yaw))
        across, along = np.abs(dx * c - dz * s) - half_width, np.abs(dx * s + dz * c) - half_length
        inside = np.minimum(np.maximum(across, along), 0)
        outside = np.hypot(np.maximum(across, 0), np.maximum(along, 0))
        size = np.float32(min(0.55, half_width))
        dark = np.clip(0.62 - (outside + inside * 0.6) / size * 0.62, 0, 0.82)
        shade[near] *= 1 - dark
    return shade
