"""Legends of many classes: complete ones, and those of films, which have one size for all frames."""

import numpy as np
import pytest

from roadseg.labels import space
from roadseg.media import Prediction, legend_bar
from roadseg.media.draw import MOST_IN_FILMS, film_legend
from roadseg.media.timelapse import TimelapseLayout

UNIVERSAL = space("mseg-194")


def colors_in(bar):
    """Classes whose color fills at least the inner part of a swatch, but for the ringing of its edge."""
    codes, counts = np.unique(bar.reshape(-1, 3), axis=0, return_counts=True)
    return [
        item.id
        for item in UNIVERSAL.classes
        if counts[np.abs(codes.astype(int) - item.color).max(1) <= 2].sum() >= 36
    ]


@pytest.mark.parametrize("width", [160, 640, 1920])
def test_all_classes_of_the_universal_taxonomy_find_room(width):
    bar = legend_bar(UNIVERSAL, UNIVERSAL.ids, width)
    assert bar.shape[1] == width
    assert len(colors_in(bar)) == UNIVERSAL.num_classes
    assert (bar[-4:] == bar[-1, -1]).all()  # nothing is cut off below
    assert (bar[:, -2:] == bar[-1, -1]).all()  # nor at the right


@pytest.mark.parametrize("width", [100, 640, 1920])
def test_frames_have_legends_of_one_size(width):
    few, many = {98: 0.9, 3: 0.1}, {number: 1 / (1 + number) for number in UNIVERSAL.ids}
    assert film_legend(UNIVERSAL, few, width).shape == film_legend(UNIVERSAL, many, width).shape
    assert film_legend(UNIVERSAL, {}, width).shape == film_legend(UNIVERSAL, few, width).shape


def test_the_largest_are_named_in_class_order():
    assert colors_in(film_legend(UNIVERSAL, {98: 0.1, 3: 0.9}, 640)) == [3, 98]
    shares = {number: number / 1000 for number in UNIVERSAL.ids}
    shown = colors_in(film_legend(UNIVERSAL, shares, 640))
    assert 5 < len(shown) < MOST_IN_FILMS
    assert shown == list(range(194 - len(shown), 194))
    same = film_legend(UNIVERSAL, {98: 0.5, 3: 0.5}, 640)
    np.testing.assert_array_equal(same, film_legend(UNIVERSAL, {3: 0.2, 98: 0.8}, 640))


def test_a_time_lapse_of_many_classes_names_those_in_the_photo():
    labels = np.full((48, 640), 98, dtype=np.uint8)
    layout = TimelapseLayout(UNIVERSAL, (48, 640), caption=False)
    image = np.zeros((48, 640, 3), dtype=np.uint8)
    one = layout.compose(Prediction(labels, UNIVERSAL, image=image))
    labels = labels.copy()
    labels[:, :9] = 3
    two = layout.compose(Prediction(labels, UNIVERSAL, image=image))
    assert one.shape == two.shape
    assert not np.array_equal(one[:-48], two[:-48])
