"""How much memory a network takes, how much it may take, and how to tell that there was too little."""

import re
import weakref
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from roadseg.errors import RecipeError

__all__ = ["bytes_text", "is_out_of_memory", "network_bytes", "parse_memory", "release"]

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY = {"ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
_MESSAGES = ("not enough memory", "out of memory", "can't allocate memory", "cannot allocate memory")
_PROBE = 128  # pixels: a multiple of the strides of all networks, and soon done
_MARGIN = 1.25  # what kernels take for themselves, beside the tensors


def parse_memory(text: str | int) -> int:
    """Return a number of bytes, given as such or with a unit: ``4GB``, ``512 MiB``, ``4g``.

    Raises:
        RecipeError: It is none.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([kmgt]i?)?b?\s*", str(text).lower())
    size = int(float(found[1]) * (_UNITS | _BINARY)[found[2] or ""]) if found else 0
    if size <= 0:
        raise RecipeError(f"{text!r} is no amount of memory", where="--max-memory", remedy="for example 4GB")
    return size


def bytes_text(size: int) -> str:
    """Return a number of bytes in words, rounded to three digits."""
    for unit in ("B", "kB", "MB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size = size / 1000  # type: ignore[assignment]
    return f"{size:.3g} GB"


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out, on a GPU or in the machine."""
    if isinstance(error, torch.cuda.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _MESSAGES)


def release(device: torch.device) -> None:
    """Give memory that torch keeps for later back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def network_bytes(model: Any, images: torch.Tensor) -> int:  # noqa: ANN401 - a network, or whatever acts as one
    """Estimate the bytes that running a network over images ``[B, 3, H, W]`` takes beside its weights.

    The most that its tensors take at any one time in a small trial run, in proportion to the pixels, and a quarter more
    for what kernels need.
    """
    pixels = images.shape[0] * images.shape[-2] * images.shape[-1]
    return int(_MARGIN * _bytes_per_pixel(model, images) * pixels)


_PER_PIXEL: "WeakKeyDictionary[nn.Module, dict[tuple[torch.device, torch.dtype], float]]" = (
    WeakKeyDictionary()
)


def _bytes_per_pixel(model: Any, images: torch.Tensor) -> float:  # noqa: ANN401
    if not isinstance(model, nn.Module):
        return _measured(model, images)
    known = _PER_PIXEL.setdefault(model, {})
    key = (images.device, images.dtype)
    if key not in known:
        known[key] = _measured(model, images)
    return known[key]


def _measured(model: Callable[[torch.Tensor], object], images: torch.Tensor) -> float:
    probe = images.new_zeros((1, images.shape[1], _PROBE, _PROBE))
    with torch.no_grad(), _Live() as live:
        model(probe)
    return float(live.most + probe.nbytes) / _PROBE**2


class _Live(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of all tensors that are made and not yet freed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self.known: set[int] = set()

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        result = func(*args, **(kwargs or {}))
        given = {
            leaf.untyped_storage().data_ptr() for leaf in tree_leaves((args, kwargs)) if torch.is_tensor(leaf)
        }
        for leaf in tree_leaves(result):
            if torch.is_tensor(leaf):
                self._count(leaf.untyped_storage(), given)
        return result

    def _count(self, storage: torch.UntypedStorage, given: set[int]) -> None:
        place = storage.data_ptr()
        if place in given or place in self.known:
            return
        self.known.add(place)
        self.now += storage.nbytes()
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._freed, place, storage.nbytes())

    def _freed(self, place: int, size: int) -> None:
        self.known.discard(place)
        self.now -= size
