"""Write ``api_surface.json`` anew: ``python -m tests.write_api_surface``."""

import importlib
import json
from pathlib import Path

PUBLIC = (
    "",
    "data",
    "errors",
    "inference",
    "labels",
    "losses",
    "media",
    "metrics",
    "models",
    "recipes",
    "reporting",
    "training",
)

if __name__ == "__main__":
    modules = [".".join(filter(None, ("roadseg", room))) for room in PUBLIC]
    surface = {module: sorted(importlib.import_module(module).__all__) for module in modules}
    target = Path(__file__).parent / "api_surface.json"
    target.write_text(json.dumps(surface, indent=1) + "\n")
