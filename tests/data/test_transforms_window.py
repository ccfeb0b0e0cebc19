import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.data.transforms.window import Placement, Span, Window

IGNORE = 255
PLAIN = {
    "crop": (40, 56),
    "pre_size": None,
    "pre_edge": "long",
    "scale": (1.0, 1.0),
    "scale_draw": "log",
    "scale_step": 0.0,
    "place": "random",
    "rotate": 0.0,
    "rotate_p": 1.0,
    "flip": 0.0,
}


def placement(**values: object) -> Placement:
    return Placement(**{**PLAIN, **values})


def blocks(height: int, width: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """An image whose gray value is 20 times the label, in patches of 12 pixels."""
    labels = np.random.default_rng(seed).integers(0, 12, (height // 12 + 1, width // 12 + 1), dtype=np.uint8)
    mask = torch.from_numpy(labels.repeat(12, axis=0).repeat(12, axis=1)[:height, :width].copy())
    return (mask * 20).expand(3, height, width), mask


@given(
    zoom=st.floats(0.5, 3.0),
    rotate=st.sampled_from([0.0, 30.0, 180.0]),
    height=st.integers(24, 90),
    width=st.integers(24, 120),
    flip=st.booleans(),
    seed=st.integers(0, 10_000),
)
@settings(max_examples=50, deadline=None)
def test_colors_that_encode_labels_still_do(zoom, rotate, height, width, flip, seed):
    image, mask = blocks(height, width, seed)
    drawn = placement(scale=(zoom, zoom), rotate=rotate, flip=float(flip))
    window = drawn.draw(np.random.default_rng(seed), height, width, None)
    cut, labels = window.cut_image(image, 250), window.cut_mask(mask, IGNORE)
    # Away from the borders of patches, where bilinear interpolation mixes.
    ids, near = torch.from_numpy(labels)[None].float(), 1 + math.ceil(zoom)
    flat = (F.max_pool2d(ids, 2 * near + 1, 1) == -F.max_pool2d(-ids, 2 * near + 1, 1))[0].numpy()
    expected = np.where(labels == IGNORE, 250, labels * np.int64(20))
    difference = np.abs(cut.astype(int) - expected)[:, near:-near, near:-near]
    assert flat.any()
    assert difference[:, flat].max() <= 1


@pytest.mark.parametrize(("length", "factor"), [(20, 2.0), (80, 0.5), (40, 1.0), (32, 1.25)])
def test_a_window_equals_resizing_all_and_cropping_then(length, factor):
    rng = np.random.default_rng(4)
    coarse = torch.from_numpy(rng.integers(0, 256, (1, 3, 12, 16)).astype(np.float32))
    image = F.interpolate(coarse, (96, 128), mode="bicubic").clamp(0, 255).round()
    rows, columns = Span(8, length, 0, 40), Span(16, length, 0, 40)
    window = Window(crop=(40, 40), rows=rows, columns=columns)
    cut = window.cut_image(image[0].to(torch.uint8), 0).astype(np.float32)
    size = (int(96 * factor), int(128 * factor))
    whole = F.interpolate(image, size, mode="bilinear", antialias=True)[0].numpy()
    top, left = int(8 * factor), int(16 * factor)
    difference = np.abs(cut - whole[:, top : top + 40, left : left + 40])
    assert difference[:, 2:-2, 2:-2].max() <= 1.1
    assert difference.mean() <= 0.7  # the outermost pixels do not see their neighbors outside


def test_a_quarter_turn_is_exact():
    values = np.random.default_rng(0).integers(0, 256, (3, 64, 64), dtype=np.uint8)
    whole = Span(0, 64, 0, 64)
    window = Window(crop=(64, 64), rows=whole, columns=whole, angle=math.pi / 2, pivot=(32.0, 32.0))
    expected = np.rot90(values, k=-1, axes=(1, 2))
    np.testing.assert_array_equal(window.cut_image(torch.from_numpy(values), 0), expected)
    np.testing.assert_array_equal(window.cut_mask(torch.from_numpy(values[0]), 0), expected[0])


def test_a_turned_window_shows_the_image_around_it_and_ignores_beyond():
    mask = torch.zeros(200, 200, dtype=torch.uint8)
    middle, corner = Span(80, 40, 0, 40), Span(0, 40, 0, 40)
    inner = Window(crop=(40, 40), rows=middle, columns=middle, angle=0.5, pivot=(20.0, 20.0))
    assert not inner.cut_mask(mask, IGNORE).any()
    outer = Window(crop=(40, 40), rows=corner, columns=corner, angle=0.5, pivot=(20.0, 20.0))
    assert (outer.cut_mask(mask, IGNORE) == IGNORE).any()


@given(
    zoom=st.floats(0.8, 3.0),
    rotate=st.sampled_from([0.0, 180.0]),
    size=st.tuples(st.integers(3, 150), st.integers(3, 150)),
    place=st.tuples(st.floats(0, 0.999), st.floats(0, 0.999)),
    flip=st.booleans(),
    seed=st.integers(0, 10_000),
)
@settings(max_examples=50, deadline=None)
def test_the_center_is_in_the_crop(zoom, rotate, size, place, flip, seed):
    x, y = int(place[0] * size[1]), int(place[1] * size[0])
    mask = torch.zeros(size, dtype=torch.uint8)
    mask[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2] = 1
    drawn = placement(scale=(zoom, zoom), rotate=rotate, flip=float(flip))
    window = drawn.draw(np.random.default_rng(seed), *size, (x, y))
    assert (window.cut_mask(mask, IGNORE) == 1).any()


def test_centers_are_anywhere_in_the_crop():
    rng = np.random.default_rng(0)
    starts = [placement().draw(rng, 1000, 1000, (500, 400)) for _ in range(400)]
    inside = [(500 - window.columns.start, 400 - window.rows.start) for window in starts]
    assert {x for x, _ in inside} <= set(range(56))
    assert {y for _, y in inside} == set(range(40))


def test_the_edge_that_is_brought_to_a_length_decides_the_zoom():
    rng = np.random.default_rng(0)
    long = placement(crop=(40, 40), pre_size=400).draw(rng, 100, 200, None)
    short = placement(crop=(40, 40), pre_size=400, pre_edge="short").draw(rng, 100, 200, None)
    assert (long.rows.length, short.rows.length) == (20, 10)


def zooms(count: int, **values: object) -> list[float]:
    rng = np.random.default_rng(0)
    windows = [placement(crop=(1000, 1000), **values).draw(rng, 9000, 9000, None) for _ in range(count)]
    return [1000 / window.rows.length for window in windows]


def test_steps_of_the_zoom_are_drawn_equally_and_to_the_end():
    drawn = zooms(600, scale=(0.7, 2.1), scale_draw="uniform", scale_step=0.1)
    tenths = np.round(np.array(drawn) * 10).astype(int)
    assert set(tenths) == set(range(7, 22))
    assert np.bincount(tenths)[7:].min() > 15


@pytest.mark.parametrize(("kind", "middle"), [("log", 1.0), ("uniform", 1.25)])
def test_the_middle_of_the_zooms_is_that_of_their_distribution(kind, middle):
    drawn = zooms(2000, scale=(0.5, 2.0), scale_draw=kind)
    assert float(np.median(drawn)) == pytest.approx(middle, abs=0.06)
    assert 0.49 < min(drawn) < 0.55
    assert 1.9 < max(drawn) < 2.01


def test_places_of_a_small_image():
    rng = np.random.default_rng(0)
    corner = placement(place="corner").draw(rng, 10, 16, None)
    center = placement(place="center").draw(rng, 10, 16, None)
    anywhere = {placement().draw(rng, 10, 16, None).rows.before for _ in range(300)}
    assert (corner.rows.before, corner.columns.before) == (0, 0)
    assert (center.rows.before, center.columns.before) == (15, 20)
    assert anywhere == set(range(31))


def test_rotations_and_flips_happen_as_often_as_asked():
    rng = np.random.default_rng(0)
    drawn = placement(rotate=10.0, rotate_p=0.25, flip=0.75)
    windows = [drawn.draw(rng, 100, 100, None) for _ in range(1000)]
    angles = [math.degrees(window.angle) for window in windows if window.angle]
    assert 200 < len(angles) < 300
    assert -10 <= min(angles) < -9
    assert 9 < max(angles) <= 10
    assert 700 < sum(window.flip for window in windows) < 800
