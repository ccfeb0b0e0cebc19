"""What closes a plot off from the sidewalk: walls, fences, railings, hedges, guard rails. They run along z, centered."""

from typing import Literal

import numpy as np

from roadseg.data.synth.buildings import BRICKS, PLASTERS, pick_color
from roadseg.data.synth.parts import Material, Part, Shape, blob, box, panel

__all__ = ["Boundary", "boundary"]

Boundary = Literal["wall", "fence", "railing", "mesh", "hedge", "rail"]
Vec = tuple[float, float, float]


def boundary(rng: np.random.Generator, kind: Boundary, length: float) -> list[Part]:
    """Build a boundary of a length in meters."""
    half = length / 2
    seed = float(rng.integers(0, 200))
    if kind == "wall":
        return [_wall(rng, half, seed)]
    if kind == "hedge":
        return _hedge(rng, half, seed)
    if kind == "rail":
        return _guard_rail(half, seed)
    return _fence(rng, kind, half, seed)


def _wall(rng: np.random.Generator, half: float, seed: float) -> Part:
    height = float(rng.uniform(0.6, 2.2))
    brick = rng.random() < 0.6
    color = pick_color(rng, BRICKS if brick else PLASTERS)
    return box(
        Material.MASONRY,
        "wall",
        (0.0, height / 2, 0.0),
        (0.14, height / 2, half),
        color,
        accent=(color[0] * 0.7 + 0.1, color[1] * 0.7 + 0.1, color[2] * 0.7 + 0.1),
        params=(seed, 1.0 if brick else 0.0, 0.1),
    )


def _hedge(rng: np.random.Generator, half: float, seed: float) -> list[Part]:
    height = float(rng.uniform(0.8, 2.0))
    green = (0.06 + 0.05 * float(rng.random()), 0.13 + 0.07 * float(rng.random()), 0.03)
    dark = (0.012, 0.025, 0.008)
    middle, size = (0.0, height * 0.42, 0.0), (0.4, height * 0.42, half)
    parts = [
        box(Material.FOLIAGE, "vegetation", middle, size, green, accent=dark, params=(0, 0, 0, seed)),
    ]
    count = max(1, int(half / 0.65))
    for k in range(count):
        place = (0.0, height * 0.62, (k + 0.5) * 2 * half / count - half)
        look = (0.5, float(rng.uniform(0, 250)), 9.0, seed)
        radii = (0.95, height * 0.48)
        parts.append(blob(Material.FOLIAGE, "vegetation", place, radii, green, accent=dark, params=look))
    return parts


def _guard_rail(half: float, seed: float) -> list[Part]:
    steel = (0.42, 0.43, 0.44)

    def bar(middle: Vec, size: Vec) -> Part:
        return box(Material.PLAIN, "guard rail", middle, size, steel, params=(seed, 0.05))

    posts = [bar((0.05, 0.25, float(z)), (0.05, 0.3, 0.06)) for z in np.arange(-half + 1, half, 4.0)]
    return [bar((0.0, 0.62, 0.0), (0.04, 0.15, half)), *posts]


def _fence(rng: np.random.Generator, kind: Boundary, half: float, seed: float) -> list[Part]:
    height = float(rng.uniform(0.9, 2.0))
    middle, size = (0.0, height / 2, 0.0), (half, height / 2)
    yaw = float(np.pi / 2)
    dark: Vec = (0.03, 0.04, 0.035)
    if kind == "railing":
        params = (0.14, 0.03, 0.05, seed, 0.0)
        color = pick_color(rng, (dark, (0.45, 0.46, 0.46), (0.05, 0.12, 0.06)))
        bars = panel(
            Material.PICKET, "fence", middle, size, color, shape=Shape.RAILING, yaw=yaw, params=params
        )
        # Seen from afar the bars run together; a veil stands for what single samples cannot show.
        veil = panel(Material.PICKET, "fence", middle, size, color, yaw=yaw, params=params, alpha=0.3)
        return [bars, veil]
    if kind == "mesh":
        params = (0.1, 0.01, 0.05, seed, 2.0)
        veil = panel(
            Material.PICKET, "fence", middle, size, (0.3, 0.32, 0.32), yaw=yaw, params=params, alpha=0.35
        )
        posts = [
            box(
                Material.PLAIN,
                "fence",
                (0.0, height / 2, float(z)),
                (0.03, height / 2, 0.03),
                (0.3, 0.32, 0.32),
            )
            for z in np.arange(-half, half + 0.1, 2.5)
        ]
        return [veil, *posts]
    color = pick_color(rng, ((0.3, 0.2, 0.11), (0.2, 0.16, 0.12), (0.6, 0.6, 0.57), (0.38, 0.24, 0.12)))
    params = (float(rng.uniform(0.1, 0.2)), 0.0, 0.0, seed, 1.0)
    return [
        box(Material.PLAIN, "fence", middle, (0.03, height / 2, half), color, params=(seed, 0.0)),
        panel(Material.PICKET, "fence", (-0.05, height / 2, 0.0), size, color, yaw=yaw, params=params),
        panel(Material.PICKET, "fence", (0.05, height / 2, 0.0), size, color, yaw=yaw, params=params),
    ]
