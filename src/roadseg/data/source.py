"""A data set on disk, ready to be listed and decoded, whatever its layout."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from roadseg.data.records import Record
from roadseg.errors import DataError, LabelError
from roadseg.labels import LabelMap, LabelSpace, label_map
from roadseg.media import IMAGE_SUFFIXES, MAX_PIXELS, read_image, read_mask
from roadseg.media.decoding import open_picture
from roadseg.media.find import walk_visible

__all__ = ["Source", "label_kind", "list_images"]

PALETTE = "palette"  # a kind of label file


@dataclass(frozen=True)
class Source:
    """One data set on disk.

    Built by the module of its layout (``roadseg.data.camvid``, ...) through :func:`roadseg.data.sources.open_source`.

    Attributes:
        name: Name of the layout, such as ``camvid``.
        root: The folder, or the data.yaml, it was opened from.
        label_map: From the ids (or colors) in the label files to the ids that networks are trained with.
        splits: Every split that is on disk.
        list_split: Lists the records of one split without checking that the label files exist.
        looks_for: The files and folders that the layout consists of, a clause for error texts.
        license: One line on what the data may be used for.
        base_splits: The splits that should have no image in common; empty for all of them. Folds and other
            views of the same images are left out.
        colored: Whether red-green-blue label files are decoded by the colors of the stored space. Where not, they
            must be gray (three equal channels of ids).
        palette_colored: Whether palette label files are decoded by their colors too; where not, their indices are ids.
        notes: What was found out about the data set on opening it, in sentences.
        refine: Changes a label after it was brought to the target space: gets the record and the ids ``[H, W]``, returns
            ids. Its ``repr`` says what it does, so that what was computed from the labels can be told apart.
        decode: Turns label files that are no plain pictures of ids or colors into ids of the stored space: gets the
            record and its picture as `read_mask` gives it, returns ``[H, W]``.
        native: The data set before its labels were translated by `to`; None where they were not.
        translation: From the label space of ``native`` to that of this one.
    """

    name: str
    root: Path
    label_map: LabelMap
    splits: tuple[str, ...]
    list_split: Callable[[str], list[Record]]
    looks_for: str
    license: str
    base_splits: tuple[str, ...] = ()
    colored: bool = False
    palette_colored: bool = False
    notes: tuple[str, ...] = ()
    refine: Callable[[Record, npt.NDArray[Any]], npt.NDArray[Any]] | None = None
    decode: Callable[[Record, npt.NDArray[Any]], npt.NDArray[Any]] | None = None
    native: "Source | None" = field(default=None, repr=False)
    translation: LabelMap | None = field(default=None, repr=False)

    @property
    def stored(self) -> LabelSpace:
        """The label space of the files."""
        return self.label_map.source

    @property
    def target(self) -> LabelSpace:
        """The label space that networks are trained with."""
        return self.label_map.target

    @property
    def unreachable(self) -> tuple[str, ...]:
        """Classes of the target space that no class of the label files leads to."""
        rows = zip(self.target.names, self.label_map.matrix, strict=True)
        return tuple(name for name, sources in rows if not sources.any())

    def to(self, space: LabelSpace) -> "Source":
        """Return the same data set with its labels translated to another space, as they are read.

        Raises:
            LabelError: No map leads there from `target`.
            DataError: As for `translated`.
        """
        return self if space == self.target else self.translated(label_map(self.target, space))

    def translated(self, by: LabelMap) -> "Source":
        """Return the same data set with its labels taken through one more map, as they are read.

        Raises:
            LabelError: The map does not start from `target`.
            DataError: The labels are refined: what refines them knows the ids of the space that is left.
        """
        if self.refine is not None:
            raise DataError(
                "has labels that were changed after they were read",
                where=self.root,
                remedy="translate the data set first, then change its labels",
            )
        return replace(
            self,
            label_map=self.label_map.then(by),
            native=self.native or self,
            translation=by if self.translation is None else self.translation.then(by),
        )

    def find(self, split: str) -> list[Record]:
        """List the images of a split with their label files; nothing is decoded.

        Args:
            split: Name of a split, or several joined by ``+``, for example ``train+val``.

        Returns:
            Records in a fixed order, sorted by path or as in the data set's list file. Keys are unique; where two joined
            splits use the same key, all are prefixed by their split's name. ``label`` is None throughout a split
            that has no public labels.

        Raises:
            DataError: There is no such split, it is empty, it names an image twice, or a label file is missing.
        """
        names = split.split("+")
        parts = {name: self._find_part(name) for name in names}
        records = [record for name in names for record in parts[name]]
        if image := _repeated(str(record.image) for record in records):
            raise DataError(
                f"split {split!r} holds the same image twice, {image}",
                where=self.root,
                remedy="join only splits that have no image in common",
            )
        if len(parts) > 1 and _repeated(record.key for record in records):
            return [
                record._replace(key=f"{part}/{record.key}")
                for part, found in parts.items()
                for record in found
            ]
        return records

    def read_stored(self, record: Record) -> npt.NDArray[Any]:
        """Read a record's label file.

        Returns:
            Ids of the stored space, uint8 or uint16 ``[H, W]``, not checked against it.

        Raises:
            ImageError: The file cannot be decoded.
            LabelError: It is a color picture with a color of no class, or where ids are expected.
            DataError: The record has no label file.
        """
        if record.label is None:
            raise DataError("has no label file", where=record.image, remedy="use a split that is labeled")
        mask = read_mask(record.label)
        if self.decode is not None:
            return self.decode(record, mask)
        if self.palette_colored and label_kind(record.label) == PALETTE:
            mask = read_image(record.label)
        if mask.ndim == 2:
            return mask
        if self.colored:
            return self.stored.encode_colors(mask, where=str(record.label))
        ids = mask[..., 0]
        if not (np.array_equal(ids, mask[..., 1]) and np.array_equal(ids, mask[..., 2])):
            raise LabelError(
                "is a color picture where a picture of ids is expected",
                where=record.label,
                remedy="convert it to ids, or describe the data set by a data.yaml with colors: {name: [r, g, b]}",
            )
        return np.ascontiguousarray(ids)

    def read_label(self, record: Record) -> npt.NDArray[Any]:
        """Read a record's label file in the ids that networks are trained with.

        Returns:
            Ids of the target space, uint8 or uint16 ``[H, W]``.

        Raises:
            ImageError: The file cannot be decoded.
            LabelError: It holds ids or colors that the stored space does not have; the file, the ids and the number
                of pixels are named.
            DataError: The record has no label file.
        """
        return self.relabel(record, self.read_stored(record))

    def relabel(self, record: Record, stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Bring what `read_stored` gave to the ids that networks are trained with; errors as for `read_label`."""
        ids = self.label_map.relabel(stored, where=str(record.label))
        return ids if self.refine is None else self.refine(record, ids)

    def _find_part(self, part: str) -> list[Record]:
        if part not in self.splits:
            raise DataError(
                f"has no split {part!r}",
                where=self.root,
                remedy=f"it has {', '.join(self.splits)}; {self.name} looks for {self.looks_for}",
            )
        records = self.list_split(part)
        if not records:
            raise DataError(
                f"split {part!r} has no images",
                where=self.root,
                remedy=f"{self.name} looks for {self.looks_for}",
            )
        if key := _repeated(record.key for record in records):
            raise DataError(
                f"split {part!r} has two images named {key}",
                where=self.root,
                remedy="keep one, or rename one together with its label file",
            )
        missing = [record for record in records if record.label is not None and not record.label.is_file()]
        if missing:
            raise DataError(
                f"{len(missing)} of {len(records)} images of split {part!r} have no label file, for example"
                f" {missing[0].image.name}",
                where=self.root,
                remedy=f"its label belongs at {missing[0].label}; add the files or remove the images",
            )
        return records


def label_kind(path: Path) -> str:
    """Return what a label file holds, from its header: ``8-bit ids``, ``16-bit ids``, ``palette`` or ``colors``.

    Raises:
        ImageError: The file is missing, unreadable or no picture.
    """
    with open_picture(path, MAX_PIXELS) as picture:
        mode = picture.mode
    if mode.startswith("I"):
        return "16-bit ids"
    if mode.startswith("P"):
        return PALETTE
    return "colors" if mode.startswith("RGB") else "8-bit ids"


def list_images(folder: Path, *, recursive: bool = False) -> list[Path]:
    """Return the image files in a folder, sorted; hidden files and folders are left out, linked folders are not.

    Raises:
        DataError: The folder, or one below it, does not exist or cannot be read.
    """
    try:
        found = sorted(folder.iterdir())  # listed even for a deep search, which says less of a missing folder
    except OSError as error:
        raise DataError(
            f"cannot be listed ({error.strerror or error})",
            where=folder,
            remedy="check that the folder exists and may be read",
        ) from error
    if recursive:
        found = sorted(place / name for place, names in walk_visible(folder, DataError) for name in names)
    return [path for path in found if path.suffix.lower() in IMAGE_SUFFIXES and path.name[0] != "."]


def _repeated(values: Iterable[str]) -> str | None:
    return next((value for value, count in Counter(values).items() if count > 1), None)
