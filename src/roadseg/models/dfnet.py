"""DF networks (Partial Order Pruning): trunks found by a search over depth and width under a bound on latency.

Li, Zhou, Pan, Feng: Partial Order Pruning: for Best Speed/Accuracy Trade-off in Neural Architecture Search, CVPR 2019,
arXiv 1903.03777.

The segmentation networks DF1-Seg, DF2-Seg1 and DF2-Seg2 follow the Caffe networks that the authors published: pyramid
pooling at 1/32, then two fusion nodes up to 1/8. Those networks pool with windows of fixed size, made for images of
1024 x 2048; here the grids that such windows make of such an image (1 x 2 up to 8 x 16 cells) are laid over a map of
any size, as adaptive pooling does. `FastSegDF` is the head of Fast_Seg on the same trunks, whose weights it can load.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import nn

from roadseg.models.blocks import adaptive_avg_pool, conv_bn_relu, resize
from roadseg.models.output import Output
from roadseg.models.resnet import BasicBlock

__all__ = ["DF1", "DF2", "DFNet", "DFSeg", "FastSegDF", "Stage", "df1_seg", "df2_seg1", "df2_seg2"]

Decoder = Literal["paper", "fast-seg"]
"""The decoder of the authors' Caffe networks, or the one of Fast_Seg."""

Stage = tuple[str, int, int, int]
"""Name, number of blocks, channels, stride of the first block."""

DF1: tuple[Stage, ...] = (
    ("stage2", 3, 64, 2),
    ("stage3", 3, 128, 2),
    ("stage4", 3, 256, 2),
    ("stage5", 1, 512, 1),
)
"""Stages of DF1 after its stem; 69.8 % top-1 on ImageNet."""

DF2: tuple[Stage, ...] = (
    ("stage2_1", 2, 64, 2),
    ("stage2_2", 1, 128, 1),
    ("stage3_1", 10, 128, 2),
    ("stage3_2", 1, 256, 1),
    ("stage4_1", 4, 256, 2),
    ("stage4_2", 2, 512, 1),
)
"""Stages of DF2 after its stem; 73.9 % top-1 on ImageNet."""


class DFNet(nn.Module):
    """A trunk of basic residual blocks behind two strided convolutions.

    Args:
        stages: The stages after the stem, such as `DF1` or `DF2`.
        stem: Channels of the two convolutions of the stem.
        classes: If not 0, the ImageNet classifier ``fc`` is kept for files that hold it; no segmentation network uses it.

    Attributes:
        channels: Channels of each stage.
        strides: Image pixels per cell of each stage.
    """

    def __init__(
        self, stages: Sequence[Stage] = DF1, *, stem: tuple[int, int] = (32, 64), classes: int = 0
    ) -> None:
        super().__init__()
        self.stage1 = nn.Sequential(
            *conv_bn_relu(3, stem[0], 3, stride=2), *conv_bn_relu(stem[0], stem[1], 3, stride=2)
        )
        channels, reduction = stem[1], 4
        strides = []
        for name, blocks, width, stride in stages:
            first = BasicBlock(channels, width, stride)
            self.add_module(
                name, nn.Sequential(first, *(BasicBlock(width, width) for _ in range(blocks - 1)))
            )
            channels, reduction = width, reduction * stride
            strides.append(reduction)
        self.names = tuple(name for name, *_ in stages)
        self.channels = tuple(width for _, _, width, _ in stages)
        self.strides = tuple(strides)
        if classes:
            self.fc = nn.Linear(channels, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Map images ``[B, 3, H, W]`` to the outputs of the stages after the stem."""
        x = self.stage1(images)
        outputs = []
        for name in self.names:
            x = getattr(self, name)(x)
            outputs.append(x)
        return tuple(outputs)


def _conv_bn_relu(in_channels: int, out_channels: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(*conv_bn_relu(in_channels, out_channels, kernel))


class _GridPooling(nn.Module):
    """Averages over grids twice as wide as high, joined with the features and blended.

    On the 32 x 64 map of an image of 1024 x 2048 the cells are the windows of 32, 16, 8 and 4 of the Caffe networks.
    """

    grids = ((1, 2), (2, 4), (4, 8), (8, 16))

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(_conv_bn_relu(channels, width, 1) for _ in self.grids)
        self.fuse = _conv_bn_relu(channels + width * len(self.grids), channels, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        size = x.shape[-2], x.shape[-1]
        levels = [
            # Caffe's Interp layer, by which the averages are resized, aligns the corners.
            resize(level(adaptive_avg_pool(x, grid)), size, align_corners=True)
            for level, grid in zip(self.levels, self.grids, strict=True)
        ]
        return self.fuse(torch.cat([x, *levels], dim=1))  # type: ignore[no-any-return]


class _FusionNode(nn.Module):
    """Project coarse features, upsample them by a learned depthwise filter, and join them with finer ones."""

    def __init__(self, in_channels: int, lateral_channels: int, width: int) -> None:
        super().__init__()
        self.project = _conv_bn_relu(in_channels, width, 1)
        self.up = nn.ConvTranspose2d(width, width, 4, 2, 1, groups=width, bias=False)
        self.fuse = _conv_bn_relu(width + lateral_channels, width, 3)
        ramp = torch.tensor([0.25, 0.75, 0.75, 0.25])  # bilinear upsampling by 2 to begin with
        with torch.no_grad():
            self.up.weight.copy_((ramp[:, None] * ramp).expand_as(self.up.weight))

    def forward(self, x: torch.Tensor, lateral: torch.Tensor) -> torch.Tensor:
        x = self.up(self.project(x))
        # Twice the coarse map may be one cell larger. Cropped by negative padding: the exporter ties a slice to the
        # traced size.
        x = F.pad(x, (0, lateral.shape[-1] - x.shape[-1], 0, lateral.shape[-2] - x.shape[-2]))
        return self.fuse(torch.cat([x, lateral], dim=1))  # type: ignore[no-any-return]


class DFSeg(nn.Module):
    """A DF trunk with the decoder of the authors' Caffe networks.

    The laterals are the last maps at 1/8, 1/16 and 1/32, each after a 1x1 convolution; the one at 1/32 passes pyramid
    pooling before. The authors upsample the scores by a deconvolution of fixed bilinear weights; here the caller does.

    Args:
        num_classes: Channels of the logits.
        trunk: The trunk.
        laterals: Channels of the laterals at 1/8, 1/16 and 1/32.
        nodes: Channels of the fusion nodes at 1/8 and 1/16.
        pooled: Channels of each level of the pyramid pooling.
    """

    stride = 8
    align_corners = False

    def __init__(
        self,
        num_classes: int,
        trunk: DFNet,
        *,
        laterals: tuple[int, int, int],
        nodes: tuple[int, int],
        pooled: int = 128,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.backbone = trunk
        self.taps = tuple(
            len(trunk.strides) - 1 - trunk.strides[::-1].index(stride) for stride in (8, 16, 32)
        )
        channels = [trunk.channels[tap] for tap in self.taps]
        self.psp = _GridPooling(channels[2], pooled)
        self.wc3 = _conv_bn_relu(channels[0], laterals[0], 1)
        self.wc4 = _conv_bn_relu(channels[1], laterals[1], 1)
        self.wc5 = _conv_bn_relu(channels[2], laterals[2], 1)
        self.node4 = _FusionNode(laterals[2], laterals[1], nodes[1])
        self.node3 = _FusionNode(nodes[1], laterals[0], nodes[0])
        self.score = nn.Conv2d(nodes[0], num_classes, 3, padding=1)

    def forward(self, images: torch.Tensor) -> Output:
        """Map normalized images ``[B, 3, H, W]`` to logits ``[B, C, ceil(H/8), ceil(W/8)]``."""
        stages = self.backbone(images)
        x3, x4, x5 = (stages[tap] for tap in self.taps)
        x = self.wc5(self.psp(x5))
        x = self.node4(x, self.wc4(x4))
        x = self.node3(x, self.wc3(x3))
        return Output(self.score(x))


class _PyramidPooling(nn.Module):
    """Pyramid pooling of Fast_Seg: normalized, but not rectified averages, joined before the features."""

    bins = (1, 2, 3, 6)

    def __init__(self, channels: int, width: int, padding: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            # The published names count the pooling as the first layer.
            nn.Sequential(nn.Identity(), nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width))
            for _ in self.bins
        )
        self.bottleneck = nn.Sequential(
            *conv_bn_relu(channels + width * len(self.bins), width, 1, padding=padding), nn.Dropout2d(0.1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        size = x.shape[-2], x.shape[-1]
        levels = [
            resize(stage(adaptive_avg_pool(x, bins)), size, align_corners=True)
            for stage, bins in zip(self.stages, self.bins, strict=True)
        ]
        return self.bottleneck(torch.cat([*levels, x], dim=1))  # type: ignore[no-any-return]


class _Join(nn.Module):
    """Upsample coarse features to the size of finer ones, join, and blend without an activation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fusion = nn.Conv2d(2 * width, width, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor, lateral: torch.Tensor) -> torch.Tensor:
        size = lateral.shape[-2], lateral.shape[-1]
        return self.fusion(torch.cat([resize(x, size, align_corners=True), lateral], dim=1))  # type: ignore[no-any-return]


class FastSegDF(nn.Module):
    """A DF trunk with the head of Fast_Seg, under its parameter names.

    Args:
        num_classes: Channels of the logits.
        trunk: The trunk.
        taps: The stages whose outputs are joined, fine to coarse; the coarsest passes pyramid pooling.
        width: Channels of the head.
        ppm_padding: Padding of the 1x1 convolution behind the pyramid pooling. 1 in Fast_Seg, which adds a border of one
            cell and so moves everything that comes from there; 0 keeps the map.
    """

    align_corners = True

    def __init__(
        self,
        num_classes: int,
        trunk: DFNet,
        *,
        taps: tuple[int, int, int],
        width: int = 128,
        ppm_padding: int = 0,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.stride = trunk.strides[taps[0]]
        self.backbone = trunk
        self.taps = taps
        self.cc5 = nn.Conv2d(width, width, 1)
        self.cc4 = nn.Conv2d(trunk.channels[taps[1]], width, 1)
        self.cc3 = nn.Conv2d(trunk.channels[taps[0]], width, 1)
        self.ppm = _PyramidPooling(trunk.channels[taps[2]], width, ppm_padding)
        self.fn4 = _Join(width)
        self.fn3 = _Join(width)
        self.fc = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Dropout(0.1),
            nn.Conv2d(width, num_classes, 1),
        )

    def forward(self, images: torch.Tensor) -> Output:
        """Map normalized images ``[B, 3, H, W]`` to logits at the resolution of the finest tap (1/8 or 1/16)."""
        stages = self.backbone(images)
        x3, x4, x5 = (stages[tap] for tap in self.taps)
        x = self.cc5(self.ppm(x5))
        x = self.fn4(x, self.cc4(x4))
        x = self.fn3(x, self.cc3(x3))
        return Output(self.fc(x))


def _fast_seg(
    num_classes: int, stages: Sequence[Stage], taps: tuple[int, int, int], ppm_padding: int, imagenet_fc: bool
) -> FastSegDF:
    trunk = DFNet(stages, classes=1000 if imagenet_fc else 0)
    return FastSegDF(num_classes, trunk, taps=taps, ppm_padding=ppm_padding)


def _check(decoder: str, ppm_padding: int, imagenet_fc: bool) -> None:
    if decoder not in get_args(Decoder):
        raise ValueError(f"decoder is one of {get_args(Decoder)}, not {decoder!r}")
    if decoder == "paper" and (ppm_padding or imagenet_fc):
        raise ValueError('ppm_padding and imagenet_fc belong to the decoder "fast-seg"')


def df1_seg(
    num_classes: int, *, decoder: Decoder = "paper", ppm_padding: int = 0, imagenet_fc: bool = False
) -> DFSeg | FastSegDF:
    """Build DF1-Seg: 13.1 M parameters, 41.6 G multiply-adds at 1024 x 2048.

    With the decoder of Fast_Seg it has stride 16: that takes the maps at 1/16 and, twice, at 1/32.
    """
    _check(decoder, ppm_padding, imagenet_fc)
    if decoder == "fast-seg":
        return _fast_seg(num_classes, DF1, (1, 2, 3), ppm_padding, imagenet_fc)
    return DFSeg(num_classes, DFNet(DF1), laterals=(19, 32, 128), nodes=(19, 32))


def df2_seg1(
    num_classes: int, *, decoder: Decoder = "paper", ppm_padding: int = 0, imagenet_fc: bool = False
) -> DFSeg | FastSegDF:
    """Build DF2-Seg1: 22.5 M parameters, 84.4 G multiply-adds at 1024 x 2048."""
    _check(decoder, ppm_padding, imagenet_fc)
    if decoder == "fast-seg":
        return _fast_seg(num_classes, DF2, (1, 3, 5), ppm_padding, imagenet_fc)
    return DFSeg(num_classes, DFNet(DF2), laterals=(19, 19, 32), nodes=(19, 19))


def df2_seg2(num_classes: int) -> DFSeg:
    """Build DF2-Seg2: 24.1 M parameters, 95.4 G multiply-adds at 1024 x 2048."""
    return DFSeg(num_classes, DFNet(DF2), laterals=(19, 256, 512), nodes=(19, 256))
