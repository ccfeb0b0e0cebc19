"""What holds for every label map: random ones, and those that come with roadseg."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.errors import LabelError
from roadseg.labels import Class, LabelMap, LabelSpace, label_map, space, space_names, space_origins

QUICK = settings(max_examples=40, deadline=None)


@st.composite
def spaces(draw, name):
    """A space of up to nine classes with any ids, and an ignored id that may be a class."""
    ids = draw(st.lists(st.integers(-1, 254), min_size=1, max_size=9, unique=True))
    ignore = draw(st.sampled_from([*ids, 300]))
    return LabelSpace(
        name, tuple(Class(f"{name}{i}", number, (i, 0, 0)) for i, number in enumerate(ids)), ignore
    )


@st.composite
def maps(draw, source, target):
    goals = st.sampled_from([*target.ids, target.ignore])
    return LabelMap(source, target, tuple((number, draw(goals)) for number in source.ids))


@st.composite
def chains(draw):
    a, b, c, d = (draw(spaces(name)) for name in "abcd")
    return draw(maps(a, b)), draw(maps(b, c)), draw(maps(c, d))


def stored_ids(item):
    numbers = {*item.ids, item.ignore}
    return np.array(sorted({item.stored_id(number) for number in numbers}), dtype=item.dtype)


@QUICK
@given(chains())
def test_maps_are_total_and_invent_nothing(chain):
    for found in chain:
        every = stored_ids(found.source)
        assert set(found.relabel(every).tolist()) <= set(stored_ids(found.target).tolist())
        assert found.relabel(every).dtype == found.target.dtype
        assert set(found.matrix.sum(axis=0).tolist()) <= {0, 1}
        report = found.report()
        assert set(report.goals) == set(found.source.names)
        assert {goal for goal in report.goals.values() if goal} <= set(found.target.names)
        reached = {goal for goal in report.goals.values() if goal}
        assert reached.isdisjoint(report.unreachable)


@QUICK
@given(chains())
def test_composition_is_associative(chain):
    one, two, three = chain
    assert one.then(two).then(three) == one.then(two.then(three))
    mask = stored_ids(one.source)
    np.testing.assert_array_equal(one.then(two).relabel(mask), two.relabel(one.relabel(mask)))


@QUICK
@given(chains(), st.integers(0, 2**32 - 1))
def test_projection_is_a_sum(chain, seed):
    found = chain[0]
    scores = np.random.default_rng(seed).random((found.source.num_classes, 3, 2))
    table = dict(found.table)
    for channel, number in enumerate(found.target.ids):
        members = [i for i, start in enumerate(found.source.ids) if table[start] == number]
        np.testing.assert_allclose(found.project(scores)[channel], scores[members].sum(axis=0), atol=1e-12)


@QUICK
@given(chains(), st.integers(0, 65534))
def test_unknown_ids_raise(chain, number):
    found = chain[0]
    mask = np.array([number], dtype=np.uint16)
    if number in {
        found.source.stored_id(known, np.uint16) for known in (*found.source.ids, found.source.ignore)
    }:
        assert found.relabel(mask).shape == (1,)
    else:
        with pytest.raises(LabelError, match=f"holds id {number} "):
            found.relabel(mask)


@pytest.mark.parametrize("target", space_names())
def test_maps_that_come_with_roadseg(target):
    for source in space_origins(target):
        found = label_map(source, target)
        assert (found.source, found.target) == (space(source), space(target))
        assert set(found.relabel(stored_ids(found.source)).tolist()) <= set(stored_ids(found.target).tolist())
        unknown = np.setdiff1d(np.arange(256), stored_ids(found.source)).astype(np.uint8)
        for number in unknown[:3]:
            with pytest.raises(LabelError, match=f"holds id {number} "):
                found.relabel(np.array([number]))
        assert len(found.report().unreachable) < space(target).num_classes
