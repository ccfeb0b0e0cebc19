"""Weight files of HRNet with OCR and hierarchical attention (`roadseg.models.hierarchical`)."""

from roadseg.models.layouts.hrnet import NVIDIA, NVIDIA_CONVENTIONS, is_w48
from roadseg.models.layouts.layout import Detected, Layout, Weights, length

__all__ = ["LAYOUTS"]


def _hierarchical(weights: Weights) -> Detected | None:
    num_classes = length(weights, "ocr.cls_head.weight")
    return Detected("hrnet-ocr-w48-hms", num_classes) if num_classes and is_w48(weights) else None


LAYOUTS = (
    Layout(
        name="nvidia-main/hrnet-ocr-hms",
        title="HRNet-W48 with OCR and hierarchical attention by NVIDIA (ocrnet.HRNet_Mscale), and networks trained here",
        source=NVIDIA,
        marks=("backbone.transition3.3.0.0.weight", "ocr.cls_head.weight", "scale_attn.conv0.weight"),
        recognize=_hierarchical,
        conventions=NVIDIA_CONVENTIONS,
    ),
)
