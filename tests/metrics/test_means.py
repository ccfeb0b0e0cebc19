import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.metrics.means import MEANS, arithmetic, geometric, harmonic

SCORES = st.lists(st.floats(0.001, 1.0), min_size=1, max_size=12)


def test_means_of_two():
    assert harmonic([0.25, 0.75]) == pytest.approx(0.375)
    assert arithmetic([0.25, 0.75]) == pytest.approx(0.5)
    assert geometric([0.25, 1.0]) == pytest.approx(0.5)


@given(SCORES)
@settings(max_examples=50, deadline=None)
def test_means_are_in_order_and_within_the_scores(scores):
    found = harmonic(scores), geometric(scores), arithmetic(scores)
    assert found[0] <= found[1] + 1e-12
    assert found[1] <= found[2] + 1e-12
    assert min(scores) - 1e-12 <= found[0]
    assert found[2] <= max(scores) + 1e-12


@pytest.mark.parametrize("name", list(MEANS))
def test_equal_scores_are_their_own_mean(name):
    assert MEANS[name]([0.3] * 5) == pytest.approx(0.3)


def test_a_zero_leaves_nothing_of_the_harmonic_and_the_geometric_mean():
    assert harmonic([0.0, 0.9]) == geometric([0.0, 0.9]) == 0
    assert arithmetic([0.0, 0.9]) == pytest.approx(0.45)


def test_tiny_scores_count_as_they_are():
    """MSeg's network of SUN RGB-D has 0.1 % on CamVid, and so a harmonic mean of half a percent."""
    assert harmonic([0.10, 0.043, 0.001, 0.019, 0.011, 0.426]) == pytest.approx(0.0051, abs=1e-4)


@pytest.mark.parametrize("name", list(MEANS))
def test_no_scores_have_no_mean(name):
    assert math.isnan(MEANS[name]([]))


@pytest.mark.parametrize("name", list(MEANS))
def test_what_is_not_known_has_no_mean(name):
    assert math.isnan(MEANS[name]([0.5, math.nan]))


@pytest.mark.parametrize("name", list(MEANS))
def test_negative_scores_are_refused(name):
    with pytest.raises(ValueError, match="not negative"):
        MEANS[name]([0.5, -0.1])
