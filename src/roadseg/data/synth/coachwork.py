"""How vehicles look: paint, panes, lights, wheels; the hood of the own car."""

import numpy as np

from roadseg.data.synth.camera import Array, Value
from roadseg.data.synth.noise import hashed, mottle, speckle
from roadseg.data.synth.shading import Batch, Coat, mix, ramp

__all__ = ["paint_cabin", "paint_coach", "paint_hood", "paint_paint", "paint_tire"]

_RED = np.array([[0.55], [0.02], [0.02]], np.float32)
_LAMP = np.array([[0.75], [0.78], [0.8]], np.float32)
_AMBER = np.array([[0.7], [0.25], [0.02]], np.float32)
_DARK = np.float32(0.025)


def _near(value: Array, middle: Value, half: Value, foot: Array) -> Array:
    return ramp(half - np.abs(value - middle), foot)


def paint_paint(batch: Batch) -> Coat:
    """The lower body of cars and vans, the cabs of trucks.

    ``params``: half length, belt height, z of the front and the rear axle, wheel radius, seed, lights on, braking.
    """
    x, y, z = batch.local
    foot, normal = batch.foot, batch.local_normal
    length, belt, seed = batch.param(0), batch.param(1), batch.param(5)
    half_width = batch.half(0)
    albedo = batch.color()
    albedo *= 0.94 + 0.12 * speckle(y * 3 + seed, z * 3)
    mirror = np.full(len(batch), 0.14, np.float32) + 0.1 * (normal[1] > 0.5)
    side = np.abs(normal[0]) > 0.75
    front = (normal[2] > 0.4) & (normal[1] < 0.75) & ~side
    rear = (normal[2] < -0.4) & (normal[1] < 0.75) & ~side
    dark = np.zeros(len(batch), np.float32)
    for axle in (2, 3):
        reach = np.hypot(z - batch.param(axle), y - batch.param(4))
        dark = np.maximum(dark, ramp(batch.param(4) * 1.2 - reach, foot) * side)
    seam = np.minimum(np.abs(z - 0.08 * length), np.abs(z + 0.42 * length))
    seam = np.minimum(seam, np.abs(z - 0.55 * length))
    dark = np.maximum(dark, ramp(0.008 - seam, foot) * 0.6 * (side & (y > 0.35)))
    dark = np.maximum(dark, ramp(0.36 - y, foot) * 0.7)  # sill and lower bumper
    handle = _near(y, belt - 0.12, 0.02, foot) * np.maximum(
        _near(z, -0.05 * length, 0.09, foot), _near(z, -0.5 * length, 0.09, foot)
    )
    dark = np.maximum(dark, handle * side * 0.6)
    grille = _near(y, 0.56, 0.1, foot) * _near(x, 0, half_width * 0.5, foot) * front
    dark = np.maximum(dark, grille * 0.9)
    albedo = mix(albedo, _DARK, dark)
    mirror *= 1 - dark
    emission = np.zeros_like(albedo)
    low = belt * 0.62
    lamps = _near(np.abs(x), half_width * 0.78, half_width * 0.16, foot)
    head = lamps * _near(y, low + 0.07, 0.085, foot) * front
    tail = lamps * _near(y, low + 0.2, 0.12, foot) * rear
    albedo = mix(mix(albedo, _LAMP, head), _RED, tail)
    turn = lamps * _near(y, low + 0.06, 0.03, foot) * rear
    albedo = mix(albedo, _AMBER, turn * 0.8)
    on, brake = batch.param(6), batch.param(7)
    emission += np.array([[3.0], [2.8], [2.4]], np.float32) * (head * on)
    emission += np.array([[1.6], [0.05], [0.03]], np.float32) * (tail * (0.35 * on + brake))
    plate = _near(x, 0, 0.26, foot) * _near(y, np.where(rear, low + 0.02, 0.42), 0.06, foot) * (front | rear)
    yellow = (hashed(np.floor(seed), np.floor(seed) + 1) < 0.3) & rear
    tone = np.where(yellow, np.array([[0.7], [0.5], [0.06]], np.float32), np.float32(0.7))
    ink = (hashed(np.floor(x / 0.03), np.floor(seed)) < 0.5) & (foot < 0.02)
    albedo = mix(albedo, np.where(ink, 0.1, tone), plate)
    return Coat(albedo, emission=emission, mirror=mirror)


def paint_cabin(batch: Batch) -> Coat:
    """The glass house: panes between pillars, a painted roof.

    ``params``: belt height, roof height, half length at the middle, number of side panes, seed, panes behind (0 for vans).
    """
    x, y, z = batch.local
    foot, normal = batch.foot, batch.local_normal
    belt, roof, half_length = batch.param(0), batch.param(1), batch.param(2)
    rise = (y - belt) / np.maximum(roof - belt, 0.05)
    up = normal[1] > 0.8
    side = (np.abs(normal[0]) > 0.75) & ~up
    pane_v = ramp((0.9 - rise) * (roof - belt), foot) * ramp(y - belt - 0.02, foot)
    slope = half_length * (1 - 0.3 * rise)
    place = (z / np.maximum(slope, 0.1) + 1) / 2 * batch.param(3)
    pillar = np.abs(np.mod(place, 1) - 0.5) * (2 * slope / batch.param(3))
    pane_side = ramp(slope / batch.param(3) - 0.05 - pillar, foot) * ((place > 0) & (place < batch.param(3)))
    rear_part = (batch.param(5) > 0) | (z > 0)
    pane_end = ramp(batch.half(0) * (0.9 - 0.18 * rise) - np.abs(x), foot)
    pane = pane_v * np.where(side, pane_side * rear_part, pane_end * ((batch.param(5) > 0) | (normal[2] > 0)))
    pane = np.where(up, 0, pane)
    inside = 0.018 + 0.03 * mottle(x * 30 + batch.param(4), y * 24)
    albedo = mix(batch.color(), inside * np.ones((3, 1), np.float32), pane)
    mirror = 0.12 + pane * 0.2 + 0.1 * up
    return Coat(albedo, mirror=mirror.astype(np.float32))


def paint_coach(batch: Batch) -> Coat:
    """Long boxes: buses, trams, truck bodies.

    ``params``: kind (0 cargo, 1 bus or tram), window band from and to (heights), pane pitch, seed, lights on,
    height of the floor of the box above the ground, stripe height (0 for none).
    """
    side = batch.face < 2
    y = batch.local[1] + batch.half(1) + batch.param(6)
    u = np.where(side, batch.local[2], batch.local[0])
    span = np.where(side, batch.half(2), batch.half(0))
    foot, seed = batch.foot, batch.param(4)
    across = foot / batch.facing
    coach = batch.param(0) == 1
    albedo = batch.color() * (0.9 + 0.15 * mottle(u * 6 + seed, y * 6))
    ribs = (np.abs(np.mod(u, 0.6) - 0.3) < 0.02) & (foot < 0.04) & ~coach
    albedo = np.where(ribs, albedo * 0.8, albedo)
    stripe = _near(y, batch.param(7), 0.2, foot) * (batch.param(7) > 0)
    albedo = mix(albedo, batch.accent(), stripe)
    logo = side & ~coach & (np.abs(u) < 0.55 * span) & (np.abs(y - batch.param(6) - batch.half(1)) < 0.45)
    word = hashed(np.floor(u / 0.25), np.floor(seed)) < 0.6
    albedo = np.where(logo & word & (across < 0.4), batch.accent(), albedo)
    pitch = np.where(side, batch.param(3), 2 * span)
    post = np.abs(np.mod(u + span, pitch) / pitch - 0.5) * pitch
    pane = ramp(y - batch.param(1), foot) * ramp(batch.param(2) - y, foot)
    pane *= ramp(pitch / 2 - np.where(side, 0.06, 0.12) - post, across)
    windscreen = (batch.face == 5) & (y > batch.param(1) - 0.35)
    pane = (
        np.where(windscreen & (y < batch.param(2)) & (np.abs(u) < span - 0.12), 1, pane)
        * coach
        * (batch.face != 3)
    )
    heads = mottle(u * 9 + seed, y * 9)
    inner = (0.02 + 0.05 * np.clip(heads * 2 - 1, 0, 1)) * np.ones((3, 1), np.float32)
    albedo = mix(albedo, inner, pane)
    emission = np.zeros_like(albedo)
    lamps = _near(np.abs(u), span * 0.82, span * 0.1, foot) * _near(y, 0.85, 0.1, foot) * coach
    head, tail = lamps * (batch.face == 5), lamps * (batch.face == 4)
    albedo = mix(mix(albedo, _LAMP, head), _RED, tail)
    on = batch.param(5)
    emission += np.array([[3.0], [2.8], [2.4]], np.float32) * (head * on)
    emission += np.array([[0.9], [0.03], [0.02]], np.float32) * (tail * on)
    emission += np.array([[0.55], [0.5], [0.4]], np.float32) * (pane * np.float32(batch.light.night) * coach)
    board = coach & (batch.face == 5) & (np.abs(y - batch.param(2) - 0.18) < 0.12) & (np.abs(u) < span * 0.7)
    dots = hashed(np.floor(u / 0.05), np.floor(seed)) < 0.5
    emission += np.array([[0.9], [0.5], [0.05]], np.float32) * (board & dots)
    albedo = np.where(board, _DARK, albedo)
    low = ramp(batch.param(6) + 0.12 - y, foot) * 0.6
    return Coat(mix(albedo, _DARK, low), emission=emission, mirror=0.06 + 0.3 * pane)


def paint_tire(batch: Batch) -> Coat:
    """Wheels; color: the tire, accent: the rim; ``params``: radius."""
    _, y, z = batch.local
    radius = np.hypot(y, z)
    disc = ramp(batch.param(0) * 0.64 - radius, batch.foot) * (batch.face < 2)
    spokes = np.mod(np.arctan2(y, z) * (5 / (2 * np.pi)), 1) < 0.45
    hole = disc * (spokes & (radius > 0.2 * batch.param(0)) & (batch.foot < 0.04))
    return Coat(mix(mix(batch.color(), batch.accent(), disc), _DARK, hole * 0.7))


def paint_hood(u: Array, v: Array, color: Array) -> Coat:
    """The own car's hood: ``u`` from -1 to 1 across the picture, ``v`` 0 at its edge, 1 at the bottom."""
    tone = 0.55 + 0.45 * np.clip(v * 1.4, 0, 1) - 0.1 * np.abs(u)
    edge = np.clip(1 - v * 14, 0, 1)
    albedo = color[:, None] * tone * (1 - 0.7 * edge)
    return Coat(albedo, mirror=(0.25 * (1 - np.clip(v, 0, 1)) + 0.05).astype(np.float32))
