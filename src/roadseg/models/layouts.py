"""Tells from the names and shapes of weights which network they belong to, and with which options."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

__all__ = ["Detected", "detect"]


@dataclass(frozen=True)
class Detected:
    """A network of the catalog, recognised from its weights.

    Attributes:
        model: Catalog name.
        num_classes: Channels of the logits.
        options: The options that leave a trace in the weights; the others keep their defaults.
    """

    model: str
    num_classes: int
    options: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        options = ", ".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.model}{f' ({options})' if options else ''}, {self.num_classes} classes"


def detect(state: Mapping[str, torch.Tensor]) -> Detected | None:
    """Recognise a network of the catalog from its weights ``state``; None if it is none of them.

    The padding of Fast-SCNN's first convolution leaves no trace in the weights.
    """
    for recognize in (_espnet, _espnet_c, _fast_scnn):
        found = recognize(state)
        if found is not None:
            return found
    return None


def _size(state: Mapping[str, torch.Tensor], key: str, axis: int) -> int:
    """Return the length of an axis of a weight, 0 if there is no such weight or axis."""
    shape = state[key].shape if key in state else ()
    return int(shape[axis]) if axis < len(shape) else 0


def _repeats(state: Mapping[str, torch.Tensor], stage: str) -> int:
    """Count the modules ``stage.0``, ``stage.1`` ... that have weights."""
    pattern = re.compile(re.escape(stage) + r"\.(\d+)\.")
    return len({found[1] for key in state if (found := pattern.match(key))})


def _alphas(state: Mapping[str, torch.Tensor], prefix: str) -> dict[str, object]:
    return {"alpha2": _repeats(state, f"{prefix}level2"), "alpha3": _repeats(state, f"{prefix}level3")}


def _espnet(state: Mapping[str, torch.Tensor]) -> Detected | None:
    num_classes = _size(state, "classifier.weight", axis=1)  # transposed convolution: [in, out, 2, 2]
    width = _size(state, "conv.conv.weight", axis=0)
    level1 = _size(state, "conv.conv.weight", axis=1) - width
    skip = {16: "features", 19: "concat"}.get(level1)
    if not num_classes or skip is None or "encoder.level2_0.c1.conv.weight" not in state:
        return None
    return Detected("espnet", num_classes, _alphas(state, "encoder.") | {"skip": skip})


def _espnet_c(state: Mapping[str, torch.Tensor]) -> Detected | None:
    num_classes = _size(state, "classifier.conv.weight", axis=0)
    if not num_classes or "level2_0.c1.conv.weight" not in state:
        return None
    return Detected("espnet-c", num_classes, _alphas(state, ""))


def _fast_scnn(state: Mapping[str, torch.Tensor]) -> Detected | None:
    num_classes = _size(state, "classifier.conv.1.weight", axis=0)
    if not num_classes or "learning_to_downsample.conv.conv.0.weight" not in state:
        return None
    heads = {"stem": "auxlayer", "context": "auxlayer_context"}
    aux = tuple(name for name, key in heads.items() if f"{key}.0.weight" in state)
    if not aux:
        return Detected("fast-scnn", num_classes)
    return Detected(
        "fast-scnn", num_classes, {"aux": aux, "aux_width": _size(state, f"{heads[aux[0]]}.0.weight", axis=0)}
    )
