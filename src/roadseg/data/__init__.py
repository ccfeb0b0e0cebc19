"""Data sets: found as records, decoded to samples, transformed for training."""

from roadseg.data.check import Report, check
from roadseg.data.dataset import Draw, MixedDataset, RoadDataset, decode
from roadseg.data.records import Record, Sample
from roadseg.data.sampling import StepSampler, mix_seed
from roadseg.data.sources import Source, open_source
from roadseg.data.statistics import count_pixels
from roadseg.data.transforms import RandomZoomCrop, TrainTransform

__all__ = [
    "Draw",
    "MixedDataset",
    "RandomZoomCrop",
    "Record",
    "Report",
    "RoadDataset",
    "Sample",
    "Source",
    "StepSampler",
    "TrainTransform",
    "check",
    "count_pixels",
    "decode",
    "mix_seed",
    "open_source",
]
