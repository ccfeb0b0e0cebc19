"""Residual networks as trunks: ResNet, ResNeXt, SE-ResNeXt, with three-convolution stems and dilated stages.

He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, CVPR 2016, arXiv 1512.03385; Xie et al.: Aggregated
Residual Transformations (ResNeXt), CVPR 2017, arXiv 1611.05431; Hu, Shen, Sun: Squeeze-and-Excitation Networks,
CVPR 2018, arXiv 1709.01507.

The parameter names are torchvision's (and timm's, for the three-convolution stem), so ImageNet weights of either load;
the squeeze-and-excitation layers are named as in the published SE-ResNeXt weights. The stride of a bottleneck sits on
its 3x3 convolution. A stage that keeps its resolution to serve a smaller output stride is dilated in all its blocks,
the first one too, as in the published segmentation networks (torchvision leaves the first one at the previous rate).
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

__all__ = ["BasicBlock", "Bottleneck", "ResNet", "Stem"]

Stem = Literal["plain", "deep"]
"""One 7x7 convolution, or three 3x3 convolutions; both halve the image, and a max pooling halves it again."""


class SqueezeExcitation(nn.Module):
    """Scale channels ``[B, C, h, w]`` by a function of their means (Hu et al., section 3)."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // reduction, 1)
        self.fc2 = nn.Conv2d(channels // reduction, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        means = x.mean((2, 3), keepdim=True)
        return x * self.fc2(self.fc1(means).relu()).sigmoid()  # type: ignore[no-any-return]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside an identity (He et al., figure 5 left)."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, dilation, dilation, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, dilation, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _projection(in_channels, width, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``[B, in_channels, h, w]`` to ``[B, width * expansion, h / stride, w / stride]``."""
        y = self.bn1(self.conv1(x)).relu_()
        y = self.bn2(self.conv2(y))
        y += x if self.downsample is None else self.downsample(x)
        return y.relu_()  # type: ignore[no-any-return]


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside an identity (He et al., figure 5 right).

    Args:
        in_channels: Channels of the input.
        width: A quarter of the channels of the output.
        stride: Of the 3x3 convolution.
        dilation: Of the 3x3 convolution.
        groups: Of the 3x3 convolution; its channels are ``width * groups * group_width / 64``.
        group_width: Channels per group in the first stage (ResNeXt; 64 with one group is ResNet).
        squeeze: Whether squeeze and excitation comes before the addition.
    """

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        width: int,
        stride: int = 1,
        dilation: int = 1,
        *,
        groups: int = 1,
        group_width: int = 64,
        squeeze: bool = False,
    ) -> None:
        super().__init__()
        inner, out_channels = width * group_width // 64 * groups, width * self.expansion
        self.conv1 = nn.Conv2d(in_channels, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, dilation, dilation, groups, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.se_module = SqueezeExcitation(out_channels) if squeeze else None
        self.downsample = _projection(in_channels, out_channels, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``[B, in_channels, h, w]`` to ``[B, width * expansion, h / stride, w / stride]``."""
        y = self.bn1(self.conv1(x)).relu_()
        y = self.bn2(self.conv2(y)).relu_()
        y = self.bn3(self.conv3(y))
        if self.se_module is not None:
            y = self.se_module(y)
        y += x if self.downsample is None else self.downsample(x)
        return y.relu_()  # type: ignore[no-any-return]


def _projection(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
    )


_DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Blocks per stage."""


class ResNet(nn.Module):
    """The convolutional part of a residual network.

    Args:
        depth: 18 or 34 (basic blocks), 50, 101 or 152 (bottlenecks).
        stem: "plain" is one 7x7 convolution, "deep" three 3x3 convolutions.
        stem_widths: Channels after each convolution of a deep stem.
        ceil_mode: Whether the max pooling keeps a last half window, which makes some published maps one cell larger.
        pool_padding: Cells before the map at which the max pooling begins: 1, or 0 as in the published SE-ResNeXt
            weights. There are as many cells either way.
        output_stride: 32, 16 or 8: the last stages keep their resolution and are dilated instead.
        groups: Groups of the 3x3 convolutions (bottlenecks only), 32 for ResNeXt.
        group_width: Channels per group in the first stage, 4 for ResNeXt 32x4d.
        squeeze: Whether bottlenecks squeeze and excite.
        width: Channels of the first stage's inner convolutions; the next stages double it. Smaller for tests.
        depths: Blocks per stage, if not those of ``depth``.
        classes: If not 0, the ImageNet classifier ``fc`` is kept for files that hold it; no segmentation network uses it.

    Attributes:
        channels: Channels of the four stages.
        strides: Image pixels per cell of the four stages.
    """

    def __init__(
        self,
        depth: int,
        *,
        stem: Stem = "plain",
        stem_widths: tuple[int, int, int] = (64, 64, 128),
        ceil_mode: bool = False,
        pool_padding: int = 1,
        output_stride: int = 32,
        groups: int = 1,
        group_width: int = 64,
        squeeze: bool = False,
        width: int = 64,
        depths: Sequence[int] | None = None,
        classes: int = 0,
    ) -> None:
        super().__init__()
        if depth not in _DEPTHS:
            raise ValueError(f"a ResNet has depth {', '.join(map(str, _DEPTHS))}, not {depth}")
        if output_stride not in (8, 16, 32):
            raise ValueError(f"a ResNet has output stride 8, 16 or 32, not {output_stride}")
        basic = depth < 50
        if basic and (groups != 1 or group_width != 64 or squeeze):
            raise ValueError(f"ResNet-{depth} has basic blocks, which know no groups and no squeeze")
        if stem == "deep":
            self.conv1: nn.Module = _deep_stem(stem_widths)
            channels = stem_widths[-1]
        else:
            channels = width
            self.conv1 = nn.Conv2d(3, channels, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = _max_pool(pool_padding, ceil_mode)
        block: type[BasicBlock] | type[Bottleneck] = BasicBlock if basic else Bottleneck
        options = {} if basic else {"groups": groups, "group_width": group_width, "squeeze": squeeze}
        strides = [min(4 * 2**stage, output_stride) for stage in range(4)]
        stages = []
        for stage, blocks in enumerate(depths or _DEPTHS[depth]):
            stride = strides[stage] // strides[stage - 1] if stage else 1
            dilation = 4 * 2**stage // strides[stage]
            layers = []
            for index in range(blocks):
                layers.append(
                    block(channels, width * 2**stage, 1 if index else stride, dilation, **options)  # type: ignore[arg-type]
                )
                channels = width * 2**stage * block.expansion
            stages.append(nn.Sequential(*layers))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.channels = tuple(width * 2**stage * block.expansion for stage in range(4))
        self.strides = tuple(strides)
        if classes:
            self.fc = nn.Linear(channels, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def stem(self, images: torch.Tensor) -> torch.Tensor:
        """Map images ``[B, 3, H, W]`` to features at 1/4 of them, before the first stage."""
        return self.maxpool(self.relu(self.bn1(self.conv1(images))))  # type: ignore[no-any-return]

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Map images ``[B, 3, H, W]`` to the outputs of the four stages, at 1/4 of the image and less."""
        x1 = self.layer1(self.stem(images))
        x2 = self.layer2(x1)
        x3 = self.layer3(x2)
        return x1, x2, x3, self.layer4(x3)


def _max_pool(padding: int, ceil_mode: bool) -> nn.Module:
    """Pool 3x3 windows to half the size, rounded up; with padding 0 the first window begins at the first cell."""
    if padding:
        return nn.MaxPool2d(3, 2, padding, ceil_mode=ceil_mode)
    # Zeros never win against rectified values: padding with them at the end just cuts the last windows.
    return nn.Sequential(nn.ZeroPad2d((0, 2, 0, 2)), nn.MaxPool2d(3, 2))


def _deep_stem(widths: tuple[int, int, int]) -> nn.Sequential:
    """Three 3x3 convolutions; the normalization of the last one is the trunk's ``bn1``."""
    first, second, third = widths
    return nn.Sequential(
        nn.Conv2d(3, first, 3, 2, 1, bias=False),
        nn.BatchNorm2d(first),
        nn.ReLU(inplace=True),
        nn.Conv2d(first, second, 3, 1, 1, bias=False),
        nn.BatchNorm2d(second),
        nn.ReLU(inplace=True),
        nn.Conv2d(second, third, 3, 1, 1, bias=False),
    )
