"""What a network says about an image beside labels: probabilities, entropy, attention.

`score` runs the network and stops at the score map, so that everything after it can be done elsewhere, for example in
a thread of a `roadseg.inference.pipeline` while the network has the next image.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from roadseg.errors import RecipeError
from roadseg.inference.decode import Decoded
from roadseg.inference.predictor import Predictor, decode_scores
from roadseg.inference.strategies import ScoreMap, ScoreSum, Sliding
from roadseg.inference.strategies.scores import band_rows, upsampled_rows
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
    """

    found: ScoreMap | ScoreSum
    seen: tuple[int, int]
    size: tuple[int, int]
    attention: Mapping[float, Attention] = field(default_factory=dict)

    @torch.inference_mode()
    def decode(self, *, confidence: bool = False) -> Decoded:
        """Return labels and confidence ``[1, H, W]``, those of `Predictor.decode`."""
        return decode_scores(self.found, self.seen, self.size, confidence=confidence)

    @torch.inference_mode()
    def entropy(self) -> NDArray[np.float32]:
        """Return how undecided each pixel is, float32 ``[H, W]``: 0 for certain, 1 for all classes alike.

        It is the entropy of the pixel's own probabilities over that of the uniform distribution. The entropy of the
        low-resolution cells would miss the borders between classes: certain neighbors, an undecided pixel between.
        """
        result = np.empty(self.size, dtype=np.float32)
        most = math.log(max(2, self._classes))
        for rows, chances in self._bands():
            result[rows] = torch.special.entr(chances).sum(0).div_(most).clamp_(0, 1).cpu().numpy()
        return result

    @torch.inference_mode()
    def probabilities(self, *, full: bool = False) -> NDArray[np.float16]:
        """Return the probability of every class, float16.

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
    def _classes(self) -> int:
        return self._first.shape[1]

    @property
    def _device(self) -> torch.device:
        return self._first.device

    @property
    def _first(self) -> Tensor:
        return self.found.parts[0].map.scores if isinstance(self.found, ScoreSum) else self.found.scores

    def _chances(self, scores: Tensor) -> Tensor:
        """Turn scores ``[C, ...]`` into probabilities."""
        if not self.found.probabilities:
            return scores.softmax(0)
        scores = scores.clamp_min(0)
        return scores / scores.sum(0).clamp_min(torch.finfo(scores.dtype).tiny)

    def _bands(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield the probabilities ``[C, rows, W]`` of a few rows of pixels at a time."""
        for top, bottom in band_rows(self.size, self._classes, self._device):
            if isinstance(self.found, ScoreSum):
                rows = self.found.rows(top, bottom, self.size)
            else:
                rows = upsampled_rows(self.found, top, bottom, self.size, self.seen)
            yield slice(top, bottom), self._chances(rows[0])


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
    with _watched(predictor.model, attention) as seen_attention:
        found, seen = predictor.scores(batch)
    return [
        Scored(_one(found, index), seen, size, _whole_images(seen_attention, index, seen, predictor))
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
