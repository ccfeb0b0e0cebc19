"""Labels that a network made, in place of a split's stored ones (Tao et al. 2020, section 4.4)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadseg.data.records import Record
from roadseg.data.source import Source
from roadseg.data.thresholds import Thresholds
from roadseg.errors import DataError
from roadseg.media import read_mask

__all__ = ["PROBABILITY", "probability_file", "with_autolabels"]

PROBABILITY = "_prob"
"""What the name of a label's confidence has after that of the label."""


def with_autolabels(
    source: Source,
    root: str | Path,
    *,
    split: str = "train_extra",
    threshold: float | str | Path = 0.5,
    window: tuple[int, int, int, int] | None = None,
    merge: Sequence[str] = (),
) -> Source:
    """Return the data set with one split's labels replaced.

    For every image there are ``NAME.png`` with stored ids and ``NAME_prob.png`` with confidence, 0..255, where NAME is
    that of the image file or the record's key; they may lie in folders.

    Args:
        source: The data set.
        root: Folder of the labels.
        split: The split that they are for.
        threshold: Where ``confidence / 255`` is lower, the network's label is ignored: one number, or a file of numbers by
            class, see `roadseg.data.thresholds`.
        window: Rows and columns ``(top, left, bottom, right)``, the last two excluded, outside which it is ignored.
        merge: Names of classes of the target space that a pixel also gets where the split's stored label says so,
            whatever the network's label, confidence and the window say there.

    Raises:
        DataError: There is no such split, or an image has no label, no confidence, or several; or the file of thresholds
            is not usable.
        LabelError: There is no class of that name.
    """
    root = Path(root)
    if split not in source.splits:
        raise DataError(
            f"has no split {split!r} that labels of a network could be for",
            where=source.root,
            remedy=f"it has {', '.join(source.splits)}",
        )
    records = source.list_split(split)
    labels = _labels_of(records, root, split)
    stored = {labels[record.image]: record.label for record in records}
    ids = source.target.ids
    refine = Refinement(
        source,
        stored,
        Thresholds.of(threshold, source.target),
        window,
        tuple(ids[source.target.index(name)] for name in merge),
    )
    if merge:
        _check_stored(records, split)
    decode = source.decode and partial(_decode, source.decode, frozenset(labels.values()))
    lister = partial(_list_split, source.list_split, split, labels)
    return replace(source, list_split=lister, refine=refine, decode=decode)


@dataclass(frozen=True)
class Refinement:
    """Keeps of the network's labels what can be trusted, and adds classes from the stored ones.

    Attributes:
        source: The data set with its stored labels.
        stored: Stored label file of each of the network's.
        thresholds: Least confidence of each class.
        window: ``(top, left, bottom, right)`` in pixels.
        merge: Target ids that are added.
    """

    source: Source = field(repr=False)
    stored: Mapping[Path, Path | None] = field(repr=False)
    thresholds: Thresholds
    window: tuple[int, int, int, int] | None
    merge: tuple[int, ...]

    def __call__(self, record: Record, ids: NDArray[Any]) -> NDArray[Any]:
        """Return the ids to train with, ``[H, W]``; those of other splits as they are."""
        if record.label is None or record.label not in self.stored:
            return ids
        space = self.source.target
        trusted = self.thresholds.trusted(ids, _read_like(probability_file(record.label), ids))
        if self.window is not None:
            top, left, bottom, right = self.window
            inside = np.zeros_like(trusted)
            inside[top:bottom, left:right] = True
            trusted &= inside
        refined = np.where(trusted, ids, space.dtype.type(space.stored_id(space.ignore)))
        if self.merge:
            drawn = self.source.read_label(record._replace(label=self.stored[record.label]))
            _check_size(record.label, ids, drawn.shape)
            refined = np.where(np.isin(drawn, self.merge), drawn, refined)
        return refined


def _list_split(
    original: Callable[[str], list[Record]], split: str, labels: Mapping[Path, Path], part: str
) -> list[Record]:
    """Return the records of one split, with the network's labels where it is theirs."""
    records = original(part)
    if part != split:
        return records
    return [record._replace(label=labels[record.image]) for record in records]


def _decode(
    original: Callable[[Record, NDArray[Any]], NDArray[Any]],
    made: frozenset[Path],
    record: Record,
    mask: NDArray[Any],
) -> NDArray[Any]:
    """Return the ids of a label picture: a network's holds them as they are, whatever form the data set's own have."""
    return mask if record.label in made else original(record, mask)


def _labels_of(records: Sequence[Record], root: Path, split: str) -> dict[Path, Path]:
    """Return the label file of each image.

    Raises:
        DataError: One has none, no confidence, or several.
    """
    files = set(root.rglob("*.png"))
    named: dict[str, list[Path]] = {}
    for path in sorted(files):
        named.setdefault(path.stem, []).append(path)
    found: dict[Path, Path] = {}
    for record in records:
        by_key = root / f"{record.key}.png"
        same = named.get(record.image.stem) or named.get(Path(record.key).name) or []
        if len(same) > 1 and by_key not in files:
            raise DataError(
                f"has {len(same)} labels for {record.image.name}, {same[0]} and {same[1]}",
                where=root,
                remedy="keep one of them",
            )
        if by_key in files or same:
            found[record.image] = by_key if by_key in files else same[0]
    if missing := [record.image.name for record in records if record.image not in found]:
        raise DataError(
            f"has no label for {len(missing)} of the {len(records)} images of split {split!r}, for example {missing[0]}",
            where=root,
            remedy="for IMAGE there should be IMAGE.png with ids and IMAGE_prob.png with confidence, here or in a folder",
        )
    if unsure := [path for path in found.values() if probability_file(path) not in files]:
        raise DataError(
            f"has no confidence for {len(unsure)} of its {len(found)} labels, for example {unsure[0].name}",
            where=root,
            remedy=f"add {probability_file(unsure[0]).name}, gray, 0 for no confidence and 255 for certainty",
        )
    return found


def _check_stored(records: Sequence[Record], split: str) -> None:
    """Raise a `DataError` unless every image has a stored label to merge with."""
    missing = [record for record in records if record.label is None or not record.label.is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of the {len(records)} images of split {split!r} have no stored label that classes could be"
            " merged from",
            where=missing[0].image,
            remedy="add the stored labels, or merge no classes",
        )


def probability_file(label: Path) -> Path:
    """Return where the confidence of a network's label lies."""
    return label.with_name(f"{label.stem}{PROBABILITY}.png")


def _read_like(path: Path, ids: NDArray[Any]) -> NDArray[np.uint8]:
    confidence = read_mask(path)
    _check_size(path, ids, confidence.shape)
    if confidence.dtype != np.uint8:
        raise DataError("is not an 8-bit gray picture", where=path, remedy="store confidence as 0..255")
    return confidence


def _check_size(where: Path, ids: NDArray[Any], shape: tuple[int, ...]) -> None:
    if shape != ids.shape:
        raise DataError(
            f"label, confidence and stored label differ in size: {ids.shape} and {shape}",
            where=where,
            remedy="make them of the same images",
        )
