"""The color of what is seen: materials, light, shadow, air."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from roadseg.data.synth.camera import Array
from roadseg.data.synth.coachwork import paint_hood
from roadseg.data.synth.ground import paint_ground
from roadseg.data.synth.materials import PAINTERS
from roadseg.data.synth.parts import Kind, Material
from roadseg.data.synth.raster import NOTHING, Layer, world_axes
from roadseg.data.synth.scene import FIRST_PART, Scene
from roadseg.data.synth.shading import Batch, Coat, environment
from roadseg.data.synth.shadows import ShadowMap, Spot, cast_shadows, contact_shade
from roadseg.data.synth.sky import paint_sky
from roadseg.data.synth.view import View, hood_depth
from roadseg.data.synth.weather import through_air

__all__ = ["radiance_of"]

AIR_BEFORE_SKYLINE = 450.0  # meters of air before the skyline
RUN = 16384  # samples painted at once
BRIGHTEST = 4.0  # radiance of a sample; keeps glints from spoiling the average of a pixel


def radiance_of(scene: Scene, time: float, view: View) -> Array:
    """Linear light of every pixel, float32 ``[H, W, 3]``: its middle, and its corners where they show something else."""
    height, width = view.camera.size
    key = (view.solid.part * 16 + view.solid.face) + (view.veils.part + 1) * 65536
    sample = np.arange(2 * height * width, dtype=np.int32).reshape(2 * height, width)
    middle, corner = sample[::2], np.pad(sample[1::2], ((1, 0), (1, 0)), mode="edge")
    middle_key, corner_key = key[::2], np.pad(key[1::2], ((1, 0), (1, 0)), mode="edge")
    places = [(slice(dy, dy + height), slice(dx, dx + width)) for dy in (0, 1) for dx in (0, 1)]
    mixed = np.zeros((height, width), bool)
    for place in places:
        mixed |= corner_key[place] != middle_key
    edge = np.flatnonzero(mixed)
    wanted = np.zeros(sample.size, bool)
    for place in places:
        wanted[corner[place].ravel()[edge]] = True
    corners = np.flatnonzero(wanted)
    position = np.zeros(sample.size, np.int32)
    position[corners] = np.arange(height * width, height * width + len(corners))
    color = _shade(scene, time, view, np.concatenate([middle.ravel(), corners]))
    np.minimum(color, BRIGHTEST, out=color)
    out = color[:, : height * width]
    blend = out[:, edge] * np.float32(0.5)
    for place in places:  # neighbors share corners, so this costs about one more sample per pixel at an edge
        blend += color[:, position[corner[place].ravel()[edge]]] * np.float32(0.125)
    out[:, edge] = blend
    return np.ascontiguousarray(out.T).reshape(height, width, 3)


def _shade(scene: Scene, time: float, view: View, index: Array) -> Array:
    """Radiance of some samples, veils over what lies behind them, float32 ``[3, n]``."""
    axes = world_axes(view.table, view.camera)
    shadows = None
    if float(scene.light.sun_color.max()) > 0.2:
        table = view.table
        # What is finer than the shadow map casts none.
        thin = (table.kind == Kind.CAPSULE) & (table.half[:, :2].max(axis=1) < 0.03)
        rows = np.flatnonzero((table.alpha >= 1) & ~thin)
        shadows = cast_shadows(table, rows[rows >= FIRST_PART], scene.light.sun, view.camera)
    painter = _Painter(scene, time, view, axes, shadows)
    out = painter.paint(view.solid, index)
    veiled = np.flatnonzero(view.veils.part.ravel()[index] != NOTHING)
    if len(veiled):
        over = painter.paint(view.veils, index[veiled])
        alpha = view.table.alpha[view.veils.part.ravel()[index[veiled]]]
        out[:, veiled] += (over - out[:, veiled]) * alpha
    return out


def _runs(sorted_materials: Array) -> Iterator[tuple[int, int]]:
    """Stretches of one material, short enough for the processor's cache."""
    starts = np.flatnonzero(np.diff(sorted_materials, prepend=255)).tolist()
    for start, stop in zip(starts, [*starts[1:], len(sorted_materials)], strict=True):
        for low in range(start, stop, RUN):
            yield low, min(low + RUN, stop)


@dataclass(frozen=True, eq=False)
class _Painter:
    scene: Scene
    time: float
    view: View
    axes: Array
    shadows: ShadowMap | None

    def paint(self, layer: Layer, index: Array) -> Array:
        """Radiance of the samples of a layer."""
        part = layer.part.ravel()[index]
        material = self.view.table.material[part]
        order = np.argsort(material, kind="stable")
        spots = self._footprints()
        camera = self.view.camera
        out = np.empty((3, len(index)), np.float32)
        for start, stop in _runs(material[order]):
            chosen = order[start:stop]
            cells = index[chosen]
            rays = layer.grid.rays(camera, cells)
            depth = 1 / layer.inverse.ravel()[cells]
            batch = Batch(
                self.view.table,
                self.axes,
                part[chosen],
                layer.face.ravel()[cells],
                camera.position[:, None] + rays * depth,
                rays,
                depth * np.float32(1 / camera.focal),
                self.scene.light,
            )
            out[:, chosen] = self._batch(Material(int(material[chosen[0]])), batch, cells, spots)
        return out

    def _batch(self, material: Material, batch: Batch, index: Array, spots: list[Spot]) -> Array:
        """Radiance of the samples of one material, after the air between."""
        light = self.scene.light
        if material == Material.SKY:
            return paint_sky(batch.ray, light)
        if material == Material.SKYLINE:
            far = batch.color() * (light.ambient + 0.4 * light.sun_color)[:, None]
            return through_air(far, np.full(len(batch), AIR_BEFORE_SKYLINE, np.float32), light)
        shade: Array | None = None
        if material == Material.GROUND:
            coat = paint_ground(batch, self.scene.street, self.scene.look)
            shade = contact_shade(batch.hit, spots)
        elif material == Material.HOOD and self.scene.hood is not None:
            color, reach = self.scene.hood
            u, v = hood_depth(self.view.camera.size, *self.view.solid.grid.places(index), reach)
            coat = paint_hood(u, v, np.array(color, np.float32))
        else:
            coat = PAINTERS[material](batch)
        way = batch.hit - self.view.camera.position[:, None]
        return through_air(self._lit(material, batch, coat, shade), np.sqrt((way * way).sum(0)), light)

    def _footprints(self) -> list[Spot]:
        spots = []
        eye = self.view.camera.position
        for entity in self.scene.population.entities:
            if entity.footprint is None:
                continue
            pose = entity.pose(self.time)
            if abs(pose.x - eye[0]) + abs(pose.z - eye[2]) < 60:
                spots.append((pose.x, pose.z, pose.yaw, *entity.footprint))
        return spots

    def _lit(self, material: Material, batch: Batch, coat: Coat, shade: Array | None) -> Array:
        light, normal = self.scene.light, batch.normal
        open_sky = 0.62 + 0.38 * normal[1]
        if shade is not None:
            open_sky = open_sky * shade
        falling = light.ambient[:, None] * open_sky
        if self.shadows is not None:
            cosine = (normal * light.sun[:, None]).sum(0)
            if material in (Material.FOLIAGE, Material.CLOTH):
                cosine = cosine * 0.65 + 0.35  # light bleeds around leaves and folds
            direct = np.maximum(cosine, 0) * self.shadows.visible(batch.hit, normal, light.sun)
            if shade is not None:
                direct *= 0.35 + 0.65 * shade
            falling = falling + light.sun_color[:, None] * direct
            # Light that the sunlit ground throws back.
            falling = falling + (light.sun_color * 0.07 * light.sun[1])[:, None] * np.clip(
                1.1 - normal[1], 0, 1
            )
        if light.night > 0:
            falling = falling + self._lamps(batch, normal)
        radiance: Array = coat.albedo * falling
        if coat.mirror is not None:
            radiance += (environment(light, batch.ray, normal) - radiance) * coat.mirror
        if coat.emission is not None:
            radiance += coat.emission
        return radiance

    def _lamps(self, batch: Batch, normal: Array) -> Array:
        """Street lamps and the own headlights, at night."""
        night = np.float32(self.scene.light.night)
        table = self.view.table
        rows = np.flatnonzero(table.material == Material.LAMP)
        eye = self.view.camera
        ahead = (table.center[rows] - eye.position) @ eye.axes[:, 2]
        rows = rows[np.argsort(np.abs(ahead - 12), kind="stable")[:8]]
        glow = np.zeros(len(batch), np.float32)
        for row in rows:
            way = table.center[row][:, None] - batch.hit
            square = (way * way).sum(0)
            cosine = np.maximum((way * normal).sum(0) / np.sqrt(square), 0.05)
            glow += 14 * cosine / (square + 12)
        view = eye.axes.T @ (batch.hit - eye.position[:, None])
        z = np.maximum(view[2], 0.5)
        beam = (
            np.exp(-((view[0] / (1.6 + 0.24 * z)) ** 2))
            * np.exp(-z / 22)
            * np.clip(1.2 - (view[1] + 0.6) / (0.06 * z + 0.5), 0, 1)
        )
        warm = np.array([[1.0], [0.72], [0.4]], np.float32) * glow
        lit: Array = night * (warm + np.array([[1.0], [0.95], [0.85]], np.float32) * (0.9 * beam))
        return lit
