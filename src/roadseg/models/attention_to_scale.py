"""DeepLabV3+ that sees an image at several scales at once and weighs them per pixel.

Chen, Yang, Wang, Xu, Yuille: Attention to Scale: Scale-Aware Semantic Image Segmentation, CVPR 2016, arXiv 1511.03339;
in the two forms against which hierarchical attention was measured (Tao, Sapra, Catanzaro, arXiv 2005.10821, section 3,
figure 1): *explicit*, where one head sees the features of all scales, and *paired*, where a head sees two adjacent
scales at a time, so that it may be used with more scales than it was trained with.

Scales are blended at the size of the image, as in the published code: products of maps do not commute with resizing.
Unlike in the paper, the explicit weights are no softmax: they are free to have any sign and sum.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import TypedDict, Unpack

import torch
from torch import nn

from roadseg.models.blocks import conv_bn_relu, resize
from roadseg.models.deeplab import Context, DeepLabV3Plus, OutputStride, Skip, Trunk, TrunkName, trunk
from roadseg.models.output import Output

__all__ = [
    "ExplicitAttention",
    "PairedAttention",
    "deeplabv3plus_attnscale",
    "deeplabv3plus_attnscale_paired",
]

SCALES = (0.5, 1.0, 2.0)


class _Options(TypedDict, total=False):
    """Options of `DeepLabV3Plus`."""

    context: Context
    rates: Sequence[int] | None
    skip: Skip
    width: int


def _scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """Round down, but not to nothing; in functions that the exporter can follow."""
    height, width = (torch.sym_max(1, torch.sym_int(side * scale)) for side in size)
    return height, width  # type: ignore[return-value]  # plain or symbolic


class _SeveralScales(DeepLabV3Plus, ABC):
    """What both forms share.

    Args:
        num_classes: Channels of the logits.
        backbone: The trunk.
        scales: The scales, with 1 among them; kept in ascending order.
        **options: Options of `DeepLabV3Plus`.
    """

    scale_attn: nn.Module

    def __init__(
        self, num_classes: int, backbone: Trunk, scales: Sequence[float], **options: Unpack[_Options]
    ) -> None:
        super().__init__(num_classes, backbone, **options)
        if 1 not in scales or len(set(scales)) < max(2, len(scales)) or min(scales) <= 0:
            raise ValueError(
                f"scales are positive and different, two or more and 1 among them, not {tuple(scales)}"
            )
        self.scales = tuple(sorted(scales))
        self.stride = 1

    @abstractmethod
    def weights(self, features: Sequence[torch.Tensor], size: tuple[int, int]) -> list[torch.Tensor]:
        """Return a weight ``[B, 1, H, W]`` for each scale from what the decoder classifies there."""

    def _at_scale_one(self, features: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        like = features[self.scales.index(1)]
        return [resize(each, (like.shape[-2], like.shape[-1]), self.align_corners) for each in features]

    def forward(self, images: torch.Tensor) -> Output:
        """Map normalized images ``[B, 3, H, W]`` to logits ``[B, C, H, W]``.

        In training, ``aux`` holds the logits of each scale at their own stride, in ascending order of the scales: the
        paper supervises each of them like the final one.
        """
        size = (images.shape[-2], images.shape[-1])
        sizes = [_scaled(size, scale) for scale in self.scales]
        features = [self.features(resize(images, each, self.align_corners)) for each in sizes]
        logits = [self.decoder.head(each) for each in features]
        joint = torch.zeros((), dtype=images.dtype, device=images.device)
        for scores, own, weight in zip(logits, sizes, self.weights(features, size), strict=True):
            # In two steps, as published: for the scales below 1 that is smoother than one.
            full = resize(resize(scores, own, self.align_corners), size, self.align_corners)
            joint = joint + weight * full
        return Output(joint, tuple(logits) if self.training else ())


class ExplicitAttention(_SeveralScales):
    """One head sees the features of all scales, and gives a weight to each.

    Args:
        num_classes: Channels of the logits.
        backbone: The trunk.
        scales: The scales, with 1 among them.
        attention_width: Hidden channels of the attention head.
        attention_padding: Padding of its last, 1x1, convolution. The published code has 1, which adds a border of
            constant cells and so stretches the weights; 0 keeps them in place.
        **options: Options of `DeepLabV3Plus`.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: Trunk,
        *,
        scales: Sequence[float] = SCALES,
        attention_width: int = 512,
        attention_padding: int = 0,
        **options: Unpack[_Options],
    ) -> None:
        super().__init__(num_classes, backbone, scales, **options)
        self.scale_attn = nn.Sequential(
            nn.Conv2d(len(scales) * self.decoder.channels, attention_width, 3, padding=1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(attention_width, len(scales), 1, padding=attention_padding, bias=False),
        )

    def weights(self, features: Sequence[torch.Tensor], size: tuple[int, int]) -> list[torch.Tensor]:
        """Return a weight ``[B, 1, H, W]`` for each scale."""
        maps = self._at_scale_one(features)
        first = maps.pop(self.scales.index(1))  # scale 1 comes first in the features, but not in the weights
        weights = resize(self.scale_attn(torch.cat([first, *maps], 1)), size, self.align_corners)
        return list(torch.split(weights, 1, 1))


class PairedAttention(_SeveralScales):
    """A head sees adjacent scales, and divides what the larger one was given between the two.

    The first pair may give its two scales any weights in 0..1. Each further pair divides the weight of the larger scale
    of the pair before it.

    Args:
        num_classes: Channels of the logits.
        backbone: The trunk.
        scales: The scales, with 1 among them; they may change after training.
        attention_width: Hidden channels of the attention head.
        **options: Options of `DeepLabV3Plus`.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: Trunk,
        *,
        scales: Sequence[float] = SCALES,
        attention_width: int = 256,
        **options: Unpack[_Options],
    ) -> None:
        super().__init__(num_classes, backbone, scales, **options)
        self.scale_attn = nn.Sequential(
            *conv_bn_relu(2 * self.decoder.channels, attention_width, 3),
            *conv_bn_relu(attention_width, attention_width, 3),
            nn.Conv2d(attention_width, 2, 1, bias=False),
        )

    def weights(self, features: Sequence[torch.Tensor], size: tuple[int, int]) -> list[torch.Tensor]:
        """Return a weight ``[B, 1, H, W]`` for each scale."""
        maps = self._at_scale_one(features)
        weights: list[torch.Tensor] = []
        for low, high in pairwise(maps):
            pair = self.scale_attn(torch.cat([low, high], 1)).sigmoid()
            pair = resize(pair, size, self.align_corners)
            if weights:
                total = pair.sum(1, keepdim=True).clamp_min(torch.finfo(pair.dtype).tiny)
                pair = pair / total * weights.pop()
            weights += torch.split(pair, 1, 1)
        return weights


def deeplabv3plus_attnscale(
    num_classes: int,
    *,
    backbone: TrunkName = "resnet50",
    scales: Sequence[float] = SCALES,
    attention_padding: int = 0,
    output_stride: OutputStride = 8,
    context: Context = "aspp",
    rates: Sequence[int] | None = None,
    skip: Skip = 1,
) -> ExplicitAttention:
    """Build `ExplicitAttention` of DeepLabV3+ on a published trunk."""
    return ExplicitAttention(
        num_classes,
        trunk(backbone, output_stride),
        scales=scales,
        attention_padding=attention_padding,
        context=context,
        rates=rates,
        skip=skip,
    )


def deeplabv3plus_attnscale_paired(
    num_classes: int,
    *,
    backbone: TrunkName = "resnet50",
    scales: Sequence[float] = SCALES,
    output_stride: OutputStride = 8,
    context: Context = "aspp",
    rates: Sequence[int] | None = None,
    skip: Skip = 1,
) -> PairedAttention:
    """Build `PairedAttention` of DeepLabV3+ on a published trunk."""
    return PairedAttention(
        num_classes,
        trunk(backbone, output_stride),
        scales=scales,
        context=context,
        rates=rates,
        skip=skip,
    )
