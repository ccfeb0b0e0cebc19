"""Weights for a command: bundled, our own, or a recognized checkpoint of another code base."""

from pathlib import Path
from typing import TYPE_CHECKING

from roadseg.cli.pairs import pair_texts
from roadseg.cli.terminal import Terminal
from roadseg.models.bundled import WEIGHTS_SUFFIX

if TYPE_CHECKING:
    from roadseg.inference import Predictor

__all__ = ["open_predictor"]


def open_predictor(weights: str, device: str, trust_code: bool, terminal: Terminal) -> "Predictor":
    """Load weights, and say what was assumed about those that say nothing themselves."""
    from roadseg.inference import load

    predictor = load(weights, device=device, trust_code=trust_code)
    card = predictor.card
    if "layout" in card.provenance and Path(weights).suffix != WEIGHTS_SUFFIX:
        network = " ".join([card.model, *pair_texts(card.options)])
        terminal.note(
            f"{Path(weights).name} is taken for {network} of {card.provenance['layout']}: labels {card.space.name}, "
            f"{card.preprocess.order} input; `roadseg convert` records that, or something else"
        )
    return predictor
