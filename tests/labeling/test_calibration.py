import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.data import open_source
from roadseg.data.thresholds import LEVELS
from roadseg.errors import DataError, LabelError
from roadseg.labeling.agreement import Opinion, Teachers
from roadseg.labeling.calibration import ConfidenceCounts, calibrate
from roadseg.labeling.trust import Trust
from roadseg.labels import LabelSpace, space
from tests.fakes import save
from tests.labeling.color_net import painted, teacher

SPACE = LabelSpace.from_names(("road", "car"), ignore=9)
CAMVID = space("camvid-11")


def counted(rows) -> ConfidenceCounts:
    """Counts of rows (predicted, confidence, truth)."""
    said, confidence, truth = (np.array(column)[None] for column in zip(*rows, strict=True))
    counts = ConfidenceCounts(SPACE)
    places = np.ones(said.shape, bool)
    counts.update(Opinion(said, confidence.astype(np.uint8), places), places, truth.astype(np.uint8))
    return counts


ROWS = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 255), st.sampled_from([0, 0, 1, 9])), min_size=1, max_size=40
)


@given(ROWS, st.sampled_from([0.2, 0.5, 0.9, 1.0]))
@settings(max_examples=50, deadline=None)
def test_a_threshold_is_the_smallest_that_reaches_the_precision(rows, precision):
    levels = counted(rows).calibrated(precision).thresholds.levels
    for channel in range(2):
        judged = [
            (confidence, truth == channel)
            for said, confidence, truth in rows
            if said == channel and truth != 9
        ]
        reached = [
            level
            for level in range(LEVELS)
            if (above := [right for confidence, right in judged if confidence >= level])
            and sum(above) >= precision * len(above)
        ]
        assert levels[channel] == min(reached, default=LEVELS)


@given(ROWS)
@settings(max_examples=30, deadline=None)
def test_higher_precisions_never_give_lower_thresholds(rows):
    found = [counted(rows).calibrated(share).thresholds.levels for share in (0.3, 0.6, 0.9, 1.0)]
    assert (np.diff(np.stack(found).astype(int), axis=0) >= 0).all()


@given(ROWS, ROWS)
@settings(max_examples=20, deadline=None)
def test_counts_of_several_processes_add_up_and_survive_json(first, second):
    total, both = counted(first) + counted(second), counted(first + second)
    assert np.array_equal(total.counts, both.counts)
    again = ConfidenceCounts.from_json(json.loads(json.dumps(total.to_json())))
    assert np.array_equal(again.counts, both.counts)
    assert np.array_equal(again.truth, both.truth)
    assert (again.pictures, again.space) == (2, SPACE)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([(0, 200, 0)], "it does not occur, in truth or prediction"),
        ([*[(0, 200, 0)] * 30, (0, 200, 1)], "it is never predicted"),
        ([(0, 200, 0), (1, 200, 0)], "it does not occur in the truth, so that all its labels are wrong"),
        ([(0, 200, 0), (1, 200, 0), (1, 250, 0), (1, 200, 1)], "at most 33.3% of its labels are right"),
    ],
)
def test_a_class_that_never_reaches_it_is_removed_and_named(rows, reason):
    found = counted(rows).calibrated(0.95, "val of x")
    assert found.thresholds.values[0] < 1
    assert math.isinf(found.thresholds.values[1])
    assert len(found.warnings) == 1
    assert found.warnings[0].startswith(f"no pixel of car is trusted: {reason}")
    assert found.warnings[0].endswith("(on val of x)")


def test_thresholds_that_keep_next_to_nothing_are_pointed_out():
    rows = [(0, 255, 0), *[(0, 100, 1)] * 200, (1, 9, 1)]
    assert counted(rows).calibrated(0.9, "x").warnings == (
        "hardly any pixel of road is trusted: 100.0% right, 0.5% kept (on x)",
    )


@pytest.fixture
def camvid(tmp_path):
    """Pictures whose doubtful pixels have another truth than they look like."""
    for number in range(2):
        channels = np.broadcast_to(np.arange(12) % 3 + number, (6, 12))
        doubt = np.broadcast_to(np.where(np.arange(6) < 2, 9, 0)[:, None], (6, 12))
        truth = np.where(doubt > 0, 9, channels).astype(np.uint8)
        save(tmp_path / "camvid" / "val" / f"{number}.png", painted(channels, doubt))
        save(tmp_path / "camvid" / "valannot" / f"{number}.png", truth)
    return open_source(tmp_path / "camvid")


def test_calibration_finds_the_confidence_of_the_doubtful(camvid):
    counts = calibrate(Teachers.of(teacher(CAMVID)), camvid, "val")
    assert (counts.pictures, counts.counts.sum()) == (2, 2 * 6 * 12)
    found = counts.calibrated(0.95)
    for name in ("sky", "building", "pole", "road"):
        assert 0.5 < found.thresholds.by_name[name] <= 0.99
        assert found.notes[name] == "100.0% right, 66.7% kept"
    assert "tree" in found.thresholds.removed
    low = counts.calibrated(0.5).thresholds
    assert low.by_name["sky"] == 0


def test_only_pixels_that_would_be_used_count(camvid):
    trust = Trust(window=(2, 0, 6, 12))
    counts = calibrate(Teachers.of(teacher(CAMVID)), camvid, "val", trust=trust)
    assert counts.counts.sum() == 2 * 4 * 12
    assert counts.calibrated(1.0).thresholds.by_name["sky"] == 0


def test_unusable_data(camvid, tmp_path):
    members = Teachers.of(teacher(CAMVID))
    save(tmp_path / "bare" / "images" / "test" / "x.png", painted(np.zeros((4, 4), int)))
    (tmp_path / "bare" / "data.yaml").write_text("test: images/test\nspace: camvid-11\n")
    with pytest.raises(DataError, match=r"split 'test' has no labels \(1 of 1 pictures have none\)"):
        calibrate(members, open_source(tmp_path / "bare"), "test")
    with pytest.raises(DataError, match="has no split 'train'"):
        calibrate(members, camvid, "train")
    save(camvid.root / "valannot" / "0.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(DataError, match="the label is 4x4 pixels, its picture 12x6"):
        calibrate(members, camvid, "val")
    fruit = LabelSpace.from_names(("apple", "pear"), name="fruit")
    with pytest.raises(
        LabelError, match="no map leads from to fruit; calibrate on data of the teachers' classes"
    ):
        calibrate(Teachers.of(teacher(fruit)), camvid, "val")
