import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from roadseg.errors import LabelError
from roadseg.labels import LabelSpace, space
from roadseg.metrics import Confusion, Protocol, Scores

THREE = LabelSpace.from_names(["road", "car", "sky"], name="three", ignore=255)
ids = st.sampled_from([0, 1, 2, 255])


def counted(truth, prediction, label_space=THREE):
    confusion = Confusion(label_space)
    confusion.update(np.asarray(truth, np.uint8), np.asarray(prediction, np.uint8))
    return confusion


def brute_force_iou(truth, prediction, class_id, void_counts):
    t, p = truth == class_id, prediction == class_id
    if not void_counts:
        p = p & (truth != 255)
    return (t & p).sum() / (t | p).sum() if t.any() else None


@given(arrays(np.uint8, (5, 7), elements=ids), arrays(np.uint8, (5, 7), elements=ids), st.booleans())
@settings(max_examples=50, deadline=None)
def test_iou_equals_set_arithmetic(truth, prediction, void_counts):
    protocol = Protocol(void="false-positive" if void_counts else "ignored")
    scores = Scores.from_confusion(counted(truth, prediction), protocol)
    expected = [brute_force_iou(truth, prediction, c, void_counts) for c in range(3)]
    for got, want in zip(scores.iou, expected, strict=True):
        assert math.isnan(got) if want is None else got == pytest.approx(want)
    present = [value for value in expected if value is not None]
    assert math.isnan(scores.miou) if not present else scores.miou == pytest.approx(np.mean(present))


@given(arrays(np.uint8, (4, 6), elements=ids), arrays(np.uint8, (4, 6), elements=ids))
@settings(max_examples=25, deadline=None)
def test_counting_halves_and_adding_equals_counting_the_whole(truth, prediction):
    whole = counted(truth, prediction)
    halves = counted(truth[:2], prediction[:2]) + counted(truth[2:], prediction[2:])
    assert np.array_equal(whole.counts, halves.counts)
    assert halves.images == 2


def test_the_two_void_conventions_on_one_example():
    truth = [[0, 0, 255, 255], [1, 1, 1, 1]]
    prediction = [[0, 0, 0, 1], [1, 1, 1, 0]]
    confusion = counted(truth, prediction)
    ignored = Scores.from_confusion(confusion)
    counting = Scores.from_confusion(confusion, Protocol(void="false-positive"))
    assert ignored.iou[0] == pytest.approx(2 / 3)
    assert counting.iou[0] == pytest.approx(2 / 4)
    assert ignored.iou[1] == pytest.approx(3 / 4)
    assert counting.iou[1] == pytest.approx(3 / 5)
    assert ignored.pixel_accuracy == counting.pixel_accuracy == pytest.approx(5 / 6)


def test_answering_none_of_the_classes_is_a_miss_not_a_hit():
    scores = Scores.from_confusion(counted([[0, 0, 1, 1]], [[0, 255, 1, 1]]))
    assert scores.recall[0] == pytest.approx(0.5)
    assert scores.precision[0] == pytest.approx(1.0)


def test_precision_and_recall_are_the_right_way_round():
    scores = Scores.from_confusion(counted([[0, 0, 0, 1]], [[0, 1, 1, 1]]))
    assert scores.recall[0] == pytest.approx(1 / 3)
    assert scores.precision[0] == pytest.approx(1.0)
    assert scores.precision[1] == pytest.approx(1 / 3)


def test_summary_scores():
    scores = Scores.from_confusion(counted([[0, 0, 0, 1]], [[0, 0, 1, 1]]))
    assert scores.mean_accuracy == pytest.approx((2 / 3 + 1) / 2)
    assert scores.pixel_accuracy == pytest.approx(3 / 4)
    assert scores.frequency_weighted_iou == pytest.approx(0.75 * 2 / 3 + 0.25 * 1 / 2)


def test_a_void_channel_that_shares_the_ignore_id_is_not_scored():
    camvid = space("camvid-12")
    scores = Scores.from_confusion(counted([[0, 1, 11, 11]], [[0, 11, 11, 0]], camvid))
    assert "void" not in scores.names
    assert len(scores.names) == 11
    assert scores.miou == pytest.approx(0.5)  # sky right, building missed


def test_counts_do_not_round_at_large_numbers():
    confusion = Confusion(THREE)
    confusion.counts[0, 0] = 2**53
    confusion.update(np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint8))
    assert confusion.counts[0, 0] == 2**53 + 1


def test_unknown_ids_are_refused_with_their_count():
    with pytest.raises(LabelError, match=r"street\.png.*truth has id 7 on 2 pixels.*three"):
        Confusion(THREE).update(
            np.array([[7, 7, 0]], np.uint8), np.zeros((1, 3), np.uint8), where="street.png"
        )


def test_different_sizes_are_refused():
    with pytest.raises(LabelError, match="differ"):
        Confusion(THREE).update(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8))


def test_confusion_equals_the_reference_matrix(shared):
    from PIL import Image

    folder = shared / "golden" / "cityscapes_eval"
    golden = json.loads((folder / "result.json").read_text())
    stored = space("cityscapes")
    confusion = Confusion(space("cityscapes-19"))
    from roadseg.labels import label_map

    to_train = label_map(stored, "cityscapes-19")
    for truth in sorted(folder.glob("*_gtFine_labelIds.png")):
        prediction = truth.with_name(truth.name.replace("_gtFine_labelIds", "_pred"))
        masks = [to_train.relabel(np.asarray(Image.open(path))) for path in (truth, prediction)]
        confusion.update(*masks)
    scores = Scores.from_confusion(confusion)
    for name, value in zip(scores.names, scores.iou, strict=True):
        assert value == pytest.approx(golden["classScores"][name], rel=1e-12)
    assert scores.miou == pytest.approx(golden["averageScoreClasses"], rel=1e-12)


def test_json_has_the_protocol_and_no_nan():
    scores = Scores.from_confusion(
        counted([[0, 0]], [[0, 0]]), Protocol(dataset="camvid", split="test", images=1)
    )
    text = json.dumps(scores.to_json(), allow_nan=False)
    assert "void truth ignored" in text
    assert json.loads(text)["classes"]["car"]["iou"] is None


@pytest.mark.parametrize(
    ("absent", "expected", "accuracy", "words"),
    [
        ("left-out", (0.5 + 1) / 2, (0.5 + 1) / 2, "classes present in the truth"),
        ("zero-if-predicted", (0.5 + 1 + 0) / 3, (0.5 + 1) / 2, "present in the truth or predicted"),
        ("zero", (0.5 + 1 + 0 + 0) / 4, (0.5 + 1) / 4, "all classes, absent ones as 0"),
    ],
)
def test_classes_without_truth(absent, expected, accuracy, words):
    """Road is half found and sky all, car is made up, and nobody speaks of trees."""
    four = LabelSpace.from_names(["road", "car", "sky", "tree"], name="four", ignore=255)
    scores = Scores.from_confusion(counted([[0, 0, 2, 2]], [[0, 1, 2, 2]], four), Protocol(absent=absent))
    assert scores.miou == pytest.approx(expected)
    assert scores.mean_accuracy == pytest.approx(accuracy)
    assert words in str(scores.protocol)


def test_excluded_classes_leave_the_means_alone():
    confusion = counted([[0, 0, 1, 2]], [[0, 1, 1, 2]])
    scores = Scores.from_confusion(confusion, Protocol(excluded=("car",)))
    everything = Scores.from_confusion(confusion)
    assert scores.miou == pytest.approx((1 / 2 + 1) / 2)
    assert scores.mean_accuracy == pytest.approx((1 / 2 + 1) / 2)
    assert scores.pixel_accuracy == everything.pixel_accuracy
    assert np.array_equal(scores.iou, everything.iou)
    assert str(scores.protocol).endswith("mean over classes present in the truth without car")


def test_an_unknown_class_cannot_be_excluded():
    with pytest.raises(LabelError, match="has no class 'tram'"):
        Scores.from_confusion(counted([[0]], [[0]]), Protocol(excluded=("tram",)))


def test_classes_that_are_not_evaluated_are_void_in_the_truth_and_misses_when_predicted():
    scores = Scores.from_confusion(counted([[0, 0, 1, 1]], [[0, 1, 0, 1]]), evaluated=["road", "sky"])
    assert scores.names == ("road", "sky")
    assert scores.iou[0] == pytest.approx(1 / 2)
    assert scores.pixel_accuracy == pytest.approx(1 / 2)
