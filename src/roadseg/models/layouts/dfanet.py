"""Weight files of DFANet (`roadseg.models.dfanet`)."""

from typing import Any

from roadseg.models.layouts.layout import Convention, Detected, Layout, Weights, length

__all__ = ["LAYOUTS"]

_MODELS = {48: "dfanet-a", 32: "dfanet-b"}
"""By the channels of the trunk's first stage."""


def _detected(weights: Weights, aux: str, extra: dict[str, Any]) -> Detected | None:
    model = _MODELS.get(length(weights, "backbone.enc2.block.0.skip.weight"))
    num_classes = length(weights, "conv_out.weight")
    if model is None or not num_classes:
        return None
    options = {"aux": aux in weights, "imagenet_head": "backbone.fc.weight" in weights}
    return Detected(model, num_classes, {key: value for key, value in options.items() if value} | extra)


def _fast_seg(weights: Weights) -> Detected | None:
    return _detected(weights, "dsn1.0.weight", {"align_corners": True})


def _ours(weights: Weights) -> Detected | None:
    return _detected(weights, "aux_heads.0.0.weight", {})


LAYOUTS = (
    Layout(
        name="fast-seg/dfanet",
        title="DFANet of Fast_Seg",
        source="https://github.com/lxtGH/Fast_Seg",
        marks=("conv_out.weight", "enc2_2.block.0.skip.weight", "fca_1_reduce.conv.weight"),
        recognize=_fast_seg,
        renames=(
            ("enc2_2.{rest}", "branches.0.enc2.{rest}"),
            ("enc3_2.{rest}", "branches.0.enc3.{rest}"),
            ("enc4_2.{rest}", "branches.0.enc4.{rest}"),
            ("fca_2.{rest}", "branches.0.fca.{rest}"),
            ("enc2_3.{rest}", "branches.1.enc2.{rest}"),
            ("enc3_3.{rest}", "branches.1.enc3.{rest}"),
            ("enc3_4.{rest}", "branches.1.enc4.{rest}"),
            ("fca_3.{rest}", "branches.1.fca.{rest}"),
            ("enc2_1_reduce.{rest}", "reduce_enc2.0.{rest}"),
            ("enc2_2_reduce.{rest}", "reduce_enc2.1.{rest}"),
            ("enc2_3_reduce.{rest}", "reduce_enc2.2.{rest}"),
            ("fca_1_reduce.{rest}", "reduce_fca.0.{rest}"),
            ("fca_2_reduce.{rest}", "reduce_fca.1.{rest}"),
            ("fca_3_reduce.{rest}", "reduce_fca.2.{rest}"),
            ("dsn1.{rest}", "aux_heads.0.{rest}"),
            ("dsn2.{rest}", "aux_heads.1.{rest}"),
        ),
        conventions={19: Convention(labels="cityscapes-19")},
    ),
    Layout(
        name="roadseg/dfanet",
        title="DFANet trained here",
        source="https://arxiv.org/abs/1904.02216",
        marks=("conv_out.weight", "branches.0.enc2.block.0.skip.weight", "reduce_fca.0.conv.weight"),
        recognize=_ours,
    ),
)
