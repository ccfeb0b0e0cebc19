"""The one way from an image to a `Prediction`: preprocess, strategy, decode."""

import contextlib
import copy
import functools
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from roadseg.errors import ImageError, LabelError
from roadseg.inference.decode import Decoded, decode, decode_rows
from roadseg.inference.device import choose_device
from roadseg.inference.package import WeightsCard, find_weights, load_package
from roadseg.inference.preprocess import network_size, normalize, resize_images
from roadseg.inference.strategies import (
    Part,
    ScoreMap,
    ScoreSum,
    Strategy,
    Whole,
    band_rows,
    has_own_size,
    projected,
    projection_of,
)
from roadseg.inference.sums import split_sums, summed_labels
from roadseg.labels import LabelMap, LabelSpace, label_map
from roadseg.media import Prediction, read_image
from roadseg.models.bundled import DEFAULT_WEIGHTS
from roadseg.models.fusing import fuse as fuse_norms
from roadseg.models.output import SegmentationModel

__all__ = [
    "DEFAULT_WEIGHTS",
    "ImageLike",
    "Predictor",
    "decode_scores",
    "label_ids",
    "load",
    "predict",
    "probability_rows",
]

ImageLike = str | Path | Image.Image | NDArray[np.uint8]
"""A file, a Pillow image, or uint8 RGB pixels ``[H, W, 3]``."""


class Predictor:
    """A network with everything needed to use it.

    Args:
        model: The network; it is moved to the device and set to evaluation mode, and otherwise stays as it is, so that
            one in training can be scored. `load` makes faster ones.
        card: Label space and preprocessing of the weights.
        strategy: How the network is run over an image.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.

    Raises:
        LabelError: The label space does not number its classes 0..C-1, or has another number of classes.
    """

    def __init__(
        self,
        model: nn.Module,
        card: WeightsCard,
        *,
        strategy: Strategy | None = None,
        device: str = "auto",
    ) -> None:
        if not card.space.is_contiguous:
            raise LabelError(
                f"a network cannot predict label space {card.space.name}, whose ids are not 0, 1, 2 ...",
                remedy="give the space of its channels",
            )
        if card.space.num_classes != model.num_classes:
            raise LabelError(
                f"a network with {model.num_classes} channels cannot predict the {card.space.num_classes} classes of"
                f" label space {card.space.name}",
                remedy="give the space of its channels",
            )
        self.card = card
        self.strategy = strategy or Whole()
        self.device = choose_device(device)
        # channels_last: the memory layout that CPU and tensor-core convolutions want (1.3x on CPU).
        self.model = model.eval().to(self.device).to(memory_format=torch.channels_last)

    @property
    def space(self) -> LabelSpace:
        """The label space of the predictions: the network's, or the one that the strategy projects to."""
        projection = projection_of(self.strategy)
        return self.card.space if projection is None else projection.target

    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits that change with what a file of weights says: tensors, input, temperature."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        digest.update(repr((self.card.preprocess, self.card.temperature)).encode())
        return digest.hexdigest()[:16]

    def to(self, target: LabelSpace | LabelMap | str | Path) -> "Predictor":
        """Return a predictor of another label space, with the same network.

        The probabilities of the classes that share a class of the other space are summed wherever the network runs,
        before windows, scales and mirror images are averaged, and the best sum wins (MSeg: Lambert et al., MSeg, CVPR
        2020, section 4). What dropped classes are given is lost: it is not shared out among the others, so that the
        confidence is the summed probability itself. `Prediction.to` translates the labels of winners instead.

        >>> roadseg.load("mseg.safetensors").to("cityscapes-19")("street.jpg")   # doctest: +SKIP

        Args:
            target: A label space, the name of one that comes with roadseg, a ``.toml`` file of one, or a map that starts
                from `space`.

        Raises:
            LabelError: There is no such space, or no map leads to it.
        """
        found = target if isinstance(target, LabelMap) else label_map(self.space, target)
        if found.source != self.space:
            raise LabelError(
                f"a map from {found.source.name} cannot translate predictions of {self.space.name}",
                remedy="give a map from the space of the predictor",
            )
        other = copy.copy(self)
        if found.source != found.target:
            other.strategy = projected(self.strategy, found)
        return other

    def __call__(self, image: ImageLike, *, confidence: bool = False) -> Prediction:
        """Segment one image.

        Args:
            image: A file, a Pillow image or RGB pixels.
            confidence: Also return the probability of the winning class per pixel.

        Raises:
            ImageError: The image cannot be read.
        """
        pixels = as_pixels(image)
        batch = torch.from_numpy(np.require(pixels, requirements=["C", "W"])).permute(2, 0, 1)[None]
        decoded = self.decode(batch, confidence=confidence)
        return Prediction(
            labels=label_ids(decoded.labels[0], self.space),
            space=self.space,
            confidence=None if decoded.confidence is None else decoded.confidence[0].cpu().numpy(),
            image=pixels,
        )

    def stream(self, frames: Iterable[ImageLike], *, confidence: bool = False) -> Iterator[Prediction]:
        """Segment images one after the other, lazily."""
        for frame in frames:
            yield self(frame, confidence=confidence)

    @torch.inference_mode()
    def decode(
        self, images: torch.Tensor, size: tuple[int, int] | None = None, *, confidence: bool = False
    ) -> Decoded:
        """Return the classes of a batch, by channel; `label_ids` gives their ids.

        Args:
            images: uint8 ``[B, 3, H, W]``, RGB.
            size: Height and width of the result; None for the images' own.
            confidence: Also return the probability of the winning class per pixel.
        """
        own = images.shape[-2], images.shape[-1]
        size = size or own
        project = None if confidence or size != own else self.sums_at_end(own)
        found, seen = self.scores(images, summed=project is None)
        if project is not None:
            return Decoded(summed_labels(found, size, project))
        return decode_scores(found, seen, size, confidence=confidence)

    @torch.inference_mode()
    def scores(
        self, images: torch.Tensor, *, summed: bool = True
    ) -> tuple[ScoreMap | ScoreSum, tuple[int, int]]:
        """Return what the strategy gives for a batch, and the size of the images as the strategy saw them.

        Args:
            images: uint8 ``[B, 3, H, W]``, RGB.
            summed: False leaves out what `sums_at_end` names.
        """
        spec = self.card.preprocess
        strategy = self.strategy if summed else split_sums(self.strategy)[0]
        batch = images.to(self.device, memory_format=torch.channels_last)
        seen = (images.shape[-2], images.shape[-1])
        if not has_own_size(strategy):
            seen = network_size(*seen, spec)
            batch = resize_images(batch, seen)
        return strategy(cast("SegmentationModel", self.model), normalize(batch, spec)), seen

    def sums_at_end(self, size: tuple[int, int]) -> LabelMap | None:
        """Return what probabilities are summed into after everything else, for images of a height and width.

        None if nothing is, or if more is done with the sums: averages, or stretching to the size of the image. Labels of
        sums at the end can be had at a fraction of the work; see `roadseg.inference.sums`.
        """
        inner, project = split_sums(self.strategy)
        stretched = not has_own_size(inner) and network_size(*size, self.card.preprocess) != size
        return None if stretched else project


@torch.inference_mode()
def decode_scores(
    found: ScoreMap | ScoreSum, seen: tuple[int, int], size: tuple[int, int], *, confidence: bool = False
) -> Decoded:
    """Return the classes, by channel, of what a strategy gave; `label_ids` gives their ids.

    Args:
        found: The scores of images.
        seen: Height and width of the images as the strategy saw them.
        size: Height and width of the result.
        confidence: Also return the probability of the winning class per pixel.
    """
    if isinstance(found, ScoreMap):
        # The map covers the image as the network saw it, and what a strategy added at its far edges; both are
        # stretched alike to the wanted size. Where that gives no whole pixels, rows are read at their places.
        places = [(size[axis] * found.grid[axis], seen[axis]) for axis in range(2)]
        if all(length % side == 0 for length, side in places):
            return decode(
                found.scores,
                size,
                grid=(places[0][0] // seen[0], places[1][0] // seen[1]),
                align_corners=found.align_corners,
                confidence=confidence,
                probabilities=found.probabilities,
            )
        found = ScoreSum((Part(found, seen),), seen)
    first = found.parts[0].map.scores
    return decode_rows(
        functools.partial(found.rows, size=size),
        band_rows(size, first.shape[0] * first.shape[1], first.device),
        size,
        confidence=confidence,
        probabilities=found.probabilities,
    )


@torch.inference_mode()
def probability_rows(
    found: ScoreMap | ScoreSum, seen: tuple[int, int], size: tuple[int, int]
) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield the probabilities of all classes from top to bottom, a few rows at a time.

    A full set of probabilities is the largest array there is, 160 MB for 19 classes at 1024x2048: whoever wants
    entropies, shares or a file has no need for it at once.

    Args:
        found: The scores of images, as `Predictor.scores` gives them.
        seen: Height and width of the images as the strategy saw them.
        size: Height and width of the result.

    Yields:
        First row, and float32 ``[B, C, rows, W]``.
    """
    total = ScoreSum((Part(found, seen),), seen) if isinstance(found, ScoreMap) else found
    first = total.parts[0].map.scores
    for top, bottom in band_rows(size, first.shape[0] * first.shape[1], first.device):
        rows = total.rows(top, bottom, size)
        yield top, rows if total.probabilities else rows.softmax(1)


def label_ids(channels: torch.Tensor, space: LabelSpace) -> NDArray[Any]:
    """Return the stored ids, in the type of their space, of classes given by channel.

    Args:
        channels: Channel of every pixel, of an integer type and any shape.
        space: Whose channels they are.
    """
    found = channels.cpu().numpy()
    if space.is_contiguous:
        return found.astype(space.dtype, copy=False)
    return np.take(np.array([space.stored_id(number) for number in space.ids], dtype=space.dtype), found)


def as_pixels(image: ImageLike) -> NDArray[np.uint8]:
    """Return uint8 RGB pixels ``[H, W, 3]``.

    Raises:
        ImageError: The image cannot be read, or the array is not of that form.
    """
    if isinstance(image, str | Path):
        return read_image(image)
    pixels = np.array(image.convert("RGB")) if isinstance(image, Image.Image) else np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise ImageError(
            f"an array of type {pixels.dtype} and shape {pixels.shape} is no image",
            remedy="give uint8 RGB pixels of shape [height, width, 3]",
        )
    return pixels


def load(
    weights: str | Path = DEFAULT_WEIGHTS,
    *,
    device: str = "auto",
    strategy: Strategy | None = None,
    trust_code: bool = False,
    fuse: bool = True,
) -> Predictor:
    """Return a `Predictor` for bundled weights or for a weight file.

    Args:
        weights: A name from ``roadseg models``, or a ``.safetensors`` file written by roadseg.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        strategy: How the network is run over an image; None for the whole image at once.
        trust_code: Also accept a file whose network is ``package.module:callable``; see `load_package`.
        fuse: Fold batch normalizations into the convolutions before them, which is faster and computes the same but
            for rounding. False keeps the parameters as they stand in the file, to train or save them.

    Raises:
        InputError: There is no such name or file.
        WeightsError: The file is not usable.
    """
    model, card = load_package(find_weights(weights), trust_code=trust_code)
    if fuse:
        # A network that refuses the small trial image raises one of these and is unchanged: it runs as it is.
        with contextlib.suppress(RuntimeError, ValueError):
            fuse_norms(model)
    return Predictor(model, card, strategy=strategy, device=device)


def predict(image: ImageLike, weights: str | Path = DEFAULT_WEIGHTS, *, device: str = "auto") -> Prediction:
    """Segment one image; for more than one, keep the `Predictor` that `load` returns.

    Args:
        image: A file, a Pillow image or RGB pixels.
        weights: As for `load`.
        device: As for `load`.
    """
    return load(weights, device=device)(image)
