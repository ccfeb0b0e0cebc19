"""Label maps: total, composable, exact on every id, and loud about ids they do not know."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.errors import LabelError
from roadseg.labels import LabelMap, LabelSpace, label_map, space

FINE = LabelSpace.from_names(["road", "car", "bus", "sky"], name="fine")
COARSE = LabelSpace.from_names({0: "flat", 1: "vehicle"}, name="coarse", ignore=9)
GROUPED = LabelMap.by_name(FINE, COARSE, {"road": "flat", "car": "vehicle", "bus": "vehicle"})


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (((0, 0), (1, 1), (2, 1)), "fine to coarse: says nothing about sky; .* 9 "),
        (((0, 0), (0, 1), (1, 1), (2, 1), (3, 9)), "more than once"),
        (((0, 0), (1, 1), (2, 1), (3, 5)), "id 5, which coarse does not have"),
        (((0, 0), (1, 1), (2, 1), (3, 9), (4, 0)), "id 4, which fine does not have"),
    ],
)
def test_map_refuses(table, says):
    with pytest.raises(LabelError, match=says):
        LabelMap(FINE, COARSE, table)


def test_map_is_a_value():
    same = LabelMap(FINE, COARSE, ((3, 9), (2, 1), (1, 1), (0, 0), (255, 9)))
    assert same == GROUPED
    assert hash(same) == hash(GROUPED)
    assert same.table == ((0, 0), (1, 1), (2, 1), (3, 9))
    assert repr(same) == "LabelMap('fine' to 'coarse', 3 of 4 ids kept)"
    same.relabel(np.zeros((1, 1), np.uint8))
    assert pickle.loads(pickle.dumps(same)) == GROUPED


def test_by_name():
    assert LabelMap.by_name(FINE, FINE).is_identity
    wanted = LabelSpace.from_names(["sky", "road"], name="wanted", ignore=200)
    assert LabelMap.by_name(FINE, wanted).table == ((0, 1), (1, 200), (2, 200), (3, 0))
    assert LabelMap.by_name(FINE, wanted, {"sky": None, "bus": "road"}).table == (
        (0, 1),
        (1, 200),
        (2, 1),
        (3, 200),
    )
    with pytest.raises(LabelError, match=r"'fine': has no class 'rode'; did you mean road\?"):
        LabelMap.by_name(FINE, wanted, {"rode": "sky"})
    with pytest.raises(LabelError, match=r"'wanted': has no class 'skye'; did you mean sky\?"):
        LabelMap.by_name(FINE, wanted, {"bus": "skye"})


def test_is_identity():
    assert not GROUPED.is_identity
    other_ignore = LabelSpace(FINE.name, FINE.classes, ignore=254)
    assert not LabelMap.by_name(FINE, other_ignore).is_identity
    assert label_map("camvid-12", "camvid-11").is_identity


def test_relabel():
    mask = np.array([[0, 1, 2], [3, 255, 0]], dtype=np.uint8)
    kept = mask.copy()
    relabeled = GROUPED.relabel(mask)
    assert relabeled.dtype == np.uint8
    np.testing.assert_array_equal(relabeled, [[0, 1, 1], [9, 9, 0]])
    np.testing.assert_array_equal(mask, kept)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int32, np.int64, np.uint32])
def test_relabel_takes_every_integer_type(dtype):
    relabeled = GROUPED.relabel(np.array([[0, 3], [2, 255]], dtype=dtype))
    assert relabeled.dtype == np.uint8
    np.testing.assert_array_equal(relabeled, [[0, 9], [1, 9]])


def test_relabel_of_bool_empty_and_strided_masks():
    np.testing.assert_array_equal(GROUPED.relabel(np.array([[False, True]])), [[0, 1]])
    assert GROUPED.relabel(np.zeros((0, 4), np.int64)).shape == (0, 4)
    mask = np.array([[0, 1, 2, 3]], dtype=np.uint8)
    np.testing.assert_array_equal(GROUPED.relabel(mask[:, ::-2]), [[9, 1]])


def test_relabel_to_wide_ids():
    wide = LabelSpace.from_names({7: "road", 300: "car"}, name="wide")
    to_wide = LabelMap.by_name(FINE, wide)
    relabeled = to_wide.relabel(np.array([[0, 1, 2]], dtype=np.uint8))
    assert relabeled.dtype == np.uint16
    np.testing.assert_array_equal(relabeled, [[7, 300, 255]])
    back = LabelMap.by_name(wide, FINE)
    narrow = back.relabel(np.array([[7, 300, 255]], dtype=np.uint16))
    assert narrow.dtype == np.uint8
    np.testing.assert_array_equal(narrow, [[0, 1, 255]])
    # An 8-bit picture cannot hold id 300: what it holds is what it says.
    np.testing.assert_array_equal(back.relabel(np.array([[7, 255]], dtype=np.uint8)), [[0, 255]])
    with pytest.raises(LabelError, match="id 44 "):
        back.relabel(np.array([[300 % 256]], dtype=np.uint8))


def test_minus_one_is_stored_as_the_highest_value():
    source = LabelSpace.from_names({-1: "plate", 0: "road"}, name="plates", ignore=5)
    target = LabelSpace.from_names({-1: "road", 3: "plate"}, name="turned", ignore=6)
    turned = LabelMap.by_name(source, target)
    for mask in (np.array([255, 0], np.uint8), np.array([65535, 0], np.uint16), np.array([-1, 0], np.int32)):
        np.testing.assert_array_equal(turned.relabel(mask), np.array([3, 255], np.uint8))


def test_relabel_names_unknown_ids():
    mask = np.array([[0, 77, 77], [42, 1, 255]], dtype=np.uint8)
    with pytest.raises(LabelError) as caught:
        GROUPED.relabel(mask, where="gt/frame_7.png")
    assert str(caught.value) == (
        "gt/frame_7.png: holds id 77 (2 pixels), id 42 (1 pixel), which fine does not have; its ids are 0..3, 255: "
        "give the label space the mask was written in, or mend the mask"
    )


def test_relabel_names_five_unknown_ids_at_most():
    with pytest.raises(LabelError, match=r"id 14 \(1 pixel\) and 15 more, which"):
        GROUPED.relabel(np.arange(10, 30, dtype=np.uint16))


def test_relabel_refuses_what_no_space_can_hold():
    with pytest.raises(LabelError, match=r"a\.tif: holds id 70000 \(1 pixel\); label ids are -1\.\.65535"):
        GROUPED.relabel(np.array([[0, 70000]], np.int32), where="a.tif")
    with pytest.raises(LabelError, match=r"id -100 \(2 pixels\)"):
        GROUPED.relabel(np.array([[-100, -100]], np.int64))
    with pytest.raises(LabelError, match="of type float64"):
        GROUPED.relabel(np.zeros((1, 1)))


def test_unknown_ids_are_found_when_every_8_bit_value_is_used():
    full = LabelSpace.from_names([str(i) for i in range(256)], name="full", ignore=0)
    copy = LabelMap.by_name(full, full)
    mask = np.arange(256, dtype=np.uint16)
    relabeled = copy.relabel(mask)
    assert relabeled.dtype == np.uint8
    np.testing.assert_array_equal(relabeled, mask)
    with pytest.raises(LabelError, match="id 256 "):
        copy.relabel(mask + np.uint16(1))


def test_matrix():
    assert GROUPED.matrix.dtype == np.float32
    np.testing.assert_array_equal(GROUPED.matrix, [[1, 0, 0, 0], [0, 1, 1, 0]])
    # Where the ignored id is a class, dropped classes are that class.
    padded = LabelMap.by_name(FINE, LabelSpace.from_names(["road", "rest"], name="padded", ignore=1))
    np.testing.assert_array_equal(padded.matrix, [[1, 0, 0, 0], [0, 1, 1, 1]])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_project(dtype):
    scores = np.array([[0.5], [0.25], [0.125], [0.125]], dtype=dtype)
    projected = GROUPED.project(scores)
    assert projected.dtype == dtype
    np.testing.assert_array_equal(projected, [[0.5], [0.375]])


def test_project_counts_and_shapes():
    projected = GROUPED.project(np.ones((4, 2, 3), dtype=np.int64))
    assert (projected.dtype, projected.shape) == (np.float32, (2, 2, 3))
    for wrong in (np.ones((3, 2)), np.float32(1)):
        with pytest.raises(LabelError, match="do not fit the 4 classes of fine"):
            GROUPED.project(np.asarray(wrong))


def test_then():
    whole = label_map("cityscapes", "cityscapes-19").then(label_map("cityscapes-19", "camvid-11"))
    mask = np.array([[7, 26, 255, 0, 33, 12]], dtype=np.uint8)
    np.testing.assert_array_equal(whole.relabel(mask), [[3, 8, 11, 11, 10, 1]])
    assert (whole.source, whole.target) == (space("cityscapes"), space("camvid-11"))
    with pytest.raises(LabelError, match="a map from fine cannot follow one to camvid-11"):
        whole.then(GROUPED)


def test_then_follows_the_ignored_id():
    # The second map gives the ignored pixels of the first a class.
    rest = LabelMap(COARSE, FINE, ((0, 0), (1, 1), (9, 3)))
    both = GROUPED.then(rest)
    assert both.table == ((0, 0), (1, 1), (2, 1), (3, 3), (255, 3))
    np.testing.assert_array_equal(both.relabel(np.array([3, 255], np.uint8)), [3, 3])


@st.composite
def maps(draw, source: LabelSpace | None = None) -> LabelMap:
    """Maps between small spaces with arbitrary, not contiguous ids."""

    def drawn_space(name: str) -> LabelSpace:
        ids = draw(st.lists(st.integers(0, 300), min_size=2, max_size=6, unique=True))
        return LabelSpace.from_names({i: f"{name}{i}" for i in ids[1:]}, name=name, ignore=ids[0])

    source = source or drawn_space("a")
    target = drawn_space(draw(st.sampled_from("bcd")))
    wanted = st.sampled_from((*target.ids, target.ignore))
    return LabelMap(source, target, tuple((number, draw(wanted)) for number in source.ids))


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_relabel_agrees_with_the_table_and_composes(data):
    first = data.draw(maps())
    second = data.draw(maps(source=first.target))
    known = [*first.source.ids, first.source.ignore]
    mask = np.array(data.draw(st.lists(st.sampled_from(known), max_size=20)), dtype=np.uint16)
    relabeled = first.relabel(mask)
    assert relabeled.dtype == first.target.dtype
    table = {first.source.ignore: first.target.ignore, **dict(first.table)}
    assert relabeled.tolist() == [table[number] for number in mask.tolist()]
    np.testing.assert_array_equal(first.then(second).relabel(mask), second.relabel(relabeled))


@settings(max_examples=50, deadline=None)
@given(order=st.permutations(range(8)), flat=st.lists(st.sampled_from([*range(8), 255]), max_size=30))
def test_a_permutation_and_its_inverse_cancel(order, flat):
    plain = LabelSpace.from_names([str(i) for i in range(8)])
    there = LabelMap(plain, plain, tuple(enumerate(order)))
    back = LabelMap(plain, plain, tuple((wanted, number) for number, wanted in enumerate(order)))
    mask = np.array(flat, dtype=np.uint8)
    np.testing.assert_array_equal(back.relabel(there.relabel(mask)), mask)
    assert there.then(back).is_identity
    np.testing.assert_array_equal(back.matrix, there.matrix.T)


@settings(max_examples=50, deadline=None)
@given(chosen=maps(), seed=st.integers(0, 2**16))
def test_project_preserves_the_mass_of_kept_classes(chosen, seed):
    scores = np.random.default_rng(seed).random((chosen.source.num_classes, 3, 2))
    kept = [wanted in chosen.target.ids for wanted in dict(chosen.table).values()]
    projected = chosen.project(scores)
    assert projected.shape == (chosen.target.num_classes, 3, 2)
    np.testing.assert_allclose(projected.sum(axis=0), scores[kept].sum(axis=0))
