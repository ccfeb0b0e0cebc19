"""Xception-71 as a trunk: separable convolutions throughout, in the form of the published Cityscapes networks.

Chollet: Xception: Deep Learning with Depthwise Separable Convolutions, CVPR 2017, arXiv 1610.02357; Chen et al.:
Encoder-Decoder with Atrous Separable Convolution (DeepLabV3+), ECCV 2018, arXiv 1802.02611, section 3.2, which replaces
the poolings by strided separable convolutions and normalizes after every depthwise one.

The parameter names and the shapes are those of NVIDIA's semantic-segmentation networks.
"""

from collections.abc import Sequence

import torch
from torch import nn

__all__ = ["Xception"]


class _SeparableConv(nn.Module):
    """Depthwise 3x3 with batch normalization, then pointwise 1x1."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(
            in_channels, in_channels, 3, stride, dilation, dilation, groups=in_channels, bias=False
        )
        self.bn = nn.BatchNorm2d(in_channels)
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.pointwise(self.bn(self.conv1(x)))  # type: ignore[no-any-return]


class _Block(nn.Module):
    """Separable convolutions beside an identity or, where the shape changes, a strided projection.

    Both see the rectified input: the published blocks rectify it in place, which the identity sees too.

    Args:
        in_channels: Channels of the input.
        widths: Channels after each separable convolution.
        stride: Of the last separable convolution.
        dilation: Of the separable convolutions before the last.
        last_dilation: Of the last one; as the others by default.
        relu_first: Whether the convolutions are counted from 1, because a ReLU stood before them.
    """

    def __init__(
        self,
        in_channels: int,
        widths: Sequence[int],
        *,
        stride: int = 1,
        dilation: int = 1,
        last_dilation: int | None = None,
        relu_first: bool = True,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Identity()] if relu_first else []
        channels = in_channels
        for width in widths[:-1]:
            layers.append(_SeparableConv(channels, width, 1, dilation))
            layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            channels = width
        rate = dilation if last_dilation is None else last_dilation
        layers.append(_SeparableConv(channels, widths[-1], stride, rate))
        layers.append(nn.BatchNorm2d(widths[-1]))
        self.rep = nn.Sequential(*layers)
        self.project = stride != 1 or in_channels != widths[-1]
        if self.project:
            self.skip = nn.Conv2d(in_channels, widths[-1], 1, stride, bias=False)
            self.skipbn = nn.BatchNorm2d(widths[-1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.relu()
        return self.rep(x) + (self.skipbn(self.skip(x)) if self.project else x)  # type: ignore[no-any-return]


class Xception(nn.Module):
    """The convolutional part of Xception-71.

    At output stride 8 the entry flow halves the resolution in its first and third block, as published; at 16 in the
    second one too. What follows is dilated as if from a classification network of stride 32.

    Args:
        output_stride: 16 or 8.
        widths: Channels of the two first convolutions, of the three entry blocks, of the exit block, and of the last
            convolutions (two of them alike). Smaller for tests.
        depth: Blocks of the middle flow.

    Attributes:
        channels: Channels of the stem, the first block, and the output.
        strides: Image pixels per cell of these maps.
    """

    def __init__(
        self,
        *,
        output_stride: int = 8,
        widths: tuple[int, int, int, int, int, int, int, int] = (32, 64, 128, 256, 728, 1024, 1536, 2048),
        depth: int = 16,
    ) -> None:
        super().__init__()
        if output_stride not in (8, 16):
            raise ValueError(f"an Xception has output stride 8 or 16, not {output_stride}")
        first, stem, entry1, entry2, middle, leave, late, last = widths
        rate = 16 // output_stride
        self.conv1 = nn.Conv2d(3, first, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.conv2 = nn.Conv2d(first, stem, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(stem)
        self.block1 = _Block(stem, (entry1,) * 3, stride=2, relu_first=False)
        self.block2 = _Block(entry1, (entry2,) * 2, stride=output_stride // 8, relu_first=False)
        self.block3 = _Block(entry2, (middle,) * 3, stride=2)
        self.middle = tuple(f"block{4 + index}" for index in range(depth))
        for name in self.middle:
            self.add_module(name, _Block(middle, (middle,) * 3, dilation=rate))
        self.exit = f"block{4 + depth}"
        self.add_module(self.exit, _Block(middle, (middle, leave, leave), dilation=rate, last_dilation=1))
        self.conv3 = _SeparableConv(leave, late, dilation=2 * rate)
        self.bn3 = nn.BatchNorm2d(late)
        self.conv4 = _SeparableConv(late, late, dilation=2 * rate)
        self.bn4 = nn.BatchNorm2d(late)
        self.conv5 = _SeparableConv(late, last, dilation=2 * rate)
        self.bn5 = nn.BatchNorm2d(last)
        self.channels = (stem, entry1, last)
        self.strides = (2, 4, output_stride)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Map images ``[B, 3, H, W]`` to stem, first block and output, at 1/2, 1/4 and ``1/output_stride`` of them."""
        x = self.bn1(self.conv1(images)).relu()
        x2 = self.bn2(self.conv2(x)).relu()
        x4 = self.block1(x2).relu()
        x = self.block3(self.block2(x4))
        for name in (*self.middle, self.exit):
            x = self.get_submodule(name)(x)
        x = self.bn3(self.conv3(x.relu())).relu()
        x = self.bn4(self.conv4(x)).relu()
        return x2, x4, self.bn5(self.conv5(x)).relu()
