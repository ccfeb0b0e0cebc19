"""Parts of a network that keep their values while the rest is trained."""

import difflib
from collections.abc import Iterator, Sequence

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from roadseg.errors import RecipeError

__all__ = ["freeze", "train_mode"]

_NORMS = (_NormBase, nn.GroupNorm, nn.LayerNorm)  # batch and instance normalization are _NormBase


def freeze(model: nn.Module, parts: Sequence[str], *, norm: bool = False) -> None:
    """Exclude parameters from training; to be followed by `train_mode` wherever ``model.train()`` would be called.

    Args:
        model: The network, before its optimizer is built.
        parts: Names of modules or parameters, such as ``backbone.layer1``; ``backbone`` is the trunk, whatever its
            name in the network.
        norm: Whether the parameters of all normalization layers are frozen.

    Raises:
        RecipeError: The network has no such part.
    """
    for part in parts:
        for parameter in _parameters(model, part):
            parameter.requires_grad_(False)
    if norm:
        for module in model.modules():
            if isinstance(module, _NORMS):
                module.requires_grad_(False)


def train_mode(model: nn.Module, *, freeze_norm: bool = False) -> None:
    """Put a network in training mode, except for batch normalization that is frozen.

    A layer is frozen, and keeps its running statistics, where its parameters are: statistics that went on to move would
    change what the frozen filters around it compute.

    Args:
        model: The network.
        freeze_norm: Whether all batch normalization is frozen, layers without parameters of their own too.
    """
    model.train()
    for module in model.modules():
        if isinstance(module, _BatchNorm) and (freeze_norm or _is_frozen(module)):
            module.eval()


def _is_frozen(module: nn.Module) -> bool:
    parameters = list(module.parameters())
    return bool(parameters) and not any(parameter.requires_grad for parameter in parameters)


def _parameters(model: nn.Module, part: str) -> Iterator[nn.Parameter]:
    trunk = getattr(model, "backbone", None)
    if part == "backbone" and isinstance(
        trunk, nn.Module
    ):  # a property where the network is another library's
        yield from trunk.parameters()
        return
    found = [value for name, value in model.named_parameters() if f"{name}.".startswith(f"{part}.")]
    if not found:
        raise RecipeError(
            f"{type(model).__name__} has no part {part!r} to freeze",
            where="freeze",
            remedy=_remedy(model, part),
        )
    yield from found


def _remedy(model: nn.Module, part: str) -> str:
    names = [
        name for name, module in model.named_modules() if name and any(True for _ in module.parameters())
    ]
    near = difflib.get_close_matches(part, names, n=3)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"its parts are {', '.join(name for name in names if '.' not in name)}"
