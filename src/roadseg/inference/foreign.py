"""Checkpoints of other code bases: recognized by their names and shapes, and used as their authors did."""

from collections.abc import Mapping
from importlib import metadata
from typing import Any

from torch import nn

from roadseg.errors import LabelError
from roadseg.inference.package import WeightsCard, file_sha256
from roadseg.labels import LabelSpace, space, space_names
from roadseg.models import CheckpointFile, build, load_weights, recognize
from roadseg.models.layouts import Convention, layout_of
from roadseg.recipes import Preprocess

__all__ = ["adopt"]


def adopt(
    checkpoint: CheckpointFile,
    *,
    model: str | None = None,
    options: Mapping[str, Any] | None = None,
    labels: LabelSpace | None = None,
    preprocess: Mapping[str, Any] | None = None,
    license: str | None = None,
) -> tuple[nn.Module, WeightsCard]:
    """Build the network of a checkpoint that says nothing about itself, load it, and make its card.

    What is not given follows from the published layout that the checkpoint is in: the network and its options from
    names and shapes, label space and preprocessing from the publisher and the number of classes.

    Args:
        checkpoint: What `roadseg.models.read_state` returned.
        model: Catalog name or ``package.module:callable``.
        options: Options of the network, beside those that are recognized.
        labels: Label space of the channels.
        preprocess: Fields of `Preprocess` that differ from the convention.
        license: License to record.

    Returns:
        The network in evaluation mode, and its card.

    Raises:
        WeightsError: The network is neither recognized nor named, or the weights do not fit it.
        LabelError: The meaning of the channels is neither known nor given, or their number differs.
    """
    pair = layout_of(checkpoint.state)
    if pair is None and model is None:
        pair = recognize(checkpoint)  # raises, and names what is nearest
    layout, found = pair if pair is not None and model in (None, pair[1].model) else (None, None)
    name = model or (found.model if found else "")
    chosen = {**(found.options if found else {}), **(options or {})}
    convention = layout.conventions.get(found.num_classes) if layout and found else None
    meaning = _labels(checkpoint, labels, convention, found.num_classes if found else None)
    network = build(name, meaning.num_classes, **chosen)
    report = load_weights(network, checkpoint)
    return network.eval(), WeightsCard(
        model=name,
        options=chosen,
        space=meaning,
        preprocess=Preprocess(**{**_preprocess(name, convention), **(preprocess or {})}),
        license=license or (convention.license if convention else "unknown"),
        provenance=_provenance(checkpoint, report.flushed)
        | ({"layout": layout.name, "published": layout.source} if layout else {}),
        source_sha256=file_sha256(checkpoint.path) if checkpoint.path else None,
    )


def _preprocess(name: str, convention: Convention | None) -> Mapping[str, Any]:
    """Return what differs from the defaults, as the publisher says, or as an SMP encoder's ImageNet weights want it."""
    if convention is not None:
        return convention.preprocess
    if not name.startswith("smp:"):
        return {}
    from roadseg.models.smp import preprocess_of  # needs an optional library

    return preprocess_of(name.rpartition("/")[2])


def _provenance(checkpoint: CheckpointFile, flushed: int) -> dict[str, Any]:
    where = {"converted_from": checkpoint.path.name} if checkpoint.path else {}
    zeros = {"denormals_set_to_zero": flushed} if flushed else {}
    return where | {"converted_by": f"roadseg {metadata.version('roadseg')}"} | zeros


def _labels(
    checkpoint: CheckpointFile, given: LabelSpace | None, convention: Convention | None, channels: int | None
) -> LabelSpace:
    """Return the label space of the channels."""
    if given is not None and channels in (None, given.num_classes):
        return given
    if given is None and convention is not None:
        return space(convention.labels)
    fitting = [
        name for name in space_names() if space(name).is_contiguous and space(name).num_classes == channels
    ]
    remedy = "give a label space (`roadseg labels`), or a .txt file of class names"
    if channels is not None:
        remedy = f"give a label space with {channels} classes: {', '.join([*fitting, 'or a .txt file of class names'])}"
    if given is None:
        raise LabelError("does not say what its channels mean", where=checkpoint.path, remedy=remedy)
    raise LabelError(
        f"has {channels} channels, but label space {given.name} has {given.num_classes} classes",
        where=checkpoint.path,
        remedy=remedy,
    )
