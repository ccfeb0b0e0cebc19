"""The result type."""

import pickle

import numpy as np
import pytest

from roadseg.errors import ImageError, LabelError, OutputError
from roadseg.labels import Class, LabelSpace, space
from roadseg.media.images import read_image, read_mask
from roadseg.media.prediction import Prediction

CITYSCAPES = space("cityscapes-19")
LABELS = np.array([[0, 0, 0, 10], [0, 0, 13, 255]], np.uint8)  # road, sky, car, ignored
IMAGE = np.full((2, 4, 3), 77, np.uint8)


@pytest.fixture
def prediction() -> Prediction:
    return Prediction(LABELS, CITYSCAPES, confidence=np.ones((2, 4), np.float32), image=IMAGE)


@pytest.mark.parametrize(
    "labels",
    [LABELS.astype(np.int64), LABELS.astype(float), LABELS[0], LABELS[..., None], np.zeros((0, 3), np.uint8)],
)
def test_labels_must_be_ids(labels):
    with pytest.raises(LabelError, match=r"labels are .*uint8 or uint16 \[H, W\]"):
        Prediction(labels, CITYSCAPES)


@pytest.mark.parametrize(
    "confidence", [np.ones((2, 4)), np.ones((4, 2), np.float32), np.ones((2, 4, 1), np.float32)]
)
def test_confidence_must_fit(confidence):
    with pytest.raises(LabelError, match=r"confidence is .*float32 \[2, 4\]"):
        Prediction(LABELS, CITYSCAPES, confidence=confidence)


@pytest.mark.parametrize("image", [IMAGE[:1], IMAGE.astype(np.float32), IMAGE[..., 0]])
def test_image_must_fit(image):
    with pytest.raises(ImageError, match=r"image is .*uint8 \[2, 4, 3\]"):
        Prediction(LABELS, CITYSCAPES, image=image)


def test_is_frozen_and_survives_pickling(prediction):
    with pytest.raises(AttributeError):
        prediction.labels = LABELS
    copy = pickle.loads(pickle.dumps(prediction))
    np.testing.assert_array_equal(copy.labels, LABELS)
    assert copy.space == CITYSCAPES


def test_to_another_space(prediction):
    stored = prediction.to("cityscapes")
    assert stored.labels.tolist() == [[7, 7, 7, 23], [7, 7, 26, 0]]
    assert stored.space == space("cityscapes")
    assert stored.confidence is prediction.confidence
    assert stored.image is prediction.image
    assert prediction.to(CITYSCAPES) is prediction
    back = stored.to("cityscapes-19")
    np.testing.assert_array_equal(back.labels, LABELS)


def test_to_a_space_that_does_not_exist(prediction):
    with pytest.raises(LabelError, match="citiscapes"):
        prediction.to("citiscapes")


def test_colorize(prediction):
    colors = prediction.colorize()
    assert colors[0, 0].tolist() == [128, 64, 128]
    assert colors[1, 3].tolist() == [0, 0, 0]


def test_shares(prediction):
    assert prediction.shares() == {"road": 5 / 8, "sky": 1 / 8, "car": 1 / 8}
    assert next(iter(prediction.shares())) == "road"
    assert Prediction(LABELS.astype(np.uint16), CITYSCAPES).shares() == prediction.shares()
    everything_ignored = Prediction(np.full((2, 2), 255, np.uint8), CITYSCAPES)
    assert everything_ignored.shares() == {}


@pytest.mark.parametrize(("dtype", "stored"), [(np.uint8, 255), (np.uint16, 65535)])
def test_the_negative_id_counts_where_it_is_stored(dtype, stored):
    plates = LabelSpace("plates", (Class("road", 0, (1, 2, 3)), Class("plate", -1, (4, 5, 6))), ignore=9)
    prediction = Prediction(np.array([[0, stored]], dtype), plates)
    assert prediction.shares() == {"road": 0.5, "plate": 0.5}


def test_ignored_classes_have_no_share():
    stored = Prediction(np.array([[0, 7]], np.uint8), space("cityscapes"))
    assert stored.shares() == {"road": 0.5}


def test_repr_says_what_matters(prediction):
    text = repr(prediction)
    assert "4 x 2" in text
    assert "cityscapes-19" in text
    assert "road 62%" in text
    assert len(text) < 120
    many = Prediction(np.arange(19, dtype=np.uint8)[None], CITYSCAPES)
    assert "16 more" in repr(many)
    assert "nothing" in repr(Prediction(np.full((1, 1), 255, np.uint8), CITYSCAPES))


def test_overlay_keeps_ignored_pixels(prediction):
    drawn = prediction.overlay(alpha=1.0, outline=False)
    assert drawn[0, 0].tolist() == [128, 64, 128]
    assert drawn[1, 3].tolist() == [77, 77, 77]
    other = np.full_like(IMAGE, 5)
    assert prediction.overlay(other, alpha=1.0, outline=False)[1, 3].tolist() == [5, 5, 5]
    assert not np.array_equal(prediction.overlay(), prediction.overlay(outline=False))


def test_overlay_with_a_legend_is_higher():
    labels = np.zeros((40, 200), np.uint8)
    labels[:, 100:] = 10
    image = np.zeros((40, 200, 3), np.uint8)
    drawn = Prediction(labels, CITYSCAPES, image=image).overlay(legend=True)
    assert drawn.shape[0] > 50
    assert drawn.shape[1] == 200
    without = Prediction(labels, CITYSCAPES, image=image).overlay()
    np.testing.assert_array_equal(drawn[:40], without)


def test_overlay_of_a_tiny_picture_with_a_legend(prediction):
    assert prediction.overlay(legend=True).shape[1] == 160


def test_overlay_needs_a_picture_that_fits(prediction):
    with pytest.raises(ImageError, match=r"carries no image.*overlay\(image\)"):
        Prediction(LABELS, CITYSCAPES).overlay()
    with pytest.raises(ImageError, match=r"image is .*\[1, 4, 3\]"):
        prediction.overlay(IMAGE[:1])


def test_to_pil(prediction):
    picture = prediction.to_pil()
    assert picture.mode == "P"
    np.testing.assert_array_equal(np.asarray(picture), LABELS)
    np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), prediction.colorize())
    wide = Prediction(np.array([[300]], np.uint16), CITYSCAPES)
    with pytest.raises(LabelError, match=r"256 colors.*300"):
        wide.to_pil()


def test_save(prediction, tmp_path):
    prediction.save(tmp_path / "ids.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "ids.png"), LABELS)
    assert read_image(tmp_path / "ids.png")[0, 3].tolist() == [10, 10, 10]
    prediction.save(tmp_path / "colors.png", color=True)
    np.testing.assert_array_equal(read_mask(tmp_path / "colors.png"), LABELS)
    np.testing.assert_array_equal(read_image(tmp_path / "colors.png"), prediction.colorize())
    with pytest.raises(OutputError, match=r"x\.jpg"):
        prediction.save(tmp_path / "x.jpg")


def test_sixteen_bit_labels_save_losslessly(tmp_path):
    labels = np.array([[0, 1000]], np.uint16)
    Prediction(labels, CITYSCAPES).save(tmp_path / "x.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "x.png"), labels)


def test_compose_puts_picture_truth_and_classes_side_by_side(prediction):
    truth = Prediction(np.zeros((2, 4), np.uint8), CITYSCAPES)
    pair = prediction.compose()
    assert pair.shape == (2, 4 + 2 + 4, 3)
    assert np.array_equal(pair[:, :4], IMAGE)
    assert np.array_equal(pair[:, 6:], prediction.colorize())
    triple = prediction.compose(truth=truth)
    assert triple.shape == (2, 16, 3)
    assert np.array_equal(triple[:, 6:10], truth.colorize())
    assert prediction.compose(legend=True).shape[0] > 2


def test_differences_ignore_what_the_truth_ignores(prediction):
    truth = Prediction(np.array([[0, 0, 10, 10], [255, 0, 13, 13]], np.uint8), CITYSCAPES)
    shown = prediction.differences(truth)
    wrong = np.zeros((2, 4), bool)
    wrong[0, 2] = wrong[1, 3] = True
    assert np.array_equal(shown[wrong], prediction.colorize()[wrong])
    assert (shown[~wrong] < 77).all()


def test_truth_must_fit(prediction):
    with pytest.raises(ImageError, match="the truth has 2 x 3 pixels"):
        prediction.differences(Prediction(LABELS[:, :3].copy(), CITYSCAPES))
    with pytest.raises(
        LabelError, match="the truth is in label space camvid-11, the prediction in cityscapes-19"
    ):
        prediction.compose(truth=Prediction(np.zeros((2, 4), np.uint8), space("camvid-11")))
    with pytest.raises(ImageError, match="carries no image"):
        Prediction(LABELS, CITYSCAPES).compose()
