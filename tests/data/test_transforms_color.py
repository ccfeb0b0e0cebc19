import itertools

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as TF

from roadseg.data.transforms.color import ColorJitter, adjust_colors

CHANGES = {"brightness": 1.23, "contrast": 0.81, "saturation": 1.19, "hue": -0.17}
OFFICIAL = {
    "brightness": TF.adjust_brightness,
    "contrast": TF.adjust_contrast,
    "saturation": TF.adjust_saturation,
    "hue": TF.adjust_hue,
}


def picture(size: int = 96) -> np.ndarray:
    """Smooth patches of all colors with noise, some black, white and gray."""
    rng = np.random.default_rng(3)
    coarse = torch.from_numpy(rng.integers(0, 256, (1, 3, 12, 12)).astype(np.float32))
    image = torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic")[0].numpy()
    image += rng.normal(0, 8, image.shape)
    image[:, :4], image[:, 4:8], image[:, 8:12] = 0, 255, 90
    return image.clip(0, 255).astype(np.uint8)


def difference(image: np.ndarray, changes: list[tuple[str, float]]) -> np.ndarray:
    """Ours minus torchvision's, in gray levels."""
    expected = torch.from_numpy(image)
    for name, amount in changes:
        expected = OFFICIAL[name](expected, amount)
    ours = image.copy()
    adjust_colors(ours, changes)
    return ours.astype(int) - expected.numpy()


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
@pytest.mark.parametrize("factor", [0.0, 0.5, 0.75, 1.0, 1.1, 1.25, 1.5, 2.0])
def test_factors_mean_what_they_mean_in_torchvision(name, factor):
    assert np.abs(difference(picture(), [(name, factor)])).max() <= 3
    assert np.abs(difference(picture(), [(name, factor)])).mean() <= 1


@pytest.mark.parametrize(
    "turns", [-0.5, -0.41, -0.25, -0.2, -0.1, -0.02, 0.0, 0.04, 0.09, 0.17, 0.25, 0.33, 0.5]
)
def test_a_hue_shift_is_the_one_of_hsv(turns):
    assert np.abs(difference(picture(), [("hue", turns)])).max() <= 2
    assert np.abs(difference(picture(), [("hue", turns)])).mean() <= 0.5


def test_every_color_keeps_its_value_and_chroma_under_a_hue_shift():
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels)).reshape(3, 1, -1)
    shifted = cube.copy()
    adjust_colors(shifted, [("hue", 0.13)])
    np.testing.assert_array_equal(shifted.max(axis=0), cube.max(axis=0))
    np.testing.assert_array_equal(shifted.min(axis=0), cube.min(axis=0))


@pytest.mark.parametrize("order", list(itertools.permutations(CHANGES)))
def test_any_order_gives_torchvisions_colors(order):
    assert np.abs(difference(picture(), [(name, CHANGES[name]) for name in order])).mean() <= 1.5


def test_the_contrast_of_a_large_image_is_relative_to_its_mean():
    # Large enough for the mean to be taken from a share of the pixels, in several blocks.
    assert np.abs(difference(picture(420), [("contrast", 0.5)])).max() <= 1


def test_factors_are_in_their_ranges_and_orders_vary():
    image = np.full((3, 2, 2), 100, np.uint8)
    jitter = ColorJitter(brightness=0.25)
    values = []
    for seed in range(300):
        changed = image.copy()
        jitter(np.random.default_rng(seed), changed)
        values.append(int(changed[0, 0, 0]))
    assert set(values) <= set(range(75, 126))
    assert min(values) < 78
    assert max(values) > 122
    both = ColorJitter(brightness=1.0, contrast=1.0)
    gradient = np.arange(0, 192, dtype=np.uint8).reshape(3, 8, 8)
    results = set()
    for seed in range(20):
        changed = gradient.copy()
        both(np.random.default_rng(seed), changed)
        results.add(changed.tobytes())
    assert len(results) == 20


def test_no_jitter_changes_nothing():
    image = picture()
    changed = image.copy()
    ColorJitter()(np.random.default_rng(0), changed)
    np.testing.assert_array_equal(changed, image)


def test_an_unknown_change_is_refused():
    with pytest.raises(ValueError, match="gamma"):
        adjust_colors(picture(), [("gamma", 1.0)])
