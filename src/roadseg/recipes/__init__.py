"""Complete training plans as values: one file per paper, functions that return a `Recipe`."""

from collections.abc import Callable

from roadseg.errors import RecipeError
from roadseg.recipes import espnet, fast_scnn
from roadseg.recipes.spec import (
    SGD,
    AdamW,
    Augment,
    Cosine,
    CrossEntropy,
    Data,
    Expectation,
    Model,
    Optimizer,
    Poly,
    Preprocess,
    Recipe,
    Schedule,
    Synthetic,
    scaled,
)

__all__ = [
    "SGD",
    "AdamW",
    "Augment",
    "Cosine",
    "CrossEntropy",
    "Data",
    "Expectation",
    "Model",
    "Optimizer",
    "Poly",
    "Preprocess",
    "Recipe",
    "Schedule",
    "Synthetic",
    "get",
    "names",
    "scaled",
]

_RECIPES: dict[str, Callable[[], Recipe]] = {
    "espnet.camvid": espnet.camvid,
    "fast-scnn.camvid": fast_scnn.camvid,
    "fast-scnn.camvid-fine": fast_scnn.camvid_fine,
    "fast-scnn.synthetic": fast_scnn.synthetic,
}


def names() -> tuple[str, ...]:
    """Return the names of all recipes, sorted."""
    return tuple(sorted(_RECIPES))


def get(name: str) -> Recipe:
    """Return a recipe by name.

    Raises:
        RecipeError: There is none of that name.
    """
    if name not in _RECIPES:
        raise RecipeError(f"there is no recipe {name!r}", remedy=f"choose one of {', '.join(names())}")
    return _RECIPES[name]()
