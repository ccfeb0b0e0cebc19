"""Weight files of PSPNet (`roadseg.models.pspnet`)."""

from collections.abc import Mapping

from roadseg.models.layouts.layout import Convention, Detected, Layout, Weights, count, length

__all__ = ["LAYOUTS"]

_DEPTHS = {6: 50, 23: 101}
"""Depth of the trunk, by the blocks of its third stage."""


def _detected(blocks: int, num_classes: int, options: Mapping[str, object]) -> Detected | None:
    if blocks not in _DEPTHS or not num_classes:
        return None
    return Detected(f"pspnet-resnet{_DEPTHS[blocks]}", num_classes, options)


def _own(weights: Weights) -> Detected | None:
    options = {"aux_width": length(weights, "aux.0.weight"), "aux_bias": "aux.0.bias" in weights}
    return _detected(count(weights, "backbone.layer3"), length(weights, "cls.4.weight"), options)


def _semseg(weights: Weights) -> Detected | None:
    options = {"aux_width": length(weights, "aux.0.weight")}
    return _detected(count(weights, "layer3"), length(weights, "cls.4.weight"), options)


def _fast_seg(weights: Weights) -> Detected | None:
    """Read depth and classes; that implementation is known for what its weights do not show."""
    options = {
        "pyramid_relu": False,
        "priors_first": True,
        "aux_width": length(weights, "dsn.0.weight"),
        "aux_bias": "dsn.0.bias" in weights,
        "ceil_mode": True,
    }
    return _detected(count(weights, "layer3"), length(weights, "head.1.weight"), options)


LAYOUTS = (
    Layout(
        name="roadseg/pspnet",
        title="PSPNet, networks trained here",
        source="https://arxiv.org/abs/1612.01105",
        marks=("backbone.conv1.0.weight", "ppm.features.0.1.weight", "cls.4.weight"),
        recognize=_own,
    ),
    Layout(
        name="semseg/pspnet",
        title="PSPNet by its authors (semseg), and of MSeg",
        source="https://github.com/hszhao/semseg",
        marks=("layer0.0.weight", "ppm.features.0.1.weight", "cls.4.weight"),
        recognize=_semseg,
        renames=(
            ("layer0.0.{x}", "backbone.conv1.0.{x}"),
            ("layer0.1.{x}", "backbone.conv1.1.{x}"),
            ("layer0.3.{x}", "backbone.conv1.3.{x}"),
            ("layer0.4.{x}", "backbone.conv1.4.{x}"),
            ("layer0.6.{x}", "backbone.conv1.6.{x}"),
            ("layer0.7.{x}", "backbone.bn1.{x}"),
            ("layer{n}.{rest}", "backbone.layer{n}.{rest}"),
        ),
        conventions={
            19: Convention(labels="cityscapes-19", license="MIT (weights); Cityscapes: non-commercial"),
            194: Convention(
                labels="mseg-194", license="MIT (code); data sets of MSeg: partly non-commercial"
            ),
        },
    ),
    Layout(
        name="fast-seg/pspnet",
        title="PSPNet of Fast_Seg",
        source="https://github.com/lxtGH/Fast_Seg",
        marks=("conv1.weight", "head.0.stages.0.1.weight", "head.1.weight", "dsn.4.weight"),
        recognize=_fast_seg,
        renames=(
            ("conv1.weight", "backbone.conv1.0.weight"),
            ("bn1.{x}", "backbone.conv1.1.{x}"),
            ("conv2.weight", "backbone.conv1.3.weight"),
            ("bn2.{x}", "backbone.conv1.4.{x}"),
            ("conv3.weight", "backbone.conv1.6.weight"),
            ("bn3.{x}", "backbone.bn1.{x}"),
            ("layer{n}.{rest}", "backbone.layer{n}.{rest}"),
            ("head.0.stages.{rest}", "ppm.features.{rest}"),
            ("head.1.{x}", "cls.4.{x}"),
            ("head.0.bottleneck.{rest}", "cls.{rest}"),
            ("dsn.{rest}", "aux.{rest}"),
        ),
    ),
)
