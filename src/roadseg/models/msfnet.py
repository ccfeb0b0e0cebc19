"""MSFNet, re-interpreted: spatial pooling after every stage, and a decoder of class boundaries beside the main one.

Si, Zhang, Lv, Yu, Lu: Real-Time Semantic Segmentation via Multiply Spatial Fusion Network, 2019, arXiv 1911.07217.

**A re-interpretation.** No implementation of it was ever published, and its description leaves the network open. Known
are: a ResNet-18; after each of its stages, poolings of stride s and window 2s + 1 that bring the features down to
several resolutions (spatial aware pooling); fusion of all features that share a resolution (multi-features fusion
module); two decoders of the same form, one for classes and one for class boundaries, from the fused features up to
1/8; features at 1/4 that serve as a source of pooling alone; and a cost of 96.8 G multiply-adds at 1024 x 2048.

Unknown are: the kind of pooling (here averages), the widths (128), the convolutions of fusion and decoders (a 1x1 and
a 3x3 convolution to fuse, one 3x3 convolution per step of a decoder: with those, trunk, fusion and both decoders
together cost 96.6 G), the coarsest resolution (1/64), how a decoder joins resolutions (addition), and the details of the
boundary loss. The published scores were not reproduced with it.
"""

import torch
import torch.nn.functional as F
from torch import nn

from roadseg.models.blocks import conv_bn_relu, resize
from roadseg.models.output import Output
from roadseg.models.resnet import ResNet

__all__ = ["MSFNet", "msfnet"]


def _pool(x: torch.Tensor, stride: int) -> torch.Tensor:
    """Average windows of 2 * stride + 1, to ``[B, C, ceil(h / stride), ceil(w / stride)]``.

    The windows overlap, so that every cell sees its neighbors; what they hold of the outside does not count.
    """
    return F.avg_pool2d(x, 2 * stride + 1, stride, stride, count_include_pad=False)


class _Fusion(nn.Module):
    """Multi-features fusion module: all features from 1/8 of the image down to 1/64, by resolution."""

    def __init__(self, channels: tuple[int, ...], width: int, resolutions: int) -> None:
        super().__init__()
        # At 1/8: the second stage, and the first one pooled. Every coarser resolution gets one stage more, while any.
        joined = [sum(channels[: resolution + 2]) for resolution in range(resolutions)]
        self.fuse = nn.ModuleList(
            nn.Sequential(*conv_bn_relu(inputs, width, 1), *conv_bn_relu(width, width, 3))
            for inputs in joined
        )

    def forward(self, stages: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
        fused = []
        for resolution, fuse in enumerate(self.fuse, start=1):
            steps = ((x, 2 ** (resolution - stage)) for stage, x in enumerate(stages) if stage <= resolution)
            features = [x if stride == 1 else _pool(x, stride) for x, stride in steps]
            fused.append(fuse(torch.cat(features, dim=1)))
        return fused


class _Decoder(nn.Module):
    """Add coarse to finer features, blend, and go on up to 1/8."""

    def __init__(self, width: int, resolutions: int, num_classes: int) -> None:
        super().__init__()
        self.blend = nn.ModuleList(
            nn.Sequential(*conv_bn_relu(width, width, 3)) for _ in range(resolutions - 1)
        )
        self.classifier = nn.Conv2d(width, num_classes, 1)

    def forward(self, fused: list[torch.Tensor]) -> torch.Tensor:
        x = fused[-1]
        for blend, finer in zip(self.blend, reversed(fused[:-1]), strict=True):
            size = finer.shape[-2], finer.shape[-1]
            x = blend(resize(x, size, align_corners=False) + finer)
        return self.classifier(x)  # type: ignore[no-any-return]


class MSFNet(nn.Module):
    """MSFNet, as far as it is known.

    Args:
        num_classes: Channels of the logits.
        boundary: Whether the decoder of class boundaries is built; it runs in training only.
        width: Channels of fusion and decoders.
        resolutions: Number of resolutions that are fused, the first being 1/8 of the image.
        trunk: A network that maps images to maps of 1/4, 1/8, 1/16 and 1/32 of the image, with ``channels``.
    """

    stride = 8
    align_corners = False

    def __init__(
        self,
        num_classes: int,
        *,
        boundary: bool = True,
        width: int = 128,
        resolutions: int = 4,
        trunk: ResNet | None = None,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.backbone = ResNet(18) if trunk is None else trunk
        self.fusion = _Fusion(self.backbone.channels, width, resolutions)
        self.decoder = _Decoder(width, resolutions, num_classes)
        self.boundary = _Decoder(width, resolutions, num_classes) if boundary else None

    def forward(self, images: torch.Tensor) -> Output:
        """Map normalized images ``[B, 3, H, W]`` to logits ``[B, C, ceil(H/8), ceil(W/8)]``.

        In training, ``aux`` holds the logits of the class boundaries: one map per class, each of them a decision of its
        own. They are meant for a binary cross-entropy per class (after a sigmoid, not a softmax) against the class's
        boundary, such as the pixels of the class that have a pixel of another class within one pixel, at the same weight
        as the main loss.
        """
        fused = self.fusion(self.backbone(images))
        logits = self.decoder(fused)
        if self.boundary is None or not self.training:
            return Output(logits)
        return Output(logits, (self.boundary(fused),))


def msfnet(num_classes: int, *, boundary: bool = True) -> MSFNet:
    """Build `MSFNet` on ResNet-18: 13.0 M parameters, 90 G multiply-adds at 1024 x 2048 (97 in training)."""
    return MSFNet(num_classes, boundary=boundary)
