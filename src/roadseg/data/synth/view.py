"""What the camera sees at one time, before any color: surfaces, depths, labels, instances."""

from dataclasses import dataclass

import numpy as np

from roadseg.data.synth.camera import Array, Camera, Grid
from roadseg.data.synth.ground import draw_ground, zone_labels
from roadseg.data.synth.parts import PartTable
from roadseg.data.synth.raster import NOTHING, Layer, rasterize
from roadseg.data.synth.scene import FIRST_PART, GROUND, HOOD, SKY, SKYLINE, Scene
from roadseg.data.synth.sky import skyline_height
from roadseg.labels import space

__all__ = ["LINES", "View", "hood_depth", "identify", "observe"]

LINES = 2  # of samples per row of pixels
HORIZON_DISTANCE = 2000.0  # meters at which skyline and sky are taken to stand


@dataclass(frozen=True, eq=False)
class View:
    """What the camera sees at one time, before any color.

    Attributes:
        camera: The camera.
        table: All parts, in the world.
        solid: Visible opaque surfaces, at the middles and corners of pixels.
        veils: Visible veils before them.
    """

    camera: Camera
    table: PartTable
    solid: Layer
    veils: Layer

    def labeled(self) -> Layer:
        """The surface that owns each pixel, on the pixel grid."""
        veiled = self.veils.part[::LINES] != NOTHING
        inverse, part, face = (
            np.where(veiled, getattr(self.veils, name)[::LINES], getattr(self.solid, name)[::LINES])
            for name in ("inverse", "part", "face")
        )
        return Layer(Grid(self.camera.size), inverse, part, face)


def observe(scene: Scene, time: float, size: tuple[int, int]) -> View:
    """Find what is visible at a time in seconds, for a picture of ``size`` (H, W)."""
    camera = scene.camera(time, size)
    table = scene.parts(time)
    grid = Grid(size, LINES)
    solid, veils = Layer.empty(grid), Layer.empty(grid)
    if scene.hood is not None:
        _draw_hood(solid, scene.hood[1])
    rows = np.arange(FIRST_PART, len(table))
    veil = table.alpha[rows] < 1
    rasterize(table, camera, solid, rows[~veil])
    draw_ground(scene.street, camera, solid, GROUND)
    _draw_horizon(scene, camera, solid)
    rasterize(table, camera, veils, rows[veil], occluders=solid)
    return View(camera, table, solid, veils)


def hood_depth(size: tuple[int, int], x: Array, y: Array, reach: float) -> tuple[Array, Array]:
    """Across the picture, -1..1, and into the own car's hood, 0 at its edge and 1 at the bottom of the picture."""
    u = x * (2 / size[1]) - 1
    edge = 1 - reach * (1 - 0.35 * u * u)
    return u, ((y + 0.5) / size[0] - edge) / np.float32(reach)


def _draw_hood(layer: Layer, reach: float) -> None:
    index = np.arange(layer.part.size)
    _, depth = hood_depth(layer.grid.size, *layer.grid.places(index), reach)
    inside = index[depth > 0]
    layer.inverse.ravel()[inside] = 1.6
    layer.part.ravel()[inside] = HOOD


def _draw_horizon(scene: Scene, camera: Camera, layer: Layer) -> None:
    index = np.flatnonzero(layer.part == NOTHING)
    rays = layer.grid.rays(camera, index)
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
