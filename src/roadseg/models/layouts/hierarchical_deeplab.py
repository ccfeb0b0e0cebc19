"""Weight files of DeepLabV3+ with hierarchical attention (`roadseg.models.hierarchical_deeplab`)."""

from roadseg.models.layouts.deeplab import attending

__all__ = ["LAYOUTS"]

LAYOUTS = attending(
    "-hms",
    "with hierarchical attention",
    ("scale_attn.conv0.weight",),
    ("deeplabv3plus-resnet50", "deeplabv3plus-wrn38", "deeplabv3plus-xception71"),
)
