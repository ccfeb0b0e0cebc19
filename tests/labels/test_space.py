"""Label spaces: what they refuse, how they are written down, and how colors become ids and back."""

import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.errors import LabelError
from roadseg.labels import Class, LabelSpace, space, space_names

RED, GREEN = (255, 0, 0), (0, 255, 0)


def two(first: int = 0, second: int = 1, ignore: int = 255) -> LabelSpace:
    return LabelSpace("two", (Class("road", first, RED), Class("sky", second, GREEN)), ignore)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"name": ""}, "no name"),
        ({"name": " "}, "no name"),
        ({"name": 3}, "no name"),
        ({"id": -2}, r"id of class 'road' is -2; give a whole number -1\.\.65535"),
        ({"id": 65536}, "65536"),
        ({"id": 1.0}, r"1\.0"),
        ({"id": True}, "True"),
        ({"id": None}, "None"),
        ({"color": (0, 0)}, r"color \(0, 0\)"),
        ({"color": (0, 0, 256)}, "256"),
        ({"color": (0, -1, 0)}, "-1"),
        ({"color": (0, 0.5, 0)}, r"0\.5"),
        ({"color": 7}, "color 7"),
        ({"group": None}, "group"),
        ({"has_instances": "no"}, "has_instances"),
    ],
)
def test_class_refuses(values, says):
    with pytest.raises(LabelError, match=says):
        Class(**{"name": "road", "id": 0, "color": RED, **values})


def test_class_takes_numpy_integers_and_lists():
    item = Class("road", np.uint8(3), list(np.array(RED, dtype=np.uint8)))
    assert item == Class("road", 3, RED)
    assert type(item.id) is int
    assert json.dumps(LabelSpace("one", [item]).to_json())


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: LabelSpace("", (Class("road", 0, RED),)), "no name"),
        (lambda: LabelSpace("none", ()), "'none': has no classes; give at least one"),
        (lambda: LabelSpace("x", (Class("a", 0, RED), Class("a", 1, RED))), "uses the name a more than once"),
        (lambda: LabelSpace("x", (Class("a", 0, RED), Class("b", 0, RED))), "uses the id 0 more than once"),
        (lambda: two(ignore=70000), "ignored id of label space 'two' is 70000"),
        (lambda: two(ignore=-2), "-2"),
        (lambda: two(first=-1), "-1 and 255, which label pictures store alike"),
        (lambda: two(first=-1, ignore=65535), "-1 and 65535"),
        (lambda: two(second=255, ignore=-1), "-1 and 255"),
    ],
)
def test_space_refuses(build, says):
    with pytest.raises(LabelError, match=says):
        build()


def test_space_is_a_value():
    assert two() == two()
    assert hash(two()) == hash(two())
    assert two() != two(ignore=254)
    assert pickle.loads(pickle.dumps(two())) == two()
    assert repr(two()) == "LabelSpace('two', 2 classes, ignore=255)"
    with pytest.raises(AttributeError):
        two().ignore = 3


def test_space_describes_itself():
    item = two(first=7, second=300)
    assert (item.num_classes, item.names, item.ids) == (2, ("road", "sky"), (7, 300))
    assert not item.is_contiguous
    assert two().is_contiguous
    assert not two(first=1, second=0).is_contiguous
    assert (item.dtype, two().dtype) == (np.uint16, np.uint8)
    assert item.palette.dtype == np.uint8
    np.testing.assert_array_equal(item.palette, [RED, GREEN])
    assert item.index("sky") == 1


def test_index_names_near_matches():
    with pytest.raises(LabelError, match=r"has no class 'Sky'; did you mean sky\?"):
        two().index("Sky")
    with pytest.raises(LabelError, match="known are road, sky"):
        two().index("zebra crossing")
    many = LabelSpace.from_names([f"c{i}" for i in range(50)])
    with pytest.raises(LabelError, match=r"c39, \.\.\.$"):
        many.index("zebra")


def test_stored_id_of_minus_one():
    item = space("cityscapes")
    assert item.stored_id(-1) == 255
    assert item.stored_id(-1, np.uint16) == 65535
    assert item.stored_id(7, np.uint16) == 7


@pytest.mark.parametrize("name", space_names())
def test_json_round_trip(name):
    item = space(name)
    again = LabelSpace.from_json(json.loads(json.dumps(item.to_json())))
    assert again == item
    assert again.fingerprint == item.fingerprint


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"name": "x", "ignore": 0}, "'classes' is missing"),
        ({"ignore": 0, "classes": [{"name": "a", "id": 0, "color": RED}]}, "'name' is missing"),
        ({"name": "x", "ignore": 0, "classes": [{"name": "a", "id": 0}]}, "color"),
        ({"name": "x", "ignore": 0, "classes": [{"name": "a", "id": 0, "color": RED, "hue": 1}]}, "hue"),
        ({"name": "x", "ignore": 0, "classes": 3}, "is not a label space"),
        ({"name": "x", "ignore": "0", "classes": [{"name": "a", "id": 0, "color": RED}]}, "'0'"),
        ("text", "is not a label space"),
    ],
)
def test_from_json_refuses(data, says):
    with pytest.raises(LabelError, match=says):
        LabelSpace.from_json(data)


def test_fingerprints_are_stable():
    # Stored in weights: a change here makes published weights look foreign.
    assert two().fingerprint == "f0801215b03e05d7"
    assert space("cityscapes-19").fingerprint == "3a7f98a1f4639d9e"


def test_fingerprint_sees_every_field():
    base = Class("road", 0, RED)
    changed = [
        Class("street", 0, RED),
        Class("road", 1, RED),
        Class("road", 0, GREEN),
        Class("road", 0, RED, group="flat"),
        Class("road", 0, RED, has_instances=True),
    ]
    spaces = [LabelSpace("x", (item,)) for item in (base, *changed)]
    spaces += [LabelSpace("y", (base,)), LabelSpace("x", (base,), ignore=254)]
    assert len({item.fingerprint for item in spaces}) == len(spaces)


def test_from_names():
    item = LabelSpace.from_names(["road", "sky"], name="mine", ignore=9)
    assert (item.name, item.names, item.ids, item.ignore) == ("mine", ("road", "sky"), (0, 1), 9)
    # First colors of the Pascal VOC scheme after black.
    np.testing.assert_array_equal(item.palette, [[128, 0, 0], [0, 128, 0]])
    assert LabelSpace.from_names({3: "road", 1: "sky"}).ids == (3, 1)
    with pytest.raises(LabelError, match="give a list of names"):
        LabelSpace.from_names("road")
    with pytest.raises(LabelError, match="more than once"):
        LabelSpace.from_names(["road", "road"])


def test_from_names_never_ignores_a_class_by_accident():
    assert LabelSpace.from_names([str(i) for i in range(255)]).ignore == 255
    assert LabelSpace.from_names([str(i) for i in range(256)]).ignore == 65535


def test_generated_colors_differ():
    palette = LabelSpace.from_names([str(i) for i in range(2000)]).palette
    assert len(np.unique(palette, axis=0)) == 2000
    assert palette.any(axis=1).all()


@pytest.mark.parametrize("name", ["cityscapes-19", "camvid-11", "camvid-12", "camvid-32", "mapillary-65"])
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_colors_round_trip(name, data):
    item = space(name)
    ids = sorted({*item.ids, item.ignore})
    height, width = data.draw(st.integers(0, 5)), data.draw(st.integers(0, 5))
    flat = data.draw(st.lists(st.sampled_from(ids), min_size=height * width, max_size=height * width))
    mask = np.array(flat, dtype=np.uint8).reshape(height, width)
    rgb = item.colorize(mask)
    assert rgb.shape == (height, width, 3)
    back = item.encode_colors(rgb)
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, mask)


def test_shared_colors_go_to_the_first_class():
    item = space("cityscapes")
    rgb = np.array([[[0, 0, 142], [153, 153, 153], [0, 0, 0]]], dtype=np.uint8)
    np.testing.assert_array_equal(item.encode_colors(rgb), [[26, 17, 0]])


def test_encode_colors_of_wide_ids():
    item = two(second=300)
    ids = item.encode_colors(np.array([[GREEN, RED, (0, 0, 0)]], dtype=np.uint8))
    assert ids.dtype == np.uint16
    np.testing.assert_array_equal(ids, [[300, 0, 255]])


def test_encode_colors_names_unknown_colors():
    rgb = np.zeros((2, 4, 3), dtype=np.uint8)
    rgb[0, 1] = (1, 2, 3)
    rgb[1, ::2] = (255, 255, 255)
    with pytest.raises(LabelError) as caught:
        two().encode_colors(rgb, where="a/b.png")
    text = str(caught.value)
    assert text.startswith("a/b.png: holds color (255, 255, 255) (2 pixels), color (1, 2, 3) (1 pixel), ")
    assert "of no class of two" in text
    assert "lossless" in text


def test_encode_colors_names_five_at_most():
    rgb = np.arange(1, 25, dtype=np.uint8).reshape(1, 8, 3)
    with pytest.raises(LabelError, match="and 3 more"):
        two().encode_colors(rgb)


@pytest.mark.parametrize(
    "rgb", [np.zeros((2, 2), np.uint8), np.zeros((2, 2, 4), np.uint8), np.zeros((2, 2, 3), np.uint16)]
)
def test_encode_colors_refuses_other_arrays(rgb):
    with pytest.raises(LabelError, match=r"give uint8 \[H, W, 3\]"):
        two().encode_colors(rgb)


def test_colorize():
    item = space("cityscapes")
    colors = item.colorize(np.array([[7, 255, 0, 99]], dtype=np.uint8))
    np.testing.assert_array_equal(colors, [[(128, 64, 128), (0, 0, 142), (0, 0, 0), (0, 0, 0)]])
    # Wider and signed types: what a loader or a network hands over.
    np.testing.assert_array_equal(item.colorize(np.array([[7, 65535]], np.uint16)), colors[:, :2])
    np.testing.assert_array_equal(item.colorize(np.array([[7, -1]], np.int64)), colors[:, :2])
    np.testing.assert_array_equal(item.colorize(np.array([[7, 255]], np.int64)), colors[:, :2])
    wide = two(second=300).colorize(np.array([[0, 44]], np.uint8))
    np.testing.assert_array_equal(wide, [[RED, (0, 0, 0)]])


def test_colorize_refuses_fractions():
    with pytest.raises(LabelError, match="label mask of type float32"):
        two().colorize(np.zeros((1, 1), np.float32))
