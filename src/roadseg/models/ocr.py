"""Object-contextual representations: each pixel is described by the classes it resembles, over the whole image.

Yuan, Chen, Wang: Object-Contextual Representations for Semantic Segmentation, ECCV 2020, arXiv 1909.11065.

An auxiliary classifier makes a coarse segmentation; the mean feature of each class in it is that class's object vector;
every pixel then attends to these vectors. The parameter names are those of the published networks (HRNet with OCR by
its authors and by NVIDIA).
"""

import torch
from torch import nn

from roadseg.models.hrnet import HRNet, joined
from roadseg.models.output import Output

__all__ = ["HRNetOCR", "OCRHead", "hrnet_ocr_w48", "object_vectors"]


def _bn_relu(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))


def _projection(in_channels: int, out_channels: int) -> list[nn.Module]:
    return [nn.Conv2d(in_channels, out_channels, 1, bias=False), _bn_relu(out_channels)]


def object_vectors(features: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """Average the features of the pixels of each class (paper, equation 2).

    Args:
        features: ``[B, D, h, w]``.
        scores: ``[B, C, h, w]``, coarse logits; their softmax over all pixels weighs the average of a class.

    Returns:
        ``[B, D, C, 1]``.
    """
    weights = scores.flatten(2).softmax(dim=2)
    return (features.flatten(2) @ weights.transpose(1, 2)).unsqueeze(3)


class _ObjectAttention(nn.Module):
    """Attention of pixels (queries) to object vectors (keys, values) (paper, equations 3 to 5)."""

    def __init__(self, channels: int, key_channels: int) -> None:
        super().__init__()
        self.f_pixel = nn.Sequential(
            *_projection(channels, key_channels), *_projection(key_channels, key_channels)
        )
        self.f_object = nn.Sequential(
            *_projection(channels, key_channels), *_projection(key_channels, key_channels)
        )
        self.f_down = nn.Sequential(*_projection(channels, key_channels))
        self.f_up = nn.Sequential(*_projection(key_channels, channels))

    def forward(self, features: torch.Tensor, objects: torch.Tensor) -> torch.Tensor:
        """Map features ``[B, D, h, w]`` and vectors ``[B, D, C, 1]`` to context ``[B, D, h, w]``."""
        query = self.f_pixel(features)
        key = self.f_object(objects).flatten(2)
        value = self.f_down(objects).flatten(2)
        likeness = query.flatten(2).transpose(1, 2) @ key * key.shape[1] ** -0.5
        context = value @ likeness.softmax(dim=2).transpose(1, 2)
        return self.f_up(context.reshape(query.shape))  # type: ignore[no-any-return]


class _DistributionHead(nn.Module):
    """Join the context with the pixel features (paper, equation 6)."""

    def __init__(self, channels: int, key_channels: int, dropout: float) -> None:
        super().__init__()
        self.object_context_block = _ObjectAttention(channels, key_channels)
        self.conv_bn_dropout = nn.Sequential(*_projection(2 * channels, channels), nn.Dropout2d(dropout))

    def forward(self, features: torch.Tensor, objects: torch.Tensor) -> torch.Tensor:
        context = self.object_context_block(features, objects)
        return self.conv_bn_dropout(torch.cat([context, features], dim=1))  # type: ignore[no-any-return]


class OCRHead(nn.Module):
    """The OCR head with its auxiliary classifier (paper, figure 3).

    Args:
        in_channels: Channels of the trunk's features.
        num_classes: Channels of the logits.
        width: Channels of the pixel features; half as many are used for queries, keys and values.
        dropout: Share of the features that are dropped in training, whole channels at once.
    """

    def __init__(
        self, in_channels: int, num_classes: int, *, width: int = 512, dropout: float = 0.05
    ) -> None:
        super().__init__()
        self.conv3x3_ocr = nn.Sequential(nn.Conv2d(in_channels, width, 3, padding=1), _bn_relu(width))
        self.ocr_distri_head = _DistributionHead(width, width // 2, dropout)
        self.cls_head = nn.Conv2d(width, num_classes, 1)
        self.aux_head = nn.Sequential(
            nn.Conv2d(in_channels, in_channels, 1),
            _bn_relu(in_channels),
            nn.Conv2d(in_channels, num_classes, 1),
        )

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Map features ``[B, in_channels, h, w]`` to logits, auxiliary logits and ``width`` features.

        The auxiliary logits are needed in evaluation too: they define the object vectors.
        """
        aux = self.aux_head(x)
        pixels = self.conv3x3_ocr(x)
        features = self.ocr_distri_head(pixels, object_vectors(pixels, aux))
        return self.cls_head(features), aux, features


class HRNetOCR(nn.Module):
    """HRNet with the OCR head.

    Args:
        num_classes: Channels of the logits.
        backbone: The trunk; None for HRNet-W48.
        width: Channels of the pixel features.
    """

    align_corners = False

    def __init__(self, num_classes: int, *, backbone: HRNet | None = None, width: int = 512) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.backbone = HRNet() if backbone is None else backbone
        self.stride = self.backbone.stride
        self.ocr = OCRHead(sum(self.backbone.channels), num_classes, width=width)

    def forward(self, images: torch.Tensor) -> Output:
        """Map normalized images ``[B, 3, H, W]`` to logits ``[B, C, ceil(H/4), ceil(W/4)]``.

        In training, ``aux`` holds the coarse logits that define the object vectors, at the same size.
        """
        logits, aux, _ = self.ocr(joined(self.backbone(images)))
        return Output(logits, (aux,) if self.training else ())


def hrnet_ocr_w48(num_classes: int) -> HRNetOCR:
    """Build HRNet-W48 with OCR: 70.4 M parameters for 19 classes."""
    return HRNetOCR(num_classes)
