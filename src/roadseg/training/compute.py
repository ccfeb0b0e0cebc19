"""How the machine computes a network: layout of memory, recomputation, compilation.

All of it leaves parameter names, the network's results and its copies as they are.
"""

import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_flatten, tree_unflatten
from torch.utils.checkpoint import checkpoint

from roadseg.errors import RecipeError
from roadseg.recipes import Engine

__all__ = ["checkpoint_activations", "compiler_errors", "memory_format", "prepare"]


def prepare(model: nn.Module, engine: Engine) -> None:
    """Make a network compute as a recipe's engine says; in place, once it is on its device and its parts are frozen.

    Args:
        model: The network.
        engine: What to do; sharding and synchronized normalization are not done here.

    Raises:
        RecipeError: Two wishes exclude each other, or the network has no part that could be recomputed.
    """
    if engine.checkpointing and engine.compile:
        raise RecipeError(
            "activations cannot be both recomputed and compiled",
            where="engine",
            remedy="choose checkpointing to save memory, or compile to save time",
        )
    model.to(memory_format=memory_format(engine))
    if engine.checkpointing and not checkpoint_activations(model):
        raise RecipeError(
            f"{type(model).__name__} has no part whose activations could be recomputed",
            where="engine",
            remedy="leave out checkpointing",
        )
    if engine.compile:
        model.compile()  # in place: names of parameters stay, and copies of the network are not compiled


def memory_format(engine: Engine) -> torch.memory_format:
    """Return the layout of images and filters in memory."""
    return torch.channels_last if engine.channels_last else torch.contiguous_format


@contextmanager
def compiler_errors() -> Iterator[None]:
    """Turn what torch.compile raises, which it does at the first step, into errors with a remedy.

    Raises:
        RecipeError: The network, or anything at all, cannot be compiled here.
    """
    from torch._dynamo.exc import TorchDynamoException  # slow to import, and needed by few runs

    try:
        yield
    except TorchDynamoException as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise RecipeError(
            f"torch.compile failed on this machine ({platform.system()}, torch {torch.__version__}): {reason[0]}",
            where="engine",
            remedy="leave out compile; it needs a C++ compiler, and on a GPU Triton",
        ) from error


def checkpoint_activations(model: nn.Module) -> int:
    """Let parts of a network keep only their inputs in training and run again in the backward pass (Chen et al. 2016).

    The parts are found by size: the largest modules that hold at most an eighth of the network's layers, so that what
    is recomputed at a time is small too. A part's second run repeats its dropout, and does not count the statistics of
    its batch again.

    Args:
        model: The network, changed in place; its names, results, copies and state are not.

    Returns:
        The number of parts. For 0, the network's modules are too few or too small.
    """
    most = max(_SMALL, _layers(model) // 8)
    parts = [part for child in model.children() for part in _parts(child, most)]
    for part in dict.fromkeys(parts):
        part.forward = _Recomputed(part)
    return len(parts)


_SMALL = 8
"""Layers that a part may always have: a residual block should not be divided."""


def _layers(module: nn.Module) -> int:
    """Return the number of modules with parameters of their own."""
    return sum(any(True for _ in each.parameters(recurse=False)) for each in module.modules())


def _parts(module: nn.Module, most: int) -> Iterator[nn.Module]:
    layers = _layers(module)
    if layers < 2:  # a convolution alone keeps nothing but its input
        return
    if layers <= most and not isinstance(module, nn.ModuleList | nn.ModuleDict):  # which are never called
        yield module
        return
    for child in module.children():
        yield from _parts(child, most)


class _Recomputed:
    """The ``forward`` of a module that is run again in the backward pass."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.forward: Callable[..., Any] = module.forward

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the module takes and returns
        if not torch.is_grad_enabled():
            return self.forward(*args, **kwargs)
        leaves, tree = tree_flatten((args, kwargs))

        def run(*leaves: Any) -> Any:  # noqa: ANN401
            args, kwargs = tree_unflatten(
                leaves, tree
            )  # new lists: some networks write into those they are given
            return self.forward(*args, **kwargs)

        tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
        versions = [tensor._version for tensor in tensors]
        return checkpoint(
            run,
            *leaves,
            use_reentrant=False,
            context_fn=lambda: (nullcontext(), self._again(tensors, versions)),
        )

    @contextmanager
    def _again(self, tensors: Sequence[torch.Tensor], versions: Sequence[int]) -> Iterator[None]:
        """Run on the same inputs, and on copies of the buffers: running statistics already know this batch."""
        # Recent releases of torch check this themselves; the others would compute wrong gradients without a word.
        if [tensor._version for tensor in tensors] != versions:
            raise RecipeError(
                f"the input of a {type(self.module).__name__} was overwritten after it was computed on",
                where="engine",
                remedy="leave out checkpointing for this network",
            )
        buffers = [
            (each, name, buffer)
            for each in self.module.modules()
            for name, buffer in each.named_buffers(recurse=False)
        ]
        for each, name, buffer in buffers:
            setattr(each, name, buffer.clone())
        try:
            yield
        finally:
            for each, name, buffer in buffers:
                setattr(each, name, buffer)
