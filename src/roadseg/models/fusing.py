"""Batch normalizations folded into the convolutions before them: the same function, one pass over memory less.

In evaluation mode a batch normalization is a scale and a shift per channel. Right behind a convolution, both can be
multiplied into the convolution's weights once, instead of into every feature map.

Which normalization follows which convolution stands in no attribute of a network; its code decides. So one small image
is run through it, and every use of every convolution's output is recorded, at the level of torch's operators, where
additions, concatenations and in-place changes cannot hide. A pair is fused when the normalization is the only reader of
what the convolution computes, and reads nothing else.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode  # torch's documented way to see every operator
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

__all__ = ["fuse"]

_Conv = nn.Conv2d | nn.ConvTranspose2d
_Readers = list[nn.Module | None]
"""Who read one tensor, read by read: a convolution or normalization, or None for anything else."""


@torch.no_grad()
def fuse(model: nn.Module, size: tuple[int, int] = (64, 128)) -> int:
    """Fold batch normalizations into the convolutions before them, in place.

    The normalizations become ``nn.Identity`` (in timm's networks, the activation that was part of them), and the
    convolutions get new weights and a bias: the network can neither be trained on from there nor saved under its
    published names. Do this to a network that was loaded to be used, not to one that others hold.

    Left alone are normalizations of anything but one convolution's output (sums, concatenations, activations), outputs
    that something else reads too, modules with hooks, other subclasses, and whatever did not run for the small image.

    Args:
        model: A network of images ``[B, 3, H, W]``, in evaluation mode.
        size: Height and width of the image that is run through it.

    Returns:
        The number of normalizations that were folded.

    Raises:
        ValueError: If the network, or a part of it, is in training mode.
    """
    if any(module.training for module in model.modules()):
        raise ValueError("only a network in evaluation mode can be fused: call eval() first")
    pairs = _Recorder(model).pairs(size)
    for conv, norm in pairs:
        _fold(conv, norm)
    folded = {norm for _, norm in pairs}
    for path, module in list(model.named_modules(remove_duplicate=False)):  # a module may have several names
        if module in folded:
            model.set_submodule(path, _rest(module))
    return len(pairs)


def _rest(norm: nn.Module) -> nn.Module:
    """Return what a normalization does after normalizing."""
    rest = [norm.get_submodule("drop"), norm.get_submodule("act")] if _is_timm(norm) else []
    return (nn.Sequential(*rest) if rest else nn.Identity()).eval()


def _is_timm(norm: nn.Module) -> bool:
    """Whether this is timm's normalization that also activates, the one subclass of which it is known what it does."""
    kind = type(norm)
    return kind.__name__ == "BatchNormAct2d" and kind.__module__ == "timm.layers.norm_act"


def _fold(conv: _Conv, norm: nn.BatchNorm2d) -> None:
    """Multiply scale and shift of a normalization into the convolution before it, in double precision."""
    mean, variance = (_wide(x) for x in (norm.running_mean, norm.running_var) if x is not None)
    scale = (variance + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * _wide(norm.weight)
    bias = -mean if conv.bias is None else _wide(conv.bias) - mean
    bias = bias * scale
    if norm.bias is not None:
        bias = bias + _wide(norm.bias)
    weight = _wide(conv.weight)
    if isinstance(
        conv, nn.ConvTranspose2d
    ):  # weight [in, out / groups, kh, kw], the groups one after the other
        per_group = weight.reshape(conv.groups, -1, *weight.shape[1:])
        weight = (per_group * scale.view(conv.groups, 1, -1, 1, 1)).flatten(0, 1)
    else:
        weight = weight * scale[:, None, None, None]
    like = conv.weight
    conv.weight = _parameter(weight, torch.empty_like(like), like.requires_grad)
    conv.bias = _parameter(bias, like.new_empty(bias.shape), like.requires_grad)


def _wide(x: torch.Tensor) -> torch.Tensor:
    return x.detach().cpu().double()  # on the CPU, since not every accelerator has double precision


def _parameter(value: torch.Tensor, target: torch.Tensor, requires_grad: bool) -> nn.Parameter:
    """Return the values in type, device and memory format of `target`, denormals set to zero as on loading."""
    if target.dtype is not torch.float16:  # float16 needs its denormals
        value = value.masked_fill(value.abs() < torch.finfo(target.dtype).tiny, 0.0)
    return nn.Parameter(target.copy_(value), requires_grad=requires_grad)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Runs an image through a network and keeps who read the output of which convolution.

    Forward hooks on convolutions and normalizations say whose call is under way; the dispatch mode sees every operator
    outside such calls, whose arguments then have a reader that is no normalization. Tensors are told apart by identity
    and held weakly, so that those still alive after the pass are known to have a further holder: the network's result,
    or something that stored them.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.model = model
        self.watched = [module for module in model.modules() if _is_candidate(module)]
        self.owners: dict[int, list[nn.Module]] = defaultdict(list)
        for module in self.watched:
            for tensor in (*module.parameters(), *module.buffers()):
                self.owners[id(tensor)].append(module)
        self.running: list[nn.Module] = []
        # From the output of a convolution to the convolution and the output's readers.
        self.fresh: Any = WeakTensorKeyDictionary()
        self.outputs: dict[nn.Module, list[_Readers]] = defaultdict(list)
        self.sources: dict[nn.Module, list[nn.Module | None]] = defaultdict(list)
        self.blocked: set[nn.Module] = set()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and skipping it would import the compiler: seconds on every load

    def pairs(self, size: tuple[int, int]) -> list[tuple[_Conv, nn.BatchNorm2d]]:
        """Return each convolution that only one normalization reads, with this normalization."""
        like = next((p for p in self.model.parameters() if p.is_floating_point()), torch.empty(0))
        image = torch.zeros(1, 3, *size, dtype=like.dtype, device=like.device)
        handles = [m.register_forward_pre_hook(self._enter, with_kwargs=True) for m in self.watched]
        handles += [m.register_forward_hook(self._leave) for m in self.watched]
        try:
            with self:
                result = self.model(image)
        finally:
            for handle in handles:
                handle.remove()
        for _, readers in self.fresh.values():  # still held by somebody
            readers.append(None)
        del result
        return [pair for conv in self.outputs if (pair := self._pair(conv)) is not None]

    def _pair(self, conv: nn.Module) -> tuple[_Conv, nn.BatchNorm2d] | None:
        readers = self.outputs[conv]
        norm = readers[0][0] if readers[0] else None
        if (
            isinstance(conv, _Conv)
            and isinstance(norm, nn.BatchNorm2d)
            and all(each == [norm] for each in readers)
            and set(self.sources[norm]) == {conv}
            and self.blocked.isdisjoint({conv, norm})
        ):
            return conv, norm
        return None

    def _enter(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        for tensor in _tensors(args, kwargs):
            conv, readers = self.fresh.get(tensor, (None, []))
            readers.append(module)
            self.sources[module].append(conv)
        self.running.append(module)

    def _leave(self, module: nn.Module, _args: tuple[Any, ...], output: torch.Tensor) -> None:
        self.running.pop()
        if isinstance(module, _Conv):
            readers: _Readers = []
            self.outputs[module].append(readers)
            self.fresh[output] = (module, readers)

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        """Note the tensors that an operator reads, and run it."""
        now = self.running[-1] if self.running else None
        for tensor in _tensors(args, kwargs):
            if now is None and tensor in self.fresh:
                self.fresh[tensor][1].append(None)
            owners = self.owners.get(id(tensor), ())
            if owners and now not in owners:
                self.blocked.update(owners)
        return func(*args, **(kwargs or {}))


def _tensors(*arguments: object) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(arguments) if isinstance(leaf, torch.Tensor)]


def _is_candidate(module: nn.Module) -> bool:
    """Whether a module is of a kind to be fused, and does what its class says: no subclass, no hooks."""
    if module._forward_hooks or module._forward_pre_hooks:
        return False
    if isinstance(module, nn.BatchNorm2d) and (type(module) is nn.BatchNorm2d or _is_timm(module)):
        return module.running_mean is not None and module.running_var is not None
    return type(module) in (nn.Conv2d, nn.ConvTranspose2d)
