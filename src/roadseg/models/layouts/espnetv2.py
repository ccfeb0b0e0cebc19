"""Weight files of ESPNetv2 (`roadseg.models.espnetv2`)."""

from functools import partial

from roadseg.models.layouts.layout import Convention, Detected, Layout, Weights, length

__all__ = ["LAYOUTS"]

# Channels at 1/4 and at 1/16 of the image tell the sizes apart.
_SIZES = {
    (32, 128): "espnetv2-s05",
    (64, 256): "espnetv2-s10",
    (96, 384): "espnetv2-s15",
    (128, 512): "espnetv2-s20",
}
_NARROWEST = 2  # the decoder's last map is that many times as wide as its option says


def _espnetv2(weights: Weights, trunk: str) -> Detected | None:
    num_classes = length(weights, "bu_dec_l4.merge_layer.3.weight")
    widths = (
        length(weights, f"{trunk}.level2_0.act.weight"),
        length(weights, f"{trunk}.level4_0.act.weight"),
    )
    decoder = length(weights, "bu_br_l4.0.weight") // _NARROWEST
    if not num_classes or not decoder or widths not in _SIZES:
        return None
    return Detected(_SIZES[widths], num_classes, {"decoder_width": decoder})


LAYOUTS = (
    Layout(
        name="sacmehta/espnetv2",
        title="ESPNetv2 for segmentation, of its authors' EdgeNets repository",
        source="https://github.com/sacmehta/EdgeNets",
        marks=("base_net.level2_0.eesp.proj_1x1.conv.weight", "bu_dec_l4.merge_layer.3.weight"),
        recognize=partial(_espnetv2, trunk="base_net"),
        renames=(("base_net.{rest}", "backbone.{rest}"),),
        # Slopes that the published network has and never uses.
        dropped=("base_net.{level}.eesp.module_act.weight",),
        conventions={
            20: Convention(
                labels="cityscapes-20",
                preprocess={"size": (512, 1024)},
                license="MIT (weights); Cityscapes: non-commercial",
            )
        },
    ),
    Layout(
        name="roadseg/espnetv2",
        title="ESPNetv2 trained here",
        source="https://arxiv.org/abs/1811.11431",
        marks=("backbone.level2_0.eesp.proj_1x1.conv.weight", "bu_dec_l4.merge_layer.3.weight"),
        recognize=partial(_espnetv2, trunk="backbone"),
    ),
)
