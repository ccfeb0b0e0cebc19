import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.data.thresholds import LEVELS, Thresholds, threshold_of
from roadseg.errors import DataError, LabelError
from roadseg.labels import LabelSpace, space

SPACE = LabelSpace.from_names(("road", "car", "traffic sign"), ignore=9)


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_a_number_is_the_threshold_of_all_classes():
    levels = Thresholds.of(0.5, SPACE).levels
    assert levels.tolist() == [128, 128, 128]  # 127 / 255 is less than a half
    assert Thresholds.of(0, SPACE).levels.tolist() == [0, 0, 0]
    assert Thresholds.of(1, SPACE).levels.tolist() == [255, 255, 255]
    assert Thresholds.of(math.inf, SPACE).removed == SPACE.names


@given(st.integers(0, LEVELS))
@settings(max_examples=50, deadline=None)
def test_a_step_of_confidence_reaches_its_own_threshold_and_no_lower_one_does(level):
    assert Thresholds(SPACE, (threshold_of(level),) * 3).levels.tolist() == [level] * 3


@given(st.tuples(*[st.one_of(st.floats(0, 1), st.just(math.inf))] * 3))
@settings(max_examples=30, deadline=None)
def test_a_file_gives_back_what_was_written(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("t") / "thresholds.toml"
    Thresholds(SPACE, values).write(path, "why\nand how", {"car": "97.0% right"})
    assert Thresholds.read(path, SPACE).values == values


def test_classes_that_are_not_named_have_the_default(tmp_path):
    path = write(tmp_path / "t.toml", 'default = 0.25\n[thresholds]\ncar = inf\n"traffic sign" = 1\n')
    found = Thresholds.of(path, SPACE)
    assert found.by_name == {"road": 0.25, "car": math.inf, "traffic sign": 1.0}
    assert found.removed == ("car",)


def test_labels_are_trusted_by_their_own_class():
    found = Thresholds(SPACE, (0.5, math.inf, 0.0))
    ids = np.array([[0, 0, 1, 2, 9]], dtype=np.uint8)
    confidence = np.array([[127, 128, 255, 0, 255]], dtype=np.uint8)
    assert found.trusted(ids, confidence).tolist() == [[False, True, False, True, False]]


def test_ids_that_are_stored_as_the_highest_number_are_found():
    wide = space("cityscapes")
    assert Thresholds.of(0.5, wide).trusted(np.array([[7]], np.uint8), np.array([[200]], np.uint8)).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[thresholds]\nroad = 0.5\n", "has no threshold for car, traffic sign"),
        ("default = 2\n", "the threshold of road is 2"),
        ("default = true\n", "the threshold of road is True"),
        ('[thresholds]\nroad = "high"\ncar = 1\n"traffic sign" = 1\n', "the threshold of road is 'high'"),
        ("road = 0.5\n", "holds road; it may hold default"),
        ("[thresholds\n", "cannot be read as a file of thresholds"),
    ],
)
def test_unusable_files(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        Thresholds.read(write(tmp_path / "t.toml", text), SPACE)


def test_unknown_classes_and_missing_files(tmp_path):
    with pytest.raises(LabelError, match="did you mean car"):
        Thresholds.read(write(tmp_path / "t.toml", "default = 0\n[thresholds]\ncra = 0.5\n"), SPACE)
    with pytest.raises(DataError, match="No such file"):
        Thresholds.of(str(tmp_path / "none.toml"), SPACE)
    with pytest.raises(DataError, match=r"the threshold is 1\.5"):
        Thresholds.of(1.5, SPACE)
