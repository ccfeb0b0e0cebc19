"""What one or several networks say about a picture: labels, confidence, and where they agree."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from roadseg.data.thresholds import LEVELS
from roadseg.errors import LabelError, RecipeError
from roadseg.inference import Predictor
from roadseg.inference.predictor import probability_rows
from roadseg.inference.strategies import projection_of
from roadseg.labels import LabelSpace

__all__ = ["Opinion", "Teachers"]


class Opinion(NamedTuple):
    """What is said about one picture.

    Attributes:
        channels: ``[H, W]`` the most probable class, by channel.
        confidence: uint8 ``[H, W]``, 255 times its probability, rounded down.
        agreed: bool ``[H, W]``: where enough teachers, each by itself, say the same.
    """

    channels: NDArray[Any]
    confidence: NDArray[np.uint8]
    agreed: NDArray[np.bool_]


@dataclass(frozen=True)
class Teachers:
    """Networks that label pictures together.

    Attributes:
        predictors: The networks, all of one label space.
        agree: How many of them must say by themselves what the mean of their probabilities says.
    """

    predictors: tuple[Predictor, ...]
    agree: int

    @classmethod
    def of(
        cls,
        predictors: Sequence[Predictor] | Predictor,
        space: LabelSpace | None = None,
        agree: int | None = None,
    ) -> "Teachers":
        """Bring networks to one label space, by sums of probabilities where theirs is another.

        Args:
            predictors: The networks.
            space: The label space; None for that of the first.
            agree: How many must agree; None for all.

        Raises:
            LabelError: No map leads from the space of a network, or no network could be trained on labels of the space.
            RecipeError: There are not so many networks.
        """
        members = (predictors,) if isinstance(predictors, Predictor) else tuple(predictors)
        if not members:
            raise RecipeError("no network is given that could label", remedy="name weights")
        if agree is not None and not 1 <= agree <= len(members):
            raise RecipeError(
                f"{agree} of {len(members)} networks cannot agree", remedy=f"give 1..{len(members)}"
            )
        target = members[0].space if space is None else space
        if not target.is_contiguous:
            raise LabelError(
                f"label space {target.name} does not number its classes from 0 without gaps, so that no network could be"
                " trained on the labels",
                remedy="name one that does, such as cityscapes-19",
            )
        return cls(tuple(_translated(member, target) for member in members), agree or len(members))

    @property
    def space(self) -> LabelSpace:
        """The label space of the labels."""
        return self.predictors[0].space

    @property
    def never(self) -> tuple[str, ...]:
        """Names of the classes that none of the networks can predict."""
        reached = np.zeros(self.space.num_classes, dtype=bool)
        for predictor in self.predictors:
            projection = projection_of(predictor.strategy)
            reached |= True if projection is None else projection.matrix.any(1)
        return tuple(name for name, ever in zip(self.space.names, reached, strict=True) if not ever)

    def settings(self) -> dict[str, Any]:
        """Return what the labels depend on, as JSON."""
        each = [
            {
                "network": predictor.card.model,
                "weights": predictor.fingerprint(),
                "strategy": repr(predictor.strategy),
            }
            for predictor in self.predictors
        ]
        return {"teachers": each, "agree": self.agree}

    @torch.inference_mode()
    def __call__(self, pixels: NDArray[np.uint8]) -> Opinion:
        """Label a picture, uint8 RGB ``[H, W, 3]``."""
        batch = torch.from_numpy(np.require(pixels, requirements=["C", "W"])).permute(2, 0, 1)[None]
        if len(self.predictors) > 1:
            return self._together(batch)
        found = self.predictors[0].decode(batch, confidence=True)
        if found.confidence is None:
            raise AssertionError("confidence was asked for")
        channels = found.labels[0].cpu().numpy()
        return Opinion(channels, _as_bytes(found.confidence[0]), np.ones(channels.shape, dtype=np.bool_))

    def _together(self, batch: torch.Tensor) -> Opinion:
        """Average probabilities and count who agrees, a few rows at a time: no full set of probabilities is kept."""
        height, width = batch.shape[-2:]
        scores = [predictor.scores(batch) for predictor in self.predictors]
        each = (probability_rows(found, seen, (height, width)) for found, seen in scores)
        channels = np.empty((height, width), dtype=np.int16)
        confidence = np.empty((height, width), dtype=np.uint8)
        agreed = np.empty((height, width), dtype=np.bool_)
        for parts in zip(*each, strict=True):
            top = parts[0][0]
            mean = torch.stack([chances[0] for _, chances in parts]).mean(0)
            best = mean.max(0)
            votes = torch.stack([chances[0].argmax(0) == best.indices for _, chances in parts]).sum(0)
            rows = slice(top, top + mean.shape[1])
            channels[rows] = best.indices.cpu().numpy()
            confidence[rows] = _as_bytes(best.values)
            agreed[rows] = (votes >= self.agree).cpu().numpy()
        return Opinion(channels, confidence, agreed)


def _translated(predictor: Predictor, target: LabelSpace) -> Predictor:
    try:
        return predictor.to(target)
    except LabelError as error:
        raise LabelError(
            f"predicts label space {predictor.space.name}, which no map leads from to {target.name}",
            where=predictor.card.model,
            remedy="take a network of the same classes, or a label space that both map to",
        ) from error


def _as_bytes(confidence: torch.Tensor) -> NDArray[np.uint8]:
    """Return ``floor(255 p)``; never above 255, whatever sums of probabilities round to."""
    found: NDArray[np.uint8] = (confidence * (LEVELS - 1)).clamp_(0, LEVELS - 1).to(torch.uint8).cpu().numpy()
    return found
