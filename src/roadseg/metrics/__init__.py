"""Scores: a `Confusion` is counted, `Scores` follow from it and name their `Protocol`."""

from roadseg.metrics.confusion import Confusion
from roadseg.metrics.scores import Protocol, Scores, VoidRule

__all__ = ["Confusion", "Protocol", "Scores", "VoidRule"]
