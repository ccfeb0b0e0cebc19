"""Which of our networks answers for which golden file.

A golden file is recognised by its weight layout, so its name does not matter. What its reference implementation does
differently from ours is written down per family, in ``families/``: a ``TABLE`` from layout names to `Entry` values.
"""

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from roadseg.models import catalog
from roadseg.models.blocks import resize
from roadseg.models.layouts import Layout, layout_of
from tests.golden import families
from tests.golden.entry import Entry, Golden, Outputs

TABLE: dict[str, Entry] = {}
for module in pkgutil.iter_modules(families.__path__):
    TABLE |= importlib.import_module(f"{families.__name__}.{module.name}").TABLE


@dataclass(frozen=True)
class Candidate:
    """One of our networks, ready for the weights of a golden file."""

    name: str
    layout: Layout
    model: nn.Module
    outputs: Outputs

    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """Load published weights; what comes back out must be the same."""
        names = self.layout.to_ours(state)
        self.model.load_state_dict({names[key]: value for key, value in state.items()}, strict=False)

    def saved(self) -> dict[str, torch.Tensor]:
        """Our weights under the published names."""
        ours = self.model.state_dict()
        names = self.layout.to_theirs(ours)
        return {names[key]: value for key, value in ours.items()}

    def run(self, images: torch.Tensor, golden: Golden) -> list[torch.Tensor]:
        """Our outputs, brought to the sizes at which the reference returns them."""
        found = self.outputs(self.model, images, golden)
        sizes = [tuple(info["shape"][-2:]) for info in golden["outputs"].values()]
        if len(found) != len(sizes):
            raise ValueError(f"{len(found)} outputs instead of {len(sizes)}")
        align = bool(self.model.align_corners)
        pairs = zip(found, sizes, strict=True)
        return [x if x.shape[-2:] == size else resize(x, size, align_corners=align) for x, size in pairs]


def candidate(golden: Golden, device: str = "cpu") -> Candidate | None:
    """Build the network that a golden file belongs to; None if it is none of ours."""
    shapes: dict[str, Sequence[int]] = {key: shape for key, shape, _ in golden.get("layout", ())}
    pair = layout_of({key: torch.empty(tuple(shape), device="meta") for key, shape in shapes.items()})
    if pair is None or pair[0].name not in TABLE:
        return None
    layout, found = pair
    entry = TABLE[layout.name]
    options = {**found.options, **entry.options(found, golden)}
    with torch.device(device):
        model = catalog.build(found.model, found.num_classes, **options)
    return Candidate(found.model, layout, model.eval(), entry.outputs)
