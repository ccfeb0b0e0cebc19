"""Networks: functions from normalized images to an `Output`, a torch-free catalog of them, and their weight files.

Importing this package does not import torch; the names that need it are loaded when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from roadseg.models.bundled import DEFAULT_WEIGHTS, bundled_weights, read_card
from roadseg.models.catalog import ModelRow, build, names, row

if TYPE_CHECKING:
    from roadseg.models.layouts import Detected, detect
    from roadseg.models.output import Output, SegmentationModel
    from roadseg.models.transfer import ClassTransfer, class_axes, load_encoder, load_for_classes
    from roadseg.models.weights import (
        CheckpointFile,
        LoadReport,
        build_for,
        load_weights,
        read_state,
        recognize,
    )  # fmt: skip

__all__ = [
    "DEFAULT_WEIGHTS",
    "CheckpointFile",
    "ClassTransfer",
    "Detected",
    "LoadReport",
    "ModelRow",
    "Output",
    "SegmentationModel",
    "build",
    "build_for",
    "bundled_weights",
    "class_axes",
    "detect",
    "load_encoder",
    "load_for_classes",
    "load_weights",
    "names",
    "read_card",
    "read_state",
    "recognize",
    "row",
]

_LAZY = {
    "CheckpointFile": "weights",
    "ClassTransfer": "transfer",
    "Detected": "layouts",
    "LoadReport": "weights",
    "Output": "output",
    "SegmentationModel": "output",
    "build_for": "weights",
    "class_axes": "transfer",
    "detect": "layouts",
    "load_encoder": "transfer",
    "load_for_classes": "transfer",
    "load_weights": "weights",
    "read_state": "weights",
    "recognize": "weights",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - PEP 562
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
