import dataclasses
import inspect
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.data import Sample, TrainTransform
from roadseg.recipes import Augment

IGNORE = 11


def coordinates(height: int, width: int) -> Sample:
    """An image whose red channel is the row and green the column; the mask holds column // 10."""
    rows = torch.arange(height).view(-1, 1).expand(height, width)
    columns = torch.arange(width).view(1, -1).expand(height, width)
    image = torch.stack([rows, columns, torch.zeros_like(rows)]).to(torch.uint8)
    return Sample(image, (columns // 10).to(torch.uint8), "grid")


@st.composite
def augments(draw: st.DrawFn) -> dict[str, object]:
    """Any augmentation, as keywords."""
    low = draw(st.floats(0.3, 1.5))
    return {
        "crop": (draw(st.integers(1, 40)), draw(st.integers(1, 40))),
        "pre_size": draw(st.none() | st.integers(5, 150)),
        "pre_edge": draw(st.sampled_from(["long", "short"])),
        "scale": (low, low + draw(st.floats(0.0, 2.0))),
        "scale_draw": draw(st.sampled_from(["log", "uniform"])),
        "scale_step": draw(st.sampled_from([0.0, 0.1])),
        "place": draw(st.sampled_from(["random", "center", "corner"])),
        "fill": draw(st.sampled_from(["mean", "black"])),
        "rotate": draw(st.sampled_from([0.0, 10.0, 180.0])),
        "flip": draw(st.floats(0, 1)),
        "rand_augment": draw(st.sampled_from([None, (2, 9.5)])),
        "brightness": draw(st.sampled_from([0.0, 0.4])),
        "contrast": draw(st.sampled_from([0.0, 0.4])),
        "saturation": draw(st.sampled_from([0.0, 0.4])),
        "hue": draw(st.sampled_from([0.0, 0.25])),
        "blur": draw(st.sampled_from(["none", "gaussian", "bilateral"])),
    }


@given(
    augment=augments(),
    height=st.integers(1, 90),
    width=st.integers(1, 100),
    place=st.none() | st.tuples(st.floats(0, 0.999), st.floats(0, 0.999)),
    wide=st.booleans(),
    seed=st.integers(0, 1000),
)
@settings(max_examples=50, deadline=None)
def test_any_image_gives_the_crop_size_and_known_ids_whatever_the_rest(
    augment, height, width, place, wide, seed
):
    transform = TrainTransform(**augment, ignore=IGNORE)
    source = coordinates(height, width)
    if wide:
        source = source._replace(mask=source.mask.long())
    center = None if place is None else (int(place[0] * width), int(place[1] * height))
    torch.manual_seed(seed)
    sample = transform(source, center)
    assert isinstance(sample, Sample)
    assert type(sample.image) is torch.Tensor
    assert (sample.image.dtype, sample.mask.dtype) == (torch.uint8, source.mask.dtype)
    assert sample.image.shape == (3, *augment["crop"])
    assert sample.mask.shape == augment["crop"]
    assert set(sample.mask.unique().tolist()) <= set(source.mask.unique().tolist()) | {IGNORE}
    torch.manual_seed(seed)
    np.random.default_rng().random()
    again = transform(source, center)
    assert torch.equal(again.image, sample.image)
    assert torch.equal(again.mask, sample.mask)


def test_the_arguments_are_the_fields_of_the_recipes_augmentation():
    fields = {field.name: field.default for field in dataclasses.fields(Augment)}
    arguments = inspect.signature(TrainTransform).parameters
    assert set(arguments) == {*fields, "ignore"}
    for name, default in fields.items():
        expected = inspect.Parameter.empty if default is dataclasses.MISSING else default
        assert arguments[name].default == expected


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


@pytest.mark.parametrize(("fill", "value"), [("mean", 124), ("black", 0)])
@pytest.mark.parametrize("rotate", [0.0, 45.0])
def test_a_small_image_is_padded_with_ignore(fill, value, rotate):
    torch.manual_seed(0)
    transform = TrainTransform(
        crop=(32, 48), scale=(1.0, 1.0), rotate=rotate, rotate_p=1.0, fill=fill, ignore=IGNORE
    )
    source = coordinates(10, 20)
    sample = transform(source._replace(image=torch.full_like(source.image, 200)))
    inside = sample.mask != IGNORE
    assert int(inside.sum()) == pytest.approx(10 * 20, abs=0 if not rotate else 12)
    far = torch.nn.functional.max_pool2d(inside[None].float(), 3, stride=1, padding=1)[0] == 0
    assert (sample.image[:, far] == value).all()


def test_another_seed_gives_another_sample():
    transform = TrainTransform(crop=(16, 16), brightness=0.4, hue=0.1, ignore=IGNORE)
    results = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        results.append(transform(coordinates(40, 60)).image)
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


@pytest.mark.parametrize(
    "change",
    [
        {"brightness": 0.5},
        {"contrast": 0.5},
        {"saturation": 0.5},
        {"hue": 0.2},
        {"blur": "gaussian", "blur_sigma": (3.0, 3.0)},
    ],
)
def test_colors_and_blur_change_the_image_but_neither_the_mask_nor_the_source(change):
    torch.manual_seed(2)
    source = coordinates(60, 60)
    before = source.image.clone()
    plain = TrainTransform(crop=(60, 60), scale=(1.0, 1.0), flip=0.0, ignore=IGNORE)
    changed = TrainTransform(crop=(60, 60), scale=(1.0, 1.0), flip=0.0, ignore=IGNORE, **change)
    assert torch.equal(plain(source).image, source.image)
    sample = changed(source)
    assert torch.equal(sample.mask, source.mask)
    assert not torch.equal(sample.image, source.image)
    assert torch.equal(source.image, before)


def test_the_layout_of_the_source_makes_no_difference():
    transform = TrainTransform(crop=(32, 48), brightness=0.3, ignore=IGNORE)
    planes = coordinates(60, 100)
    pixels = planes._replace(image=planes.image.permute(1, 2, 0).contiguous().permute(2, 0, 1))
    for seed in range(5):
        results = []
        for source in (planes, pixels):
            torch.manual_seed(seed)
            results.append(transform(source))
        assert torch.equal(results[0].image, results[1].image)
        assert torch.equal(results[0].mask, results[1].mask)


@pytest.mark.parametrize("rotate", [0.0, 20.0])
def test_only_the_window_is_read(rotate):
    # One pixel, repeated to 10 gigapixels: whoever touches all of them does not come back.
    side = 100_000
    image = torch.full((3, 1, 1), 7, dtype=torch.uint8).expand(3, side, side)
    mask = torch.full((1, 1), 3, dtype=torch.uint8).expand(side, side)
    transform = TrainTransform(crop=(64, 64), rotate=rotate, rotate_p=1.0, ignore=IGNORE)
    sample = transform(Sample(image, mask, "vast"), (60_000, 70_000))
    assert (sample.image == 7).all()
    assert (sample.mask == 3).all()


def test_a_transform_survives_pickling():
    transform = TrainTransform(
        crop=(16, 16), rotate=5.0, rand_augment=(1, 5), blur="bilateral", ignore=IGNORE
    )
    copied = pickle.loads(pickle.dumps(transform))
    torch.manual_seed(3)
    expected = transform(coordinates(40, 60))
    torch.manual_seed(3)
    assert torch.equal(copied(coordinates(40, 60)).image, expected.image)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"crop": (0, 8)}, "crop must be at least 1 pixel"),
        ({"scale": (2.0, 1.0)}, "scale must be an increasing range above 0"),
        ({"scale": (0.0, 1.0)}, "scale must be an increasing range above 0"),
        ({"scale_step": -0.1}, "scale_step must be 0 or above"),
        ({"scale_draw": "normal"}, "scale_draw must be one of log, uniform, not normal"),
        ({"pre_size": 0}, "pre_size must be at least 1 pixel"),
        ({"pre_edge": "left"}, "pre_edge must be one of long, short"),
        ({"place": "top"}, "place must be one of random, center, corner"),
        ({"fill": "white"}, "fill must be one of mean, black"),
        ({"rotate": -5.0}, "rotate must be 0 to 180 degrees"),
        ({"rotate_p": 1.5}, "rotate_p must be a probability"),
        ({"flip": 2.0}, "flip must be a probability"),
        ({"rand_augment": (-1, 5)}, "rand_augment must have 0 or more operations"),
        ({"rand_augment": (2, 31)}, "rand_augment must have a magnitude from 0 to 30"),
        ({"brightness": 1.5}, "brightness must be from 0 to 1"),
        ({"hue": 0.6}, "hue must be from 0 to 0.5 turns"),
        ({"blur": "motion"}, "blur must be one of none, gaussian, bilateral"),
        ({"blur": "gaussian", "blur_sigma": (0.0, 1.0)}, "blur_sigma must be an increasing range above 0"),
        ({"blur": "gaussian", "blur_p": -0.1}, "blur_p must be a probability"),
    ],
)
def test_what_cannot_be_drawn_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        TrainTransform(**{"crop": (8, 8), "ignore": IGNORE, **wrong})
