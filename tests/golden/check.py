"""Compare our networks with golden files of the published implementations.

    python -m tests.golden.check [FOLDER]

FOLDER (default ../shared/golden) holds ``models/*.json`` and ``.npz``, or those files themselves. One line per golden
file; the exit status is 1 if one fails, 2 if none could be compared.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.golden.filling import fill_state, noise
from tests.golden.table import Candidate, candidate

DEFAULT = Path(__file__).resolve().parents[3] / "shared" / "golden"
TOLERANCE = {"float32": 5e-5, "float64": 1e-9}
COST_TOLERANCE = 0.01
SUFFIX = {"float32": "", "float64": "__f64"}
STRIDE = {"float32": "stored_stride", "float64": "f64_stored_stride"}


@dataclass(frozen=True)
class Result:
    """The largest errors of one golden file, relative to its largest value; or why there are none."""

    name: str
    model: str | None
    errors: dict[str, float]
    problem: str = ""

    @property
    def mapped(self) -> bool:
        return self.model is not None

    @property
    def passed(self) -> bool:
        return not self.problem and all(self.errors[kind] <= limit for kind, limit in TOLERANCE.items())

    def __str__(self) -> str:
        figures = "  ".join(f"{kind} {value:.2e}" for kind, value in self.errors.items())
        return (
            f"{self.name:<40} {'ok' if self.passed else 'FAIL':<5} {self.model:<28} {figures}{self.problem}"
        )


def golden_files(folder: Path) -> list[Path]:
    """The descriptions of network goldens in a folder or in its ``models/``."""
    inner = folder / "models"
    return sorted((inner if inner.is_dir() else folder).glob("*.json"))


def check(path: Path) -> Result:
    """Compare one golden file with the network of ours that has its layout."""
    golden = json.loads(path.read_text(encoding="utf-8"))
    ours = candidate(golden)
    if ours is None:
        return Result(path.stem, None, {})
    try:
        return Result(path.stem, ours.name, _compare(ours, golden, path.with_suffix(".npz")))
    except (ValueError, KeyError, OSError, RuntimeError) as error:
        return Result(path.stem, ours.name, {}, f"{type(error).__name__}: {error}")


def _compare(ours: Candidate, golden: dict[str, Any], stored: Path) -> dict[str, float]:
    shapes = {key: shape for key, shape, _ in golden["layout"]}
    weights = fill_state(shapes, golden["gain"], golden["suffix"])
    ours.load(weights)
    if problem := _difference(ours.saved(), shapes, weights):
        raise ValueError(problem)
    if problem := _cost_difference(ours, golden):
        raise ValueError(problem)
    images = noise(golden["input"]["shape"], golden["suffix"])
    if not np.allclose(images.flatten()[:3].tolist(), golden["input"]["first3"], rtol=0, atol=1e-7):
        raise ValueError("the rule for inputs gives other values than this file was made from")
    # np.max, because the built-in max can lose a NaN
    return {kind: float(np.max(list(_errors(ours, stored, golden, images, kind)))) for kind in TOLERANCE}


def _difference(
    saved: dict[str, torch.Tensor], shapes: dict[str, list[int]], weights: dict[str, torch.Tensor]
) -> str:
    """Compare what comes back out of our network with what went in: names, shapes, values."""
    names = sorted(set(saved) ^ set(shapes))
    if names:
        return f"{len(names)} names of the layout differ, first {names[0]}"
    wrong = [key for key, value in saved.items() if list(value.shape) != shapes[key]]
    if wrong:
        return f"{len(wrong)} shapes of the layout differ, first {wrong[0]}"
    wrong = [key for key, value in weights.items() if not torch.equal(saved[key], value.to(saved[key].dtype))]
    return f"{len(wrong)} weights are not kept, first {wrong[0]}" if wrong else ""


def _cost_difference(ours: Candidate, golden: dict[str, Any]) -> str:
    """Compare parameters exactly, and multiply-adds within 1 %."""
    params = sum(value.numel() for value in ours.model.parameters())
    if params != golden["params"]:
        return f"{params} parameters instead of {golden['params']}"
    want = golden.get("macs_1024x2048")
    if not want:
        return ""
    size = (1025, 2049) if "1025x2049" in (golden.get("note") or "") else (1024, 2048)
    unreal = candidate(golden, "meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        unreal.outputs(unreal.model, torch.empty(1, 3, *size, device="meta"), golden)
    found = counter.get_total_flops() / 2
    return (
        ""
        if abs(found / want - 1) <= COST_TOLERANCE
        else f"{found / 1e9:.2f} G multiply-adds, not {want / 1e9:.2f}"
    )


def _errors(
    ours: Candidate, stored: Path, golden: dict[str, Any], images: torch.Tensor, kind: str
) -> Iterator[float]:
    dtype = getattr(torch, kind)
    ours.model.to(dtype)
    outputs = golden["outputs"]
    with torch.no_grad():
        found = ours.run(images.to(dtype), golden)
    with np.load(stored) as arrays:
        for (name, info), mine in zip(outputs.items(), found, strict=True):
            if list(mine.shape) != info["shape"]:
                raise ValueError(f"{name} is {list(mine.shape)} instead of {info['shape']}")
            stride = info[STRIDE[kind]]
            want = arrays[name + SUFFIX[kind]]
            yield float(np.abs(mine.numpy()[..., ::stride, ::stride] - want).max() / np.abs(want).max())


def main(arguments: list[str]) -> int:
    """Check a folder; return the exit status."""
    folder = Path(arguments[0]) if arguments else DEFAULT
    results = [check(path) for path in golden_files(folder)]
    mapped = [result for result in results if result.mapped]
    failed = sum(not result.passed for result in mapped)
    lines = [str(result) for result in mapped]
    lines.append(
        f"{len(mapped) - failed} of {len(mapped)} agree in {folder}; "
        f"{len(results) - len(mapped)} of networks that are not ours"
    )
    sys.stdout.write("\n".join(lines) + "\n")
    return 2 if not mapped else int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
