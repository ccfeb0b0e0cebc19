"""The sky with its clouds, and the far skyline that stands before it."""

import numpy as np

from roadseg.data.synth.camera import Array
from roadseg.data.synth.noise import mottle
from roadseg.data.synth.shading import mix
from roadseg.data.synth.style import Light

__all__ = ["paint_sky", "skyline_height"]


def _unit(ray: Array) -> Array:
    unit: Array = ray / np.sqrt((ray * ray).sum(0))
    return unit


def paint_sky(ray: Array, light: Light) -> Array:
    """Radiance of the sky along rays, float32 ``[3, n]``."""
    way = _unit(ray)
    rise = np.clip(way[1], 0, 1)
    share = np.sqrt(rise)
    sky: Array = light.horizon[:, None] + (light.zenith - light.horizon)[:, None] * share
    towards = np.clip((way * light.sun[:, None]).sum(0), 0, 1)
    sky = sky + light.sun_color[:, None] * (0.12 * towards**8 + 0.5 * towards**180 + 8.0 * (towards > 0.9997))
    if light.clouds > 0.02:
        # Clouds lie in a flat sheet overhead; near the horizon they are seen from the side and melt together.
        scale = 70 / (rise + 0.12)
        u, v = way[0] * scale + light.offset * 3, way[2] * scale + light.offset
        field = 0.62 * mottle(u, v) + 0.26 * mottle(u * 2.7 + 9, v * 2.7) + 0.12 * mottle(u * 7, v * 7 + 5)
        cover = np.clip((field - (1 - light.clouds) * 0.75) * 3.0, 0, 1) * np.clip(rise * 12 + 0.25, 0, 1)
        shade = 0.72 + 0.4 * (1 - field) + 0.25 * towards**4
        sky = mix(sky, light.cloud_color[:, None] * shade, cover * 0.9)
    return sky


def skyline_height(ray: Array, seed: float, height: float, blocky: float) -> Array:
    """How high, as a slope, the skyline stands in the direction of rays, float32 ``[n]``.

    Args:
        ray: Rays ``[3, n]``.
        seed: Where in the noise this skyline lies.
        height: Its typical slope.
        blocky: 0 for tree tops, 1 for roofs.
    """
    azimuth = np.arctan2(ray[0], ray[2])
    u = azimuth * 160 + seed
    flat = np.zeros_like(u) + seed
    roofs = mottle(np.floor(u / 5) * 5, flat) * 1.5 - 0.2
    trees = 0.7 * mottle(u * 0.5, flat + 7) + 0.35 * mottle(u * 4, flat + 3) + 0.1 * mottle(u * 16, flat + 3)
    slope: Array = np.maximum((blocky * roofs + (1 - blocky) * trees) * height, 0.002)
    return slope
