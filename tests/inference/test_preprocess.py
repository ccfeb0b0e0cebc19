import pytest
import torch

from roadseg.inference import network_size, normalize, resize_images
from roadseg.recipes import Preprocess


def test_the_formula_channel_by_channel():
    spec = Preprocess(mean=(10.0, 20.0, 30.0), std=(2.0, 4.0, 5.0), scale=0.5)
    image = torch.tensor([100, 100, 100], dtype=torch.uint8).view(1, 3, 1, 1)
    assert normalize(image, spec).flatten().tolist() == pytest.approx([22.5, 10.0, 7.0])


def test_bgr_reverses_the_channels_before_the_statistics():
    spec = Preprocess(order="BGR", mean=(1.0, 2.0, 3.0), std=(1.0, 1.0, 1.0))
    image = torch.tensor([30, 20, 10], dtype=torch.uint8).view(1, 3, 1, 1)
    assert normalize(image, spec).flatten().tolist() == [9.0, 18.0, 27.0]


def test_normalizing_keeps_the_memory_layout():
    image = torch.zeros(2, 3, 8, 8, dtype=torch.uint8).to(memory_format=torch.channels_last)
    assert normalize(image, Preprocess()).is_contiguous(memory_format=torch.channels_last)


def test_resizing_to_the_same_size_changes_nothing():
    image = torch.randint(0, 256, (1, 3, 5, 7), dtype=torch.uint8)
    assert resize_images(image, (5, 7)) is image
    assert resize_images(image, (10, 14)).shape == (1, 3, 10, 14)


@pytest.mark.parametrize(
    ("image", "spec", "expected"),
    [
        ((360, 480), Preprocess(), (360, 480)),
        ((360, 480), Preprocess(size=(512, 1024)), (512, 1024)),
        ((360, 480), Preprocess(short_side=576), (576, 768)),
        ((1080, 1920), Preprocess(short_side=576), (576, 1024)),
        ((1920, 1080), Preprocess(short_side=576), (1024, 576)),
        ((1, 1), Preprocess(short_side=576), (576, 576)),
        ((1, 10000), Preprocess(short_side=576), (1, 10000)),
        ((10, 1000), Preprocess(short_side=576), (46, 4608)),
    ],
)
def test_the_network_sees_the_size_its_preprocessing_says(image, spec, expected):
    assert network_size(*image, spec) == expected
