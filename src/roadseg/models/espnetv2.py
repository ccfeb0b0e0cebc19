"""ESPNetv2: pyramids of dilated depthwise convolutions, with a decoder of pooling pyramids.

Mehta, Rastegari, Shapiro, Hajishirzi: ESPNetv2: A Light-weight, Power Efficient, and General Purpose Convolutional
Neural Network, CVPR 2019, arXiv 1811.11431.

The decoder is that of the authors' EdgeNets repository, whose weights score 66.4 on Cityscapes val; their
first repository has another one and calls itself obsolete. The parameter names are those of the published checkpoints,
except that the trunk, there ``base_net``, is ``backbone``.

All maps are resized with ``align_corners=True``, as the checkpoints were trained.
"""

import math
from collections import OrderedDict
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from roadseg.models.blocks import resize
from roadseg.models.output import Output

__all__ = [
    "ESPNetv2", "ESPNetv2Trunk", "Levels", "espnetv2_s05", "espnetv2_s10", "espnetv2_s15", "espnetv2_s20",
]  # fmt: skip

Levels = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
"""Feature maps at 1/2, 1/4, 1/8 and 1/16 of the image."""

_IMAGE = 3
_BRANCHES = 4
_WIDE, _NARROW = (
    (1, 2, 3, 4),
    (1, 1, 2, 3),
)  # dilations; a lower limit of the receptive field at 1/16 (paper, 4.1)
_SCALES = (Fraction(2), Fraction(3, 2), Fraction(1), Fraction(1, 2), Fraction(1, 10))
_SMALLEST = 5  # cells per side to which the pooling pyramids shrink a map at least


class _Conv(nn.Module):
    """A convolution without bias, one level down as in the published names; keeps the size or halves it."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        *,
        dilation: int = 1,
        groups: int = 1,
    ) -> None:
        super().__init__()
        padding = kernel // 2 * dilation
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel, stride, padding, dilation, groups=groups, bias=False
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)  # type: ignore[no-any-return]


class _ConvNorm(_Conv):
    """A convolution and batch normalization."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, *, groups: int = 1
    ) -> None:
        super().__init__(in_channels, out_channels, kernel, stride, groups=groups)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.bn(self.conv(x))  # type: ignore[no-any-return]


class _ConvNormAct(_ConvNorm):
    """A convolution, batch normalization, PReLU."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, *, groups: int = 1
    ) -> None:
        super().__init__(in_channels, out_channels, kernel, stride, groups=groups)
        self.act = nn.PReLU(out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.bn(self.conv(x)))  # type: ignore[no-any-return]


class _NormAct(nn.Module):
    """Batch normalization, then a PReLU with one slope per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)
        self.act = nn.PReLU(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.bn(x))  # type: ignore[no-any-return]


class _Pyramid(nn.Module):
    """Reduce in groups, filter at four dilations, expand in groups (paper, "EESP unit").

    The branches are summed step by step before they are joined ("hierarchical feature fusion"), which takes away the
    grid pattern of large dilations.
    """

    def __init__(
        self, in_channels: int, out_channels: int, dilations: Sequence[int], stride: int = 1
    ) -> None:
        super().__init__()
        width = out_channels // _BRANCHES
        self.proj_1x1 = _ConvNormAct(in_channels, width, 1, groups=_BRANCHES)
        self.spp_dw = nn.ModuleList(
            _Conv(width, width, 3, stride, dilation=dilation, groups=width) for dilation in dilations
        )
        self.br_after_cat = _NormAct(out_channels)
        self.conv_1x1_exp = _ConvNorm(out_channels, out_channels, 1, groups=_BRANCHES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        reduced = self.proj_1x1(x)
        joined: list[torch.Tensor] = []
        for branch in self.spp_dw:
            filtered = branch(reduced)
            joined.append(joined[-1] + filtered if joined else filtered)
        return self.conv_1x1_exp(self.br_after_cat(torch.cat(joined, dim=1)))  # type: ignore[no-any-return]


class _EESP(_Pyramid):
    """The EESP unit: a pyramid with a residual connection."""

    def __init__(self, channels: int, dilations: Sequence[int]) -> None:
        super().__init__(channels, channels, dilations)
        self.module_act = nn.PReLU(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.module_act(x + super().forward(x))  # type: ignore[no-any-return]


class _Downsample(nn.Module):
    """Halve a map: its averages beside a strided pyramid, plus features of the shrunken image."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.eesp = _Pyramid(in_channels, out_channels - in_channels, _WIDE, stride=2)
        self.inp_reinf = nn.Sequential(_ConvNormAct(_IMAGE, _IMAGE, 3), _ConvNorm(_IMAGE, out_channels, 1))
        self.act = nn.PReLU(out_channels)

    def forward(self, x: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        joined = torch.cat([_shrink(x), self.eesp(x)], dim=1)
        return self.act(joined + self.inp_reinf(image))  # type: ignore[no-any-return]


class ESPNetv2Trunk(nn.Module):
    """The trunk: the ImageNet network up to 1/16 of the image.

    Args:
        widths: Channels at 1/2, 1/4, 1/8 and 1/16 of the image, rising multiples of 16.
        depths: EESP units at 1/8 and 1/16 of the image, after the halving ones.
    """

    def __init__(self, widths: tuple[int, int, int, int], depths: tuple[int, int] = (3, 7)) -> None:
        super().__init__()
        half, quarter, eighth, last = widths
        self.level1 = _ConvNormAct(_IMAGE, half, 3, stride=2)
        self.level2_0 = _Downsample(half, quarter)
        self.level3_0 = _Downsample(quarter, eighth)
        self.level3 = nn.Sequential(*(_EESP(eighth, _WIDE) for _ in range(depths[0])))
        self.level4_0 = _Downsample(eighth, last)
        self.level4 = nn.Sequential(*(_EESP(last, _NARROW) for _ in range(depths[1])))

    def forward(self, images: torch.Tensor) -> Levels:
        """Map normalized images ``[B, 3, H, W]`` to the feature maps, each side rounded up."""
        quarter = _shrink(_shrink(images))
        eighth = _shrink(quarter)
        level1 = self.level1(images)
        level2 = self.level2_0(level1, quarter)
        level3 = self.level3(self.level3_0(level2, eighth))
        level4 = self.level4(self.level4_0(level3, _shrink(eighth)))
        return level1, level2, level3, level4


class _Shuffle(nn.Module):
    """Deal the channels of ``groups`` maps in turn: what the scales say of one channel comes side by side."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[-2:]
        grouped = x.reshape(x.shape[0], self.groups, -1, height, width)
        return grouped.transpose(1, 2).flatten(1, 2)


class _PoolingPyramid(nn.Module):
    """Filter a map at five scales, from twice its size to a tenth, and join what comes of it.

    Args:
        in_channels: Channels of the input.
        width: Channels per scale.
        out_channels: Channels of the output.
        last: Whether these are logits: a bias, instead of batch normalization and PReLU.
    """

    def __init__(self, in_channels: int, width: int, out_channels: int, *, last: bool = False) -> None:
        super().__init__()
        scales = len(_SCALES)
        self.projection_layer = _conv_norm_act(in_channels, width, 1)
        self.stages = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False) for _ in _SCALES
        )
        self.merge_layer = nn.Sequential(
            _norm_act(width * scales),
            _Shuffle(scales),
            _conv_norm_act(width * scales, width, 3, groups=width),
            nn.Conv2d(width, out_channels, 1, bias=last),
        )
        self.br = nn.Identity() if last else _norm_act(out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.projection_layer(x)
        filtered = [_at_scale(x, scale, stage) for scale, stage in zip(_SCALES, self.stages, strict=True)]
        return self.br(self.merge_layer(torch.cat(filtered, dim=1)))  # type: ignore[no-any-return]


class _Skip(nn.Module):
    """Bring an encoder's map to a decoder's channels, weighed by what the whole map holds."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.wt_layer = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.Sigmoid()
        )
        groups = math.gcd(in_channels, out_channels)
        self.expansion_layer = _conv_norm_act(in_channels, out_channels, 3, groups)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.expansion_layer(x) * self.wt_layer(x)  # type: ignore[no-any-return]


class ESPNetv2(nn.Module):
    """ESPNetv2 for segmentation.

    Args:
        num_classes: Channels of the logits.
        widths: Channels of the trunk at 1/2, 1/4, 1/8 and 1/16 of the image, rising multiples of 16.
        depths: EESP units of the trunk at 1/8 and 1/16 of the image, after the halving ones.
        decoder_width: The decoder has 4, 3 and 2 times as many channels at 1/16, 1/8 and 1/4 of the image.

    Raises:
        ValueError: If the trunk's channels cannot be divided into its branches.
    """

    stride = 2
    align_corners = True

    def __init__(
        self,
        num_classes: int,
        widths: tuple[int, int, int, int],
        *,
        depths: tuple[int, int] = (3, 7),
        decoder_width: int = 16,
    ) -> None:
        super().__init__()
        rising = all(finer < coarser for finer, coarser in pairwise(widths))
        if not rising or any(width % _BRANCHES**2 for width in widths):
            raise ValueError(f"widths={widths} are not rising multiples of {_BRANCHES**2}")
        self.num_classes = num_classes
        self.backbone = ESPNetv2Trunk(widths, depths)
        width = max(1, min(num_classes // 2, decoder_width))
        wide, middle, narrow = 4 * decoder_width, 3 * decoder_width, 2 * decoder_width
        self.bu_dec_l1 = _PoolingPyramid(widths[3], width, wide)
        self.bu_dec_l2 = _PoolingPyramid(wide, width, middle)
        self.bu_dec_l3 = _PoolingPyramid(middle, width, narrow)
        self.bu_dec_l4 = _PoolingPyramid(narrow, width, num_classes, last=True)
        self.merge_enc_dec_l2 = _Skip(widths[2], wide)
        self.merge_enc_dec_l3 = _Skip(widths[1], middle)
        self.merge_enc_dec_l4 = _Skip(widths[0], narrow)
        self.bu_br_l2 = nn.Sequential(nn.BatchNorm2d(wide), nn.PReLU(wide))
        self.bu_br_l3 = nn.Sequential(nn.BatchNorm2d(middle), nn.PReLU(middle))
        self.bu_br_l4 = nn.Sequential(nn.BatchNorm2d(narrow), nn.PReLU(narrow))

    def forward(self, images: torch.Tensor) -> Output:
        """Map normalized images ``[B, 3, H, W]`` to logits ``[B, C, ceil(H/2), ceil(W/2)]``."""
        level1, level2, level3, level4 = self.backbone(images)
        x = self.bu_dec_l1(level4)
        x = self.bu_dec_l2(self.bu_br_l2(_add_enlarged(self.merge_enc_dec_l2(level3), x)))
        x = self.bu_dec_l3(self.bu_br_l3(_add_enlarged(self.merge_enc_dec_l3(level2), x)))
        return Output(self.bu_dec_l4(self.bu_br_l4(_add_enlarged(self.merge_enc_dec_l4(level1), x))))


def _conv_norm_act(in_channels: int, out_channels: int, kernel: int, groups: int = 1) -> nn.Sequential:
    """As `_ConvNormAct`, under the names that the published decoder has."""
    layers = nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.PReLU(out_channels),
    )
    return nn.Sequential(OrderedDict(cbr=layers))


def _norm_act(channels: int) -> nn.Sequential:
    """As `_NormAct`, under the names that the published decoder has."""
    return nn.Sequential(OrderedDict(br=nn.Sequential(nn.BatchNorm2d(channels), nn.PReLU(channels))))


def _shrink(x: torch.Tensor) -> torch.Tensor:
    """Halve ``[B, C, H, W]`` by overlapping averages; borders count the padding, as in the published weights."""
    return F.avg_pool2d(x, 3, stride=2, padding=1)


def _add_enlarged(fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
    return fine + resize(coarse, (fine.shape[-2], fine.shape[-1]), align_corners=True)


def _at_scale(x: torch.Tensor, scale: Fraction, stage: nn.Module) -> torch.Tensor:
    """Resize ``[B, C, H, W]``, run ``stage`` there, and resize back.

    Sizes are computed in whole numbers; the published code does so in floating point, which at a tenth gives one cell
    more for a few sizes, 70 the smallest.
    """
    size = x.shape[-2], x.shape[-1]
    if scale == 1:
        return stage(x)  # type: ignore[no-any-return]
    if scale > 1:
        larger = stage(resize(x, _scaled(size, scale, smallest=1), align_corners=True))
        return F.avg_pool2d(larger, 2) if scale == 2 else _average(larger, size, scale)
    smaller = stage(_average(x, _scaled(size, scale, smallest=_SMALLEST), 1 / scale))
    return resize(smaller, size, align_corners=True)


def _scaled(size: tuple[int, int], scale: Fraction, smallest: int) -> tuple[int, int]:
    """Scale a size, rounded up. Sizes may be symbolic, so there is neither ``math.ceil`` nor ``max``."""
    top, bottom = scale.numerator, scale.denominator
    sides = (torch.sym_max((side * top + bottom - 1) // bottom, smallest) for side in size)
    return cast("tuple[int, int]", tuple(sides))


def _average(x: torch.Tensor, size: tuple[int, int], factor: Fraction) -> torch.Tensor:
    """Average ``[B, C, H, W]`` over a grid of cells, to ``[B, C, *size]``.

    Both ways give the same. The built-in is several times faster, but a graph in ONNX keeps the cells' extents of the
    size that it was traced with.

    Args:
        x: The map.
        size: The grid.
        factor: The map's sides are at most this many times the grid's.
    """
    if not torch.compiler.is_compiling():
        return F.adaptive_avg_pool2d(x, size)
    longest = math.ceil(factor) + 1
    position, weight = _cells(x.shape[-2], size[0], longest, x)
    x = (x[..., position, :] * weight[..., None]).sum(-2)
    position, weight = _cells(x.shape[-1], size[1], longest, x)
    return (x[..., position] * weight).sum(-1)


def _cells(length: int, cells: int, longest: int, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ``[cells, longest]`` positions to average per cell, and their weights.

    Cell i takes the positions floor(i*L/n) .. ceil((i+1)*L/n) - 1; what is left of the row has no weight.
    """
    cell = torch.arange(cells, device=like.device)[:, None]
    start = (cell * length).div(cells, rounding_mode="floor")
    stop = ((cell + 1) * length + cells - 1).div(cells, rounding_mode="floor")
    position = start + torch.arange(longest, device=like.device)
    weight = (position < stop).to(like.dtype) / (stop - start).to(like.dtype)
    return torch.minimum(position, stop - 1), weight


def espnetv2_s05(num_classes: int, *, decoder_width: int = 16) -> ESPNetv2:
    """Build `ESPNetv2` with half the channels."""
    return ESPNetv2(num_classes, (16, 32, 64, 128), decoder_width=decoder_width)


def espnetv2_s10(num_classes: int, *, decoder_width: int = 16) -> ESPNetv2:
    """Build `ESPNetv2`."""
    return ESPNetv2(num_classes, (32, 64, 128, 256), decoder_width=decoder_width)


def espnetv2_s15(num_classes: int, *, decoder_width: int = 16) -> ESPNetv2:
    """Build `ESPNetv2` with one and a half times the channels."""
    return ESPNetv2(num_classes, (32, 96, 192, 384), decoder_width=decoder_width)


def espnetv2_s20(num_classes: int, *, decoder_width: int = 16) -> ESPNetv2:
    """Build `ESPNetv2` with twice the channels."""
    return ESPNetv2(num_classes, (32, 128, 256, 512), decoder_width=decoder_width)
