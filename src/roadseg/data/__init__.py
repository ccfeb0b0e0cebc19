"""Data sets: found as records, decoded to samples, transformed for training."""

from roadseg.data.autolabels import with_autolabels
from roadseg.data.check import Report, check
from roadseg.data.class_centers import ClassCenters, find_class_centers, user_cache
from roadseg.data.dataset import Draw, MixedDataset, RoadDataset
from roadseg.data.decoding import decode
from roadseg.data.epochs import Balanced, ClassUniform, EpochPlan, RareClass, Shuffled, mix_seed
from roadseg.data.records import Record, Sample
from roadseg.data.sampling import StepSampler
from roadseg.data.sources import Source, open_source
from roadseg.data.statistics import count_pixels
from roadseg.data.transforms import TrainTransform

__all__ = [
    "Balanced",
    "ClassCenters",
    "ClassUniform",
    "Draw",
    "EpochPlan",
    "MixedDataset",
    "RareClass",
    "Record",
    "Report",
    "RoadDataset",
    "Sample",
    "Shuffled",
    "Source",
    "StepSampler",
    "TrainTransform",
    "check",
    "count_pixels",
    "decode",
    "find_class_centers",
    "mix_seed",
    "open_source",
    "user_cache",
    "with_autolabels",
]
