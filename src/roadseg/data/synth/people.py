"""People, riders and dogs: jointed figures of capsules. Frame: origin on the ground, z ahead."""

from dataclasses import dataclass

import numpy as np

from roadseg.data.synth.parts import Material, Part, box, capsule

__all__ = ["Looks", "cyclist", "draw_looks", "walker"]

Vec = tuple[float, float, float]

SKINS: tuple[Vec, ...] = (
    (0.5, 0.3, 0.22),
    (0.42, 0.24, 0.16),
    (0.25, 0.13, 0.08),
    (0.1, 0.055, 0.035),
    (0.55, 0.36, 0.28),
)
HAIRS: tuple[Vec, ...] = (
    (0.02, 0.015, 0.012),
    (0.07, 0.04, 0.02),
    (0.25, 0.16, 0.06),
    (0.3, 0.3, 0.3),
    (0.12, 0.05, 0.02),
)
TOPS: tuple[Vec, ...] = (
    (0.02, 0.02, 0.025),
    (0.03, 0.04, 0.09),
    (0.12, 0.12, 0.13),
    (0.3, 0.03, 0.03),
    (0.5, 0.5, 0.5),
    (0.05, 0.12, 0.25),
    (0.1, 0.14, 0.07),
    (0.35, 0.25, 0.15),
    (0.5, 0.32, 0.02),
    (0.45, 0.6, 0.05),
    (0.3, 0.08, 0.2),
)
LEGS: tuple[Vec, ...] = (
    (0.02, 0.025, 0.05),
    (0.015, 0.015, 0.018),
    (0.06, 0.08, 0.14),
    (0.2, 0.16, 0.1),
    (0.1, 0.1, 0.1),
)


@dataclass(frozen=True)
class Looks:
    """One person.

    Attributes:
        size: Body height over 1.75 m.
        build: Factor on all widths.
        skin: Color.
        hair: Color.
        top: Color of the jacket.
        legs: Color of the trousers.
        long_coat: Whether the coat reaches the knees.
        bag: 0 none, 1 backpack, 2 bag in the hand.
        phase: Where in its stride the person is at time 0, radians.
        seed: Folds of the clothes.
        helmet: Whether a rider wears one.
    """

    size: float
    build: float
    skin: Vec
    hair: Vec
    top: Vec
    legs: Vec
    long_coat: bool
    bag: int
    phase: float
    seed: float
    helmet: bool


def draw_looks(rng: np.random.Generator) -> Looks:
    """Somebody."""

    def pick(colors: tuple[Vec, ...]) -> Vec:
        r, g, b = np.clip(
            np.array(colors[int(rng.integers(len(colors)))]) * np.exp(rng.normal(0, 0.25)), 0.01, 0.8
        )
        return float(r), float(g), float(b)

    child = rng.random() < 0.1
    return Looks(
        size=float(rng.uniform(0.6, 0.8)) if child else float(rng.normal(0.985, 0.05)),
        build=float(rng.uniform(0.85, 1.25)),
        skin=pick(SKINS),
        hair=pick(HAIRS),
        top=pick(TOPS),
        legs=pick(LEGS),
        long_coat=bool(rng.random() < 0.25),
        bag=int(rng.choice(3, p=(0.55, 0.25, 0.2))),
        phase=float(rng.uniform(0, 2 * np.pi)),
        seed=float(rng.integers(0, 200)),
        helmet=bool(rng.random() < 0.5),
    )


def _limb(
    label: str, looks: Looks, joints: list[Vec], radii: tuple[float, ...], color: Vec, last: Vec | None = None
) -> list[Part]:
    """Capsules from joint to joint; ``last`` recolors the last one."""
    parts = []
    for k in range(len(joints) - 1):
        tone = last if last is not None and k == len(joints) - 2 else color
        pair = (radii[k] * looks.build, radii[k + 1] * looks.build)
        parts.append(
            capsule(Material.CLOTH, label, joints[k], joints[k + 1], pair, tone, params=(looks.seed + 7 * k,))
        )
    return parts


def _head(label: str, looks: Looks, neck: Vec, forward: float) -> list[Part]:
    size = looks.size
    x, y, z = neck
    face = capsule(
        Material.CLOTH,
        label,
        (x, y + 0.11 * size, z + forward),
        (x, y + 0.17 * size, z + forward),
        (0.085 * size, 0.095 * size),
        looks.skin,
    )
    hair = capsule(
        Material.CLOTH,
        label,
        (x, y + 0.13 * size, z + forward - 0.035),
        (x, y + 0.2 * size, z + forward - 0.02),
        (0.088 * size, 0.094 * size),
        looks.hair,
    )
    throat = capsule(
        Material.CLOTH,
        label,
        (x, y - 0.05 * size, z),
        (x, y + 0.08 * size, z + forward),
        (0.06, 0.055),
        looks.skin,
    )
    return [throat, face, hair]


def walker(looks: Looks, time: float, speed: float, label: str = "person") -> list[Part]:
    """A person who walks (or stands, at speed 0) at a time."""
    size = looks.size
    stride = min(speed / 1.4, 1.6)
    turn = looks.phase + time * 2 * np.pi * 0.9 * (1.0 if speed > 0 else 0.0)
    hip, shoulder = 0.9 * size, 1.42 * size
    parts: list[Part] = []
    for side in (-1, 1):
        swing = float(np.sin(turn + (0 if side < 0 else np.pi))) * 0.42 * stride
        bend = max(0.0, float(np.cos(turn + (0 if side < 0 else np.pi)))) * 0.5 * stride
        x = 0.09 * size * side * looks.build
        knee = (x, hip - 0.43 * size * float(np.cos(swing)), 0.43 * size * float(np.sin(swing)))
        shin = swing - bend
        ankle = (x, knee[1] - 0.41 * size * float(np.cos(shin)), knee[2] + 0.41 * size * float(np.sin(shin)))
        toe = (x, ankle[1] - 0.03 * size, ankle[2] + 0.15 * size)
        parts += _limb(
            label,
            looks,
            [(x, hip, 0), knee, ankle, toe],
            (0.085, 0.06, 0.045, 0.04),
            looks.legs,
            (0.02, 0.018, 0.015),
        )
        arm_x = 0.2 * size * side * looks.build
        swing_arm = -swing * 0.8 + 0.05
        elbow = (
            arm_x + 0.03 * side,
            shoulder - 0.03 - 0.29 * size * float(np.cos(swing_arm)),
            0.29 * size * float(np.sin(swing_arm)),
        )
        wrist = (elbow[0], elbow[1] - 0.24 * size, elbow[2] + 0.1 * size)
        hand = (wrist[0], wrist[1] - 0.08 * size, wrist[2] + 0.03)
        parts += _limb(
            label,
            looks,
            [(arm_x, shoulder - 0.03, 0), elbow, wrist, hand],
            (0.06, 0.05, 0.04, 0.035),
            looks.top,
            looks.skin,
        )
        if looks.bag == 2 and side > 0:
            parts.append(
                box(Material.PLAIN, label, (hand[0], hand[1] - 0.2, hand[2]), (0.06, 0.17, 0.17), looks.hair)
            )
    # Two capsules side by side make the trunk broader than deep.
    for side in (-1, 1):
        x = 0.085 * size * side * looks.build
        parts += _limb(
            label, looks, [(x * 0.8, hip, 0), (x * 1.15, shoulder - 0.07, 0)], (0.115, 0.125), looks.top
        )
        if looks.long_coat:
            parts += _limb(
                label, looks, [(x, hip, 0), (x * 1.2, hip - 0.36 * size, 0)], (0.12, 0.14), looks.top
            )
    if looks.bag == 1:
        back = (0.0, shoulder - 0.22, -0.17)
        parts.append(
            capsule(Material.CLOTH, label, back, (0.0, shoulder - 0.08, -0.16), (0.15, 0.13), looks.legs)
        )
    return parts + _head(label, looks, (0.0, shoulder + 0.02, 0.0), 0.02)


def cyclist(looks: Looks, time: float, cadence: float, motor: bool) -> list[Part]:
    """The rider of a bicycle or motorcycle (class rider), feet on the pedals."""
    label, size = "rider", looks.size
    seat = 0.9 if motor else 0.96
    lean = 0.18 if motor else 0.26
    hip = (0.0, seat + 0.02, -0.24)
    chest = (0.0, seat + 0.47 * size, -0.24 + lean)
    grips = (0.3 if motor else 0.25, 1.06, 0.34 if motor else 0.28)
    parts: list[Part] = []
    for side in (-1, 1):
        turn = looks.phase + time * cadence + (0 if side < 0 else np.pi)
        x = 0.1 * side
        if motor:
            foot = (0.17 * side, 0.33, -0.02)
        else:
            foot = (x, 0.29 + 0.17 * float(np.sin(turn)), -0.06 + 0.17 * float(np.cos(turn)))
        knee = _joint(hip, foot, 0.45 * size, 0.46 * size)
        knee = (x * 1.3, knee[1], knee[2])
        toe = (foot[0], foot[1] - 0.02, foot[2] + 0.14)
        start = (x, hip[1], hip[2])
        parts += _limb(
            label,
            looks,
            [start, knee, foot, toe],
            (0.095, 0.065, 0.048, 0.04),
            looks.legs,
            (0.02, 0.02, 0.02),
        )
        shoulder = (0.19 * side * looks.build, chest[1], chest[2])
        hand = (grips[0] * side, grips[1], grips[2])
        elbow = (
            (shoulder[0] + hand[0]) / 2 + 0.06 * side,
            (shoulder[1] + hand[1]) / 2 - 0.09,
            (shoulder[2] + hand[2]) / 2 - 0.05,
        )
        parts += _limb(label, looks, [shoulder, elbow, hand], (0.06, 0.05, 0.04), looks.top)
        trunk = (0.08 * side * looks.build, chest[1] - 0.02, chest[2])
        parts += _limb(label, looks, [(x * 0.7, hip[1], hip[2]), trunk], (0.125, 0.13), looks.top)
    neck = (0.0, chest[1] + 0.06, chest[2] + 0.02)
    parts += _head(label, looks, neck, 0.05)
    if looks.bag == 1:
        parts.append(
            capsule(
                Material.CLOTH,
                label,
                (0, chest[1] - 0.2, chest[2] - 0.24),
                (0, chest[1] - 0.03, chest[2] - 0.17),
                (0.14, 0.12),
                looks.legs,
            )
        )
    if looks.helmet or motor:
        top = (neck[0], neck[1] + 0.19 * size, neck[2] + 0.04)
        shell: Vec = (0.5, 0.5, 0.5) if looks.seed % 2 else (0.04, 0.04, 0.05)
        low = (neck[0], neck[1] + (0.13 if motor else 0.17) * size, neck[2] + 0.03)
        parts.append(capsule(Material.PLAIN, label, low, top, (0.125, 0.12), shell))
    return parts


def _joint(start: Vec, end: Vec, upper: float, lower: float) -> Vec:
    """The knee between hip and foot in the plane of travel, bent forwards."""
    dy, dz = end[1] - start[1], end[2] - start[2]
    gap = min(float(np.hypot(dy, dz)), upper + lower - 1e-3)
    along = (upper * upper - lower * lower + gap * gap) / (2 * gap)
    out = float(np.sqrt(max(upper * upper - along * along, 0.0)))
    uy, uz = dy / gap, dz / gap
    return start[0], start[1] + uy * along + uz * out, start[2] + uz * along - uy * out
