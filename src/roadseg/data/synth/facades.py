"""How buildings look: walls, windows, doors, shop fronts, roofs; also free-standing walls."""

import numpy as np

from roadseg.data.synth.camera import Array
from roadseg.data.synth.noise import hashed, mottle, speckle
from roadseg.data.synth.shading import Batch, Coat, mix, ramp

__all__ = ["GROUND_FLOORS", "PATTERNS", "paint_facade", "paint_masonry", "paint_roof"]

GROUND_FLOORS = ("same", "shop", "house", "glazed", "blank")  # params[4] of a facade
PATTERNS = ("plaster", "brick", "panels", "glass")  # params[7] of a facade


def _fade(foot: Array, size: float) -> Array:
    sharp: Array = np.clip(1.6 - foot * np.float32(0.8 / size), 0, 1)
    return sharp


def _brick(u: Array, v: Array, foot: Array, gain: Array) -> Array:
    course = np.floor(v / 0.075)
    shift = u / 0.23 + 0.5 * np.mod(course, 2)
    tone = 0.86 + 0.28 * hashed(np.floor(shift), course)
    joint = (np.mod(shift, 1) < 0.06) | (np.mod(v / 0.075, 1) < 0.16)
    sharp = _fade(foot, 0.05)
    return gain * (1 + (tone * np.where(joint, 1.12, 1.0) - 1) * sharp)


def _wall(batch: Batch, u: Array, v: Array, seed: Array, pattern: Array) -> Array:
    """The bare wall, ``[3, n]``."""
    foot = batch.foot
    broad = mottle(u * 3 + seed, v * 3)
    streak = mottle(u * 14 + seed, v * 1.5)
    gain = (0.86 + 0.2 * broad + 0.08 * streak) * (
        1 + 0.1 * (speckle(u * 30, v * 30) - 0.5) * _fade(foot, 0.05)
    )
    gain = np.where(pattern == 1, _brick(u, v, foot, gain), gain)
    seams = (np.mod(u, 1.6) < 0.03) | (np.mod(v, 1.5) < 0.03)
    gain = np.where((pattern == 2) & seams & (foot < 0.08), gain * 0.6, gain)
    gain *= 1 - 0.22 * np.exp(-v * 0.9)  # splash and dirt at the foot of the wall
    return batch.color() * gain


def paint_facade(batch: Batch) -> Coat:
    """Facades.

    ``params``: storey height, window pitch, window width and height as shares, ground floor, seed, share of lit windows,
    pattern. Color: the wall; accent: trim, doors and signs.
    """
    side = batch.face < 2
    u = np.where(side, batch.local[2], batch.local[0])
    span = np.where(side, batch.half(2), batch.half(0))
    v = batch.local[1] + batch.half(1)
    u = u + span
    storey, seed, pattern = batch.param(0), batch.param(5), batch.param(7)
    albedo = _wall(batch, u, v, seed, pattern)
    pitch = 2 * span / np.maximum(np.round(2 * span / batch.param(1)), 1)
    column, floor = np.floor(u / pitch), np.floor(v / storey)
    fu = (np.mod(u / pitch, 1) - 0.5) * pitch
    fv = (np.mod(v / storey, 1) - 0.54) * storey
    across = batch.foot / batch.facing  # a facade seen along the street is squeezed
    top = 2 * batch.half(1)
    whole = (floor + 1) * storey < top - 0.15
    ground = np.where(floor == 0, batch.param(4), 0)
    shop, house, glazed, blank = (ground == code for code in (1, 2, 3, 4))
    half_u = np.where(glazed, 0.46, batch.param(2) / 2) * pitch
    half_v = np.where(glazed, 0.40, batch.param(3) / 2) * storey
    pick = hashed(column, floor + 37, seed)
    door = house & (hashed(column, seed) < 0.34)
    half_u = np.where(door, 0.5, half_u)
    has = whole & ~shop & ~blank & (pick > 0.03)
    inside = _rectangle(
        fu, np.where(door, v - 1.1, fv), half_u, np.where(door, 1.1, half_v), across, batch.foot
    )
    frame = _rectangle(
        fu, np.where(door, v - 1.1, fv), half_u + 0.1, np.where(door, 1.2, half_v + 0.1), across, batch.foot
    )
    trim = 0.55 * batch.accent() + 0.3
    albedo = mix(albedo, trim, frame * has * 0.8)
    glass, emission, mirror = _glass(batch, fu, fv, half_u, half_v, pick, column, floor)
    glass = np.where(door, batch.accent() * 0.8, glass)
    mirror = np.where(door, 0, mirror)
    cover = inside * has
    albedo = mix(albedo, glass, cover)
    mirror, emission = mirror * cover, emission * (cover * ~door)
    albedo, mirror, emission = _shop_front(batch, shop, albedo, mirror, emission, u, v, pitch, column)
    cornice = ramp(v - (top - 0.35), batch.foot) * (batch.face != 3)
    albedo = mix(albedo, trim * 0.9, cornice * 0.7)
    flat = batch.face == 3
    albedo = np.where(flat, np.float32(0.16), albedo)
    return Coat(albedo, emission=np.where(flat, 0, emission), mirror=np.where(flat, 0, mirror))


def _rectangle(u: Array, v: Array, half_u: Array, half_v: Array, foot_u: Array, foot_v: Array) -> Array:
    return ramp(half_u - np.abs(u), foot_u) * ramp(half_v - np.abs(v), foot_v)


def _glass(
    batch: Batch, u: Array, v: Array, half_u: Array, half_v: Array, pick: Array, column: Array, floor: Array
) -> tuple[Array, Array, Array]:
    """Albedo, emission and mirror share of window panes."""
    curtain = hashed(floor, column, batch.param(5) + 5)
    tone = 0.02 + 0.08 * pick
    tone = np.where(curtain > 0.72, 0.32 * curtain, tone)
    # A pane sits behind the wall: its upper edge and one side lie in the shadow of the reveal.
    shadow = np.where((half_v - v < 0.16) | (half_u - u < 0.1), 0.45, 1.0)
    bars = ((np.abs(u) < 0.03) | (np.abs(v - 0.1 * half_v) < 0.025)) & (batch.foot < 0.05)
    albedo = np.array([[0.95], [1.0], [1.08]], np.float32) * (tone * shadow)
    albedo = np.where(bars, 0.45 * batch.accent() + 0.3, albedo)
    lit = (pick < batch.param(6)) & ~bars
    warm = np.array([[1.0], [0.72], [0.4]], np.float32)
    emission = warm * (lit * (0.25 + 0.9 * curtain) * np.float32(0.15 + 0.85 * batch.light.night))
    mirror = np.where(bars, 0, 0.28 + 0.4 * (1 - batch.facing) ** 3) * shadow
    return albedo, emission, mirror


def _shop_front(
    batch: Batch,
    shop: Array,
    albedo: Array,
    mirror: Array,
    emission: Array,
    u: Array,
    v: Array,
    pitch: Array,
    column: Array,
) -> tuple[Array, Array, Array]:
    """Ground floors with large panes, a door here and there and a sign above."""
    chosen = np.flatnonzero(shop)
    if not len(chosen):
        return albedo, mirror, emission
    b = batch.only(chosen)
    u, v, height, seed = u[chosen], v[chosen], b.param(0), b.param(5)
    bay = np.maximum(pitch[chosen] * 2, 3.0)
    unit = np.floor(u / bay)
    fu = np.mod(u / bay, 1)
    pick = hashed(unit, seed)
    across = b.foot / b.facing
    low, high = 0.45, height - 0.85
    is_door = np.abs(fu - 0.2 - 0.6 * pick) * bay < 0.55
    pane = ramp(v - np.where(is_door, 0.1, low), b.foot) * ramp(high - v, b.foot)
    pane *= ramp((0.5 - np.abs(fu - 0.5)) * bay - 0.14, across)
    pane *= 1 - 0.75 * ramp(0.04 - np.abs(np.mod(fu * 3, 1) - 0.5) * bay / 3, across)
    goods = mottle(u * 26 + seed * 3, v * 22)
    hue = np.stack([hashed(np.floor(u * 2.6), np.floor(v * 2.2), seed + k) for k in range(3)])
    inner = (0.03 + 0.3 * hue * np.clip(goods * 2.4 - 1.1, 0, 1)) * np.clip(1.3 - v / high, 0.25, 1)
    base = b.accent() * (0.45 + 0.5 * np.stack([hashed(unit, seed + k + 11) for k in range(3)]))
    out = mix(base, inner, pane)
    band = ramp(v - high - 0.1, b.foot) * ramp(height - 0.1 - v, b.foot)
    sign = np.stack([hashed(unit, seed + k + 23) for k in range(3)]) ** 1.5 * 0.8 + 0.03
    letter_row = np.abs(v - (high + height) / 2) < 0.2
    letters = (
        letter_row
        & (hashed(np.floor(u / 0.11), unit, seed) < 0.55)
        & (np.abs(fu - 0.5) < 0.32)
        & (across < 0.15)
    )
    ink = np.where(sign.sum(0) > 1.2, 0.04, 0.8)
    out = mix(out, np.where(letters, ink, sign), band)
    albedo[:, chosen] = out
    mirror[chosen] = pane * 0.22 * (1 - 0.7 * b.light.night)
    glow = np.array([[1.0], [0.85], [0.62]], np.float32)
    shine = (pick > 0.3) * np.float32(0.03 + 0.6 * b.light.night)
    emission[:, chosen] = glow * inner * (pane * shine * 3) + sign * (band * shine * 0.4)
    return albedo, mirror, emission


def paint_roof(batch: Batch) -> Coat:
    """Tiled or plain roofs; ``params``: seed, tiled."""
    u = batch.local[0] + batch.local[2]
    v = batch.local[1]
    gain = 0.8 + 0.35 * mottle(u * 4 + batch.param(0), v * 9)
    row = np.mod(v / 0.22, 1)
    gain *= 1 - 0.3 * (row < 0.25) * _fade(batch.foot, 0.12) * batch.param(1)
    tile = hashed(np.floor(u / 0.3), np.floor(v / 0.22))
    gain *= 1 + 0.25 * (tile - 0.5) * _fade(batch.foot, 0.15) * batch.param(1)
    upright = np.abs(batch.local_normal[1]) < 0.1
    albedo = np.where(upright, batch.accent(), batch.color()) * gain
    return Coat(albedo)


def paint_masonry(batch: Batch) -> Coat:
    """Garden walls, quays, bridges, chimneys; ``params``: seed, pattern, height of the coping."""
    side = batch.face < 2
    u = np.where(side, batch.local[2], batch.local[0])
    v = batch.local[1] + batch.half(1)
    seed, pattern = batch.param(0), batch.param(1)
    albedo = _wall(batch, u, v, seed, pattern)
    moss = np.clip(mottle(u * 8 + seed, v * 6 + 40) * 2 - 1.3, 0, 1) * 0.5
    albedo = mix(albedo, np.array([[0.09], [0.11], [0.05]], np.float32), moss)
    coping = ramp(v - (2 * batch.half(1) - batch.param(2)), batch.foot) * (batch.param(2) > 0)
    return Coat(mix(albedo, batch.accent() * np.ones_like(albedo), coping))
