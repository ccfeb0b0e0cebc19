"""Optical flow between two views, from the positions of things alone."""

import numpy as np

from roadseg.data.synth.camera import Array
from roadseg.data.synth.raster import Layer, world_axes
from roadseg.data.synth.scene import HOOD
from roadseg.data.synth.view import View

__all__ = ["flow_between"]


def flow_between(view: View, later: View, layer: Layer) -> tuple[Array, Array]:
    """Where the surface point of every pixel is in the next picture, and whether it can be seen there."""
    camera, after = view.camera, later.camera
    height, width = camera.size
    rays = layer.grid.rays(camera, np.arange(height * width))
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
