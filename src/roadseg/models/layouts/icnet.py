"""Weight files of ICNet (`roadseg.models.icnet`)."""

from roadseg.models.layouts.layout import Convention, Detected, Layout, Weights, length

__all__ = ["LAYOUTS"]


def _own(weights: Weights) -> Detected | None:
    num_classes = length(weights, "classifier.weight")
    if not num_classes:
        return None
    name = "icnet-resnet50" if "context.bottleneck.0.weight" in weights else "icnet"
    return Detected(name, num_classes, {"aux": "cff_24.conv_low_cls.weight" in weights})


def _fast_seg(weights: Weights) -> Detected | None:
    """Read the classes; the max pooling of that implementation rounds up, which its weights do not show."""
    num_classes = length(weights, "head.conv_cls.weight")
    if not num_classes:
        return None
    options = {"aux": "head.cff_24.conv_low_cls.weight" in weights, "ceil_mode": True}
    return Detected("icnet-resnet50", num_classes, options)


LAYOUTS = (
    Layout(
        name="roadseg/icnet",
        title="ICNet, networks trained here",
        source="https://arxiv.org/abs/1704.08545",
        marks=("conv_sub1.0.conv.weight", "cff_24.conv_low.0.weight", "classifier.weight"),
        recognize=_own,
    ),
    Layout(
        name="fast-seg/icnet",
        title="ICNet of Fast_Seg",
        source="https://github.com/lxtGH/Fast_Seg",
        marks=("conv_sub1.0.conv.weight", "backbone.head.bottleneck.0.weight", "head.conv_cls.weight"),
        recognize=_fast_seg,
        renames=(
            ("backbone.conv1.weight", "backbone.conv1.0.weight"),
            ("backbone.bn1.{x}", "backbone.conv1.1.{x}"),
            ("backbone.conv2.weight", "backbone.conv1.3.weight"),
            ("backbone.bn2.{x}", "backbone.conv1.4.{x}"),
            ("backbone.conv3.weight", "backbone.conv1.6.weight"),
            ("backbone.bn3.{x}", "backbone.bn1.{x}"),
            ("backbone.head.{rest}", "context.{rest}"),
            ("head.conv_cls.weight", "classifier.weight"),
            ("head.cff_12.{rest}", "cff_12.{rest}"),
            ("head.cff_24.{rest}", "cff_24.{rest}"),
        ),
        conventions={
            19: Convention(
                labels="cityscapes-19",
                preprocess={
                    "order": "BGR",
                    "mean": (104.00699, 116.66877, 122.67891),
                    "std": (1.0, 1.0, 1.0),
                },
                license="Apache-2.0 (code); Cityscapes: non-commercial",
            )
        },
    ),
)
