"""Scores of weights, for the benchmarks that compare them."""

from typing import Any

from roadseg import Predictor
from roadseg.data import open_source
from roadseg.inference import evaluate, protocol_of
from roadseg.metrics import Scores
from roadseg.models import build

__all__ = ["parameters_in_use", "percent", "scores_on"]


def scores_on(predictor: Predictor, data: str, split: str) -> Scores:
    """Return the scores of weights on a split of a data set."""
    source = open_source(data)
    confusion = evaluate(predictor, source, split)
    return Scores.from_confusion(confusion, protocol_of(predictor, source, split, confusion))


def parameters_in_use(network: str, options: dict[str, Any], classes: int) -> int:
    """Return the parameters of a network without its auxiliary outputs, which only training needs."""
    used = {key: value for key, value in options.items() if key not in ("aux", "dsn")}
    return sum(value.numel() for value in build(network, classes, **used).parameters())


def percent(value: float | None, digits: int = 1) -> str:
    """Return a share for people."""
    return "-" if value is None else f"{100 * value:.{digits}f}"
