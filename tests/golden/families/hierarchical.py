import re

import torch
from torch import nn

from roadseg.inference import Hierarchical
from roadseg.models.output import Output
from tests.golden.entry import Entry, Golden


def scale_of(name: str) -> float | None:
    """Read the scale from the name of an output: ``pred_2.0x``, ``attn_05x`` (two-scale forward); None for ``pred``."""
    found = re.fullmatch(r"(?:pred|attn)_([\d.]+)x", name)
    if found is None:
        return None
    return float(found[1]) if "." in found[1] else int(found[1]) / 10


def joint_and_single_scales(model: nn.Module, images: torch.Tensor, golden: Golden) -> list[torch.Tensor]:
    """The joint prediction by the strategy, and what the network said at each scale on the way."""
    scales = sorted({scale for name in golden["outputs"] if (scale := scale_of(name)) is not None})
    said: list[Output] = []
    handle = model.register_forward_hook(lambda _module, _args, output: said.append(output))
    try:
        joint = Hierarchical(tuple(scales), extend=False)(model, images).scores
    finally:
        handle.remove()
    at = dict(zip(reversed(scales), said, strict=True))  # from the largest scale down

    def output(name: str) -> torch.Tensor:
        scale = scale_of(name)
        if scale is None:
            return joint
        return at[scale].logits if name.startswith("pred") else at[scale].attention

    return [output(name) for name in golden["outputs"]]


TABLE = {"nvidia-main/hrnet-ocr-hms": Entry(outputs=joint_and_single_scales)}
