"""Names of the files in the folder of a training run: training writes them, reports and the command line read them."""

__all__ = ["BEST", "LAST", "METRICS", "RESULT", "RUN", "STATE"]

RUN = "run.json"
"""The plan as it is carried out, with versions and device."""

METRICS = "metrics.jsonl"
"""A line per validation."""

STATE = "last.pt"
"""What the run is resumed from."""

RESULT = "result.json"
"""Written at the end of a complete run."""

BEST = "best.safetensors"
"""Weights of the best validation, where the recipe selects them."""

LAST = "last.safetensors"
"""Weights of the latest validation."""
