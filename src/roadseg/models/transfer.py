"""What of a checkpoint serves another task: its trunk alone, or all of it with other classes.

Both say what they took and what kept its fresh values.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from roadseg.errors import WeightsError
from roadseg.models import catalog
from roadseg.models.layouts import layouts
from roadseg.models.weights import CheckpointFile, LoadReport, as_checkpoint, in_our_names, load_weights

__all__ = ["ClassTransfer", "class_axes", "load_encoder", "load_for_classes"]

Source = str | Path | CheckpointFile | Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class ClassTransfer:
    """What `load_for_classes` did.

    Attributes:
        copied: Tensors taken over as they are.
        by_class: Tensors of which the rows of shared classes were taken over.
        fresh: Tensors that keep their fresh values, because the file lacks them or they do not fit.
        unused: Tensors of the file that found no place.
        classes: For each class of the model, the channel of the file it came from; None for a new class.
    """

    copied: tuple[str, ...]
    by_class: tuple[str, ...]
    fresh: tuple[str, ...]
    unused: tuple[str, ...]
    classes: tuple[int | None, ...]

    def __str__(self) -> str:
        shared = sum(channel is not None for channel in self.classes)
        return (
            f"{len(self.copied)} tensors copied, {len(self.by_class)} by class ({shared} of {len(self.classes)} classes), "
            f"{len(self.fresh)} initialized"
        )


def load_encoder(model: nn.Module, source: Source) -> LoadReport:
    """Load the weights of a trunk, usually trained on ImageNet, into ``model.backbone``.

    Whatever else the file holds, such as a classifier, is left out. The names may be those of torchvision, timm or any
    published layout that roadseg knows, with or without ``backbone.`` before them.

    Args:
        model: The network; untouched when an error is raised.
        source: A file, what `read_state` returned, or names with tensors.

    Raises:
        WeightsError: If the network has no trunk, or the file does not cover it.
    """
    trunk = getattr(model, "backbone", None)
    if not isinstance(trunk, nn.Module):
        raise WeightsError(
            f"{type(model).__name__} has no trunk that could be loaded alone",
            remedy="give weights of the whole network",
        )
    file = as_checkpoint(source)
    wanted = {key: value.shape for key, value in trunk.state_dict().items() if value.is_floating_point()}
    best: dict[str, torch.Tensor] = {}
    for names in _namings(file.state):
        fitting = {
            ours: file.state[theirs]
            for theirs, ours in names.items()
            if ours in wanted and file.state[theirs].shape == wanted[ours]
        }
        best = max(best, fitting, key=len)
    missing = sorted(set(wanted) - set(best))
    if missing:
        raise WeightsError(
            f"covers {len(best)} of the {len(wanted)} tensors of the trunk {type(trunk).__name__}; the first that it "
            f"lacks is {missing[0]}",
            where=file.path,
            remedy="give a file of the same trunk, for example of torchvision or timm",
        )
    report = load_weights(trunk, best)
    return LoadReport(loaded=report.loaded, unexpected=_others(file.state, best), flushed=report.flushed)


def _others(state: Mapping[str, torch.Tensor], used: Mapping[str, torch.Tensor]) -> tuple[str, ...]:
    taken = {id(value) for value in used.values()}
    return tuple(key for key, value in state.items() if id(value) not in taken)


def _namings(names: Iterable[str]) -> list[dict[str, str]]:
    """Return the ways to read names as those of a trunk: as they are, or as in one of the known layouts."""
    names = list(names)
    ways = [{name: name for name in names}, *(layout.to_ours(names) for layout in layouts())]
    return [{theirs: ours.removeprefix("backbone.") for theirs, ours in way.items()} for way in ways]


def class_axes(name: str, options: Mapping[str, object]) -> dict[str, tuple[int, ...]]:
    """Tell which axes of a network's tensors count classes, by tensor name.

    The network is built without memory for two numbers of classes; an axis counts classes if it has either length.

    Args:
        name: Catalog name, or ``package.module:callable``.
        options: Of its factory.
    """
    few, many = 7, 11
    with torch.device("meta"):
        one = catalog.build(name, few, **options).state_dict()
        other = catalog.build(name, many, **options).state_dict()
    axes = {}
    for key, value in one.items():
        pairs = zip(value.shape, other[key].shape, strict=True)
        axes[key] = tuple(axis for axis, pair in enumerate(pairs) if pair == (few, many))
    return {key: found for key, found in axes.items() if found}


def load_for_classes(
    model: nn.Module, source: Source, axes: Mapping[str, tuple[int, ...]], classes: Sequence[int | None]
) -> ClassTransfer:
    """Load a network that was trained for other classes: what fits, and the rows of the classes it shares.

    Args:
        model: The network for the new classes, with fresh weights.
        source: A file, what `read_state` returned, or names with tensors.
        axes: Which axes count classes (`class_axes`).
        classes: For each class of the model, the channel of the file that means it; None for a new class.

    Raises:
        WeightsError: If less than half of the network's tensors find their values in the file.
    """
    file = as_checkpoint(source)
    targets = {key: value for key, value in model.state_dict().items() if value.is_floating_point()}
    given = _of_a_part(in_our_names(file.state), targets)
    state, by_class = {}, []
    for key in targets.keys() & given.keys():
        if key in axes:
            merged = _merge(targets[key], given[key], axes[key], classes)
            if merged is not None:
                state[key] = merged
                by_class.append(key)
        elif given[key].shape == targets[key].shape:
            state[key] = given[key]
    if 2 * len(state) < len(targets):
        raise WeightsError(
            f"fits {len(state)} of the {len(targets)} tensors of {type(model).__name__}",
            where=file.path,
            remedy="fine-tune the network that it was made for",
        )
    load_weights(model, state, strict=False)
    return ClassTransfer(
        copied=tuple(key for key in targets if key in state and key not in axes),
        by_class=tuple(key for key in targets if key in by_class),
        fresh=tuple(key for key in targets if key not in state),
        unused=tuple(key for key, value in given.items() if key not in state and value.is_floating_point()),
        classes=tuple(classes),
    )


def _of_a_part(
    given: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]
) -> Mapping[str, torch.Tensor]:
    """Name the tensors of a network that is a part of this one, such as an encoder trained alone, as they are here."""
    for part in sorted({key.partition(".")[0] for key in wanted}):
        renamed = {f"{part}.{key}": value for key, value in given.items()}
        if all(key in wanted for key, value in renamed.items() if value.is_floating_point()):
            return renamed
    return given


def _merge(
    fresh: torch.Tensor, given: torch.Tensor, axes: tuple[int, ...], classes: Sequence[int | None]
) -> torch.Tensor | None:
    """Copy the entries of shared classes into a copy of ``fresh``; None if the other axes differ."""
    if fresh.ndim != given.ndim:
        return None
    if any(
        a != b for axis, (a, b) in enumerate(zip(fresh.shape, given.shape, strict=True)) if axis not in axes
    ):
        return None
    shared = [(row, channel) for row, channel in enumerate(classes) if channel is not None]
    rows = torch.tensor([row for row, _ in shared], dtype=torch.long)
    values = given
    for axis in axes:
        values = values.index_select(axis, torch.tensor([channel for _, channel in shared], dtype=torch.long))
    places = [
        (rows if axis in axes else torch.arange(side)).view(
            [-1 if other == axis else 1 for other in range(fresh.ndim)]
        )
        for axis, side in enumerate(fresh.shape)
    ]
    merged = fresh.detach().cpu().clone()
    merged[tuple(places)] = values.to(merged.dtype)
    return merged
