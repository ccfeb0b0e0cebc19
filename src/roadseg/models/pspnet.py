"""PSPNet: a dilated residual network whose features are joined with their own averages over coarse grids.

Zhao, Shi, Qi, Wang, Jia: Pyramid Scene Parsing Network, CVPR 2017, arXiv 1612.01105.

The head's parameter names are those of the authors' PyTorch code. That code wants sides of 8k + 1 and upsamples to the
image itself; here any size works and the logits stay at 1/8. Other published implementations leave the ReLU out of the
pyramid or join the maps in another order, which leaves no trace in the shapes of the weights; both are options.
"""

from typing import Literal

import torch
from torch import nn

from roadseg.models.blocks import AdaptiveAvgPool, conv_bn_relu, resize
from roadseg.models.output import Output
from roadseg.models.resnet import ResNet

__all__ = ["PSPNet", "PyramidPooling", "pspnet"]


class PyramidPooling(nn.Module):
    """Join features with their averages over four grids (paper, section 3.2).

    Args:
        in_channels: Channels of the features; each average is reduced to a quarter of them.
        relu: Whether a ReLU follows the reduction.
        priors_first: Whether the averages come before the features, not behind them.
        align_corners: How the averages are brought back to the size of the features.
    """

    bins = (1, 2, 3, 6)

    def __init__(
        self,
        in_channels: int,
        *,
        relu: bool = True,
        priors_first: bool = False,
        align_corners: bool = True,
    ) -> None:
        super().__init__()
        self.priors_first = priors_first
        self.align_corners = align_corners
        width = in_channels // len(self.bins)
        layers = 3 if relu else 2
        self.features = nn.ModuleList(
            nn.Sequential(AdaptiveAvgPool(bins), *conv_bn_relu(in_channels, width, 1)[:layers])
            for bins in self.bins
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``[B, C, h, w]`` to ``[B, 2C, h, w]``."""
        size = x.shape[-2], x.shape[-1]
        priors = [resize(prior(x), size, self.align_corners) for prior in self.features]
        return torch.cat([*priors, x] if self.priors_first else [x, *priors], dim=1)


class PSPNet(nn.Module):
    """Pyramid scene parsing network on a residual trunk of output stride 8.

    Args:
        num_classes: Channels of the logits.
        backbone: The trunk.
        pyramid_relu: Whether a ReLU follows the reduction of each average.
        priors_first: Whether the averages are joined before the features.
        aux_width: Hidden channels of the auxiliary classifier on the third stage; 0 for none. It runs in training only.
        aux_bias: Whether the 3x3 convolution of the auxiliary classifier has a bias beside its normalization.
        align_corners: How the averages are resized within the network, and how its logits are to be upsampled.
    """

    stride = 8

    def __init__(
        self,
        num_classes: int,
        backbone: ResNet,
        *,
        pyramid_relu: bool = True,
        priors_first: bool = False,
        aux_width: int = 256,
        aux_bias: bool = False,
        align_corners: bool = True,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.align_corners = align_corners
        self.backbone = backbone
        *_, mid, deep = backbone.channels
        self.ppm = PyramidPooling(
            deep, relu=pyramid_relu, priors_first=priors_first, align_corners=align_corners
        )
        self.cls = _classifier(deep * 2, deep // 4, num_classes)
        self.aux = _classifier(mid, aux_width, num_classes, bias=aux_bias) if aux_width else None

    def forward(self, images: torch.Tensor) -> Output:
        """Map normalized images ``[B, 3, H, W]`` to logits ``[B, C, ceil(H/8), ceil(W/8)]``.

        In training, ``aux`` holds the logits of the third stage, of the same size, if they were built. A trunk whose
        max pooling rounds up makes both one cell larger where ``ceil(H/4)`` is even.
        """
        _, _, middle, deep = self.backbone(images)
        logits = self.cls(self.ppm(deep))
        if not self.training or self.aux is None:
            return Output(logits)
        return Output(logits, (self.aux(middle),))


def _classifier(in_channels: int, width: int, num_classes: int, *, bias: bool = False) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, width, 3, padding=1, bias=bias),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.Dropout2d(0.1),
        nn.Conv2d(width, num_classes, 1),
    )


def pspnet(
    num_classes: int,
    *,
    depth: Literal[50, 101] = 50,
    pyramid_relu: bool = True,
    priors_first: bool = False,
    aux_width: int = 256,
    aux_bias: bool = False,
    ceil_mode: bool = False,
    align_corners: bool = True,
) -> PSPNet:
    """Build `PSPNet` on a ResNet with a stem of three convolutions; the paper's results are of depth 101."""
    return PSPNet(
        num_classes,
        ResNet(depth, stem="deep", output_stride=8, ceil_mode=ceil_mode),
        pyramid_relu=pyramid_relu,
        priors_first=priors_first,
        aux_width=aux_width,
        aux_bias=aux_bias,
        align_corners=align_corners,
    )
