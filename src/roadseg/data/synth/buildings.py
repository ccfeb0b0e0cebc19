"""Buildings: houses, shops, blocks."""

from collections.abc import Sequence

import numpy as np

from roadseg.data.synth.parts import Material, Part, box, extruded
from roadseg.data.synth.style import Setting

__all__ = ["BRICKS", "PLASTERS", "building", "pick_color"]

Vec = tuple[float, float, float]

BRICKS: tuple[Vec, ...] = (
    (0.27, 0.11, 0.07),
    (0.33, 0.16, 0.1),
    (0.38, 0.28, 0.16),
    (0.3, 0.23, 0.15),
    (0.2, 0.13, 0.1),
    (0.42, 0.3, 0.22),
)
PLASTERS: tuple[Vec, ...] = (
    (0.66, 0.64, 0.59),
    (0.62, 0.55, 0.42),
    (0.55, 0.45, 0.32),
    (0.5, 0.5, 0.5),
    (0.6, 0.42, 0.33),
    (0.42, 0.48, 0.5),
    (0.58, 0.52, 0.3),
    (0.36, 0.34, 0.32),
    (0.55, 0.36, 0.3),
)
PANELS: tuple[Vec, ...] = (
    (0.4, 0.4, 0.4),
    (0.28, 0.28, 0.29),
    (0.5, 0.47, 0.42),
    (0.2, 0.22, 0.24),
    (0.34, 0.38, 0.42),
)
TRIMS: tuple[Vec, ...] = (
    (0.7, 0.7, 0.68),
    (0.06, 0.1, 0.2),
    (0.04, 0.16, 0.09),
    (0.3, 0.03, 0.03),
    (0.05, 0.05, 0.05),
    (0.22, 0.1, 0.05),
    (0.5, 0.42, 0.3),
    (0.02, 0.2, 0.3),
    (0.6, 0.35, 0.02),
)
ROOFS: tuple[Vec, ...] = (
    (0.22, 0.09, 0.06),
    (0.09, 0.09, 0.1),
    (0.15, 0.11, 0.09),
    (0.28, 0.15, 0.1),
    (0.12, 0.13, 0.14),
)


def pick_color(rng: np.random.Generator, colors: Sequence[Vec], spread: float = 0.18) -> Vec:
    """One of the colors, varied a little."""
    base = np.array(colors[int(rng.integers(len(colors)))])
    gain = np.exp(rng.normal(0, spread)) * np.exp(rng.normal(0, spread / 3, 3))
    r, g, b = np.clip(base * gain, 0.01, 0.85)
    return float(r), float(g), float(b)


def _facade_style(
    rng: np.random.Generator, setting: Setting
) -> tuple[Vec, int, int, float, float, float, float]:
    """Wall color, pattern, ground floor, storey height, window pitch, window shares."""
    pattern = int(rng.choice(4, p={"city": (0.38, 0.24, 0.25, 0.13)}.get(setting, (0.42, 0.46, 0.1, 0.02))))
    color = pick_color(rng, (PLASTERS, BRICKS, PANELS, PANELS)[pattern])
    shop_share = {"city": 0.6, "town": 0.55, "suburb": 0.08, "park": 0.2, "rural": 0.03}[setting]
    ground = 1 if rng.random() < shop_share else 2
    if pattern == 3:
        return color, 3, 3, float(rng.uniform(3.2, 3.9)), float(rng.uniform(1.4, 2.6)), 0.86, 0.78
    if pattern == 2 and rng.random() < 0.5:
        return (
            color,
            2,
            int(rng.integers(0, 4)),
            float(rng.uniform(3, 3.6)),
            float(rng.uniform(2, 4)),
            0.94,
            0.5,
        )
    pitch, share_u, share_v = (
        float(rng.uniform(1.9, 3.4)),
        float(rng.uniform(0.36, 0.6)),
        float(rng.uniform(0.42, 0.62)),
    )
    return color, pattern, ground, float(rng.uniform(2.7, 3.6)), pitch, share_u, share_v


def building(
    rng: np.random.Generator,
    setting: Setting,
    side: int,
    width: float,
    depth: float,
    storeys: int,
    night: float,
) -> list[Part]:
    """A building with its street front at x = 0, reaching away from the street.

    Args:
        rng: Randomness.
        setting: Kind of street.
        side: +1 when it stands on the right of the street, -1 on the left.
        width: Along the street.
        depth: Away from the street.
        storeys: Number of storeys.
        night: 0 by day, 1 at night.
    """
    color, pattern, ground, storey, pitch, share_u, share_v = _facade_style(rng, setting)
    trim = pick_color(rng, TRIMS)
    height = storeys * storey + float(rng.uniform(0.1, 0.8))
    seed = float(rng.integers(0, 200))
    lit = float(rng.uniform(0.02, 0.08)) + 0.5 * night * float(rng.uniform(0.3, 1))
    params = (storey, pitch, share_u, share_v, float(ground), seed, lit, float(pattern))
    middle = (side * depth / 2, height / 2, 0.0)
    half = (depth / 2, height / 2, width / 2)
    parts = [box(Material.FACADE, "building", middle, half, color, accent=trim, params=params)]
    parts += _roof(rng, setting, side, width, depth, height, color)
    if ground == 2 and rng.random() < 0.45:
        parts += _bays(rng, side, width, storey, storeys, params, color, trim)
    if ground == 1 and rng.random() < 0.4:
        parts.append(_awning(rng, side, width, storey, trim))
    if pattern != 3 and storeys >= 3 and rng.random() < 0.35:
        parts += _balconies(rng, side, width, storey, storeys)
    if ground == 1 and rng.random() < 0.5:
        z = float(rng.uniform(-0.4, 0.4)) * width
        size = (0.45, float(rng.uniform(0.25, 0.6)), 0.05)
        sign = pick_color(rng, TRIMS, 0.5)
        parts.append(
            box(Material.PLAIN, "building", (-side * 0.5, storey + 0.4, z), size, sign, params=(seed, 0.05))
        )
    return parts


def _roof(
    rng: np.random.Generator,
    setting: Setting,
    side: int,
    width: float,
    depth: float,
    height: float,
    wall: Vec,
) -> list[Part]:
    flat_share = {"city": 0.62, "town": 0.25, "suburb": 0.06, "park": 0.3, "rural": 0.05}[setting]
    seed = float(rng.integers(0, 200))
    if rng.random() < flat_share:
        edge = (side * depth / 2, height + 0.2, 0.0)
        dark = (wall[0] * 0.7, wall[1] * 0.7, wall[2] * 0.7)
        parts = [
            box(
                Material.PLAIN,
                "building",
                edge,
                (depth / 2 + 0.12, 0.2, width / 2 + 0.05),
                dark,
                params=(seed, 0),
            )
        ]
        if rng.random() < 0.4:
            z = float(rng.uniform(-0.3, 0.3)) * width
            house = (side * depth * 0.5, height + 1.2, z)
            parts.append(box(Material.PLAIN, "building", house, (1.6, 1.2, 1.8), dark, params=(seed, 0)))
        return parts
    color, rise = pick_color(rng, ROOFS), float(rng.uniform(0.28, 0.55))
    if rng.random() < 0.75 or width > 14:
        reach, sweep, yaw = depth / 2 + 0.3, width / 2, np.pi / 2
    else:
        reach, sweep, yaw = width / 2 + 0.25, depth / 2 + 0.3, 0.0
    ridge = 2 * reach * rise
    profile = [(-reach, 0.0), (reach, 0.0), (0.25, ridge), (-0.25, ridge)]
    middle = (side * depth / 2, height, 0.0)
    parts = [
        extruded(
            Material.ROOF,
            "building",
            profile,
            sweep,
            color,
            center=middle,
            yaw=float(yaw),
            accent=wall,
            params=(seed, 1),
        )
    ]
    for _ in range(int(rng.integers(0, 3))):
        top = height + ridge * float(rng.uniform(0.75, 1.15))
        x, z = side * depth * float(rng.uniform(0.35, 0.6)), float(rng.uniform(-0.45, 0.45)) * width
        parts.append(_chimney(rng, x, z, height, top, seed))
    return parts


def _chimney(rng: np.random.Generator, x: float, z: float, low: float, top: float, seed: float) -> Part:
    half = (0.35, (top - low) / 2 + 0.5, float(rng.uniform(0.35, 0.8)))
    return box(
        Material.MASONRY,
        "building",
        (x, low + half[1], z),
        half,
        pick_color(rng, BRICKS),
        accent=(0.2, 0.12, 0.08),
        params=(seed, 1, 0.12),
    )


def _bays(
    rng: np.random.Generator,
    side: int,
    width: float,
    storey: float,
    storeys: int,
    params: tuple[float, ...],
    color: Vec,
    trim: Vec,
) -> list[Part]:
    """Bay windows, one per house of a terrace."""
    floors = min(storeys, int(rng.integers(1, 3)))
    count = max(1, int(width / 5))
    height = floors * storey - 0.2
    look = (storey, 1.0, 0.72, 0.5, 0.0, params[5], params[6], params[7])
    reach = float(rng.uniform(0.35, 0.7))
    parts = []
    for k in range(count):
        z = (k + 0.5) / count * width - width / 2 + 0.6
        middle, half = (-side * reach / 2, height / 2, z), (reach / 2 + 0.02, height / 2, 1.05)
        parts.append(box(Material.FACADE, "building", middle, half, color, accent=trim, params=look))
    return parts


def _awning(rng: np.random.Generator, side: int, width: float, storey: float, trim: Vec) -> Part:
    reach, drop = float(rng.uniform(0.7, 1.4)), float(rng.uniform(0.3, 0.6))
    profile = [(0.0, 0.0), (0.0, drop), (-0.02, drop), (-reach, 0.0)]
    color = pick_color(rng, TRIMS, 0.4)
    start = float(rng.uniform(-0.25, 0.25)) * width
    yaw = side * np.pi / 2
    del trim
    return extruded(
        Material.PLAIN,
        "building",
        profile,
        width * float(rng.uniform(0.12, 0.24)),
        color,
        center=(0.0, storey - 0.9, start),
        yaw=float(yaw),
        params=(float(rng.integers(0, 99)), 0.0),
    )


def _balconies(rng: np.random.Generator, side: int, width: float, storey: float, storeys: int) -> list[Part]:
    columns = max(1, int(width / float(rng.uniform(4, 7))))
    color = pick_color(rng, ((0.4, 0.4, 0.4), (0.1, 0.1, 0.1), (0.6, 0.58, 0.55)))
    parts = []
    for floor in range(1, storeys):
        for k in range(columns):
            z = (k + 0.5) / columns * width - width / 2
            parts.append(
                box(
                    Material.PLAIN,
                    "building",
                    (-side * 0.5, floor * storey + 0.4, z),
                    (0.5, 0.5, 1.2),
                    color,
                    params=(float(floor * 9 + k), 0.08),
                )
            )
    return parts
