"""SwiftNet: an ImageNet trunk, and the lightest decoder that still restores detail.

Orsic, Kreso, Bevandic, Segvic: In Defense of Pre-trained ImageNet Architectures for Real-time Semantic Segmentation of
Road-driving Images, CVPR 2019, arXiv 1903.08469.

All layers beside the trunk are in the order batch normalization, ReLU, convolution. The single-scale network widens
its receptive field by spatial pyramid pooling, the pyramid network by running the same trunk on smaller copies of the
image.

The parameter names of the decoder are those of the published weights. The published networks normalize the image
themselves; here that is the caller's task, as for every network. The paper takes the lateral features before the last
ReLU of a stage, but that ReLU works in place in the published code, so that its networks were trained on, and need,
the rectified features: so they are here.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from roadseg.models.blocks import adaptive_avg_pool, resize
from roadseg.models.output import Output
from roadseg.models.resnet import ResNet

__all__ = ["SwiftNet", "SwiftNetPyramid", "swiftnet_resnet18", "swiftnet_resnet18_pyramid"]


class _BNReLUConv(nn.Module):
    """Batch normalization, ReLU, convolution that keeps the size."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, *, bias: bool = False, momentum: float = 0.1
    ) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(in_channels, momentum=momentum)
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(self.norm(x).relu())  # type: ignore[no-any-return]


def _columns(rows: int, height: int, width: int) -> int:
    """Return ``max(1, round(rows * width / height))`` in whole numbers, which the exporter can follow.

    As in Python's ``round``, halves go to the even neighbor.
    """
    up = (2 * rows * width + height) // (2 * height)  # a half rounded up
    # A half rounded down. No negative numbers: ONNX divides them towards zero.
    down = (2 * rows * width + height - 1) // (2 * height)
    # The product is 1 at a half below an odd number, else 0; a comparison would bind exported graphs to one answer.
    nearest = up - (up - down) * (up % 2)
    return torch.sym_max(nearest, 1)  # type: ignore[return-value]


class _SpatialPyramidPooling(nn.Module):
    """Averages over grids of nearly square cells, joined with the features (paper, section 3.3).

    The grids have ``bins`` rows, and as many columns as fit the shape of the map.
    """

    bins = (8, 4, 2)
    momentum = 0.005  # of the running statistics: the few cells of a grid make noisy ones

    def __init__(self, in_channels: int, width: int, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        level = max(1, width // len(self.bins))
        momentum = self.momentum
        self.spp_bn = _BNReLUConv(in_channels, width, 1, momentum=momentum)
        self.spp0 = _BNReLUConv(width, level, 1, momentum=momentum)
        self.spp1 = _BNReLUConv(width, level, 1, momentum=momentum)
        self.spp2 = _BNReLUConv(width, level, 1, momentum=momentum)
        self.spp_fuse = _BNReLUConv(width + level * len(self.bins), width, 1, momentum=momentum)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.spp_bn(x)
        height, width = x.shape[-2:]
        levels = [x]
        for conv, rows in zip((self.spp0, self.spp1, self.spp2), self.bins, strict=True):
            means = adaptive_avg_pool(x, (rows, _columns(rows, height, width)), least=2)
            levels.append(resize(conv(means), (height, width), self.align_corners))
        return self.spp_fuse(torch.cat(levels, dim=1))  # type: ignore[no-any-return]


class _Upsample(nn.Module):
    """Add lateral features to upsampled ones, and blend them (paper, section 3.2)."""

    def __init__(self, in_channels: int, width: int, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.bottleneck = _BNReLUConv(in_channels, width, 1)
        self.blend_conv = _BNReLUConv(width, width, 3)

    def forward(self, x: torch.Tensor, lateral: torch.Tensor) -> torch.Tensor:
        lateral = self.bottleneck(lateral)
        size = lateral.shape[-2], lateral.shape[-1]
        return self.blend_conv(resize(x, size, self.align_corners) + lateral)  # type: ignore[no-any-return]


class SwiftNet(nn.Module):
    """The single-scale network.

    Args:
        num_classes: Channels of the logits.
        width: Channels of the decoder; None gives it one per class, and no layer of logits after it, as in Fast_Seg.
        align_corners: How maps are resized inside, and how the logits are to be upsampled: False in the paper's code,
            True in Fast_Seg.
        dsn: Whether an auxiliary classifier on the third stage is built, as in Fast_Seg; it runs in training only.
        trunk: A network that maps images to maps of 1/4, 1/8, 1/16 and 1/32 of the image, with ``channels``.
    """

    stride = 4

    def __init__(
        self,
        num_classes: int,
        *,
        width: int | None = 128,
        align_corners: bool = False,
        dsn: bool = False,
        trunk: ResNet | None = None,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.align_corners = align_corners
        self.backbone = ResNet(18) if trunk is None else trunk
        channels = self.backbone.channels
        features = num_classes if width is None else width
        self.spp = _SpatialPyramidPooling(channels[3], features, align_corners)
        self.upsample = nn.ModuleList(
            _Upsample(lateral, features, align_corners) for lateral in reversed(channels[:3])
        )
        self.logits = nn.Identity() if width is None else _BNReLUConv(features, num_classes, 1, bias=True)
        self.dsn = _aux_head(channels[2], num_classes) if dsn else None

    def forward(self, images: torch.Tensor) -> Output:
        """Map normalized images ``[B, 3, H, W]`` to logits ``[B, C, ceil(H/4), ceil(W/4)]``.

        In training, ``aux`` holds the logits of the third stage (1/16) if they were built.
        """
        *laterals, x = self.backbone(images)
        x = self.spp(x)
        for up, lateral in zip(self.upsample, reversed(laterals), strict=True):
            x = up(x, lateral)
        logits = self.logits(x)
        if self.dsn is None or not self.training:
            return Output(logits)
        return Output(logits, (self.dsn(laterals[2]),))


def _aux_head(in_channels: int, num_classes: int) -> nn.Sequential:
    """Return the auxiliary classifier of Fast_Seg; its 3x3 convolution keeps the channels."""
    return nn.Sequential(
        nn.Conv2d(in_channels, in_channels, 3, padding=1),
        nn.BatchNorm2d(in_channels),
        nn.ReLU(inplace=True),
        nn.Dropout2d(0.1),
        nn.Conv2d(in_channels, num_classes, 1),
    )


class SwiftNetPyramid(nn.Module):
    """The network on an image pyramid (paper, section 3.3, "interleaved pyramid fusion").

    One trunk sees the image at 1, 1/2 and 1/4 of its size. Since a stage halves the resolution as a step of the pyramid
    does, stage s of level l has the resolution of stage s + 1 of level l - 1: all features of one resolution are
    projected to the width of the decoder, each by weights of its own, and summed. That equals one projection of their
    concatenation. The decoder goes from the coarsest of six resolutions (1/128) up to the finest (1/4).

    Beyond that the paper leaves open how features of a resolution are projected, whether levels share the projection,
    whether the batch statistics of the trunk are shared too (here they are), and how the image is reduced (here by means
    of 2x2 pixels, which is bilinear resizing by 1/2). The sizes it states differ from those here, so something does.

    Args:
        num_classes: Channels of the logits.
        width: Channels of the decoder.
        levels: Sizes of the image, each half of the one before.
        trunk: A network that maps images to maps of 1/4, 1/8, 1/16 and 1/32 of the image, with ``channels``.
    """

    stride = 4
    align_corners = False

    def __init__(
        self, num_classes: int, *, width: int = 128, levels: int = 3, trunk: ResNet | None = None
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.levels = levels
        self.backbone = ResNet(18) if trunk is None else trunk
        self.bottlenecks = nn.ModuleList(
            nn.ModuleList(_BNReLUConv(channels, width, 1) for channels in self.backbone.channels)
            for _ in range(levels)
        )
        steps = levels + len(self.backbone.channels) - 2
        self.blend_convs = nn.ModuleList(_BNReLUConv(width, width, 3) for _ in range(steps))
        self.logits = _BNReLUConv(width, num_classes, 1, bias=True)

    def forward(self, images: torch.Tensor) -> Output:
        """Map normalized images ``[B, 3, H, W]`` to logits ``[B, C, ceil(H/4), ceil(W/4)]``."""
        laterals = self._laterals(images)
        x = laterals[-1]
        for blend, lateral in zip(self.blend_convs, reversed(laterals[:-1]), strict=True):
            size = lateral.shape[-2], lateral.shape[-1]
            x = blend(resize(x, size, align_corners=False) + lateral)
        return Output(self.logits(x))

    def _laterals(self, images: torch.Tensor) -> Sequence[torch.Tensor]:
        """Return the projected features, summed by resolution: 1/4, 1/8 ... of the image."""
        sums: list[torch.Tensor] = []
        for level, bottlenecks in enumerate(self.bottlenecks):
            if level:
                images = _halve(images)
            for stage, features in enumerate(self.backbone(images)):
                projected = bottlenecks[stage](features)  # type: ignore[index]
                if level + stage < len(sums):
                    sums[level + stage] = sums[level + stage] + projected
                else:
                    sums.append(projected)
        return sums


def _halve(images: torch.Tensor) -> torch.Tensor:
    """Average 2x2 pixels, to ``[B, C, ceil(H/2), ceil(W/2)]``; a last odd row or column is averaged alone.

    So a cell keeps its place, and maps of one resolution have one size, whatever the size of the image.
    """
    return F.avg_pool2d(images, 2, ceil_mode=True, count_include_pad=False)


def swiftnet_resnet18(
    num_classes: int, *, width: int | None = 128, align_corners: bool = False, dsn: bool = False
) -> SwiftNet:
    """Build `SwiftNet` on ResNet-18: 11.8 M parameters, 103 G multiply-adds at 1024 x 2048."""
    return SwiftNet(num_classes, width=width, align_corners=align_corners, dsn=dsn)


def swiftnet_resnet18_pyramid(num_classes: int) -> SwiftNetPyramid:
    """Build `SwiftNetPyramid` on ResNet-18: 12.3 M parameters, 128 G multiply-adds at 1024 x 2048."""
    return SwiftNetPyramid(num_classes)
