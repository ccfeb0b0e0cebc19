"""What ``roadseg predict`` writes about a picture: one folder per kind of result."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from roadseg.cli.translation import Translation
from roadseg.errors import ImageError, InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from roadseg.inference.maps import Scored
    from roadseg.labels import LabelSpace
    from roadseg.media import FoundImage, Prediction

__all__ = ["DEFAULT_OUTPUTS", "SUFFIXES", "Kind", "Outputs", "Truths"]

T = TypeVar("T")

Kind = Literal[
    "labels",
    "color",
    "overlay",
    "compose",
    "diff",
    "confidence",
    "entropy",
    "attention",
    "probabilities",
    "shares",
]

SUFFIXES: Mapping[Kind, str] = {
    "labels": ".png",
    "color": ".png",
    "overlay": ".jpg",
    "compose": ".jpg",
    "diff": ".jpg",
    "confidence": ".png",
    "entropy": ".png",
    "attention": ".png",
    "probabilities": ".npz",
    "shares": ".json",
}
"""Every kind of result, in the order they are written and named, with the suffix of its files."""

DEFAULT_OUTPUTS: tuple[Kind, ...] = ("labels", "color", "overlay")

# How data sets name the labels of a picture: which part of its name becomes which.
_OFFICIAL_IDS = "_labelIds"
_CITYSCAPES = "_leftImg8bit"
_CITYSCAPES_LABELS = ("_gtFine_labelTrainIds", "_gtFine_labelIds", "_gtCoarse_labelIds")
_CAMVID_ENDING = "_L"


@dataclass(frozen=True)
class Truths:
    """A folder of true labels.

    Attributes:
        folder: Searched to the bottom; a picture ``a/b.jpg`` has its labels in ``a/b.png`` or, whatever folder, in the
            only ``b.png``. Names of the Cityscapes and CamVid releases are understood.
        space: The label space of the predictions they are compared with.
        stored: The label space of the files; None for that of Cityscapes for ``*_labelIds.png``, else `space`.
    """

    folder: Path
    space: "LabelSpace"
    stored: "LabelSpace | None" = None

    @cached_property
    def _files(self) -> "tuple[dict[str, Path], dict[str, list[Path]]]":
        """The files by their path in the folder, and by their stem."""
        from roadseg.media import find_images

        by_path, by_stem = {}, dict[str, list[Path]]()
        for found in find_images([self.folder]):
            by_path[found.path.relative_to(self.folder).with_suffix("").as_posix()] = found.path
            by_stem.setdefault(found.path.stem, []).append(found.path)
        return by_path, by_stem

    def path(self, image: "FoundImage") -> Path:
        """Return the file of a picture's labels.

        Raises:
            InputError: There is none, or there are several.
        """
        by_path, by_stem = self._files
        stem = image.path.stem
        parent = image.key.rpartition("/")[0]
        for name in _truth_names(stem):
            if (exact := by_path.get(f"{parent}/{name}" if parent else name)) is not None:
                return exact
            if len(same := by_stem.get(name, [])) == 1:
                return same[0]
            if same:
                raise InputError(
                    f"has several possible truths: {same[0]}, {same[1]}",
                    where=image.path,
                    remedy="lay out --truth like the folder of the pictures",
                )
        raise InputError(
            f"has no truth in {self.folder}",
            where=image.path,
            remedy=f"looked for a label map named {stem}.png",
        )

    def read(self, path: Path, pixels: "NDArray[np.uint8]") -> "Prediction":
        """Return true labels in the label space of the predictions.

        Raises:
            ImageError: The file cannot be read, or has another size than the picture.
            LabelError: It holds an id that its label space lacks.
        """
        from roadseg.labels import label_map, space
        from roadseg.media import Prediction, read_mask

        mask = read_mask(path)
        if mask.shape[:2] != pixels.shape[:2]:
            sizes = [f"{shape[1]}x{shape[0]}" for shape in (mask.shape, pixels.shape)]
            raise ImageError(
                f"the truth is {sizes[0]} pixels, its picture {sizes[1]}",
                where=path,
                remedy="give labels of the size of the picture",
            )
        official = space("cityscapes") if _OFFICIAL_IDS in path.stem else self.space
        stored = self.stored or official
        if mask.ndim == 3:
            mask = stored.encode_colors(mask, where=str(path))
        return Prediction(label_map(stored, self.space).relabel(mask, where=str(path)), self.space)


@dataclass(frozen=True)
class Outputs:
    """What to write, and how.

    Attributes:
        kinds: The kinds of results.
        out: The folder that gets a folder for each of them.
        translation: How the results get into their label space.
        alpha: Opacity of the colors in overlays, 0..1.
        legend: Whether overlays and compositions get a legend.
        full: Whether probabilities are written for every pixel rather than at the network's resolution.
    """

    kinds: tuple[Kind, ...]
    out: Path
    translation: Translation
    alpha: float = 0.5
    legend: bool = False
    full: bool = False

    @property
    def space(self) -> "LabelSpace":
        """The label space of the results."""
        return self.translation.space

    def files(self, key: str) -> dict[Kind, Path]:
        """Return the file of each kind for a picture."""
        return {
            kind: self.out / kind / f"{key}{suffix}"
            for kind, suffix in SUFFIXES.items()
            if kind in self.kinds
        }

    def settings(self) -> dict[str, Any]:
        """Return everything here that the results depend on, as JSON."""
        drawn = {"overlay", "compose"} & set(self.kinds)
        return {
            "outputs": sorted(self.kinds),
            "space": self.space.to_json(),
            **self.translation.settings(),
            "alpha": self.alpha if "overlay" in self.kinds else None,
            "legend": self.legend if drawn else None,
            "full": self.full if "probabilities" in self.kinds else None,
        }

    def write(
        self, image: "FoundImage", scored: "Scored", prediction: "Prediction", truth: "Prediction | None"
    ) -> dict[Kind, Path]:
        """Write all results of a picture.

        Args:
            image: The picture.
            scored: What the network said.
            prediction: What follows from it, in the label space of the results and with the picture.
            truth: What is really there.

        Returns:
            The files by kind.

        Raises:
            OutputError: A file cannot be written.
        """
        files = self.files(image.key)
        writers: Mapping[Kind, Callable[[Path], None]] = {
            "labels": prediction.save,
            "color": lambda path: prediction.save(path, color=True),
            "overlay": lambda path: _picture(path, prediction.overlay(alpha=self.alpha, legend=self.legend)),
            "compose": lambda path: _picture(path, prediction.compose(truth=truth, legend=self.legend)),
            "diff": lambda path: _picture(path, prediction.differences(_given(truth))),
            "confidence": lambda path: _gray(path, _given(prediction.confidence)),
            "entropy": lambda path: _gray(path, scored.entropy()),
            "attention": lambda path: _gray(
                path, np.concatenate([*scored.attention_maps().values()], axis=1)
            ),
            "probabilities": lambda path: self._probabilities(path, scored),
            "shares": lambda path: self._shares(path, image, prediction),
        }
        for kind, path in files.items():
            writers[kind](path)
        return files

    def _shares(self, path: Path, image: "FoundImage", prediction: "Prediction") -> None:
        from roadseg.media import write_json

        height, width = prediction.labels.shape
        head = {"image": os.fspath(image.path), "height": height, "width": width, "space": self.space.name}
        write_json(path, {**head, "shares": prediction.shares()})

    def _probabilities(self, path: Path, scored: "Scored") -> None:
        from roadseg.media import atomic_path

        found = scored.probabilities(full=self.full)
        if self.translation.how == "labels":  # elsewhere they were summed before, or need not be
            found = self.translation.map.project(found)
        with atomic_path(path) as temporary:
            np.savez(
                temporary,
                probabilities=found,
                classes=np.array(self.space.names),
                size=np.array(scored.size),
                grid=np.array(scored.size if self.full else scored.grid),
                align_corners=np.array(scored.found.align_corners),
            )


def _truth_names(stem: str) -> list[str]:
    """Return what the labels of a picture may be called, without suffix."""
    official = [stem.replace(_CITYSCAPES, labels) for labels in _CITYSCAPES_LABELS if _CITYSCAPES in stem]
    return [stem, *official, stem + _CAMVID_ENDING]


def _picture(path: Path, rgb: "NDArray[np.uint8]") -> None:
    from roadseg.media import write_image

    write_image(path, rgb)


def _gray(path: Path, values: "NDArray[np.float32]") -> None:
    from roadseg.media.draw import gray_levels

    _picture(path, gray_levels(values))


def _given(value: T | None) -> T:
    """Return what the choice of outputs guarantees to be there."""
    if value is None:
        raise AssertionError("an output without what it is made of")
    return value
