"""How a network is run over an image: functions from (model, normalized images) to score maps.

Strategies are small frozen values that nest: ``MultiScale((0.5, 1, 2), flip=True, inner=Sliding(1024))``. Maps are of low
resolution, the network's own, wherever that is exact; ``docs/explanation/strategies.md`` tells where.
"""

from roadseg.inference.strategies.bounded import Bounded
from roadseg.inference.strategies.hierarchical import Hierarchical
from roadseg.inference.strategies.multiscale import Flip, MultiScale, Pooling
from roadseg.inference.strategies.nesting import bounded, has_own_size, projected, projection_of, view_sizes
from roadseg.inference.strategies.scores import Part, ScoreMap, ScoreSum, band_rows, upsampled_rows
from roadseg.inference.strategies.sliding import Sliding
from roadseg.inference.strategies.whole import Probabilities, Strategy, Whole
from roadseg.inference.strategies.windows import window_starts

__all__ = [
    "Bounded",
    "Flip",
    "Hierarchical",
    "MultiScale",
    "Part",
    "Pooling",
    "Probabilities",
    "ScoreMap",
    "ScoreSum",
    "Sliding",
    "Strategy",
    "Whole",
    "band_rows",
    "bounded",
    "has_own_size",
    "projected",
    "projection_of",
    "upsampled_rows",
    "view_sizes",
    "window_starts",
]
