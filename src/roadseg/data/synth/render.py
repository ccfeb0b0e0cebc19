"""Pictures of a scene, with labels, instances and optical flow that are exact by construction."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from roadseg.data.synth.camera import Array, Camera
from roadseg.data.synth.coachwork import paint_hood
from roadseg.data.synth.ground import draw_ground, paint_ground, zone_labels
from roadseg.data.synth.materials import PAINTERS
from roadseg.data.synth.parts import Kind, Material, PartTable
from roadseg.data.synth.raster import NOTHING, Layer, rasterize, world_axes
from roadseg.data.synth.scene import FIRST_PART, GROUND, HOOD, SKY, SKYLINE, Scene
from roadseg.data.synth.shading import Batch, Coat, environment
from roadseg.data.synth.shadows import ShadowMap, cast_shadows, contact_shade
from roadseg.data.synth.sky import paint_sky, skyline_height
from roadseg.data.synth.weather import expose, through_air
from roadseg.labels import space

__all__ = ["Frame", "View", "observe", "render", "render_sequence"]

FINE = 2  # samples per pixel and axis
HORIZON_DISTANCE = 2000.0  # meters at which skyline and sky are taken to stand
AIR_BEFORE_SKYLINE = 450.0  # meters of air before the skyline
BRIGHTEST = 4.0  # radiance of a sample; keeps glints from spoiling the average of a pixel


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


@dataclass(frozen=True, eq=False)
class Frame:
    """One rendered picture.

    Attributes:
        image: uint8 ``[H, W, 3]``, RGB.
        labels: uint8 ``[H, W]``, stored Cityscapes ids.
        instances: uint16 ``[H, W]``, class id * 1000 + number for classes with instances, else the class id.
        flow: float32 ``[H, W, 2]``, pixels (x, y) to the same surface point in the next frame; zeros when not asked for.
        flow_valid: bool ``[H, W]``, whether that point is in the next picture and not hidden there.
        depth: float32 ``[H, W]``, meters along the optical axis.
    """

    image: Array
    labels: Array
    instances: Array
    flow: Array
    flow_valid: Array
    depth: Array


def observe(scene: Scene, time: float, size: tuple[int, int]) -> View:
    """Finds what is visible at a time in seconds, for a picture of ``size`` (H, W)."""
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


def _hood_edge(size: tuple[int, int], reach: float) -> tuple[Array, Array]:
    """Across -1..1 for every column, and the hood's depth into the picture 0..1 for every sample."""
    height, width = size
    u = np.linspace(-1, 1, width, dtype=np.float32)
    edge = 1 - reach * (1 - 0.35 * u * u)
    v = (np.arange(height, dtype=np.float32) / height)[:, None]
    return u, (v - edge[None, :]) / np.float32(reach)


def _draw_hood(layer: Layer, reach: float) -> None:
    _, depth = _hood_edge(layer.part.shape, reach)
    inside = depth > 0
    layer.inverse[inside] = 1.6
    layer.part[inside] = HOOD


def _rays(camera: Camera, index: Array) -> Array:
    basis = camera.ray_basis()
    y, x = np.divmod(index, camera.size[1])
    return (
        basis[0][:, None]
        + basis[1][:, None] * x.astype(np.float32)
        + basis[2][:, None] * y.astype(np.float32)
    )


def _draw_horizon(scene: Scene, camera: Camera, layer: Layer) -> None:
    index = np.flatnonzero(layer.part == NOTHING)
    rays = _rays(camera, index)
    slope = rays[1] / np.hypot(rays[0], rays[2])
    low = slope < 0.16  # the skyline never stands higher
    part = np.full(len(index), SKY, np.int32)
    line = scene.skyline
    part[low] = np.where(
        slope[low] < skyline_height(rays[:, low], line.seed, line.height, line.blocky), SKYLINE, SKY
    )
    layer.part.ravel()[index] = part
    layer.inverse.ravel()[index] = 1 / HORIZON_DISTANCE


def _identify(scene: Scene, view: View) -> tuple[Array, Array, Layer]:
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


def render(scene: Scene, time: float, size: tuple[int, int] = (360, 480), step: float | None = None) -> Frame:
    """Renders one picture.

    Args:
        scene: What to show.
        time: Seconds.
        size: ``(H, W)`` in pixels.
        step: Seconds to the next frame; None leaves out the flow.
    """
    return _develop(
        scene, time, observe(scene, time, size), None if step is None else observe(scene, time + step, size)
    )


def render_sequence(
    scene: Scene, frames: int, interval: float, size: tuple[int, int] = (360, 480)
) -> Iterator[Frame]:
    """Renders frames in a row; all but the last carry the flow to the next one.

    Args:
        scene: What to show.
        frames: Number of frames.
        interval: Seconds between them.
        size: ``(H, W)`` in pixels.
    """
    view = observe(scene, 0.0, size)
    for number in range(frames):
        later = observe(scene, (number + 1) * interval, size) if number + 1 < frames else None
        yield _develop(scene, number * interval, view, later)
        view = later or view


def _develop(scene: Scene, time: float, view: View, later: View | None) -> Frame:
    labels, instances, layer = _identify(scene, view)
    radiance = _radiance(scene, time, view)
    rng = np.random.default_rng([scene.seed, 77, round(time * 1000)])
    image = expose(radiance, scene.light, scene.rig, rng)
    size = view.camera.size
    flow, valid = np.zeros((*size, 2), np.float32), np.zeros(size, bool)
    if later is not None:
        flow, valid = _flow(view, later, layer)
    return Frame(image, labels, instances, flow, valid, 1 / layer.inverse)


def _edges(view: View) -> Array:
    """Pixels ``[H, W]`` at whose corners another surface is seen than in their middle."""
    key = (view.solid.part * 16 + view.solid.face) + (view.veils.part + 1) * 65536
    padded = np.pad(key, ((1, 0), (1, 0)), mode="edge")
    height, width = view.camera.size
    center = padded[1::2, 1::2]
    out = np.zeros((height, width), bool)
    for dy in (0, 2):
        for dx in (0, 2):
            out |= padded[dy : dy + 2 * height - 1 : 2, dx : dx + 2 * width - 1 : 2] != center
    return out


def _radiance(scene: Scene, time: float, view: View) -> Array:
    """Linear light of every pixel, float32 ``[H, W, 3]``: one sample inside of surfaces, five where surfaces meet."""
    height, width = view.camera.size
    columns = width * FINE
    pixel_y, pixel_x = np.divmod(np.arange(height * width), width)
    centers = pixel_y * FINE * columns + pixel_x * FINE
    edge = np.flatnonzero(_edges(view))
    wanted = np.zeros(height * FINE * columns, bool)
    wanted[centers] = True
    corners = []
    for dy in (-1, 1):
        for dx in (-1, 1):
            y = np.maximum(pixel_y[edge] * FINE + dy, 0)
            x = np.maximum(pixel_x[edge] * FINE + dx, 0)
            corners.append(y * columns + x)
            wanted[corners[-1]] = True
    index = np.flatnonzero(wanted)
    color = np.empty((3, wanted.size), np.float32)
    color[:, index] = np.minimum(_shade(scene, time, view, index), BRIGHTEST)
    out = color[:, centers]
    for cells in corners:  # neighbors share corners, so this costs about one more sample per pixel at an edge
        out[:, edge] += color[:, cells] * np.float32(0.25)
    out[:, edge] *= np.float32(0.5)
    return np.ascontiguousarray(out.T).reshape(height, width, 3)


def _shade(scene: Scene, time: float, view: View, index: Array) -> Array:
    """Radiance of some samples, veils over what lies behind them, float32 ``[3, n]``."""
    axes = world_axes(view.table, view.fine)
    shadows = None
    if float(scene.light.sun_color.max()) > 0.2:
        table = view.table
        thin = (table.kind == Kind.CAPSULE) & (
            table.half[:, :2].max(axis=1) < 0.03
        )  # finer than the shadow map
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
        index, part, material = index[order], part[order], material[order]
        rays = _rays(self.view.fine, index)
        depth = 1 / layer.inverse.ravel()[index]
        hit = self.view.fine.position[:, None] + rays * depth
        foot = depth * np.float32(FINE / self.view.fine.focal)
        face = layer.face.ravel()[index]
        light = self.scene.light
        radiance = np.empty((3, len(index)), np.float32)
        starts = np.flatnonzero(np.diff(material, prepend=255))
        for start, stop in zip(starts, [*starts[1:], len(index)], strict=True):
            run = slice(int(start), int(stop))
            batch = Batch(
                self.view.table, self.axes, part[run], face[run], hit[:, run], rays[:, run], foot[run], light
            )
            radiance[:, run] = self._batch(Material(int(material[start])), batch, index[run])
        far = part == SKYLINE
        length = np.sqrt((rays * rays).sum(0))
        distance = np.where(far, np.float32(AIR_BEFORE_SKYLINE), depth * length)
        distance[part == SKY] = 0
        radiance = through_air(radiance, distance, light)
        out = np.empty_like(radiance)
        out[:, order] = radiance
        return out

    def _batch(self, material: Material, batch: Batch, index: Array) -> Array:
        light = self.scene.light
        if material == Material.SKY:
            return paint_sky(batch.ray, light)
        if material == Material.SKYLINE:
            return self.scene_skyline(batch)
        shade: Array | None = None
        if material == Material.GROUND:
            coat = paint_ground(batch, self.scene.street, self.scene.look)
            shade = contact_shade(batch.hit, self._footprints())
        elif material == Material.HOOD and self.scene.hood is not None:
            color, reach = self.scene.hood
            u, v = _hood_edge(self.view.fine.size, reach)
            y, x = np.divmod(index, self.view.fine.size[1])
            coat = paint_hood(batch.ray, u[x], v[y, x], np.array(color, np.float32))
        else:
            coat = PAINTERS[material](batch)
        return self._lit(material, batch, coat, shade)

    def scene_skyline(self, batch: Batch) -> Array:
        """The far horizon in flat light."""
        light = self.scene.light
        falling = light.ambient + 0.4 * light.sun_color
        return batch.color() * falling[:, None]

    def _footprints(self) -> list[tuple[float, float, float, float, float]]:
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
        radiance = coat.albedo * falling
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
        return night * (warm + np.array([[1.0], [0.95], [0.85]], np.float32) * (0.9 * beam))


def _flow(view: View, later: View, layer: Layer) -> tuple[Array, Array]:
    """Where the surface point of every pixel is in the next picture, and whether it can be seen there."""
    camera, after = view.camera, later.camera
    height, width = camera.size
    rays = _rays(camera, np.arange(height * width))
    part = layer.part.ravel()
    hit = camera.position[:, None] + rays / layer.inverse.ravel()
    before_axes, after_axes = world_axes(view.table, camera), world_axes(later.table, after)
    # Still parts have frames of their own that may turn towards the camera; the point moves with the frame.
    turn = after_axes @ before_axes.transpose(0, 2, 1)
    shift = later.table.center - np.einsum("nij,nj->ni", turn, view.table.center)
    frames = turn.reshape(-1, 9)
    moved = np.empty_like(hit)
    for axis in range(3):
        moved[axis] = shift[part, axis]
        for source in range(3):
            moved[axis] += frames[part, 3 * axis + source] * hit[source]
    seen = after.axes.T @ (moved - after.position[:, None])
    depth = np.maximum(seen[2], 1e-3)
    x = after.center[0] + after.focal * seen[0] / depth
    y = after.center[1] - after.focal * seen[1] / depth
    index = np.arange(height * width)
    flow = np.stack([x - index % width, y - index // width], axis=-1).astype(np.float32)
    flow[part == HOOD] = 0
    target = later.labeled()
    column, row = np.round(x), np.round(y)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height) & (seen[2] > 0.05)
    column, row = np.where(inside, column, 0).astype(np.intp), np.where(inside, row, 0).astype(np.intp)
    same = target.part[row, column] == part
    reached = 1 / target.inverse[row, column]
    valid = inside & same & (np.abs(reached - depth) < 0.02 * depth + 0.25)
    valid[part == HOOD] = True
    return flow.reshape(height, width, 2), valid.reshape(height, width)
