"""From trained weights to predictions."""

from roadseg.inference.decode import Decoded, decode
from roadseg.inference.device import autocast, autocast_dtype, choose_device
from roadseg.inference.evaluation import evaluate, protocol_of
from roadseg.inference.foreign import adopt
from roadseg.inference.package import (
    WeightsCard,
    bundled_weights,
    file_sha256,
    find_weights,
    load_package,
    save_package,
)
from roadseg.inference.predictor import DEFAULT_WEIGHTS, ImageLike, Predictor, load, predict
from roadseg.inference.preprocess import network_size, normalize, resize_images
from roadseg.inference.strategies import Hierarchical, ScoreMap, Strategy, Whole

__all__ = [
    "DEFAULT_WEIGHTS",
    "Decoded",
    "Hierarchical",
    "ImageLike",
    "Predictor",
    "ScoreMap",
    "Strategy",
    "WeightsCard",
    "Whole",
    "adopt",
    "autocast",
    "autocast_dtype",
    "bundled_weights",
    "choose_device",
    "decode",
    "evaluate",
    "file_sha256",
    "find_weights",
    "load",
    "load_package",
    "network_size",
    "normalize",
    "predict",
    "protocol_of",
    "resize_images",
    "save_package",
]
