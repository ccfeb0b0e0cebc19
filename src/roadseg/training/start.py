"""What a run starts from: a checkpoint for the same classes, for other classes, or a trunk alone."""

import json

from torch import nn

from roadseg.errors import LabelError
from roadseg.inference import WeightsCard, find_weights
from roadseg.labels import LabelSpace, label_map, space
from roadseg.models import (
    CheckpointFile,
    class_axes,
    load_encoder,
    load_for_classes,
    load_weights,
    read_state,
)
from roadseg.models.bundled import CARD_KEY
from roadseg.models.layouts import layout_of
from roadseg.recipes import Model

__all__ = ["channels_for", "start_from"]


def start_from(model: nn.Module, spec: Model, target: LabelSpace) -> str:
    """Load the checkpoint that a recipe starts from into its fresh network.

    A checkpoint for the same classes is loaded whole. One for other classes gives all that fits, and of the tensors
    that count classes the rows of the classes that both know. One of no segmentation network must hold the trunk.

    Args:
        model: The network.
        spec: Its recipe; ``weights`` is set.
        target: Label space of the training data.

    Returns:
        What was taken and what was not, in words.

    Raises:
        InputError: There is no such file.
        WeightsError: It cannot be read, or does not fit the network.
    """
    path = find_weights(spec.weights or "")
    checkpoint = read_state(path)
    source = labels_of(checkpoint)
    if source is None and layout_of(checkpoint.state) is None and CARD_KEY not in checkpoint.metadata:
        report = load_encoder(model, checkpoint)
        return f"starts from {path.name}, trunk: {report.loaded} tensors copied, the rest is initialized"
    if source == target and _same_tensors(model, checkpoint):
        return f"starts from {path.name}: {load_weights(model, checkpoint).loaded} tensors copied"
    channels = channels_for(source, target) if source is not None else _by_position(checkpoint, target)
    axes = class_axes(spec.name, spec.options)
    return f"starts from {path.name}: {load_for_classes(model, checkpoint, axes, channels)}"


def labels_of(checkpoint: CheckpointFile) -> LabelSpace | None:
    """Return the label space of a checkpoint's channels: its own word, or the publisher's convention."""
    if CARD_KEY in checkpoint.metadata:
        return WeightsCard.from_json(json.loads(checkpoint.metadata[CARD_KEY])).space
    pair = layout_of(checkpoint.state)
    convention = pair[0].conventions.get(pair[1].num_classes) if pair else None
    return space(convention.labels) if convention else None


def channels_for(source: LabelSpace, target: LabelSpace) -> tuple[int | None, ...]:
    """Return, for each class of ``target``, the channel of ``source`` that means it, or None.

    The same name goes first, then the first class that the label map between the spaces brings there.
    """
    mapped: dict[int, int] = {}
    try:
        for source_id, target_id in label_map(source, target).table:
            mapped.setdefault(target_id, source.ids.index(source_id))
    except LabelError:  # the spaces have nothing in common
        pass
    return tuple(
        source.index(each.name) if each.name in source.names else mapped.get(each.id)
        for each in target.classes
    )


def _by_position(checkpoint: CheckpointFile, target: LabelSpace) -> tuple[int | None, ...]:
    """Nobody knows what the channels of the checkpoint mean: take them as ours if their number is the same."""
    pair = layout_of(checkpoint.state)
    same = pair is not None and pair[1].num_classes == target.num_classes
    return tuple(channel if same else None for channel in range(target.num_classes))


def _same_tensors(model: nn.Module, checkpoint: CheckpointFile) -> bool:
    pair = layout_of(checkpoint.state)
    names = set(pair[0].to_ours(checkpoint.state).values()) if pair else set(checkpoint.state)
    return {key for key in model.state_dict() if not key.endswith("num_batches_tracked")} <= names
