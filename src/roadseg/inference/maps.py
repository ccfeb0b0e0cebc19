"""What a network says about an image beside labels: probabilities, entropy, attention.

`score` runs the network and stops at the score map, so that everything after it can be done elsewhere, for example in
a thread of a `roadseg.inference.pipeline` while the network has the next image.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from roadseg.errors import RecipeError
from roadseg.inference.decode import Decoded, decode_rows
from roadseg.inference.predictor import Predictor, decode_scores
from roadseg.inference.strategies import (
    ScoreMap,
    ScoreSum,
    Sliding,
    band_rows,
    projection_of,
    upsampled_rows,
)
from roadseg.inference.sums import summed_labels
from roadseg.labels import LabelMap
from roadseg.models.output import SegmentationModel

__all__ = ["Attention", "Scored", "score"]

_SCALE_STEPS = (0.25, 0.05, 0.01)  # scales are taken for multiples of these, the first that fits


class Attention(NamedTuple):
    """A network's attention over an image at one scale.

    Attributes:
        values: ``[h, w]`` in 0..1.
        reach: Height and width that it covers, in those of the image: 1, or more where the image was extended.
    """

    values: Tensor
    reach: tuple[float, float]


@dataclass(frozen=True)
class Scored:
    """The scores of one image, not yet upsampled.

    Attributes:
        found: What the strategy gave, for a batch of one.
        seen: Height and width of the image as the strategy saw it.
        size: Height and width of the image.
        attention: The network's attention by scale of the image, if it was asked for.
        project: By what the probabilities of the network's classes are summed into others, if they are.
        summed: Whether that was done; otherwise the scores are of the network's classes, and it is done where they are read.
    """

    found: ScoreMap | ScoreSum
    seen: tuple[int, int]
    size: tuple[int, int]
    attention: Mapping[float, Attention] = field(default_factory=dict)
    project: LabelMap | None = None
    summed: bool = True

    @torch.inference_mode()
    def decode(self, *, confidence: bool = False) -> Decoded:
        """Return classes and confidence ``[1, H, W]``, those of `Predictor.decode`."""
        if self._sums is None:
            return decode_scores(self.found, self.seen, self.size, confidence=confidence)
        if not confidence:
            return Decoded(summed_labels(self.found, self.size, self._sums))
        bands = band_rows(self.size, self._first.shape[1], self._device)
        return decode_rows(self._summed_rows, bands, self.size, confidence=True, probabilities=True)

    @torch.inference_mode()
    def entropy(self) -> NDArray[np.float32]:
        """Return how undecided each pixel is, float32 ``[H, W]``: 0 for certain, 1 for all classes alike.

        It is the entropy of the pixel's own probabilities over that of the uniform distribution. The entropy of the
        low-resolution cells would miss the borders between classes: certain neighbors, an undecided pixel between.
        Where classes were summed, all that were dropped count as one more, and those that no class leads to do not.
        """
        result = np.empty(self.size, dtype=np.float32)
        outcomes, drops = self._classes, False
        if self.project is not None:
            taken = self.project.matrix.astype(bool)
            drops = not taken.any(0).all()
            outcomes = int(taken.any(1).sum()) + drops
        for rows, chances in self._bands():
            spread = torch.special.entr(chances).sum(0)
            if drops:
                spread += torch.special.entr((1 - chances.sum(0)).clamp_min_(0))
            result[rows] = spread.div_(math.log(max(2, outcomes))).clamp_(0, 1).cpu().numpy()
        return result

    @torch.inference_mode()
    def probabilities(self, *, full: bool = False) -> NDArray[np.float16]:
        """Return the probability of every class, float16; below 1 in sum where classes were dropped.

        Args:
            full: For every pixel of the image, ``[C, H, W]``. Otherwise for every cell of the score map, of the finest
                one where several scales were averaged, ``[C, h, w]``: a small part of the numbers that holds as much.
        """
        if full:
            result = np.empty((self._classes, *self.size), dtype=np.float16)
            for rows, chances in self._bands():
                result[:, rows] = chances.half().cpu().numpy()
            return result
        if isinstance(self.found, ScoreSum):
            cells = max((part.map for part in self.found.parts), key=lambda part: part.cells).scores.shape[
                -2:
            ]
            scores = self.found.rows(0, cells[0], (cells[0], cells[1]))
        else:
            scores = self.found.scores.float()
        return self._chances(scores[0]).half().cpu().numpy()

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width, in pixels of the image as the network saw it, that the cells of `probabilities` cover."""
        return self.seen if isinstance(self.found, ScoreSum) else self.found.grid

    @torch.inference_mode()
    def attention_maps(self) -> dict[float, NDArray[np.float32]]:
        """Return the network's attention by scale, float32 ``[H, W]`` each, the smallest scale first.

        Raises:
            RecipeError: The network gave none over whole images.
        """
        if not self.attention:
            raise RecipeError(
                "the network gives no attention over whole images",
                remedy="leave out the output attention, or the sliding window",
            )
        maps = {}
        height, width = self.size
        for scale, (values, reach) in sorted(self.attention.items()):
            cover = max(height, round(height * reach[0])), max(width, round(width * reach[1]))
            full = F.interpolate(values[None, None].float(), cover, mode="bilinear", align_corners=False)
            maps[scale] = full[0, 0, :height, :width].clamp(0, 1).cpu().numpy()
        return maps

    @property
    def _sums(self) -> LabelMap | None:
        """The sums that are still to be taken."""
        return None if self.summed else self.project

    @cached_property
    def _matrix(self) -> Tensor | None:
        return None if self._sums is None else torch.from_numpy(self._sums.matrix).to(self._device)

    @property
    def _classes(self) -> int:
        return self._first.shape[1] if self._sums is None else self._sums.target.num_classes

    @property
    def _device(self) -> torch.device:
        return self._first.device

    @property
    def _first(self) -> Tensor:
        return self.found.parts[0].map.scores if isinstance(self.found, ScoreSum) else self.found.scores

    def _chances(self, scores: Tensor) -> Tensor:
        """Turn scores ``[C, h, w]`` into the probabilities of the classes that are asked for."""
        chances = scores.clamp(0, 1) if self.found.probabilities else scores.softmax(0)
        if self._matrix is None:
            return chances
        return (self._matrix @ chances.flatten(1)).view(-1, *chances.shape[1:])

    def _rows(self, top: int, bottom: int) -> Tensor:
        """Return the probabilities ``[C, rows, W]`` of some rows of pixels."""
        if isinstance(self.found, ScoreSum):
            return self._chances(self.found.rows(top, bottom, self.size)[0])
        return self._chances(upsampled_rows(self.found, top, bottom, self.size, self.seen)[0])

    def _summed_rows(self, top: int, bottom: int) -> Tensor:
        return self._rows(top, bottom)[None]

    def _bands(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield the probabilities ``[C, rows, W]`` of a few rows of pixels at a time."""
        for top, bottom in band_rows(self.size, self._first.shape[1], self._device):
            yield slice(top, bottom), self._rows(top, bottom)


@torch.inference_mode()
def score(
    predictor: Predictor, images: Sequence[NDArray[np.uint8]], *, attention: bool = False
) -> list[Scored]:
    """Run a predictor's network over images of one size.

    Args:
        predictor: The network and how it is run.
        images: uint8 RGB ``[H, W, 3]`` each, all of one size.
        attention: Also keep the network's attention.

    Returns:
        The scores of each image, on the device of the network.
    """
    pixels = [torch.from_numpy(np.require(image, requirements=["C", "W"])) for image in images]
    batch = (torch.stack(pixels) if len(pixels) > 1 else pixels[0][None]).permute(0, 3, 1, 2)
    size = (batch.shape[2], batch.shape[3])
    project = projection_of(predictor.strategy)
    summed = predictor.sums_at_end(size) is None
    with _watched(predictor.model, attention) as seen_attention:
        found, seen = predictor.scores(batch, summed=summed)
    return [
        Scored(
            _one(found, index),
            seen,
            size,
            _whole_images(seen_attention, index, seen, predictor),
            project,
            summed,
        )
        for index in range(len(images))
    ]


def _one(found: ScoreMap | ScoreSum, index: int) -> ScoreMap | ScoreSum:
    """The scores of one image of a batch."""
    if isinstance(found, ScoreMap):
        return _one_map(found, index)
    parts = (part._replace(map=_one_map(part.map, index)) for part in found.parts)
    return ScoreSum(tuple(parts), found.size)


def _one_map(found: ScoreMap, index: int) -> ScoreMap:
    return found._replace(scores=found.scores[index : index + 1])


_Seen = list[tuple[tuple[int, int], Tensor]]


@contextmanager
def _watched(model: nn.Module, watch: bool) -> Iterator[_Seen]:
    """Collect the attention of every run of a network, with the size of its input; strategies hand on scores alone."""
    seen: _Seen = []

    def note(_module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:  # noqa: ANN401 - a hook gets anything
        if getattr(output, "attention", None) is not None:
            seen.append(((inputs[0].shape[-2], inputs[0].shape[-1]), output.attention))

    handle = model.register_forward_hook(note) if watch else None
    try:
        yield seen
    finally:
        if handle is not None:
            handle.remove()


def _whole_images(
    runs: _Seen, index: int, size: tuple[int, int], predictor: Predictor
) -> dict[float, Attention]:
    """The attention over one image of a batch, where the network saw all of it; mirrored runs come later and are left."""
    found: dict[float, Attention] = {}
    if _slides(predictor.strategy):
        return found
    for sides, values in runs:
        scale = _scale(sides, size, int(cast("SegmentationModel", predictor.model).stride))
        if scale is not None and len(values) > index:
            reach = (sides[0] / (scale * size[0]), sides[1] / (scale * size[1]))
            found.setdefault(scale, Attention(values[index, 0], reach))
    return found


def _slides(strategy: object) -> bool:
    inner = getattr(strategy, "inner", None)
    return isinstance(strategy, Sliding) or (inner is not None and _slides(inner))


def _scale(sides: tuple[int, int], size: tuple[int, int], stride: int) -> float | None:
    """Return the scale at which an image, rounded to pixels and extended to the stride, has these sides."""
    least = max((side - stride) / whole for side, whole in zip(sides, size, strict=True))
    most = min((side + 1) / whole for side, whole in zip(sides, size, strict=True))
    for step in _SCALE_STEPS:
        scale = round((least + most) / 2 / step) * step
        if least < scale < most:
            return round(scale, 2)
    return None
