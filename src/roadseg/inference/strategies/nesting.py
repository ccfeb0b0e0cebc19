"""What is to be known about a nest of strategies, and nests made from others."""

from dataclasses import replace
from typing import Any

from roadseg.inference.strategies.bounded import Bounded
from roadseg.inference.strategies.multiscale import MultiScale
from roadseg.inference.strategies.sliding import Sliding
from roadseg.inference.strategies.whole import Probabilities, Strategy, Whole
from roadseg.labels import LabelMap

__all__ = ["bounded", "has_own_size", "projected", "projection_of", "view_sizes"]


def view_sizes(strategy: Strategy, size: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the sizes of all images that the network sees when a strategy is run over one image of a size.

    A strategy that does not say is taken to run the network once.
    """
    own: Any = getattr(strategy, "view_sizes", None)
    if own is not None:
        sizes: list[tuple[int, int]] = own(size)
        return sizes
    inner = getattr(strategy, "inner", None)
    return [size] if inner is None else view_sizes(inner, size)


def bounded(strategy: Strategy, max_memory: int | None = None) -> Strategy:
    """Return a strategy that keeps to a limit of memory wherever it runs the network; see `Bounded`."""
    match strategy:
        case Bounded():
            return replace(strategy, max_memory=max_memory)
        case Sliding(inner=None):
            return replace(strategy, max_memory=max_memory)
        case Whole() | Probabilities(inner=Whole()):
            return Bounded(max_memory, strategy)
    inner = getattr(strategy, "inner", None)
    if inner is None:
        return Bounded(max_memory, strategy)
    return replace(strategy, inner=bounded(inner, max_memory))  # type: ignore[type-var]


def projected(strategy: Strategy, project: LabelMap) -> Strategy:
    """Return a strategy that sums probabilities into the classes of another space wherever it runs the network.

    One that has such sums already sums them further.
    """
    if isinstance(strategy, Probabilities) and strategy.project is not None:
        return replace(strategy, project=strategy.project.then(project))
    inner = getattr(strategy, "inner", None)
    if isinstance(strategy, Sliding) and inner is None:
        return replace(strategy, inner=Probabilities(Whole(extend="auto"), project))
    if inner is None:
        return Probabilities(strategy, project)
    return replace(strategy, inner=projected(inner, project))  # type: ignore[type-var]


def projection_of(strategy: Strategy) -> LabelMap | None:
    """Return the map to the classes that a strategy gives, if they are not the network's."""
    if isinstance(strategy, Probabilities) and strategy.project is not None:
        return strategy.project
    inner = getattr(strategy, "inner", None)
    return None if inner is None else projection_of(inner)


def has_own_size(strategy: Strategy) -> bool:
    """Return whether a strategy brings images to a size of its own, so that preprocessing must not."""
    if isinstance(strategy, MultiScale) and strategy.short_side is not None:
        return True
    inner = getattr(strategy, "inner", None)
    return inner is not None and has_own_size(inner)
