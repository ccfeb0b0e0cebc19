"""CGNet: a small network whose every block joins a place with its surroundings and the whole map.

Wu, Tang, Zhang, Cao, Zhang: CGNet: A Light-weight Context Guided Network for Semantic Segmentation, 2018,
arXiv 1811.08201 (IEEE Transactions on Image Processing, 2021).

The parameter names are those of the published checkpoints.
"""

import torch
import torch.nn.functional as F
from torch import nn

from roadseg.models.output import Output

__all__ = ["CGNet", "cgnet"]

_IMAGE = 3
_BN_EPS = 1e-3
_DILATION2, _DILATION3 = 2, 4
_REDUCTION2, _REDUCTION3 = 8, 16


class _Conv(nn.Module):
    """A same-size convolution without bias, one level down as in the published names."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, dilation: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        padding = kernel // 2 * dilation
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel, 1, padding, dilation, groups=groups, bias=False
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)  # type: ignore[no-any-return]


class _NormAct(nn.Module):
    """Batch normalization, then a PReLU with one slope per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels, eps=_BN_EPS)
        self.act = nn.PReLU(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.bn(x))  # type: ignore[no-any-return]


class _ConvNormAct(_NormAct):
    """A convolution, batch normalization, PReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__(out_channels)
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(self.conv(x))


class _GlobalContext(nn.Module):
    """Weigh the channels by what the whole map holds (f_glo of the paper)."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        width = channels // reduction
        self.fc = nn.Sequential(
            nn.Linear(channels, width), nn.ReLU(inplace=True), nn.Linear(width, channels), nn.Sigmoid()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.fc(x.mean((2, 3)))[:, :, None, None]  # type: ignore[no-any-return]


class _Surroundings(nn.Module):
    """What both kinds of context guided block share: a 3x3 filter per channel beside a dilated one, joined."""

    def __init__(self, width: int, dilation: int, out_channels: int, reduction: int) -> None:
        super().__init__()
        self.F_loc = _Conv(width, width, 3, groups=width)
        self.F_sur = _Conv(width, width, 3, dilation, groups=width)
        self.F_glo = _GlobalContext(out_channels, reduction)

    def join(self, x: torch.Tensor) -> torch.Tensor:
        """Return local features and surrounding context ``[B, 2 * width, H, W]``."""
        return torch.cat([self.F_loc(x), self.F_sur(x)], dim=1)


class _Downsample(_Surroundings):
    """The first block of a stage: halves the map.

    Its ``conv1x1`` is a strided 3x3 convolution; the name is the published one.
    """

    def __init__(self, in_channels: int, out_channels: int, dilation: int, reduction: int) -> None:
        super().__init__(out_channels, dilation, out_channels, reduction)
        self.conv1x1 = _ConvNormAct(in_channels, out_channels, 3, stride=2)
        self.bn = nn.BatchNorm2d(2 * out_channels, eps=_BN_EPS)
        self.act = nn.PReLU(2 * out_channels)
        self.reduce = _Conv(2 * out_channels, out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        joined = self.act(self.bn(self.join(self.conv1x1(x))))
        return self.F_glo(self.reduce(joined))  # type: ignore[no-any-return]


class _ContextGuided(_Surroundings):
    """Context guided block with a residual connection around all of it ("global residual learning")."""

    def __init__(self, channels: int, dilation: int, reduction: int) -> None:
        width = channels // 2
        super().__init__(width, dilation, channels, reduction)
        self.conv1x1 = _ConvNormAct(channels, width, 1)
        self.bn_prelu = _NormAct(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        joined = self.bn_prelu(self.join(self.conv1x1(x)))
        return x + self.F_glo(joined)  # type: ignore[no-any-return]


class CGNet(nn.Module):
    """CGNet.

    Args:
        num_classes: Channels of the logits.
        m: Blocks at 1/4 of the image, the halving one included.
        n: Blocks at 1/8 of the image, the halving one included.
        widths: Channels at 1/2, 1/4 and 1/8 of the image; the latter two are multiples of 8 and 16.

    Raises:
        ValueError: If a stage has fewer than two blocks: its halving block's output is joined with its last one's.
    """

    stride = 8
    align_corners = False

    def __init__(
        self, num_classes: int, *, m: int = 3, n: int = 21, widths: tuple[int, int, int] = (32, 64, 128)
    ) -> None:
        super().__init__()
        if min(m, n) < 2:
            raise ValueError(f"m={m}, n={n} is no network: each stage needs at least two blocks")
        self.num_classes = num_classes
        half, quarter, eighth = widths
        self.level1_0 = _ConvNormAct(_IMAGE, half, 3, stride=2)
        self.level1_1 = _ConvNormAct(half, half, 3)
        self.level1_2 = _ConvNormAct(half, half, 3)
        self.b1 = _NormAct(half + _IMAGE)
        self.level2_0 = _Downsample(half + _IMAGE, quarter, _DILATION2, _REDUCTION2)
        self.level2 = nn.Sequential(*(_ContextGuided(quarter, _DILATION2, _REDUCTION2) for _ in range(m - 1)))
        self.bn_prelu_2 = _NormAct(2 * quarter + _IMAGE)
        self.level3_0 = _Downsample(2 * quarter + _IMAGE, eighth, _DILATION3, _REDUCTION3)
        self.level3 = nn.Sequential(*(_ContextGuided(eighth, _DILATION3, _REDUCTION3) for _ in range(n - 1)))
        self.bn_prelu_3 = _NormAct(2 * eighth)
        self.classifier = nn.Sequential(_Conv(2 * eighth, num_classes, 1))

    def forward(self, images: torch.Tensor) -> Output:
        """Map normalized images ``[B, 3, H, W]`` to logits ``[B, C, ceil(H/8), ceil(W/8)]``."""
        half = _shrink(images)
        level1 = self.level1_2(self.level1_1(self.level1_0(images)))
        down2 = self.level2_0(self.b1(torch.cat([level1, half], dim=1)))
        level2 = torch.cat([self.level2(down2), down2, _shrink(half)], dim=1)
        down3 = self.level3_0(self.bn_prelu_2(level2))
        level3 = torch.cat([down3, self.level3(down3)], dim=1)
        return Output(self.classifier(self.bn_prelu_3(level3)))


def _shrink(x: torch.Tensor) -> torch.Tensor:
    """Halve ``[B, C, H, W]`` by overlapping averages; borders count the padding, as in the published weights."""
    return F.avg_pool2d(x, 3, stride=2, padding=1)


def cgnet(num_classes: int, *, m: int = 3, n: int = 21) -> CGNet:
    """Build `CGNet`: 0.50 M parameters, 27 G multiply-adds at 1024 x 2048."""
    return CGNet(num_classes, m=m, n=n)
