import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.errors import LabelError
from roadseg.labels import LabelSpace
from roadseg.metrics.boundary import Boundary
from roadseg.metrics.trimap import Trimap

THREE = LabelSpace.from_names(["road", "car", "sky"], name="three")
NONE = THREE.ignore


def brute_boundary(labels, valid, label):
    """Boundary pixels of one class, pixel by pixel."""
    height, width = labels.shape
    found = np.zeros(labels.shape, bool)
    for y in range(height):
        for x in range(width):
            for v, u in ((y, x + 1), (y + 1, x), (y + 1, x + 1)):
                if v < height and u < width and valid[y, x] and valid[v, u]:
                    found[y, x] |= (labels[y, x] == label) != (labels[v, u] == label)
    return found


def brute_disk(mask, radius):
    out = np.zeros_like(mask)
    for y, x in np.argwhere(mask):
        for v in range(mask.shape[0]):
            for u in range(mask.shape[1]):
                out[v, u] |= (v - y) ** 2 + (u - x) ** 2 <= radius**2
    return out


def brute_f(truth, prediction, label, radius):
    """F of one class in one image (DAVIS); None where neither side holds the class."""
    valid = truth != NONE
    if not ((truth == label) | (prediction == label))[valid].any():
        return None
    true, given_ = (brute_boundary(labels, valid, label) for labels in (truth, prediction))
    if not true.any() or not given_.any():
        return float(not true.any() and not given_.any())
    precision = (given_ & brute_disk(true, radius)).sum() / given_.sum()
    recall = (true & brute_disk(given_, radius)).sum() / true.sum()
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


def brute_band(labels, valid, label, width):
    """Pixels of a class near another class or the image's edge."""
    height, width_ = labels.shape
    band = np.zeros(labels.shape, bool)
    for y in range(height):
        for x in range(width_):
            if not valid[y, x] or labels[y, x] != label:
                continue
            if min(y, x, height - 1 - y, width_ - 1 - x) < width:
                band[y, x] = True
                continue
            around = np.s_[y - width : y + width + 1, x - width : x + width + 1]
            band[y, x] = (labels[around] != label)[valid[around]].any()
    return band


def brute_trimap(truth, width):
    valid = truth != NONE
    height, width_ = truth.shape
    edges = []
    for y in range(height):
        for x in range(width_):
            for v, u in ((y, x + 1), (y, x - 1), (y + 1, x), (y - 1, x)):
                inside = 0 <= v < height and 0 <= u < width_
                if inside and valid[y, x] and valid[v, u] and truth[y, x] != truth[v, u]:
                    edges.append((y, x))
    taken = np.zeros(truth.shape, bool)
    for y in range(height):
        for x in range(width_):
            taken[y, x] = any(math.hypot(v - y, u - x) <= width - 0.5 for v, u in edges)
    return taken & valid


maps = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def blocks(generator, shape, ignored=True):
    """A label map of rectangles, some without truth, some single pixels."""
    labels = np.zeros(shape, np.uint8)
    values = [0, 1, 2, NONE] if ignored else [0, 1, 2]
    for _ in range(generator.integers(0, 12)):
        y, x = generator.integers(0, shape[0]), generator.integers(0, shape[1])
        h, w = generator.integers(1, 7, 2)
        labels[y : y + h, x : x + w] = generator.choice(values)
    return labels


@settings(max_examples=25, deadline=None)
@given(generator=maps, f_ratio=st.sampled_from([0.008, 0.1, 0.3]), iou_ratio=st.sampled_from([0.02, 0.15]))
def test_agrees_with_pixel_by_pixel_definitions(generator, f_ratio, iou_ratio):
    shape = tuple(generator.integers(1, 18, 2))
    pairs = [(blocks(generator, shape), blocks(generator, shape)) for _ in range(2)]
    boundary = Boundary(THREE, f_ratio, iou_ratio)
    for truth, prediction in pairs:
        boundary.update(truth, prediction)
    scores = boundary.result()
    radius = math.ceil(f_ratio * math.hypot(*shape))
    width = max(1, round(iou_ratio * math.hypot(*shape)))
    assert (scores.radii, scores.widths) == ((radius,), (width,))
    for label in range(3):
        if not any((truth == label).any() for truth, _ in pairs):
            assert np.isnan(scores.f[label])
            assert np.isnan(scores.iou[label])
            continue
        each = [brute_f(truth, prediction, label, radius) for truth, prediction in pairs]
        assert scores.f[label] == pytest.approx(np.mean([f for f in each if f is not None]), abs=1e-12)
        both = either = 0
        for truth, prediction in pairs:
            valid = truth != NONE
            bands = [brute_band(labels, valid, label, width) for labels in (truth, prediction)]
            both += (bands[0] & bands[1]).sum()
            either += (bands[0] | bands[1]).sum()
        expected = both / either if either else np.nan
        assert scores.iou[label] == pytest.approx(expected, abs=1e-12, nan_ok=True)


@settings(max_examples=25, deadline=None)
@given(generator=maps)
def test_trimap_agrees_with_distances_pixel_by_pixel(generator):
    shape = tuple(generator.integers(1, 22, 2))
    truth, prediction = blocks(generator, shape), blocks(generator, shape)
    trimap = Trimap(THREE, width=5)
    trimap.update(truth, prediction)
    curve = trimap.result()
    for i, width in enumerate(curve.widths):
        taken = brute_trimap(truth, width)
        assert curve.pixels[i] == taken.sum()
        if not taken.any():
            assert np.isnan(curve.accuracy[i])
            continue
        assert curve.accuracy[i] == pytest.approx((truth == prediction)[taken].mean(), abs=1e-12)
        ious = [
            ((truth == c) & (prediction == c))[taken].sum() / ((truth == c) | (prediction == c))[taken].sum()
            for c in range(3)
            if (truth == c)[taken].any()
        ]
        assert curve.miou[i] == pytest.approx(np.mean(ious), abs=1e-12)


def square(size=40, at=10, side=20):
    labels = np.zeros((size, size), np.uint8)
    labels[at : at + side, at : at + side] = 1
    return labels


def test_a_perfect_prediction_scores_one():
    boundary, trimap = Boundary(THREE), Trimap(THREE)
    boundary.update(square(), square())
    trimap.update(square(), square())
    scores = boundary.result()
    assert scores.f[:2].tolist() == scores.iou[:2].tolist() == scores.f_pooled[:2].tolist() == [1, 1]
    assert np.isnan([scores.f[2], scores.iou[2], scores.f_pooled[2]]).all()
    assert trimap.result().miou.tolist() == [1.0] * 20


def test_tolerance_forgives_a_small_shift_and_only_that():
    boundary = Boundary(THREE, f_ratio=0.05)  # ceil(0.05 * 56.6) = 3 pixels
    boundary.update(square(), square(at=12))
    assert boundary.result().f[1] > 0.95
    boundary = Boundary(THREE, f_ratio=0.001)  # one pixel
    boundary.update(square(), square(at=12))
    assert boundary.result().f[1] < 0.3


def test_official_radii_on_cityscapes_images():
    boundary = Boundary(THREE)
    boundary.update(np.zeros((1024, 2048), np.uint8), np.zeros((1024, 2048), np.uint8))
    assert boundary.result().to_json()["radius_px"] == [19]
    assert boundary.result().to_json()["band_px"] == [46]


def test_a_class_without_boundary_on_both_sides_is_right():
    boundary = Boundary(THREE)
    boundary.update(np.zeros((9, 9), np.uint8), np.zeros((9, 9), np.uint8))
    assert boundary.result().f[0] == 1


def test_a_missed_class_scores_nothing():
    boundary = Boundary(THREE)
    boundary.update(square(), np.zeros((40, 40), np.uint8))
    scores = boundary.result()
    assert scores.f[1] == scores.iou[1] == scores.f_pooled[1] == 0
    assert boundary.result().to_json()["f"]["sky"] is None


def test_what_lies_without_truth_changes_nothing():
    truth = square()
    truth[:, 25:] = NONE
    wild = np.where(truth == NONE, np.random.default_rng(0).integers(0, 3, truth.shape), square(at=11))
    calm = np.where(truth == NONE, 2, square(at=11))
    for kind in (Boundary, Trimap):
        results = []
        for prediction in (wild, calm):
            counted = kind(THREE)
            counted.update(truth, prediction.astype(np.uint8))
            results.append(counted.counts)
        assert np.array_equal(*results)


def test_the_edge_of_the_unlabeled_region_is_no_boundary():
    truth = np.zeros((30, 30), np.uint8)
    truth[:, 15:] = NONE
    trimap = Trimap(THREE)
    trimap.update(truth, np.zeros_like(truth))
    assert trimap.result().pixels.sum() == 0
    assert trimap.result().to_json()[0] == {"width": 1, "miou": None, "accuracy": None, "pixels": 0}


def test_none_of_the_classes_is_a_miss():
    prediction = square()
    prediction[:, 20:] = NONE
    boundary, trimap = Boundary(THREE), Trimap(THREE)
    boundary.update(square(), prediction)
    trimap.update(square(), prediction)
    assert boundary.result().f[1] < 1
    assert trimap.result().accuracy[0] == pytest.approx(0.5, abs=0.02)


def test_more_classes_than_a_word_has_bits():
    many = LabelSpace.from_names([f"class {i}" for i in range(150)], name="many")
    truth = np.repeat(np.arange(150, dtype=np.uint8), 4)[None].repeat(5, axis=0)
    boundary = Boundary(many)
    boundary.update(truth, np.roll(truth, 1, axis=1))
    scores = boundary.result()
    assert scores.f[1:-1].min() == 1  # one pixel off, and the tolerance is five
    assert scores.precision.shape == (150,)


@pytest.mark.parametrize("kind", [Boundary, Trimap])
def test_parts_add_up(kind):
    generator = np.random.default_rng(1)
    pairs = [(blocks(generator, shape), blocks(generator, shape)) for shape in ((20, 30), (31, 17), (9, 9))]
    whole, first, second = kind(THREE), kind(THREE), kind(THREE)
    for i, pair in enumerate(pairs):
        whole.update(*pair)
        (first if i == 0 else second).update(*pair)
    total = second + first
    assert total.images == whole.images == 3
    assert np.array_equal(total.counts, whole.counts)
    assert str(total.result().to_json()) == str(whole.result().to_json())


@pytest.mark.parametrize("kind", [Boundary, Trimap])
def test_refuses_what_does_not_fit(kind):
    with pytest.raises(LabelError, match=r"a.png: truth of shape \(3, 3\) and prediction of shape \(3, 4\)"):
        kind(THREE).update(np.zeros((3, 3), np.uint8), np.zeros((3, 4), np.uint8), "a.png")
    with pytest.raises(LabelError, match=r"a\.png: the prediction has id 7 on 9 pixels"):
        kind(THREE).update(np.zeros((3, 3), np.uint8), np.full((3, 3), 7), "a.png")
    with pytest.raises(LabelError, match="the truth has id -3"):
        kind(THREE).update(np.full((3, 3), -3), np.zeros((3, 3), np.uint8))
    with pytest.raises(LabelError, match="cannot add"):
        kind(THREE) + kind(LabelSpace.from_names(["a"]))
