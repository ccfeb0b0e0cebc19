"""The pinhole camera of the synthetic streets.

World: x right, y up, z ahead, meters. Image: x right, y down, pixel *centers* at whole numbers. A pixel's ray is affine
in its coordinates, and so is the inverse depth of a plane; the rasterizer lives on that.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["NEAR", "Array", "Camera", "Grid", "Value", "yaw_axes"]

Array = npt.NDArray[Any]
Value = Array | np.floating[Any] | float

NEAR = 0.15  # meters; nothing nearer is drawn


def yaw_axes(yaw: float) -> Array:
    """The axes of a frame turned about the vertical: float32 ``[3, 3]``, columns right, up, ahead."""
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]], np.float32)


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera in the world.

    Attributes:
        position: float32 ``[3]``, meters.
        axes: float32 ``[3, 3]``, columns right, up, ahead.
        focal: Focal length in pixels.
        size: ``(H, W)`` in pixels.
        center: Principal point ``(x, y)`` in pixel coordinates.
    """

    position: Array
    axes: Array
    focal: float
    size: tuple[int, int]
    center: tuple[float, float]

    @classmethod
    def aimed(
        cls,
        position: tuple[float, float, float],
        yaw: float,
        pitch: float,
        roll: float,
        fov: float,
        size: tuple[int, int],
    ) -> "Camera":
        """A camera from angles.

        Args:
            position: Meters.
            yaw: Radians, positive to the right.
            pitch: Radians, positive looks up.
            roll: Radians, positive lowers the right side of the picture's content.
            fov: Horizontal field of view in radians.
            size: ``(H, W)`` in pixels.
        """
        cp, sp, cr, sr = np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
        tilt = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]], np.float32)
        turn = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]], np.float32)
        height, width = size
        return cls(
            position=np.asarray(position, np.float32),
            axes=(yaw_axes(yaw) @ tilt @ turn).astype(np.float32),
            focal=width / (2 * float(np.tan(fov / 2))),
            size=size,
            center=((width - 1) / 2, (height - 1) / 2),
        )

    def ray_basis(self) -> Array:
        """Float32 ``[3, 3]``, rows ``r0, rx, ry``: the ray of pixel (x, y) is ``r0 + x*rx + y*ry``, of unit depth."""
        right, up, ahead = self.axes.T
        rx, ry = right / self.focal, -up / self.focal
        return np.stack([ahead - self.center[0] * rx - self.center[1] * ry, rx, ry]).astype(np.float32)

    def to_view(self, points: Array) -> Array:
        """World points ``[..., 3]`` in the camera's frame (right, up, depth)."""
        return (points - self.position) @ self.axes

    def to_pixels(self, view: Array) -> tuple[Array, Array]:
        """Camera-frame points ``[..., 3]`` of positive depth as pixel coordinates (x, y)."""
        scale = self.focal / view[..., 2]
        return self.center[0] + view[..., 0] * scale, self.center[1] - view[..., 1] * scale


@dataclass(frozen=True)
class Grid:
    """Where a picture is sampled.

    With two lines per pixel, samples lie like bricks: those of even lines in the middle of pixels, those of odd lines at
    the corners between four pixels. It takes two samples per pixel to see the middle and all corners of each.

    Attributes:
        size: ``(H, W)`` of the picture.
        lines: Lines of samples per row of pixels, 1 or 2.
    """

    size: tuple[int, int]
    lines: int = 1

    @property
    def shape(self) -> tuple[int, int]:
        """Lines and samples per line."""
        return self.size[0] * self.lines, self.size[1]

    def lines_at(self, start: int, stop: int) -> tuple[Array, Array]:
        """Pixel coordinate y of some lines, and how far their samples are shifted along x; float32."""
        line = np.arange(start, stop)
        return (line / self.lines).astype(np.float32), (0.5 * (line % self.lines)).astype(np.float32)

    def places(self, index: Array) -> tuple[Array, Array]:
        """Pixel coordinates x and y of samples given by their flat index; float32."""
        line, column = np.divmod(index, self.size[1])
        x, y = column.astype(np.float32), line.astype(np.float32)
        if self.lines == 2:
            x += np.float32(0.5) * (line & 1)
            y *= np.float32(0.5)
        return x, y

    def rays(self, camera: Camera, index: Array) -> Array:
        """Rays of unit depth through samples given by their flat index, float32 ``[3, n]``."""
        basis = camera.ray_basis()
        x, y = self.places(index)
        rays: Array = basis[1][:, None] * x
        rays += basis[2][:, None] * y
        rays += basis[0][:, None]
        return rays
