"""Street furniture: lamps, signs, traffic lights, bollards, bins, benches, shelters, boxes."""

import numpy as np

from roadseg.data.synth.parts import Material, Part, Shape, box, capsule, panel

__all__ = ["bollard", "clutter", "lamp", "shelter", "sign", "signals", "utility_pole"]

Vec = tuple[float, float, float]
STEELS: tuple[Vec, ...] = (
    (0.3, 0.31, 0.32),
    (0.16, 0.17, 0.17),
    (0.04, 0.045, 0.045),
    (0.05, 0.1, 0.07),
    (0.42, 0.42, 0.42),
)
RED: Vec = (0.42, 0.02, 0.02)
BLUE: Vec = (0.02, 0.09, 0.4)
WHITE: Vec = (0.72, 0.72, 0.72)
YELLOW: Vec = (0.65, 0.42, 0.02)
GREEN: Vec = (0.02, 0.2, 0.1)
BLACK: Vec = (0.03, 0.03, 0.03)


def _steel(rng: np.random.Generator) -> Vec:
    return STEELS[int(rng.integers(len(STEELS)))]


def lamp(rng: np.random.Generator, side: int) -> list[Part]:
    """A street lamp that reaches over the road; ``side`` is +1 on the right of the street."""
    height, reach = float(rng.uniform(5.5, 9.5)), float(rng.uniform(0.0, 2.2))
    color = _steel(rng)
    pole = capsule(Material.PLAIN, "pole", (0, 0, 0), (0, height, 0), (0.1, 0.06), color)
    base = capsule(Material.PLAIN, "pole", (0, 0, 0), (0, 1.1, 0), (0.13, 0.12), color)
    if reach < 0.5:
        head = capsule(
            Material.LAMP, "pole", (0, height, 0), (0, height + 0.35, 0), (0.16, 0.2), (0.5, 0.5, 0.48)
        )
        return [pole, base, head]
    end = (-side * reach, height + 0.35, 0.0)
    arm = capsule(Material.PLAIN, "pole", (0, height, 0), end, (0.05, 0.04), color)
    tip = (-side * (reach + 0.6), height + 0.4, 0.0)
    return [pole, base, arm, capsule(Material.LAMP, "pole", end, tip, (0.07, 0.1), (0.5, 0.5, 0.48))]


def utility_pole(rng: np.random.Generator) -> list[Part]:
    """A wooden pole with a cross beam."""
    height = float(rng.uniform(7, 10))
    wood: Vec = (0.16, 0.12, 0.09)
    return [
        capsule(Material.BARK, "pole", (0, 0, 0), (0, height, 0), (0.14, 0.09), wood, params=(3.0,)),
        capsule(Material.BARK, "pole", (-0.8, height - 0.5, 0), (0.8, height - 0.5, 0), (0.06, 0.06), wood),
    ]


def sign(rng: np.random.Generator, facing: float, away: bool) -> list[Part]:
    """A traffic sign on its post.

    Args:
        rng: Randomness.
        facing: Heading its face looks to.
        away: Whether the camera sees its back; backs are labeled static, as in the Cityscapes definition.
    """
    height = float(rng.uniform(2.0, 2.7))
    color = _steel(rng)
    kind = int(rng.integers(0, 9))
    size = float(rng.uniform(0.28, 0.5))
    seed = float(rng.integers(0, 99))
    wide = (float(rng.uniform(0.4, 1.0)), float(rng.uniform(0.22, 0.55)))
    blue_or_green = BLUE if rng.random() < 0.5 else GREEN
    board = wide, blue_or_green, WHITE
    designs: dict[int, tuple[Shape, tuple[float, float], Vec, Vec, float]] = {
        0: (Shape.DISC, (size, size), WHITE, RED, 0.0),
        1: (Shape.DISC, (size, size), BLUE, WHITE, 1.0),
        2: (Shape.DISC, (size, size), RED, WHITE, 2.0),
        3: (Shape.TRIANGLE, (size * 1.15, size), WHITE, RED, 0.0),
        4: (Shape.TRIANGLE_DOWN, (size * 1.15, size), WHITE, RED, 5.0),
        5: (Shape.OCTAGON, (size, size), RED, WHITE, 3.0),
        6: (Shape.DIAMOND, (size, size), YELLOW, WHITE, 5.0),
        7: (Shape.RECTANGLE, (size, size), BLUE, WHITE, 1.0),
        8: (Shape.RECTANGLE, board[0], board[1], board[2], 3.0),
    }
    shape, half, main, second, design = designs[kind]
    label = "static" if away else "traffic sign"
    parts = [capsule(Material.PLAIN, "pole", (0, 0, 0), (0, height + half[1], 0), (0.04, 0.04), color)]
    # A face stands a hand's breadth before its post, on the side it looks to.
    offset = (float(np.sin(facing)) * 0.07, float(np.cos(facing)) * 0.07)

    def face(
        y: float, shape: Shape, half: tuple[float, float], main: Vec, second: Vec, design: float
    ) -> Part:
        params = (4.0 if away else design, seed)
        middle = (offset[0], y, offset[1])
        return panel(
            Material.SIGN, label, middle, half, main, shape=shape, yaw=facing, accent=second, params=params
        )

    parts.append(face(height + half[1] * 0.4, shape, half, main, second, design))
    if kind != 8 and rng.random() < 0.35:
        below = height - half[1] * 0.6 - 0.2
        parts.append(face(below, Shape.RECTANGLE, (size * 0.9, 0.16), WHITE, BLACK, 3.0))
    return parts


def signals(rng: np.random.Generator, state: int, overhead: float, facing_us: bool) -> list[Part]:
    """A traffic light.

    Args:
        rng: Randomness.
        state: Lit lamp: 0 red, 1 yellow, 2 green.
        overhead: How far an arm reaches along x, meters and sign; 0 for none.
        facing_us: Whether its lamps look towards -z (to traffic going our way).
    """
    color = _steel(rng)
    yaw = 0.0 if facing_us else float(np.pi)
    dark: Vec = BLACK if rng.random() < 0.8 else (0.35, 0.25, 0.02)
    parts = [capsule(Material.PLAIN, "pole", (0, 0, 0), (0, 3.3, 0), (0.065, 0.06), color)]

    def head(x: float, y: float, lamps: int, size: float) -> list[Part]:
        half = (size, size * lamps, 0.12)
        z = -0.16 if facing_us else 0.16
        out = [
            box(
                Material.SIGNAL,
                "traffic light",
                (x, y, z),
                half,
                dark,
                yaw=yaw,
                params=(float(state), float(lamps)),
            )
        ]
        if plate:
            back = (size + 0.14, size * lamps + 0.14)
            out.append(panel(Material.PLAIN, "traffic light", (x, y, 0.0), back, BLACK))
        return out

    plate = rng.random() < 0.35
    parts += head(0.0, float(rng.uniform(2.5, 3.1)), 3, float(rng.uniform(0.15, 0.21)))
    if rng.random() < 0.4:
        plate = False
        parts += head(0.0, 1.9, 2, 0.11)
    if overhead:
        parts.append(capsule(Material.PLAIN, "pole", (0, 0, 0), (0, 5.6, 0), (0.09, 0.07), color))
        parts.append(capsule(Material.PLAIN, "pole", (0, 5.5, 0), (overhead, 5.9, 0), (0.06, 0.05), color))
        parts += head(overhead, 5.55, 3, 0.2)
    return parts


def bollard(rng: np.random.Generator) -> list[Part]:
    """A bollard (class pole)."""
    height = float(rng.uniform(0.75, 1.05))
    return [capsule(Material.PLAIN, "pole", (0, 0, 0), (0, height, 0), (0.07, 0.06), _steel(rng))]


def clutter(rng: np.random.Generator) -> list[Part]:
    """A bin, bench, cabinet, mailbox or heap of bags (class static or dynamic)."""
    kind = int(rng.integers(0, 5))
    seed = float(rng.integers(0, 99))
    if kind == 0:
        return [capsule(Material.PLAIN, "static", (0, 0.3, 0), (0, 0.8, 0), (0.24, 0.24), _steel(rng))]
    if kind == 1:
        wood: Vec = (0.25, 0.15, 0.08)
        seat = box(Material.PLAIN, "static", (0, 0.45, 0), (0.22, 0.04, 0.8), wood, params=(seed, 0))
        back = box(Material.PLAIN, "static", (0.2, 0.72, 0), (0.03, 0.2, 0.8), wood, params=(seed, 0))
        feet = [box(Material.PLAIN, "static", (0, 0.22, z), (0.2, 0.22, 0.05), BLACK) for z in (-0.65, 0.65)]
        return [seat, back, *feet]
    if kind == 2:
        color: Vec = RED if rng.random() < 0.5 else (0.2, 0.22, 0.2)
        return [
            box(
                Material.PLAIN,
                "static",
                (0, 0.6, 0),
                (0.25, 0.6, float(rng.uniform(0.25, 0.6))),
                color,
                params=(seed, 0),
            )
        ]
    if kind == 3:
        bin_color: Vec = (0.03, 0.07, 0.04) if rng.random() < 0.6 else (0.03, 0.03, 0.035)
        return [
            box(
                Material.PLAIN,
                "dynamic",
                (0, 0.55, k * 0.65),
                (0.3, 0.5, 0.28),
                bin_color,
                params=(seed + k, 0),
            )
            for k in range(int(rng.integers(1, 4)))
        ]
    return [
        capsule(
            Material.CLOTH,
            "dynamic",
            (0, 0.18, 0.3 * k),
            (0, 0.3, 0.3 * k),
            (0.22, 0.13),
            BLACK,
            params=(seed,),
        )
        for k in range(2)
    ]


def shelter(rng: np.random.Generator, side: int) -> list[Part]:
    """A bus shelter with glass walls (class static, its poster too)."""
    frame = _steel(rng)
    roof = box(Material.PLAIN, "static", (0, 2.4, 0), (0.75, 0.06, 1.9), frame)
    posts = [
        capsule(Material.PLAIN, "pole", (side * 0.6, 0, z), (side * 0.6, 2.4, z), (0.04, 0.04), frame)
        for z in (-1.8, 1.8)
    ]
    back = panel(
        Material.PLAIN,
        "static",
        (side * 0.6, 1.3, 0),
        (1.8, 1.0),
        (0.3, 0.35, 0.35),
        yaw=float(np.pi / 2),
        params=(0, 0.4),
        alpha=0.35,
    )
    hue = rng.uniform(0.05, 0.5, 3)
    poster: Vec = (float(hue[0]), float(hue[1]), float(hue[2]))
    board = box(
        Material.PLAIN,
        "static",
        (0, 1.25, 1.85),
        (0.6, 0.95, 0.06),
        poster,
        params=(float(rng.integers(99)), 0.1),
    )
    return [roof, *posts, back, board]
