"""How one network is spread over the processes of a run, and how its state comes together again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from roadseg.errors import RecipeError, RunError
from roadseg.recipes import Engine
from roadseg.training.compute import prepare
from roadseg.training.distributed import World

__all__ = ["Shards", "connection_errors", "place", "replicate"]

SHARD_PARAMETERS = 1_000_000
"""Modules of the trunk with at least so many parameters are gathered one at a time."""


def place(model: nn.Module, world: World, engine: Engine) -> nn.Module:
    """Return the network on this process's device, its parameters sharded where asked for, ready for an optimizer.

    Raises:
        RecipeError: Parameters are to be sharded, but there is one process only; or the engine's wishes cannot be met.
    """
    if engine.sync_norm and world.size > 1 and world.device.type == "cuda":  # torch has none on CPU
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    model = model.to(world.device)
    if engine.sharding == "fsdp":
        engine = replace(engine, channels_last=False)  # only contiguous parameters can be sharded
    prepare(model, engine)
    if engine.sharding == "fsdp":
        _shard(model, world)
    return model


def replicate(model: nn.Module, world: World, engine: Engine) -> nn.Module:
    """Return what to call in a training step: the network, its gradients averaged over the processes."""
    if world.size == 1 or engine.sharding == "fsdp":
        return model
    replica = DistributedDataParallel(model)
    match engine.compress:
        case "float16":
            replica.register_comm_hook(None, default_hooks.fp16_compress_hook)
        case "bfloat16":
            replica.register_comm_hook(None, default_hooks.bf16_compress_hook)
        case "none":
            pass
    return replica


def _shard(model: nn.Module, world: World) -> None:
    if world.size == 1:
        raise RecipeError(
            "parameters cannot be sharded over one process",
            remedy="start several with torchrun, or leave out --engine.sharding",
        )
    mesh = init_device_mesh(world.device.type, (world.size,))
    trunk = getattr(model, "backbone", model)
    for child in trunk.children():
        # Containers without a forward of their own are never called, and so would never be gathered.
        if not isinstance(child, nn.ModuleList | nn.ModuleDict) and _size(child) >= SHARD_PARAMETERS:
            fully_shard(child, mesh=mesh)
    fully_shard(model, mesh=mesh)


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


class Shards:
    """The state of a network and its optimizer, whole, whether their tensors are sharded or not.

    All processes have to call its methods together.

    Args:
        model: What `place` returned.
        optimizer: Over its parameters.
        engine: Of the recipe.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, engine: Engine) -> None:
        self.model = model
        self.optimizer = optimizer
        self.sharded = engine.sharding == "fsdp"

    def state(self) -> dict[str, Any]:
        """Return the state to be saved; where tensors are sharded, only the first process gets it."""
        if not self.sharded:
            return {
                "sharded": False,
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
            }
        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        return {
            "sharded": True,
            "model": get_model_state_dict(self.model, options=options),
            "optimizer": get_optimizer_state_dict(self.model, self.optimizer, options=options),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a state, of any number of processes.

        Raises:
            RecipeError: It is a state of tensors that were sharded, and these are not, or the other way round.
        """
        if state["sharded"] != self.sharded:
            raise RecipeError(
                f"the run was started {'with' if state['sharded'] else 'without'} sharded parameters",
                remedy=f"resume it with --engine.sharding {'fsdp' if state['sharded'] else 'none'}",
            )
        if not self.sharded:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            return
        options = StateDictOptions(full_state_dict=True)
        set_model_state_dict(self.model, state["model"], options=options)
        set_optimizer_state_dict(self.model, self.optimizer, state["optimizer"], options=options)

    def whole(self, build: Callable[[], nn.Module]) -> nn.Module:
        """Return the network with all its parameters on every process: where sharded, in a fresh one that is built."""
        if not self.sharded:
            return self.model
        state = get_model_state_dict(self.model, options=StateDictOptions(full_state_dict=True))
        fresh = build().to(next(self.model.parameters()).device)
        fresh.load_state_dict(state)
        return fresh


@contextmanager
def connection_errors(world: World, out: Path) -> Iterator[None]:
    """Turn what is raised when the connection to another process breaks into an error with a remedy.

    Raises:
        RunError: Another process has ended.
    """
    try:
        yield
    except RuntimeError as error:
        if world.size > 1 and (
            isinstance(error, dist.DistError) or any(word in str(error) for word in _BROKEN)
        ):
            raise RunError(
                "another process of the run has ended",
                where=out,
                remedy="see what it said last; then go on with --resume",
            ) from error
        raise


_BROKEN = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "gloo/transport", "NCCL")
