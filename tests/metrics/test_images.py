import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from roadseg.errors import DataError, InputError
from roadseg.labels import LabelSpace
from roadseg.metrics import (
    Confusion,
    ImageCounts,
    Protocol,
    Scores,
    check_comparable,
    compare,
    credit_relabeled,
    miou_interval,
)
from roadseg.metrics.bootstrap import draw

THREE = LabelSpace.from_names(["road", "car", "sky"], name="three", ignore=255)
ids = st.sampled_from([0, 1, 2, 255])
pictures = arrays(np.uint8, (3, 2, 4, 5), elements=ids)  # images, truth and prediction, height, width


def table(images):
    rows = []
    for i, (truth, prediction) in enumerate(images):
        confusion = Confusion(THREE)
        confusion.update(truth, prediction)
        rows.append((f"image{i}", ImageCounts.of_image(confusion)))
    return ImageCounts.stack(THREE, rows)


def counted(images):
    confusion = Confusion(THREE)
    for truth, prediction in images:
        confusion.update(truth, prediction)
    return confusion


def noisy(seed, share, images=12, size=(8, 16)):
    rng = np.random.default_rng(seed)
    truth = rng.choice([0, 1, 2, 255], p=[0.4, 0.3, 0.2, 0.1], size=(images, *size)).astype(np.uint8)
    wrong = (
        np.random.default_rng(99 + seed).random(truth.shape)
        < share * np.linspace(0, 2, images)[:, None, None]
    )
    guess = np.random.default_rng(7).integers(0, 3, truth.shape).astype(np.uint8)
    return np.stack([truth, np.where(wrong | (truth == 255), guess, truth)], axis=1)


@given(
    pictures,
    st.sampled_from(["ignored", "false-positive"]),
    st.sampled_from(["left-out", "zero-if-predicted", "zero"]),
    st.sampled_from([(), ("car",)]),
)
@settings(max_examples=50, deadline=None)
def test_sums_over_images_give_the_score_of_the_data_set(images, void, absent, excluded):
    protocol = Protocol(void=void, absent=absent, excluded=excluded)
    scores = Scores.from_confusion(counted(images), protocol)
    counts = table(images)
    total = counts.counts.sum(axis=0)
    np.testing.assert_allclose(counts.iou(total, protocol), scores.iou, rtol=1e-12)
    np.testing.assert_allclose(counts.miou(total, protocol), scores.miou, rtol=1e-12)


def test_rows_are_the_scores_of_single_images():
    images = noisy(0, 0.3)
    for void in ("ignored", "false-positive"):
        protocol = Protocol(void=void, absent="zero")
        for row, image in zip(table(images).table(protocol), images, strict=True):
            alone = Scores.from_confusion(counted([image]), Protocol(void=void))
            assert row["miou"] == pytest.approx(alone.miou)
            assert row["accuracy"] == pytest.approx(alone.pixel_accuracy)
            assert row["pixels"] == int((image[0] != 255).sum())


def test_an_image_without_truth_has_no_score():
    row = table([(np.full((2, 2), 255, np.uint8), np.zeros((2, 2), np.uint8))]).table(Protocol())[0]
    assert row == {"key": "image0", "miou": None, "accuracy": None, "pixels": 0}
    json.dumps(row, allow_nan=False)


def test_saved_counts_come_back(tmp_path):
    counts = table(noisy(1, 0.2))
    counts.save(tmp_path / "score.images.npz")
    again = ImageCounts.load(tmp_path / "score.images.npz")
    assert again.names == counts.names
    assert again.keys == counts.keys
    assert np.array_equal(again.counts, counts.counts)
    assert [path.name for path in tmp_path.iterdir()] == ["score.images.npz"]


def test_what_holds_no_counts_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"missing\.npz: does not exist; `roadseg evaluate --out`"):
        ImageCounts.load(tmp_path / "missing.npz")
    (tmp_path / "text.npz").write_text("no counts")
    np.savez(tmp_path / "other.npz", names=np.array(["a"]), keys=np.array(["b"]), counts=np.zeros((1, 4, 2)))
    np.savez(tmp_path / "less.npz", names=np.array(["a"]))
    whole = tmp_path / "whole.npz"
    table(noisy(1, 0.2)).save(whole)
    (tmp_path / "cut.npz").write_bytes(whole.read_bytes()[:-40])
    for name in ("text", "other", "less", "cut"):
        with pytest.raises(InputError, match="holds no counts per image"):
            ImageCounts.load(tmp_path / f"{name}.npz")


def test_the_interval_holds_the_score_and_narrows_with_more_images():
    few, many = noisy(3, 0.3, images=10), noisy(3, 0.3, images=160)
    widths = []
    for images in (few, many):
        counts = table(images)
        interval = miou_interval(counts, Protocol())
        assert interval.low < Scores.from_confusion(counted(images)).miou < interval.high
        widths.append(interval.high - interval.low)
    assert widths[1] < widths[0] / 2


def test_the_same_seed_gives_the_same_interval():
    counts = table(noisy(4, 0.3))
    first, second, other = (miou_interval(counts, Protocol(), seed=seed) for seed in (5, 5, 6))
    assert first == second != other
    assert first.to_json() == {"low": first.low, "high": first.high, "level": 0.95, "replicates": 1000}


def test_replicates_are_drawn_with_replacement():
    drawn = draw(7, 50)
    assert (drawn.sum(axis=1) == 7).all()
    assert drawn.max() > 1
    assert np.array_equal(drawn, draw(7, 50))


def test_an_interval_agrees_with_drawing_image_by_image():
    """The weights are a faster way of adding up the confusion matrices of the drawn images."""
    images = noisy(8, 0.4, images=6)
    counts, drawn = table(images), draw(6, 20, seed=1)
    slow = []
    for row in drawn.astype(int):
        chosen = [image for image, number in zip(images, row, strict=True) for _ in range(number)]
        slow.append(Scores.from_confusion(counted(chosen)).miou)
    low, high = np.quantile(slow, [0.025, 0.975])
    interval = miou_interval(counts, Protocol(), replicates=20, seed=1)
    assert (interval.low, interval.high) == (pytest.approx(low), pytest.approx(high))


def test_one_image_tells_nothing_about_the_spread():
    with pytest.raises(DataError, match="over 1 image"):
        miou_interval(table(noisy(0, 0.2, images=1)), Protocol())


def test_no_score_has_no_interval():
    void = table([(np.full((2, 2), 255, np.uint8), np.zeros((2, 2), np.uint8))] * 3)
    with pytest.raises(DataError, match="no class that is averaged has a truth"):
        miou_interval(void, Protocol())
    with pytest.raises(DataError, match="no class that is averaged has a truth"):
        compare(void, void, Protocol())


def test_a_paired_difference_is_surer_than_two_intervals():
    """The same images, hard and easy for both: intervals of the scores overlap, that of the difference is clear."""
    good, bad = noisy(2, 0.30, images=40), noisy(2, 0.34, images=40)
    first, second = table(good), table(bad)
    intervals = [miou_interval(counts, Protocol()) for counts in (first, second)]
    assert intervals[0].low < intervals[1].high
    difference = compare(first, second, Protocol())
    expected = [Scores.from_confusion(counted(images)) for images in (good, bad)]
    assert difference.miou == pytest.approx(expected[0].miou - expected[1].miou)
    assert difference.is_clear
    assert difference.better == 1
    assert difference.classes["car"] == pytest.approx(expected[0].iou[1] - expected[1].iou[1])
    assert compare(second, first, Protocol()).miou == pytest.approx(-difference.miou)


def test_a_score_does_not_differ_from_itself():
    counts = table(noisy(2, 0.3))
    shuffled = counts.in_order(counts.keys[::-1])
    difference = compare(counts, shuffled, Protocol())
    assert difference.miou == difference.interval.low == difference.interval.high == difference.better == 0
    assert not difference.is_clear
    json.dumps(difference.to_json(), allow_nan=False)


def test_scores_of_other_images_or_classes_are_not_compared():
    counts = table(noisy(2, 0.3))
    fewer = ImageCounts(counts.names, counts.keys[1:], counts.counts[1:])
    with pytest.raises(DataError, match=r"on other images .*image0"):
        compare(counts, fewer, Protocol())
    with pytest.raises(DataError, match=r"on other images .*image0"):
        compare(fewer, counts, Protocol())
    with pytest.raises(DataError, match="different classes"):
        compare(counts, ImageCounts(("a", "b", "c"), counts.keys, counts.counts), Protocol())


def test_protocols_have_to_agree_in_all_but_the_strategy():
    mine = Protocol(dataset="camvid", split="test", images=2, space="three")
    other = Protocol(dataset="camvid", split="test", images=2, space="three", strategy="flip").to_json()
    check_comparable(mine, other, "a.json")
    for change in ({"split": "val"}, {"void": "false-positive"}, {"excluded": ["car"]}, {"absent": "zero"}):
        with pytest.raises(DataError, match=rf"a\.json: was computed with {next(iter(change))}"):
            check_comparable(mine, {**other, **change}, "a.json")
    old = {key: other[key] for key in ("dataset", "split", "images", "space", "void")}
    check_comparable(mine, old, "a.json")  # scores of before these rules could be chosen


@given(
    *(arrays(np.uint8, (4, 6), elements=ids) for _ in range(3)),
)
@settings(max_examples=50, deadline=None)
def test_relabeled_rule_pixel_by_pixel(prediction, relabeled, original):
    """MSeg's rule as its authors state it."""
    credited, truth = credit_relabeled(prediction, relabeled, original, THREE)
    for p, new, old, c, t in zip(
        *(a.ravel().tolist() for a in (prediction, relabeled, original, credited, truth)), strict=True
    ):
        if new == old:
            assert c == p
        else:
            assert c == (old if p == new else 255)
        assert t == (255 if new == 255 else old)


def test_relabeled_pixels_are_right_or_missed_but_no_false_positives():
    original, relabeled = np.array([[0, 0, 1, 1]], np.uint8), np.array([[2, 2, 1, 255]], np.uint8)
    prediction = np.array([[2, 1, 1, 0]], np.uint8)
    credited, truth = credit_relabeled(prediction, relabeled, original, THREE)
    assert credited.tolist() == [[0, 255, 1, 255]]
    assert truth.tolist() == [[0, 0, 1, 255]]
    scores = Scores.from_confusion(counted([(truth, credited)]))
    assert scores.iou[0] == pytest.approx(1 / 2)
    assert scores.iou[1] == pytest.approx(1)


def test_relabeled_labels_need_one_size():
    from roadseg.errors import LabelError

    with pytest.raises(LabelError, match=r"a\.png.*differ"):
        credit_relabeled(*(np.zeros((2, n), np.uint8) for n in (2, 2, 3)), THREE, "a.png")
