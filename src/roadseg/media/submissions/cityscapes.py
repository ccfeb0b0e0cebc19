"""Cityscapes, pixel-level semantic labeling.

The names carry neither ``gtFine`` nor ``color``: the official script, given files as arguments, takes what has ``gt``
in its path for ground truth.
"""

from roadseg.media.submissions.benchmark import Benchmark, Sizes

__all__ = ["CITYSCAPES"]

CITYSCAPES = Benchmark(
    name="cityscapes",
    title="Cityscapes, pixel-level semantic labeling",
    official="cityscapes",
    networks="cityscapes-19",
    ending="_predictionIds.png",
    frame=r"[^_]+_[0-9]{6}_[0-9]{6}(?![0-9])",
    by_beginning=True,
    flat=False,
    counts={"test": 1525, "val": 500},
    sizes=(Sizes((1024, 1024), (2048, 2048)),),
    source="cityscapesScripts, evaluation/evalPixelLevelSemanticLabeling.py, getPrediction and evaluatePair",
    upload="upload it at cityscapes-dataset.com/submit",
)
