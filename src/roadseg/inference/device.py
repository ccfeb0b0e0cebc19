"""Which device to compute on, and which number format it gains from."""

from contextlib import AbstractContextManager, nullcontext

import torch

from roadseg.errors import InputError

__all__ = ["autocast", "autocast_dtype", "choose_device"]


def choose_device(name: str = "auto") -> torch.device:
    """Return a usable device.

    Args:
        name: ``auto`` (CUDA, then MPS, then CPU), or a torch device name.

    Raises:
        InputError: There is no such device here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"there is no device {name!r} here ({reason})", remedy="use `auto` or `cpu`"
        ) from error
    return device


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """Return the autocast type for a recipe's ``precision``; None for plain float32.

    ``auto`` takes bfloat16 on CUDA devices that have it, else float16 on CUDA, else nothing: without bfloat16 units,
    CPU autocast is slower than float32.
    """
    if precision == "auto":
        if device.type != "cuda":
            return None
        own = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if own else torch.float16
    return {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}[precision]


def autocast(dtype: torch.dtype | None, device: torch.device) -> AbstractContextManager[None]:
    """Return the autocast context for a type from `autocast_dtype`."""
    if dtype is None:
        return nullcontext()
    return torch.autocast(device.type, dtype)
