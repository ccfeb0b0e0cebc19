"""Counts per image: what the table of images, intervals and paired comparisons are made from."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from roadseg.errors import DataError, InputError
from roadseg.labels import LabelSpace
from roadseg.media import atomic_path
from roadseg.metrics.confusion import Confusion
from roadseg.metrics.iou import intersection_over_union, known_or_none, mean_of_known
from roadseg.metrics.scores import Protocol, scored_channels

__all__ = ["ImageCounts"]


@dataclass(eq=False)
class ImageCounts:
    """Per image and class, in place of a whole confusion matrix: what IoU needs.

    Attributes:
        names: Names of the scored classes.
        keys: A name per image.
        counts: int64 ``[N, 4, C]``: pixels found (right), pixels in the truth, pixels predicted where there is a truth,
            and pixels predicted where there is none.
    """

    names: tuple[str, ...]
    keys: list[str] = field(default_factory=list)
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 4, 0), np.int64))

    @classmethod
    def stack(cls, space: LabelSpace, images: list[tuple[str, NDArray[np.int64]]]) -> "ImageCounts":
        """Put the counts of single images together, from pairs of key and ``image_counts``."""
        names = tuple(space.names[channel] for channel in scored_channels(space))
        counts = np.array([item for _, item in images], np.int64).reshape(len(images), 4, len(names))
        return cls(names, [key for key, _ in images], counts)

    @staticmethod
    def of_image(confusion: Confusion) -> NDArray[np.int64]:
        """Return the counts of one image, int64 ``[4, C]``."""
        classes = scored_channels(confusion.space)
        rows = confusion.counts[classes]
        without_truth = confusion.counts.sum(axis=0) - rows.sum(axis=0)
        return np.stack(
            [
                confusion.counts[classes, classes],
                rows.sum(axis=1),
                rows.sum(axis=0)[classes],
                without_truth[classes],
            ]
        )

    def __len__(self) -> int:
        return len(self.keys)

    def miou(self, sums: NDArray[Any], protocol: Protocol) -> NDArray[np.float64]:
        """Return the mean IoU ``[...]`` of counts ``[..., 4, C]``, by the rules of a protocol."""
        kept = ~np.isin(self.names, protocol.excluded)
        return mean_of_known(self.iou(sums, protocol), kept)

    def iou(self, sums: NDArray[Any], protocol: Protocol) -> NDArray[np.float64]:
        """Return the IoU ``[..., C]`` of counts ``[..., 4, C]``, by the rules of a protocol."""
        found, truth, predicted, beyond = np.moveaxis(sums, -2, 0)
        if protocol.void == "false-positive":
            predicted = predicted + beyond
        return intersection_over_union(found, truth, predicted, protocol.absent)

    def table(self, protocol: Protocol) -> list[dict[str, Any]]:
        """Return a row per image: key, mIoU over the classes present in it, accuracy, labeled pixels."""
        present = Protocol(void=protocol.void, excluded=protocol.excluded)
        miou = self.miou(self.counts, present)
        found, truth = self.counts[:, 0].sum(axis=-1), self.counts[:, 1].sum(axis=-1)
        return [
            {
                "key": key,
                "miou": known_or_none(miou[i]),
                "accuracy": float(found[i] / truth[i]) if truth[i] else None,
                "pixels": int(truth[i]),
            }
            for i, key in enumerate(self.keys)
        ]

    def save(self, path: str | Path) -> None:
        """Write the counts to an ``.npz`` file, atomically.

        Raises:
            OutputError: The file cannot be written.
        """
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file, names=np.array(self.names), keys=np.array(self.keys), counts=self.counts
            )

    @classmethod
    def load(cls, path: str | Path) -> "ImageCounts":
        """Read what `save` wrote.

        Raises:
            InputError: The file is missing or something else.
        """
        try:
            with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                names, keys, counts = tuple(file["names"].tolist()), file["keys"].tolist(), file["counts"]
        except FileNotFoundError as error:
            raise InputError(
                "does not exist", where=path, remedy="`roadseg evaluate --out` writes it beside the score"
            ) from error
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise _not_counts(path) from error
        if counts.shape != (len(keys), 4, len(names)) or counts.dtype != np.int64:
            raise _not_counts(path)
        return cls(names, keys, counts)

    def in_order(self, keys: list[str], where: str | Path = "") -> "ImageCounts":
        """Return the same counts with the images in another order.

        Raises:
            DataError: There are other images in it.
        """
        index = {key: i for i, key in enumerate(self.keys)}
        missing, extra = [key for key in keys if key not in index], set(index) - set(keys)
        if missing or extra:
            one = missing[0] if missing else min(extra)
            raise DataError(
                f"was computed on other images ({len(self)}, not {len(keys)}; {one} is in one of them only)",
                where=where or None,
                remedy="compare scores of the same split",
            )
        return ImageCounts(self.names, list(keys), self.counts[[index[key] for key in keys]])


def _not_counts(path: str | Path) -> InputError:
    return InputError(
        "holds no counts per image", where=path, remedy="give the file that `roadseg evaluate --out` wrote"
    )
