import numpy as np
import pytest
from PIL import Image

from roadseg.data.transforms.rand_augment import _COLORS, _SHAPES, RandAugment

IGNORE = 9
LABELS = np.arange(64, dtype=np.uint8).reshape(8, 8).repeat(4, axis=0).repeat(4, axis=1) // 8
IMAGE = np.stack([LABELS * 20 + 30] * 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_image_and_mask_move_together_or_the_mask_stays(dtype):
    operations = RandAugment(number=1, magnitude=20, ignore=IGNORE)
    moved = 0
    for seed in range(60):
        image, mask = operations(np.random.default_rng(seed), IMAGE, LABELS.astype(dtype))
        assert mask.dtype == dtype
        assert image.shape == IMAGE.shape
        if np.array_equal(mask, LABELS):
            continue
        moved += 1
        expected = np.where(mask == IGNORE, 0, mask * 20 + 30)
        np.testing.assert_array_equal(image, np.stack([expected] * 3))
    assert 10 < moved < 40


def test_without_magnitude_shapes_stay():
    operations = RandAugment(number=3, magnitude=0, ignore=IGNORE)
    for seed in range(20):
        np.testing.assert_array_equal(operations(np.random.default_rng(seed), IMAGE, LABELS)[1], LABELS)


def test_no_operation_gives_copies_of_the_same_values():
    image, mask = RandAugment(number=0, magnitude=10, ignore=IGNORE)(np.random.default_rng(0), IMAGE, LABELS)
    np.testing.assert_array_equal(image, IMAGE)
    np.testing.assert_array_equal(mask, LABELS)
    assert image.flags.writeable
    assert mask.flags.writeable


def test_the_ranges_are_the_published_ones():
    assert len(_SHAPES) + len(_COLORS) == 14
    assert _SHAPES["shear_x"](-1, 100, 50) == (1, -0.3, 0, 0, 1, 0)
    assert _SHAPES["translate_x"](1, 100, 50) == pytest.approx((1, 0, 33, 0, 1, 0))
    assert _SHAPES["translate_y"](0.5, 100, 50) == pytest.approx((1, 0, 0, 0, 1, 8.25))
    assert _SHAPES["rotate"](1, 100, 50)[0] == pytest.approx(np.cos(np.pi / 6))
    gradient = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)[..., None].repeat(3, axis=2))
    assert len(set(_COLORS["posterize"](gradient, 0.0).getchannel(0).tobytes())) == 16
    assert len(set(_COLORS["posterize"](gradient, 1.0).getchannel(0).tobytes())) == 256
    assert _COLORS["solarize"](gradient, 1.0).getpixel((0, 7)) == (143, 143, 143)
    assert _COLORS["brightness"](gradient, 0.0).getpixel((15, 15)) == (25, 25, 25)
