"""ESPNet: efficient spatial pyramids of dilated convolutions, with a light decoder.

Mehta, Rastegari, Caspi, Shapiro, Hajishirzi: ESPNet: Efficient Spatial Pyramid of Dilated Convolutions for Semantic
Segmentation, ECCV 2018, arXiv 1803.06815.

``ESPNetC`` is the encoder with a classifier at 1/8 of the image; ``ESPNet`` adds the decoder to full size. The
parameter names are those of the published checkpoints, of which two decoder variants exist (see ``ESPNet``).
"""

from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import nn

from roadseg.models.output import Output

__all__ = ["ESPNet", "ESPNetC", "Levels", "Skip", "espnet", "espnet_c"]

Skip = Literal["concat", "features"]
"""What the decoder takes from level 1: its features beside the shrunken image (19 channels), or the features (16)."""

_DILATIONS = (1, 2, 4, 8, 16)
_BN_EPS = 1e-3
_LEVEL1, _LEVEL2, _LEVEL3 = 16, 64, 128
_IMAGE = 3


class Levels(NamedTuple):
    """The encoder's feature maps.

    Attributes:
        features: ``[B, 16, H/2, W/2]``, learned features only.
        level1: ``[B, 19, H/2, W/2]``, the same beside the shrunken image, normalized.
        level2: ``[B, 131, H/4, W/4]``.
        level3: ``[B, 256, H/8, W/8]``.
    """

    features: torch.Tensor
    level1: torch.Tensor
    level2: torch.Tensor
    level3: torch.Tensor


class _Conv(nn.Module):
    """A same-size (or halving) convolution without bias, one level down as in the published names."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, dilation: int = 1
    ) -> None:
        super().__init__()
        padding = (kernel - 1) // 2 * dilation
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, dilation, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)  # type: ignore[no-any-return]


class _NormAct(nn.Module):
    """Batch normalization, then a PReLU with one slope per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels, eps=_BN_EPS)
        self.act = nn.PReLU(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.bn(x))  # type: ignore[no-any-return]


class _ConvNormAct(nn.Module):
    """A 3x3 convolution, batch normalization, PReLU."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=_BN_EPS)
        self.act = nn.PReLU(out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.bn(self.conv(x)))  # type: ignore[no-any-return]


class _Pyramid(nn.Module):
    """The ESP module: reduce, convolve at five dilations, and join (paper, section 3).

    The branches are summed step by step before they are joined ("hierarchical feature fusion"), which
    takes away the grid pattern of large dilations at no cost. The undilated branch gets the channels left over by
    the division into five.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        width = out_channels // len(_DILATIONS)
        rest = out_channels - width * (len(_DILATIONS) - 1)
        self.c1 = _Conv(in_channels, width, kernel, stride)
        self.d1 = _Conv(width, rest, 3)
        self.d2 = _Conv(width, width, 3, dilation=2)
        self.d4 = _Conv(width, width, 3, dilation=4)
        self.d8 = _Conv(width, width, 3, dilation=8)
        self.d16 = _Conv(width, width, 3, dilation=16)

    def fuse(self, x: torch.Tensor) -> torch.Tensor:
        """Run the five branches and join them."""
        reduced = self.c1(x)
        joined = [self.d1(reduced), self.d2(reduced)]
        for branch in (self.d4, self.d8, self.d16):
            joined.append(joined[-1] + branch(reduced))
        return torch.cat(joined, dim=1)


class _Downsample(_Pyramid):
    """A pyramid behind a strided 3x3 reduction."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel=3, stride=2)
        self.bn = nn.BatchNorm2d(out_channels, eps=_BN_EPS)
        self.act = nn.PReLU(out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.bn(self.fuse(x)))  # type: ignore[no-any-return]


class _ESP(_Pyramid):
    """A pyramid behind a 1x1 reduction, with a residual connection where the channels allow it."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel=1)
        self.residual = in_channels == out_channels
        self.bn = _NormAct(out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        fused = self.fuse(x)
        return self.bn(x + fused if self.residual else fused)  # type: ignore[no-any-return]


class ESPNetC(nn.Module):
    """ESPNet-C: the encoder alone, with a classifier at 1/8 of the image.

    Args:
        num_classes: Channels of the logits.
        alpha2: ESP modules at 1/4 of the image (2 in all published weights).
        alpha3: ESP modules at 1/8 of the image (3, 5 or 8 in published weights).

    Raises:
        ValueError: If there is no class, or a negative number of modules.
    """

    stride = 8
    align_corners = False

    def __init__(self, num_classes: int, *, alpha2: int = 2, alpha3: int = 8) -> None:
        super().__init__()
        if num_classes < 1 or alpha2 < 0 or alpha3 < 0:
            raise ValueError(f"num_classes={num_classes}, alpha2={alpha2}, alpha3={alpha3} is not a network")
        self.num_classes = num_classes
        self.level1 = _ConvNormAct(_IMAGE, _LEVEL1, stride=2)
        self.b1 = _NormAct(_LEVEL1 + _IMAGE)
        self.level2_0 = _Downsample(_LEVEL1 + _IMAGE, _LEVEL2)
        self.level2 = nn.Sequential(*(_ESP(_LEVEL2, _LEVEL2) for _ in range(alpha2)))
        self.b2 = _NormAct(2 * _LEVEL2 + _IMAGE)
        self.level3_0 = _Downsample(2 * _LEVEL2 + _IMAGE, _LEVEL3)
        self.level3 = nn.Sequential(*(_ESP(_LEVEL3, _LEVEL3) for _ in range(alpha3)))
        self.b3 = _NormAct(2 * _LEVEL3)
        self.classifier = _Conv(2 * _LEVEL3, num_classes, 1)

    def levels(self, images: torch.Tensor) -> Levels:
        """Return the feature maps of images ``[B, 3, H, W]``."""
        half = _shrink(images)
        features = self.level1(images)
        level1 = self.b1(torch.cat([features, half], dim=1))
        down2 = self.level2_0(level1)
        level2 = self.b2(torch.cat([self.level2(down2), down2, _shrink(half)], dim=1))
        down3 = self.level3_0(level2)
        level3 = self.b3(torch.cat([down3, self.level3(down3)], dim=1))
        return Levels(features, level1, level2, level3)

    def forward(self, images: torch.Tensor) -> Output:
        """Map normalized images ``[B, 3, H, W]`` to logits ``[B, C, ceil(H/8), ceil(W/8)]``."""
        return Output(self.classifier(self.levels(images).level3))


class ESPNet(nn.Module):
    """ESPNet: the encoder and a decoder to the size of the image.

    Every map of the decoder has as many channels as there are classes. ESP modules need five channels, so with fewer
    classes than that the decoder keeps five and only its last layer is narrower.

    Args:
        num_classes: Channels of the logits.
        alpha2: ESP modules at 1/4 of the image (2 in all published weights).
        alpha3: ESP modules at 1/8 of the image (3, 5 or 8 in published weights).
        skip: What the decoder takes from level 1: ``"concat"`` (19 channels; the published training code and CamVid
            weights) or ``"features"`` (16 channels; the published Cityscapes weights).

    Raises:
        ValueError: If there is no class, a negative number of modules, or an unknown ``skip``.
    """

    stride = 1
    align_corners = False

    def __init__(self, num_classes: int, *, alpha2: int = 2, alpha3: int = 8, skip: Skip = "concat") -> None:
        super().__init__()
        if skip not in get_args(Skip):
            raise ValueError(f"skip={skip!r} is not one of {', '.join(get_args(Skip))}")
        width = max(num_classes, len(_DILATIONS))
        self.num_classes = num_classes
        self.skip = skip
        self.encoder = ESPNetC(num_classes, alpha2=alpha2, alpha3=alpha3)
        self.level3_C = _Conv(2 * _LEVEL2 + _IMAGE, width, 1)
        self.br = nn.BatchNorm2d(num_classes, eps=_BN_EPS)
        self.conv = _ConvNormAct((_LEVEL1 + _IMAGE if skip == "concat" else _LEVEL1) + width, width)
        self.up_l3 = nn.Sequential(_double(num_classes, width))
        self.combine_l2_l3 = nn.Sequential(_NormAct(2 * width), _ESP(2 * width, width))
        self.up_l2 = nn.Sequential(_double(width, width), _NormAct(width))
        self.classifier = _double(width, num_classes)

    def forward(self, images: torch.Tensor) -> Output:
        """Map normalized images ``[B, 3, H, W]`` to logits ``[B, C, H, W]``.

        In training, ``aux`` holds the encoder's own logits ``[B, C, ceil(H/8), ceil(W/8)]``.
        """
        features, level1, level2, level3 = self.encoder.levels(images)
        coarse = self.encoder.classifier(level3)
        quarter = _crop(self.up_l3(self.br(coarse)), level2)
        quarter = self.combine_l2_l3(torch.cat([self.level3_C(level2), quarter], dim=1))
        half = _crop(self.up_l2(quarter), level1)
        half = self.conv(torch.cat([half, level1 if self.skip == "concat" else features], dim=1))
        logits = _crop(self.classifier(half), images)
        return Output(logits, (coarse,) if self.training else ())


def _shrink(x: torch.Tensor) -> torch.Tensor:
    """Halve ``[B, C, H, W]`` by overlapping averages; borders count the padding, as in the published weights."""
    return F.avg_pool2d(x, 3, stride=2, padding=1)


def _crop(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Drop the last row and column of ``x`` where doubling overshot the odd side of the finer map ``like``.

    Written as a negative padding: unlike a slice, its size is exactly that of ``like`` also to a symbolic tracer, so the
    network exports with free height and width.
    """
    rows, columns = like.shape[-2] - x.shape[-2], like.shape[-1] - x.shape[-1]
    if not torch.compiler.is_compiling() and rows == columns == 0:
        return x  # padding by nothing would copy
    return F.pad(x, (0, columns, 0, rows))


def _double(in_channels: int, out_channels: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2, bias=False)


def espnet(num_classes: int, *, alpha2: int = 2, alpha3: int = 8, skip: Skip = "concat") -> ESPNet:
    """Build `ESPNet`: 0.36 M parameters, 18.7 G multiply-adds at 1024 x 2048 for 19 classes."""
    return ESPNet(num_classes, alpha2=alpha2, alpha3=alpha3, skip=skip)


def espnet_c(num_classes: int, *, alpha2: int = 2, alpha3: int = 8) -> ESPNetC:
    """Build `ESPNetC`: 0.35 M parameters, 13.9 G multiply-adds at 1024 x 2048 for 19 classes."""
    return ESPNetC(num_classes, alpha2=alpha2, alpha3=alpha3)
