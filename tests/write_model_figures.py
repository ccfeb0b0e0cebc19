"""Measure every network of the catalog and write `roadseg/models/figures.json`.

    python -m tests.write_model_figures [NAME ...]

Without names all networks are measured. A test compares the file with new measurements.
"""

import json
import sys
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import roadseg.models
from roadseg.models import catalog

CLASSES = 19
SIZE = (1024, 2048)
FILE = Path(roadseg.models.__file__).with_name("figures.json")


def parameters(model: nn.Module) -> int:
    """Count the parameters of a network."""
    return sum(value.numel() for value in model.parameters())


def multiply_adds(model: nn.Module, size: tuple[int, int] = SIZE) -> int:
    """Count the multiply-adds of convolutions and matrix products for one image; the model is on the meta device."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.empty(1, 3, *size, device="meta"))
    return int(counter.get_total_flops()) // 2


def measure(name: str) -> dict[str, int]:
    """Measure one network with the options at their defaults."""
    with torch.device("meta"):
        model = catalog.build(name, CLASSES).eval()
    return {"params": parameters(model), "macs": multiply_adds(model)}


def main(chosen: list[str]) -> None:
    """Measure the chosen networks, or all."""
    old = json.loads(FILE.read_text(encoding="utf-8"))
    new = {name: measure(name) for name in chosen or catalog.names()}
    figures = {name: {**old, **new}[name] for name in catalog.names()}
    FILE.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
