"""The segmentation networks of torchvision: FCN, DeepLabV3 and LR-ASPP.

Long, Shelhamer, Darrell: Fully Convolutional Networks, CVPR 2015, arXiv 1411.4038; Chen et al.: Rethinking Atrous
Convolution, arXiv 1706.05587; Howard et al.: Searching for MobileNetV3, ICCV 2019, arXiv 1905.02244.

torchvision resizes the logits to the image at the end; here they stay at the network's own stride. Everything else is
torchvision's own, and so are the parameter names. Its strided layers give ceil(H / stride) cells for any image, so
nothing is padded. Weights are never downloaded.
"""

from typing import Any

import torch
from torch import nn

from roadseg.errors import RecipeError
from roadseg.models.generic import TORCHVISION
from roadseg.models.output import Output

__all__ = ["TorchvisionNet", "torchvision_net"]


class TorchvisionNet(nn.Module):
    """A segmentation network of torchvision that returns its logits as they are.

    Args:
        network: What a function of ``torchvision.models.segmentation`` returned; its parts are taken over.
        num_classes: Channels of its logits.
        stride: Image pixels per logit cell.
    """

    align_corners = False  # how torchvision resizes

    def __init__(self, network: Any, num_classes: int, stride: int) -> None:  # noqa: ANN401 - not typed there
        super().__init__()
        self.num_classes = num_classes
        self.stride = stride
        self.backbone: nn.Module = network.backbone
        self.classifier: nn.Module = network.classifier
        self.aux_classifier: nn.Module | None = getattr(network, "aux_classifier", None)
        # LR-ASPP classifies two maps, the others one.
        self._takes_all = not isinstance(network.classifier, nn.Sequential)

    def forward(self, images: torch.Tensor) -> Output:
        """Map normalized images ``[B, 3, H, W]`` to logits ``[B, C, ceil(H/stride), ceil(W/stride)]``.

        In training, ``aux`` holds the logits of the auxiliary classifier if there is one.
        """
        maps = self.backbone(images)
        logits = self.classifier(maps if self._takes_all else maps["out"])
        if not self.training or self.aux_classifier is None:
            return Output(logits)
        return Output(logits, (self.aux_classifier(maps["aux"]),))


def torchvision_net(num_classes: int, architecture: str, *, aux_loss: bool = False) -> TorchvisionNet:
    """Build a network of ``torchvision.models.segmentation`` with fresh weights.

    Args:
        num_classes: Channels of the logits.
        architecture: Name of the function in torchvision.
        aux_loss: Whether to build the auxiliary classifier (the published weights hold one).

    Raises:
        RecipeError: If there is no such network, or it has no auxiliary classifier.
    """
    from torchvision.models import segmentation

    if architecture not in TORCHVISION:
        raise RecipeError(f"torchvision has no network {architecture!r}")
    if aux_loss and not TORCHVISION[architecture].aux_weights:
        raise RecipeError("has no auxiliary classifier", where=f"model torchvision:{architecture}")
    options = {"aux_loss": True} if aux_loss else {}
    build = getattr(segmentation, architecture)
    network = build(weights=None, weights_backbone=None, num_classes=num_classes, **options)
    return TorchvisionNet(network, num_classes, TORCHVISION[architecture].stride)
