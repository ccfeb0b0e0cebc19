"""Weight files of HRNet with a plain classifier (`roadseg.models.hrnet`)."""

from roadseg.models.layouts.layout import Convention, Detected, Layout, Weights, length

__all__ = ["LAYOUTS", "NVIDIA", "NVIDIA_CONVENTIONS", "is_w48"]

NVIDIA = "https://github.com/NVIDIA/semantic-segmentation, branch main"
NVIDIA_CONVENTIONS = {
    19: Convention(labels="cityscapes-19", license="trained on Cityscapes: non-commercial"),
    65: Convention(labels="mapillary-65", license="trained on Mapillary Vistas: non-commercial"),
}
"""How NVIDIA's networks are used: the images as they are, RGB, normalized as for ImageNet."""


def is_w48(weights: Weights, prefix: str = "backbone.") -> bool:
    """Tell whether the trunk is HRNet-W48, the one of the catalog."""
    return length(weights, f"{prefix}stage4.2.branches.0.3.conv2.weight") == 48


def _plain(weights: Weights) -> Detected | None:
    num_classes = length(weights, "seg_head.6.weight")
    return Detected("hrnet-w48", num_classes) if num_classes and is_w48(weights) else None


def _mseg(weights: Weights, prefix: str) -> Detected | None:
    num_classes = length(weights, "last_layer.3.weight")
    return Detected("hrnet-w48-mseg", num_classes) if num_classes and is_w48(weights, prefix) else None


_MSEG = {
    194: Convention(labels="mseg-194", license="MIT (weights); the data sets of MSeg have their own licenses")
}

LAYOUTS = (
    Layout(
        name="nvidia-main/hrnet",
        title="HRNet-W48 by NVIDIA (basic.HRNet), and networks trained here",
        source=NVIDIA,
        marks=("backbone.conv1.weight", "backbone.transition3.3.0.0.weight", "seg_head.6.weight"),
        recognize=_plain,
        conventions=NVIDIA_CONVENTIONS,
    ),
    Layout(
        name="mseg/hrnet",
        title="HRNet-W48 of MSeg",
        source="https://github.com/mseg-dataset/mseg-semantic",
        marks=("conv1.weight", "transition3.3.0.0.weight", "last_layer.3.weight"),
        recognize=lambda weights: _mseg(weights, ""),
        renames=(("last_layer.{rest}", "last_layer.{rest}"), ("{rest}", "backbone.{rest}")),
        conventions=_MSEG,
    ),
    Layout(
        name="roadseg/hrnet-mseg",
        title="HRNet-W48 with the classifier of MSeg, trained here",
        source="roadseg",
        marks=("backbone.conv1.weight", "backbone.transition3.3.0.0.weight", "last_layer.3.weight"),
        recognize=lambda weights: _mseg(weights, "backbone."),
        conventions=_MSEG,
    ),
)
