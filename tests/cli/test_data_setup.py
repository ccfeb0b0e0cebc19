"""How published data sets are to be had, and what of them is there: data setup."""

from pathlib import Path

import pytest

from roadseg.data import camvid
from roadseg.data.obtain import published, take_inventory
from roadseg.data.sources import PUBLISHED
from tests import fakes, fakes_driving


@pytest.fixture
def small_camvid(tmp_path, monkeypatch) -> Path:
    """A CamVid that is complete with a few images."""
    monkeypatch.setattr(camvid, "EXPECTED", fakes.SPLITS)
    return fakes.fake_camvid(tmp_path / "camvid")


def test_every_data_set_says_where_it_is_to_be_had():
    names = [layout.NAME for layout in PUBLISHED]
    assert len(set(names)) == len(names)
    for layout in PUBLISHED:
        assert layout.OBTAIN
        assert layout.LOOKS_FOR
        assert layout.EXPECTED
        assert min(layout.EXPECTED.values()) > 0
        assert published(layout.NAME) is layout


def test_without_a_name_all_are_listed(run):
    result = run("data", "setup")
    assert result.code == 0
    for layout in PUBLISHED:
        assert f" {layout.NAME} " in result.out
    listed = run("data", "setup", "--json").json["data_sets"]
    assert [item["name"] for item in listed] == [layout.NAME for layout in PUBLISHED]


def test_without_a_folder_it_is_told_how_to_get_it(run):
    result = run("data", "setup", "acdc")
    assert result.code == 0
    assert result.out.startswith(
        "acdc: train 1600, val 406, test 2000 images\nRegister at acdc.vision.ee.ethz.ch"
    )
    assert "expected: rgb_anon/<condition>/" in result.out
    assert run("data", "setup", "acdc", "--json").json["expected"]["val"] == 406


def test_complete(run, small_camvid):
    result = run("data", "setup", "camvid", "--root", small_camvid)
    assert result.code == 0
    assert result.out.splitlines()[-1] == f"complete; `roadseg data check camvid:{small_camvid}` reads it"
    assert "registration" not in result.out
    rows = [line.split() for line in result.out.splitlines()[1:4]]
    assert rows == [
        ["train", "8", "8", "8", "0"],
        ["val", "2", "2", "2", "0"],
        ["test", "2", "2", "2", "0"],
    ]


def test_missing_labels_are_named_and_counted(run, small_camvid):
    labels = sorted((small_camvid / "trainannot").iterdir())
    for label in labels[1:]:
        label.unlink()
    result = run("data", "setup", "camvid", "--root", small_camvid)
    assert result.code == 1
    assert "registration" in result.out  # how to get what is missing
    assert [line for line in result.out.splitlines() if line.startswith("missing: ")] == [
        f"missing: {label}" for label in labels[1:6]
    ]
    assert result.out.splitlines()[-1] == "incomplete"
    found = run("data", "setup", "camvid", "--root", small_camvid, "--json")
    assert found.code == 1
    assert found.json["complete"] is False
    train, val, _ = found.json["splits"]
    assert (train["images"], train["labels"], train["missing_labels"]) == (8, 1, 7)
    assert train["first_missing"] == [str(label) for label in labels[1:6]]
    assert (train["complete"], val["complete"]) == (False, True)
    assert run("data", "setup", "camvid", "--root", small_camvid, "--splits", "val", "test").code == 0


def test_missing_images_and_splits(tmp_path):
    root = fakes_driving.fake_dark_zurich(tmp_path, archives=True)
    found = take_inventory(published("dark-zurich"), root / "Dark_Zurich_val_anon")
    assert {count.split: (count.images, count.expected) for count in found.splits} == {
        "train": (0, 8377),
        "val": (3, 50),
        "test": (0, 151),
    }
    assert not found.complete


def test_splits_that_are_counted_together(tmp_path):
    found = take_inventory(published("wilddash"), fakes_driving.fake_wilddash(tmp_path), ["train+val"])
    assert [(count.split, count.images, count.labels) for count in found.splits] == [("train+val", 18, 18)]


def test_progress_is_told(tmp_path):
    seen = []
    fakes.fake_camvid(tmp_path)
    take_inventory(published("camvid"), tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda _root: None, "does not exist"),
        (lambda root: root.mkdir(), "is no idd data set; looked for leftImg8bit/"),
        (lambda root: fakes_driving.fake_idd(root, ()), "its labels are polygons; paint them"),
        (lambda root: fakes_driving.fake_idd(root / "IDD_Segmentation"), "IDD_Segmentation: give that path"),
    ],
)
def test_nothing_to_open_is_a_finding(run, tmp_path, build, words):
    build(tmp_path / "data")
    result = run("data", "setup", "idd", "--root", tmp_path / "data")
    assert result.code == 1
    assert "idd.insaan.iiit.ac.in" in result.out
    problem = next(line for line in result.out.splitlines() if line.startswith("problem: "))
    assert words in problem
    found = run("data", "setup", "idd", "--root", tmp_path / "data", "--json").json
    assert words in found["problem"]
    assert [split["images"] for split in found["splits"]] == [0, 0, 0]


def test_a_split_that_cannot_be_listed_is_a_finding(tmp_path, monkeypatch):
    root = fakes_driving.fake_bdd100k(tmp_path)

    def fail(_folder, _recursive=False):
        from roadseg.errors import DataError

        raise DataError("cannot be listed")

    monkeypatch.setattr("roadseg.data.bdd100k.list_images", fail)
    found = take_inventory(published("bdd100k"), root)
    assert [count.problem for count in found.splits] == ["cannot be listed"] * 3
    assert not found.complete


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["cityscape"], "'cityscape' is no published data set that roadseg knows; did you mean cityscapes?"),
        (
            ["camvid", "--root", ".", "--splits", "trian"],
            "camvid has no official split 'trian'; it has train, val",
        ),
        (["--root", "."], "no data set was named"),
        (["camvid", "--splits", "val"], "there is nothing to look at; say with --root"),
    ],
)
def test_requests_that_cannot_be_met(run, arguments, words):
    result = run("data", "setup", *arguments)
    assert result.code == 2
    assert words in result.sentence
