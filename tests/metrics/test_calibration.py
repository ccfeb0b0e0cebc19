import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.errors import LabelError
from roadseg.labels import LabelSpace
from roadseg.metrics.calibration import Calibration, pick_pixels

FOUR = LabelSpace.from_names(["road", "car", "sky", "pole"], name="four")


def softmax(logits):
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def drawn(count, temperature, seed=0, spread=2.0):
    """Logits, and a truth drawn from their softmax at a temperature: that is the right one."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, spread, (count, 4))
    cumulated = softmax(logits / temperature).cumsum(axis=1)
    truth = (generator.random((count, 1)) > cumulated).sum(axis=1)
    return truth.astype(np.uint8), logits.astype(np.float32)


def brute_ece(truth, logits, bins=15):
    """Pixel by pixel."""
    gaps = [[] for _ in range(bins)]
    for label, row in zip(truth, softmax(logits.astype(np.float64)), strict=True):
        gaps[min(bins - 1, math.ceil(row.max() * bins) - 1)].append(row.max() - (row.argmax() == label))
    return sum(abs(sum(gap)) for gap in gaps) / len(truth)


def brute_temperature(truth, logits):
    """The best of a fine grid."""
    grid = np.exp(np.linspace(math.log(0.25), math.log(8), 4000))
    rows = np.arange(len(truth))

    def nll(temperature):
        return -np.log(softmax(logits.astype(np.float64) / temperature)[rows, truth] + 1e-300).mean()

    return grid[np.argmin([nll(t) for t in grid])]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), temperature=st.sampled_from([0.5, 1.0, 2.5]))
def test_agrees_with_the_definition(seed, temperature):
    truth, logits = drawn(400, temperature, seed)
    calibration = Calibration(FOUR)
    calibration.update(truth, logits)
    scores = calibration.result()
    assert scores.ece == pytest.approx(brute_ece(truth, logits), abs=1e-5)
    rows = softmax(logits.astype(np.float64))[np.arange(400), truth]
    assert scores.nll == pytest.approx(-np.log(rows).mean(), rel=1e-5)


@pytest.mark.parametrize("temperature", [0.6, 1.0, 1.37, 3.0])
def test_temperature_is_that_of_the_smallest_likelihood(temperature):
    truth, logits = drawn(3000, temperature, seed=3)
    calibration = Calibration(FOUR)
    calibration.update(truth, logits)
    scores = calibration.result()
    best = brute_temperature(truth, logits)
    assert scores.temperature == pytest.approx(best, rel=5e-3)
    assert scores.temperature == pytest.approx(
        temperature, rel=0.08
    )  # the sample's, near the one it was drawn with
    assert scores.ece_after == pytest.approx(brute_ece(truth, logits / best), abs=0.006)
    assert scores.ece_after <= scores.ece + 0.01


def test_an_overconfident_network_is_seen_and_mended():
    truth, logits = drawn(20000, 2.5)
    calibration = Calibration(FOUR)
    calibration.update(truth, logits)
    scores = calibration.result()
    assert scores.ece > 0.1
    assert scores.ece_after < 0.02
    assert scores.temperature > 2


def test_temperatures_outside_the_grid_are_its_ends():
    logits = np.eye(4, dtype=np.float32)
    for truth, end in (([0, 1, 2, 3], 0.25), ([1, 2, 3, 0], 8.0)):
        calibration = Calibration(FOUR)
        calibration.update(np.array(truth), logits)
        assert calibration.result().temperature == end


def test_a_shift_of_the_logits_and_log_probabilities_change_nothing():
    truth, logits = drawn(500, 1.5)
    results = []
    for scores in (logits, logits + 100, np.log(softmax(logits))):
        calibration = Calibration(FOUR)
        calibration.update(truth, scores)
        results.append(calibration.result().to_json())
    for other in results[1:]:
        assert other["temperature"] == pytest.approx(results[0]["temperature"], rel=1e-4)
        assert other["ece"] == pytest.approx(results[0]["ece"], abs=1e-3)


def test_probabilities_of_zero_are_no_trouble():
    calibration = Calibration(FOUR)
    with np.errstate(divide="ignore"):
        calibration.update(np.array([0, 1]), np.log(np.eye(4)[[0, 2]]))
    scores = calibration.result()
    assert math.isfinite(scores.nll)
    assert scores.ece == pytest.approx(0.5)


def test_pixels_without_truth_are_left_out():
    truth, logits = drawn(300, 1)
    some, all_ = Calibration(FOUR), Calibration(FOUR)
    some.update(truth[:200], logits[:200])
    all_.update(np.where(np.arange(300) < 200, truth, FOUR.ignore), logits)
    assert some.result().to_json() == all_.result().to_json()


def test_without_pixels_nothing_is_known():
    result = Calibration(FOUR).result().to_json()
    assert result["ece"] is result["temperature"] is result["ece_after"] is None
    assert len(result["bins"]) == 15
    assert result["bins"][0] == {"low": 0, "high": 1 / 15, "confidence": None, "accuracy": None, "count": 0}


def test_parts_add_up():
    truth, logits = drawn(600, 1.3)
    whole, first, second = Calibration(FOUR), Calibration(FOUR), Calibration(FOUR)
    whole.update(truth, logits)
    first.update(truth[:250], logits[:250])
    second.update(truth[250:], logits[250:])
    total = (second + first).result()
    assert total.temperature == pytest.approx(whole.result().temperature, rel=1e-6)
    assert total.ece == pytest.approx(whole.result().ece, abs=1e-6)
    assert total.counts.tolist() == whole.result().counts.tolist()
    assert (first + second).images == 2


def test_picks_the_same_known_pixels_for_the_same_image():
    truth = np.random.default_rng(0).integers(0, 4, (60, 80)).astype(np.uint8)
    truth[:30] = FOUR.ignore
    rows, columns = pick_pixels(truth, FOUR, "a", count=100)
    assert len(rows) == 100 == len(set(zip(rows.tolist(), columns.tolist(), strict=True)))
    assert rows.min() >= 30
    again = pick_pixels(truth, FOUR, "a", count=100)
    assert np.array_equal(rows, again[0])
    assert np.array_equal(columns, again[1])
    assert not np.array_equal(rows, pick_pixels(truth, FOUR, "b", count=100)[0])
    assert not np.array_equal(rows, pick_pixels(truth, FOUR, "a", count=100, seed=1)[0])
    assert len(pick_pixels(truth, FOUR, count=10**6)[0]) == 30 * 80
    assert len(pick_pixels(np.full((3, 3), FOUR.ignore), FOUR)[0]) == 0


def test_refuses_what_does_not_fit():
    with pytest.raises(LabelError, match=r"a.png: truth of shape \(3,\) and logits of shape \(3, 5\)"):
        Calibration(FOUR).update(np.zeros(3, np.uint8), np.zeros((3, 5)), "a.png")
    with pytest.raises(LabelError, match="cannot add"):
        Calibration(FOUR) + Calibration(FOUR, bins=10)
