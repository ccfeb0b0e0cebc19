"""data.yaml folders: what ids and colors mean."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from roadseg.data.source import Source
from roadseg.data.sources import open_source
from roadseg.errors import DataError, LabelError
from roadseg.labels import space
from tests import fakes


def opened(root: Path, masks: list[np.ndarray], **content: Any) -> Source:
    """A data set of one split with these masks."""
    for i, mask in enumerate(masks):
        fakes.save(root / "images" / f"{i}.png", fakes.picture(str(i), mask.shape[:2]))
        fakes.save(root / "masks" / f"{i}.png", mask)
    return open_source(fakes.write_yaml(root / "data.yaml", {"train": "images", **content}))


def decoded(source: Source, index: int = 0) -> list[int]:
    """The ids of a mask of stripes, from left to right."""
    return source.read_label(source.find("train")[index])[0].tolist()


def row(*ids: int, dtype: Any = np.uint8) -> np.ndarray:
    return np.array([ids], dtype=dtype)


@pytest.mark.parametrize("kind", ["ids", "palette", "rgb", "16bit"])
def test_all_kinds_of_masks_decode_alike(kind: str, tmp_path: Path) -> None:
    source = open_source(fakes.fake_yaml(tmp_path, kind))
    assert source.target.names == fakes.NAMES
    assert source.target.ignore == 255
    for i, record in enumerate(source.find("train")):
        assert np.array_equal(source.read_label(record), fakes.stripes(np.roll([0, 1, 2, 255], i)))


@pytest.mark.parametrize("names", [["a", "b"], {0: "a", 1: "b"}, {1: "b", 0: "a"}, {"0": "a", "1": "b"}])
def test_names_as_list_or_numbered(names: Any, tmp_path: Path) -> None:
    assert opened(tmp_path, [row(0, 1)], names=names).target.names == ("a", "b")


def test_numbers_as_names(tmp_path: Path) -> None:
    assert opened(tmp_path, [row(0, 1)], names=[30, 50]).target.names == ("30", "50")


def test_many_classes_in_16_bits(tmp_path: Path) -> None:
    source = opened(tmp_path, [row(0, 255, 299, 65535, dtype=np.uint16)], names=[f"c{i}" for i in range(300)])
    assert source.target.ignore == 65535
    assert decoded(source) == [0, 255, 299, 65535]


def test_ignore_of_our_own(tmp_path: Path) -> None:
    source = opened(tmp_path, [row(0, 1, 9)], names=["a", "b", "c"], ignore=9)
    assert source.target.ignore == 9
    assert decoded(source) == [0, 1, 9]
    with pytest.raises(LabelError, match=r"255"):
        opened(tmp_path, [row(0, 255)], names=["a", "b", "c"], ignore=9).read_label(source.find("train")[0])


def test_space_instead_of_names(tmp_path: Path) -> None:
    source = opened(tmp_path, [row(0, 18, 255)], space="cityscapes-19")
    assert source.target == space("cityscapes-19")
    assert decoded(source) == [0, 18, 255]


def test_space_with_another_stored_ignore(tmp_path: Path) -> None:
    source = opened(tmp_path, [row(0, 10, 255)], space="camvid-11", ignore=255)
    assert source.target == space("camvid-11")
    assert decoded(source) == [0, 10, 11]


def test_space_with_its_own_colors(tmp_path: Path) -> None:
    colors = np.array([[(128, 64, 128), (0, 0, 142), (0, 0, 0)]], dtype=np.uint8)
    source = opened(tmp_path, [colors], space="cityscapes-19")
    assert decoded(source) == [0, 13, 255]


def test_space_with_label_mapping_by_name(tmp_path: Path) -> None:
    mapping = {7: "road", 26: "car", 0: "ignore"}
    source = opened(tmp_path, [row(7, 26, 0)], space="cityscapes-19", label_mapping=mapping)
    assert decoded(source) == [0, 13, 255]


@pytest.mark.parametrize("dropped", ["ignore", "ignore_label", 255, -1, None])
def test_ways_to_ignore_in_label_mapping(dropped: object, tmp_path: Path) -> None:
    mapping = {7: 0, 8: 1, 9: dropped}
    source = opened(tmp_path, [row(7, 8, 9, 255)], names=["a", "b"], label_mapping=mapping)
    assert decoded(source) == [0, 1, 255, 255]


def test_label_mapping_as_published_for_cityscapes(tmp_path: Path) -> None:
    mapping = {-1: "ignore_label", 0: "ignore_label", "7": 0, "8": 1}
    source = opened(tmp_path, [row(0, 7, 8)], names=["road", "sidewalk"], label_mapping=mapping)
    assert decoded(source) == [255, 0, 1]


def test_ids_without_mapping_keep_their_class(tmp_path: Path) -> None:
    source = opened(tmp_path, [row(0, 1, 2, 11)], names=["a", "b", "c"], label_mapping={11: "ignore"})
    assert decoded(source) == [0, 1, 2, 255]


def test_ids_whose_class_is_taken_are_unknown(tmp_path: Path) -> None:
    source = opened(tmp_path, [row(1, 7, 8)], names=["a", "b"], label_mapping={7: 0, 8: 1})
    with pytest.raises(LabelError, match=r"id 1 \(1 pixel\)"):
        decoded(source)


def test_mapping_255_to_a_class(tmp_path: Path) -> None:
    source = opened(tmp_path, [row(0, 255)], names=["other", "road"], label_mapping={255: 1})
    assert decoded(source) == [0, 1]
    assert source.notes == ()


def test_colors_of_no_class_are_dropped(tmp_path: Path) -> None:
    colors = {"void": [1, 1, 1], "a": [255, 0, 0], "b": [0, 255, 0]}
    mask = np.array([[(0, 255, 0), (1, 1, 1), (255, 0, 0), (0, 0, 0)]], dtype=np.uint8)
    source = opened(tmp_path, [mask, row(0, 1, 255)], names=["a", "b"], colors=colors)
    assert decoded(source) == [1, 255, 0, 255]
    assert decoded(source, 1) == [0, 1, 255]
    assert source.target.names == ("a", "b")
    assert source.target.palette.tolist() == [[255, 0, 0], [0, 255, 0]]


def test_gray_mask_with_the_id_after_the_last_class(tmp_path: Path) -> None:
    colors = {"a": [255, 0, 0], "b": [0, 255, 0], "void": [1, 1, 1]}
    with pytest.raises(LabelError, match=r"id 2 \(1 pixel\)"):
        decoded(opened(tmp_path, [row(0, 2)], names=["a", "b"], colors=colors))


def test_binary_masks_are_recognized(tmp_path: Path) -> None:
    source = open_source(fakes.fake_yaml(tmp_path, "binary"))
    assert source.target.names == ("other", "road")
    assert np.array_equal(source.read_label(source.find("train")[0]), fakes.stripes([0, 1]))
    assert len(source.notes) == 1
    assert "masks hold only 0 and 255: 255 is read as class 1 (road)" in source.notes[0]
    assert "binary: false" in source.notes[0]


def test_binary_is_recognized_behind_many_empty_masks(tmp_path: Path) -> None:
    source = opened(tmp_path, [row(0, 0)] * 70 + [row(0, 255)], names=["a", "b"])
    last = next(i for i, record in enumerate(source.find("train")) if record.key == "70")
    assert decoded(source, last) == [0, 1]


def test_a_stray_id_in_binary_masks_is_an_error(tmp_path: Path) -> None:
    source = opened(tmp_path, [row(0, 255)], names=["a", "b"])
    fakes.save(tmp_path / "masks" / "0.png", row(0, 1))
    with pytest.raises(LabelError, match=r"id 1 \(1 pixel\)"):
        decoded(source)


@pytest.mark.parametrize("content", [{"ignore": 255}, {"binary": False}])
def test_255_is_ignored_where_the_user_says_so(content: dict[str, Any], tmp_path: Path) -> None:
    source = opened(tmp_path, [row(0, 255)], names=["a", "b"], **content)
    assert decoded(source) == [0, 255]
    assert source.notes == ()


def test_255_is_ignored_beside_both_ids(tmp_path: Path) -> None:
    source = opened(tmp_path, [row(0, 0), row(0, 1), row(255, 0)], names=["a", "b"])
    assert decoded(source, 2) == [255, 0]
    assert source.notes == ()


def test_binary_may_be_demanded(tmp_path: Path) -> None:
    source = opened(tmp_path, [row(0, 0)], names=["a", "b"], binary=True)
    assert source.stored.ids == (0, 255)


def test_binary_white_by_color(tmp_path: Path) -> None:
    colors = {"road": [255, 255, 255], "other": [0, 0, 0]}
    rgb = np.array([[(255, 255, 255), (0, 0, 0)]], dtype=np.uint8)
    source = opened(tmp_path, [row(0, 255), rgb], names=["road", "other"], colors=colors)
    assert decoded(source) == [1, 0]
    assert decoded(source, 1) == [0, 1]


@pytest.mark.parametrize("front", [1, 255])
def test_a_single_name_gets_a_background(front: int, tmp_path: Path) -> None:
    source = opened(tmp_path, [row(0, front)], names={0: "road"})
    assert source.target.names == ("background", "road")
    assert source.target.is_contiguous
    assert decoded(source) == [0, 1]
    assert f"road is the only name: 0 is read as background, {front} as road" in source.notes[0]


def test_a_single_name_with_ignored_pixels(tmp_path: Path) -> None:
    source = opened(tmp_path, [row(0, 1, 255)], names=["road"])
    assert decoded(source) == [0, 1, 255]


@pytest.mark.parametrize("content", [{"ignore": 255}, {"binary": False}])
def test_a_single_name_taken_literally(content: dict[str, Any], tmp_path: Path) -> None:
    source = opened(tmp_path, [row(0, 255)], names=["road"], **content)
    assert source.target.names == ("road",)
    assert decoded(source) == [0, 255]


def test_unreadable_masks_do_not_stop_the_opening(tmp_path: Path) -> None:
    opened(tmp_path, [row(0, 0), row(0, 255)], names=["a", "b"])
    (tmp_path / "masks" / "0.png").write_bytes(b"damaged")
    assert decoded(open_source(tmp_path), 1) == [0, 1]


def test_gray_triples_are_sampled_too(tmp_path: Path) -> None:
    rgb = np.repeat(row(0, 255)[..., None], 3, axis=2)
    assert decoded(opened(tmp_path, [rgb], names=["a", "b"])) == [0, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, r"has no names; list the classes: names: \{0: road, 1: car\}, or give space"),
        ({"names": []}, r"names is \[\]"),
        ({"names": "road"}, r"names is 'road'"),
        ({"names": {0: "a", 2: "b"}}, r"names are numbered 0, 2; number them from 0 without gaps"),
        ({"names": {"x": "a"}}, r"names holds 'x', which is no id"),
        ({"names": [True, "b"]}, r"the name of class 0 is read by YAML as True; put it in quotes"),
        ({"names": [None, "b"]}, r"the name of class 0 is read by YAML as None"),
        ({"names": ["a", "b"], "nc": 3}, r"nc is 3 but there are 2 names; correct or remove nc"),
        ({"names": ["a", "b"], "ignore": "void"}, r"ignore is 'void'; give one id 0..65535"),
        ({"names": ["a", "b"], "ignore": True}, r"ignore is True"),
        ({"names": ["a"], "space": "camvid-11"}, r"has both names and space; keep one of them"),
        ({"space": "cityscapes"}, r"space cityscapes does not number its classes from 0 without gaps"),
        ({"names": ["a"], "label_mapping": [0]}, r"label_mapping is \[0\]; give \{id in the masks"),
        ({"names": ["a"], "label_mapping": {"x": 0}}, r"label_mapping holds 'x', which is no id"),
        ({"names": ["a"], "label_mapping": {70000: 0}}, r"label_mapping holds 70000, which is no id"),
        (
            {"names": ["a"], "label_mapping": {7: 5}},
            r"label_mapping maps to 5, which is no class; map to 0..0",
        ),
        ({"names": ["a"], "label_mapping": {7: "b"}}, r"label_mapping holds 'b', which is no id"),
        ({"names": ["a"], "label_mapping": {-1: 0}}, r"label_mapping maps -1, which label files cannot hold"),
        ({"names": ["a"], "colors": {}, "label_mapping": {1: 0}}, r"has both colors and label_mapping"),
        ({"names": ["a"], "colors": [1]}, r"colors is \[1\]; give \{name: \[red, green, blue\]\}"),
        ({"names": ["a"], "colors": {"a": [0, 0]}}, r"the color of a is \[0, 0\]; give \[red, green, blue\]"),
        ({"names": ["a"], "colors": {"a": [0, 0, 256]}}, r"the color of a is \[0, 0, 256\]"),
        ({"names": ["a", "b"], "colors": {"a": [1, 2, 3]}}, r"colors lacks b; give every class a color"),
        (
            {"names": ["a", "b"], "colors": {"a": [1, 2, 3], "b": [1, 2, 3]}},
            r"colors gives a and b the same color; correct one of them",
        ),
        ({"names": ["a", "b"], "binary": "yes"}, r"binary is 'yes'; give true, false or auto"),
        (
            {"names": ["a", "b", "c"], "binary": True},
            r"binary needs one or two names, and no ignore or space",
        ),
    ],
)
def test_values_that_do_not_fit(content: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"data.yaml: {message}"):
        opened(tmp_path, [row(0, 1)], **content)


def test_unknown_space_and_repeated_names(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match=r"unknown label space 'cityscapes-18'; did you mean cityscapes-19"):
        opened(tmp_path, [row(0)], space="cityscapes-18")
    with pytest.raises(LabelError, match=r"uses the name a more than once"):
        opened(tmp_path, [row(0)], names=["a", "a"])


def test_the_file_of_the_documentation(tmp_path: Path) -> None:
    """Every key at once, as text: what users copy."""
    for split in ("train", "val"):
        fakes.save(tmp_path / f"images/{split}/a.png", fakes.picture(split))
        fakes.save(tmp_path / f"masks/{split}/a.png", fakes.stripes([7, 26, 0, 255]))
    text = """
    path: .
    train: images/train
    val: images/val
    masks_dir: masks
    names: {0: road, 1: car}
    label_mapping: {7: 0, 26: 1, 0: ignore}
    ignore: 255
    binary: auto
    license: CC BY 4.0
    """
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(yaml.safe_load(text)), encoding="utf-8")
    source = open_source(tmp_path)
    assert np.array_equal(source.read_label(source.find("val")[0]), fakes.stripes([0, 1, 255, 255]))
