"""Weight files of the DF networks (`roadseg.models.dfnet`)."""

from roadseg.models.layouts.layout import Convention, Detected, Layout, Weights, length

__all__ = ["LAYOUTS"]

_SECOND = "backbone.stage2_1.0.conv1.weight"
"""A weight of DF2 that DF1 lacks."""


def _own(weights: Weights) -> Detected | None:
    """Tell the networks by their trunk and by the lateral at 1/32, which is 32 or 512 channels wide on DF2."""
    wide = {32: "df2-seg1", 512: "df2-seg2"}.get(length(weights, "wc5.0.weight"))
    model = wide if _SECOND in weights else "df1-seg"
    num_classes = length(weights, "score.weight")
    return Detected(model, num_classes) if model and num_classes else None


def _fast_seg(weights: Weights) -> Detected | None:
    """Read classes and trunk; the padding behind the pyramid pooling leaves no trace in the weights."""
    options = {"decoder": "fast-seg", "imagenet_fc": "backbone.fc.weight" in weights}
    num_classes = length(weights, "fc.4.weight")
    model = "df2-seg1" if _SECOND in weights else "df1-seg"
    return Detected(model, num_classes, options) if num_classes else None


LAYOUTS = (
    Layout(
        name="roadseg/dfnet",
        title="DF1-Seg, DF2-Seg1 and DF2-Seg2, networks trained here",
        source="https://arxiv.org/abs/1903.03777",
        marks=("backbone.stage1.0.weight", "psp.fuse.0.weight", "wc5.0.weight", "score.weight"),
        recognize=_own,
    ),
    Layout(
        name="fast-seg/dfnet",
        title="DFSegNet of Fast_Seg, on DF1 or DF2",
        source="https://github.com/lxtGH/Fast_Seg",
        marks=("backbone.stage1.0.weight", "ppm.bottleneck.0.weight", "cc5.weight", "fn4.fusion.weight"),
        recognize=_fast_seg,
        conventions={19: Convention(labels="cityscapes-19")},
    ),
)
