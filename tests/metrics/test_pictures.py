import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.metrics.pictures import PictureScores, end_point_error, interpolation_error, psnr, ssim


def noise(seed: int, size: tuple[int, ...] = (24, 32, 3)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)


def ssim_directly(one: np.ndarray, other: np.ndarray) -> float:
    """The formula, window by window."""
    x, y = (picture @ np.array([0.299, 0.587, 0.114]) for picture in (one, other))
    rows, columns = np.mgrid[-5:6, -5:6]
    weights = np.exp(-(rows**2 + columns**2) / (2 * 1.5**2))
    weights /= weights.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for top in range(x.shape[0] - 10):
        for left in range(x.shape[1] - 10):
            a, b = (each[top : top + 11, left : left + 11] for each in (x, y))
            mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
            var_a, var_b = (weights * (a - mean_a) ** 2).sum(), (weights * (b - mean_b) ** 2).sum()
            both = (weights * (a - mean_a) * (b - mean_b)).sum()
            values.append(
                (2 * mean_a * mean_b + c1)
                * (2 * both + c2)
                / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
            )
    return float(np.mean(values))


def test_psnr_of_a_known_error():
    black, gray = np.zeros((4, 5, 3), np.uint8), np.full((4, 5, 3), 10, np.uint8)
    assert psnr(gray, black) == pytest.approx(10 * math.log10(255**2 / 100))
    assert interpolation_error(gray, black) == pytest.approx(10)


def test_equal_pictures_score_a_number():
    picture = noise(0)
    assert psnr(picture, picture) == pytest.approx(10 * math.log10(255**2 * 12))
    assert PictureScores.of(picture, picture)[1:] == pytest.approx((1, 0))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 255))
def test_ssim_is_the_formula(seed, brightness):
    picture = noise(seed, (13, 15, 3))
    other = np.clip(0.5 * noise(seed + 1, (13, 15, 3)) + 0.3 * picture + brightness * 0.2, 0, 255).astype(
        np.uint8
    )
    assert ssim(picture, other) == pytest.approx(ssim_directly(picture, other), abs=1e-9)
    assert ssim(picture, other) == pytest.approx(ssim(other, picture), abs=1e-12)


def test_a_blurred_picture_is_worse_than_a_brighter_one_of_the_same_error():
    """What the structural similarity was invented for."""
    picture = np.clip(noise(3, (48, 64)) // 2 + 60, 0, 255).astype(np.uint8)
    brighter = picture + np.uint8(20)
    flat = np.full_like(picture, int(picture.mean()))
    share = 20 / interpolation_error(flat, picture)
    blurred = picture + share * (flat.astype(np.float64) - picture)
    assert interpolation_error(blurred, picture) == pytest.approx(20, rel=0.01)
    assert ssim(brighter, picture) > ssim(blurred, picture)


def test_end_point_error_is_a_distance_where_it_is_known():
    found, true = np.zeros((2, 2, 2), np.float32), np.zeros((2, 2, 2), np.float32)
    true[0, 0] = (3, 4)
    assert end_point_error(found, true) == pytest.approx(5 / 4)
    assert end_point_error(found, true, np.array([[True, True], [False, False]])) == pytest.approx(2.5)
    assert math.isnan(end_point_error(found, true, np.zeros((2, 2), bool)))


def test_sizes_must_agree():
    with pytest.raises(ValueError, match="differ"):
        psnr(noise(0), noise(0, (4, 4, 3)))
    with pytest.raises(ValueError, match="window"):
        ssim(noise(0, (10, 40, 3)), noise(0, (10, 40, 3)))


def test_means_are_of_each_score():
    assert PictureScores.mean([PictureScores(20, 0.5, 10), PictureScores(30, 0.7, 6)]) == pytest.approx(
        (25, 0.6, 8)
    )
