"""Weight files of Fast-SCNN (`roadseg.models.fast_scnn`)."""

from roadseg.models.layouts.layout import Convention, Detected, Layout, Weights, length

__all__ = ["LAYOUTS"]


def _fast_scnn(weights: Weights) -> Detected | None:
    """Read classes and auxiliary heads.

    The padding of the first convolution leaves no trace in the weights: files that do not say what they are (ours do)
    come from the published code, which has none.
    """
    num_classes = length(weights, "classifier.conv.1.weight")
    if not num_classes:
        return None
    heads = {"stem": "auxlayer", "context": "auxlayer_context"}
    aux = tuple(name for name, key in heads.items() if f"{key}.0.weight" in weights)
    options: dict[str, object] = {"stem_padding": 0}
    if aux:
        options |= {"aux": aux, "aux_width": length(weights, f"{heads[aux[0]]}.0.weight")}
    return Detected("fast-scnn", num_classes, options)


LAYOUTS = (
    Layout(
        name="tramac/fast-scnn",
        title="Fast-SCNN by Tramac, and of Fast_Seg",
        source="https://github.com/Tramac/Fast-SCNN-pytorch",
        marks=("classifier.conv.1.weight", "learning_to_downsample.conv.conv.0.weight"),
        recognize=_fast_scnn,
        conventions={
            19: Convention(labels="cityscapes-19", license="Apache-2.0 (weights); Cityscapes: non-commercial")
        },
    ),
)
