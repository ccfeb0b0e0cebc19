"""Networks of a few parameters, for tests of everything around networks."""

import torch
from torch import nn

from roadseg.models.output import Output


class TinyNet(nn.Module):
    """Two convolutions to stride 4, without normalization: a sum over a batch is the sum over its parts."""

    stride = 4
    align_corners = False

    def __init__(self, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU()
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Conv2d(8, num_classes, 1)
        self.aux_head = nn.Conv2d(8, num_classes, 1)

    def forward(self, images: torch.Tensor) -> Output:
        x = self.dropout(self.features(images))
        return Output(self.head(x), (self.aux_head(x),) if self.training else ())


def tiny(num_classes: int, dropout: float = 0.0) -> TinyNet:
    return TinyNet(num_classes, dropout)
