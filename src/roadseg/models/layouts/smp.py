"""Weight files of SegFormer, read into the network of segmentation_models_pytorch (`roadseg.models.smp`).

The other networks of that library are not told apart by their weights: there are thousands of pairs of architecture and
encoder. Folders that it saved itself say what they are (`roadseg.models.smp.read_folder`).
"""

from roadseg.models.layouts.layout import Convention, Detected, Layout, Weights, count, length

__all__ = ["LAYOUTS"]

# Width and depth that tell the mix transformers apart: channels of the first stage, blocks of the third.
_TRUNKS = {
    (32, 2): "mit_b0",
    (64, 2): "mit_b1",
    (64, 6): "mit_b2",
    (64, 18): "mit_b3",
    (64, 27): "mit_b4",
    (64, 40): "mit_b5",
}
_WIDTH = 256  # of the decoder by default; the larger published networks have 768


def _segformer(weights: Weights, trunk: str, fuse: str, classifier: str) -> Detected | None:
    sizes = length(weights, f"{trunk}.patch_embed1.proj.weight"), count(weights, f"{trunk}.block3")
    num_classes, width = length(weights, classifier), length(weights, fuse)
    if sizes not in _TRUNKS or not num_classes or not width:
        return None
    options = {} if width == _WIDTH else {"decoder_segmentation_channels": width}
    return Detected(f"smp:segformer/{_TRUNKS[sizes]}", num_classes, options)


def _original(weights: Weights) -> Detected | None:
    return _segformer(
        weights, "backbone", "decode_head.linear_fuse.conv.weight", "decode_head.linear_pred.weight"
    )


def _ours(weights: Weights) -> Detected | None:
    return _segformer(weights, "encoder", "decoder.fuse_stage.0.weight", "segmentation_head.0.weight")


LAYOUTS = (
    Layout(
        name="nvlabs/segformer",
        title="SegFormer by its authors",
        source="https://github.com/NVlabs/SegFormer",
        marks=(
            "backbone.patch_embed1.proj.weight",
            "decode_head.linear_c4.proj.weight",
            "decode_head.linear_pred.weight",
        ),
        recognize=_original,
        renames=(
            ("backbone.{rest}", "encoder.{rest}"),
            # The decoder of the library begins with the deepest map.
            *(
                (
                    f"decode_head.linear_c{4 - index}.proj.{{rest}}",
                    f"decoder.mlp_stage.{index}.linear.{{rest}}",
                )
                for index in range(4)
            ),
            ("decode_head.linear_fuse.conv.weight", "decoder.fuse_stage.0.weight"),
            ("decode_head.linear_fuse.bn.{rest}", "decoder.fuse_stage.1.{rest}"),
            ("decode_head.linear_pred.{rest}", "segmentation_head.0.{rest}"),
        ),
        dropped=(
            "decode_head.conv_seg.{rest}",
        ),  # a classifier that the published code builds and never runs
        conventions={
            19: Convention(
                labels="cityscapes-19", license="NVIDIA Source Code License for SegFormer: non-commercial"
            )
        },
    ),
    Layout(
        name="smp/segformer",
        title="SegFormer by segmentation_models_pytorch, and networks trained here",
        source="https://github.com/qubvel-org/segmentation_models.pytorch",
        marks=(
            "encoder.patch_embed1.proj.weight",
            "decoder.mlp_stage.0.linear.weight",
            "decoder.fuse_stage.0.weight",
        ),
        recognize=_ours,
    ),
)
