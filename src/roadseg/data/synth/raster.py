"""Visibility: which part every sample of the picture shows, and at what depth.

Buffers hold *inverse* depth, which is affine over the picture for any plane: a convex solid costs two array operations
per face, and the nearest surface is the largest value.
"""

from dataclasses import dataclass

import numpy as np

from roadseg.data.synth.camera import NEAR, Array, Camera, Grid
from roadseg.data.synth.noise import mottle, speckle
from roadseg.data.synth.parts import Kind, PartTable, Shape

__all__ = ["Layer", "rasterize", "world_axes"]

# The edges of a box whose corners are numbered by the bits x=4, y=2, z=1.
_EDGES = np.array(
    [(0, 1), (2, 3), (4, 5), (6, 7), (0, 2), (1, 3), (4, 6), (5, 7), (0, 4), (1, 5), (2, 6), (3, 7)], np.intp
)
_CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)
NOTHING = -1
# Looked up once: members of an enumeration are slow to reach.
_CONVEX, _CAPSULE, _BLOB = int(Kind.CONVEX), int(Kind.CAPSULE), int(Kind.BLOB)
MIN_RADIUS = 0.5  # pixels; thinner things would break into dots


@dataclass(frozen=True, eq=False)
class Layer:
    """What is seen at the samples of a grid.

    Attributes:
        grid: Where the samples are.
        inverse: float32 ``[h, w]``, one over the depth in meters; 0 where nothing was drawn.
        part: int32 ``[h, w]``, row of the part table or -1.
        face: uint8 ``[h, w]``, plane of a convex solid.
    """

    grid: Grid
    inverse: Array
    part: Array
    face: Array

    @classmethod
    def empty(cls, grid: Grid) -> "Layer":
        """A layer that shows nothing."""
        shape = grid.shape
        return cls(
            grid, np.zeros(shape, np.float32), np.full(shape, NOTHING, np.int32), np.zeros(shape, np.uint8)
        )


@dataclass(frozen=True, eq=False)
class _Window:
    """A rectangle of a layer: samples lie at ``x + shift`` of their line and at ``y`` of their line."""

    inverse: Array
    part: Array
    face: Array
    x: Array
    y: Array
    shift: Array
    focal: float
    row: int

    def affine(self, a: float, bx: float, by: float) -> Array:
        """``a + bx * x + by * y`` at all samples."""
        field: Array = (a + by * self.y + bx * self.shift)[:, None] + bx * self.x
        return field

    def write(self, inverse: Array, mask: Array, face: Array | None = None) -> None:
        np.copyto(self.inverse, inverse, where=mask)
        np.copyto(self.part, self.row, where=mask)
        if face is not None:
            np.copyto(self.face, face, where=mask)


def world_axes(table: PartTable, camera: Camera) -> Array:
    """The frames of all parts: float32 ``[N, 3, 3]``, columns are the frame's axes in the world.

    Imposters turn towards the camera: their second axis runs along the part, their third towards the viewer.
    """
    c, s = np.cos(table.yaw), np.sin(table.yaw)
    axes = np.zeros((len(table), 3, 3), np.float32)
    axes[:, 0, 0], axes[:, 2, 0], axes[:, 1, 1], axes[:, 0, 2], axes[:, 2, 2] = c, -s, 1, s, c
    rows = np.flatnonzero((table.kind == Kind.CAPSULE) | (table.kind == Kind.BLOB))
    if len(rows):
        along = table.tip[rows] - table.center[rows]
        length = np.linalg.norm(along, axis=1, keepdims=True)
        along = np.where(length > 1e-5, along / np.maximum(length, 1e-5), np.array([0, 1, 0], np.float32))
        view = camera.position - (table.center[rows] + table.tip[rows]) / 2
        across = np.cross(along, view)
        across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-6)
        axes[rows, :, 0], axes[rows, :, 1], axes[rows, :, 2] = across, along, np.cross(across, along)
    return axes


def _bounds(table: PartTable, axes: Array, camera: Camera) -> tuple[Array, Array]:
    """Pixel rectangles ``[N, 4]`` (x0, y0, x1, y1, exclusive ends) and the nearest depth ``[N]`` of all parts."""
    corners = (table.half[:, None, :] * _CORNERS) @ axes.transpose(0, 2, 1) + table.tip[:, None, :]
    view = camera.to_view(corners)
    depth = view[..., 2]
    a, b = view[:, _EDGES[:, 0]], view[:, _EDGES[:, 1]]
    gap = b[..., 2] - a[..., 2]
    share = (NEAR - a[..., 2]) / np.where(np.abs(gap) < 1e-9, 1e-9, gap)
    cuts = a + np.clip(share, 0, 1)[..., None] * (b - a)
    points = np.concatenate([view, cuts], axis=1)
    usable = points[..., 2] >= NEAR * 0.999
    points[..., 2] = np.maximum(points[..., 2], NEAR)
    x, y = camera.to_pixels(points)
    pad = 1.5
    height, width = camera.size
    rect = np.empty((len(table), 4), np.int32)
    rect[:, 0] = np.clip(np.floor(np.where(usable, x, np.inf).min(1) - pad), 0, width)
    rect[:, 1] = np.clip(np.floor(np.where(usable, y, np.inf).min(1) - pad), 0, height)
    rect[:, 2] = np.clip(np.ceil(np.where(usable, x, -np.inf).max(1) + pad), 0, width)
    rect[:, 3] = np.clip(np.ceil(np.where(usable, y, -np.inf).max(1) + pad), 0, height)
    near = np.maximum(depth.min(1), NEAR)
    rows = np.flatnonzero((table.kind == Kind.CAPSULE) | (table.kind == Kind.BLOB))
    if len(rows):
        rect[rows], near[rows] = _round_bounds(table, rows, camera)
    return rect, near


def _round_bounds(table: PartTable, rows: Array, camera: Camera) -> tuple[Array, Array]:
    """The same for imposters: a disc about each end; nothing when an end is too near to have a picture."""
    view = camera.to_view(np.stack([table.center[rows], table.tip[rows]], axis=1))
    depth = np.maximum(view[..., 2], NEAR)
    view[..., 2] = depth
    x, y = camera.to_pixels(view)
    capsule = table.kind[rows] == Kind.CAPSULE
    size = table.half[rows]
    rx = np.where(capsule[:, None], size[:, :2], size[:, :1])
    ry = np.where(capsule[:, None], size[:, :2], size[:, 1:2])
    rx, ry = rx * camera.focal / depth + 1.5, ry * camera.focal / depth + 1.5
    height, width = camera.size
    rect = np.stack(
        [
            np.clip(np.floor((x - rx).min(1)), 0, width),
            np.clip(np.floor((y - ry).min(1)), 0, height),
            np.clip(np.ceil((x + rx).max(1)), 0, width),
            np.clip(np.ceil((y + ry).max(1)), 0, height),
        ],
        axis=1,
    ).astype(np.int32)
    rect[depth.min(1) < 2 * NEAR] = 0
    return rect, np.maximum((depth - np.maximum(rx, ry) * depth / camera.focal).min(1), NEAR)


def _plane_forms(table: PartTable, axes: Array, camera: Camera) -> tuple[Array, Array]:
    """Inverse depth of every plane as ``a + x*bx + y*by``: ``[N, K, 3]``, and whether the camera is outside of it."""
    normals = np.einsum("nij,nkj->nki", axes, table.planes[..., :3])
    offset = table.planes[..., 3] - np.einsum("nki,ni->nk", normals, camera.position - table.center)
    offset = np.where(np.abs(offset) < 1e-4, np.float32(1e-4), offset)
    return (normals @ camera.ray_basis().T) / offset[..., None], offset < 0


def _draw_convex(window: _Window, forms: list[list[float]], outside: list[bool]) -> None:
    """A ray enters where the last front plane lets it in and leaves at the first back plane."""
    enter: Array | None = None
    leave: Array | None = None
    face: Array | None = None
    for k, (a, bx, by) in enumerate(forms):
        plane = window.affine(a, bx, by)
        if not outside[k]:
            leave = plane if leave is None else np.maximum(leave, plane, out=leave)
        elif enter is None:
            enter, face = plane, np.full(plane.shape, k, np.uint8)
        elif face is not None:
            np.copyto(face, k, where=plane < enter)
            np.minimum(enter, plane, out=enter)
    if enter is None:
        return  # the camera is inside
    mask = enter > window.inverse
    if leave is not None:
        mask &= enter >= leave
    window.write(enter, mask, face)


def _capsule_field(x: Array, y: Array, ends: Array, radii: Array, focal: float) -> tuple[Array, Array]:
    """Inverse depth of capsules and whether pixels are inside; works for one capsule and for a stack of them.

    Args:
        x: Of the samples, ``[h, w]`` or ``[K, h, w]``.
        y: Of the lines, ``[h, 1]`` or ``[K, h, 1]``.
        ends: Pixel x, y and inverse depth of both ends, ``[2, 3]`` or ``[2, 3, K, 1, 1]``.
        radii: In pixels, ``[2]`` or ``[2, K, 1, 1]``.
        focal: Focal length in pixels.
    """
    (x0, y0, w0), (x1, y1, w1) = ends
    ex, ey = x1 - x0, y1 - y0
    square = np.maximum(ex * ex + ey * ey, 1e-6)
    px, py = x - x0, y - y0
    t = np.minimum(np.maximum(px * (ex / square) + py * (ey / square), 0), 1)
    dx, dy = px - t * ex, py - t * ey
    radius = radii[0] + t * (radii[1] - radii[0])
    share = (dx * dx + dy * dy) / (radius * radius)
    # The round side is nearer than the axis by up to its radius.
    bulge = np.sqrt(np.maximum(1 - share, 0)) * (radius * (1 / focal))
    return (w0 + t * (w1 - w0)) / (1 - np.minimum(bulge, 0.5)), share <= 1


def _draw_blob(window: _Window, middle: list[float], radii: list[float], params: Array) -> None:
    """``middle``: pixel x, y and inverse depth; ``radii``: pixels across and up; params: raggedness, offset, scale."""
    x, y, w = middle
    u = (window.x + (window.shift - x)[:, None]) / radii[0]
    v = ((y - window.y) / radii[1])[:, None]
    share = u * u + v * v
    ragged, offset, scale = float(params[0]), float(params[1]), float(params[2])
    if ragged > 0:
        column, row = u * scale + offset, v * scale + offset * 3
        leaves = speckle(column * 3, row * 3)
        share += ragged * (0.9 * mottle(column, row) + 0.55 * leaves)
        # Gaps in the leaves, through which one sees what is behind.
        share += np.where((leaves > 0.9) & (share > 0.3), np.float32(ragged), 0)
    bulge = np.sqrt(np.maximum(1 - share, 0)) * (radii[0] / window.focal)
    inverse = w / (1 - np.minimum(bulge, 0.5))
    window.write(inverse, (share <= 1) & (inverse > window.inverse))


def _inside_figure(shape: int, u: Array, v: Array, half: Array, params: Array) -> Array:
    hx, hy = half[0], half[1]
    inside: Array
    if shape == Shape.DISC:
        inside = (u / hx) ** 2 + (v / hy) ** 2 <= 1
    elif shape in (Shape.TRIANGLE, Shape.TRIANGLE_DOWN):
        rise = (v / hy + 1) / 2 if shape == Shape.TRIANGLE else (1 - v / hy) / 2
        inside = (rise >= 0) & (np.abs(u) / hx <= 1 - rise)
    elif shape == Shape.OCTAGON:
        au, av = np.abs(u) / hx, np.abs(v) / hy
        inside = (np.maximum(au, av) <= 1) & (au + av <= np.float32(np.sqrt(2)))
    elif shape == Shape.DIAMOND:
        inside = np.abs(u) / hx + np.abs(v) / hy <= 1
    else:
        inside = (np.abs(u) <= hx) & (np.abs(v) <= hy)
        if shape == Shape.RAILING:
            pitch, bar, rail = params[0], params[1], params[2]
            gap = np.abs(np.mod(u, pitch) - pitch / 2) > bar / 2
            inside &= ~(gap & (hy - np.abs(v) > rail))
    return inside


def _draw_panel(window: _Window, index: int, table: PartTable, axes: Array, camera: Camera) -> None:
    basis = camera.ray_basis()
    frame = axes[index]
    start = camera.position - table.center[index]
    offset = -float(frame[:, 2] @ start)
    if abs(offset) < 1e-4:
        return
    a, bx, by = (basis @ frame[:, 2]) / offset
    inverse = window.affine(a, bx, by)
    mask = inverse > np.maximum(window.inverse, 1e-4)
    depth = 1 / np.maximum(inverse, 1e-4)
    coordinates: list[Array] = []
    for axis in (0, 1):
        a, bx, by = basis @ frame[:, axis]
        coordinates.append(window.affine(a, bx, by) * depth + float(frame[:, axis] @ start))
    shape, half, params = int(table.shape[index]), table.half[index], table.params[index]
    window.write(inverse, mask & _inside_figure(shape, coordinates[0], coordinates[1], half, params))


def rasterize(
    table: PartTable, camera: Camera, layer: Layer, rows: Array, occluders: Layer | None = None
) -> None:
    """Draw parts into a layer, the nearest surface winning.

    Args:
        table: All parts, in the world.
        camera: The view; its size is that of the layer's grid.
        layer: Drawn into.
        rows: Rows of the table to draw.
        occluders: A layer already drawn that hides what is behind it.
    """
    rows = _in_view(table, rows, camera)
    subset = table.take(rows)
    axes = world_axes(subset, camera)
    rect, near = _bounds(subset, axes, camera)
    forms, outside = _plane_forms(subset, axes, camera)
    ends, radii = _projected(subset, camera)
    rect[:, 1::2] *= layer.grid.lines
    columns = np.arange(camera.size[1], dtype=np.float32)
    lines, shifts = layer.grid.lines_at(0, layer.grid.shape[0])
    small = _small_capsules(subset, rect, ends, radii, camera.focal, layer.grid)
    pens = _Pens(subset, camera, axes, forms, outside, ends, radii, small)
    shown = np.flatnonzero((rect[:, 2] > rect[:, 0]) & (rect[:, 3] > rect[:, 1]))
    shown = shown[np.argsort(near[shown], kind="stable")]
    limits = (1 / near).tolist()
    numbers = rows.tolist()
    for index in shown.tolist():
        x0, y0, x1, y1 = rect[index].tolist()
        part = (slice(y0, y1), slice(x0, x1))
        inverse = layer.inverse[part]
        if inverse.min() >= limits[index]:
            continue  # all of it is behind what is already there
        place = (columns[x0:x1], lines[y0:y1], shifts[y0:y1])
        window = _Window(inverse, layer.part[part], layer.face[part], *place, camera.focal, numbers[index])
        pens.draw(window, index)
    if occluders is not None:
        hidden = occluders.inverse >= layer.inverse
        layer.inverse[hidden] = 0
        layer.part[hidden] = NOTHING


def _in_view(table: PartTable, rows: Array, camera: Camera) -> Array:
    """The rows whose bounding sphere touches what the camera sees."""
    middle = (table.center[rows] + table.tip[rows]) / 2
    solid = table.kind[rows] != Kind.CAPSULE
    middle[solid] = table.tip[rows][solid]
    radius = np.where(
        solid,
        np.linalg.norm(table.half[rows], axis=1),
        np.linalg.norm(table.tip[rows] - table.center[rows], axis=1) / 2 + table.half[rows].max(axis=1),
    )
    view = camera.to_view(middle)
    height, width = camera.size
    seen = view[:, 2] > -radius
    for axis, extent in ((0, width), (1, height)):
        slope = np.float32((extent / 2 + 2) / camera.focal)
        seen &= np.abs(view[:, axis]) - slope * view[:, 2] < radius * np.sqrt(1 + slope * slope)
    chosen: Array = rows[seen]
    return chosen


def _projected(table: PartTable, camera: Camera) -> tuple[Array, Array]:
    """Ends of imposters as pixel x, y and inverse depth ``[N, 2, 3]``, and their radii in pixels ``[N, 2]``."""
    view = camera.to_view(np.stack([table.center, table.tip], axis=1))
    view[..., 2] = np.maximum(view[..., 2], NEAR)
    x, y = camera.to_pixels(view)
    radii = table.half[:, :2] * (camera.focal / view[..., 2])
    return np.stack([x, y, 1 / view[..., 2]], axis=-1), np.maximum(radii, MIN_RADIUS)


def _small_capsules(
    table: PartTable, rect: Array, ends: Array, radii: Array, focal: float, grid: Grid
) -> dict[int, tuple[Array, Array]]:
    """Pictures of all small capsules at once: there are hundreds, and one call costs as much as many pixels."""
    extent = np.maximum(rect[:, 2] - rect[:, 0], rect[:, 3] - rect[:, 1])
    out: dict[int, tuple[Array, Array]] = {}
    low = 0
    for side in (8, 16, 28):
        chosen = np.flatnonzero((table.kind == _CAPSULE) & (extent > low) & (extent <= side))
        low = side
        if not len(chosen):
            continue
        steps = np.arange(side)
        line = rect[chosen, 1, None] + steps
        y = (line / grid.lines)[:, :, None].astype(np.float32)
        x = (rect[chosen, 0, None] + steps)[:, None, :] + (0.5 * (line % grid.lines))[:, :, None]
        x = x.astype(np.float32)
        stacked = np.moveaxis(ends[chosen], 0, 2)[..., None, None]
        inverse, inside = _capsule_field(x, y, stacked, radii[chosen].T[..., None, None], focal)
        out.update(zip(chosen.tolist(), zip(inverse, inside, strict=True), strict=True))
    return out


@dataclass(frozen=True, eq=False)
class _Pens:
    """Parts made ready for drawing, one array row each."""

    table: PartTable
    camera: Camera
    axes: Array
    forms: Array
    outside: Array
    ends: Array
    radii: Array
    small: dict[int, tuple[Array, Array]]

    def _capsule(self, window: _Window, index: int) -> tuple[Array, Array]:
        height, width = window.inverse.shape
        if index in self.small:
            inverse, inside = self.small[index]
            return inverse[:height, :width], inside[:height, :width]
        ends, radii = self.ends[index], self.radii[index]
        x = window.x + window.shift[:, None]
        return _capsule_field(x, window.y[:, None], ends, radii, window.focal)

    def draw(self, window: _Window, index: int) -> None:
        kind = int(self.table.kind[index])
        if kind == _CONVEX:
            count = int(self.table.num_planes[index])
            _draw_convex(window, self.forms[index, :count].tolist(), self.outside[index, :count].tolist())
        elif kind == _CAPSULE:
            inverse, inside = self._capsule(window, index)
            window.write(inverse, inside & (inverse > window.inverse))
        elif kind == _BLOB:
            _draw_blob(
                window, self.ends[index, 0].tolist(), self.radii[index].tolist(), self.table.params[index]
            )
        else:
            _draw_panel(window, index, self.table, self.axes, self.camera)
