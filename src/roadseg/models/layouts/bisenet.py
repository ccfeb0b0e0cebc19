"""Weight files of BiSeNet (`roadseg.models.bisenet`)."""

from typing import Any

from roadseg.models.layouts.layout import Convention, Detected, Layout, Weights, count, length

__all__ = ["LAYOUTS"]


def _heads(weights: Weights, main: str, aux: str) -> dict[str, Any]:
    """Read the widths of the classifiers, given the names of their 3x3 convolutions."""
    options: dict[str, Any] = {"head_width": length(weights, main)}
    if aux in weights:
        return options | {"aux_width": length(weights, aux)}
    return options | {"aux": False}


def _resnet18(weights: Weights, trunk: str) -> dict[str, Any] | None:
    """Read the stem; None if the trunk is a deeper residual network."""
    depths = [count(weights, f"{trunk}.layer{stage}") for stage in (1, 2, 3, 4)]
    if depths != [2, 2, 2, 2] or f"{trunk}.layer1.0.conv3.weight" in weights:
        return None
    return {"stem": "deep" if f"{trunk}.conv1.0.weight" in weights else "plain"}


def _published(weights: Weights, trunk: str, extra: dict[str, Any]) -> Detected | None:
    """Read a file with the names of TorchSeg, except for those of the trunk."""
    num_classes = length(weights, "heads.2.conv_1x1.weight")
    heads = _heads(weights, "heads.2.conv_3x3.conv.weight", "heads.0.conv_3x3.conv.weight")
    if not num_classes:
        return None
    if f"{trunk}.layer1.0.proj.conv1.weight" in weights:
        return Detected("bisenet-xception39", num_classes, heads | extra)
    options = _resnet18(weights, trunk)
    return None if options is None else Detected("bisenet-resnet18", num_classes, options | heads | extra)


def _fast_seg(weights: Weights) -> Detected | None:
    return _published(weights, "backbone", {})


def _torchseg(weights: Weights) -> Detected | None:
    return _published(weights, "context_path", {"align_corners": True})


def _coincheung(weights: Weights) -> Detected | None:
    num_classes = length(weights, "conv_out.conv_out.weight")
    options = _resnet18(weights, "cp.resnet")
    if not num_classes or options is None:
        return None
    options |= _heads(weights, "conv_out.conv.conv.weight", "conv_out16.conv.conv.weight")
    options |= {"fusion": "normalized", "upsampling": "nearest", "align_corners": False}
    return Detected("bisenet-resnet18", num_classes, options)


def _ours(weights: Weights) -> Detected | None:
    num_classes = length(weights, "head.conv_1x1.weight")
    options = _heads(weights, "head.conv_3x3.conv.weight", "aux_heads.0.conv_3x3.conv.weight")
    if not num_classes:
        return None
    if "backbone.layer1.0.proj.conv1.weight" in weights:
        return Detected("bisenet-xception39", num_classes, options)
    trunk = _resnet18(weights, "backbone")
    if trunk is None:
        return None
    if "ffm.channel_attention.1.bn.weight" in weights:
        options["fusion"] = "normalized"
    return Detected("bisenet-resnet18", num_classes, trunk | options)


_HEADS = (
    ("heads.2.{rest}", "head.{rest}"),
    ("heads.1.{rest}", "aux_heads.0.{rest}"),
    ("heads.0.{rest}", "aux_heads.1.{rest}"),
)

_TORCHSEG: dict[str, Any] = {
    "source": "https://github.com/yu-changqian/TorchSeg",
    "recognize": _torchseg,
    "renames": (("context_path.{rest}", "backbone.{rest}"), *_HEADS),
    "conventions": {19: Convention(labels="cityscapes-19", license="MIT (code); Cityscapes: non-commercial")},
}

LAYOUTS = (
    Layout(
        name="fast-seg/bisenet",
        title="BiSeNet of Fast_Seg",
        source="https://github.com/lxtGH/Fast_Seg",
        marks=(
            "heads.2.conv_1x1.weight",
            "spatial_path.conv_7x7.conv.weight",
            "backbone.layer1.0.bn1.weight",
        ),
        recognize=_fast_seg,
        renames=_HEADS,
        conventions={19: Convention(labels="cityscapes-19")},
    ),
    Layout(
        name="torchseg/bisenet",
        title="BiSeNet on ResNet-18 by its authors",
        marks=(
            "heads.2.conv_1x1.weight",
            "spatial_path.conv_7x7.conv.weight",
            "context_path.layer1.0.bn1.weight",
        ),
        **_TORCHSEG,
    ),
    Layout(
        name="torchseg/bisenet-xception39",
        title="BiSeNet on Xception-39 by its authors",
        marks=(
            "heads.2.conv_1x1.weight",
            "spatial_path.conv_7x7.conv.weight",
            "context_path.layer1.0.proj.conv1.weight",
        ),
        **_TORCHSEG,
    ),
    Layout(
        name="coincheung/bisenet",
        title="BiSeNet by CoinCheung, with one normalized convolution in the fusion",
        source="https://github.com/CoinCheung/BiSeNet",
        marks=("cp.resnet.layer1.0.conv1.weight", "ffm.bn.weight", "conv_out.conv_out.bias"),
        recognize=_coincheung,
        renames=(
            ("cp.resnet.{rest}", "backbone.{rest}"),
            ("cp.arm32.conv.{rest}", "arms.0.conv_3x3.{rest}"),
            ("cp.arm32.conv_atten.{rest}", "arms.0.channel_attention.1.conv.{rest}"),
            ("cp.arm32.bn_atten.{rest}", "arms.0.channel_attention.1.bn.{rest}"),
            ("cp.arm16.conv.{rest}", "arms.1.conv_3x3.{rest}"),
            ("cp.arm16.conv_atten.{rest}", "arms.1.channel_attention.1.conv.{rest}"),
            ("cp.arm16.bn_atten.{rest}", "arms.1.channel_attention.1.bn.{rest}"),
            ("cp.conv_head32.{rest}", "refines.0.{rest}"),
            ("cp.conv_head16.{rest}", "refines.1.{rest}"),
            ("cp.conv_avg.{rest}", "global_context.1.{rest}"),
            ("sp.conv1.{rest}", "spatial_path.conv_7x7.{rest}"),
            ("sp.conv2.{rest}", "spatial_path.conv_3x3_1.{rest}"),
            ("sp.conv3.{rest}", "spatial_path.conv_3x3_2.{rest}"),
            ("sp.conv_out.{rest}", "spatial_path.conv_1x1.{rest}"),
            ("ffm.convblk.{rest}", "ffm.conv_1x1.{rest}"),
            ("ffm.conv.{rest}", "ffm.channel_attention.1.conv.{rest}"),
            ("ffm.bn.{rest}", "ffm.channel_attention.1.bn.{rest}"),
            ("conv_out.conv.{rest}", "head.conv_3x3.{rest}"),
            ("conv_out.conv_out.{rest}", "head.conv_1x1.{rest}"),
            ("conv_out16.conv.{rest}", "aux_heads.0.conv_3x3.{rest}"),
            ("conv_out16.conv_out.{rest}", "aux_heads.0.conv_1x1.{rest}"),
            ("conv_out32.conv.{rest}", "aux_heads.1.conv_3x3.{rest}"),
            ("conv_out32.conv_out.{rest}", "aux_heads.1.conv_1x1.{rest}"),
        ),
        conventions={
            19: Convention(
                labels="cityscapes-19",
                preprocess={
                    "mean": tuple(255 * value for value in (0.3257, 0.3690, 0.3223)),
                    "std": tuple(255 * value for value in (0.2112, 0.2148, 0.2115)),
                },
                license="MIT (weights); Cityscapes: non-commercial",
            )
        },
    ),
    Layout(
        name="roadseg/bisenet",
        title="BiSeNet trained here",
        source="https://arxiv.org/abs/1808.00897",
        marks=("head.conv_1x1.weight", "spatial_path.conv_7x7.conv.weight", "arms.1.conv_3x3.conv.weight"),
        recognize=_ours,
    ),
)
