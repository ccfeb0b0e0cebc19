"""HRNet: a trunk that keeps a high-resolution branch all the way, beside branches of lower resolution.

Wang et al.: Deep High-Resolution Representation Learning for Visual Recognition, TPAMI 2020, arXiv 1908.07919;
Sun et al.: High-Resolution Representations for Labeling Pixels and Regions (HRNetV2), arXiv 1904.04514.

The trunk's parameter names are those of its authors (and of timm), so ImageNet weights of either load; these were
trained with nearest-neighbor upsampling where branches are fused, while all segmentation networks upsample bilinearly.
Branches are joined at the size of the higher-resolution one, so any image size works.
"""

from collections.abc import Sequence

import torch
from torch import nn

from roadseg.models.blocks import conv_bn_relu, resize
from roadseg.models.output import Output
from roadseg.models.resnet import BasicBlock, Bottleneck

__all__ = ["HRNet", "HRNetSegmentation", "hrnet_w48", "hrnet_w48_mseg", "joined"]


def _conv_bn(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> list[nn.Module]:
    return conv_bn_relu(in_channels, out_channels, kernel_size, stride)[:2]


def _downsampling(in_channels: int, out_channels: int, steps: int) -> nn.Sequential:
    """Halve ``steps`` times by 3x3 convolutions; the last one has the new width and no ReLU."""
    halvings = [nn.Sequential(*conv_bn_relu(in_channels, in_channels, 3, 2)) for _ in range(steps - 1)]
    return nn.Sequential(*halvings, nn.Sequential(*_conv_bn(in_channels, out_channels, 3, 2)))


class _Module(nn.Module):
    """Residual blocks on every branch, then an exchange between all of them (TPAMI paper, section 3.2).

    Args:
        widths: Channels of the branches, highest resolution first.
        blocks: Residual blocks per branch.
    """

    def __init__(self, widths: Sequence[int], blocks: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(width, width) for _ in range(blocks))) for width in widths
        )
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(self._exchange(widths, source, target) for source in range(len(widths)))
            for target in range(len(widths))
        )

    @staticmethod
    def _exchange(widths: Sequence[int], source: int, target: int) -> nn.Module:
        if source < target:
            return _downsampling(widths[source], widths[target], target - source)
        if source > target:
            return nn.Sequential(*_conv_bn(widths[source], widths[target], 1))
        return nn.Identity()

    def forward(self, features: list[torch.Tensor]) -> list[torch.Tensor]:
        """Map the branches ``[B, widths[i], h_i, w_i]`` to as many of the same sizes."""
        features = [branch(x) for branch, x in zip(self.branches, features, strict=True)]
        return [self._fused(target, features) for target in range(len(features))]

    def _fused(self, target: int, features: list[torch.Tensor]) -> torch.Tensor:
        size = features[target].shape[-2], features[target].shape[-1]
        total = self.fuse_layers[target][0](features[0])  # type: ignore[index]
        for source in range(1, len(features)):
            part = self.fuse_layers[target][source](features[source])  # type: ignore[index]
            total = total + (resize(part, size, align_corners=False) if source > target else part)
        return total.relu()  # type: ignore[no-any-return]


class _Stage(nn.Sequential):
    """Modules one after the other."""

    def __init__(self, modules: int, widths: Sequence[int], blocks: int) -> None:
        super().__init__(*(_Module(widths, blocks) for _ in range(modules)))


class HRNet(nn.Module):
    """The trunk (HRNetV2), without a classifier.

    Args:
        width: Channels of the branch of the highest resolution: 18, 32, 48 ... Each further branch has twice as many.
        modules: Modules in the stages of two, three and four branches.
        blocks: Residual blocks per branch and module.
        first_stage: Number of bottlenecks in the stage of one branch, and their width.
        stem_width: Channels of the two first convolutions.
        momentum: Momentum of the batch normalizations.
    """

    stride = 4

    def __init__(
        self,
        width: int = 48,
        *,
        modules: tuple[int, int, int] = (1, 4, 3),
        blocks: int = 4,
        first_stage: tuple[int, int] = (4, 64),
        stem_width: int = 64,
        momentum: float = 0.1,
    ) -> None:
        super().__init__()
        widths = self.channels = tuple(width * 2**branch for branch in range(4))
        self.conv1 = nn.Conv2d(3, stem_width, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem_width)
        self.conv2 = nn.Conv2d(stem_width, stem_width, 3, 2, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(stem_width)
        depth, inner = first_stage
        outer = inner * Bottleneck.expansion
        self.layer1 = nn.Sequential(
            *(Bottleneck(outer if index else stem_width, inner) for index in range(depth))
        )
        self.transition1 = nn.ModuleList(
            [
                nn.Sequential(*conv_bn_relu(outer, widths[0], 3)),
                nn.Sequential(nn.Sequential(*conv_bn_relu(outer, widths[1], 3, 2))),
            ]
        )
        self.stage2 = _Stage(modules[0], widths[:2], blocks)
        self.transition2 = self._transition(widths[:3])
        self.stage3 = _Stage(modules[1], widths[:3], blocks)
        self.transition3 = self._transition(widths)
        self.stage4 = _Stage(modules[2], widths, blocks)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.001)
            elif isinstance(module, nn.BatchNorm2d):
                module.momentum = momentum

    @staticmethod
    def _transition(widths: Sequence[int]) -> nn.ModuleList:
        """One more branch, from the lowest-resolution one; the others pass."""
        new = nn.Sequential(nn.Sequential(*conv_bn_relu(widths[-2], widths[-1], 3, 2)))
        return nn.ModuleList([*(nn.Identity() for _ in widths[:-1]), new])

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Map images ``[B, 3, H, W]`` to the four branches ``[B, channels[i], h_i, w_i]``, at 1/4, 1/8, 1/16, 1/32."""
        x = self.bn1(self.conv1(images)).relu_()
        x = self.bn2(self.conv2(x)).relu_()
        x = self.layer1(x)
        features = self.stage2([transition(x) for transition in self.transition1])
        features = self.stage3([*features, self.transition2[-1](features[-1])])
        return tuple(self.stage4([*features, self.transition3[-1](features[-1])]))


def joined(branches: Sequence[torch.Tensor]) -> torch.Tensor:
    """Concatenate all branches at the size of the first one (HRNetV2's representation)."""
    first = branches[0]
    size = first.shape[-2], first.shape[-1]
    return torch.cat([first, *(resize(x, size, align_corners=False) for x in branches[1:])], dim=1)


class HRNetSegmentation(nn.Module):
    """HRNet with a plain classifier on all branches together.

    Args:
        num_classes: Channels of the logits.
        backbone: The trunk; None for HRNet-W48.
        head: Two 3x3 convolutions (``"3x3"``, NVIDIA), or one 1x1 convolution (``"1x1"``, the paper and MSeg).
        head_width: Hidden channels of the 3x3 head.
        align_corners: How the logits are to be upsampled to the image.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        backbone: HRNet | None = None,
        head: str = "3x3",
        head_width: int = 256,
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        if head not in ("1x1", "3x3"):
            raise ValueError(f"the head is 1x1 or 3x3, not {head}")
        self.num_classes = num_classes
        self.align_corners = align_corners
        self.backbone = HRNet() if backbone is None else backbone
        self.stride = self.backbone.stride
        channels = sum(self.backbone.channels)
        if head == "3x3":
            self.seg_head = nn.Sequential(
                *conv_bn_relu(channels, head_width, 3),
                *conv_bn_relu(head_width, head_width, 3),
                nn.Conv2d(head_width, num_classes, 1, bias=False),
            )
        else:
            momentum = self.backbone.bn1.momentum
            self.last_layer = nn.Sequential(
                nn.Conv2d(channels, channels, 1),
                nn.BatchNorm2d(channels, momentum=momentum),
                nn.ReLU(inplace=True),
                nn.Conv2d(channels, num_classes, 1),
            )
        self.head = head

    def forward(self, images: torch.Tensor) -> Output:
        """Map normalized images ``[B, 3, H, W]`` to logits ``[B, C, ceil(H/4), ceil(W/4)]``."""
        features = joined(self.backbone(images))
        return Output(self.seg_head(features) if self.head == "3x3" else self.last_layer(features))


def hrnet_w48(num_classes: int) -> HRNetSegmentation:
    """Build HRNet-W48 with a head of two 3x3 convolutions: 67.6 M parameters for 19 classes."""
    return HRNetSegmentation(num_classes)


def hrnet_w48_mseg(num_classes: int, *, align_corners: bool = True) -> HRNetSegmentation:
    """Build HRNet-W48 with the 1x1 head of the paper and of MSeg: 66.0 M parameters for 194 classes."""
    return HRNetSegmentation(
        num_classes, backbone=HRNet(momentum=0.01), head="1x1", align_corners=align_corners
    )
