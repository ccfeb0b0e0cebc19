"""Tells from the names and shapes of weights which network they belong to, and how to read them; torch-free.

One module per family of networks, named like the family's module; each lists its `Layout` values.
"""

import importlib
import pkgutil
from functools import cache

from roadseg.models.layouts.layout import Convention, Detected, Layout, Weights

__all__ = ["Convention", "Detected", "Layout", "detect", "layout_of", "layouts", "nearest"]


@cache
def layouts() -> tuple[Layout, ...]:
    """Return all layouts, by name."""
    families = sorted(entry.name for entry in pkgutil.iter_modules(__path__) if entry.name != "layout")
    modules = (importlib.import_module(f"{__name__}.{family}") for family in families)
    return tuple(
        sorted((layout for module in modules for layout in module.LAYOUTS), key=lambda each: each.name)
    )


def layout_of(weights: Weights) -> tuple[Layout, Detected] | None:
    """Return the layout of ``weights`` and the network they belong to; None if it is none of ours."""
    for layout in layouts():
        found = layout.detect(weights)
        if found is not None:
            return layout, found
    return None


def detect(weights: Weights) -> Detected | None:
    """Recognise a network of the catalog from its weights; None if it is none of them."""
    found = layout_of(weights)
    return None if found is None else found[1]


def nearest(weights: Weights, number: int = 3) -> tuple[Layout, ...]:
    """Return the layouts that share the largest part of their marks with ``weights``, best first."""
    shares = [
        (sum(mark in weights for mark in layout.marks) / len(layout.marks), layout) for layout in layouts()
    ]
    near = sorted((pair for pair in shares if pair[0] > 0), key=lambda pair: (-pair[0], pair[1].name))
    return tuple(layout for _, layout in near[:number])
