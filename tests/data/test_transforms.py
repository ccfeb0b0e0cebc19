import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision import tv_tensors

from roadseg.data import RandomZoomCrop, Sample, TrainTransform

IGNORE = 11


def coordinates(height: int, width: int) -> Sample:
    """An image whose red channel is the row and green the column; the mask holds column // 10."""
    rows = torch.arange(height).view(-1, 1).expand(height, width)
    columns = torch.arange(width).view(1, -1).expand(height, width)
    image = torch.stack([rows, columns, torch.zeros_like(rows)]).to(torch.uint8)
    return Sample(image, (columns // 10).to(torch.uint8), "grid")


@given(
    height=st.integers(5, 90),
    width=st.integers(5, 100),
    low=st.floats(0.3, 1.0),
    high=st.floats(1.0, 3.0),
    seed=st.integers(0, 1000),
)
@settings(max_examples=50, deadline=None)
def test_any_image_gives_the_crop_size_and_known_ids(height, width, low, high, seed):
    torch.manual_seed(seed)
    transform = TrainTransform(crop=(32, 48), scale=(low, high), flip=0.5, ignore=IGNORE)
    sample = transform(coordinates(height, width))
    assert isinstance(sample, Sample)
    assert sample.image.shape == (3, 32, 48)
    assert sample.image.dtype == torch.uint8
    assert type(sample.image) is torch.Tensor
    assert sample.mask.shape == (32, 48)
    assert set(sample.mask.unique().tolist()) <= set(range(11)) | {IGNORE}


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_image_and_mask_stay_aligned(flip):
    transform = TrainTransform(crop=(32, 48), scale=(0.5, 2.0), flip=flip, ignore=IGNORE)
    for seed in range(20):
        torch.manual_seed(seed)
        sample = transform(coordinates(60, 100))
        inside = sample.mask != IGNORE
        assert inside.any()
        # Nearest and bilinear sampling differ by at most one source pixel at a class border.
        difference = (sample.image[1].float() // 10 - sample.mask.float()).abs()
        column_in_class = sample.image[1].float() % 10
        center = inside & (column_in_class > 2) & (column_in_class < 8)
        assert not difference[center].any()


def test_without_zoom_the_crop_is_a_window_of_the_image():
    torch.manual_seed(1)
    source = coordinates(60, 100)
    sample = TrainTransform(crop=(32, 48), scale=(1.0, 1.0), flip=0.0, ignore=IGNORE)(source)
    top, left = int(sample.image[0, 0, 0]), int(sample.image[1, 0, 0])
    assert torch.equal(sample.image, source.image[:, top : top + 32, left : left + 48])
    assert torch.equal(sample.mask, source.mask[top : top + 32, left : left + 48])


def test_a_small_image_is_padded_with_ignore():
    torch.manual_seed(0)
    sample = TrainTransform(crop=(32, 48), scale=(1.0, 1.0), flip=0.0, ignore=IGNORE)(coordinates(10, 20))
    assert int((sample.mask != IGNORE).sum()) == 10 * 20


def test_the_same_seed_gives_the_same_sample_and_another_another():
    transform = TrainTransform(
        crop=(16, 16), scale=(0.5, 2.0), flip=0.5, ignore=IGNORE, brightness=0.4, hue=0.1
    )
    results = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        results.append(transform(coordinates(40, 60)).image)
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_colors_change_the_image_but_not_the_mask():
    plain = TrainTransform(crop=(32, 32), scale=(1.0, 1.0), flip=0.0, ignore=IGNORE)
    bright = TrainTransform(crop=(32, 32), scale=(1.0, 1.0), flip=0.0, ignore=IGNORE, brightness=0.5)
    torch.manual_seed(2)
    first = plain(coordinates(60, 60))
    torch.manual_seed(2)
    second = bright(coordinates(60, 60))
    assert torch.equal(first.mask, second.mask)
    assert not torch.equal(first.image, second.image)


def test_a_transform_survives_pickling():
    transform = TrainTransform(crop=(16, 16), scale=(0.5, 2.0), flip=0.5, ignore=IGNORE)
    assert pickle.loads(pickle.dumps(transform))(coordinates(40, 60)).image.shape == (3, 16, 16)


def test_an_impossible_range_is_refused():
    with pytest.raises(ValueError, match="increasing"):
        RandomZoomCrop((8, 8), (2.0, 1.0), IGNORE)


def test_the_crop_works_on_plain_tv_tensors():
    image = tv_tensors.Image(torch.zeros(3, 50, 50, dtype=torch.uint8))
    assert RandomZoomCrop((16, 24), (1.0, 1.0), IGNORE)(image).shape == (3, 16, 24)
