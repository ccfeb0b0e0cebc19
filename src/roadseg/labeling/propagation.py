"""Labels of one frame, carried along the motion to its neighbors (Zhu et al., CVPR 2019, section 3.1).

Step by step: the motion between the real frames n - 1 and n moves what step n - 1 made, both the labels and, for joint
propagation, the picture. Picture and labels are then off by the same amount, so that they fit each other even where the
motion was wrong.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from roadseg.data.sequences import Sequence
from roadseg.errors import DataError
from roadseg.labeling.motion import Motion, Picture, Step
from roadseg.labeling.occlusion import occluded, warped
from roadseg.media import read_image, read_mask

__all__ = ["Mode", "Propagated", "Way", "propagate", "reachable"]

Mode = Literal["joint", "label-only"]
Labels = npt.NDArray[Any]

_KEPT = 4  # real frames in memory: the three of a step, and the one that the next adds


class Propagated(NamedTuple):
    """A neighbor of an annotated frame.

    Attributes:
        offset: Frames from the annotated one; negative before it, 0 for itself.
        number: Of the frame.
        file: The real frame.
        real: Its picture, uint8 ``[H, W, 3]``.
        image: The picture that goes with the labels, uint8 ``[H, W, 3]``: the annotated one, moved (joint), or the real
            one.
        label: ``[H, W]``, ids as they were read.
        occluded: bool ``[H, W]``: what a check of occlusions marked at this step or before; these labels are ignored.
    """

    offset: int
    number: int
    file: Path
    real: Picture
    image: Picture
    label: Labels
    occluded: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Way:
    """How labels are propagated.

    Attributes:
        motion: Where motion comes from.
        mode: ``joint``: the moved picture with the moved labels; ``label-only``: the real frame with the moved labels.
        check: Mark occluded pixels, see `roadseg.labeling.occlusion.occluded`, and give them the ignored id.
        ignore: That id.
    """

    motion: Motion = field(repr=False)
    mode: Mode = "joint"
    check: bool = False
    ignore: int = 255


def propagate(
    sequence: Sequence,
    annotated: int,
    offsets: Iterable[int],
    way: Way,
    *,
    read_label: Callable[[Path], Labels] = read_mask,
) -> Iterator[Propagated]:
    """Carry the labels of one frame to its neighbors; nothing is written.

    The first step mixes four pixels of the annotated picture (bilinear); later ones, like labels always, take the
    nearest, as the published data was made.

    Args:
        sequence: The frames.
        annotated: Number of the frame whose labels are known.
        offsets: Which neighbors are wanted, in frames from it, such as ``range(-5, 6)``; 0 is the frame itself. Those
            beyond the ends of the sequence are passed over.
        way: How.
        read_label: Reads the label file.

    Yields:
        The annotated frame itself, if wanted; the neighbors after it from near to far, then those before it.

    Raises:
        DataError: The frame has no labels, a wanted neighbor is missing where the numbers have a hole, or frames or
            labels differ in size.
        ImageError: A file cannot be decoded.
    """
    if annotated not in sequence.labels or annotated not in sequence.numbers:
        raise DataError(
            f"frame {annotated} has no labels", where=sequence.name, remedy="start from an annotated frame"
        )
    wanted = reachable(sequence, annotated, offsets, way)
    place = sequence.numbers.index(annotated)
    frames = _Frames(sequence, place)
    label = read_label(sequence.labels[annotated])
    if label.shape != (size := frames(place).shape[:2]):
        raise DataError(
            f"is {label.shape[1]}x{label.shape[0]} but its frame {sequence.frames[place].name} is {size[1]}x{size[0]}",
            where=sequence.labels[annotated],
            remedy="give labels of the frames' own size",
        )
    if 0 in wanted:
        image, nowhere = frames(place), np.zeros(label.shape, dtype=np.bool_)
        yield Propagated(0, annotated, sequence.frames[place], image, image, label, nowhere)
    for side in (1, -1):
        on_this_side = [side * offset for offset in wanted if side * offset > 0]
        for made in _one_way(frames, label, side, max(on_this_side, default=0), way):
            if made.offset in wanted:
                yield made


def reachable(sequence: Sequence, annotated: int, offsets: Iterable[int], way: Way) -> tuple[int, ...]:
    """Return those of the offsets that are reached before the sequence, or what a motion has to see of it, ends.

    Raises:
        DataError: A wanted neighbor is missing although the film goes on behind it.
    """
    offsets = tuple(offsets)
    _check_reach(sequence, annotated, offsets)
    place = sequence.numbers.index(annotated)

    def sees(offset: int) -> bool:
        if offset == 0:
            return True
        side = 1 if offset > 0 else -1
        seen = [place + offset]
        if way.motion.needs_before:
            seen += [place - side, *([place + offset + side] if way.check else [])]
        return all(0 <= index < len(sequence.frames) for index in seen)

    return tuple(offset for offset in offsets if sees(offset))


def _check_reach(sequence: Sequence, annotated: int, offsets: Iterable[int]) -> None:
    """Refuse to step over a hole in the numbering.

    Raises:
        DataError: A wanted neighbor is missing although the film goes on behind it.
    """
    wanted = [annotated + offset * sequence.step for offset in offsets]
    before, after = sequence.beyond
    first, last = sequence.numbers[0], sequence.numbers[-1]
    if after is not None and any(number > last for number in wanted):
        hole = last, after
    elif before is not None and any(number < first for number in wanted):
        hole = before, first
    else:
        return
    raise DataError(
        f"has no frames between the numbers {hole[0]} and {hole[1]}, which the neighbors of annotated frame"
        f" {annotated} are wanted from",
        where=sequence.frames[0].parent,
        remedy="restore the missing frames, or ask for fewer --frames",
    )


class _Frames:
    """The pictures of a sequence, read when they are needed.

    Args:
        sequence: The sequence.
        first: Index of the annotated frame, whose size the others must have.
    """

    def __init__(self, sequence: Sequence, first: int) -> None:
        self.sequence = sequence
        self.first = first
        self._read = lru_cache(_KEPT)(lambda index: read_image(sequence.frames[index]))
        self._size = self._read(first).shape

    def __call__(self, index: int) -> Picture:
        """Return a picture, uint8 ``[H, W, 3]``."""
        picture = self._read(index)
        if picture.shape != self._size:
            sizes = [f"{shape[1]}x{shape[0]}" for shape in (picture.shape, self._size)]
            raise DataError(
                f"is {sizes[0]} but {self.sequence.frames[self.first].name} of the same sequence is {sizes[1]}",
                where=self.sequence.frames[index],
                remedy="bring all frames of a sequence to one size",
            )
        return picture

    def step(self, before: int, source: int, target: int) -> Step:
        """Return three frames; the first may lie beyond the ends."""
        files = self.sequence.frames
        there = 0 <= before < len(files)
        return Step(
            self(before) if there else None,
            self(source),
            self(target),
            (files[before] if there else None, files[source], files[target]),
        )


def _one_way(frames: _Frames, label: Labels, side: int, steps: int, way: Way) -> Iterator[Propagated]:
    """Yield every neighbor on one side, from near to far."""
    place = frames.first
    image, hidden = frames(place), np.zeros(label.shape, dtype=np.bool_)
    for count in range(1, steps + 1):
        source, target = place + side * (count - 1), place + side * count
        step = frames.step(source - side, source, target)
        flow = way.motion(step)
        label = warped(label, flow, nearest=True)
        if way.mode == "joint":
            image = warped(image, flow, nearest=count > 1)
        if way.check:
            back = way.motion(frames.step(target + side, target, source))
            hidden = warped(hidden, flow, nearest=True) | occluded(flow, back)
            label[hidden] = way.ignore
        yield Propagated(
            side * count,
            frames.sequence.numbers[target],
            frames.sequence.frames[target],
            step.target,
            image if way.mode == "joint" else step.target,
            label,
            hidden,
        )
