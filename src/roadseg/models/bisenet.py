"""BiSeNet: a shallow path that keeps detail beside a deep path that gathers context.

Yu, Wang, Peng, Gao, Yu, Sang: BiSeNet: Bilateral Segmentation Network for Real-time Semantic Segmentation, ECCV 2018,
arXiv 1808.00897.

The *spatial path* is three strided convolutions to 1/8 of the image. The *context path* is a light classification
network to 1/32; its last two maps and its global mean are weighted per channel by *attention refinement modules* and
carried up to 1/8. A *feature fusion module* joins the two paths (paper, sections 3.1 to 3.3).

The defaults are the authors' own implementation in TorchSeg, whose parameter names are kept except for the trunk
(``backbone``) and the classifiers (``head`` and ``aux_heads``). Re-implementations differ in the trunk's stem, the
widths of the classifiers, the attention of the fusion and the way maps are enlarged; these are options. Maps are always
joined at the size of the larger one, so any image size works, and logits stay at 1/8 without a softmax.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import nn

from roadseg.models.blocks import conv_bn_relu, enlarge
from roadseg.models.output import Output
from roadseg.models.resnet import ResNet, Stem

__all__ = ["BiSeNet", "Xception39", "bisenet_resnet18", "bisenet_xception39"]

Fusion = Literal["paper", "normalized"]
"""Channel attention of the feature fusion: two convolutions with a ReLU between, or one with batch normalization."""

Upsampling = Literal["bilinear", "nearest"]
"""How the maps of the context path are enlarged."""


class _ConvBN(nn.Module):
    """Convolution, batch normalization and ReLU; either of the latter two may be left out."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        *,
        norm: bool = True,
        relu: bool = True,
    ) -> None:
        super().__init__()
        conv, bn, activation = conv_bn_relu(in_channels, out_channels, kernel, stride)
        self.conv = conv
        self.bn = bn if norm else None
        self.relu = activation if relu else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        if self.bn is not None:
            x = self.bn(x)
        return x if self.relu is None else self.relu(x)


class _SeparableConv(nn.Module):
    """Depthwise 3x3 without normalization, then pointwise 1x1 with it."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, *, relu: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, in_channels, 3, stride, 1, groups=in_channels, bias=False)
        self.point_wise_cbr = _ConvBN(in_channels, out_channels, 1, relu=relu)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.point_wise_cbr(self.conv1(x))  # type: ignore[no-any-return]


class _XceptionBlock(nn.Module):
    """Three separable convolutions beside an identity or, where the stride is 2, one separable convolution."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.proj = _SeparableConv(in_channels, out_channels, stride, relu=False) if stride > 1 else None
        self.residual_branch = nn.Sequential(
            _SeparableConv(in_channels, width, stride, relu=True),
            _SeparableConv(width, width, relu=True),
            _SeparableConv(width, out_channels, relu=False),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.proj is None else self.proj(x)
        return torch.relu(shortcut + self.residual_branch(x))


class Xception39(nn.Module):
    """The small Xception of the BiSeNet paper (section 4.1), as its authors implemented it.

    Args:
        stem_width: Channels of the first convolution.
        widths: Inner channels of the three stages; their outputs have four times as many.
        depths: Blocks of the three stages.

    Attributes:
        channels: Channels of the three outputs.
    """

    def __init__(
        self, stem_width: int = 8, widths: Sequence[int] = (16, 32, 64), depths: Sequence[int] = (4, 8, 4)
    ) -> None:
        super().__init__()
        self.conv1 = _ConvBN(3, stem_width, 3, 2)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.channels = tuple(width * _XceptionBlock.expansion for width in widths)
        before = (stem_width, *self.channels[:-1])
        self.layer1, self.layer2, self.layer3 = (
            nn.Sequential(
                _XceptionBlock(in_channels, width, 2),
                *(_XceptionBlock(width * _XceptionBlock.expansion, width, 1) for _ in range(depth - 1)),
            )
            for in_channels, width, depth in zip(before, widths, depths, strict=True)
        )

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Map images ``[B, 3, H, W]`` to features at 1/8, 1/16 and 1/32 of them."""
        x1 = self.layer1(self.maxpool(self.conv1(images)))
        x2 = self.layer2(x1)
        return x1, x2, self.layer3(x2)


class _SpatialPath(nn.Module):
    """Three strided convolutions, to 1/8 of the image (paper, section 3.1)."""

    def __init__(self, width: int, out_channels: int) -> None:
        super().__init__()
        self.conv_7x7 = _ConvBN(3, width, 7, 2)
        self.conv_3x3_1 = _ConvBN(width, width, 3, 2)
        self.conv_3x3_2 = _ConvBN(width, width, 3, 2)
        self.conv_1x1 = _ConvBN(width, out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv_1x1(self.conv_3x3_2(self.conv_3x3_1(self.conv_7x7(x))))  # type: ignore[no-any-return]


class _GlobalMean(nn.Module):
    """Mean over the map, ``[B, C, 1, 1]``; it holds the first place in the sequences of the published names."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3), keepdim=True)


class _AttentionRefinement(nn.Module):
    """Scale the channels of a map by a function of their means (paper, figure 2b)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv_3x3 = _ConvBN(in_channels, out_channels, 3)
        self.channel_attention = nn.Sequential(
            _GlobalMean(), _ConvBN(out_channels, out_channels, 1, relu=False), nn.Sigmoid()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv_3x3(x)
        return x * self.channel_attention(x)  # type: ignore[no-any-return]


class _FeatureFusion(nn.Module):
    """Join detail and context, and add the result scaled per channel to itself (paper, figure 2c)."""

    def __init__(self, channels: int, fusion: Fusion) -> None:
        super().__init__()
        self.conv_1x1 = _ConvBN(channels, channels, 1)
        if fusion == "paper":
            layers = [
                _ConvBN(channels, channels, 1, norm=False),
                _ConvBN(channels, channels, 1, norm=False, relu=False),
            ]
        else:
            layers = [_ConvBN(channels, channels, 1, relu=False)]
        self.channel_attention = nn.Sequential(_GlobalMean(), *layers, nn.Sigmoid())

    def forward(self, detail: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        x: torch.Tensor = self.conv_1x1(torch.cat([detail, context], dim=1))
        return x + x * self.channel_attention(x)  # type: ignore[no-any-return]


class _Head(nn.Module):
    def __init__(self, in_channels: int, width: int, num_classes: int) -> None:
        super().__init__()
        self.conv_3x3 = _ConvBN(in_channels, width, 3)
        self.conv_1x1 = nn.Conv2d(width, num_classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv_1x1(self.conv_3x3(x))  # type: ignore[no-any-return]


class BiSeNet(nn.Module):
    """BiSeNet (the first version).

    Args:
        num_classes: Channels of the logits.
        backbone: Context path: its last three outputs are at 1/8, 1/16 and 1/32 of the image, and ``channels`` are
            their widths.
        width: Channels of each path where they meet.
        spatial_width: Inner channels of the spatial path.
        head_width: Inner channels of the classifier.
        aux_width: Inner channels of the auxiliary classifiers.
        aux: Whether to build auxiliary classifiers on the context path; they run in training only.
        fusion: Channel attention of the feature fusion: "paper" or "normalized".
        upsampling: How maps of the context path are enlarged: "bilinear" or "nearest".
        align_corners: How bilinear upsampling, within the network and of its logits, places the corners.
    """

    stride = 8

    def __init__(
        self,
        num_classes: int,
        backbone: nn.Module,
        *,
        width: int = 128,
        spatial_width: int = 64,
        head_width: int = 64,
        aux_width: int = 256,
        aux: bool = True,
        fusion: Fusion = "paper",
        upsampling: Upsampling = "bilinear",
        align_corners: bool = True,
    ) -> None:
        super().__init__()
        if fusion not in get_args(Fusion):
            raise ValueError(f"fusion is one of {', '.join(get_args(Fusion))}, not {fusion!r}")
        if upsampling not in get_args(Upsampling):
            raise ValueError(f"upsampling is one of {', '.join(get_args(Upsampling))}, not {upsampling!r}")
        channels: Sequence[int] = backbone.channels  # type: ignore[assignment]
        self.num_classes = num_classes
        self.align_corners = align_corners
        self.upsampling = upsampling
        self.backbone = backbone
        self.spatial_path = _SpatialPath(spatial_width, width)
        self.global_context = nn.Sequential(_GlobalMean(), _ConvBN(channels[-1], width, 1))
        self.arms = nn.ModuleList(
            [_AttentionRefinement(channels[-1], width), _AttentionRefinement(channels[-2], width)]
        )
        self.refines = nn.ModuleList([_ConvBN(width, width, 3), _ConvBN(width, width, 3)])
        self.ffm = _FeatureFusion(2 * width, fusion)
        self.head = _Head(2 * width, head_width, num_classes)
        heads = [_Head(width, aux_width, num_classes) for _ in range(2)] if aux else []
        self.aux_heads = nn.ModuleList(heads)

    def forward(self, images: torch.Tensor) -> Output:
        """Map normalized images ``[B, 3, H, W]`` to logits ``[B, C, ceil(H/8), ceil(W/8)]``.

        In training, ``aux`` holds the logits of the context path at 1/8 and then at 1/16, if they were built.
        """
        x8, x16, x32 = self.backbone(images)[-3:]
        context32 = self.arms[0](x32) + self.global_context(x32)
        context16 = self.refines[0](self._enlarge(context32, x16))
        context8 = self.refines[1](self._enlarge(self.arms[1](x16) + context16, x8))
        logits = self.head(self.ffm(self.spatial_path(images), context8))
        if not self.training:
            return Output(logits)
        maps = (context8, context16)
        return Output(logits, tuple(head(x) for head, x in zip(self.aux_heads, maps, strict=False)))

    def _enlarge(self, x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """Enlarge ``x`` twofold, to the size of ``like``, which is one cell less where that side is odd."""
        size = like.shape[-2], like.shape[-1]
        if self.upsampling == "nearest":
            return F.interpolate(x, size=size, mode="nearest")
        return enlarge(x, 2, size, self.align_corners)


def bisenet_resnet18(
    num_classes: int,
    *,
    stem: Stem = "plain",
    head_width: int = 64,
    aux_width: int = 256,
    aux: bool = True,
    fusion: Fusion = "paper",
    upsampling: Upsampling = "bilinear",
    align_corners: bool = True,
) -> BiSeNet:
    """Build `BiSeNet` on ResNet-18, whose ImageNet weights (torchvision's names) fit ``backbone``."""
    return BiSeNet(
        num_classes,
        ResNet(18, stem=stem),
        head_width=head_width,
        aux_width=aux_width,
        aux=aux,
        fusion=fusion,
        upsampling=upsampling,
        align_corners=align_corners,
    )


def bisenet_xception39(
    num_classes: int,
    *,
    head_width: int = 64,
    aux_width: int = 128,
    aux: bool = True,
    align_corners: bool = True,
) -> BiSeNet:
    """Build `BiSeNet` on `Xception39`, for speed."""
    return BiSeNet(
        num_classes,
        Xception39(),
        head_width=head_width,
        aux_width=aux_width,
        aux=aux,
        align_corners=align_corners,
    )
