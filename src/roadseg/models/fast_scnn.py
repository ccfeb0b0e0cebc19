"""Fast-SCNN: a network for road scenes with one shared high-resolution stem and two branches.

Poudel, Liwicki, Cipolla: Fast-SCNN: Fast Semantic Segmentation Network, BMVC 2019, arXiv 1902.04502.

The parameter names are those of the published PyTorch checkpoints. Those checkpoints were trained with an unpadded
first convolution, which shifts the grid and loses a border; ``stem_padding=0`` reproduces them, the default of 1 is
the paper's. The high- and the low-resolution branch are joined at the size of the former, so any image size works.

``align_corners=True`` is how the published checkpoints resize inside the network and to the image. It stretches the
grid by an amount that depends on the image size (a cell of a 3x3/2 convolution stack sits at pixel 8i, whatever the
size), so networks trained here rather use False, with which the grid is the same at every size.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import nn

from roadseg.models.blocks import adaptive_avg_pool, conv_bn_relu, enlarge, resize
from roadseg.models.output import Output

__all__ = ["FastSCNN", "fast_scnn"]

AuxHead = Literal["stem", "context"]
"""Where an auxiliary classifier may sit: on the learning-to-downsample stem, or on the global feature extractor."""


class _ConvBNReLU(nn.Module):
    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, padding: int = 0
    ) -> None:
        super().__init__()
        self.conv = nn.Sequential(*conv_bn_relu(in_channels, out_channels, kernel, stride, padding))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)  # type: ignore[no-any-return]


class _DepthwiseConv(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Sequential(*conv_bn_relu(in_channels, out_channels, 3, stride, groups=in_channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)  # type: ignore[no-any-return]


class _SeparableConv(nn.Module):
    """Depthwise 3x3, then pointwise 1x1, each with batch normalization and ReLU."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            *conv_bn_relu(in_channels, in_channels, 3, stride, groups=in_channels),
            *conv_bn_relu(in_channels, out_channels, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)  # type: ignore[no-any-return]


class _InvertedResidual(nn.Module):
    """Expand 1x1, depthwise 3x3, project 1x1 without activation (paper, table 1 "bottleneck")."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int = 6) -> None:
        super().__init__()
        self.residual = stride == 1 and in_channels == out_channels
        width = in_channels * expansion
        self.block = nn.Sequential(
            _ConvBNReLU(in_channels, width, 1),
            _DepthwiseConv(width, width, stride),
            nn.Conv2d(width, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.block(x)
        return x + y if self.residual else y


class _LearningToDownsample(nn.Module):
    """Three strided convolutions, to 1/8 of the image (paper, section 3.2.1)."""

    def __init__(self, padding: int) -> None:
        super().__init__()
        self.conv = _ConvBNReLU(3, 32, 3, stride=2, padding=padding)
        self.dsconv1 = _SeparableConv(32, 48, stride=2)
        self.dsconv2 = _SeparableConv(48, 64, stride=2)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map images to features of 1/4 and of 1/8."""
        early = self.dsconv1(self.conv(x))
        return early, self.dsconv2(early)


class _PyramidPooling(nn.Module):
    """Context at four grid sizes, joined with the input (Zhao et al., CVPR 2017)."""

    bins = (1, 2, 3, 6)

    def __init__(self, in_channels: int, out_channels: int, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        width = in_channels // len(self.bins)
        self.conv1 = _ConvBNReLU(in_channels, width, 1)
        self.conv2 = _ConvBNReLU(in_channels, width, 1)
        self.conv3 = _ConvBNReLU(in_channels, width, 1)
        self.conv4 = _ConvBNReLU(in_channels, width, 1)
        self.out = _ConvBNReLU(in_channels * 2, out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        size = x.shape[-2], x.shape[-1]
        levels = [
            resize(conv(adaptive_avg_pool(x, bins)), size, self.align_corners)
            for conv, bins in zip((self.conv1, self.conv2, self.conv3, self.conv4), self.bins, strict=True)
        ]
        return self.out(torch.cat([x, *levels], dim=1))  # type: ignore[no-any-return]


class _GlobalFeatureExtractor(nn.Module):
    """Nine inverted residuals to 1/32, then pyramid pooling (paper, section 3.2.2)."""

    def __init__(self, align_corners: bool) -> None:
        super().__init__()
        self.bottleneck1 = self._stage(64, 64, stride=2)
        self.bottleneck2 = self._stage(64, 96, stride=2)
        self.bottleneck3 = self._stage(96, 128, stride=1)
        self.ppm = _PyramidPooling(128, 128, align_corners)

    @staticmethod
    def _stage(in_channels: int, out_channels: int, stride: int, depth: int = 3) -> nn.Sequential:
        first = _InvertedResidual(in_channels, out_channels, stride)
        return nn.Sequential(
            first, *(_InvertedResidual(out_channels, out_channels, 1) for _ in range(depth - 1))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.ppm(self.bottleneck3(self.bottleneck2(self.bottleneck1(x))))  # type: ignore[no-any-return]


class _FeatureFusion(nn.Module):
    """Add the upsampled context to the stem's detail (paper, section 3.2.3)."""

    def __init__(self, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.dwconv = _DepthwiseConv(128, 128)
        self.conv_lower_res = nn.Sequential(nn.Conv2d(128, 128, 1), nn.BatchNorm2d(128))
        self.conv_higher_res = nn.Sequential(nn.Conv2d(64, 128, 1), nn.BatchNorm2d(128))

    def forward(self, detail: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        size = detail.shape[-2], detail.shape[-1]
        context = enlarge(context, 4, size, self.align_corners)
        context = self.conv_lower_res(self.dwconv(context))
        return torch.relu(context + self.conv_higher_res(detail))


class _Classifier(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.dsconv1 = _SeparableConv(128, 128)
        self.dsconv2 = _SeparableConv(128, 128)
        self.conv = nn.Sequential(nn.Dropout(0.1), nn.Conv2d(128, num_classes, 1))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map features to the last ones, and to logits."""
        x = self.dsconv2(self.dsconv1(x))
        return x, self.conv(x)


class _Refinement(nn.Module):
    """Corrections to logits, at twice their resolution, from early features of that resolution.

    Not in the paper. Logits of 1/8 cannot draw a pole that is thinner than a cell. The corrections start at zero, so
    that a trained network goes on from what it knows.
    """

    def __init__(self, early_channels: int, late_channels: int, width: int, num_classes: int) -> None:
        super().__init__()
        self.early = nn.Sequential(nn.Conv2d(early_channels, width, 1, bias=False), nn.BatchNorm2d(width))
        self.late = nn.Sequential(nn.Conv2d(late_channels, width, 1, bias=False), nn.BatchNorm2d(width))
        self.blend = nn.Sequential(_SeparableConv(width, width), _SeparableConv(width, width))
        self.conv = nn.Conv2d(width, num_classes, 1)
        nn.init.zeros_(self.conv.weight)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]

    def forward(self, early: torch.Tensor, late: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Map features of 1/4 and of 1/8 and logits of 1/8 to logits of 1/4."""
        size = early.shape[-2], early.shape[-1]
        x = torch.relu(self.early(early) + enlarge(self.late(late), 2, size, align_corners=False))
        return self.conv(self.blend(x)) + enlarge(logits, 2, size, align_corners=False)  # type: ignore[no-any-return]


def _aux_head(in_channels: int, width: int, num_classes: int) -> nn.Sequential:
    return nn.Sequential(
        *conv_bn_relu(in_channels, width, 3), nn.Dropout(0.1), nn.Conv2d(width, num_classes, 1)
    )


class FastSCNN(nn.Module):
    """Fast-SCNN.

    Args:
        num_classes: Channels of the logits.
        stem_padding: Padding of the first convolution: 1 as in the paper, 0 as in the published checkpoints.
        aux: Which auxiliary classifiers to build; they run in training only.
        aux_width: Hidden channels of an auxiliary classifier (the published checkpoints have 32 or 64).
        align_corners: How feature maps are resized within the network, and how its logits are to be upsampled.
        refine: Channels of a part that corrects the logits at 1/4 of the image, for thin things (not in the paper); 0
            for none.

    Raises:
        ValueError: An auxiliary classifier is unknown, or corrections are wanted where maps are resized by corners.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        stem_padding: int = 1,
        aux: Sequence[AuxHead] = (),
        aux_width: int = 32,
        align_corners: bool = True,
        refine: int = 0,
    ) -> None:
        super().__init__()
        if refine and align_corners:
            raise ValueError("refine needs align_corners=False: its grid must lie on that of the logits")
        if unknown := set(aux) - set(get_args(AuxHead)):
            raise ValueError(f"aux knows {get_args(AuxHead)}, not {sorted(unknown)}")
        self.num_classes = num_classes
        self.align_corners = align_corners
        self.stride = 4 if refine else 8
        self.aux = tuple(aux)
        self.learning_to_downsample = _LearningToDownsample(stem_padding)
        self.global_feature_extractor = _GlobalFeatureExtractor(align_corners)
        self.feature_fusion = _FeatureFusion(align_corners)
        self.classifier = _Classifier(num_classes)
        if "stem" in self.aux:
            self.auxlayer = _aux_head(64, aux_width, num_classes)
        if "context" in self.aux:
            self.auxlayer_context = _aux_head(128, aux_width, num_classes)
        self.refinement = _Refinement(48, 128, refine, num_classes) if refine else None

    def forward(self, images: torch.Tensor) -> Output:
        """Map normalized images ``[B, 3, H, W]`` to logits ``[B, C, ceil(H/8), ceil(W/8)]``, or of 1/4 if refined.

        In training, ``aux`` holds the stem's logits (1/8) and then the context's (1/32), as far as they were built.
        """
        early, detail = self.learning_to_downsample(images)
        context = self.global_feature_extractor(detail)
        late, logits = self.classifier(self.feature_fusion(detail, context))
        if self.refinement is not None:
            logits = self.refinement(early, late, logits)
        if not self.training:
            return Output(logits)
        aux = []
        if "stem" in self.aux:
            aux.append(self.auxlayer(detail))
        if "context" in self.aux:
            aux.append(self.auxlayer_context(context))
        return Output(logits, tuple(aux))


def fast_scnn(
    num_classes: int,
    *,
    stem_padding: int = 1,
    aux: Sequence[AuxHead] = (),
    aux_width: int = 32,
    align_corners: bool = True,
    refine: int = 0,
) -> FastSCNN:
    """Build `FastSCNN`: 1.14 M parameters, 6.7 G multiply-adds at 1024 x 2048."""
    return FastSCNN(
        num_classes,
        stem_padding=stem_padding,
        aux=aux,
        aux_width=aux_width,
        align_corners=align_corners,
        refine=refine,
    )
