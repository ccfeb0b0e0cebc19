"""Scores: a `Confusion` is counted, `Scores` follow from it and name their `Protocol`."""

from roadseg.metrics.bootstrap import Interval, miou_interval
from roadseg.metrics.boundary import Boundary, BoundaryScores
from roadseg.metrics.calibration import Calibration, CalibrationScores, pick_pixels
from roadseg.metrics.compare import Difference, check_comparable, compare
from roadseg.metrics.confusion import Confusion
from roadseg.metrics.images import ImageCounts
from roadseg.metrics.instances import CITYSCAPES_SIZES, Instances, InstanceScores
from roadseg.metrics.iou import AbsentRule
from roadseg.metrics.relabeled import credit_relabeled
from roadseg.metrics.scores import Protocol, Scores, VoidRule
from roadseg.metrics.trimap import Trimap, TrimapCurve

__all__ = [
    "CITYSCAPES_SIZES",
    "AbsentRule",
    "Boundary",
    "BoundaryScores",
    "Calibration",
    "CalibrationScores",
    "Confusion",
    "Difference",
    "ImageCounts",
    "InstanceScores",
    "Instances",
    "Interval",
    "Protocol",
    "Scores",
    "Trimap",
    "TrimapCurve",
    "VoidRule",
    "check_comparable",
    "compare",
    "credit_relabeled",
    "miou_interval",
    "pick_pixels",
]
