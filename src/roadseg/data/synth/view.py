"""What the camera sees at one time, before any color: surfaces, depths, labels, instances."""

from dataclasses import dataclass

import numpy as np

from roadseg.data.synth.camera import Array, Camera
from roadseg.data.synth.ground import draw_ground, zone_labels
from roadseg.data.synth.parts import PartTable
from roadseg.data.synth.raster import NOTHING, Layer, rasterize
from roadseg.data.synth.scene import FIRST_PART, GROUND, HOOD, SKY, SKYLINE, Scene
from roadseg.data.synth.sky import skyline_height
from roadseg.labels import space

__all__ = ["FINE", "View", "hood_edge", "identify", "observe", "rays_of"]

FINE = 2  # samples per pixel and axis
HORIZON_DISTANCE = 2000.0  # meters at which skyline and sky are taken to stand


@dataclass(frozen=True, eq=False)
class View:
    """What the camera sees at one time, before any color.

    Attributes:
        camera: The view on the pixel grid.
        fine: The view on the sample grid.
        table: All parts, in the world.
        solid: Visible opaque surfaces, on the sample grid.
        veils: Visible veils before them.
    """

    camera: Camera
    fine: Camera
    table: PartTable
    solid: Layer
    veils: Layer

    def labeled(self) -> Layer:
        """The surface that owns each pixel, on the pixel grid."""
        veiled = self.veils.part[::FINE, ::FINE] != NOTHING
        pick = [
            np.where(
                veiled, getattr(self.veils, name)[::FINE, ::FINE], getattr(self.solid, name)[::FINE, ::FINE]
            )
            for name in ("inverse", "part", "face")
        ]
        return Layer(*pick)


def observe(scene: Scene, time: float, size: tuple[int, int]) -> View:
    """Find what is visible at a time in seconds, for a picture of ``size`` (H, W)."""
    camera = scene.camera(time, size)
    fine = camera.supersampled(FINE)
    table = scene.parts(time)
    solid, veils = Layer.empty(fine.size), Layer.empty(fine.size)
    if scene.hood is not None:
        _draw_hood(solid, scene.hood[1])
    rows = np.arange(FIRST_PART, len(table))
    veil = table.alpha[rows] < 1
    rasterize(table, fine, solid, rows[~veil])
    draw_ground(scene.street, fine, solid, GROUND)
    _draw_horizon(scene, fine, solid)
    rasterize(table, fine, veils, rows[veil], occluders=solid)
    return View(camera, fine, table, solid, veils)


def hood_edge(size: tuple[int, int], reach: float) -> tuple[Array, Array]:
    """Across -1..1 for every column, and the hood's depth into the picture 0..1 for every sample."""
    height, width = size
    u = np.linspace(-1, 1, width, dtype=np.float32)
    edge = 1 - reach * (1 - 0.35 * u * u)
    v = (np.arange(height, dtype=np.float32) / height)[:, None]
    return u, (v - edge[None, :]) / np.float32(reach)


def _draw_hood(layer: Layer, reach: float) -> None:
    _, depth = hood_edge(layer.part.shape, reach)
    inside = depth > 0
    layer.inverse[inside] = 1.6
    layer.part[inside] = HOOD


def rays_of(camera: Camera, index: Array) -> Array:
    """Rays of unit depth through pixels given by their flat index, float32 ``[3, n]``."""
    basis = camera.ray_basis()
    y, x = np.divmod(index, camera.size[1])
    rays: Array = basis[1][:, None] * x.astype(np.float32)
    rays += basis[2][:, None] * y.astype(np.float32)
    rays += basis[0][:, None]
    return rays


def _draw_horizon(scene: Scene, camera: Camera, layer: Layer) -> None:
    index = np.flatnonzero(layer.part == NOTHING)
    rays = rays_of(camera, index)
    slope = rays[1] / np.hypot(rays[0], rays[2])
    low = slope < 0.16  # the skyline never stands higher
    part = np.full(len(index), SKY, np.int32)
    line = scene.skyline
    part[low] = np.where(
        slope[low] < skyline_height(rays[:, low], line.seed, line.height, line.blocky), SKYLINE, SKY
    )
    layer.part.ravel()[index] = part
    layer.inverse.ravel()[index] = 1 / HORIZON_DISTANCE


def identify(scene: Scene, view: View) -> tuple[Array, Array, Layer]:
    """Labels and instances of every pixel."""
    layer = view.labeled()
    table = view.table
    labels = table.label[layer.part]
    ids = {item.name: item.id for item in space("cityscapes").classes}
    ground = layer.part == GROUND
    labels[ground] = zone_labels(ids)[layer.face[ground]]
    owner = table.owner[layer.part]
    instances = labels.astype(np.uint16)
    if len(scene.instances):
        counted = owner >= 0
        instances[counted] = scene.instances[owner[counted]].astype(np.uint16)
    return labels, instances, layer
