"""Weight files of SwiftNet (`roadseg.models.swiftnet`)."""

from roadseg.models.layouts.layout import Convention, Detected, Layout, Weights, length

__all__ = ["LAYOUTS"]


def _single(weights: Weights) -> Detected | None:
    """Read classes and decoder; a decoder without a layer of logits has one channel per class."""
    num_classes = length(weights, "logits.conv.weight")
    width = length(weights, "spp.spp_bn.conv.weight")
    options: dict[str, object] = {"width": width if num_classes else None, "dsn": "dsn.0.weight" in weights}
    return Detected("swiftnet-resnet18", num_classes or width, options)


def _fast_seg(weights: Weights) -> Detected | None:
    num_classes = length(weights, "spp.spp.spp_bn.conv.weight")
    options = {"width": None, "align_corners": True, "dsn": True}
    return Detected("swiftnet-resnet18", num_classes, options) if num_classes else None


def _orsic(weights: Weights) -> Detected | None:
    options = {"width": length(weights, "backbone.spp.spp.spp_bn.conv.weight")}
    num_classes = length(weights, "logits.conv.weight")
    return Detected("swiftnet-resnet18", num_classes, options) if num_classes else None


def _pyramid(weights: Weights) -> Detected | None:
    num_classes = length(weights, "logits.conv.weight")
    return Detected("swiftnet-resnet18-pyramid", num_classes) if num_classes else None


_PAPER = "https://arxiv.org/abs/1903.08469"
_CITYSCAPES = Convention(
    labels="cityscapes-19",
    preprocess={"mean": (73.15, 82.90, 72.3), "std": (47.67, 48.49, 47.73)},
    license="GPL-3.0 (code of the repository; none stated for the weights); Cityscapes: non-commercial",
)

LAYOUTS = (
    Layout(
        name="roadseg/swiftnet",
        title="SwiftNet, networks trained here",
        source=_PAPER,
        marks=("backbone.conv1.weight", "spp.spp_bn.conv.weight", "upsample.0.blend_conv.conv.weight"),
        recognize=_single,
    ),
    Layout(
        name="roadseg/swiftnet-pyramid",
        title="SwiftNet on an image pyramid, networks trained here",
        source=_PAPER,
        marks=("backbone.conv1.weight", "bottlenecks.0.0.conv.weight", "blend_convs.0.conv.weight"),
        recognize=_pyramid,
    ),
    Layout(
        name="orsic/swiftnet",
        title="SwiftNet by its authors, single scale",
        source="https://github.com/orsic/swiftnet",
        marks=("backbone.conv1.weight", "backbone.spp.spp.spp_bn.conv.weight", "logits.conv.weight"),
        recognize=_orsic,
        renames=(
            ("backbone.spp.spp.{rest}", "spp.{rest}"),
            ("backbone.upsample.{rest}", "upsample.{rest}"),
        ),
        # The network normalizes the image itself; `conventions` says by what.
        dropped=("backbone.img_mean", "backbone.img_std"),
        conventions={19: _CITYSCAPES},
    ),
    Layout(
        name="fast-seg/swiftnet",
        title="SwiftNet of Fast_Seg",
        source="https://github.com/lxtGH/Fast_Seg",
        marks=("conv1.weight", "spp.spp.spp_bn.conv.weight", "upsample.0.blend_conv.conv.weight"),
        recognize=_fast_seg,
        renames=(
            ("conv1.{x}", "backbone.conv1.{x}"),
            ("bn1.{x}", "backbone.bn1.{x}"),
            ("layer{n}.{rest}", "backbone.layer{n}.{rest}"),
            ("spp.spp.{rest}", "spp.{rest}"),
        ),
    ),
)
