"""Vehicles: cars, vans, trucks, buses, trams, bicycles and motorcycles. Frame: origin on the ground, z ahead."""

from dataclasses import dataclass

import numpy as np

from roadseg.data.synth.parts import Material, Part, Shape, box, capsule, extruded, panel, wheel

__all__ = ["Body", "bicycle", "bus", "car", "motorcycle", "tram", "truck", "van"]

Vec = tuple[float, float, float]

PAINTS: tuple[Vec, ...] = (
    (0.6, 0.6, 0.6),
    (0.36, 0.37, 0.38),
    (0.16, 0.165, 0.17),
    (0.02, 0.02, 0.022),
    (0.02, 0.02, 0.022),
    (0.02, 0.05, 0.2),
    (0.3, 0.015, 0.015),
    (0.04, 0.12, 0.07),
    (0.25, 0.2, 0.13),
    (0.06, 0.16, 0.35),
    (0.5, 0.3, 0.03),
)
TIRE: Vec = (0.022, 0.022, 0.024)


@dataclass(frozen=True, eq=False)
class Body:
    """Parts of a vehicle with its size on the ground."""

    parts: list[Part]
    half_width: float
    half_length: float


def _paint(rng: np.random.Generator) -> Vec:
    base = np.array(PAINTS[int(rng.integers(len(PAINTS)))]) * np.exp(rng.normal(0, 0.15))
    r, g, b = np.clip(base, 0.012, 0.8)
    return float(r), float(g), float(b)


def _wheels(label: str, half_width: float, axles: tuple[float, ...], radius: float, rim: Vec) -> list[Part]:
    wide = 0.11
    return [
        wheel(label, (side * (half_width - wide + 0.012), radius, z), radius, wide, TIRE, rim)
        for z in axles
        for side in (-1, 1)
    ]


def car(rng: np.random.Generator, lights: float, braking: float) -> Body:
    """A passenger car: hatchback, saloon, estate or off-roader."""
    kind = int(rng.choice(4, p=(0.38, 0.3, 0.17, 0.15)))
    length = (3.9, 4.5, 4.6, 4.6)[kind] * float(rng.uniform(0.94, 1.05))
    width = float(rng.uniform(1.64, 1.86))
    height = (1.46, 1.43, 1.47, 1.72)[kind] * float(rng.uniform(0.97, 1.03))
    color, seed = _paint(rng), float(rng.integers(0, 200))
    rim: Vec = (0.4, 0.41, 0.42) if rng.random() < 0.7 else (0.1, 0.1, 0.1)
    half, w = length / 2, width / 2
    belt = height * 0.63
    radius = 0.31 + 0.04 * (kind == 3)
    front, rear = half - 0.82, -half + 0.75
    floor = 0.2 + 0.07 * (kind == 3)
    nose = belt * float(rng.uniform(0.74, 0.84))
    cowl = half - length * 0.25
    tail_deck = -half + length * 0.17 if kind == 1 else -half + 0.1
    params = (half, belt, front, rear, radius, seed, lights, braking)
    profile = [
        (-half + 0.1, floor),
        (half - 0.14, floor),
        (half, floor + 0.25),
        (half - 0.08, nose),
        (cowl, belt),
        (-half + 0.06, belt),
        (-half, floor + 0.35),
    ]
    label = "car"
    lower = extruded(Material.PAINT, label, profile, w, color, lean=0.03, chamfer=0.16, params=params)
    roof_front, base_front = half - length * 0.43, cowl + 0.12
    roof_rear = {0: -half + 0.5, 1: -half + length * 0.32, 2: -half + 0.35, 3: -half + 0.3}[kind]
    middle = (base_front + tail_deck) / 2
    cabin = [
        (tail_deck - middle, belt - 0.02),
        (base_front - middle, belt - 0.02),
        (roof_front - middle, height - 0.03),
        ((roof_front + roof_rear) / 2 - middle, height),
        (roof_rear - middle, height - 0.04),
    ]
    look = (belt, height, (base_front - tail_deck) / 2, 3.0 if kind in (2, 3) else 2.0, seed, 1.0)
    upper = extruded(
        Material.CABIN, label, cabin, w - 0.05, color, center=(0.0, 0.0, middle), lean=0.3, params=look
    )
    mirrors = [
        box(
            Material.PLAIN,
            label,
            (side * (w + 0.07), belt + 0.08, base_front - 0.45),
            (0.09, 0.07, 0.05),
            color,
            params=(seed, 0.1),
        )
        for side in (-1, 1)
    ]
    parts = [lower, upper, *mirrors, *_wheels(label, w, (front, rear), radius, rim)]
    return Body(parts, w, half)


def van(rng: np.random.Generator, lights: float, braking: float) -> Body:
    """A delivery van (labeled car, as such vans are in the Cityscapes definition of the class)."""
    half, w, height = (
        float(rng.uniform(2.2, 2.7)),
        float(rng.uniform(0.92, 1.0)),
        float(rng.uniform(1.9, 2.4)),
    )
    white = rng.random() < 0.6
    gray = float(rng.uniform(0.5, 0.7))
    color: Vec = (gray, gray, gray) if white else _paint(rng)
    seed = float(rng.integers(0, 200))
    belt = 1.15
    front, rear, radius = half - 0.85, -half + 0.9, 0.34
    profile = [
        (-half + 0.04, 0.24),
        (half - 0.1, 0.24),
        (half, 0.5),
        (half - 0.05, 0.95),
        (half - 0.55, belt),
        (-half, belt),
    ]
    params = (half, belt, front, rear, radius, seed, lights, braking)
    lower = extruded(Material.PAINT, "car", profile, w, color, lean=0.02, chamfer=0.12, params=params)
    base_front = half - 0.5
    middle = (base_front - half) / 2
    cabin = [
        (-half - middle, belt - 0.02),
        (base_front - middle, belt - 0.02),
        (base_front - 0.7 - middle, height - 0.08),
        (base_front - 1.0 - middle, height),
        (-half + 0.06 - middle, height),
    ]
    look = (belt, height * 0.94, (base_front + half) / 2, 4.0, seed, float(rng.random() < 0.3))
    upper = extruded(
        Material.CABIN, "car", cabin, w - 0.02, color, center=(0, 0, middle), lean=0.09, params=look
    )
    return Body([lower, upper, *_wheels("car", w, (front, rear), radius, (0.3, 0.3, 0.3))], w, half)


def truck(rng: np.random.Generator, lights: float, braking: float) -> Body:
    """A truck with a cab and a box."""
    half, w = float(rng.uniform(3.2, 4.8)), float(rng.uniform(1.1, 1.25))
    height = float(rng.uniform(2.8, 3.7))
    seed = float(rng.integers(0, 200))
    color = _paint(rng)
    shade = float(rng.uniform(0.25, 0.7))
    cargo: Vec = (shade, shade, shade) if rng.random() < 0.6 else _paint(rng)
    label, radius, deck = "truck", 0.46, 0.95
    cab_length, cab_height = 1.9, min(height, 2.7)
    front, rear = half - 1.0, -half + 1.4
    params = (half, 1.5, front, rear, radius, seed, lights, braking)
    profile = [
        (half - cab_length, 0.4),
        (half - 0.05, 0.4),
        (half, 0.8),
        (half - 0.04, 1.5),
        (half - cab_length, 1.5),
    ]
    lower = extruded(Material.PAINT, label, profile, w, color, chamfer=0.08, params=params)
    middle = half - cab_length / 2
    cabin = [
        (-cab_length / 2, 1.48),
        (cab_length / 2 - 0.05, 1.48),
        (cab_length / 2 - 0.25, cab_height),
        (-cab_length / 2, cab_height),
    ]
    look = (1.5, cab_height, cab_length / 2, 2.0, seed, 0.0)
    upper = extruded(Material.CABIN, label, cabin, w, color, center=(0, 0, middle), lean=0.03, params=look)
    load = (height - deck) / 2
    span = half - cab_length / 2 - 0.1
    body = box(
        Material.COACH,
        label,
        (0, deck + load, -half + span),
        (w + 0.04, load, span),
        cargo,
        accent=_paint(rng),
        params=(0.0, 0.0, 0.0, 1.0, seed, lights, deck, deck + 0.25 if rng.random() < 0.4 else 0.0),
    )
    chassis = box(Material.PLAIN, label, (0, 0.72, -0.4), (w * 0.8, 0.22, half - 0.8), (0.03, 0.03, 0.03))
    bumper = box(Material.PLAIN, label, (0, 0.62, -half + 0.05), (w * 0.9, 0.1, 0.06), (0.25, 0.03, 0.03))
    axles = (front, rear, rear + 1.2) if half > 4.2 else (front, rear)
    return Body(
        [lower, upper, body, chassis, bumper, *_wheels(label, w, axles, radius, (0.2, 0.2, 0.2))], w, half
    )


def bus(rng: np.random.Generator, lights: float, braking: float) -> Body:
    """A city bus, sometimes with an upper deck."""
    half, w = float(rng.uniform(4.6, 6.1)), 1.26
    double = rng.random() < 0.25
    height = 4.2 if double else float(rng.uniform(2.9, 3.2))
    seed = float(rng.integers(0, 200))
    colors: tuple[Vec, ...] = (
        (0.45, 0.03, 0.03),
        (0.55, 0.42, 0.05),
        (0.55, 0.55, 0.53),
        (0.04, 0.14, 0.35),
        (0.05, 0.26, 0.16),
        (0.5, 0.45, 0.35),
    )
    color = colors[int(rng.integers(len(colors)))]
    accent = colors[int(rng.integers(len(colors)))]
    floor, label = 0.3, "bus"
    body_height = 2.45 if double else height
    params = (1.0, 1.15, body_height - 0.55, float(rng.uniform(1.1, 1.8)), seed, lights, floor, 0.75)
    parts = [
        box(
            Material.COACH,
            label,
            (0, (floor + body_height) / 2, 0),
            (w, (body_height - floor) / 2, half),
            color,
            accent=accent,
            params=params,
        )
    ]
    if double:
        top = (1.0, 2.85, height - 0.45, params[3], seed, 0.0, body_height, 0.0)
        middle = (0.0, (body_height + height) / 2, 0.0)
        parts.append(
            box(
                Material.COACH,
                label,
                middle,
                (w, (height - body_height) / 2, half - 0.1),
                color,
                accent=accent,
                params=top,
            )
        )
    parts += _wheels(label, w, (half - 2.4, -half + 2.9), 0.47, (0.25, 0.25, 0.25))
    del braking
    return Body(parts, w, half)


def tram(rng: np.random.Generator, lights: float) -> Body:
    """A tram of three sections on the rails (class train)."""
    half, w, height = 12.0, 1.22, 3.4
    seed = float(rng.integers(0, 200))
    colors: tuple[Vec, ...] = ((0.5, 0.06, 0.05), (0.5, 0.45, 0.3), (0.5, 0.4, 0.03), (0.55, 0.56, 0.56))
    color = colors[int(rng.integers(len(colors)))]
    params = (1.0, 1.2, 2.65, 1.5, seed, lights, 0.35, 0.8)
    parts = []
    for k in (-1, 0, 1):
        middle = (0.0, (0.35 + height) / 2, k * 8.0)
        size = (w, (height - 0.35) / 2, 3.75)
        parts.append(box(Material.COACH, "train", middle, size, color, accent=(0.5, 0.5, 0.5), params=params))
        gap = (0.0, 1.7, k * 8.0)
        parts.append(
            box(Material.PLAIN, "train", gap, (w * 0.9, 1.4, 4.0), (0.05, 0.05, 0.05), params=(seed, 0))
        )
    return Body(parts, w, half)


def _ring(label: str, middle: Vec, radius: float, thick: float, color: Vec) -> list[Part]:
    """A bicycle wheel in the plane x = const: a tire of capsules and a veil for the spokes."""
    count = 10
    angles = np.arange(count + 1) * (2 * np.pi / count)
    points = [
        (middle[0], middle[1] + radius * float(np.sin(a)), middle[2] + radius * float(np.cos(a)))
        for a in angles
    ]
    ring = [
        capsule(Material.CLOTH, label, points[k], points[k + 1], (thick, thick), color, params=(3.0,))
        for k in range(count)
    ]
    spokes = panel(
        Material.PLAIN,
        label,
        middle,
        (radius, radius),
        (0.2, 0.2, 0.2),
        shape=Shape.DISC,
        yaw=float(np.pi / 2),
        alpha=0.25,
    )
    return [*ring, spokes]


def bicycle(rng: np.random.Generator) -> Body:
    """A bicycle."""
    label = "bicycle"
    colors: tuple[Vec, ...] = (
        (0.03, 0.03, 0.03),
        (0.3, 0.02, 0.02),
        (0.02, 0.08, 0.3),
        (0.5, 0.5, 0.5),
        (0.04, 0.2, 0.08),
    )
    color = colors[int(rng.integers(len(colors)))]
    radius, base = 0.33, 0.52
    hub_front, hub_rear = (0.0, radius, base), (0.0, radius, -base)
    crank, seat, head = (0.0, 0.29, -0.06), (0.0, 0.84, -0.22), (0.0, 0.84, 0.36)
    grip = (0.0, 1.0, 0.32)
    tubes = [
        (hub_rear, crank),
        (crank, seat),
        (hub_rear, (0.0, 0.74, -0.19)),
        (crank, (0.0, 0.76, 0.38)),
        ((0.0, 0.74, -0.19), head),
        (hub_front, head),
        (head, grip),
    ]
    parts = [capsule(Material.CLOTH, label, a, b, (0.02, 0.02), color, params=(1.0,)) for a, b in tubes]
    parts.append(
        capsule(
            Material.CLOTH, label, (-0.27, 1.0, 0.26), (0.27, 1.0, 0.26), (0.018, 0.018), (0.05, 0.05, 0.05)
        )
    )
    parts.append(
        capsule(Material.CLOTH, label, (0, 0.87, -0.34), (0, 0.88, -0.12), (0.07, 0.03), (0.02, 0.02, 0.02))
    )
    parts += _ring(label, hub_front, radius, 0.022, TIRE) + _ring(label, hub_rear, radius, 0.022, TIRE)
    if rng.random() < 0.3:
        parts.append(box(Material.PLAIN, label, (0, 0.95, 0.5), (0.17, 0.12, 0.14), (0.16, 0.12, 0.08)))
    return Body(parts, 0.28, 0.85)


def motorcycle(rng: np.random.Generator, lights: float) -> Body:
    """A motorcycle or scooter."""
    label, color = "motorcycle", _paint(rng)
    dark: Vec = (0.03, 0.03, 0.03)
    parts = [
        capsule(Material.CLOTH, label, (0, 0.55, -0.25), (0, 0.62, 0.25), (0.2, 0.17), dark),
        capsule(Material.CLOTH, label, (0, 0.82, -0.05), (0, 0.84, 0.28), (0.14, 0.15), color),
        capsule(Material.CLOTH, label, (0, 0.8, -0.75), (0, 0.78, -0.1), (0.09, 0.13), dark),
        capsule(Material.CLOTH, label, (0, 0.32, 0.72), (0, 0.95, 0.46), (0.05, 0.05), (0.3, 0.3, 0.3)),
        capsule(Material.CLOTH, label, (-0.36, 1.06, 0.36), (0.36, 1.06, 0.36), (0.025, 0.025), dark),
        capsule(Material.CLOTH, label, (0, 0.32, -0.68), (0, 0.45, -0.1), (0.07, 0.1), (0.25, 0.25, 0.25)),
        capsule(
            Material.LAMP if lights else Material.PLAIN,
            label,
            (0, 0.9, 0.5),
            (0, 0.9, 0.56),
            (0.1, 0.09),
            (0.6, 0.6, 0.6),
        ),
    ]
    parts += [wheel(label, (0, 0.31, z), 0.31, 0.07, TIRE, (0.3, 0.3, 0.3)) for z in (-0.7, 0.74)]
    return Body(parts, 0.36, 1.05)
