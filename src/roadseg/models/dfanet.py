"""DFANet: a tiny encoder run three times, each time on what the last time saw.

Li, Xiong, Fan, Sun: DFANet: Deep Feature Aggregation for Real-Time Semantic Segmentation, CVPR 2019,
arXiv 1904.02216.

The trunk is a small Xception that ends in a *fully-connected attention*: the mean of the last map goes through the
ImageNet classifier and comes back as one factor per channel. Its output is enlarged fourfold and goes through a copy of
the trunk's stages (sub-network aggregation), each stage of which sees the same stage of the trunk too (sub-stage
aggregation); and once more. The decoder sums the first stage and the attention output of all three.

No segmentation weights are published, and nobody has reproduced the paper's scores or its 7.8 M parameters; the
structure here is that of Fast_Seg. The stride of a stage sits on the last convolution of its first block, as there;
whether the authors have it on the first one is not known. Fast_Seg needs sides that are multiples of 64, and runs two
wide auxiliary classifiers even in evaluation. Here maps are joined at the size of the larger one, so any image size
works, and the auxiliary classifiers, which the paper has not, are an option and run in training only.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

from roadseg.models.blocks import conv_bn_relu, enlarge
from roadseg.models.output import Output

__all__ = ["DFANet", "XceptionA", "dfanet_a", "dfanet_b"]

IMAGENET_CLASSES = 1000
"""Hidden channels of the attention, whose first layer is an ImageNet classifier in the pre-trained trunk."""


class _SeparableConv(nn.Module):
    """Depthwise 3x3 with batch normalization, then pointwise 1x1."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, in_channels, 3, stride, 1, groups=in_channels, bias=False)
        self.bn = nn.BatchNorm2d(in_channels)
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.pointwise(self.bn(self.conv1(x)))  # type: ignore[no-any-return]


class _Block(nn.Module):
    """Three rectified separable convolutions, the first two a quarter as wide, beside an identity or projection."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        width = out_channels // 4
        layers: list[nn.Module] = []
        for before, after, step in (
            (in_channels, width, 1),
            (width, width, 1),
            (width, out_channels, stride),
        ):
            layers += [nn.ReLU(), _SeparableConv(before, after, step), nn.BatchNorm2d(after)]
        self.rep = nn.Sequential(*layers)
        self.skip = self.skipbn = None
        if stride > 1 or in_channels != out_channels:
            self.skip = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
            self.skipbn = nn.BatchNorm2d(out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.skip is None or self.skipbn is None else self.skipbn(self.skip(x))
        return shortcut + self.rep(x)  # type: ignore[no-any-return]


class _Stage(nn.Module):
    """Blocks, the first of which halves the map."""

    def __init__(self, in_channels: int, out_channels: int, depth: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            _Block(in_channels, out_channels, 2),
            *(_Block(out_channels, out_channels, 1) for _ in range(depth - 1)),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.block(x)  # type: ignore[no-any-return]


class _FullyConnectedAttention(nn.Module):
    """Scale the channels by a function of their means, which is not bounded (paper, section 3.3)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc = nn.Linear(channels, hidden)
        self.conv = nn.Sequential(*conv_bn_relu(hidden, channels, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = self.fc(x.mean((2, 3)))
        return x * self.conv(scores[:, :, None, None])  # type: ignore[no-any-return]


class _Features(NamedTuple):
    """What a pass through the encoder leaves: its three stages, and the last one after the attention."""

    enc2: torch.Tensor
    enc3: torch.Tensor
    enc4: torch.Tensor
    fca: torch.Tensor


class XceptionA(nn.Module):
    """The trunk (paper, table 1, "Xception A").

    Args:
        widths: Output channels of the three stages.
        depths: Blocks of the three stages.
        stem_width: Channels of the first convolution.
        hidden: Hidden channels of the attention.
        imagenet_head: Whether to keep the ImageNet classifier ``fc``, which segmentation does not use, for files that
            hold it.
    """

    def __init__(
        self,
        widths: Sequence[int] = (48, 96, 192),
        depths: Sequence[int] = (4, 6, 4),
        *,
        stem_width: int = 8,
        hidden: int = IMAGENET_CLASSES,
        imagenet_head: bool = False,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(*conv_bn_relu(3, stem_width, 3, 2))
        self.enc2 = _Stage(stem_width, widths[0], depths[0])
        self.enc3 = _Stage(widths[0], widths[1], depths[1])
        self.enc4 = _Stage(widths[1], widths[2], depths[2])
        self.fca = _FullyConnectedAttention(widths[2], hidden)
        if imagenet_head:
            self.fc = nn.Linear(widths[2], IMAGENET_CLASSES)

    def forward(self, images: torch.Tensor) -> _Features:
        """Map images ``[B, 3, H, W]`` to features at 1/4, 1/8, 1/16 and 1/16 of them."""
        enc2 = self.enc2(self.conv1(images))
        enc3 = self.enc3(enc2)
        enc4 = self.enc4(enc3)
        return _Features(enc2, enc3, enc4, self.fca(enc4))


class _Branch(nn.Module):
    """Another pass through the stages of the encoder, each of which also sees the previous pass."""

    def __init__(self, widths: Sequence[int], depths: Sequence[int], hidden: int) -> None:
        super().__init__()
        self.enc2 = _Stage(widths[0] + widths[2], widths[0], depths[0])
        self.enc3 = _Stage(widths[1] + widths[0], widths[1], depths[1])
        self.enc4 = _Stage(widths[2] + widths[1], widths[2], depths[2])
        self.fca = _FullyConnectedAttention(widths[2], hidden)

    def forward(self, before: _Features, enlarged: torch.Tensor) -> _Features:
        """``enlarged`` is the previous pass's attention output at the size of its first stage."""
        enc2 = self.enc2(torch.cat([before.enc2, enlarged], dim=1))
        enc3 = self.enc3(torch.cat([before.enc3, enc2], dim=1))
        enc4 = self.enc4(torch.cat([before.enc4, enc3], dim=1))
        return _Features(enc2, enc3, enc4, self.fca(enc4))


class _Reduce(nn.Module):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv, self.bn, self.relu = conv_bn_relu(in_channels, out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.bn(self.conv(x)))  # type: ignore[no-any-return]


def _aux_head(channels: int, num_classes: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        nn.Dropout2d(0.1),
        nn.Conv2d(channels, num_classes, 1),
    )


class DFANet(nn.Module):
    """DFANet.

    Args:
        num_classes: Channels of the logits.
        widths: Output channels of the three stages of the encoder.
        depths: Blocks of the three stages.
        passes: How often the encoder is run, the trunk's own pass included.
        stem_width: Channels of the first convolution.
        hidden: Hidden channels of the attentions.
        decoder_width: Channels in which the maps are summed.
        aux: Whether to build auxiliary classifiers on all attention outputs but the last; they run in training only.
        imagenet_head: Whether to keep the trunk's ImageNet classifier, which is not used.
        align_corners: How maps are enlarged within the network, and how its logits are to be.
    """

    stride = 4

    def __init__(
        self,
        num_classes: int,
        *,
        widths: Sequence[int] = (48, 96, 192),
        depths: Sequence[int] = (4, 6, 4),
        passes: int = 3,
        stem_width: int = 8,
        hidden: int = IMAGENET_CLASSES,
        decoder_width: int = 32,
        aux: bool = False,
        imagenet_head: bool = False,
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        if passes < 1:
            raise ValueError(f"passes is at least 1, not {passes}")
        self.num_classes = num_classes
        self.align_corners = align_corners
        self.backbone = XceptionA(
            widths, depths, stem_width=stem_width, hidden=hidden, imagenet_head=imagenet_head
        )
        self.branches = nn.ModuleList([_Branch(widths, depths, hidden) for _ in range(passes - 1)])
        self.reduce_enc2 = nn.ModuleList([_Reduce(widths[0], decoder_width) for _ in range(passes)])
        self.reduce_fca = nn.ModuleList([_Reduce(widths[2], decoder_width) for _ in range(passes)])
        self.conv_fusion = _Reduce(decoder_width, decoder_width)
        self.conv_out = nn.Conv2d(decoder_width, num_classes, 1)
        heads = [_aux_head(widths[2], num_classes) for _ in range(passes - 1)] if aux else []
        self.aux_heads = nn.ModuleList(heads)

    def forward(self, images: torch.Tensor) -> Output:
        """Map normalized images ``[B, 3, H, W]`` to logits ``[B, C, ceil(H/4), ceil(W/4)]``.

        In training, ``aux`` holds the logits of the first (1/4) and the second attention output (1/8), if built.
        """
        passes = [self.backbone(images)]
        between = []
        for branch in self.branches:
            last = passes[-1]
            size = last.enc2.shape[-2], last.enc2.shape[-1]
            between.append(enlarge(last.fca, 4, size, self.align_corners))
            passes.append(branch(last, between[-1]))
        logits = self.conv_out(self._decode(passes))
        if not self.training:
            return Output(logits)
        return Output(logits, tuple(head(x) for head, x in zip(self.aux_heads, between, strict=False)))

    def _decode(self, passes: Sequence[_Features]) -> torch.Tensor:
        """Sum the first stages, and then the attention outputs, of all passes at 1/4 of the image."""
        largest = passes[0].enc2
        size = largest.shape[-2], largest.shape[-1]
        detail: torch.Tensor = self.reduce_enc2[0](largest)
        for index in range(1, len(passes)):
            reduced = self.reduce_enc2[index](passes[index].enc2)
            detail = detail + enlarge(reduced, 2**index, size, self.align_corners)
        fused: torch.Tensor = self.conv_fusion(detail)
        for index, each in enumerate(passes):
            reduced = self.reduce_fca[index](each.fca)
            fused = fused + enlarge(reduced, 4 * 2**index, size, self.align_corners)
        return fused


def dfanet_a(
    num_classes: int, *, aux: bool = False, imagenet_head: bool = False, align_corners: bool = False
) -> DFANet:
    """Build `DFANet` on Xception A, with 48, 96 and 192 channels."""
    return DFANet(num_classes, aux=aux, imagenet_head=imagenet_head, align_corners=align_corners)


def dfanet_b(
    num_classes: int, *, aux: bool = False, imagenet_head: bool = False, align_corners: bool = False
) -> DFANet:
    """Build `DFANet` on Xception B, with 32, 64 and 128 channels (unverified: no published code has it)."""
    return DFANet(
        num_classes,
        widths=(32, 64, 128),
        aux=aux,
        imagenet_head=imagenet_head,
        align_corners=align_corners,
    )
