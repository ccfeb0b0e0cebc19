"""Weight files: reading them without running anything in them, recognising whose they are, loading them.

Two containers are read: safetensors, and torch files of any age. The latter are pickles; they are opened with torch's
restricted unpickler alone, which builds tensors and plain containers and refuses everything else.
"""

import pickle
import re
import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from roadseg.errors import WeightsError
from roadseg.models import catalog
from roadseg.models.layouts import Detected, Layout, layout_of, nearest
from roadseg.models.segformer_hf import is_hugging_face, original_names

__all__ = [
    "CheckpointFile", "LoadReport", "as_checkpoint", "build_for", "in_our_names", "load_weights", "read_state",
    "recognize",
]  # fmt: skip

_WRAPPERS = ("state_dict", "model", "model_state", "net", "ema")
_PREFIXES = ("module.", "_orig_mod.")
_MAX_NESTING = 4
_SHOWN = 3

# What torch, its unpickler and its archive reader raise on files that are damaged or not theirs.
_READ_ERRORS = (
    AssertionError, AttributeError, EOFError, ImportError, LookupError, MemoryError, OSError, RuntimeError, TypeError,
    ValueError, pickle.UnpicklingError, struct.error,
)  # fmt: skip


@dataclass(frozen=True)
class CheckpointFile:
    """The content of a weight file.

    Attributes:
        state: Parameter and buffer names with their tensors, on the CPU.
        metadata: The header of a safetensors file, or the scalars that lay beside the weights of a torch file.
        path: Where it was read, for messages.
    """

    state: dict[str, torch.Tensor]
    metadata: dict[str, str] = field(default_factory=dict)
    path: Path | None = None


@dataclass(frozen=True)
class LoadReport:
    """What `load_weights` did.

    Attributes:
        loaded: Number of tensors that were copied into the model.
        missing: Tensors of the model that the file lacks; they keep their values.
        unexpected: Tensors of the file that the model has no place for.
        mismatched: Tensors whose shape or kind differs; not loaded.
        filled: Number of batch counters that the file lacks and that were set to zero.
        flushed: Number of denormal values that were set to zero.
    """

    loaded: int
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()
    filled: int = 0
    flushed: int = 0


def read_state(path: str | Path) -> CheckpointFile:
    """Read a weight file without executing anything in it.

    Wrappers such as ``{"state_dict": ...}`` and the name prefixes of data-parallel and compiled models are taken off.

    Args:
        path: A safetensors file, or one written by ``torch.save``. The content decides, not the name.

    Raises:
        WeightsError: If the file is missing, empty, damaged, not a weight file, or asks for Python objects.
    """
    path = Path(path)
    kind = _container(path)
    if kind == "safetensors":
        state, metadata = _read_safetensors(path)
        return CheckpointFile(_plain_names(state), metadata, path)
    content, metadata = _unwrap(_read_torch(path, mmap=kind == "zip"))
    return CheckpointFile(_plain_names(_only_tensors(content, path)), metadata, path)


def load_weights(
    model: nn.Module,
    source: str | Path | CheckpointFile | Mapping[str, torch.Tensor],
    *,
    strict: bool = True,
) -> LoadReport:
    """Copy weights into a model, which keeps its precision, device and memory format.

    Batch counters that old files lack are set to zero. Values too small to be normal floating point numbers are set to
    zero as well: they do not change a result, and on some CPUs make a network several times slower.

    Args:
        model: The network; untouched when an error is raised.
        source: A file, what `read_state` returned, or names with tensors.
        strict: Demand that names and shapes agree completely. Otherwise what fits is loaded.

    Raises:
        WeightsError: If ``strict`` and something does not fit or is not finite, or if nothing fits at all.
    """
    file = as_checkpoint(source)
    given = in_our_names(file.state)
    targets = {key: value for key, value in model.state_dict().items() if isinstance(value, torch.Tensor)}
    filled = _fill_counters(given, targets)
    fitting = {key: given[key] for key in targets if key in given and _fits(given[key], targets[key])}
    mismatched = tuple(key for key in targets if key in given and key not in fitting)
    missing = tuple(key for key in targets if key not in given)
    unexpected = tuple(key for key in given if key not in targets)
    if (strict and (missing or unexpected or mismatched)) or not fitting:
        raise _misfit(model, file, given, targets, (missing, unexpected, mismatched))
    prepared, flushed = {}, 0
    for key, value in fitting.items():
        prepared[key], count = _flush_denormals(value.to(targets[key].dtype))
        flushed += count
    if strict:
        _check_finite(prepared, dict(model.named_parameters()), file.path)
    model.load_state_dict(prepared, strict=False)
    return LoadReport(len(prepared) - filled, missing, unexpected, mismatched, filled, flushed)


def build_for(source: str | Path | CheckpointFile | Mapping[str, torch.Tensor]) -> nn.Module:
    """Build the network that a file's weights belong to, with fresh weights.

    Raises:
        WeightsError: If the weights are of no known network, or the file cannot be read.
    """
    _, found = recognize(source)
    return catalog.build(found.model, found.num_classes, **found.options)


def recognize(
    source: str | Path | CheckpointFile | Mapping[str, torch.Tensor],
) -> tuple[Layout, Detected]:
    """Tell which network a file's weights belong to, and in which published layout they are.

    Raises:
        WeightsError: If the weights are of no known network, or the file cannot be read.
    """
    file = as_checkpoint(source)
    pair = layout_of(file.state)
    if pair is None:
        near = nearest(file.state)
        raise WeightsError(
            f"holds the weights of no network that roadseg recognizes ({len(file.state)} tensors, first "
            f"{_listed(tuple(file.state))})",
            where=file.path,
            remedy=(
                f"nearest are {'; '.join(f'{layout.name} ({layout.title})' for layout in near)}; "
                if near
                else ""
            )
            + "name the network with `roadseg convert FILE --model NAME` if it is your own",
        )
    return pair


def as_checkpoint(source: str | Path | CheckpointFile | Mapping[str, torch.Tensor]) -> CheckpointFile:
    """Read a file; weights that are there already are passed on."""
    if isinstance(source, CheckpointFile):
        return source
    return CheckpointFile(dict(source)) if isinstance(source, Mapping) else read_state(source)


def in_our_names(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Translate the names of a published layout; names of no known layout stay."""
    pair = layout_of(state)
    if pair is None:
        return dict(state)
    return {ours: state[theirs] for theirs, ours in pair[0].to_ours(state).items()}


# Reading


def _container(path: Path) -> str:
    """Tell the container from the first bytes: "safetensors", "zip" or "pickle"."""
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise WeightsError("is a folder, not a weight file", where=path)
        with path.open("rb") as stream:
            head = stream.read(64)
    except FileNotFoundError:
        raise WeightsError("does not exist", where=path) from None
    except OSError as error:
        raise WeightsError(f"cannot be read ({error.strerror})", where=path) from error
    if not head:
        raise WeightsError("is empty (0 bytes)", where=path, remedy="copy it again")
    if head.startswith(b"PK\x03\x04"):
        return "zip"
    if head[0] == 0x80 and head[1:2] <= bytes([pickle.HIGHEST_PROTOCOL]):
        return "pickle"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size - 8:
        return "safetensors"
    raise WeightsError(
        f"is not a weight file ({_guess(head)})", where=path, remedy="nothing in it was executed"
    )


def _guess(head: bytes) -> str:
    if head.startswith(b"version https://git-lfs"):
        return "it is the pointer that Git LFS leaves in place of a file"
    if head.lstrip()[:5].lower() in (b"<!doc", b"<html"):
        return "it is a web page"
    return "neither safetensors nor written by torch.save"


def _read_safetensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as stream:
            keys = stream.keys()
            return {key: stream.get_tensor(key) for key in keys}, dict(stream.metadata() or {})
    except (SafetensorError, *_READ_ERRORS) as error:
        raise _damaged(path) from error


def _read_torch(path: Path, mmap: bool) -> object:
    try:
        # torch warns of rare pickle protocols: what it can read needs no warning, and the rest is an error below.
        with warnings.catch_warnings(action="ignore"):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        refused = re.search(r"GLOBAL ([\w.]+)", str(error))
        if refused is None:
            raise _damaged(path) from error
        raise WeightsError(
            f"asks for a Python object ({refused[1]}) beside its tensors, which was refused: nothing in it was executed",
            where=path,
            remedy="save its state_dict alone, or as safetensors",
        ) from error
    except _READ_ERRORS as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> WeightsError:
    return WeightsError(
        "is damaged or cut short, or is not a weight file; nothing in it was executed",
        where=path,
        remedy="copy it again",
    )


def _unwrap(content: object) -> tuple[object, dict[str, str]]:
    """Take wrappers off, and keep the scalars that lay beside the weights."""
    metadata: dict[str, str] = {}
    for _ in range(_MAX_NESTING):
        if not isinstance(content, Mapping):
            break
        inner = next((content[name] for name in _WRAPPERS if isinstance(content.get(name), Mapping)), None)
        if inner is None:
            break
        beside = {str(key): value for key, value in content.items() if isinstance(value, str | int | float)}
        metadata |= {key: str(value) for key, value in beside.items()}
        content = inner
    return content, metadata


def _only_tensors(content: object, path: Path) -> dict[str, torch.Tensor]:
    if not isinstance(content, Mapping):
        raise WeightsError(f"holds a {type(content).__name__}, not named tensors", where=path)
    others = tuple(str(key) for key, value in content.items() if not isinstance(value, torch.Tensor))
    if others or not content:
        what = f"holds other things than tensors ({_listed(others)})" if others else "holds no tensors"
        raise WeightsError(what, where=path, remedy="save its state_dict alone")
    return {str(key): value.detach() for key, value in content.items()}


def _plain_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Take off what wrappers put before the names, and what Hugging Face made of them."""
    state = _strip_prefixes(state)
    return original_names(state) if is_hugging_face(state) else state


def _strip_prefixes(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Take off the prefixes that every name shares, and the counter of ``torch.optim.swa_utils.AveragedModel``."""
    averaged = {key: value for key, value in state.items() if key != "n_averaged"}
    while prefix := next(
        (p for p in _PREFIXES if averaged and all(key.startswith(p) for key in averaged)), None
    ):
        averaged = {key.removeprefix(prefix): value for key, value in averaged.items()}
        state = averaged
    return state


# Loading


def _fill_counters(given: dict[str, torch.Tensor], targets: Mapping[str, torch.Tensor]) -> int:
    """Add the batch counters that files from before torch 0.4.1 lack; return how many."""
    lacking = [
        key
        for key in targets
        if key.endswith("num_batches_tracked")
        and key not in given
        and key.replace("num_batches_tracked", "running_mean") in given
    ]
    given.update((key, torch.zeros_like(targets[key])) for key in lacking)
    return len(lacking)


def _fits(value: torch.Tensor, target: torch.Tensor) -> bool:
    dense = value.layout is torch.strided and not value.is_quantized
    return dense and value.shape == target.shape and value.is_floating_point() == target.is_floating_point()


def _flush_denormals(value: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Set to zero what is nearer to zero than the smallest normal number of the tensor's type."""
    if not value.is_floating_point() or value.dtype is torch.float16:  # float16 needs its denormals
        return value, 0
    denormal = (value != 0) & (value.abs() < torch.finfo(value.dtype).tiny)
    count = int(denormal.sum())
    return (value.masked_fill(denormal, 0.0), count) if count else (value, 0)


def _check_finite(
    state: Mapping[str, torch.Tensor], parameters: Mapping[str, Any], path: Path | None
) -> None:
    broken = tuple(
        key for key, value in state.items() if key in parameters and not bool(value.isfinite().all())
    )
    if broken:
        raise WeightsError(
            f"holds values that are not numbers in {len(broken)} tensors ({_listed(broken)})",
            where=path,
            remedy="the training run that wrote it has diverged",
        )


def _misfit(
    model: nn.Module,
    file: CheckpointFile,
    given: Mapping[str, torch.Tensor],
    targets: Mapping[str, torch.Tensor],
    problems: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]],
) -> WeightsError:
    missing, unexpected, mismatched = problems
    shapes = tuple(f"{key} {_shape(given[key])} instead of {_shape(targets[key])}" for key in mismatched)
    parts = [
        f"{len(keys)} {text} ({_listed(keys)})"
        for keys, text in (
            (missing, "missing"),
            (unexpected, "unexpected"),
            (shapes, "of another shape or kind"),
        )
        if keys
    ]
    pair = layout_of(file.state)
    return WeightsError(
        f"does not fit {type(model).__name__} with its {len(targets)} tensors: {', '.join(parts)}",
        where=file.path,
        remedy=f"this looks like {pair[1]}" if pair else "load it into the network that it was made for",
    )


def _shape(value: torch.Tensor) -> str:
    return "x".join(str(side) for side in value.shape) or "scalar"


def _listed(keys: tuple[str, ...]) -> str:
    shown = ", ".join(keys[:_SHOWN])
    return shown if len(keys) <= _SHOWN else f"{shown}, ..."
