import json
import os
from pathlib import Path

import numpy as np
import pytest

from roadseg.data import open_source, with_autolabels
from roadseg.data.thresholds import Thresholds
from roadseg.errors import DataError, LabelError, OutputError, RecipeError
from roadseg.inference.pipeline import Shard
from roadseg.labeling.agreement import Teachers
from roadseg.labeling.autolabel import autolabel, picture_source
from roadseg.labeling.preview import hatched, preview_sheet, spread
from roadseg.labeling.trust import Trust
from roadseg.labels import LabelSpace, space
from roadseg.media import find_images, read_mask
from tests.fakes import save
from tests.labeling.color_net import means_of, painted, said, teacher

CAMVID = space("camvid-11")
SIZE = (10, 12)


def channels_of(name: int) -> np.ndarray:
    """Four blocks of classes that differ from picture to picture."""
    corners = (np.array([[0, 1], [2, 3]]) + name) % CAMVID.num_classes
    return np.kron(corners, np.ones((SIZE[0] // 2, SIZE[1] // 2), dtype=int))


def doubts() -> np.ndarray:
    """Certain columns, and ever more doubtful ones."""
    return np.broadcast_to(np.arange(SIZE[1]) % 8, SIZE)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three pictures in a tree, on the names of whose folders nothing depends."""
    for number, name in enumerate(("a/1.png", "images/2.png", "3.png")):
        save(tmp_path / "photos" / name, painted(channels_of(number), doubts()))
    return tmp_path / "photos"


@pytest.fixture
def camvid(tmp_path: Path):
    """A labeled split whose truth is what is painted."""
    for number in range(3):
        save(tmp_path / "camvid" / "train" / f"{number}.png", painted(channels_of(number), doubts()))
        save(tmp_path / "camvid" / "trainannot" / f"{number}.png", channels_of(number).astype(np.uint8))
    return open_source(tmp_path / "camvid")


def pictures(folder: Path):
    return picture_source(find_images([folder]), CAMVID)


def test_a_folder_becomes_labels_confidence_and_a_data_set(photos, tmp_path):
    outcome = autolabel(teacher(CAMVID), pictures(photos), "train", tmp_path / "out", thresholds=0.9)
    assert outcome.done == ("3", "a/1", "images/2")
    found = open_source(tmp_path / "out")
    assert found.target == CAMVID
    records = found.find("train")
    assert [record.key for record in records] == ["3", "a/1", "images/2"]
    assert [record.image for record in records] == [
        photos / name for name in ("3.png", "a/1.png", "images/2.png")
    ]
    for record, number in zip(records, (2, 0, 1), strict=True):
        channels, confidence = said(painted(channels_of(number), doubts()), CAMVID)
        labels = tmp_path / "out" / "labels" / f"{record.key}.png"
        assert np.array_equal(read_mask(labels), channels)
        written = read_mask(labels.with_name(f"{labels.stem}_prob.png"))
        assert np.abs(written.astype(int) - confidence).max() <= 1  # float32 beside float64, rounded down
        trusted = written / 255 >= 0.9
        assert 0 < trusted.mean() < 1
        assert np.array_equal(found.read_label(record), np.where(trusted, channels, CAMVID.ignore))


def test_confidence_is_rounded_down(tmp_path):
    save(tmp_path / "p" / "x.png", painted(channels_of(0)))
    autolabel(teacher(CAMVID, [0.0, *[500.0] * 10]), pictures(tmp_path / "p"), "train", tmp_path / "out")
    confidence = read_mask(tmp_path / "out" / "labels" / "x_prob.png")
    assert set(np.unique(confidence)) <= {254, 255}  # all but certain; never rounded up to 256, that is to 0


def test_both_readers_give_the_same_labels(camvid, tmp_path):
    thresholds = tmp_path / "t.toml"
    thresholds.write_text('default = 0.9\n[thresholds]\nbuilding = 0.5\npole = inf\n"road" = 0.95\n')
    outcome = autolabel(teacher(CAMVID), camvid, "train", tmp_path / "out", thresholds=thresholds)
    hard = open_source(outcome.data)
    for given in (thresholds, tmp_path / "out" / "thresholds.toml"):
        soft = with_autolabels(camvid, tmp_path / "out" / "labels", split="train", threshold=str(given))
        for one, other in zip(hard.find("train"), soft.find("train"), strict=True):
            assert np.array_equal(hard.read_label(one), soft.read_label(other))
    assert outcome.tally.removed == ("pole",)
    assert CAMVID.index("pole") not in np.unique(hard.read_label(hard.find("train")[0]))


def test_statistics_compare_with_the_stored_labels(camvid, tmp_path):
    wrong = [*means_of(CAMVID)]
    wrong[1], wrong[3] = wrong[3], wrong[1]  # takes building for road
    outcome = autolabel(teacher(CAMVID, wrong), camvid, "train", tmp_path / "out", thresholds=0.9)
    rows = {row["class"]: row for row in outcome.tally.table()}
    assert rows["building"]["precision"] == rows["road"]["kept_precision"] == 0
    assert rows["sky"]["precision"] == rows["sky"]["kept_iou"] == 1
    assert rows["sky"]["predicted"] == pytest.approx(1 / 12)  # a quarter of one picture in three
    assert rows["sky"]["kept"] < rows["sky"]["predicted"]
    assert rows["sky"]["kept_confidence"] > rows["sky"]["confidence"]
    assert rows["bicyclist"]["precision"] is None
    stored = json.loads((tmp_path / "out" / "statistics.json").read_text())
    assert stored["pictures"] == 3
    assert stored["accuracy"] == pytest.approx(1 - 5 / 12)  # two blocks of building, three of road
    assert stored["kept"] == pytest.approx(sum(row["kept"] for row in rows.values()))


def test_borders_margins_and_windows_are_ignored(photos, tmp_path):
    trust = Trust(border=1, margin=2, window=(0, 0, 10, 9))
    autolabel(teacher(CAMVID), pictures(photos), "train", tmp_path / "out", thresholds=0, trust=trust)
    source = open_source(tmp_path / "out")
    used = source.read_label(source.find("train")[0]) != CAMVID.ignore
    expected = np.zeros(SIZE, bool)
    expected[2:8, 2:9] = True
    expected[4:6] = expected[:, 5:7] = False  # one pixel on either side of the borders
    assert np.array_equal(used, expected)


@pytest.mark.parametrize("rules", [{"border": -1}, {"margin": -1}, {"window": (3, 0, 3, 5)}])
def test_senseless_rules_are_refused(rules):
    with pytest.raises(RecipeError):
        Trust(**rules)


def test_pixels_that_networks_disagree_on_are_ignored(camvid, tmp_path):
    means = [*means_of(CAMVID)]
    means[0] = 100.0  # does not know the sky, and takes it for building
    pair = [teacher(CAMVID), teacher(CAMVID, means)]
    out = tmp_path / "all"
    outcome = autolabel(Teachers.of(pair, CAMVID), camvid, "train", out, thresholds=0)
    first = open_source(out).find("train")[0]
    label = open_source(out).read_label(first)
    assert (label[:5, :6] == CAMVID.ignore).all()
    assert np.array_equal(label[5:], channels_of(0)[5:])
    assert outcome.tally.disputed >= 30
    enough = Teachers.of(pair, CAMVID, agree=1)
    autolabel(enough, camvid, "train", tmp_path / "one", thresholds=0)
    assert (
        open_source(tmp_path / "one").read_label(open_source(tmp_path / "one").find("train")[0]) != 11
    ).all()


def test_two_equal_networks_say_what_one_says(photos, tmp_path):
    for name, count in (("one", 1), ("two", 2)):
        autolabel(
            Teachers.of([teacher(CAMVID)] * count), pictures(photos), "train", tmp_path / name, thresholds=0.7
        )
    for kind in ("labels/a/1.png", "labels/a/1_prob.png", "masks/a/1.png"):
        first, second = (read_mask(tmp_path / name / kind).astype(int) for name in ("one", "two"))
        assert np.abs(first - second).max() <= (1 if "prob" in kind else 0)


def test_numbers_of_networks_that_cannot_agree_are_refused():
    with pytest.raises(RecipeError, match="3 of 1 networks cannot agree"):
        Teachers.of([teacher(CAMVID)], agree=3)
    with pytest.raises(RecipeError, match="no network"):
        Teachers.of([])


def test_probabilities_are_summed_into_another_label_space(camvid, tmp_path):
    cityscapes = space("cityscapes-19")
    means = [300.0] * 19
    means[cityscapes.index("person")], means[cityscapes.index("rider")] = 180.0, 200.0
    members = Teachers.of(teacher(cityscapes, means), CAMVID)
    assert "pole" not in members.never
    autolabel(members, camvid, "train", tmp_path / "out")
    ids = np.unique(read_mask(tmp_path / "out" / "labels" / "0.png"))
    assert set(ids) <= {CAMVID.index("pedestrian"), CAMVID.index("bicyclist")}


def test_a_network_of_foreign_classes_is_refused(camvid, tmp_path):
    fruit = LabelSpace.from_names(("apple", "pear"), name="fruit")
    with pytest.raises(LabelError, match="predicts label space fruit, which no map leads from to camvid-11"):
        autolabel(teacher(fruit, [0.0, 20.0]), camvid, "train", tmp_path / "out")


def test_stored_classes_are_merged_into_the_masks(camvid, tmp_path):
    blind = [*means_of(CAMVID)]
    blind[0] = 900.0
    outcome = autolabel(teacher(CAMVID, blind), camvid, "train", tmp_path / "out", merge=("sky",))
    source = open_source(outcome.data)
    label = source.read_label(source.find("train")[0])
    assert (label[:5, :6] == CAMVID.index("sky")).all()
    assert (read_mask(tmp_path / "out" / "labels" / "0.png")[:5, :6] != CAMVID.index("sky")).all()
    assert outcome.tally.table()[0]["merged"] == pytest.approx(1 / 12)
    assert outcome.tally.table()[0]["kept"] == 0


def test_classes_cannot_be_merged_without_stored_labels(photos, tmp_path):
    with pytest.raises(DataError, match="3 of the 3 pictures of split 'train' have no stored label"):
        autolabel(teacher(CAMVID), pictures(photos), "train", tmp_path / "out", merge=("sky",))


def test_what_is_finished_is_not_done_again(photos, tmp_path):
    out = tmp_path / "out"
    first = autolabel(teacher(CAMVID), pictures(photos), "train", out)
    (out / "masks" / "3.png").unlink()
    again = autolabel(teacher(CAMVID), pictures(photos), "train", out)
    assert (again.done, again.skipped) == (("3",), ("a/1", "images/2"))
    assert again.tally.to_json() == first.tally.to_json()


def test_labels_of_other_settings_are_refused_and_the_differences_named(photos, tmp_path):
    autolabel(teacher(CAMVID), pictures(photos), "train", tmp_path / "out", trust=Trust(border=1))
    with pytest.raises(
        OutputError, match="other settings: border 2 instead of 1; thresholds of sky, building"
    ):
        autolabel(
            teacher(CAMVID),
            pictures(photos),
            "train",
            tmp_path / "out",
            trust=Trust(border=2),
            thresholds=0.9,
        )
    with pytest.raises(OutputError, match="other settings: other teachers"):
        autolabel(
            teacher(CAMVID, [5.0] * 11), pictures(photos), "train", tmp_path / "out", trust=Trust(border=1)
        )


def test_labels_of_another_label_mapping_are_refused(tmp_path):
    save(tmp_path / "data" / "images" / "x.png", painted(np.eye(8, dtype=int)))
    save(tmp_path / "data" / "masks" / "x.png", np.full((8, 8), 7, dtype=np.uint8))
    file = tmp_path / "data" / "data.yaml"
    text = "train: images\nnames: [road, car]\nlabel_mapping: "
    for mapping in ("{7: 0, 8: 1}", "{7: 1, 8: 0}"):
        file.write_text(text + mapping)
        source = open_source(file)
        if mapping.startswith("{7: 0"):
            autolabel(teacher(source.target), source, "train", tmp_path / "out")
    with pytest.raises(
        OutputError, match=r"other settings: label_mapping \[\[7, 1\], \[8, 0\]\] instead of \[\[7, 0\]"
    ):
        autolabel(teacher(source.target), source, "train", tmp_path / "out")


def test_a_damaged_picture_is_told_and_left_out(photos, tmp_path):
    (photos / "a" / "1.png").write_bytes(b"no picture")
    outcome = autolabel(teacher(CAMVID), pictures(photos), "train", tmp_path / "out")
    assert [Path(file).name for file, _ in outcome.failed] == ["1.png"]
    assert [record.key for record in open_source(outcome.data).find("train")] == ["3", "images/2"]
    assert outcome.tally.pictures == 2


def test_names_whose_files_would_coincide_are_refused(tmp_path):
    for name in ("x.png", "x_prob.png"):
        save(tmp_path / "p" / name, painted(channels_of(0)))
    with pytest.raises(DataError, match="two pictures of split 'train' have names"):
        autolabel(teacher(CAMVID), pictures(tmp_path / "p"), "train", tmp_path / "out")


class Alone(Shard):
    """One of several processes that does not wait for the others."""

    def gather(self, value):
        return [value]


def test_processes_share_the_pictures(photos, tmp_path):
    found = [
        autolabel(teacher(CAMVID), pictures(photos), "train", tmp_path / "out", shard=Alone(rank, 2))
        for rank in range(2)
    ]
    assert [outcome.done for outcome in found] == [("3", "images/2"), ("a/1",)]
    total = autolabel(teacher(CAMVID), pictures(photos), "train", tmp_path / "out")
    assert (total.done, len(total.skipped), total.tally.pictures) == ((), 3, 3)


def test_a_label_space_of_ones_own_is_written_down(tmp_path):
    own = LabelSpace.from_names(("road", "pot hole"), name="own", ignore=7)
    save(tmp_path / "p" / "x.png", painted(np.eye(8, dtype=int)))
    source = picture_source(find_images([tmp_path / "p"]), own)
    found = open_source(autolabel(teacher(own), source, "train", tmp_path / "out", thresholds=0).data)
    assert found.target == own
    assert np.array_equal(found.read_label(found.find("train")[0]), np.eye(8))


def test_a_label_space_with_the_name_of_another_gets_one_of_its_own(tmp_path):
    own = LabelSpace.from_names(("road", "pot hole"), name="kitti")
    save(tmp_path / "p" / "x.png", painted(np.eye(8, dtype=int)))
    source = picture_source(find_images([tmp_path / "p"]), own)
    found = open_source(autolabel(teacher(own), source, "train", tmp_path / "out", thresholds=0).data)
    assert (found.target.name, found.target.classes) == ("kitti-labels", own.classes)
    assert source.to(found.target).label_map.is_identity


def test_names_of_pictures_need_not_be_utf_8(tmp_path):
    strange = tmp_path / "p" / os.fsdecode(b"stra\xdfe.png")
    try:
        save(strange, painted(channels_of(0)))
    except OSError:
        pytest.skip("this file system has no such names")
    outcome = autolabel(teacher(CAMVID), pictures(tmp_path / "p"), "train", tmp_path / "out", thresholds=0)
    found = open_source(outcome.data)
    (record,) = found.find("train")
    assert (record.image, record.key) == (strange, strange.stem)
    assert np.array_equal(found.read_label(record), channels_of(0))


def test_the_preview_hatches_what_is_ignored(camvid, tmp_path):
    outcome = autolabel(teacher(CAMVID), camvid, "train", tmp_path / "out", thresholds=0.9)
    records = camvid.find("train")
    from roadseg.labeling.label_folder import LabelFolder

    sheet = preview_sheet(LabelFolder(outcome.out), camvid, spread(records, 2))
    assert sheet.shape == (2 * SIZE[0] + 4, 2 * SIZE[1] + 4, 3)
    where = np.zeros((16, 16), bool)
    where[:8] = True
    drawn = hatched(np.full((16, 16, 3), 200, np.uint8), where)
    assert (drawn[8:] == 200).all()
    assert set(np.unique(drawn[:8])) == {100, 164}
    assert [record.key for record in spread(records, 1)] == ["1"]
    assert spread(records, 9) == records


def test_a_folder_of_other_data_is_left_alone(photos, tmp_path):
    mask = save(tmp_path / "mine" / "masks" / "3.png", np.full(SIZE, 7, dtype=np.uint8))
    before = mask.read_bytes()
    with pytest.raises(OutputError, match="holds masks"):
        autolabel(teacher(CAMVID), pictures(photos), "train", tmp_path / "mine")
    assert mask.read_bytes() == before
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["masks"]


def test_a_space_with_gaps_is_refused():
    with pytest.raises(LabelError, match="without gaps"):
        Teachers.of(teacher(space("cityscapes-19")), space("cityscapes"))


def test_thresholds_of_other_classes_are_refused(photos, tmp_path):
    other = Thresholds.of(0.5, space("cityscapes-19"))
    with pytest.raises(LabelError, match="thresholds are those of cityscapes-19"):
        autolabel(teacher(CAMVID), pictures(photos), "train", tmp_path / "out", thresholds=other)
