"""DeepLabV3+ with hierarchical multi-scale attention.

Tao, Sapra, Catanzaro: Hierarchical Multi-Scale Attention for Semantic Segmentation, arXiv 2005.10821, 2020, whose
ablations (section 4.1) are of this network on ResNet-50. The attention is read off what the decoder classifies: the
detail of the trunk beside the context. How scales are blended is told in `roadseg.models.hierarchical`.
"""

from collections.abc import Sequence

import torch

from roadseg.models.deeplab import Context, DeepLabV3Plus, OutputStride, Skip, Trunk, TrunkName, trunk
from roadseg.models.hierarchical import AttentionHead, two_scales
from roadseg.models.output import Output

__all__ = ["DeepLabV3PlusHierarchical", "deeplabv3plus_hms"]


class DeepLabV3PlusHierarchical(DeepLabV3Plus):
    """`DeepLabV3Plus` that learns how far to trust each scale.

    In evaluation it runs the scale it is given: logits and attention. In training it runs the low scale and the
    image's own, and returns their joint prediction at the size of the image.

    Args:
        num_classes: Channels of the logits.
        backbone: The trunk.
        context: The context module.
        rates: Of the context's 3x3 convolutions, if not those of the paper (ASPP only).
        skip: Which map of the trunk the decoder takes its detail from; its resolution is that of the logits.
        width: Channels of the context's branches and of the decoder.
        attention_width: Hidden channels of the attention head.
        low_scale: Low scale of the training.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: Trunk,
        *,
        context: Context = "aspp",
        rates: Sequence[int] | None = None,
        skip: Skip = 1,
        width: int = 256,
        attention_width: int = 256,
        low_scale: float = 0.5,
    ) -> None:
        super().__init__(num_classes, backbone, context=context, rates=rates, skip=skip, width=width)
        if not 0 < low_scale < 1:
            raise ValueError(f"the low scale lies between 0 and 1, not at {low_scale}")
        self.low_scale = low_scale
        self.scale_attn = AttentionHead(self.decoder.channels, attention_width)

    def single_scale(self, images: torch.Tensor) -> Output:
        """Map images ``[B, 3, H, W]`` to logits and attention at the network's stride."""
        features = self.features(images)
        return Output(self.decoder.head(features), attention=self.scale_attn(features))

    def forward(self, images: torch.Tensor) -> Output:
        """Map normalized images ``[B, 3, H, W]`` to logits.

        In evaluation: logits and attention at ceil(H/stride) x ceil(W/stride), of this scale alone. In training: the
        joint logits of two scales, at H x W, and ``aux`` with those of the low and of the high scale, at H x W.
        """
        if not self.training:
            return self.single_scale(images)
        return two_scales(self.single_scale, images, low_scale=self.low_scale)


def deeplabv3plus_hms(
    num_classes: int,
    *,
    backbone: TrunkName = "resnet50",
    output_stride: OutputStride = 8,
    context: Context = "aspp",
    rates: Sequence[int] | None = None,
    skip: Skip = 1,
    low_scale: float = 0.5,
) -> DeepLabV3PlusHierarchical:
    """Build `DeepLabV3PlusHierarchical` on a published trunk."""
    return DeepLabV3PlusHierarchical(
        num_classes,
        trunk(backbone, output_stride),
        context=context,
        rates=rates,
        skip=skip,
        low_scale=low_scale,
    )
