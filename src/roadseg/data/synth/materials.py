"""The color of everything that is neither ground nor sky, by material."""

from collections.abc import Callable

import numpy as np

from roadseg.data.synth.coachwork import paint_cabin, paint_coach, paint_paint, paint_tire
from roadseg.data.synth.facades import paint_facade, paint_masonry, paint_roof
from roadseg.data.synth.noise import hashed, mottle, speckle
from roadseg.data.synth.parts import Material
from roadseg.data.synth.shading import Batch, Coat, mix, ramp

__all__ = ["PAINTERS"]


def _plain(batch: Batch) -> Coat:
    """One color, slightly worn; ``params``: seed, share of mirror."""
    gain = 0.88 + 0.22 * mottle(batch.local[0] * 9 + batch.param(0), batch.local[1] * 9 + batch.local[2] * 5)
    return Coat(batch.color() * gain, mirror=batch.param(1))


def _cloth(batch: Batch) -> Coat:
    """Clothes, skin, hair: folds; ``params``: seed."""
    folds = mottle(batch.local[0] * 60 + batch.param(0), batch.local[1] * 22)
    return Coat(batch.color() * (0.75 + 0.45 * folds))


def _bark(batch: Batch) -> Coat:
    grain = mottle(batch.local[0] * 50 + batch.param(0), batch.local[1] * 9)
    return Coat(batch.color() * (0.6 + 0.7 * grain))


def _foliage(batch: Batch) -> Coat:
    """Crowns, hedges and bushes; ``params``: raggedness, offset, noise scale, seed; accent: the color in the depth."""
    u = batch.local[0] + 0.3 * batch.local[2] + batch.param(3)
    v = batch.local[1]
    clumps = mottle(u * 7, v * 7)
    leaves = speckle(u * 26 + 7, v * 26)
    fine = np.clip(1.5 - batch.foot * 10, 0, 1)
    depth = np.clip(clumps * 1.2 - 0.2 + (leaves - 0.5) * 0.9 * fine, 0, 1.2)
    height = np.clip(batch.local_normal[1] * 0.6 + 0.55, 0, 1)  # crowns are dark below
    hue = 0.9 + 0.2 * hashed(np.floor(batch.param(3)), np.floor(batch.param(3)) + 3)
    albedo = mix(batch.accent(), batch.color() * hue, depth * (0.35 + 0.65 * height)) * (0.6 + 0.5 * height)
    return Coat(albedo)


def _sign(batch: Batch) -> Coat:
    """Faces of traffic signs.

    ``params``: design (0 border and figure, 1 field with arrow, 2 bar, 3 board with text, 4 back), seed.
    Color: the field; accent: border or figure.
    """
    u = batch.local[0] / batch.half(0)
    v = batch.local[1] / batch.half(1)
    foot = batch.foot / batch.half(0)
    design, seed = batch.param(0), batch.param(1)
    rim = np.where(design == 0, 0.74, 0.9)
    # Distance from the middle in the figure's own metric: round for discs, straight for the rest.
    reach = np.where(batch.table.shape[batch.row] == 0, np.maximum(np.abs(u), np.abs(v)), np.hypot(u, v))
    triangle = np.isin(batch.table.shape[batch.row], (2, 3))
    tip = np.where(batch.table.shape[batch.row] == 2, v, -v)
    reach = np.where(triangle, np.maximum((np.abs(u) + (tip + 1) / 2) * 1.0, 0.62 - tip * 0.62), reach)
    border = ramp(reach - rim, foot)
    albedo = mix(batch.color(), batch.accent(), border)
    cell = hashed(np.floor((u + 2) * 4 + seed), np.floor((v + 2) * 4), seed)
    glyph = ((np.abs(u) < 0.42) & (np.abs(v) < 0.42) & (cell < 0.5)) & (design == 0)
    arrow = (np.abs(u) < 0.12) & (np.abs(v) < 0.5) | (np.abs(u) + np.abs(v - 0.35) < 0.3)
    bar = (np.abs(v) < 0.17) & (np.abs(u) < 0.7)
    row = np.mod((v + 1) * 2.5, 1)
    text = (
        (row > 0.3) & (row < 0.75) & (hashed(np.floor((u + 1) * 11 + seed), np.floor((v + 1) * 2.5)) < 0.62)
    )
    text &= np.abs(u) < 0.85
    albedo = np.where(glyph, np.float32(0.03), albedo)
    marked = (arrow & (design == 1)) | (bar & (design == 2)) | (text & (design == 3) & (foot < 0.25))
    albedo = np.where(marked, batch.accent(), albedo)
    albedo = np.where(design == 4, np.float32(0.3), albedo)
    return Coat(albedo, emission=albedo * np.float32(0.12 * batch.light.night))


_LAMPS = np.array([[1.0, 0.05, 0.03], [1.0, 0.5, 0.03], [0.05, 1.0, 0.45]], np.float32)


def _signal(batch: Batch) -> Coat:
    """Housings of traffic lights; ``params``: which lamp is lit (0 red, 1 yellow, 2 green), number of lamps."""
    lamps = np.maximum(batch.param(1), 1)
    height = (1 - batch.local[1] / batch.half(1)) / 2 * lamps
    number = np.clip(np.floor(height), 0, lamps - 1)
    size = batch.half(1) / lamps
    away = np.hypot(batch.local[0], (np.mod(height, 1) - 0.5) * 2 * size)
    disc = ramp(size * 0.78 - away, batch.foot) * (batch.face == 4)
    which = np.where(lamps == 2, number * 2, number).astype(np.int32)
    color = _LAMPS[which].T
    lit = which == batch.param(0)
    albedo = mix(batch.color(), color * 0.06, disc)
    emission = color * (disc * np.where(lit, 1.6, 0.0))
    return Coat(albedo, emission=emission)


def _lamp(batch: Batch) -> Coat:
    """Street lamps: they shine at night."""
    warm = np.array([[5.0], [3.6], [1.9]], np.float32) * np.float32(batch.light.night)
    return Coat(batch.color(), emission=warm * np.ones((1, len(batch)), np.float32))


def _picket(batch: Batch) -> Coat:
    """Fences; ``params``: pitch, bar, rail, seed, style (0 bars, 1 boards, 2 mesh)."""
    u, v = batch.local[0], batch.local[1]
    board = hashed(np.floor(u / np.maximum(batch.param(0), 0.05)), np.floor(batch.param(3)))
    gain = 0.85 + 0.3 * (board - 0.5) * (batch.param(4) == 1)
    gain *= 0.85 + 0.25 * mottle(u * 12 + batch.param(3), v * 5)
    seam = (np.mod(u, np.maximum(batch.param(0), 0.05)) < 0.015) & (batch.param(4) == 1)
    gain = np.where(seam & (batch.foot < 0.04), gain * 0.4, gain)
    return Coat(batch.color() * gain)


PAINTERS: dict[Material, Callable[[Batch], Coat]] = {
    Material.PLAIN: _plain,
    Material.FACADE: paint_facade,
    Material.ROOF: paint_roof,
    Material.MASONRY: paint_masonry,
    Material.PAINT: paint_paint,
    Material.CABIN: paint_cabin,
    Material.TIRE: paint_tire,
    Material.CLOTH: _cloth,
    Material.FOLIAGE: _foliage,
    Material.BARK: _bark,
    Material.SIGN: _sign,
    Material.SIGNAL: _signal,
    Material.LAMP: _lamp,
    Material.PICKET: _picket,
    Material.COACH: paint_coach,
}
