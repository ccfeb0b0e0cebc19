"""A network that tells classes by how red a pixel is, so that tests know what it says and how sure it is."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from roadseg.inference import Predictor, WeightsCard, save_package
from roadseg.labels import LabelSpace
from roadseg.models.output import Output
from roadseg.recipes import Preprocess

SHARPNESS = 0.01
AS_STORED = Preprocess(mean=(0, 0, 0), std=(1, 1, 1))


class ColorNet(nn.Module):
    """Scores ``-sharpness (red - mean)^2`` of each class, less what all classes share."""

    stride = 1
    align_corners = False

    def __init__(self, num_classes: int, means: Sequence[float], sharpness: float = SHARPNESS) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.conv = nn.Conv2d(3, num_classes, 1)
        red = torch.tensor([float(mean) for mean in means])
        with torch.no_grad():
            self.conv.weight.zero_()
            self.conv.weight[:, 0, 0, 0] = 2 * sharpness * red
            self.conv.bias.copy_(-sharpness * red**2)

    def forward(self, images: torch.Tensor) -> Output:
        return Output(self.conv(images))


def color_net(num_classes: int, means: Sequence[float], sharpness: float = SHARPNESS) -> ColorNet:
    return ColorNet(num_classes, means, sharpness)


def means_of(space: LabelSpace) -> list[float]:
    """The red of each class: 20 apart."""
    return [20.0 * channel for channel in range(space.num_classes)]


def teacher(space: LabelSpace, means: Sequence[float] | None = None) -> Predictor:
    card = WeightsCard(model="color-net", space=space, preprocess=AS_STORED, license="none")
    return Predictor(color_net(space.num_classes, means or means_of(space)), card, device="cpu")


def saved_teacher(path: Path, space: LabelSpace, means: Sequence[float] | None = None) -> Path:
    options = {"means": list(means or means_of(space))}
    card = WeightsCard(
        model="tests.labeling.color_net:color_net", options=options, space=space, preprocess=AS_STORED
    )
    save_package(path, color_net(space.num_classes, **options), card)
    return path


def painted(channels: np.ndarray, doubt: np.ndarray | float = 0) -> np.ndarray:
    """A picture of classes, uint8 [H, W, 3]; a doubt of 10 lies half-way to the next class."""
    picture = np.zeros((*channels.shape, 3), dtype=np.uint8)
    picture[..., 0] = channels * 20 + doubt
    return picture


def said(picture: np.ndarray, space: LabelSpace) -> tuple[np.ndarray, np.ndarray]:
    """What the teacher says by its definition: channels, and confidence as bytes, both [H, W]."""
    red = picture[..., :1].astype(np.float64)
    scores = -SHARPNESS * (red - np.array(means_of(space))) ** 2
    chances = np.exp(scores - scores.max(-1, keepdims=True))
    chances /= chances.sum(-1, keepdims=True)
    return chances.argmax(-1), np.floor(255 * chances.max(-1)).astype(np.uint8)
