"""The one result type: label ids with the space that gives them meaning."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from roadseg.errors import ImageError, LabelError
from roadseg.labels import LabelSpace, label_map
from roadseg.labels import space as space_named
from roadseg.media.draw import contours, differences, legend_bar, overlay, side_by_side, stack
from roadseg.media.images import with_palette, write_mask

__all__ = ["Prediction"]

_SHOWN_IN_REPR = 3


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """What a network, or a person, says about every pixel of a picture.

    Args:
        labels: Stored ids of ``space``, uint8 or uint16 ``[H, W]``.
        space: What the ids mean.
        confidence: How sure, float32 ``[H, W]`` in 0..1.
        image: The picture it was made from, uint8 ``[H, W, 3]``.

    Raises:
        LabelError: ``labels`` or ``confidence`` has another type or shape.
        ImageError: ``image`` has another type or shape.
    """

    labels: npt.NDArray[Any]
    space: LabelSpace
    confidence: npt.NDArray[np.float32] | None = None
    image: npt.NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        labels, confidence = self.labels, self.confidence
        if labels.dtype not in (np.uint8, np.uint16) or labels.ndim != 2 or not labels.size:
            raise LabelError(f"labels are {_described(labels)}", remedy="give uint8 or uint16 [H, W]")
        if confidence is not None and (confidence.dtype != np.float32 or confidence.shape != labels.shape):
            raise LabelError(
                f"confidence is {_described(confidence)}", remedy=f"give float32 {list(labels.shape)}"
            )
        if self.image is not None:
            _check_image(self.image, labels)

    def __repr__(self) -> str:
        shares = self.shares()
        shown = [f"{name} {share:.0%}" for name, share in list(shares.items())[:_SHOWN_IN_REPR]]
        if len(shares) > _SHOWN_IN_REPR:
            shown.append(f"{len(shares) - _SHOWN_IN_REPR} more")
        height, width = self.labels.shape
        return f"Prediction({width} x {height}, {self.space.name}: {', '.join(shown) or 'nothing'})"

    def to(self, space: LabelSpace | str) -> "Prediction":
        """Return the prediction in the ids of another label space; confidence and image stay.

        Raises:
            LabelError: The space is unknown, no map leads to it, or ``labels`` hold ids that their space lacks.
        """
        target = space_named(space) if isinstance(space, str) else space
        if target == self.space:
            return self
        return replace(self, labels=label_map(self.space, target).relabel(self.labels), space=target)

    def colorize(self) -> npt.NDArray[np.uint8]:
        """Return the classes in their colors, uint8 ``[H, W, 3]``."""
        return self.space.colorize(self.labels)

    def overlay(
        self,
        image: npt.NDArray[np.uint8] | None = None,
        alpha: float = 0.5,
        legend: bool = False,
        *,
        outline: bool = True,
    ) -> npt.NDArray[np.uint8]:
        """Return the picture with the classes in color over it; ignored pixels stay as they are.

        Args:
            image: uint8 ``[H, W, 3]``; by default the picture that the prediction was made from.
            alpha: Weight of the colors, 0..1.
            legend: Whether to add a bar with the names and shares of the classes below.
            outline: Whether to draw thin light lines between classes.

        Returns:
            uint8 ``[H, W, 3]``; with a legend it is higher, and at least 160 wide.

        Raises:
            ImageError: There is no picture, or it has another size.
        """
        picture = self._picture(image)
        ignored = self.labels == self.space.stored_id(self.space.ignore, self.labels.dtype)
        lines = contours(self.labels) if outline else False
        drawn = overlay(picture, self.colorize(), alpha, keep=ignored, outline=lines)
        if not legend:
            return drawn
        return stack([drawn, legend_bar(self.space, self._shares_by_id(), drawn.shape[1])])

    def compose(
        self,
        image: npt.NDArray[np.uint8] | None = None,
        *,
        truth: "Prediction | None" = None,
        legend: bool = False,
    ) -> npt.NDArray[np.uint8]:
        """Return the picture and the classes in color side by side, with the truth between them if there is one.

        Args:
            image: uint8 ``[H, W, 3]``; by default the picture that the prediction was made from.
            truth: What is really there, in the same label space.
            legend: Whether to add a bar with the names and shares of the classes below.

        Raises:
            ImageError: There is no picture, or picture or truth have another size.
        """
        panels = [self._picture(image)]
        if truth is not None:
            self._check_truth(truth)
            panels.append(truth.colorize())
        joined = side_by_side([*panels, self.colorize()], gap=max(2, self.labels.shape[1] // 256))
        if not legend:
            return joined
        return stack([joined, legend_bar(self.space, self._shares_by_id(), joined.shape[1])])

    def differences(
        self, truth: "Prediction", image: npt.NDArray[np.uint8] | None = None
    ) -> npt.NDArray[np.uint8]:
        """Return the dimmed picture with the wrong pixels in the color of what was predicted there.

        Args:
            truth: What is really there, in the same label space; its ignored pixels are never wrong.
            image: uint8 ``[H, W, 3]``; by default the picture that the prediction was made from.

        Raises:
            ImageError: There is no picture, or picture or truth have another size.
            LabelError: The truth is in another label space.
        """
        self._check_truth(truth)
        unknown = truth.labels == self.space.stored_id(self.space.ignore, truth.labels.dtype)
        wrong = (self.labels != truth.labels) & ~unknown
        return differences(self._picture(image), self.colorize(), wrong, unknown)

    def to_pil(self) -> Image.Image:
        """Return a Pillow palette picture: its pixels are ids, viewers show colors.

        Raises:
            LabelError: An id is above 255, more than a palette has.
        """
        if self.labels.max() > 255:
            raise LabelError(
                f"a palette has 256 colors, but the largest id is {self.labels.max()}",
                remedy="use colorize(), or to() with a smaller label space",
            )
        return with_palette(self.labels.astype(np.uint8), self._palette())

    def save(self, path: str | Path, *, color: bool = False) -> None:
        """Write the ids as PNG.

        Args:
            path: A name that ends in ``.png``.
            color: Whether to add the colors of the classes as a palette; the ids stay readable.

        Raises:
            OutputError: The file cannot be written; or with ``color``, an id is above 255.
        """
        write_mask(path, self.labels, self._palette() if color else None)

    def shares(self) -> dict[str, float]:
        """Return the share of the pixels of each class that occurs, 0..1, largest first.

        Ignored and unknown ids have no entry, so the sum may be below 1.
        """
        names = {item.id: item.name for item in self.space.classes}
        by_id = sorted(self._shares_by_id().items(), key=lambda item: -item[1])
        return {names[number]: share for number, share in by_id}

    def _picture(self, image: npt.NDArray[np.uint8] | None) -> npt.NDArray[np.uint8]:
        picture = self.image if image is None else image
        if picture is None:
            raise ImageError("the prediction carries no image to draw on", remedy="give one: overlay(image)")
        _check_image(picture, self.labels)
        return picture

    def _check_truth(self, truth: "Prediction") -> None:
        if truth.space != self.space:
            raise LabelError(
                f"the truth is in label space {truth.space.name}, the prediction in {self.space.name}",
                remedy="translate one of them with to()",
            )
        if truth.labels.shape != self.labels.shape:
            sizes = [f"{height} x {width}" for height, width in (truth.labels.shape, self.labels.shape)]
            raise ImageError(
                f"the truth has {sizes[0]} pixels (height x width), the prediction {sizes[1]}",
                remedy="give labels of the same size as the picture",
            )

    def _shares_by_id(self) -> dict[int, float]:
        counts = np.bincount(self.labels.ravel(), minlength=np.iinfo(self.labels.dtype).max + 1)
        slots = ((number, self.space.stored_id(number, self.labels.dtype)) for number in self.space.ids)
        return {
            number: int(counts[slot]) / self.labels.size
            for number, slot in slots
            if number != self.space.ignore and slot < len(counts) and counts[slot]
        }

    def _palette(self) -> npt.NDArray[np.uint8]:
        """Return colors by stored id, uint8 ``[256, 3]``."""
        return self.space.colorize(np.arange(256, dtype=np.uint8))


def _check_image(image: npt.NDArray[Any], labels: npt.NDArray[Any]) -> None:
    if image.dtype != np.uint8 or image.shape != (*labels.shape, 3):
        raise ImageError(
            f"image is {_described(image)}, but the labels are {list(labels.shape)}",
            remedy=f"give uint8 {[*labels.shape, 3]}",
        )


def _described(array: npt.NDArray[Any]) -> str:
    return f"{array.dtype} {list(array.shape)}"
