"""Weight files of DeepLabV3+ with attention to scale (`roadseg.models.attention_to_scale`)."""

from roadseg.models.layouts.deeplab import attending

__all__ = ["LAYOUTS"]

LAYOUTS = (
    *attending(
        "-attnscale",
        "with explicit attention to scale",
        ("scale_attn.0.weight", "scale_attn.2.weight"),
        ("deeplabv3plus-resnet50", "deeplabv3plus-wrn38"),
    ),
    *attending(
        "-attnscale-paired",
        "with paired attention to scale",
        ("scale_attn.0.weight", "scale_attn.6.weight"),
        ("deeplabv3plus-resnet50",),
    ),
)
