"""From radiance to a photograph: air, rain, lens, sensor, compression."""

import numpy as np

from roadseg.data.synth.camera import Array
from roadseg.data.synth.shading import luminance, mix
from roadseg.data.synth.style import Light, Rig

__all__ = ["expose", "through_air"]

SKY_DISTANCE = 2500.0  # meters; beyond this, air is part of the sky's own color


def through_air(radiance: Array, distance: Array, light: Light) -> Array:
    """What is left of radiance ``[3, n]`` after ``[n]`` meters of air, with the light the air adds."""
    through = np.exp(-light.fog * np.minimum(distance, SKY_DISTANCE))
    veil = (0.75 * light.horizon + 0.25 * light.ambient)[:, None]
    return mix(radiance, veil, 1 - through)


def _blur(image: Array, sigma: float) -> Array:
    """Gaussian blur of ``[H, W, 3]``."""
    if sigma < 0.2:
        return image
    reach = max(1, int(np.ceil(2.2 * sigma)))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2).astype(np.float32)
    taps /= taps.sum()
    for axis in (0, 1):
        pad = [(0, 0)] * 3
        pad[axis] = (reach, reach)
        wide = np.pad(image, pad, mode="edge")
        size = image.shape[axis]
        views = [wide[k : k + size] if axis == 0 else wide[:, k : k + size] for k in range(len(taps))]
        image = views[0] * taps[0]
        for tap, view in zip(taps[1:], views[1:], strict=True):
            image += view * tap
    return image


def _bloom(image: Array, strength: float) -> Array:
    """Light that spills from what is far too bright; blurred at a quarter of the size."""
    bright = np.maximum(image - 0.95, 0)
    height, width = image.shape[:2]
    rows, columns = height - height % 4, width - width % 4
    if rows < 8 or columns < 8:
        return image
    small = bright[:rows, :columns].reshape(rows // 4, 4, columns // 4, 4, 3).mean((1, 3))
    small = 0.6 * _blur(small, 1.4) + 0.4 * _blur(small, 4.0)
    for axis in (0, 1):
        small = _quadrupled(small, axis)
    out = image.copy()
    out[:rows, :columns] += small * np.float32(strength)
    return out


def _quadrupled(image: Array, axis: int) -> Array:
    """Four times as many rows or columns, by linear interpolation."""
    count = image.shape[axis]
    place = np.clip((np.arange(4 * count, dtype=np.float32) - 1.5) / 4, 0, count - 1)
    first = place.astype(np.intp)
    share = (place - first).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
    low, high = image.take(first, axis), image.take(np.minimum(first + 1, count - 1), axis)
    grown: Array = low + (high - low) * share
    return grown


def _streaks(height: int, width: int, rain: float, rng: np.random.Generator) -> Array:
    """How much falling drops cover, ``[H, W]``: many slanted lines, the nearer the longer and fainter."""
    count = max(1, int(height * width * 0.0022 * rain))
    longest = max(4, height // 10)
    slant = float(rng.normal(0, 0.12))
    share = rng.random((count, 1)) ** 2
    along = np.arange(longest)[None, :]
    y = (rng.random((count, 1)) * (height + longest) - longest + along).astype(np.int32)
    x = (rng.random((count, 1)) * width * 1.4 - 0.2 * width + slant * along).astype(np.int32)
    kept = (along < 3 + share * (longest - 3)) & (y >= 0) & (y < height) & (x >= 0) & (x < width)
    out = np.zeros((height, width), np.float32)
    out[y[kept], x[kept]] = np.broadcast_to(0.22 - 0.12 * share, y.shape)[kept]
    return out


def _rain(image: Array, light: Light, rng: np.random.Generator) -> Array:
    """Streaks of drops, and drops on the windscreen."""
    height, width = image.shape[:2]
    scale = 480 / width
    streaks = _streaks(height, width, light.rain, rng)
    bright = luminance(light.horizon[:, None])[0]
    image = image + (bright - image) * streaks[:, :, None]
    y, x = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None, :]
    for _ in range(int(14 * light.rain)):
        cy, cx = float(rng.uniform(0, height)), float(rng.uniform(0, width))
        radius = float(rng.uniform(2.5, 9)) / scale
        y0, y1 = max(int(cy - radius), 0), min(int(cy + radius) + 2, height)
        x0, x1 = max(int(cx - radius), 0), min(int(cx + radius) + 2, width)
        if y1 - y0 < 2 or x1 - x0 < 2:
            continue
        reach = ((y[y0:y1] - cy) ** 2 + (x[:, x0:x1] - cx) ** 2) / radius**2
        inside = np.clip((1 - reach) * 2, 0, 1)[:, :, None] * 0.6
        lens = (
            image[y0:y1, x0:x1][::-1, ::-1].mean((0, 1), keepdims=True) * 0.4
            + image[y0:y1, x0:x1][::-1, ::-1] * 0.6
        )
        image[y0:y1, x0:x1] += (lens - image[y0:y1, x0:x1]) * inside
    return image


def _tone_table(contrast: float) -> Array:
    """Linear 0..1 in 4096 steps to display values 0..1: a shoulder, a contrast curve about mid gray, the sRGB curve."""
    linear = np.linspace(0, 1, 4096, dtype=np.float32) * 1.6
    shoulder = np.where(linear < 0.6, linear, 0.6 + 0.4 * np.tanh((linear - 0.6) / 0.4))
    srgb = np.where(
        shoulder <= 0.0031308, 12.92 * shoulder, 1.055 * np.maximum(shoulder, 1e-6) ** (1 / 2.4) - 0.055
    )
    middle = 0.42
    curve = middle + (srgb - middle) * contrast
    # Keep black black: the curve bends into the toe instead of cutting it off.
    toe = np.where(curve < 0.08, 0.08 * np.exp((curve - 0.08) / 0.08), curve)
    return np.clip(toe, 0, 1).astype(np.float32)


def _blocks(image: Array, strength: float) -> Array:
    """Loss of detail as in a JPEG file: coarse steps for the coefficients of 8 x 8 blocks; ``image`` 0..255."""
    height, width = image.shape[:2]
    padded = np.pad(image, ((0, -height % 8), (0, -width % 8), (0, 0)), mode="edge")
    k = np.arange(8)
    basis = np.cos(np.pi * (2 * k[None, :] + 1) * k[:, None] / 16).astype(np.float32) * 0.5
    basis[0] *= np.sqrt(0.5)
    rows, columns = padded.shape[0] // 8, padded.shape[1] // 8
    tiles = padded.reshape(rows, 8, columns, 8, 3).transpose(0, 2, 4, 1, 3)
    coefficients = basis @ tiles @ basis.T
    step = ((8 + 5 * (k[:, None] + k[None, :])) * 1.6 * strength).astype(np.float32)
    coefficients = np.round(coefficients / step) * step
    tiles = basis.T @ coefficients @ basis
    restored: Array = tiles.transpose(0, 3, 1, 4, 2).reshape(padded.shape)
    return restored[:height, :width]


def _color_matrix(rig: Rig) -> Array:
    """White balance, then saturation, for rows of RGB: float32 ``[3, 3]``."""
    white = np.diag([rig.white[0], 1.0, rig.white[1]])
    gray = np.tile(luminance(np.eye(3))[:, None], (1, 3))
    matrix: Array = (white @ (gray + (np.eye(3) - gray) * rig.saturation)).astype(np.float32)
    return matrix


def expose(radiance: Array, light: Light, rig: Rig, rng: np.random.Generator) -> Array:
    """Take the picture.

    Args:
        radiance: float32 ``[H, W, 3]``, linear.
        light: The light of the scene.
        rig: The camera.
        rng: Noise of this frame.

    Returns:
        uint8 ``[H, W, 3]``, sRGB.
    """
    height, width = radiance.shape[:2]
    if light.rain > 0:
        radiance = _rain(radiance, light, rng)
    # Metered once per scene, on a gray card lying in the open, so that sequences do not flicker.
    falling = light.ambient + light.sun_color * max(float(light.sun[1]), 0.1) * 0.6
    card = 0.17 * (float(luminance(falling[:, None])[0]) + 0.35 * light.night)
    image = _bloom(radiance * np.float32(rig.exposure / card), 0.35 + 0.5 * light.night)
    image = (image.reshape(-1, 3) @ _color_matrix(rig)).reshape(height, width, 3)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    image *= (1 - np.float32(rig.vignette * 0.5) * (x * x + y * y))[:, :, None]
    image += np.float32(rig.flare)
    image = _blur(image, rig.blur * width / 480)
    table = _tone_table(rig.contrast)
    image *= np.float32(4095 / 1.6)
    image = table.take(np.clip(image, 0, 4095, out=image).astype(np.int16))
    grain = rng.standard_normal((height, width, 3), np.float32)
    grain *= np.float32(0.5)
    grain += rng.standard_normal((height, width, 1), np.float32)
    image += np.multiply(grain, np.float32(rig.noise), out=grain)
    image *= 255
    if rig.blocks > 0:
        image = _blocks(image, rig.blocks)
    image += np.float32(0.5)
    picture: Array = np.clip(image, 0, 255, out=image).astype(np.uint8)
    return picture
