"""Propagated labels as a data set on disk.

From Cityscapes, in its layout with its stored ids, so that the folder opens as ``cityscapes:OUT`` too; every city and
offset has a folder, because a frame may be reached from two annotated ones::

    leftImg8bit/train/aachen-plus3/aachen_000000_000022_leftImg8bit.png
    gtFine/train/aachen-plus3/aachen_000000_000022_gtFine_labelIds.png

From anything else, with the ids that networks are trained with::

    images/plus3/<sequence>/<frame>.png     masks/plus3/<sequence>/<frame>.png

and beside either ``data.yaml`` with the splits ``plus1``, ``minus1``, ..., ``annotated`` where the annotated frames were
wanted too (offset 0), and ``train`` for all of them,
``lists/plus1.txt``, ... with the pairs of a split, ``manifest.jsonl``, by which a stopped run goes on, and
``provenance.jsonl``, which says of every pair what it was made from.
"""

import json
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import yaml

from roadseg.data.records import Record
from roadseg.data.sequences import Sequence
from roadseg.data.source import Source
from roadseg.errors import LabelError, OutputError
from roadseg.labeling.propagation import Propagated, Way
from roadseg.labels import LabelSpace, space
from roadseg.media import atomic_path, write_image, write_mask, write_text
from roadseg.media.manifest import Entry, Identity, Manifest, fingerprint, remove_leftovers, tidy
from roadseg.media.writing import write_lines

__all__ = ["PropagatedSet", "offset_name", "read_truth", "written_space"]

CITYSCAPES = "cityscapes"
KINDS = ("image", "label")
_IMAGE_END, _LABEL_END = "_leftImg8bit", "_gtFine_labelIds"
_FOLDERS = ("leftImg8bit", "gtFine", "images", "masks", "lists", "preview")


def offset_name(offset: int) -> str:
    """Return the split of an offset: ``plus3``, ``minus3``; ``annotated`` for the frames that it all began with."""
    return "annotated" if offset == 0 else f"{'plus' if offset > 0 else 'minus'}{abs(offset)}"


def read_truth(source: Source, label: Path) -> npt.NDArray[Any]:
    """Read a label file in the ids that are written: those stored for Cityscapes, else those trained with.

    Raises:
        ImageError: The file cannot be decoded.
        LabelError: It holds ids that its space does not have.
    """
    record = Record(label, label, label.stem)
    stored = source.read_stored(record)
    target = source.relabel(record, stored)
    return stored if source.name == CITYSCAPES else target


def written_space(source: Source) -> LabelSpace:
    """Return the label space of the ids that are written."""
    return source.stored if source.name == CITYSCAPES else source.target


@dataclass(frozen=True)
class _Job:
    """An annotated frame and the neighbors that are wanted from it."""

    sequence: Sequence
    annotated: int

    def target(self, offset: int) -> Path:
        return self.sequence.frames[self._place + offset]

    def frames(self, offset: int) -> tuple[Path, ...]:
        """Return the frames that labels are carried through, the annotated one and the target included."""
        first, last = sorted((self._place, self._place + offset))
        return self.sequence.frames[first : last + 1]

    @property
    def _place(self) -> int:
        return self.sequence.numbers.index(self.annotated)


class PropagatedSet:
    """A folder that is filled with pairs of pictures and labels, by one process or several.

    Args:
        out: The folder.
        source: The data set that the annotated frames are of.
        way: How labels are propagated; pairs that were made another way are refused.
        rank: Number of this process, and
        size: how many there are.

    Raises:
        OutputError: The folder cannot be made, or holds pairs that were made another way.
    """

    def __init__(self, out: Path, source: Source, way: Way, *, rank: int = 0, size: int = 1) -> None:
        self.out = out
        self.source = source
        self.way = way
        self._space = written_space(source)
        facts = {"mode": way.mode, "motion": way.motion.name, "occlusion": way.check}
        self._facts: dict[str, Any] = {**facts, "version": metadata.version("roadseg")}
        stored = {"stored": source.stored.fingerprint, "label_mapping": source.label_map.table}
        settings = fingerprint({**facts, "space": self._space.to_json(), "layout": source.name, **stored})
        self._manifest = Manifest(out, settings, rank=rank, size=size)
        others = [entry for entry in self._manifest.entries if entry.settings != settings]
        if others:
            self._manifest.__exit__(None, None, None)
            before = {key: others[0].facts.get(key) for key in facts}
            made = ", ".join(f"{key} {value}" for key, value in before.items())
            if before == facts:
                made = "of other classes or by another label_mapping"
            raise OutputError(
                f"holds pairs that were made another way ({made})",
                where=out,
                remedy="repeat that command, or choose another folder with -o",
            )

    @property
    def keeps_stored(self) -> bool:
        """Whether the ids that are written are those of the label files, rather than those trained with."""
        return self.source.name == CITYSCAPES

    @staticmethod
    def prepare(out: Path) -> None:
        """Make the folder, and remove what a killed run left half-written; call it before any process opens the set.

        Raises:
            OutputError: The folder cannot be made, or holds another data set.
        """
        if (out / "data.yaml").exists() and not (out / "provenance.jsonl").exists():
            raise OutputError(
                "holds a data set that `roadseg propagate` did not write",
                where=out,
                remedy="choose another folder with -o",
            )
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"the folder cannot be made ({error.strerror})", where=out, remedy="choose another with -o"
            ) from error
        remove_leftovers(out, _FOLDERS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._manifest.__exit__(kind, error, trace)

    def missing(self, sequence: Sequence, annotated: int, offsets: Iterable[int]) -> list[int]:
        """Return those of the offsets, all within the sequence, whose pairs are not complete."""
        job = _Job(sequence, annotated)
        return [
            offset
            for offset in offsets
            if self._manifest.finished(self._key(job, offset), self._inputs(job, offset)) is None
        ]

    def write(self, sequence: Sequence, annotated: int, made: Propagated) -> Entry:
        """Write one pair and note it.

        Raises:
            OutputError: A file cannot be written.
        """
        job = _Job(sequence, annotated)
        key = self._key(job, made.offset)
        files = self._files(job, made.offset)
        inputs = [Identity.of(path) for path in self._inputs(job, made.offset)]
        self._manifest.begin(key)
        if self.way.mode == "joint":
            write_image(files["image"], made.image)
        else:
            with atomic_path(files["image"]) as temporary:
                shutil.copyfile(made.file, temporary)
        write_mask(files["label"], made.label)
        facts = {
            **{kind: path.relative_to(self.out).as_posix() for kind, path in files.items()},
            "frame": str(made.file),
            "source_frame": str(job.target(0)),
            "source_label": str(sequence.labels[annotated]),
            "offset": made.offset,
            **self._facts,
            "ignored": round(self._ignored(made.label), 6),
            "occluded": round(float(made.occluded.mean()), 6),
        }
        return self._manifest.finish(key, inputs, files, facts)

    def finish(self) -> list[Mapping[str, Any]]:
        """Write data.yaml, the lists of the splits and the provenance; call it after the last process closed the set.

        Returns:
            The provenance of all pairs.
        """
        tidy(self.out)
        with Manifest(self.out, self._manifest.settings) as manifest:
            entries = [entry for entry in manifest.entries if self._is_whole(entry)]
        pairs = [entry.facts for entry in entries]
        names = sorted({int(pair["offset"]) for pair in pairs})
        for offset in names:
            lines = [f"{pair['image']}\t{pair['label']}" for pair in pairs if pair["offset"] == offset]
            write_lines(self.out / "lists" / f"{offset_name(offset)}.txt", lines)
        write_lines(self.out / "provenance.jsonl", (json.dumps(pair) for pair in pairs))
        if pairs:
            write_text(self.out / "data.yaml", self._yaml([offset_name(offset) for offset in names]))
        return pairs

    def _is_whole(self, entry: Entry) -> bool:
        paths = [self.out / entry.files[kind] for kind in KINDS]
        return all(path.is_file() for path in paths)

    def _ignored(self, label: npt.NDArray[Any]) -> float:
        """Return the share of pixels that training leaves out."""
        values, counts = np.unique(label, return_counts=True)
        if self.keeps_stored:
            values = self.source.label_map.relabel(values[None])[0]
        target = self.source.target
        left_out = values == target.stored_id(target.ignore, values.dtype)
        return float(counts[left_out].sum() / label.size)

    def _key(self, job: _Job, offset: int) -> str:
        return f"{offset_name(offset)}/{job.sequence.name}/{job.target(offset).stem}"

    def _inputs(self, job: _Job, offset: int) -> list[Path]:
        return [job.sequence.labels[job.annotated], *job.frames(offset)]

    def _files(self, job: _Job, offset: int) -> dict[str, Path]:
        frame = job.target(offset)
        suffix = ".png" if self.way.mode == "joint" else frame.suffix
        if self.keeps_stored:
            folder = f"train/{frame.parent.name}-{offset_name(offset)}"
            stem = frame.stem.removesuffix(_IMAGE_END)
            image = self.out / "leftImg8bit" / folder / f"{stem}{_IMAGE_END}{suffix}"
            return {"image": image, "label": self.out / "gtFine" / folder / f"{stem}{_LABEL_END}.png"}
        name = f"{offset_name(offset)}/{job.sequence.name}/{frame.stem}"
        return {"image": self.out / "images" / f"{name}{suffix}", "label": self.out / "masks" / f"{name}.png"}

    def _yaml(self, names: list[str]) -> str:
        """Return a data.yaml in the label space of the source."""
        lists = {name: f"lists/{name}.txt" for name in names}
        data: dict[str, Any] = {"path": ".", "train": list(lists.values()), "splits": lists}
        target = self.source.target
        if _is_known(target):
            data["space"] = target.name
        else:
            data["names"] = dict(zip(target.ids, target.names, strict=True))
        data["ignore"] = target.ignore
        if self.keeps_stored:
            data["label_mapping"] = {
                self._space.stored_id(stored): "ignore" if wanted == target.ignore else wanted
                for stored, wanted in self.source.label_map.table
            }
        data["license"] = self.source.license
        about = f"# Labels propagated to neighboring frames by roadseg {self._facts['version']}; see provenance.jsonl.\n"
        return about + yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


def _is_known(target: LabelSpace) -> bool:
    with suppress(LabelError):
        return space(target.name) == target
    return False
