"""Training: `fit` runs a recipe."""

from roadseg.training.fit import FitResult, fit

__all__ = ["FitResult", "fit"]
