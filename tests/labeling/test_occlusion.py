import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.labeling.occlusion import occluded, outside, warped


def _constant(dx, dy, size=(12, 16)):
    return np.full((*size, 2), (dx, dy), dtype=np.float32)


@settings(max_examples=30, deadline=None)
@given(dx=st.integers(-6, 6), dy=st.integers(-6, 6), dtype=st.sampled_from([np.uint8, np.uint16, np.bool_]))
def test_a_whole_shift_moves_whole_pixels(dx, dy, dtype):
    ids = np.random.default_rng(0).integers(0, 60000, (12, 16)).astype(dtype)
    moved = warped(ids, _constant(dx, dy), nearest=True)
    rows, columns = np.clip(np.arange(12) + dy, 0, 11), np.clip(np.arange(16) + dx, 0, 15)
    assert moved.dtype == dtype
    assert np.array_equal(moved, ids[np.ix_(rows, columns)])


def test_pictures_are_mixed_and_rounded():
    picture = np.zeros((2, 3, 3), dtype=np.uint8)
    picture[:, 1] = 255
    moved = warped(picture, _constant(0.5, 0, (2, 3)), nearest=False)
    assert moved.dtype == np.uint8
    assert moved[0, :, 0].tolist() == [128, 128, 0]


def test_motion_that_returns_is_kept_and_what_comes_from_outside_is_marked():
    marked = occluded(_constant(3, 0), _constant(-3, 0))
    assert marked[:, 13:].all()
    assert not marked[:, :13].any()


@pytest.mark.parametrize(("miss", "is_marked"), [(0.5, False), (0.8, True)])
def test_the_published_bound(miss, is_marked):
    # |w + w'|² = 0.25 or 0.64 against 0.5 and a hundredth of about 2.
    marked = occluded(_constant(1, 0), _constant(-1 + miss, 0))
    assert marked[:, :15].all() == marked[:, :15].any() == is_marked


def test_long_motion_may_miss_by_more():
    assert not occluded(_constant(10, 0, (4, 40)), _constant(-9, 0, (4, 40)))[:, :30].any()


def test_half_a_pixel_beyond_the_border_is_inside():
    assert not outside(_constant(0.5, 0)).any()
    assert outside(_constant(0.6, 0))[:, -1].all()
    assert outside(_constant(0, -0.6))[0].all()
