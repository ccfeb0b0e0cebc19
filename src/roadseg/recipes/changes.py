"""What differs between two recipes, as JSON."""

import json
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["changes", "flat"]

_PACE = ("workers", "eval_every", "expects", "engine", "data.cache")
"""What may differ between two runs that are one: how fast things are computed."""

_PLACES = ("model.weights", "data.root", "data.synthetic.root", "data.autolabels.root")
"""What may change as well between the parts of a run: where things lie. Of further data sets, see `_compared`."""

_ADDED = {"data.to": "", "data.parts": [], "objectives": "sum"}
"""What plans meant that were written down before these could be said."""

_SPLITS = re.compile(r"(@[^@/\\]*){0,2}$")
"""What follows the place of a further data set, see `roadseg.recipes.Data`."""


def flat(value: Any, name: str = "") -> dict[str, Any]:  # noqa: ANN401 - JSON is untyped by nature
    """Return nested JSON objects as one, their keys joined by dots; lists stay whole."""
    if not isinstance(value, Mapping):
        return {name: value}
    parts: dict[str, Any] = {}
    for key, item in value.items():
        parts |= flat(item, f"{name}.{key}" if name else str(key))
    return parts


def changes(before: Mapping[str, Any], now: Mapping[str, Any], *, moved: bool = True) -> tuple[str, ...]:
    """Return what makes two recipes train something else, for example ``epochs was 30 and is 60``.

    Args:
        before: `Recipe.to_json` of the first, or what became of it in a file.
        now: The same of the second.
        moved: Whether data and weights at another place may be the same ones.
    """
    old, new = ({**_ADDED, **flat(plan)} for plan in (before, now))
    free = tuple(f"{name}." for name in (*_PACE, *(_PLACES if moved else ())))
    return tuple(
        f"{name} was {_text(old.get(name))} and is {_text(new.get(name))}"
        for name in dict.fromkeys((*old, *new))
        if not f"{name}.".startswith(free)
        and _compared(name, old.get(name), moved) != _compared(name, new.get(name), moved)
    )


def _compared(name: str, value: Any, moved: bool) -> Any:  # noqa: ANN401
    """Return what counts of a value: of further data sets that may have moved, how many there are, and their splits."""
    if not moved or name != "data.parts" or not isinstance(value, list):
        return value
    return [found.group() for part in value if (found := _SPLITS.search(part))]


def _text(value: Any) -> str:  # noqa: ANN401
    return "not set" if value is None else json.dumps(value)
