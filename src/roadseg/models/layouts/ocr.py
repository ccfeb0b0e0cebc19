"""Weight files of HRNet with OCR (`roadseg.models.ocr`)."""

from roadseg.models.layouts.hrnet import NVIDIA, NVIDIA_CONVENTIONS, is_w48
from roadseg.models.layouts.layout import Detected, Layout, Weights, length

__all__ = ["LAYOUTS"]


def _ocr(weights: Weights) -> Detected | None:
    num_classes = length(weights, "ocr.cls_head.weight")
    if not num_classes or not is_w48(weights) or "scale_attn.conv0.weight" in weights:
        return None
    return Detected("hrnet-ocr-w48", num_classes)


LAYOUTS = (
    Layout(
        name="nvidia-main/hrnet-ocr",
        title="HRNet-W48 with OCR by NVIDIA (ocrnet.HRNet), and networks trained here",
        source=NVIDIA,
        marks=("backbone.transition3.3.0.0.weight", "ocr.cls_head.weight", "ocr.conv3x3_ocr.0.bias"),
        recognize=_ocr,
        conventions=NVIDIA_CONVENTIONS,
    ),
)
