import pickle
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from roadseg.data import RoadDataset, Source, find_class_centers, open_source, with_autolabels
from roadseg.errors import DataError, LabelError
from roadseg.recipes import AutoLabels
from tests.fakes import SIZE, fake_cityscapes, save, stripes

NAME = "augsburg_000000_000019_leftImg8bit"
ROAD, CAR, TRUCK = 7, 26, 27  # stored ids, which are trained as 0, 13 and 14
IGNORE = 255


@pytest.fixture
def cityscapes(tmp_path: Path) -> Source:
    source = open_source(fake_cityscapes(tmp_path / "cityscapes"))
    save(
        source.find("train_extra")[0].label, stripes([TRUCK, 0], SIZE)
    )  # truck on the left half, unlabeled right
    return source


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A network's label: road above, truck below; sure of the odd columns, half sure of the even ones."""
    root = tmp_path / "anything"
    ids = stripes([ROAD, TRUCK], SIZE[::-1]).T
    save(root / "augsburg" / f"{NAME}.png", ids)
    save(root / "augsburg" / f"{NAME}_prob.png", stripes([127, 255] * (SIZE[1] // 2), SIZE))
    return root


def read(source: Source, split: str = "train_extra") -> np.ndarray:
    return source.read_label(source.find(split)[0])


def test_labels_of_one_split_are_replaced_where_the_network_is_sure(cityscapes, made):
    source = with_autolabels(cityscapes, made)
    found = read(source)
    assert (found[:, ::2] == IGNORE).all()  # 127 / 255 is less than a half
    assert (found[:6, 1::2] == 0).all()
    assert (found[6:, 1::2] == 14).all()
    assert np.array_equal(read(source, "train"), read(cityscapes, "train"))
    assert source.find("train+train_extra")[-1].key == "augsburg/augsburg_000000_000019"
    assert (read(with_autolabels(cityscapes, made, threshold=0.498)) != IGNORE).all()


def test_thresholds_may_differ_by_class(cityscapes, made, tmp_path):
    (tmp_path / "t.toml").write_text("default = 0\n[thresholds]\ntruck = 0.6\nroad = inf\n")
    found = read(with_autolabels(cityscapes, made, threshold=tmp_path / "t.toml"))
    assert (found[:6] == IGNORE).all()
    assert (found[6:, ::2] == IGNORE).all()
    assert (found[6:, 1::2] == 14).all()


def test_labels_of_a_network_are_ids_whatever_the_data_set_stores(cityscapes, made):
    odd = replace(cityscapes, decode=lambda _record, mask: np.full_like(mask, CAR))
    assert (read(odd) == 13).all()
    assert np.array_equal(read(with_autolabels(odd, made)), read(with_autolabels(cityscapes, made)))
    assert (read(with_autolabels(odd, made, merge=["car"])) == 13).all()


def test_outside_the_window_all_is_ignored(cityscapes, made):
    found = read(with_autolabels(cityscapes, made, threshold=0, window=(1, 2, 11, 13)))
    inside = np.zeros(SIZE, bool)
    inside[1:11, 2:13] = True
    assert np.array_equal(found != IGNORE, inside)


def test_merged_classes_are_those_of_the_network_and_those_of_the_stored_label(cityscapes, made):
    source = with_autolabels(cityscapes, made, merge=["truck", "bus"], window=(0, 0, 12, 12))
    found = read(source)
    assert (found[:, :8] == 14).all()  # stored, whatever the network says
    assert (found[6:, 9:12:2] == 14).all()  # the network's alone
    assert (found[:6, 9:12:2] == 0).all()
    assert (found[:, 12:] == IGNORE).all()
    alone = read(with_autolabels(cityscapes, made, merge=["car"]))
    assert np.array_equal(alone, read(with_autolabels(cityscapes, made)))


def test_a_recipes_values_are_its_arguments(cityscapes, made):
    spec = AutoLabels(root=str(made), merge=("truck",))
    assert {field.name for field in fields(spec)} == {"root", "split", "threshold", "window", "merge"}
    assert (read(with_autolabels(cityscapes, **vars(spec)))[:, :8] == 14).all()


def test_other_processes_and_samplers_see_them(cityscapes, made):
    source = with_autolabels(cityscapes, made)
    assert np.array_equal(read(pickle.loads(pickle.dumps(source))), read(source))
    sample = RoadDataset(source, "train_extra")[0]
    assert np.array_equal(sample.mask.numpy(), read(source))
    assert np.flatnonzero(find_class_centers(source, "train_extra", cache=None).counts).tolist() == [0, 14]


def test_names_may_be_those_of_keys(cityscapes, made, tmp_path):
    for root, name in (
        (tmp_path / "a", "augsburg/augsburg_000000_000019"),
        (tmp_path / "b", "augsburg_000000_000019"),
    ):
        for suffix in ("", "_prob"):
            (root / f"{name}.png").parent.mkdir(parents=True, exist_ok=True)
            (root / f"{name}{suffix}.png").write_bytes(
                (made / "augsburg" / f"{NAME}{suffix}.png").read_bytes()
            )
        assert np.array_equal(
            read(with_autolabels(cityscapes, root)), read(with_autolabels(cityscapes, made))
        )


def test_missing_files_are_counted(cityscapes, made):
    (made / "augsburg" / f"{NAME}_prob.png").unlink()
    with pytest.raises(DataError, match=f"no confidence for 1 of its 1 labels, for example {NAME}.png"):
        with_autolabels(cityscapes, made)
    with pytest.raises(
        DataError, match="no label for 18 of the 18 images of split 'train', for example aachen"
    ):
        with_autolabels(cityscapes, made, split="train")
    with pytest.raises(DataError, match="no label for 1 of the 1 images"):
        with_autolabels(cityscapes, made / "nothing")


def test_two_labels_of_an_image_are_refused(cityscapes, made):
    save(made / "old" / f"{NAME}.png", stripes([ROAD], SIZE))
    with pytest.raises(DataError, match="has 2 labels for"):
        with_autolabels(cityscapes, made)


def test_sizes_must_be_the_same(cityscapes, made):
    save(made / "augsburg" / f"{NAME}_prob.png", stripes([255], (6, 8)))
    with pytest.raises(DataError, match="differ in size"):
        read(with_autolabels(cityscapes, made))


def test_confidence_has_eight_bits(cityscapes, made):
    save(made / "augsburg" / f"{NAME}_prob.png", stripes([65535], SIZE, np.uint16))
    with pytest.raises(DataError, match="8-bit gray"):
        read(with_autolabels(cityscapes, made))


def test_classes_can_be_merged_only_from_stored_labels(cityscapes, made):
    cityscapes.find("train_extra")[0].label.unlink()
    assert read(with_autolabels(cityscapes, made)).shape == SIZE
    with pytest.raises(DataError, match="1 of the 1 images of split 'train_extra' have no stored label"):
        with_autolabels(cityscapes, made, merge=["truck"])


def test_unknown_names_are_refused(cityscapes, made):
    with pytest.raises(DataError, match="no split 'extra'"):
        with_autolabels(cityscapes, made, split="extra")
    with pytest.raises(LabelError, match="lorry"):
        with_autolabels(cityscapes, made, merge=["lorry"])
