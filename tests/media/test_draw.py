"""Overlays, contours, legends, joined pictures."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.errors import ImageError
from roadseg.labels import LabelSpace, space
from roadseg.media.draw import contours, differences, gray_levels, legend_bar, overlay, side_by_side, stack

STREET = LabelSpace.from_names(["road", "sky", "a class with quite a long name"], name="street")


def plain(height: int, width: int, value: int) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 255), st.integers(0, 255), st.floats(0, 1))
def test_blend_is_exact_to_a_level(below, above, alpha):
    blended = overlay(plain(1, 1, below), plain(1, 1, above), alpha)
    assert abs(int(blended[0, 0, 0]) - (below * (1 - alpha) + above * alpha)) <= 1


def test_ends_of_alpha_are_exact():
    rng = np.random.default_rng(0)
    image, colors = rng.integers(0, 256, (2, 130, 7, 3), dtype=np.uint8)
    np.testing.assert_array_equal(overlay(image, colors, 0, outline=False), image)
    np.testing.assert_array_equal(overlay(image, colors, 1, outline=False), colors)


def test_inputs_stay_as_they_are():
    image, colors = plain(4, 4, 10), plain(4, 4, 200)
    overlay(image, colors, keep=np.ones((4, 4), bool), outline=np.ones((4, 4), bool))
    assert (image == 10).all()
    assert (colors == 200).all()


def test_keep_leaves_the_picture():
    keep = np.zeros((2, 3), bool)
    keep[1, 2] = True
    blended = overlay(plain(2, 3, 10), plain(2, 3, 200), 1.0, keep=keep)
    assert blended[1, 2].tolist() == [10] * 3
    assert (blended[~keep] == 200).all()


def test_strided_pictures():
    image = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    flipped = image[:, ::-1]
    keep = np.ones((6, 5), bool)
    np.testing.assert_array_equal(overlay(flipped, plain(6, 5, 0), keep=keep), flipped)


def test_outlines_are_light_and_between_classes():
    colors = plain(4, 4, 0)
    colors[:, 2:] = 40
    outlined = overlay(plain(4, 4, 0), colors, 1.0)
    assert (outlined[:, 2] > 150).all()
    assert (outlined[:, [0, 1]] == 0).all()
    assert (outlined[:, 3] == 40).all()
    np.testing.assert_array_equal(overlay(plain(4, 4, 0), colors, 1.0, outline=False), colors)


def test_contours():
    labels = np.zeros((5, 7), np.uint8)
    labels[2, 3] = 1
    assert np.argwhere(contours(labels)).tolist() == [[2, 3], [2, 4], [3, 3]]
    thick = contours(labels, width=2)
    assert thick.sum() == 5
    assert (contours(labels, width=3) >= thick).all()
    assert (contours(labels, width=4) >= contours(labels, width=3)).all()
    as_colors = np.repeat(labels[..., None], 3, axis=2)
    np.testing.assert_array_equal(contours(as_colors), contours(labels))
    assert not contours(np.zeros((1, 1), np.uint8)).any()


def test_large_pictures_get_thicker_contours():
    labels = np.zeros((1000, 1000), np.uint8)
    labels[:, 500:] = 1
    assert contours(labels)[0].sum() == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((plain(2, 2, 0), plain(2, 3, 0)), "colors of 3 x 2 pixels for an image of 2 x 2"),
        ((plain(2, 2, 0).astype(float), plain(2, 2, 0)), "image of type float64"),
        ((plain(2, 2, 0), np.zeros((2, 2), np.uint8)), "colors of type uint8 and shape"),
        ((plain(2, 2, 0), plain(2, 2, 0), 1.5), "alpha is 1.5"),
        ((plain(2, 2, 0), plain(2, 2, 0), float("nan")), "alpha is nan"),
    ],
)
def test_what_cannot_be_blended(arguments, words):
    with pytest.raises(ImageError, match=words):
        overlay(*arguments)


def test_keep_must_fit():
    with pytest.raises(ImageError, match="keep of 3 x 2"):
        overlay(plain(2, 2, 0), plain(2, 2, 0), keep=np.zeros((2, 3), bool))


def has_color(picture: np.ndarray, color: tuple[int, ...]) -> bool:
    return bool((picture == np.array(color, np.uint8)).all(axis=2).any())


@pytest.mark.parametrize("width", [160, 333, 640, 2048])
def test_legend_shows_every_class(width):
    cityscapes = space("cityscapes-19")
    bar = legend_bar(cityscapes, cityscapes.ids, width)
    assert bar.dtype == np.uint8
    assert bar.shape[1:] == (width, 3)
    for item in cityscapes.classes:
        assert has_color(bar, item.color), item.name


def test_legend_wraps():
    cityscapes = space("cityscapes-19")
    heights = [legend_bar(cityscapes, cityscapes.ids, width).shape[0] for width in (160, 400, 760)]
    assert heights == sorted(heights, reverse=True)
    assert heights[0] > heights[-1]


def test_legend_puts_the_largest_share_first():
    shares = {0: 0.2, 1: 0.7, 2: 0.004}
    bar = legend_bar(STREET, shares, 160)  # one class per row
    rows = [
        np.argwhere((bar == np.array(STREET.classes[i].color)).all(axis=2))[:, 0].mean() for i in (1, 0, 2)
    ]
    assert rows == sorted(rows)
    assert not np.array_equal(bar, legend_bar(STREET, [1, 0, 2], 160))  # shares are written


def test_legend_leaves_out_unknown_ids_and_may_be_empty():
    np.testing.assert_array_equal(legend_bar(STREET, [1, 255], 300), legend_bar(STREET, [1], 300))
    assert legend_bar(STREET, [], 300).shape == (0, 300, 3)


def test_legend_is_never_too_narrow():
    assert legend_bar(STREET, [0, 1, 2], 3).shape[1] == 160


def test_legend_shows_black_on_its_dark_background():
    black = LabelSpace.from_json(
        {"name": "b", "ignore": 255, "classes": [{"name": "void", "id": 0, "color": [0, 0, 0]}]}
    )
    bar = legend_bar(black, [0], 200)
    assert has_color(bar, (0, 0, 0))
    assert bar[:, :30].max() > 90  # the rim


def test_stack_and_side_by_side():
    one, two = plain(2, 3, 250), plain(4, 5, 251)
    below = stack([one, two], gap=1)
    assert below.shape == (7, 5, 3)
    assert (below[:2, :3] == 250).all()
    assert (below[3:] == 251).all()
    assert below[:2, 3:].max() < 50
    beside = side_by_side([one, two], gap=2)
    assert beside.shape == (4, 10, 3)
    assert (beside[:2, :3] == 250).all()
    assert (beside[:, 5:] == 251).all()
    assert stack([one, legend_bar(STREET, [], 1)]).shape == (2, 160, 3)


def test_joining_needs_pictures():
    with pytest.raises(ImageError, match="no pictures"):
        stack([])
    with pytest.raises(ImageError, match="picture 1 of type float64"):
        side_by_side([plain(1, 1, 0), np.zeros((1, 1, 3))])


def test_differences_show_what_was_said_where_it_was_wrong():
    colors = plain(1, 3, 0) + np.array([10, 200, 30], np.uint8)
    wrong, unknown = np.array([[True, False, False]]), np.array([[False, False, True]])
    shown = differences(plain(1, 3, 160), colors, wrong, unknown)
    assert shown[0, 0].tolist() == [10, 200, 30]
    assert shown[0, 1].tolist() == [50, 50, 50]
    assert 0 < shown[0, 2, 0] < 50
    assert shown.dtype == np.uint8


def test_numbers_as_gray():
    levels = gray_levels(np.array([-1, 0, 0.5, 1, 2], np.float32))
    assert levels.tolist() == [0, 0, 128, 255, 255]
    assert levels.dtype == np.uint8
