"""DeepLabV3 and DeepLabV3+: dilated trunks, context at several rates, and a decoder that restores the detail.

Chen, Papandreou, Schroff, Adam: Rethinking Atrous Convolution for Semantic Image Segmentation (DeepLabV3), 2017,
arXiv 1706.05587; Chen, Zhu, Papandreou, Schroff, Adam: Encoder-Decoder with Atrous Separable Convolution (DeepLabV3+),
ECCV 2018, arXiv 1802.02611; Chen et al.: Searching for Efficient Multi-Scale Architectures for Dense Image Prediction
(the dense prediction cell), NeurIPS 2018, arXiv 1809.04184; Cheng et al.: Panoptic-DeepLab, CVPR 2020,
arXiv 1911.10194, for the decoder with two steps.

The networks are those of NVIDIA's two code bases for road scenes (Zhu et al., CVPR 2019, arXiv 1812.01593; Tao et al.,
2020, arXiv 2005.10821), which differ from the papers: plain instead of separable convolutions in the context and in the
decoder, no dropout, no bias in the classifier, and a wide trunk whose detail is taken at half the image's resolution.
The first of them resizes with ``align_corners=True``, the second without; the weights do not tell.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import nn

from roadseg.models.blocks import conv_bn_relu, resize
from roadseg.models.output import Output
from roadseg.models.resnet import ResNet
from roadseg.models.wide_resnet import WideResNet
from roadseg.models.xception import Xception

__all__ = [
    "ASPP",
    "Context",
    "DeepLabDecoder",
    "DeepLabV3",
    "DeepLabV3Plus",
    "DeeperDecoder",
    "DeeperDeepLab",
    "DensePredictionCell",
    "OutputStride",
    "Trunk",
    "TrunkName",
    "context_module",
    "deeplabv3",
    "deeplabv3plus",
    "deeplabv3plus_deeper",
    "trunk",
]

Trunk = ResNet | WideResNet | Xception
"""A network that maps images to features at falling resolutions, and tells their ``channels`` and ``strides``."""
TrunkName = Literal["resnet50", "resnet101", "seresnext50", "seresnext101", "wrn38", "xception71"]
OutputStride = Literal[8, 16]
"""Image pixels per cell of the trunk's last map."""
Context = Literal["aspp", "dpc"]
"""Parallel convolutions at three rates and the mean of the image, or five convolutions found by search."""
Skip = Literal[1, 2]
"""Which map of the trunk the decoder takes its detail from: the finest, or the one at half its resolution."""


def trunk(name: TrunkName, output_stride: OutputStride = 8) -> Trunk:
    """Build one of the trunks that DeepLab was published with."""
    if name not in get_args(TrunkName):
        raise ValueError(f"trunks are {', '.join(get_args(TrunkName))}, not {name!r}")
    if output_stride not in get_args(OutputStride):
        raise ValueError(f"the output stride is 8 or 16, not {output_stride}")
    if name == "wrn38":
        return WideResNet(output_stride=output_stride)
    if name == "xception71":
        return Xception(output_stride=output_stride)
    depth = 101 if name.endswith("101") else 50
    if name.startswith("resnet"):
        return ResNet(depth, output_stride=output_stride)
    return ResNet(depth, output_stride=output_stride, groups=32, group_width=4, squeeze=True, pool_padding=0)


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling (DeepLabV3, section 3.3).

    The mean of the image, a 1x1 convolution, and 3x3 convolutions at three rates, each with batch normalization and
    ReLU, are stacked to ``channels`` channels. In training, the normalized mean needs more than one image in a batch.

    Args:
        in_channels: Channels of the input.
        output_stride: Image pixels per cell of the input.
        width: Channels of each branch.
        rates: Of the 3x3 convolutions; 12, 24, 36 at output stride 8 and half of them at 16 if None.
    """

    def __init__(
        self, in_channels: int, output_stride: int, width: int = 256, rates: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        rates = rates or [rate * 16 // output_stride for rate in (6, 12, 18)]
        if len(rates) != 3:
            raise ValueError(f"ASPP has three rates, not {len(rates)}")
        self.channels = 5 * width
        self.branches = nn.ModuleList([nn.Sequential(*conv_bn_relu(in_channels, width, 1))])
        self.branches.extend(_dilated(in_channels, width, (rate, rate)) for rate in rates)
        self.pool = nn.Sequential(*conv_bn_relu(in_channels, width, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``[B, in_channels, h, w]`` to ``[B, channels, h, w]``."""
        mean = self.pool(x.mean((2, 3), keepdim=True))
        return torch.cat(
            [mean.expand(-1, -1, x.shape[2], x.shape[3]), *(branch(x) for branch in self.branches)], 1
        )


class DensePredictionCell(nn.Module):
    """Five 3x3 convolutions with two rates each, as found by search on Cityscapes (Chen et al. 2018, figure 4).

    The rates are for output stride 16; at 8 they double.
    """

    rates = ((1, 6), (18, 15), (6, 21), (1, 1), (6, 3))

    def __init__(self, in_channels: int, output_stride: int, width: int = 256) -> None:
        super().__init__()
        self.channels = len(self.rates) * width
        factor = 16 // output_stride
        self.branches = nn.ModuleList(
            _dilated(width if index else in_channels, width, (factor * rows, factor * columns))
            for index, (rows, columns) in enumerate(self.rates)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``[B, in_channels, h, w]`` to ``[B, channels, h, w]``."""
        first, second, third, fourth, fifth = self.branches
        x = first(x)
        y = second(x)
        return torch.cat([x, y, third(x), fourth(x), fifth(y)], 1)


def _dilated(in_channels: int, width: int, rates: tuple[int, int]) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, width, 3, padding=rates, dilation=rates, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    )


def context_module(
    name: Context,
    in_channels: int,
    output_stride: int,
    width: int = 256,
    rates: Sequence[int] | None = None,
) -> ASPP | DensePredictionCell:
    """Build a context module by its name."""
    if name == "aspp":
        return ASPP(in_channels, output_stride, width, rates)
    if name == "dpc":
        if rates:
            raise ValueError("rates are an option of ASPP; those of the dense prediction cell are fixed")
        return DensePredictionCell(in_channels, output_stride, width)
    raise ValueError(f"context is one of {', '.join(get_args(Context))}, not {name!r}")


def _head(in_channels: int, width: int, num_classes: int) -> nn.Sequential:
    """Two 3x3 convolutions and the classifier."""
    return nn.Sequential(
        *conv_bn_relu(in_channels, width, 3),
        *conv_bn_relu(width, width, 3),
        nn.Conv2d(width, num_classes, 1, bias=False),
    )


class DeepLabDecoder(nn.Module):
    """Join the context with the detail of one map of the trunk, and classify (DeepLabV3+, section 3.1)."""

    def __init__(
        self,
        context_channels: int,
        detail_channels: int,
        num_classes: int,
        *,
        align_corners: bool = False,
        width: int = 256,
        detail_width: int = 48,
    ) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.channels = width + detail_width
        self.detail = nn.Conv2d(detail_channels, detail_width, 1, bias=False)
        self.context = nn.Conv2d(context_channels, width, 1, bias=False)
        self.head = _head(self.channels, width, num_classes)

    def join(self, detail: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Return ``[B, channels, h, w]`` at the size of ``detail``."""
        size = detail.shape[-2], detail.shape[-1]
        context = resize(self.context(context), size, self.align_corners)
        return torch.cat([self.detail(detail), context], 1)

    def forward(self, detail: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Return logits ``[B, num_classes, h, w]`` at the size of ``detail``."""
        return self.head(self.join(detail, context))  # type: ignore[no-any-return]


class DeeperDecoder(nn.Module):
    """Join the context with detail in two steps, at 1/4 and at 1/2 of the image (after Panoptic-DeepLab, section 3)."""

    def __init__(
        self,
        context_channels: int,
        detail_channels: tuple[int, int],
        num_classes: int,
        *,
        align_corners: bool = False,
        width: int = 256,
    ) -> None:
        super().__init__()
        self.align_corners = align_corners
        fine, coarse = width // 8, width // 4
        self.detail2 = nn.Conv2d(detail_channels[0], fine, 1, bias=False)
        self.detail4 = nn.Conv2d(detail_channels[1], coarse, 1, bias=False)
        self.context = nn.Conv2d(context_channels, width, 1, bias=False)
        self.join4 = nn.Sequential(*conv_bn_relu(width + coarse, width, 5))
        self.join2 = nn.Sequential(*conv_bn_relu(width + fine, width, 5))
        self.classifier = nn.Conv2d(width, num_classes, 1, bias=False)

    def forward(self, detail2: torch.Tensor, detail4: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Return logits ``[B, num_classes, h, w]`` at the size of ``detail2``."""
        x = self._up(self.context(context), detail4)
        x = self.join4(torch.cat([x, self.detail4(detail4)], 1))
        x = self._up(x, detail2)
        x = self.join2(torch.cat([x, self.detail2(detail2)], 1))
        return self.classifier(x)  # type: ignore[no-any-return]

    def _up(self, x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        return resize(x, (like.shape[-2], like.shape[-1]), self.align_corners)


class DeepLabV3(nn.Module):
    """DeepLabV3: a trunk, context, and a classifier at the trunk's stride.

    Args:
        num_classes: Channels of the logits.
        backbone: The trunk.
        context: The context module.
        rates: Of the context's 3x3 convolutions, if not those of the paper (ASPP only).
        align_corners: How logits are to be upsampled.
        width: Channels of the context's branches and of the head.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: Trunk,
        *,
        context: Context = "aspp",
        rates: Sequence[int] | None = None,
        align_corners: bool = False,
        width: int = 256,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.stride = backbone.strides[-1]
        self.align_corners = align_corners
        self.backbone = backbone
        self.context = context_module(context, backbone.channels[-1], self.stride, width, rates)
        self.head = _head(self.context.channels, width, num_classes)

    def forward(self, images: torch.Tensor) -> Output:
        """Map normalized images ``[B, 3, H, W]`` to logits ``[B, C, ceil(H/8), ceil(W/8)]`` (or 16)."""
        return Output(self.head(self.context(self.backbone(images)[-1])))


class DeepLabV3Plus(nn.Module):
    """DeepLabV3+: the context is joined with the detail of an early map of the trunk.

    Args:
        num_classes: Channels of the logits.
        backbone: The trunk.
        context: The context module.
        rates: Of the context's 3x3 convolutions, if not those of the paper (ASPP only).
        skip: Which map of the trunk the decoder takes its detail from; its resolution is that of the logits.
        align_corners: How feature maps are resized within the network, and how its logits are to be upsampled.
        width: Channels of the context's branches and of the decoder.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: Trunk,
        *,
        context: Context = "aspp",
        rates: Sequence[int] | None = None,
        skip: Skip = 1,
        align_corners: bool = False,
        width: int = 256,
    ) -> None:
        super().__init__()
        if skip not in get_args(Skip):
            raise ValueError(f"skip is 1 or 2, not {skip}")
        self.num_classes = num_classes
        self.detail_index = skip - 1
        self.stride = backbone.strides[self.detail_index]
        self.align_corners = align_corners
        self.backbone = backbone
        self.context = context_module(context, backbone.channels[-1], backbone.strides[-1], width, rates)
        self.decoder = DeepLabDecoder(
            self.context.channels,
            backbone.channels[self.detail_index],
            num_classes,
            align_corners=align_corners,
            width=width,
        )

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Map images ``[B, 3, H, W]`` to what the decoder's head classifies, at the stride of the logits."""
        maps = self.backbone(images)
        return self.decoder.join(maps[self.detail_index], self.context(maps[-1]))

    def forward(self, images: torch.Tensor) -> Output:
        """Map normalized images ``[B, 3, H, W]`` to logits ``[B, C, ceil(H/stride), ceil(W/stride)]``."""
        return Output(self.decoder.head(self.features(images)))


class DeeperDeepLab(nn.Module):
    """DeepLabV3+ with the decoder in two steps.

    Args:
        num_classes: Channels of the logits.
        backbone: The trunk, whose first two maps are at 1/2 and 1/4 of the image.
        context: The context module.
        rates: Of the context's 3x3 convolutions, if not those of the paper (ASPP only).
        align_corners: How feature maps are resized within the network, and how its logits are to be upsampled.
        width: Channels of the context's branches and of the decoder.
    """

    stride = 2

    def __init__(
        self,
        num_classes: int,
        backbone: Trunk,
        *,
        context: Context = "aspp",
        rates: Sequence[int] | None = None,
        align_corners: bool = False,
        width: int = 256,
    ) -> None:
        super().__init__()
        if backbone.strides[:2] != (2, 4):
            raise ValueError(f"needs a trunk with maps at strides 2 and 4, not {backbone.strides[:2]}")
        self.num_classes = num_classes
        self.align_corners = align_corners
        self.backbone = backbone
        self.context = context_module(context, backbone.channels[-1], backbone.strides[-1], width, rates)
        fine, coarse = backbone.channels[:2]
        self.decoder = DeeperDecoder(
            self.context.channels, (fine, coarse), num_classes, align_corners=align_corners, width=width
        )

    def forward(self, images: torch.Tensor) -> Output:
        """Map normalized images ``[B, 3, H, W]`` to logits ``[B, C, ceil(H/2), ceil(W/2)]``."""
        maps = self.backbone(images)
        return Output(self.decoder(maps[0], maps[1], self.context(maps[-1])))


def deeplabv3(
    num_classes: int,
    *,
    backbone: TrunkName = "resnet50",
    output_stride: OutputStride = 8,
    context: Context = "aspp",
    rates: Sequence[int] | None = None,
    align_corners: bool = False,
) -> DeepLabV3:
    """Build `DeepLabV3` on a published trunk."""
    return DeepLabV3(
        num_classes, trunk(backbone, output_stride), context=context, rates=rates, align_corners=align_corners
    )


def deeplabv3plus(
    num_classes: int,
    *,
    backbone: TrunkName = "resnet50",
    output_stride: OutputStride = 8,
    context: Context = "aspp",
    rates: Sequence[int] | None = None,
    skip: Skip = 1,
    align_corners: bool = False,
) -> DeepLabV3Plus:
    """Build `DeepLabV3Plus` on a published trunk."""
    return DeepLabV3Plus(
        num_classes,
        trunk(backbone, output_stride),
        context=context,
        rates=rates,
        skip=skip,
        align_corners=align_corners,
    )


def deeplabv3plus_deeper(
    num_classes: int,
    *,
    backbone: TrunkName = "wrn38",
    output_stride: OutputStride = 8,
    context: Context = "aspp",
    rates: Sequence[int] | None = None,
    align_corners: bool = False,
) -> DeeperDeepLab:
    """Build `DeeperDeepLab` on a published trunk with maps at 1/2 and 1/4 of the image: wrn38 or xception71."""
    return DeeperDeepLab(
        num_classes, trunk(backbone, output_stride), context=context, rates=rates, align_corners=align_corners
    )
