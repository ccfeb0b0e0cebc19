"""Weight files of MSFNet (`roadseg.models.msfnet`)."""

from roadseg.models.layouts.layout import Detected, Layout, Weights, length

__all__ = ["LAYOUTS"]


def _msfnet(weights: Weights) -> Detected | None:
    num_classes = length(weights, "decoder.classifier.weight")
    options = {"boundary": "boundary.classifier.weight" in weights}
    return Detected("msfnet", num_classes, options) if num_classes else None


LAYOUTS = (
    Layout(
        name="roadseg/msfnet",
        title="MSFNet (re-interpretation), networks trained here",
        source="https://arxiv.org/abs/1911.07217",
        marks=("backbone.conv1.weight", "fusion.fuse.0.0.weight", "decoder.classifier.weight"),
        recognize=_msfnet,
    ),
)
