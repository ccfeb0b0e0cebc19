"""ICNet: the deeper a branch of the network, the smaller the image it sees.

Zhao, Qi, Shen, Shi, Jia: ICNet for Real-Time Semantic Segmentation on High-Resolution Images, ECCV 2018,
arXiv 1704.08545.

Three convolutions look at the whole image, the first stages of a residual trunk at half of it, and the trunk's last
stages at a quarter; two cascade feature fusions join the three. Two networks of this form were published: `icnet`, the
authors' own, whose trunk was pruned to half of its channels, and `icnet_resnet50` with all channels. They differ in
where the trunk is halved, in the context module and in where the auxiliary classifiers sit.

Both publications upsample to the image themselves, and each is at home at certain sides (32k + 1, multiples of 32).
Here the branches' sizes follow from the image's, rounded up, and maps are joined at the size of the larger one, so any
image size works; the logits stay at 1/4.
"""

from typing import Literal

import torch
from torch import nn

from roadseg.models.blocks import AdaptiveAvgPool, adaptive_avg_pool, conv_bn_relu, resize
from roadseg.models.output import Output
from roadseg.models.resnet import Bottleneck, ResNet

__all__ = [
    "CascadeFeatureFusion",
    "ConcatenatedContext",
    "Guide",
    "ICNet",
    "SummedContext",
    "icnet",
    "icnet_resnet50",
]

Guide = Literal["upsampled", "projected"]
"""Where the auxiliary classifier of a fusion sits: on the enlarged deeper map (paper, section 3.3), or on its
projection (`icnet_resnet50`)."""

_BINS = (1, 2, 3, 6)


class _ConvBNReLU(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> None:
        super().__init__()
        self.conv, self.bn, self.relu = conv_bn_relu(in_channels, out_channels, kernel_size, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.bn(self.conv(x)))  # type: ignore[no-any-return]


class SummedContext(nn.Module):
    """Add averages over four grids to the features: pyramid pooling without parameters.

    The published Caffe network has fixed windows for 1025 x 2049 pixels instead, some of which overlap more.
    """

    def __init__(self, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``[B, C, h, w]`` to the same shape."""
        size = x.shape[-2], x.shape[-1]
        total = x
        for bins in _BINS:
            total = total + resize(adaptive_avg_pool(x, bins), size, self.align_corners)
        return total


class ConcatenatedContext(nn.Module):
    """Join features with reduced averages over four grids, and shrink the result: the head of a PSPNet."""

    def __init__(self, in_channels: int, out_channels: int, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        width = in_channels // 4
        self.stages = nn.ModuleList(
            nn.Sequential(
                AdaptiveAvgPool(bins), nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width)
            )
            for bins in _BINS
        )
        joined = in_channels + width * len(_BINS)
        self.bottleneck = nn.Sequential(*conv_bn_relu(joined, out_channels, 3), nn.Dropout2d(0.1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``[B, in_channels, h, w]`` to ``[B, out_channels, h, w]``."""
        size = x.shape[-2], x.shape[-1]
        priors = [resize(stage(x), size, self.align_corners) for stage in self.stages]
        return self.bottleneck(torch.cat([*priors, x], dim=1))  # type: ignore[no-any-return]


class CascadeFeatureFusion(nn.Module):
    """Add a deeper map, enlarged, to a map of higher resolution (paper, section 3.3)."""

    def __init__(
        self, low: int, high: int, width: int, guide_classes: int, guide: Guide, align_corners: bool
    ) -> None:
        super().__init__()
        self.guide = guide
        self.align_corners = align_corners
        self.conv_low = nn.Sequential(
            nn.Conv2d(low, width, 3, padding=2, dilation=2, bias=False), nn.BatchNorm2d(width)
        )
        self.conv_high = nn.Sequential(nn.Conv2d(high, width, 1, bias=False), nn.BatchNorm2d(width))
        if guide_classes:
            source = low if guide == "upsampled" else width
            self.conv_low_cls = nn.Conv2d(source, guide_classes, 1, bias=False)

    def forward(self, low: torch.Tensor, high: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the joined map ``[B, width, h, w]``, and the map for the auxiliary classifier."""
        enlarged = resize(low, (high.shape[-2], high.shape[-1]), self.align_corners)
        projected = self.conv_low(enlarged)
        joined = torch.relu(projected + self.conv_high(high))
        return joined, enlarged if self.guide == "upsampled" else projected


class ICNet(nn.Module):
    """Image cascade network.

    Args:
        num_classes: Channels of the logits.
        backbone: The trunk, of output stride 8.
        context: What the last stage goes through, at 1/32 of the image.
        context_channels: Channels that come out of ``context``.
        split: Blocks of the trunk's second stage that see half of the image; the others see a quarter.
        reduce: Channels to which the map of the half image is reduced before it is fused; 0 to fuse it as it is.
        guide: Where the auxiliary classifiers sit.
        aux: Whether to build the auxiliary classifiers; they run in training only.
        bias: Whether the main classifier has a bias.
        align_corners: How maps and images are resized within the network, and how its logits are to be upsampled.
    """

    stride = 4

    def __init__(
        self,
        num_classes: int,
        backbone: ResNet,
        context: nn.Module,
        *,
        context_channels: int,
        split: int,
        reduce: int = 0,
        guide: Guide = "upsampled",
        aux: bool = True,
        bias: bool = True,
        align_corners: bool = True,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.align_corners = align_corners
        self.split = split
        self.has_aux = aux
        self.conv_sub1 = nn.Sequential(
            _ConvBNReLU(3, 32, 3, stride=2),
            _ConvBNReLU(32, 32, 3, stride=2),
            _ConvBNReLU(32, 64, 3, stride=2),
        )
        self.backbone = backbone
        self.context = context
        self.conv_sub4 = _ConvBNReLU(context_channels, 256, 1)
        half = backbone.channels[1]
        self.conv_sub2 = _ConvBNReLU(half, reduce, 1) if reduce else nn.Identity()
        guides = num_classes if aux else 0
        self.cff_24 = CascadeFeatureFusion(256, reduce or half, 128, guides, guide, align_corners)
        self.cff_12 = CascadeFeatureFusion(128, 64, 128, guides, guide, align_corners)
        self.classifier = nn.Conv2d(128, num_classes, 1, bias=bias)

    def forward(self, images: torch.Tensor) -> Output:
        """Map normalized images ``[B, 3, H, W]`` to logits ``[B, C, ceil(H/4), ceil(W/4)]``.

        In training, ``aux`` holds logits at 1/8 and at 1/16, if their classifiers were built.
        """
        height, width = images.shape[-2:]

        def scaled(x: torch.Tensor, factor: int) -> torch.Tensor:
            """Resize to the image's sides divided by ``factor``, rounded up."""
            size = (height + factor - 1) // factor, (width + factor - 1) // factor
            return resize(x, size, self.align_corners)

        detail = self.conv_sub1(images)
        half = self.backbone.layer1(self.backbone.stem(scaled(images, 2)))
        half = self.backbone.layer2[: self.split](half)
        quarter = self.backbone.layer2[self.split :](scaled(half, 32))
        quarter = self.backbone.layer4(self.backbone.layer3(quarter))
        quarter = self.conv_sub4(self.context(quarter))
        middle, guide_24 = self.cff_24(quarter, self.conv_sub2(half))
        joined, guide_12 = self.cff_12(middle, detail)
        # A 1x1 convolution and a resize commute; the cheaper one goes first.
        logits = scaled(self.classifier(joined), 4)
        if not self.training or not self.has_aux:
            return Output(logits)
        return Output(logits, (self.cff_12.conv_low_cls(guide_12), self.cff_24.conv_low_cls(guide_24)))


def icnet(num_classes: int, *, aux: bool = True, align_corners: bool = True) -> ICNet:
    """Build `ICNet` as its authors published it, with half of the channels of a ResNet-50."""
    backbone = ResNet(50, stem="deep", stem_widths=(32, 32, 64), width=32, output_stride=8)
    first = backbone.layer2[0]
    if isinstance(first, Bottleneck):  # Caffe's residual networks take their stride one convolution earlier
        first.conv1.stride, first.conv2.stride = first.conv2.stride, first.conv1.stride
    return ICNet(
        num_classes,
        backbone,
        SummedContext(align_corners),
        context_channels=backbone.channels[-1],
        split=1,
        guide="upsampled",
        aux=aux,
        align_corners=align_corners,
    )


def icnet_resnet50(
    num_classes: int, *, aux: bool = True, ceil_mode: bool = False, align_corners: bool = True
) -> ICNet:
    """Build `ICNet` on a whole ResNet-50 whose context module is that of a PSPNet."""
    backbone = ResNet(50, stem="deep", output_stride=8, ceil_mode=ceil_mode)
    return ICNet(
        num_classes,
        backbone,
        ConcatenatedContext(backbone.channels[-1], 512, align_corners),
        context_channels=512,
        split=len(backbone.layer2),
        reduce=256,
        guide="projected",
        aux=aux,
        bias=False,
        align_corners=align_corners,
    )
