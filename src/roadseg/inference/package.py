"""Our weight files: safetensors whose header says what the weights are, so that they can be used without asking.

The header's ``roadseg`` entry is one JSON object, the `WeightsCard`. Any safetensors reader can read the tensors.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from roadseg.errors import InputError, LabelError, WeightsError
from roadseg.labels import LabelSpace
from roadseg.media import write_bytes
from roadseg.models import build, load_weights, read_state
from roadseg.models.bundled import CARD_KEY, WEIGHTS_SUFFIX, bundled_weights
from roadseg.models.catalog import is_code
from roadseg.models.output import Output
from roadseg.recipes import Preprocess

__all__ = ["WeightsCard", "bundled_weights", "file_sha256", "find_weights", "load_package", "save_package"]

_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class WeightsCard:
    """What a weight file says about itself.

    Attributes:
        model: Catalog name of the network, or ``package.module:callable``.
        options: Its factory's options.
        space: The label space whose channels the network predicts.
        preprocess: How its input is made.
        temperature: What its logits are divided by so that probabilities mean what they say (Guo et al., On Calibration
            of Modern Neural Networks, ICML 2017, section 4.2); labels stay the same.
        scores: Scores as ``Scores.to_json`` gives them, each with its protocol.
        license: Licence of the weights; those of the training data may restrict their use.
        provenance: How the weights came about: recipe, data, command, hours, versions.
        source_sha256: Digest of the file they were converted from.
    """

    model: str
    options: Mapping[str, Any] = field(default_factory=dict)
    space: LabelSpace
    preprocess: Preprocess
    temperature: float = 1.0
    scores: tuple[Mapping[str, Any], ...] = ()
    license: str = "unknown"
    provenance: Mapping[str, Any] = field(default_factory=dict)
    source_sha256: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"temperature is {self.temperature}, not a positive number")

    def to_json(self) -> dict[str, Any]:
        """Return the card as plain JSON values."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {
            "format": _FORMAT,
            **plain,
            "space": self.space.to_json(),
            "preprocess": dataclasses.asdict(self.preprocess),
            "label_space_fingerprint": self.space.fingerprint,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "WeightsCard":
        """Rebuild a card.

        Raises:
            KeyError, TypeError, ValueError, LabelError: The JSON is not a card.
        """
        if data["format"] > _FORMAT:
            raise ValueError(f"format {data['format']} is newer than this roadseg reads ({_FORMAT})")
        known = {f.name for f in dataclasses.fields(cls)}
        fields = {key: value for key, value in data.items() if key in known}
        fields["space"] = LabelSpace.from_json(data["space"])
        preprocess: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in data["preprocess"].items()
        }
        fields["preprocess"] = Preprocess(**preprocess)
        fields["scores"] = tuple(data.get("scores", ()))
        return cls(**fields)


def save_package(
    path: str | Path, model: nn.Module, card: WeightsCard, dtype: torch.dtype | None = None
) -> None:
    """Write a network's weights with their card, atomically.

    Args:
        path: A ``.safetensors`` file.
        model: The network.
        card: What the header says.
        dtype: Type to store floating-point tensors in; None keeps theirs. Half precision halves the file.

    Raises:
        OutputError: The file cannot be written.
    """
    state = {}
    for key, value in model.state_dict().items():
        tensor = value.detach().cpu()
        state[key] = (
            tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor
        ).contiguous()
    metadata = {CARD_KEY: json.dumps(card.to_json(), sort_keys=True)}
    write_bytes(path, save(state, metadata=metadata))  # its own file writer hides why a disk refuses


def load_package(path: str | Path, *, trust_code: bool = False) -> tuple[nn.Module, WeightsCard]:
    """Build the network that a weight file describes and load its weights, in evaluation mode.

    Its logits come divided by the card's temperature; its parameters do not.

    Args:
        path: A file written by `save_package`, or a checkpoint of another code base in a layout that roadseg
            recognizes (`roadseg.inference.adopt`).
        trust_code: Also accept a network that the file names as ``package.module:callable``. That imports and calls
            whatever the file names: say yes only to files of your own.

    Raises:
        WeightsError: The file is not recognized, does not fit its own description, or names code.
        LabelError: A recognized checkpoint has a number of classes that no published one has.
    """
    path = Path(path)
    checkpoint = read_state(path)
    if CARD_KEY not in checkpoint.metadata:
        from roadseg.inference.foreign import adopt  # which makes cards

        return adopt(checkpoint)
    try:
        card = WeightsCard.from_json(json.loads(checkpoint.metadata[CARD_KEY]))
    except (KeyError, TypeError, ValueError, LabelError) as error:
        raise WeightsError(
            f"has a header that cannot be read ({error})",
            where=path,
            remedy="convert it again, or update roadseg",
        ) from error
    if is_code(card.model) and not trust_code:
        raise WeightsError(
            f"names code to run, {card.model}, which was refused",
            where=path,
            remedy="if the file is your own, allow it: trust_code=True, or --trust-code on the command line",
        )
    model = build(card.model, card.space.num_classes, **card.options)
    load_weights(model, checkpoint)
    if card.temperature != 1:
        model.register_forward_hook(_Temperature(card.temperature))
    return model.eval(), card


class _Temperature:
    """What is done to a network's output so that its probabilities mean what they say."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __call__(self, _model: nn.Module, _args: Any, output: Output) -> Output:  # noqa: ANN401 - as torch calls it
        return output._replace(logits=output.logits / self.value)


def find_weights(name_or_file: str | Path) -> Path:
    """Return the file for the name of bundled weights or for a path.

    Raises:
        InputError: There is neither such a name nor such a file.
    """
    bundled = bundled_weights()
    if str(name_or_file) in bundled:
        return bundled[str(name_or_file)]
    path = Path(name_or_file).expanduser()
    if path.is_file():
        return path
    raise InputError(
        "is neither a file nor the name of bundled weights",
        where=str(name_or_file),
        remedy=f"give a {WEIGHTS_SUFFIX} file or one of: {', '.join(bundled)}",
    )


def file_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
