import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.cli.pairs import pair_texts, parse_pairs, parse_value
from roadseg.errors import RecipeError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8", 8),
        ("-0.5", -0.5),
        ("1e-3", 1e-3),
        ("1/255", 1 / 255),
        ("1/0", "1/0"),
        ("true", True),
        ("False", False),
        ("none", None),
        ("BGR", "BGR"),
        ("512,1024", (512, 1024)),
        ("stem,", ("stem",)),
        ("(stem, context)", ("stem", "context")),
        ("", ""),
    ],
)
def test_values_become_what_they_look_like(text, value):
    found = parse_value(text)
    assert found == value
    assert type(found) is type(value)


def test_pairs():
    assert parse_pairs(["stem-padding=0", "url=a=b"], "--options") == {"stem_padding": 0, "url": "a=b"}


@pytest.mark.parametrize("pairs", [["alpha2"], ["=2"], ["a=1", "a=2"]])
def test_pairs_that_are_none(pairs):
    with pytest.raises(RecipeError, match="--options"):
        parse_pairs(pairs, "--options")


names = st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True)
scalars = st.one_of(st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False), st.just("context"))
values = st.one_of(scalars, st.lists(scalars, min_size=1, max_size=3).map(tuple))


@given(st.dictionaries(names, values, max_size=4))
@settings(max_examples=50, deadline=None)
def test_texts_of_a_mapping_give_it_back(mapping):
    assert parse_pairs(pair_texts(mapping), "--options") == mapping
