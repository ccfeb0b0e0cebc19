import torch
from torch import nn

from tests.golden.entry import Entry, Golden


def _logits_and_guides(model: nn.Module, images: torch.Tensor, golden: Golden) -> list[torch.Tensor]:
    """The reference returns its logits twice, at the image's size and at 1/4, and runs the auxiliary classifiers too."""
    fusions = (model.cff_12, model.cff_24)
    guides: dict[nn.Module, torch.Tensor] = {}
    handles = [
        fusion.register_forward_hook(lambda module, _args, out: guides.update({module: out[1]}))
        for fusion in fusions
    ]
    try:
        logits = model(images).logits
    finally:
        for handle in handles:
            handle.remove()
    return [logits, logits, *(fusion.conv_low_cls(guides[fusion]) for fusion in fusions)]


TABLE = {"fast-seg/icnet": Entry(outputs=_logits_and_guides)}
