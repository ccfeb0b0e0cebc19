"""From trained weights to predictions."""

from roadseg.inference.decode import Decoded, decode, decode_rows
from roadseg.inference.device import autocast, autocast_dtype, choose_device
from roadseg.inference.evaluation import evaluate, protocol_of
from roadseg.inference.examination import Findings, examine
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
from roadseg.inference.quality import choose, cost
from roadseg.inference.strategies import (
    Bounded,
    Flip,
    Hierarchical,
    MultiScale,
    Pooling,
    Probabilities,
    ScoreMap,
    ScoreSum,
    Sliding,
    Strategy,
    Whole,
)

__all__ = [
    "DEFAULT_WEIGHTS",
    "Bounded",
    "Decoded",
    "Findings",
    "Flip",
    "Hierarchical",
    "ImageLike",
    "MultiScale",
    "Pooling",
    "Predictor",
    "Probabilities",
    "ScoreMap",
    "ScoreSum",
    "Sliding",
    "Strategy",
    "WeightsCard",
    "Whole",
    "adopt",
    "autocast",
    "autocast_dtype",
    "bundled_weights",
    "choose",
    "choose_device",
    "cost",
    "decode",
    "decode_rows",
    "evaluate",
    "examine",
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
