"""Three consecutive frames of a video at a time: what a network learns to predict the next frame from."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from roadseg.data.dataset import Draw
from roadseg.data.sequences import CLIPS, IMAGES, SEQUENCE, split_runs
from roadseg.data.sequences import Sequence as Frames
from roadseg.data.source import list_images
from roadseg.data.stages import Stopwatch
from roadseg.errors import DataError
from roadseg.media import read_image
from roadseg.media.find import walk_visible

__all__ = ["FlowBetween", "Triplet", "Triplets", "find_videos"]

_MIRRORED = np.array([-1, 1], dtype=np.float32)

Picture = npt.NDArray[np.uint8]

FlowBetween = Callable[[Picture, Picture], npt.NDArray[np.float32]]
"""Returns where the pixels of the first picture, uint8 ``[H, W, 3]``, lie in the second: float32 ``[H, W, 2]``."""


class Triplet(NamedTuple):
    """Three consecutive frames.

    Attributes:
        frames: uint8 ``[3, 3, H, W]``, time and RGB (``[B, 3, 3, H, W]`` once collated).
        flows: float32 ``[n, 2, H, W]``, backward flow in pixels, x before y: from the second frame to the first, then,
            where there are two, from the third to the second.
        key: Name of the sequence and number of the third frame, for example ``city_000000/000002``.
    """

    frames: torch.Tensor
    flows: torch.Tensor
    key: str


class Triplets(Dataset[Triplet]):
    """All triplets of some sequences.

    Args:
        sequences: Those with fewer than three frames give none.
        crop: Height and width of random crops; None for whole frames.
        flip: Probability of a mirrored triplet.
        reverse: Probability of a triplet played backward.
        flow_between: Computes the flow of the whole frames; None gives none.
        flows: How many flows a triplet has.

    Raises:
        DataError: There is no triplet.
    """

    def __init__(
        self,
        sequences: Sequence[Frames],
        *,
        crop: tuple[int, int] | None = None,
        flip: float = 0.0,
        reverse: float = 0.0,
        flow_between: FlowBetween | None = None,
        flows: int = 1,
    ) -> None:
        self.sequences = tuple(each for each in sequences if len(each.frames) >= 3)
        self.starts = tuple(accumulate((len(each.frames) - 2 for each in self.sequences), initial=0))
        if not len(self):
            raise DataError(
                f"none of {len(sequences)} sequences has three consecutive frames",
                remedy="give videos as folders of numbered frames without gaps",
            )
        self.crop = crop
        self.flip = flip
        self.reverse = reverse
        self.flow_between = flow_between
        self.flows = flows

    def __len__(self) -> int:
        return self.starts[-1]

    def __getitem__(self, item: int | Draw) -> Triplet:
        """Return a triplet; with a `Draw`, changed at random as its seed says, else whole and as it is."""
        return self.load(item, Stopwatch())

    def load(self, item: int | Draw, watch: Stopwatch) -> Triplet:
        """Return a triplet as `__getitem__` does, and count the time of its stages.

        Raises:
            ImageError: A frame cannot be decoded.
            DataError: The frames differ in size, or are smaller than the crop.
        """
        sequence, first = self._place(item.position if isinstance(item, Draw) else item)
        paths = sequence.frames[first : first + 3]
        frames = [read_image(path) for path in paths]
        for path, frame in zip(paths[1:], frames[1:], strict=True):
            if frame.shape != frames[0].shape:
                raise DataError(
                    f"is {_size(frame)}, but {paths[0].name} before it is {_size(frames[0])}",
                    where=path,
                    remedy="frames of a sequence need one size: resize them, or part the sequence",
                )
        watch.lap("decode")
        chance = None
        if isinstance(item, Draw):
            chance = torch.rand(4, generator=torch.Generator().manual_seed(item.seed)).tolist()
            if chance[0] < self.reverse:
                frames.reverse()
        fields = self._fields(frames)
        pictures = np.stack(frames)
        if chance is not None:
            if chance[1] < self.flip:
                pictures, fields = pictures[:, :, ::-1], fields[:, :, ::-1] * _MIRRORED
            window = self._window((chance[2], chance[3]), pictures.shape[1:3], str(paths[0]))
            pictures, fields = pictures[:, *window], fields[:, *window]
        watch.lap("transform")
        key = f"{sequence.name}/{sequence.numbers[first + 2]:06d}"
        return Triplet(_tensor(pictures), _tensor(fields), key)

    def _place(self, position: int) -> tuple[Frames, int]:
        if not 0 <= position < len(self):
            raise IndexError(f"position {position} of {len(self)}")
        member = bisect_right(self.starts, position) - 1
        return self.sequences[member], position - self.starts[member]

    def _fields(self, frames: Sequence[Picture]) -> npt.NDArray[np.float32]:
        """Return the flows, ``[n, H, W, 2]``; none without anything that computes them."""
        if self.flow_between is None:
            return np.zeros((0, *frames[0].shape[:2], 2), dtype=np.float32)
        return np.stack([self.flow_between(frames[i + 1], frames[i]) for i in range(self.flows)])

    def _window(self, chance: tuple[float, float], size: tuple[int, ...], where: str) -> tuple[slice, slice]:
        if self.crop is None:
            return slice(None), slice(None)
        if any(side < part for side, part in zip(size, self.crop, strict=True)):
            raise DataError(
                f"is {size[1]}x{size[0]}, smaller than crops of {self.crop[1]}x{self.crop[0]}",
                where=where,
                remedy="choose a smaller --crop",
            )
        top, left = (
            int(share * (side - part + 1)) for share, side, part in zip(chance, size, self.crop, strict=True)
        )
        return slice(top, top + self.crop[0]), slice(left, left + self.crop[1])


def find_videos(root: str | Path, split: str) -> tuple[Frames, ...]:
    """Find the sequences of a split, with or without labels.

    Args:
        root: A folder that holds ``leftImg8bit_sequence/SPLIT`` (Cityscapes), ``sequences/SPLIT`` (rendered streets) or
            ``SPLIT``, with numbered frames in it or in folders below it.
        split: Name of the split; ``.`` takes the folder as it is.

    Raises:
        DataError: There is no such split, a folder cannot be read, or a file has no number in its name.
    """
    folder = Path(root).expanduser()
    rendered = folder / CLIPS / split
    places = [folder / SEQUENCE / split, rendered, folder / split]
    base = next((place for place in places if place.is_dir()), None)
    if base is None:
        raise DataError(
            f"has no videos of split {split!r}",
            where=folder,
            remedy=f"put frames into {folder / split}, or name another --data.train and --data.val; . is the folder itself",
        )
    parts = sorted(place for place, _ in walk_visible(base, DataError))
    if base == rendered:  # beside the frames are pictures of their labels
        parts = [part for part in parts if part.name == IMAGES]
    found: list[Frames] = []
    for part in parts:
        name = part.relative_to(base).as_posix()
        found += split_runs(list_images(part), {}, "" if name == "." else name)
    return tuple(found)


def _tensor(pictures: npt.NDArray[np.generic]) -> torch.Tensor:
    """Return ``[n, H, W, C]`` as a tensor ``[n, C, H, W]``."""
    return torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)))


def _size(frame: Picture) -> str:
    return f"{frame.shape[1]}x{frame.shape[0]}"
