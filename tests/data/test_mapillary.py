"""Mapillary Vistas: releases, the configuration's labels, void."""

import json
from pathlib import Path

import numpy as np
import pytest

from roadseg.data.mapillary import open_root
from roadseg.data.source import label_kind
from roadseg.data.sources import open_source
from roadseg.errors import DataError
from roadseg.labels import space
from tests import fakes


@pytest.mark.parametrize("release", ["1.2", "2.0"])
def test_both_releases_hold_the_same(tmp_path: Path, release: str) -> None:
    source = open_source(fakes.fake_mapillary(tmp_path, release))
    assert source.splits == ("train", "val", "test")
    assert {split: len(source.find(split)) for split in source.splits} == {"train": 5, "val": 2, "test": 1}
    record = source.find("val")[0]
    assert record.key == "validation-0_aB"
    assert record.image.suffix == ".jpg"
    assert record.label is not None
    assert record.label.parent.parent.name == ("validation" if release == "1.2" else "v1.2")
    assert [item.label for item in source.find("test")] == [None]


def test_palette_pictures_are_ids_and_the_last_one_is_ignored(tmp_path: Path) -> None:
    source = open_source(fakes.fake_mapillary(tmp_path))
    assert source.target == space("mapillary-65")
    assert (source.target.num_classes, source.target.ignore) == (65, 65)
    records = source.find("train")
    assert label_kind(records[0].label) == "palette"
    assert np.array_equal(source.read_label(records[0]), fakes.stripes(np.arange(16)))
    seen = np.unique([source.read_label(record) for record in records])
    assert seen.tolist() == list(range(66))


def test_without_a_configuration_labels_are_taken_for_those_of_1_2(tmp_path: Path) -> None:
    (fakes.fake_mapillary(tmp_path) / "config.json").unlink()
    assert len(open_source(tmp_path).find("train")) == 5


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            lambda names: ["Bird", "Other", *names[2:]],
            r"lists 66 labels, and 'Other' in place 1, .* 'Ground Animal'",
        ),
        (
            lambda names: names[:-1],
            r"lists 65 labels, and None in place 65, where release 1.2 has 66 and 'Unlabeled'",
        ),
        (
            lambda names: [*names, "More"],
            r"lists 67 labels, and 'More' in place 66, where release 1.2 has 66 and None",
        ),
    ],
)
def test_a_configuration_of_other_labels_is_refused(tmp_path: Path, names, message: str) -> None:
    config = fakes.fake_mapillary(tmp_path) / "config.json"
    listed = [label["readable"] for label in json.loads(config.read_text())["labels"]]
    config.write_text(json.dumps({"labels": [{"readable": name} for name in names(listed)]}))
    with pytest.raises(DataError, match=message) as caught:
        open_source(tmp_path)
    assert str(config) in str(caught.value)
    assert "use release 1.2" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "cannot be read"), ("[]", "lists no labels"), ('{"labels": [1]}', "lists no labels")],
)
def test_a_damaged_configuration_is_named(tmp_path: Path, text: str, message: str) -> None:
    config = fakes.fake_mapillary(tmp_path) / "config.json"
    config.write_text(text)
    with pytest.raises(DataError, match=rf"config.json: {message}.*; take the file from the archive"):
        open_source(tmp_path)


@pytest.mark.parametrize(
    ("release", "place"), [("1.2", "validation.labels"), ("2.0", r"validation.v1\.2.labels")]
)
def test_missing_labels_are_named_with_their_place(tmp_path: Path, release: str, place: str) -> None:
    root = fakes.fake_mapillary(tmp_path, release)
    labels = root / "validation" / ("labels" if release == "1.2" else "v1.2/labels")
    labels.rename(root / "elsewhere")
    with pytest.raises(
        DataError, match=rf"2 of 2 images of split 'val' .* belongs at .*{place}.validation-0"
    ):
        open_source(root).find("val")


def test_labels_of_release_2_0_alone_are_refused(tmp_path: Path) -> None:
    root = fakes.fake_mapillary(tmp_path, "2.0")
    for split in ("training", "validation"):
        (root / split / "v1.2").rename(root / split / "v2.0")
    with pytest.raises(
        DataError, match=r"has only the labels of release 2.0, of 124 classes; unpack the folders v1.2"
    ):
        open_source(root)


def test_photos_alone_are_not_the_data_set(tmp_path: Path) -> None:
    (tmp_path / "training" / "images").mkdir(parents=True)
    (tmp_path / "training" / "annotations").mkdir()
    assert open_root(tmp_path) is None
