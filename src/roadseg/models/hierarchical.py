"""Hierarchical multi-scale attention: a network learns how far to trust each scale against the one above it.

Tao, Sapra, Catanzaro: Hierarchical Multi-Scale Attention for Semantic Segmentation, arXiv 2005.10821, 2020.

The network sees one scale at a time and gives logits and an attention map. Predictions of adjacent scales are blended
from the largest scale down: where the attention of the smaller scale is high, its logits replace what the larger scales
said. It is trained with the scales 0.5 and 1 alone, and may be run with any scales
(`roadseg.inference.strategies.Hierarchical`).

To give another network this ability, let it

* build an `AttentionHead` as ``scale_attn`` on the features that its classifier sees (the published DeepLab variants
  have it on the concatenated skip and context features);
* run one scale in a method that returns ``Output(logits, aux, attention)`` at its own stride, with ``aux`` empty in
  evaluation;
* have ``forward`` return what that method returns in evaluation, and ``two_scales(method, images)`` in training.
"""

from collections.abc import Callable, Iterable

import torch
from torch import nn

from roadseg.models.blocks import resize
from roadseg.models.hrnet import HRNet, joined
from roadseg.models.ocr import OCRHead
from roadseg.models.output import Output

__all__ = [
    "AttentionHead",
    "HRNetOCRHierarchical",
    "fuse",
    "fuse_scales",
    "hrnet_ocr_w48_hms",
    "scaled_size",
    "two_scales",
]


class AttentionHead(nn.Module):
    """Two 3x3 convolutions and a 1x1 convolution, to one map in 0..1 (paper, section 3.1).

    Args:
        in_channels: Channels of the features.
        width: Hidden channels.
    """

    def __init__(self, in_channels: int, width: int = 256) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        self.bn0 = nn.BatchNorm2d(width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, 1, 1, bias=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map features ``[B, in_channels, h, w]`` to attention ``[B, 1, h, w]``."""
        x = self.bn0(self.conv0(features)).relu_()
        x = self.bn1(self.conv1(x)).relu_()
        return torch.sigmoid(self.conv2(x))


def scaled_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """Return the height and width of an image at another scale: rounded down, and at least one pixel."""
    return max(1, int(size[0] * scale)), max(1, int(size[1] * scale))


def _at(x: torch.Tensor, size: tuple[int, int], align_corners: bool) -> torch.Tensor:
    return x if x.shape[-2:] == size else resize(x, size, align_corners)


def fuse(
    above: torch.Tensor,
    logits: torch.Tensor,
    attention: torch.Tensor,
    size: tuple[int, int],
    *,
    align_corners: bool = False,
) -> torch.Tensor:
    """Blend a scale into the joint prediction of the larger scales (paper, equation 1).

    The logits are weighted at the size of their own scale, before they are resized, as in the published code.

    Args:
        above: ``[B, C, H, W]``, joint prediction of the larger scales.
        logits: ``[B, C, h, w]``, prediction of this scale, at the size of its image.
        attention: ``[B, 1, h, w]``, how far to trust it.
        size: Height and width of the result.
        align_corners: How maps are resized.

    Returns:
        ``[B, C, *size]``.
    """
    weighted = _at(attention * logits, size, align_corners)
    rest = 1 - _at(attention, size, align_corners)
    return weighted + rest * _at(above, size, align_corners)


def fuse_scales(
    predictions: Iterable[tuple[float, torch.Tensor, torch.Tensor]], *, align_corners: bool = False
) -> torch.Tensor:
    """Blend the predictions of several scales, from the largest to the smallest.

    Above the image's own size the joint prediction shrinks to each scale in turn; below it, it stays at the image's
    size, and the smaller scales are brought up to it. The attention of the largest scale is not used.

    Args:
        predictions: Scale, logits ``[B, C, h, w]`` and attention ``[B, 1, h, w]``, both at the size of the image at
            that scale; from the largest scale to the smallest, with 1 among them. May be lazy.
        align_corners: How maps are resized.

    Returns:
        The joint logits ``[B, C, H, W]`` at the size of scale 1.

    Raises:
        ValueError: If the scales do not descend, or 1 is not among them.
    """
    joint, last, seen = None, float("inf"), False
    for scale, logits, attention in predictions:
        if scale >= last:
            raise ValueError(f"scales have to descend, but {scale} comes after {last}")
        last, seen = scale, seen or scale == 1
        if joint is None:
            joint = logits
        else:
            own, above = logits.shape[-2:], joint.shape[-2:]
            size = (own[0], own[1]) if scale >= 1 else (above[0], above[1])
            joint = fuse(joint, logits, attention, size, align_corners=align_corners)
    if joint is None or not seen:
        raise ValueError("scale 1 has to be among the scales: the joint prediction has its size")
    return joint


def two_scales(
    single: Callable[[torch.Tensor], Output],
    images: torch.Tensor,
    *,
    low_scale: float = 0.5,
    align_corners: bool = False,
) -> Output:
    """Run a network in training at a low scale and at the image's own, and join the two (paper, section 3.2).

    All maps returned have the size of the images: the published loss takes the joint prediction where the two scales
    are blended, and blending at the stride of the network would not give the same gradients.

    Args:
        single: Runs one scale: images to logits, auxiliary logits and attention, at the network's own stride.
        images: ``[B, 3, H, W]``.
        low_scale: The low scale.
        align_corners: How maps are resized.

    Returns:
        The joint logits; in ``aux`` the joint auxiliary logits (as many as the network has, blended by the same
        attention), the low scale's logits, and the high scale's.
    """
    size = (images.shape[-2], images.shape[-1])
    low_size = scaled_size(size, low_scale)
    high = single(images)
    low = single(resize(images, low_size, align_corners))
    if low.attention is None:
        raise ValueError("a network without attention cannot be trained at two scales")
    attention = resize(low.attention, low_size, align_corners)

    def upsampled(x: torch.Tensor, to: tuple[int, int]) -> torch.Tensor:
        return resize(x, to, align_corners)

    pairs = [(high.logits, low.logits), *zip(high.aux, low.aux, strict=True)]
    full = [(upsampled(above, size), upsampled(below, low_size)) for above, below in pairs]
    joint = [fuse(above, below, attention, size, align_corners=align_corners) for above, below in full]
    high_logits, low_logits = full[0]
    return Output(joint[0], (*joint[1:], upsampled(low_logits, size), high_logits))


class HRNetOCRHierarchical(nn.Module):
    """HRNet with OCR and hierarchical attention (paper, section 4; the published flagship network).

    In evaluation it runs the scale it is given: logits and attention. In training it runs the low scale and the
    image's own, and returns their joint prediction at the size of the image.

    Args:
        num_classes: Channels of the logits.
        backbone: The trunk; None for HRNet-W48.
        width: Channels of the pixel features of the OCR head; half as many are used within its attention.
        attention_width: Hidden channels of the attention head.
        low_scale: Low scale of the training.
    """

    align_corners = False

    def __init__(
        self,
        num_classes: int,
        *,
        backbone: HRNet | None = None,
        width: int = 512,
        attention_width: int = 256,
        low_scale: float = 0.5,
    ) -> None:
        super().__init__()
        if not 0 < low_scale < 1:
            raise ValueError(f"the low scale lies between 0 and 1, not at {low_scale}")
        self.num_classes = num_classes
        self.low_scale = low_scale
        self.backbone = HRNet() if backbone is None else backbone
        self.stride = self.backbone.stride
        self.ocr = OCRHead(sum(self.backbone.channels), num_classes, width=width)
        self.scale_attn = AttentionHead(width, attention_width)

    def single_scale(self, images: torch.Tensor) -> Output:
        """Map images ``[B, 3, H, W]`` to logits, in training the auxiliary logits, and attention, at 1/4."""
        logits, aux, features = self.ocr(joined(self.backbone(images)))
        return Output(logits, (aux,) if self.training else (), self.scale_attn(features))

    def forward(self, images: torch.Tensor) -> Output:
        """Map normalized images ``[B, 3, H, W]`` to logits.

        In evaluation: logits and attention at ceil(H/4) x ceil(W/4), of this scale alone. In training: the joint
        logits of two scales, at H x W, and ``aux`` with the joint auxiliary logits, those of the low scale and those
        of the high scale, all at H x W.
        """
        if not self.training:
            return self.single_scale(images)
        return two_scales(self.single_scale, images, low_scale=self.low_scale)


def hrnet_ocr_w48_hms(num_classes: int, *, low_scale: float = 0.5) -> HRNetOCRHierarchical:
    """Build HRNet-W48 with OCR and hierarchical attention: 72.1 M parameters for 19 classes."""
    return HRNetOCRHierarchical(num_classes, low_scale=low_scale)
