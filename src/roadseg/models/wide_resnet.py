"""WideResNet-38 (A2) as a trunk: few, wide blocks that normalize before they convolve.

Wu, Shen, van den Hengel: Wider or Deeper: Revisiting the ResNet Model for Visual Recognition, Pattern Recognition 2019,
arXiv 1611.10080; the variant with pooled first stages that Rota Bulò et al. (In-Place Activated BatchNorm, CVPR 2018)
trained on ImageNet. The parameter names are those of these published weights (``mod2.block1.convs.conv1``); their last
normalization ``bn_out`` and classifier ``fc`` are not part of a segmentation network.
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn

__all__ = ["WideResNet"]

_DEPTHS = (3, 3, 6, 3, 1, 1)
"""Blocks in the modules 2 to 7."""
_WIDTHS = ((128, 128), (256, 256), (512, 512), (512, 1024), (512, 1024, 2048), (1024, 2048, 4096))
"""Channels after the convolutions of a block, in the modules 2 to 7: two of 3x3, or 1x1, 3x3 and 1x1."""
_DROPOUTS = (0.0, 0.0, 0.0, 0.0, 0.3, 0.5)
"""Chance that a channel is dropped before the last convolution of a block."""


def _norm(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))


class _Block(nn.Module):
    """Normalization and activation, then convolutions beside an identity or, where the shape changes, a projection."""

    def __init__(
        self, in_channels: int, widths: Sequence[int], stride: int, dilation: int, dropout: float
    ) -> None:
        super().__init__()
        self.bn1 = _norm(in_channels)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        channels = in_channels
        kernels = (3, 3) if len(widths) == 2 else (1, 3, 1)
        strides = (stride, 1) if len(widths) == 2 else (1, stride, 1)
        for index, (width, kernel) in enumerate(zip(widths, kernels, strict=True)):
            last = index == len(widths) - 1
            if index:
                layers[f"bn{index + 1}"] = _norm(channels)
            if last and dropout:
                layers["dropout"] = nn.Dropout2d(dropout)
            rate = dilation if kernel == 3 else 1
            layers[f"conv{index + 1}"] = nn.Conv2d(
                channels, width, kernel, strides[index], rate * (kernel // 2), rate, bias=False
            )
            channels = width
        self.convs = nn.Sequential(layers)
        same = stride == 1 and in_channels == channels
        self.proj_conv = None if same else nn.Conv2d(in_channels, channels, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn1(x)
        return self.convs(y) + (x if self.proj_conv is None else self.proj_conv(y))  # type: ignore[no-any-return]


class WideResNet(nn.Module):
    """The convolutional part of WideResNet-38 (A2).

    Args:
        output_stride: 32, 16 or 8: the last modules keep their resolution and are dilated instead, in all their blocks.
        stem_width: Channels of the first convolution.
        depths: Blocks in the modules 2 to 7.
        widths: Channels after the convolutions of a block, in the modules 2 to 7. Smaller for tests.

    Attributes:
        channels: Channels of the modules 2 to 7.
        strides: Image pixels per cell of the modules 2 to 7.
    """

    def __init__(
        self,
        *,
        output_stride: int = 32,
        stem_width: int = 64,
        depths: Sequence[int] = _DEPTHS,
        widths: Sequence[Sequence[int]] = _WIDTHS,
    ) -> None:
        super().__init__()
        if output_stride not in (8, 16, 32):
            raise ValueError(f"a WideResNet has output stride 8, 16 or 32, not {output_stride}")
        self.mod1 = nn.Sequential(OrderedDict(conv1=nn.Conv2d(3, stem_width, 3, 1, 1, bias=False)))
        self.pool2 = nn.MaxPool2d(3, 2, 1)
        self.pool3 = nn.MaxPool2d(3, 2, 1)
        full = (2, 4, 8, 16, 32, 32)  # of the classification network; poolings make the first two
        self.strides = tuple(min(stride, output_stride) for stride in full)
        self.channels = tuple(width[-1] for width in widths)
        channels = stem_width
        modules = []
        for index, (depth, width, dropout) in enumerate(zip(depths, widths, _DROPOUTS, strict=True)):
            stride = self.strides[index] // self.strides[index - 1] if index > 1 else 1
            blocks: OrderedDict[str, nn.Module] = OrderedDict()
            for block in range(depth):
                blocks[f"block{block + 1}"] = _Block(
                    channels, width, 1 if block else stride, full[index] // self.strides[index], dropout
                )
                channels = width[-1]
            modules.append(nn.Sequential(blocks))
        self.mod2, self.mod3, self.mod4, self.mod5, self.mod6, self.mod7 = modules
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Map images ``[B, 3, H, W]`` to the outputs of the modules 2 to 7, at 1/2 of the image and less."""
        x2 = self.mod2(self.pool2(self.mod1(images)))
        x3 = self.mod3(self.pool3(x2))
        x4 = self.mod4(x3)
        x5 = self.mod5(x4)
        x6 = self.mod6(x5)
        return x2, x3, x4, x5, x6, self.mod7(x6)
