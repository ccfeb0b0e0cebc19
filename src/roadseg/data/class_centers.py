"""Where in its images each class occurs: the places that class-uniform sampling cuts around.

Zhu et al., CVPR 2019, section 3.4: label maps are divided into tiles, and for every class in a tile, the center of mass
of its pixels is a place. Class and image are found again by it, not always a pixel of the class: a ring has its center
in the hole.
"""

import hashlib
import os
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from roadseg.data.records import Record
from roadseg.data.source import Source
from roadseg.data.statistics import Progress, each_label
from roadseg.errors import OutputError
from roadseg.labels import LabelSpace
from roadseg.media import atomic_path

__all__ = ["ClassCenters", "find_class_centers", "user_cache"]

FORMAT = 1  # of the cache; a change of it or of the algorithm makes old files stale


@dataclass(frozen=True, eq=False)
class ClassCenters:
    """Places of every class, by channel.

    Attributes:
        images: How many images were looked at; positions are below it.
        pixels: int64 ``[C]``: pixels of each class in all of them.
        starts: int64 ``[C + 1]``: the places of channel c are ``starts[c]`` to ``starts[c + 1] - 1``, ordered by image
            and, in an image, by tile, row by row.
        positions: int32 ``[N]``: the image of each place.
        xy: int32 ``[N, 2]``: its column and row, in pixels of the label file.
    """

    images: int
    pixels: NDArray[np.int64]
    starts: NDArray[np.int64]
    positions: NDArray[np.int32]
    xy: NDArray[np.int32]

    @property
    def counts(self) -> NDArray[np.int64]:
        """Places of each class, int64 ``[C]``."""
        return np.diff(self.starts)

    def of(self, channel: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return the positions ``[n]`` and places ``[n, 2]`` of one class."""
        part = slice(self.starts[channel], self.starts[channel + 1])
        return self.positions[part], self.xy[part]

    def followed_by(self, other: Self, channels: Sequence[int] | None = None) -> "ClassCenters":
        """Return these places and those of a data set whose images follow, as in `MixedDataset`.

        Args:
            other: Of the same classes.
            channels: The classes whose places and pixels are taken from it; None for all.
        """
        taken = range(len(self.pixels)) if channels is None else channels
        pixels, positions, xy = self.pixels.copy(), [], []
        for channel in range(len(pixels)):
            parts = [self.of(channel)]
            if channel in taken:
                pixels[channel] += other.pixels[channel]
                where, points = other.of(channel)
                parts.append((where + np.int32(self.images), points))
            positions.append(np.concatenate([part[0] for part in parts]))
            xy.append(np.concatenate([part[1] for part in parts]))
        starts = np.cumsum([0, *map(len, positions)])
        return ClassCenters(
            self.images + other.images, pixels, starts, np.concatenate(positions), np.concatenate(xy)
        )


class Found(NamedTuple):
    """What one label map holds: pixels ``[C]``, and the channels ``[n]`` and (x, y) ``[n, 2]`` of its places."""

    pixels: NDArray[np.int64]
    channels: NDArray[np.int64]
    xy: NDArray[np.int32]


def find_class_centers(
    source: Source,
    split: str,
    *,
    tile: int = 1024,
    whole_tiles_only: bool = False,
    workers: int = 0,
    cache: Path | Literal["user"] | None = "user",
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
) -> ClassCenters:
    """Return the places of every class in a split's label maps, as they are after relabeling.

    Sides are divided by ``tile``, rounding down; the last tile of a row or column takes what is left, and an image that
    is smaller than a tile is one, so images may have any size. Classes may be absent.

    Args:
        source: The data set.
        split: One split, or several joined by ``+``; positions are those of ``source.find(split)``.
        tile: Side of the tiles in pixels.
        whole_tiles_only: Leave out what is left beside whole tiles, as the published code does.
        workers: Processes that read label files, as for `each_label`.
        cache: Folder to keep the result in for the next time; "user" for `user_cache()`, None for nowhere. It is found
            anew when a label file, their list, the label map or an option has changed. Several processes may do so at
            once: whichever ends last replaces equal content.
        progress: Hears of every label read.
        note: Hears, in a sentence, of a cache that cannot be used.

    Raises:
        ValueError: The tile has no extent.
        InputError: The split does not exist, or a label cannot be read.
        LabelError: A label holds an id that its space does not know.
    """
    if tile < 1:
        raise ValueError(f"a tile has at least one pixel, not {tile}")
    records = source.find(split)
    folder = user_cache() if cache == "user" else cache
    find = partial(_find_in, channel_table(source.target), source.target.num_classes, tile, whole_tiles_only)
    if folder is None:
        return _collected(each_label(find, source, records, workers=workers, progress=progress))
    state = _state(source, records, tile, whole_tiles_only)
    path = (
        folder
        / "class-centers"
        / f"{source.name}-{_digest(str(source.root.resolve()), split, tile, whole_tiles_only)}.npz"
    )
    note = note or _ignored
    if (known := _load(path, state, note)) is not None:
        return known
    centers = _collected(each_label(find, source, records, workers=workers, progress=progress))
    _save(path, centers, state, note)
    return centers


def user_cache() -> Path:
    """Return the folder for what can be computed again: ``$XDG_CACHE_HOME/roadseg``, or ``~/.cache/roadseg``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "roadseg"


def channel_table(space: LabelSpace) -> NDArray[np.int64]:
    """Return the channel of every stored id; C for the ignore id and all that is no class."""
    table = np.full(np.iinfo(space.dtype).max + 1, space.num_classes)
    for channel, label in enumerate(space.ids):
        table[space.stored_id(label)] = channel
    table[space.stored_id(space.ignore)] = space.num_classes
    return table


def _find_in(
    table: NDArray[np.int64], classes: int, tile: int, whole_tiles_only: bool, ids: NDArray[Any]
) -> Found:
    """Return what one label map ``[H, W]`` holds.

    Label maps are long runs of equal ids: sums over a few thousand runs, cut at tile borders, are those over millions of
    pixels. All sums stay below 2**53, so they are exact in float64.
    """
    height, width = ids.shape
    begins = np.empty(ids.shape, bool)
    begins[:, 1:] = ids[:, 1:] != ids[:, :-1]
    begins[:, ::tile] = True
    first = np.flatnonzero(begins)
    length = np.diff(first, append=ids.size)
    y, x = np.divmod(first, width)
    channels = table[ids.ravel()[first]]
    pixels = np.bincount(channels, length, classes + 1)[:classes].astype(np.int64)

    down, across = height // tile, width // tile
    if whole_tiles_only:
        inside = (y < down * tile) & (x < across * tile)
        first, length, y, x, channels = (values[inside] for values in (first, length, y, x, channels))
    down, across = max(1, down), max(1, across)
    tiles = np.minimum(y // tile, down - 1) * across + np.minimum(x // tile, across - 1)
    key = tiles * (classes + 1) + channels
    area, sum_x, sum_y = (
        np.bincount(key, weights, down * across * (classes + 1)).astype(np.int64)
        for weights in (length, length * x + length * (length - 1) // 2, length * y)
    )
    present = np.flatnonzero(area)
    present = present[present % (classes + 1) < classes]
    xy = np.stack([sum_x[present] // area[present], sum_y[present] // area[present]], 1)
    return Found(pixels, present % (classes + 1), xy.astype(np.int32))


def _collected(found: Iterable[Found]) -> ClassCenters:
    each = list(found)
    positions = np.repeat(np.arange(len(each), dtype=np.int32), [len(one.channels) for one in each])
    channels = np.concatenate([one.channels for one in each])
    order = np.argsort(channels, kind="stable")
    pixels = np.sum([one.pixels for one in each], 0)
    starts = np.searchsorted(channels[order], np.arange(len(pixels) + 1))
    xy = np.concatenate([one.xy for one in each])
    return ClassCenters(len(each), pixels, starts.astype(np.int64), positions[order], xy[order])


def _state(source: Source, records: Sequence[Record], tile: int, whole_tiles_only: bool) -> str:
    """Return a digest of everything that the result depends on; files count by size and time of change."""
    files = []
    for record in records:
        if record.label is None:
            continue
        known = record.label.stat()
        files.append((os.path.relpath(record.label, source.root), known.st_size, known.st_mtime_ns))
    spaces = (source.stored.fingerprint, source.target.fingerprint, source.label_map.table)
    decoding = (source.colored, source.palette_colored, source.refine)
    return _digest(FORMAT, tile, whole_tiles_only, spaces, decoding, files)


def _digest(*parts: object) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=12).hexdigest()


def _load(path: Path, state: str, note: Callable[[str], None]) -> ClassCenters | None:
    """Return what is kept in a file, or None where it is missing, of another state or damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            if str(kept["state"]) != state:
                return None
            return ClassCenters(
                int(kept["images"]), kept["pixels"], kept["starts"], kept["positions"], kept["xy"]
            )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error) as error:
        note(f"{path} is damaged ({error}); the places of the classes are looked for again")
        return None


def _save(path: Path, centers: ClassCenters, state: str, note: Callable[[str], None]) -> None:
    try:
        with atomic_path(path) as temporary:
            np.savez_compressed(
                temporary,
                state=np.array(state),
                images=np.array(centers.images),
                pixels=centers.pixels,
                starts=centers.starts,
                positions=centers.positions,
                xy=centers.xy,
            )
    except OutputError as error:
        note(f"the places of the classes are not kept: {error}")


def _ignored(_text: str) -> None:
    """Take no notice."""
