"""Means of scores over data sets."""

import math
from collections.abc import Callable, Mapping, Sequence

__all__ = ["MEANS", "arithmetic", "geometric", "harmonic"]


def arithmetic(values: Sequence[float]) -> float:
    """Return the sum over the number of values; NaN for none."""
    return sum(_checked(values)) / len(values) if values else math.nan


def geometric(values: Sequence[float]) -> float:
    """Return the root of the product of values; NaN for none, 0 as soon as one of them is."""
    if not _checked(values):
        return math.nan
    return 0.0 if 0 in values else math.exp(math.fsum(map(math.log, values)) / len(values))


def harmonic(values: Sequence[float]) -> float:
    """Return the inverse of the mean inverse; NaN for none, 0 as soon as one value is.

    MSeg ranks networks by it (Lambert et al., CVPR 2020, section 5): no data set makes up for another, so a network that
    fails on one of them ranks low however well it does elsewhere. Values as small as 0.001 are ordinary ones.
    """
    if not _checked(values):
        return math.nan
    return 0.0 if 0 in values else len(values) / math.fsum(1 / value for value in values)


MEANS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "harmonic": harmonic,
    "arithmetic": arithmetic,
    "geometric": geometric,
}
"""Every mean by its name; that of MSeg's tables comes first."""


def _checked(values: Sequence[float]) -> Sequence[float]:
    if any(value < 0 for value in values):
        raise ValueError(f"scores are not negative, but one is {min(values)}")
    return values
