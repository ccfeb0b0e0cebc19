"""Tileable noise textures, looked up at any coordinate."""

from functools import lru_cache

import numpy as np

from roadseg.data.synth.camera import Array

__all__ = ["SIZE", "hashed", "mottle", "speckle"]

SIZE = 256  # texels; a power of two, so that wrapping is a bit mask


@lru_cache(maxsize=4)
def _texture(power: float) -> Array:
    """Float32 ``[SIZE, SIZE]`` in 0..1, uniform in value, with a spectrum that falls as ``f ** -power``."""
    rng = np.random.default_rng(20160406)
    spectrum = np.fft.rfft2(rng.standard_normal((SIZE, SIZE)))
    fy, fx = np.fft.fftfreq(SIZE)[:, None] * SIZE, np.fft.rfftfreq(SIZE)[None, :] * SIZE
    spectrum /= (
        np.maximum(np.hypot(fx, fy), 2.0) ** power
    )  # the floor keeps the tile from being one big gradient
    field = np.fft.irfft2(spectrum, (SIZE, SIZE))
    ranks = np.empty(field.size, np.float32)
    ranks[np.argsort(field, axis=None, kind="stable")] = np.linspace(0, 1, field.size, dtype=np.float32)
    texture = ranks.reshape(SIZE, SIZE)
    texture.flags.writeable = False
    return texture


def _lookup(texture: Array, u: Array, v: Array) -> Array:
    iu = np.floor(u).astype(np.int32) & (SIZE - 1)
    iv = np.floor(v).astype(np.int32) & (SIZE - 1)
    return texture.ravel()[iv * SIZE + iu]


def mottle(u: Array, v: Array) -> Array:
    """Cloud-like noise in 0..1 at texel coordinates (one unit = one texel)."""
    return _lookup(_texture(1.6), u, v)


def speckle(u: Array, v: Array) -> Array:
    """Grainy noise in 0..1 at texel coordinates."""
    return _lookup(_texture(0.6), u, v)


def hashed(*coordinates: Array) -> Array:
    """A uniform number in 0..1 for each cell: whole-numbered coordinates in, float32 out."""
    state = np.zeros(np.broadcast(*coordinates).shape, np.uint32)
    for k, values in enumerate(coordinates):
        state ^= values.astype(np.int32).astype(np.uint32) * np.uint32(
            (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D)[k % 3]
        )
        state = (state ^ (state >> np.uint32(15))) * np.uint32(0x2C1B3C6D)
        state ^= state >> np.uint32(12)
    return (state & np.uint32(0xFFFF)).astype(np.float32) / np.float32(0xFFFF)
