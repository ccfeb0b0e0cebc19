"""Semantic segmentation of road scenes: predict, train, evaluate.

>>> import roadseg
>>> predictor = roadseg.load()                  # doctest: +SKIP
>>> predictor("street.jpg").overlay()           # doctest: +SKIP

Importing the package is cheap: every name below is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from roadseg import labels, models, recipes
    from roadseg.data import Source, open_source
    from roadseg.errors import RoadsegError
    from roadseg.inference import Predictor, evaluate, load, predict
    from roadseg.labels import LabelMap, LabelSpace
    from roadseg.media import Prediction
    from roadseg.metrics import Confusion, Scores
    from roadseg.recipes import Recipe
    from roadseg.training import fit

__all__ = [
    "Confusion",
    "LabelMap",
    "LabelSpace",
    "Prediction",
    "Predictor",
    "Recipe",
    "RoadsegError",
    "Scores",
    "Source",
    "evaluate",
    "fit",
    "labels",
    "load",
    "models",
    "open_source",
    "predict",
    "recipes",
]

__version__ = "0.1.0"

_HOME = {
    "Confusion": "metrics",
    "LabelMap": "labels",
    "LabelSpace": "labels",
    "Prediction": "media",
    "Predictor": "inference",
    "Recipe": "recipes",
    "RoadsegError": "errors",
    "Scores": "metrics",
    "Source": "data",
    "evaluate": "inference",
    "fit": "training",
    "load": "inference",
    "open_source": "data",
    "predict": "inference",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - PEP 562
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
