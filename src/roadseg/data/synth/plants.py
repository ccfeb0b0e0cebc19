"""Trees and bushes."""

import numpy as np

from roadseg.data.synth.parts import Material, Part, blob, capsule

__all__ = ["bush", "tree"]

Vec = tuple[float, float, float]


def _green(rng: np.random.Generator, season: float) -> tuple[Vec, Vec]:
    """Lit and deep color of leaves; ``season`` 0 is summer, 1 late autumn."""
    gain = float(np.exp(rng.normal(0.15, 0.25)))
    autumn = season * float(rng.random())
    lit = (
        (0.085 + 0.3 * autumn + 0.03 * float(rng.normal())) * gain,
        (0.17 + 0.03 * autumn + 0.02 * float(rng.normal())) * gain,
        0.035 * gain,
    )
    lit = (max(lit[0], 0.02), max(lit[1], 0.03), max(lit[2], 0.01))
    return lit, (lit[0] * 0.24, lit[1] * 0.24, lit[2] * 0.28)


def tree(rng: np.random.Generator, height: float, season: float) -> list[Part]:
    """A tree; bare in ``season`` above 0.75, a conifer now and then."""
    seed = float(rng.uniform(0, 200))
    bark_gain = float(rng.uniform(0.6, 1.5))
    bark = (0.1 * bark_gain, 0.08 * bark_gain, 0.06 * bark_gain)
    if rng.random() < 0.1:
        return _conifer(rng, height, seed, bark)
    trunk = height * float(rng.uniform(0.22, 0.4))
    radius = height * float(rng.uniform(0.014, 0.028)) + 0.03
    lean = float(rng.normal(0, 0.02)) * height
    parts = [
        capsule(
            Material.BARK,
            "vegetation",
            (0, -0.2, 0),
            (lean, trunk * 1.5, 0),
            (radius * 1.2, radius * 0.75),
            bark,
            params=(seed,),
        )
    ]
    bare = season > 0.75 and rng.random() < 0.8
    parts += _branches(rng, (lean, trunk, 0.0), height - trunk, radius * 0.6, bark, seed, 2 if bare else 1)
    if bare:
        twigs = (0.12, 0.09, 0.07)
        for _ in range(5):
            parts.append(_crown(rng, lean, trunk, height, twigs, (0.05, 0.04, 0.03), seed, raggedness=1.5))
        return parts
    lit, deep = _green(rng, season)
    parts += [
        _crown(rng, lean, trunk, height, lit, deep, seed, raggedness=0.75)
        for _ in range(int(rng.integers(6, 11)))
    ]
    return parts


def _crown(
    rng: np.random.Generator,
    lean: float,
    trunk: float,
    height: float,
    lit: Vec,
    deep: Vec,
    seed: float,
    raggedness: float,
) -> Part:
    """One clump of leaves."""
    size = (height - trunk) * float(rng.uniform(0.3, 0.46))
    spread = (height - trunk) * 0.3
    x, z = rng.normal(0, 0.55, 2) * spread
    y = trunk + (height - trunk) * float(rng.uniform(0.3, 0.82))
    params = (raggedness, float(rng.uniform(0, 250)), 9.0 * size, seed + float(rng.uniform(0, 20)))
    radii = (size * 1.15, size * float(rng.uniform(0.75, 1.1)))
    return blob(
        Material.FOLIAGE, "vegetation", (lean + float(x), y, float(z)), radii, lit, accent=deep, params=params
    )


def _branches(
    rng: np.random.Generator, start: Vec, length: float, radius: float, bark: Vec, seed: float, depth: int
) -> list[Part]:
    parts = []
    for _ in range(int(rng.integers(3, 6))):
        angle, out = float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0.25, 0.7))
        reach = length * float(rng.uniform(0.45, 0.8)) * (1.0 if depth == 2 else 0.6)
        end = (
            start[0] + float(np.cos(angle)) * out * reach,
            start[1] + reach * (1 - 0.4 * out),
            start[2] + float(np.sin(angle)) * out * reach,
        )
        thin = radius * 0.4
        parts.append(capsule(Material.BARK, "vegetation", start, end, (radius, thin), bark, params=(seed,)))
        if depth > 1:
            middle = tuple((a + 2 * b) / 3 for a, b in zip(start, end, strict=True))
            parts += _branches(rng, (middle[0], middle[1], middle[2]), length * 0.45, thin, bark, seed, 0)
    return parts


def _conifer(rng: np.random.Generator, height: float, seed: float, bark: Vec) -> list[Part]:
    green: Vec = (0.035, 0.08, 0.035)
    parts = [
        capsule(
            Material.BARK, "vegetation", (0, -0.2, 0), (0, height * 0.5, 0), (0.18, 0.1), bark, params=(seed,)
        )
    ]
    for k in range(5):
        y = height * (0.24 + 0.155 * k)
        width = height * 0.2 * (1 - 0.17 * k)
        parts.append(
            blob(
                Material.FOLIAGE,
                "vegetation",
                (0, y, 0),
                (width, height * 0.17),
                green,
                accent=(0.008, 0.018, 0.008),
                params=(0.8, float(rng.uniform(0, 250)), 12.0, seed),
            )
        )
    return parts


def bush(rng: np.random.Generator, size: float, season: float) -> list[Part]:
    """A bush of two to four clumps."""
    lit, deep = _green(rng, season * 0.6)
    seed = float(rng.uniform(0, 200))
    return [
        blob(
            Material.FOLIAGE,
            "vegetation",
            (
                float(rng.normal(0, 0.4)) * size,
                size * float(rng.uniform(0.3, 0.6)),
                float(rng.normal(0, 0.4)) * size,
            ),
            (size * float(rng.uniform(0.6, 0.9)), size * float(rng.uniform(0.5, 0.7))),
            lit,
            accent=deep,
            params=(0.6, float(rng.uniform(0, 250)), 9.0 * size, seed),
        )
        for _ in range(int(rng.integers(2, 5)))
    ]
