"""``KEY=VALUE`` arguments: numbers, fractions, lists, true, false and none become what they look like."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from roadseg.errors import RecipeError

__all__ = ["pair_texts", "parse_pairs", "parse_value"]

_WORDS: Mapping[str, object] = {"true": True, "false": False, "none": None}


def parse_pairs(pairs: Sequence[str], flag: str) -> dict[str, Any]:
    """Return the mapping that ``KEY=VALUE`` texts describe.

    Args:
        pairs: The texts; ``-`` and ``_`` are the same in keys.
        flag: The flag they were given to, for errors.

    Raises:
        RecipeError: A text is no pair, or a key comes twice.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key:
            raise RecipeError(
                f"{pair!r} is not KEY=VALUE", where=flag, remedy=f"for example {flag} alpha2=2 alpha3=8"
            )
        if key in found:
            raise RecipeError(f"{key} is given twice", where=flag, remedy="give it once")
        found[key] = parse_value(value)
    return found


def parse_value(text: str) -> Any:  # noqa: ANN401 - the text decides
    """Return the value that a text looks like: ``8``, ``0.5``, ``1/255``, ``true``, ``none``, ``a,b`` or plain text.

    A comma makes a tuple; ``stem,`` is a tuple of one.
    """
    if "," in text:
        return tuple(parse_value(part) for part in text.split(",") if part.strip())
    word = text.strip().strip("()[]'\"")
    if word.lower() in _WORDS:
        return _WORDS[word.lower()]
    for kind in (int, float, Fraction):
        try:
            number = kind(word)
        except (ValueError, ZeroDivisionError):
            continue
        return float(number) if isinstance(number, Fraction) else number
    return word


def pair_texts(values: Mapping[str, object]) -> list[str]:
    """Return ``KEY=VALUE`` texts that `parse_pairs` turns into the same mapping."""
    return [f"{key}={_value_text(value)}" for key, value in values.items()]


def _value_text(value: object) -> str:
    if isinstance(value, tuple | list):
        return ",".join(map(str, value)) + ("," if len(value) == 1 else "")
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)
