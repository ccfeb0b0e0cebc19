"""How one of our networks is set up to agree with the published implementation of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from roadseg.models.layouts import Detected

Golden = Mapping[str, Any]
"""The JSON of a golden file: ``source``, ``note``, ``input``, ``outputs`` ..."""

Outputs = Callable[[nn.Module, torch.Tensor, Golden], list[torch.Tensor]]


def logits(model: nn.Module, images: torch.Tensor, golden: Golden) -> list[torch.Tensor]:
    """The main output alone."""
    return [model(images).logits]


def no_options(found: Detected, golden: Golden) -> Mapping[str, Any]:
    """Nothing beyond what the weights tell."""
    return {}


@dataclass(frozen=True)
class Entry:
    """What a reference implementation does differently from ours.

    Attributes:
        options: Options that leave no trace in the weights, from what was recognised and the golden's description.
        outputs: Runs our network and returns what the reference returns, in its order. Outputs that come smaller than
            the stored ones are upsampled as the network says; references that upsample themselves need nothing here.
    """

    options: Callable[[Detected, Golden], Mapping[str, Any]] = no_options
    outputs: Outputs = logits
