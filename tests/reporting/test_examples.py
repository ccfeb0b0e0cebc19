import base64
import io

import numpy as np
import pytest
from PIL import Image

from roadseg.errors import ImageError, LabelError
from roadseg.labels import LabelSpace, space
from roadseg.reporting import make_example
from roadseg.reporting.examples import MAX_SIDE, NO_TRUTH
from tests.reporting.samples import SPACE


def decoded(address):
    kind, _, text = address.partition(";base64,")
    picture = Image.open(io.BytesIO(base64.b64decode(text)))
    assert kind == f"data:image/{picture.format.lower()}"
    return picture


def test_channels_are_exact_and_large_images_bounded():
    labels = np.random.default_rng(0).integers(0, 3, (600, 3000)).astype(np.uint8)
    labels[:10] = SPACE.ignore
    made = make_example("x", np.zeros((600, 3000, 3), np.uint8), labels, None, SPACE)
    assert (made.width, made.height) == (MAX_SIDE, 205)
    assert decoded(made.image).size == (MAX_SIDE, 205)
    channels = np.asarray(decoded(made.truth))
    assert channels.shape == (205, MAX_SIDE)
    assert set(np.unique(channels)) == {0, 1, 2, NO_TRUTH}
    assert made.prediction == ""


def test_small_images_keep_every_label():
    labels = np.random.default_rng(0).integers(0, 3, (20, 30)).astype(np.uint8)
    made = make_example("x", np.zeros((20, 30, 3), np.uint8), labels, labels, SPACE)
    assert np.array_equal(np.asarray(decoded(made.prediction)), labels)


def test_labels_of_half_the_size_are_stretched():
    labels = np.array([[0, 1], [2, SPACE.ignore]], np.uint8)
    made = make_example("x", np.zeros((4, 4, 3), np.uint8), labels, None, SPACE)
    expected = np.array([[0, 1], [2, NO_TRUTH]]).repeat(2, axis=0).repeat(2, axis=1)
    assert np.array_equal(np.asarray(decoded(made.truth)), expected)


def test_a_void_class_is_no_truth_and_ids_become_channels():
    stored = space("cityscapes")
    labels = np.array([[stored.classes[stored.index("road")].id, stored.stored_id(stored.ignore)]], np.uint8)
    made = make_example("x", np.zeros((1, 2, 3), np.uint8), labels, None, stored)
    assert np.asarray(decoded(made.truth)).tolist() == [[stored.index("road"), NO_TRUTH]]


def test_refuses_labels_of_another_picture():
    with pytest.raises(ImageError, match="x: the image is 30 x 20 and a label map 40 x 20"):
        make_example("x", np.zeros((20, 30, 3), np.uint8), None, np.zeros((20, 40), np.uint8), SPACE)
    many = LabelSpace.from_names([str(i) for i in range(255)])
    with pytest.raises(LabelError, match="has 255 classes"):
        make_example("x", np.zeros((2, 2, 3), np.uint8), None, None, many)
