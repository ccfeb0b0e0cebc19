"""Which numbers a plan may hold: what is refused here would end as a fault of the training, or as none that shows."""

from collections.abc import Callable
from math import inf
from typing import Any

from roadseg.errors import RecipeError

__all__ = ["above", "at_least", "below_one", "refuse", "within_one"]


def at_least(least: float, plan: object, *names: str) -> None:
    """Refuse values of a plan that are lower; None is none.

    Raises:
        RecipeError: One is.
    """
    _check(plan, names, lambda value: least <= value < inf, f"give {least:g} or more")


def above(bound: float, plan: object, *names: str) -> None:
    """Refuse values of a plan that are not above a bound; None is none.

    Raises:
        RecipeError: One is not.
    """
    _check(plan, names, lambda value: bound < value < inf, f"give a number above {bound:g}")


def within_one(plan: object, *names: str) -> None:
    """Refuse values of a plan that are no part of one; None is none.

    Raises:
        RecipeError: One is not.
    """
    _check(plan, names, lambda value: 0 <= value <= 1, "give a number from 0 to 1")


def below_one(plan: object, *names: str) -> None:
    """Refuse values of a plan that do not lie in 0..1, or are 1; of a tuple, any. None is none.

    Raises:
        RecipeError: One is so.
    """
    _check(plan, names, lambda value: 0 <= value < 1, "give 0, or a number between 0 and 1")


def refuse(plan: object, name: str, what: str, remedy: str) -> RecipeError:
    """Return the error of a value of a plan."""
    return RecipeError(what, where=f"{type(plan).__name__}.{name}", remedy=remedy)


def _check(plan: object, names: tuple[str, ...], possible: Callable[[Any], bool], remedy: str) -> None:
    for name in names:
        value = getattr(plan, name)
        for each in value if isinstance(value, tuple) else (value,):
            if each is not None and not possible(each):
                raise refuse(plan, name, f"cannot be {each}", remedy)
