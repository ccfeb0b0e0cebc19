from typing import Any

import torch
from torch import nn

from roadseg.models.layouts import Detected
from tests.golden.entry import Entry, Golden


def _joint_and_last_map(model: nn.Module, images: torch.Tensor, golden: Golden) -> list[torch.Tensor]:
    """The reference also returns the map of the last scale, as the head gives it."""
    maps = []
    handle = model.scale_attn.register_forward_hook(lambda _module, _args, out: maps.append(out))
    try:
        joint = model(images).logits
    finally:
        handle.remove()
    return [joint, maps[-1][:, -1:]]


def _joint_and_last_weight(model: nn.Module, images: torch.Tensor, golden: Golden) -> list[torch.Tensor]:
    """The reference also returns the weight of the last scale, as it is used."""
    given = []
    weights = model.weights
    model.weights = lambda *args: given.append(weights(*args)) or given[-1]
    try:
        joint = model(images).logits
    finally:
        del model.weights
    return [joint, given[0][-1]]


def _padding(found: Detected, golden: Golden) -> dict[str, Any]:
    """The reference pads the 1x1 convolution that gives the weights."""
    return {"attention_padding": 1}


TABLE = {
    "nvidia-main/deeplabv3plus-resnet-attnscale": Entry(options=_padding, outputs=_joint_and_last_map),
    "nvidia-main/deeplabv3plus-wrn38-attnscale": Entry(options=_padding, outputs=_joint_and_last_map),
    "nvidia-main/deeplabv3plus-resnet-attnscale-paired": Entry(outputs=_joint_and_last_weight),
}
