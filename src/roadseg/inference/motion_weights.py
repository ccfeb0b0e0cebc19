"""Weight files of networks that predict motion: safetensors whose header says how the network is built.

The header's ``roadseg`` entry is one JSON object, the `MotionCard`. Published checkpoints of SDC-Net2D, which say nothing,
are told by their tensors.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save

from roadseg.errors import WeightsError
from roadseg.media import write_bytes
from roadseg.models.bundled import CARD_KEY
from roadseg.models.sdcnet import SDCNet2D
from roadseg.models.weights import CheckpointFile, load_weights, read_state

__all__ = ["MotionCard", "build_motion", "load_motion", "save_motion"]

KIND, _FORMAT = "motion", 1
_FIRST, _FLOWNET = "conv1.0.weight", "flownet2."  # tensors that tell the variant
_CHANNELS = {8: False, 13: True}  # of the input: two frames and a flow, or three frames and two
_PUBLISHED_WIDTH = 32  # channels of the first layer


@dataclass(frozen=True, kw_only=True)
class MotionCard:
    """What a weight file of SDC-Net2D says about itself.

    Attributes:
        reconstruction: Whether the network sees the frame that it is to make.
        width: Factor on the published numbers of channels.
        flow: Where its flow comes from: from FlowNet2 inside, or from dense inverse search.
        scores: Scores of the validation split by name.
        license: Licence of the weights; that of the training videos may restrict their use.
        provenance: How the weights came about.
    """

    reconstruction: bool
    width: float
    flow: Literal["flownet2", "dis"]
    scores: Mapping[str, Any] = field(default_factory=dict)
    license: str = "unknown"
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the card as plain JSON values."""
        return {"format": _FORMAT, "kind": KIND, "network": "sdcnet2d", **dataclasses.asdict(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "MotionCard":
        """Rebuild a card.

        Raises:
            KeyError, TypeError, ValueError: The JSON is not a card of motion.
        """
        if data.get("kind") != KIND:
            raise ValueError("they are no weights of motion")
        if data["format"] > _FORMAT:
            raise ValueError(f"format {data['format']} is newer than this roadseg reads ({_FORMAT})")
        return cls(**{f.name: data[f.name] for f in dataclasses.fields(cls)})


def build_motion(card: MotionCard) -> SDCNet2D:
    """Return the network of a card, freshly initialized."""
    return SDCNet2D(
        reconstruction=card.reconstruction,
        width=card.width,
        flow="flownet2" if card.flow == "flownet2" else "given",
    )


def save_motion(path: str | Path, network: torch.nn.Module, card: MotionCard) -> None:
    """Write a network's weights with their card, atomically.

    Raises:
        OutputError: The file cannot be written.
    """
    state = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    write_bytes(path, save(state, metadata={CARD_KEY: json.dumps(card.to_json(), sort_keys=True)}))


def load_motion(path: str | Path) -> tuple[SDCNet2D, MotionCard]:
    """Read a network that predicts motion, in evaluation mode on the CPU.

    Args:
        path: A file of `save_motion`, or a published checkpoint of SDC-Net2D with its FlowNet2.

    Raises:
        WeightsError: The file cannot be read, or holds something else.
    """
    checkpoint = read_state(path)
    try:
        card = _card(checkpoint)
        network = build_motion(card)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"holds no network that predicts motion ({error})",
            where=path,
            remedy="give weights that `roadseg motion train` wrote, or a checkpoint of SDC-Net2D",
        ) from error
    load_weights(network, checkpoint)
    return network.eval(), card


def _card(checkpoint: CheckpointFile) -> MotionCard:
    if CARD_KEY in checkpoint.metadata:
        return MotionCard.from_json(json.loads(checkpoint.metadata[CARD_KEY]))
    first = checkpoint.state.get(_FIRST)
    if first is None or first.ndim != 4 or first.shape[1] not in _CHANNELS:
        raise ValueError("its tensors are not those of SDC-Net2D")
    if not any(key.startswith(_FLOWNET) for key in checkpoint.state):
        raise ValueError("FlowNet2 is not in it")
    return MotionCard(
        reconstruction=_CHANNELS[first.shape[1]],
        width=first.shape[0] / _PUBLISHED_WIDTH,
        flow="flownet2",
        provenance={"layout": "sdcnet2d"},
    )
