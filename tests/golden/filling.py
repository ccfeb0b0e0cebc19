"""The deterministic rule by which golden files fill weights and inputs.

Every number follows from the name of the parameter, its shape, and the ``gain`` and ``suffix`` of the golden file.
"""

import hashlib
import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import torch


def _generator(text: str) -> np.random.Generator:
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    return np.random.Generator(np.random.PCG64(seed))


def value_for(
    key: str, shape: tuple[int, ...], keys: Collection[str], gain: float, suffix: str
) -> np.ndarray | None:
    """The float64 values of one entry of a state, or None where a buffer stays as it was built."""
    owner, _, leaf = key.rpartition(".")
    rng = _generator(key + suffix)
    if leaf == "num_batches_tracked":
        return np.zeros(shape)
    if leaf == "running_var" or (leaf == "weight" and len(shape) == 1 and f"{owner}.running_mean" in keys):
        return rng.uniform(0.5, 1.5, shape)
    if leaf == "weight" and len(shape) == 1:  # no running mean beside it: the slopes of a PReLU
        return rng.uniform(0.0, 0.5, shape)
    if leaf == "weight":  # fan-in is the product of every axis but the first
        return rng.standard_normal(shape) * math.sqrt(gain / math.prod(shape[1:]))
    if leaf in ("bias", "running_mean"):
        return rng.standard_normal(shape) * 0.1
    return None


def fill_state(shapes: Mapping[str, Sequence[int]], gain: float, suffix: str = "") -> dict[str, torch.Tensor]:
    """The filled entries of a state with these names and shapes, rounded to float32."""
    values = {key: value_for(key, tuple(shape), shapes, gain, suffix) for key, shape in shapes.items()}
    return {
        key: torch.from_numpy(np.asarray(value, dtype=np.float32))
        for key, value in values.items()
        if value is not None
    }


def noise(shape: Sequence[int], suffix: str = "") -> torch.Tensor:
    """The input of a golden file."""
    rng = _generator(f"input0{suffix}") if suffix else np.random.Generator(np.random.PCG64(0))
    return torch.from_numpy(rng.standard_normal(tuple(shape)).astype(np.float32))
