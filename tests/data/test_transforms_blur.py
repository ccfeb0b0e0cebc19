import math

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as TF

from roadseg.data.transforms.blur import Blur, bilateral_blur, gaussian_blur


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, height, width), dtype=np.uint8)


@pytest.mark.parametrize("sigma", [0.15, 0.4, 0.8, 1.1, 1.3, 3.0])
def test_a_gaussian_blur_is_torchvisions(sigma):
    image = noise(40, 50)
    radius = math.ceil(3 * sigma)
    expected = TF.gaussian_blur(torch.from_numpy(image), [2 * radius + 1] * 2, [sigma] * 2).numpy()
    difference = np.abs(gaussian_blur(image, sigma).astype(int) - expected)[:, radius:-radius, radius:-radius]
    assert difference.max() <= 2
    assert difference.mean() <= 0.6


def test_a_flat_image_stays_flat_under_a_blur():
    for value in (0, 124, 255):
        image = np.full((3, 9, 12), value, np.uint8)
        np.testing.assert_array_equal(gaussian_blur(image, 1.3), image)
        np.testing.assert_array_equal(bilateral_blur(image, 0.7), image)


@pytest.mark.parametrize("sigma", [0.05, 0.4, 0.75])
def test_a_bilateral_blur_follows_its_formula(sigma):
    image = noise(7, 9)
    values = image.astype(float)
    spread, radius = values.std(), max(1, round(3 * sigma))
    expected = np.empty_like(values)
    for row in range(7):
        for column in range(9):
            total, weights = np.zeros(3), 0.0
            for y in range(max(0, row - radius), min(7, row + radius + 1)):
                for x in range(max(0, column - radius), min(9, column + radius + 1)):
                    color = ((values[:, y, x] - values[:, row, column]) ** 2).sum() / (2 * spread**2)
                    space = ((y - row) ** 2 + (x - column) ** 2) / (2 * sigma**2)
                    weight = math.exp(-color - space)
                    total += weight * values[:, y, x]
                    weights += weight
            expected[:, row, column] = total / weights
    assert np.abs(bilateral_blur(image, sigma) - expected).max() <= 0.51


def test_a_bilateral_blur_spares_an_edge_that_a_gaussian_softens():
    image = np.full((3, 20, 20), 20, np.uint8)
    image[:, :, 10:] = 230
    edge = [
        int(blurred[0, 10, 10]) - int(blurred[0, 10, 9])
        for blurred in (bilateral_blur(image, 0.75), gaussian_blur(image, 0.75))
    ]
    assert edge[0] > 190 > edge[1]


def test_a_single_pixel_can_be_blurred():
    pixel = np.array([[[1]], [[2]], [[3]]], np.uint8)
    np.testing.assert_array_equal(bilateral_blur(pixel, 0.7), pixel)
    np.testing.assert_array_equal(gaussian_blur(pixel, 0.7), pixel)


def test_a_blur_happens_as_often_as_asked():
    image = noise(8, 8)
    blur = Blur(kind="gaussian", sigma=(0.8, 1.3), probability=0.25)
    rng = np.random.default_rng(0)
    changed = sum(not np.array_equal(blur(rng, image), image) for _ in range(400))
    assert 70 < changed < 130
