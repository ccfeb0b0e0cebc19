"""Training losses: modules of (logits, mask) that know nothing of networks or data sets."""

from roadseg.losses.boundary import BoundaryLoss
from roadseg.losses.class_weights import enet_weights, inverse_frequency_weights, median_frequency_weights
from roadseg.losses.criterion import Criterion
from roadseg.losses.cross_entropy import CrossEntropyLoss
from roadseg.losses.image_weighted import ImageWeightedLoss
from roadseg.losses.ohem import OhemLoss
from roadseg.losses.overlap import DiceLoss, FocalLoss, LovaszLoss
from roadseg.losses.relaxation import RelaxedLoss
from roadseg.losses.rmi import BinaryCrossEntropyLoss, RMILoss
from roadseg.losses.supervision import OutputLoss

__all__ = [
    "BinaryCrossEntropyLoss",
    "BoundaryLoss",
    "Criterion",
    "CrossEntropyLoss",
    "DiceLoss",
    "FocalLoss",
    "ImageWeightedLoss",
    "LovaszLoss",
    "OhemLoss",
    "OutputLoss",
    "RMILoss",
    "RelaxedLoss",
    "enet_weights",
    "inverse_frequency_weights",
    "median_frequency_weights",
]
