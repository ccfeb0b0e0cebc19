import pytest
import tyro

from roadseg.cli.quality import Care, Quality
from roadseg.errors import RecipeError
from roadseg.inference import Bounded, Flip, MultiScale, Sliding
from tests.tiny import tiny


def parsed(*arguments: str) -> Quality:
    return tyro.cli(Care, args=list(arguments))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), Bounded()),
        (("--quality", "balanced"), Flip(Bounded())),
        (("--max-memory", "2GB"), Bounded(2 * 10**9)),
        (("--scales", "0.5,1,2", "--flip"), MultiScale((0.5, 1.0, 2.0), flip=True, inner=Bounded())),
        (("--window", "64"), Sliding(64, stride=48)),
    ],
)
def test_flags_make_a_strategy(arguments, expected):
    assert parsed(*arguments).strategy(tiny(3)) == expected


def test_what_was_chosen_is_told_with_its_cost():
    words = Quality(quality="best", scales="0.5,1,2").describe(tiny(3))
    assert words == (
        "best: whole image, scales 0.5, 1, 2 with flip, mean logits; 6 passes, 10.5x the multiply-adds of one"
    )
    assert Quality().describe(tiny(3), (10, 20)).endswith("; one pass, 1x the multiply-adds of one")


@pytest.mark.parametrize(
    ("quality", "message"),
    [
        (Quality(scales="0.5;1"), "'0.5;1' are no scales"),
        (Quality(scales="-1"), "no scales"),
        (Quality(max_memory="much"), "no amount of memory"),
        (Quality(window=-3), "--window"),
    ],
)
def test_flags_without_a_usable_value_are_refused(quality, message):
    with pytest.raises(RecipeError, match=message):
        quality.strategy(tiny(3))
