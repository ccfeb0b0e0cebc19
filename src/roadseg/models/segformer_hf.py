"""SegFormer weights as Hugging Face's transformers names them, under the names of SegFormer's authors.

Their implementation keeps keys and values of the attention in two matrices, where the authors' (and that of
segmentation_models_pytorch) has one; so a list of names is not enough, and two tensors become one.
"""

import re
from collections.abc import Mapping

import torch

__all__ = ["is_hugging_face", "original_names"]

_MARK = "segformer.encoder.patch_embeddings.0.proj.weight"
_STAGE = re.compile(r"segformer\.encoder\.(patch_embeddings|block|layer_norm)\.(\d)\.(.+)")
_PREFIX = {"patch_embeddings": "patch_embed", "block": "block", "layer_norm": "norm"}
# Within a stage: pairs of theirs and the authors', applied in order.
_PARTS = (
    ("layer_norm_1.", "norm1."),
    ("layer_norm_2.", "norm2."),
    ("attention.self.query.", "attn.q."),
    ("attention.self.sr.", "attn.sr."),
    ("attention.self.layer_norm.", "attn.norm."),
    ("attention.output.dense.", "attn.proj."),
    ("mlp.dense1.", "mlp.fc1."),
    ("mlp.dense2.", "mlp.fc2."),
    ("layer_norm.", "norm."),
)
_KEY, _VALUE = "attention.self.key.", "attention.self.value."
_HEAD = (
    ("decode_head.batch_norm.", "decode_head.linear_fuse.bn."),
    ("decode_head.linear_fuse.weight", "decode_head.linear_fuse.conv.weight"),
    ("decode_head.classifier.", "decode_head.linear_pred."),
)
_LINEAR = re.compile(r"decode_head\.linear_c\.(\d)\.(.+)")


def is_hugging_face(state: Mapping[str, torch.Tensor]) -> bool:
    """Tell whether names are those of ``SegformerForSemanticSegmentation``."""
    return _MARK in state


def original_names(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors under the names of SegFormer's authors (layout ``nvlabs/segformer``).

    Tensors of other names are kept as they are; so is a key without its value, which no network has a place for.
    """
    found = {}
    for name, value in state.items():
        if _VALUE in name and name.replace(_VALUE, _KEY) in state:
            continue  # goes with its key
        partner = name.replace(_KEY, _VALUE)
        if partner != name and partner in state:
            found[_renamed(name.replace(_KEY, "attn.kv."))] = torch.cat([value, state[partner]])
        else:
            found[_renamed(name)] = value
    return found


def _renamed(name: str) -> str:
    if match := _STAGE.fullmatch(name):
        kind, stage, rest = match.groups()
        for theirs, ours in _PARTS:
            rest = rest.replace(theirs, ours)
        return f"backbone.{_PREFIX[kind]}{int(stage) + 1}.{rest}"
    if match := _LINEAR.fullmatch(name):
        return f"decode_head.linear_c{int(match[1]) + 1}.{match[2]}"
    for theirs, ours in _HEAD:
        name = name.replace(theirs, ours)
    return name
