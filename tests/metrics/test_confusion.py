import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from roadseg.errors import LabelError
from roadseg.labels import LabelSpace, space
from roadseg.metrics import Confusion

THREE = LabelSpace.from_names(["road", "car", "sky"], name="three", ignore=255)
ids = st.sampled_from([0, 1, 2, 255])


def pair_by_pair(truth, prediction, label_space):
    counts = np.zeros((label_space.num_classes + 1,) * 2, np.int64)
    place = {number: channel for channel, number in enumerate(label_space.ids)}
    place[label_space.ignore] = label_space.num_classes
    for t, p in zip(truth.ravel().tolist(), prediction.ravel().tolist(), strict=True):
        counts[place[t], place[p]] += 1
    return counts


@given(arrays(np.uint8, (5, 7), elements=ids), arrays(np.uint8, (5, 7), elements=ids), st.booleans())
@settings(max_examples=50, deadline=None)
def test_counts_are_those_of_single_pixels(truth, prediction, wide):
    """Short runs and, magnified, long runs of equal pixels are counted in different ways."""
    factor = 6 if wide else 1
    truth, prediction = (np.kron(a, np.ones((1, factor), np.uint8)) for a in (truth, prediction))
    confusion = Confusion(THREE)
    confusion.update(truth, prediction)
    assert np.array_equal(confusion.counts, pair_by_pair(truth, prediction, THREE))


@pytest.mark.parametrize("types", [(np.uint8, np.int64), (np.uint16, np.uint8), (np.int32, np.int16)])
def test_every_integer_type_counts_alike(types):
    rng = np.random.default_rng(0)
    truth, prediction = rng.choice([0, 1, 2, 255], size=(2, 16, 24))
    counted, bytes_only = Confusion(THREE), Confusion(THREE)
    counted.update(truth.astype(types[0]), prediction.astype(types[1]))
    bytes_only.update(truth.astype(np.uint8), prediction.astype(np.uint8))
    assert np.array_equal(counted.counts, bytes_only.counts)


def test_a_picture_of_one_pair():
    confusion = Confusion(THREE)
    confusion.update(np.full((4, 4), 2, np.uint8), np.full((4, 4), 1, np.uint8))
    assert confusion.counts[2, 1] == confusion.counts.sum() == 16


def test_views_and_transposed_arrays_are_read_in_their_order():
    rng = np.random.default_rng(1)
    truth, prediction = rng.integers(0, 3, (2, 12, 16), dtype=np.uint8)
    confusion = Confusion(THREE)
    confusion.update(truth.T[::2], prediction.T[::2])
    assert np.array_equal(confusion.counts, pair_by_pair(truth.T[::2], prediction.T[::2], THREE))


def test_a_space_of_many_classes():
    many = space("mseg-194")
    rng = np.random.default_rng(2)
    truth, prediction = rng.choice([*many.ids, 255], size=(2, 32, 48)).astype(np.uint8)
    confusion = Confusion(many)
    confusion.update(truth, prediction)
    assert np.array_equal(confusion.counts, pair_by_pair(truth, prediction, many))


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_an_unknown_predicted_id_is_refused_with_its_count(dtype):
    prediction = np.array([[9, 0, 9, 9]], dtype)
    with pytest.raises(LabelError, match=r"a\.png.*prediction has id 9 on 3 pixels.*three"):
        Confusion(THREE).update(np.zeros((1, 4), dtype), prediction, where="a.png")


def test_a_refused_image_leaves_the_counts_as_they_were():
    confusion = Confusion(THREE)
    with pytest.raises(LabelError):
        confusion.update(np.zeros((1, 2), np.uint8), np.full((1, 2), 77, np.uint8))
    assert confusion.counts.sum() == confusion.images == 0


def test_no_pixels_are_refused():
    with pytest.raises(LabelError, match="the truth is empty"):
        Confusion(THREE).update(np.zeros((0, 4), np.uint8), np.zeros((0, 4), np.uint8))


def test_counts_of_other_spaces_do_not_add():
    with pytest.raises(LabelError, match="three"):
        Confusion(THREE) + Confusion(space("camvid-11"))


def test_json_names_the_rows():
    confusion = Confusion(THREE)
    confusion.update(np.array([[0, 255]], np.uint8), np.array([[1, 255]], np.uint8))
    found = json.loads(json.dumps(confusion.to_json()))
    assert found["names"] == ["road", "car", "sky"]
    assert found["counts"][0][1] == found["counts"][3][3] == 1
