"""Which of our networks answers for which golden file, and how its outputs compare.

A golden file is recognised by its weight layout, so its name does not matter. What its reference implementation does
differently from ours is written down per network: options that leave no trace in the weights, auxiliary outputs that
it returns in evaluation, and logits that it upsamples itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from roadseg.models import catalog
from roadseg.models.blocks import resize
from roadseg.models.layouts import detect

Outputs = Callable[[nn.Module, torch.Tensor], list[torch.Tensor]]


def _logits(model: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    return [model(images).logits]


def _logits_and_stem(model: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    """Ours runs the auxiliary classifier in training only; the references run it always."""
    stem = []
    handle = model.learning_to_downsample.register_forward_hook(lambda _module, _args, out: stem.append(out))
    try:
        logits = model(images).logits
    finally:
        handle.remove()
    return [logits, *(model.auxlayer(features) for features in stem if hasattr(model, "auxlayer"))]


@dataclass(frozen=True)
class Entry:
    """How one of our networks is set up to agree with the reference implementations of it."""

    options: Mapping[str, Any] = field(default_factory=dict)
    outputs: Outputs = _logits


TABLE = {
    "espnet": Entry(),
    "espnet-c": Entry(),
    "fast-scnn": Entry(options={"stem_padding": 0}, outputs=_logits_and_stem),
}


@dataclass(frozen=True)
class Candidate:
    """One of our networks, ready for the weights of a golden file."""

    name: str
    model: nn.Module
    outputs: Outputs

    def run(self, images: torch.Tensor, sizes: Sequence[tuple[int, int]]) -> list[torch.Tensor]:
        """Our outputs, brought to the sizes at which the reference returns them."""
        found = self.outputs(self.model, images)
        if len(found) != len(sizes):
            raise ValueError(f"{len(found)} outputs instead of {len(sizes)}")
        pairs = zip(found, sizes, strict=True)
        align = bool(self.model.align_corners)
        return [x if x.shape[-2:] == size else resize(x, size, align_corners=align) for x, size in pairs]


def candidate(shapes: Mapping[str, Sequence[int]]) -> Candidate | None:
    """Build the network that a layout belongs to; None if it is none of ours."""
    found = detect({key: torch.empty(tuple(shape), device="meta") for key, shape in shapes.items()})
    if found is None or found.model not in TABLE:
        return None
    entry = TABLE[found.model]
    model = catalog.build(found.model, found.num_classes, **{**found.options, **entry.options})
    return Candidate(found.model, model.eval(), entry.outputs)
