"""The weights that ship with roadseg."""

import re

import pytest

from roadseg.models import bundled_weights, read_card


def _texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in _texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("name", bundled_weights())
def test_cards_name_no_place_on_somebodys_machine(name: str) -> None:
    texts = _texts(read_card(bundled_weights()[name]))
    assert not [text for text in texts if re.match(r"(/|[A-Za-z]:\\|~)", text)]
