"""The five networks of FlowNet 2.0 under the names of their published parameters.

FlowNetC and FlowNetS: Dosovitskiy et al., "FlowNet: Learning Optical Flow with Convolutional Networks", ICCV 2015.
FlowNetSD and the fusion network: Ilg et al., "FlowNet 2.0", CVPR 2017, section 5 and supplement.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn

from roadseg.models.warping import correlation

__all__ = ["SLOPE", "FlowFusion", "FlowNetC", "FlowNetS", "FlowNetSD", "conv", "deconv", "scaled"]

SLOPE = 0.1  # of every leaky ReLU
_UP = {5: 512, 4: 256, 3: 128, 2: 64}  # channels that a decoder gives at 1/2^level
_COST = 441  # comparisons of the cost volume


def scaled(channels: int, width: float) -> int:
    """Return a number of channels times a factor, at least 1."""
    return max(1, round(channels * width))


def conv(inputs: int, outputs: int, kernel_size: int = 3, stride: int = 1) -> nn.Sequential:
    """Return a convolution that keeps the size at stride 1, and its leaky ReLU."""
    layer = nn.Conv2d(inputs, outputs, kernel_size, stride, kernel_size // 2)
    return nn.Sequential(layer, nn.LeakyReLU(SLOPE, inplace=True))


def deconv(inputs: int, outputs: int) -> nn.Sequential:
    """Return a transposed convolution that doubles the size, and its leaky ReLU."""
    return nn.Sequential(nn.ConvTranspose2d(inputs, outputs, 4, 2, 1), nn.LeakyReLU(SLOPE, inplace=True))


class _CoarseToFine(nn.Module):
    """A decoder that predicts flow at the coarsest level, and again at every finer one, from all that is known there."""

    def _add_decoder(
        self, skips: Mapping[int, int], up: Mapping[int, int], *, smooth: bool = False, bias: bool = True
    ) -> None:
        """Add the decoder's layers.

        Args:
            skips: Channels of the encoder's maps by level, coarsest first; level n is at 1/2^n.
            up: Channels that the decoder gives at each level but the coarsest.
            smooth: Predict from one more convolution without activation ("inter").
            bias: Of the convolutions that double a flow.
        """
        top = max(skips)
        known = {level: skips[level] + up[level] + 2 for level in up}
        for level in up:
            self.add_module(f"deconv{level}", deconv(known.get(level + 1, skips[top]), up[level]))
        for level in up if smooth else ():
            layer = nn.Conv2d(known[level], up[level], 3, 1, 1)
            self.add_module(f"inter_conv{level}", nn.Sequential(layer))
        for level, channels in {top: skips[top], **(up if smooth else known)}.items():
            self.add_module(f"predict_flow{level}", nn.Conv2d(channels, 2, 3, 1, 1))
        for level in up:
            double = nn.ConvTranspose2d(2, 2, 4, 2, 1, bias=bias)
            self.add_module(f"upsampled_flow{level + 1}_to_{level}", double)
        self._smooth = smooth

    def _decode(self, skips: Mapping[int, torch.Tensor]) -> torch.Tensor:
        """Return the flow ``[B, 2, h, w]`` at the finest of the levels, which are given from the coarsest on."""
        top, *finer = skips
        x = skips[top]
        flow = self._layer(f"predict_flow{top}", x)
        for level in finer:
            doubled = self._layer(f"upsampled_flow{level + 1}_to_{level}", flow)
            x = torch.cat([skips[level], self._layer(f"deconv{level}", x), doubled], dim=1)
            seen = self._layer(f"inter_conv{level}", x) if self._smooth else x
            flow = self._layer(f"predict_flow{level}", seen)
        return flow

    def _layer(self, name: str, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.get_submodule(name)(x)
        return result


class _FlowNet(_CoarseToFine):
    """What FlowNetC, FlowNetS and FlowNetSD share: the coarse half of the encoder, and the decoder from 1/64 to 1/4."""

    def _add_top(self, width: float, smooth: bool = False, bias: bool = True) -> None:
        c256, c512, c1024 = scaled(256, width), scaled(512, width), scaled(1024, width)
        self.conv4 = conv(c256, c512, stride=2)
        self.conv4_1 = conv(c512, c512)
        self.conv5 = conv(c512, c512, stride=2)
        self.conv5_1 = conv(c512, c512)
        self.conv6 = conv(c512, c1024, stride=2)
        self.conv6_1 = conv(c1024, c1024)
        skips = {6: c1024, 5: c512, 4: c512, 3: c256, 2: scaled(128, width)}
        up = {level: scaled(channels, width) for level, channels in _UP.items()}
        self._add_decoder(skips, up, smooth=smooth, bias=bias)

    def _flow(self, quarter: torch.Tensor, eighth: torch.Tensor) -> torch.Tensor:
        x4 = self.conv4_1(self.conv4(eighth))
        x5 = self.conv5_1(self.conv5(x4))
        x6 = self.conv6_1(self.conv6(x5))
        return self._decode({6: x6, 5: x5, 4: x4, 3: eighth, 2: quarter})


class FlowNetC(_FlowNet):
    """Compares the features of two pictures in a cost volume.

    Args:
        width: Factor of all channels.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        c64, c128, c256 = scaled(64, width), scaled(128, width), scaled(256, width)
        self.conv1 = conv(3, c64, 7, 2)
        self.conv2 = conv(c64, c128, 5, 2)
        self.conv3 = conv(c128, c256, 5, 2)
        self.conv_redir = conv(c256, scaled(32, width), 1)
        self.conv3_1 = conv(scaled(32, width) + _COST, c256)
        self._add_top(width)

    def forward(self, pair: torch.Tensor) -> torch.Tensor:
        """Map two pictures ``[B, 6, H, W]`` to their flow ``[B, 2, H/4, W/4]``, in 20 pixels."""
        quarter = self.conv2(self.conv1(torch.cat(pair.chunk(2, dim=1))))
        first, second = self.conv3(quarter).chunk(2)
        cost = F.leaky_relu(correlation(first, second), SLOPE)
        eighth = self.conv3_1(torch.cat([self.conv_redir(first), cost], dim=1))
        return self._flow(quarter.chunk(2)[0], eighth)


class FlowNetS(_FlowNet):
    """Plain convolutions on all that is known, stacked.

    Args:
        inputs: Channels of the input.
        width: Factor of all channels.
    """

    def __init__(self, inputs: int = 12, width: float = 1.0) -> None:
        super().__init__()
        c64, c128, c256 = scaled(64, width), scaled(128, width), scaled(256, width)
        self.conv1 = conv(inputs, c64, 7, 2)
        self.conv2 = conv(c64, c128, 5, 2)
        self.conv3 = conv(c128, c256, 5, 2)
        self.conv3_1 = conv(c256, c256)
        self._add_top(width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``[B, C, H, W]`` to a flow ``[B, 2, H/4, W/4]``, in 20 pixels."""
        quarter = self.conv2(self.conv1(x))
        return self._flow(quarter, self.conv3_1(self.conv3(quarter)))


class FlowNetSD(_FlowNet):
    """For small displacements: small kernels, and smoother predictions.

    Args:
        width: Factor of all channels.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        c64, c128, c256 = scaled(64, width), scaled(128, width), scaled(256, width)
        self.conv0 = conv(6, c64)
        self.conv1 = conv(c64, c64, stride=2)
        self.conv1_1 = conv(c64, c128)
        self.conv2 = conv(c128, c128, stride=2)
        self.conv2_1 = conv(c128, c128)
        self.conv3 = conv(c128, c256, stride=2)
        self.conv3_1 = conv(c256, c256)
        self._add_top(width, smooth=True)

    def forward(self, pair: torch.Tensor) -> torch.Tensor:
        """Map two pictures ``[B, 6, H, W]`` to their flow ``[B, 2, H/4, W/4]``, in 1/20 pixel."""
        quarter = self.conv2_1(self.conv2(self.conv1_1(self.conv1(self.conv0(pair)))))
        return self._flow(quarter, self.conv3_1(self.conv3(quarter)))


class FlowFusion(_CoarseToFine):
    """Makes one flow of two, from how well each explains the first picture.

    Args:
        width: Factor of all channels.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        c64, c128 = scaled(64, width), scaled(128, width)
        self.conv0 = conv(11, c64)
        self.conv1 = conv(c64, c64, stride=2)
        self.conv1_1 = conv(c64, c128)
        self.conv2 = conv(c128, c128, stride=2)
        self.conv2_1 = conv(c128, c128)
        up = {1: scaled(32, width), 0: scaled(16, width)}
        self._add_decoder({2: c128, 1: c128, 0: c64}, up, smooth=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``[B, 11, H, W]`` to a flow ``[B, 2, H, W]``, in pixels."""
        whole = self.conv0(x)
        half = self.conv1_1(self.conv1(whole))
        return self._decode({2: self.conv2_1(self.conv2(half)), 1: half, 0: whole})
