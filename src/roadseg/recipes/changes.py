"""What differs between two recipes, as JSON."""

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["changes", "flat"]

_FREE = (
    *("workers", "eval_every", "expects", "engine", "model.weights"),
    *("data.root", "data.parts", "data.cache", "data.synthetic.root", "data.autolabels.root"),
)
"""What may change between the parts of a run: where things lie, and how fast they are computed."""

_ADDED = {"data.to": "", "objectives": "sum"}
"""What plans meant that were written down before these could be said."""

_FREE_PREFIXES = tuple(f"{name}." for name in _FREE)


def flat(value: Any, name: str = "") -> dict[str, Any]:  # noqa: ANN401 - JSON is untyped by nature
    """Return nested JSON objects as one, their keys joined by dots; lists stay whole."""
    if not isinstance(value, Mapping):
        return {name: value}
    parts: dict[str, Any] = {}
    for key, item in value.items():
        parts |= flat(item, f"{name}.{key}" if name else str(key))
    return parts


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what makes two recipes train something else, for example ``epochs was 30 and is 60``.

    Args:
        before: `Recipe.to_json` of the first, or what became of it in a file.
        now: The same of the second.
    """
    old, new = ({**_ADDED, **flat(plan)} for plan in (before, now))
    return tuple(
        f"{name} was {_text(old.get(name))} and is {_text(new.get(name))}"
        for name in dict.fromkeys((*old, *new))
        if not f"{name}.".startswith(_FREE_PREFIXES) and old.get(name) != new.get(name)
    )


def _text(value: Any) -> str:  # noqa: ANN401
    return "not set" if value is None else json.dumps(value)
