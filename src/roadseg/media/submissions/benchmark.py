"""What a benchmark wants to be sent: names, ids, sizes, and how its tool finds a file."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from roadseg.labels import LabelSpace, space

__all__ = ["Benchmark", "Fault", "Kind", "Sizes"]

Kind = Literal[
    "color", "constant", "count", "ids", "missing", "name", "several", "size", "train-ids", "type", "unexpected",
    "unreadable",
]  # fmt: skip
"""Kinds of faults, for programs that read them."""


@dataclass(frozen=True)
class Fault:
    """One reason why a submission would be turned down, or would score nothing.

    Args:
        kind: What kind of fault.
        where: The file or the frame it is about; the submission itself where it is about all.
        what: What is wrong, a clause without a final full stop.
    """

    kind: Kind
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"

    def to_json(self) -> dict[str, str]:
        """Return the fault as plain texts."""
        return {"kind": self.kind, "file": self.where, "fault": self.what}


@dataclass(frozen=True)
class Sizes:
    """Sizes that pictures may have.

    Args:
        heights: Least and greatest height in pixels.
        widths: Least and greatest width in pixels.
    """

    heights: tuple[int, int]
    widths: tuple[int, int]

    def __contains__(self, size: tuple[int, int]) -> bool:
        height, width = size
        return self.heights[0] <= height <= self.heights[1] and self.widths[0] <= width <= self.widths[1]

    def __str__(self) -> str:
        spans = (str(low) if low == high else f"{low}..{high}" for low, high in (self.widths, self.heights))
        return " x ".join(spans)


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """The rules of one benchmark.

    Args:
        name: What it is called on the command line.
        title: One line.
        official: Label space of the ids that it wants.
        networks: Label space of the ids that networks for it give out.
        ending: What follows the name of a frame in the name of its file.
        frame: What of a file's name is the name of its frame: a pattern that its beginning matches.
        by_beginning: Whether its tool takes every ``.png``, in any folder, whose name begins with that of the frame,
            and stops where there are two; else it takes the one file of exactly that name.
        flat: Whether the files must lie at the top of the archive.
        takes_ignored: Whether the ignored id of ``official`` may occur.
        counts: Number of images by split; empty where it is not known here.
        frames: Names of all frames, where they are known.
        sizes: Sizes that occur; empty for any.
        source: Where these rules are from.
        upload: What to do with the archive.
    """

    name: str
    title: str
    official: str
    networks: str
    ending: str = ".png"
    frame: str = r".+"
    by_beginning: bool = False
    flat: bool = True
    takes_ignored: bool = True
    counts: Mapping[str, int] = field(default_factory=dict)
    frames: tuple[str, ...] = ()
    sizes: tuple[Sizes, ...] = ()
    source: str
    upload: str

    @property
    def space(self) -> LabelSpace:
        """The label space of the ids that it wants."""
        return space(self.official)

    @cached_property
    def allowed_ids(self) -> frozenset[int]:
        """The numbers that a file may hold; there is no number for id -1."""
        ids = {number for number in self.space.ids if number >= 0}
        ignored = {self.space.ignore} if self.takes_ignored else set()
        return frozenset((ids - {self.space.ignore}) | ignored)

    def frame_of(self, file: str) -> str | None:
        """Return the name of the frame that a file is about, by its name; None where it is of no frame."""
        name = file.replace("\\", "/").rpartition("/")[2]
        found = re.match(self.frame, name.rpartition(".")[0] or name)
        return None if found is None else found[0]

    def file_of(self, frame: str) -> str:
        """Return the name of the file that goes into the archive for a frame."""
        return f"{frame}{self.ending}"

    def found_for(self, frame: str, files: Sequence[str]) -> list[str]:
        """Return which of these files the benchmark's tool takes for a frame."""
        if self.by_beginning:
            return [name for name in files if _base(name).startswith(frame) and name.endswith(".png")]
        return [name for name in files if _base(name) == f"{frame}.png"]


def _base(file: str) -> str:
    return file.rpartition("/")[2]
