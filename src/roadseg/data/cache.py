"""Images decoded once: a folder with one file of pixels and labels per image, mapped into memory where they are needed.

A picture of 1024x2048 pixels and its labels take 50 ms to decode and 1 ms to map. The files are in the safetensors
format: ``pixels`` uint8 ``[H, W, 3]`` and ``mask`` ``[H, W]`` in the ids that networks are trained with (before
``Source.refine``). Each says which state of the image and label file it was made from, and the checksum of what it holds;
the folder says in which label space, which all data sets in it share. Each is written under a temporary name and renamed,
so a build may be interrupted at any time and goes on when it is repeated, and processes may read while others build. All
processes on a machine share one copy in memory, which the system drops and reads again as it needs.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from roadseg.data.decoding import as_sample, read_pair
from roadseg.data.records import Record, Sample
from roadseg.data.source import Source
from roadseg.data.workers import choose_context, most_workers, prepare_worker
from roadseg.errors import DataError, OutputError
from roadseg.media import image_size, write_bytes, write_json
from roadseg.media.writing import free_disk

__all__ = ["Built", "Cache", "State", "build_cache", "remove_cache"]

MARK = "cache.json"
ENTRIES = "entries"
SUFFIX = ".safetensors"
ABOUT = "roadseg"  # the key of what an entry says about itself
VERSION = 1
HEADER = 1024  # bytes of a file beside its pixels, about
_AGAIN = "`roadseg data cache` makes it again"


class State(Enum):
    """What is known about an entry without reading all of it."""

    SOUND = "sound"
    MISSING = "is missing"
    STALE = "is older than the image or label it was made from"
    DAMAGED = "is damaged"


@dataclass(frozen=True)
class Built:
    """What `build_cache` did.

    Attributes:
        folder: The cache.
        made: Images decoded now.
        kept: Images that were there already.
        remade: Files of the made ones that were there, but damaged or out of date.
        bytes: Size of the entries of the split.
    """

    folder: Path
    made: int
    kept: int
    remade: tuple[Path, ...]
    bytes: int


class Cache:
    """Reads decoded images; a value, so that loader processes can receive it.

    Args:
        folder: The cache.
        source: The data set whose images it holds.

    Raises:
        DataError: The folder is no cache, or one of another label space.
    """

    def __init__(self, folder: str | Path, source: Source) -> None:
        self.folder = Path(folder)
        self.root = source.root if source.root.is_dir() else source.root.parent
        native = source.native or source  # what is cached serves every label space that it is translated to
        self.labels = _fingerprint(native)
        self.translation = source.translation
        self.refine = source.refine
        facts = _read_mark(self.folder)
        if facts is None:
            raise DataError("is not a cache", where=self.folder, remedy="make one with `roadseg data cache`")
        if facts["fingerprint"] != native.target.fingerprint:
            raise DataError(
                f"holds labels in {facts.get('space')}, but those of {source.root} are in {native.target.name}",
                where=self.folder,
                remedy="make a cache of its own for them: `roadseg data cache` with another folder",
            )

    def path(self, record: Record) -> Path:
        """Return the file of an image: its name for people, and a hash of what it is made from and how."""
        parts = [
            self.labels,
            self.root.resolve().name,
            self._inside(record.image),
            self._inside(record.label),
        ]
        digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
        return self.folder / ENTRIES / f"{record.image.stem[:100]}-{digest}{SUFFIX}"

    def _inside(self, path: Path | None) -> str:
        """Return a path within the data set, which may move as a whole."""
        found = path or Path()
        return (
            found.relative_to(self.root) if found.is_relative_to(self.root) else found.absolute()
        ).as_posix()

    def state(self, record: Record) -> State:
        """Return whether the entry of an image can be used; its header and size are read, not its pixels."""
        path = self.path(record)
        if not path.exists():
            return State.MISSING
        try:
            with _opened(path) as entry:
                made_from = _facts(entry)["made_from"]
        except DataError:
            return State.DAMAGED
        return State.SOUND if made_from == _made_from(record) else State.STALE

    def check(self, records: Sequence[Record], split: str) -> None:
        """Check that all images can be read.

        Raises:
            DataError: Some are missing, older than their files, or damaged.
        """
        states = [self.state(record) for record in records]
        bad = [index for index, state in enumerate(states) if state is not State.SOUND]
        if bad:
            first = bad[0]
            raise DataError(
                f"lacks {len(bad)} of {len(records)} images of split {split!r} of {self.root}; for example"
                f" {self.path(records[first])}, of {records[first].image}, {states[first].value}",
                where=self.folder,
                remedy=_AGAIN,
            )

    def read(self, record: Record) -> Sample:
        """Return an image without decoding it.

        Returns:
            Views of the file, mapped into memory: the image lies as ``[H, W, 3]`` there, only what is touched is read
            from the disk, and what is written to them never reaches the file.

        Raises:
            DataError: The entry is missing or damaged.
        """
        with _opened(self.path(record)) as entry:
            pixels, mask = entry.get_tensor("pixels"), entry.get_tensor("mask")
        if self.translation is not None:
            mask = torch.from_numpy(self.translation.relabel(mask.numpy(), str(record.label)))
        if self.refine is not None:
            mask = torch.from_numpy(self.refine(record, mask.numpy()))
        return as_sample(pixels, mask, record.key)

    def is_intact(self, record: Record) -> bool:
        """Return whether the pixels of an image are those that were written, by their checksum."""
        try:
            with _opened(self.path(record), framework="numpy") as entry:
                pixels, mask = entry.get_tensor("pixels"), entry.get_tensor("mask")
                return _facts(entry)["sha256"] == _checksum(pixels, mask)
        except DataError:
            return False

    def write(self, record: Record, source: Source) -> None:
        """Decode an image and write its entry.

        Raises:
            ImageError: A file cannot be decoded.
            LabelError: The mask holds an id that its space does not know.
            DataError: Image and mask differ in size.
            OutputError: The entry cannot be written.
        """
        made_from = _made_from(record)  # before they are read: a change meanwhile makes the entry stale
        pixels, mask = read_pair(source.native or source, record)
        facts = {"key": record.key, "made_from": made_from, "sha256": _checksum(pixels, mask)}
        # One text: safetensors writes several in any order, and the same image should give the same bytes.
        content = save({"pixels": pixels, "mask": mask}, metadata={ABOUT: json.dumps(facts)})
        write_bytes(self.path(record), content)


def build_cache(
    source: Source,
    split: str,
    folder: str | Path,
    *,
    workers: int | None = None,
    verify: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Built:
    """Decode the images of a split into a cache; those that are there already are kept.

    Args:
        source: The data set.
        split: Its split, for example ``train+val``.
        folder: The cache: a new or empty folder, or a cache of the same label space, perhaps of other data sets.
        workers: Processes that decode; 0 decodes in this one, None takes one per processor, at most 8.
        verify: Read what is kept too, and make anew what does not match its checksum.
        progress: Called with (images done, images to do).

    Raises:
        InputError: An image or label cannot be read; all others that were made remain.
        LabelError: A mask holds an id that its space does not know.
        OutputError: The folder holds something else, or the disk is too small.
    """
    records = source.find(split)
    if unlabeled := [record for record in records if record.label is None]:
        raise DataError(
            "has no label file", where=unlabeled[0].image, remedy="cache only splits that are labeled"
        )
    cache = _prepare(Path(folder), source)
    states = [cache.state(record) for record in records]
    sizes = [_entry_bytes(source, record) for record in records]
    todo = [index for index, state in enumerate(states) if verify or state is not State.SOUND]
    _check_room(cache.folder, sum(sizes[index] for index in todo if states[index] is not State.SOUND))
    made = []
    job = partial(_make, cache, source)
    jobs = [(records[index], verify and states[index] is State.SOUND) for index in todo]
    for done, (position, was_made) in enumerate(_run(job, jobs, workers), start=1):
        if was_made:
            made.append(todo[position])
        if progress is not None:
            progress(done, len(todo))
    remade = tuple(cache.path(records[index]) for index in sorted(made) if states[index] is not State.MISSING)
    return Built(cache.folder, len(made), len(records) - len(made), remade, sum(sizes))


def remove_cache(folder: str | Path) -> tuple[int, int]:
    """Delete a cache; files that are not part of it stay.

    Returns:
        Number and bytes of the entries that were deleted.

    Raises:
        DataError: The folder is no cache.
        OutputError: A file cannot be deleted.
    """
    folder = Path(folder)
    if _read_mark(folder) is None:
        raise DataError(
            "is not a cache and stays as it is",
            where=folder,
            remedy=f"a cache holds a {MARK}: check the path",
        )
    # Hidden names: what a build that was killed left behind.
    entries = [*(folder / ENTRIES).glob(f"*{SUFFIX}"), *(folder / ENTRIES).glob(f".*{SUFFIX}")]
    freed = 0
    try:
        for path in dict.fromkeys(entries):
            freed += path.stat().st_size
            path.unlink()
        (folder / MARK).unlink()  # last, so that a removal that was interrupted can be repeated
    except OSError as error:
        raise OutputError(
            f"cannot be deleted ({error.strerror or error})", where=folder, remedy="change its permissions"
        ) from error
    for empty in (folder / ENTRIES, folder):
        with suppress(OSError):
            empty.rmdir()
    return len(set(entries)), freed


def _make(cache: Cache, source: Source, record: Record, verify: bool) -> bool:
    """Make an entry, or with `verify` only where it is not intact; return whether it was made."""
    if verify and cache.is_intact(record):
        return False
    cache.write(record, source)
    return True


def _run(
    job: Callable[[Record, bool], bool], jobs: Sequence[tuple[Record, bool]], workers: int | None
) -> Iterator[tuple[int, bool]]:
    """Yield the position and the result of every job, as they end."""
    workers = min(len(jobs), most_workers() if workers is None else workers)
    if workers < 1:
        yield from ((position, job(*arguments)) for position, arguments in enumerate(jobs))
        return
    pool = ProcessPoolExecutor(workers, mp_context=choose_context("spawn"), initializer=prepare_worker)
    try:
        futures = {pool.submit(job, *arguments): position for position, arguments in enumerate(jobs)}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool as error:
        raise OutputError(
            "a process that decodes was killed, probably because memory ran out",
            remedy="go on with the same command and fewer --workers",
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _prepare(folder: Path, source: Source) -> Cache:
    """Make a folder a cache, unless it is one already."""
    try:
        occupied = folder.is_dir() and any(folder.iterdir())
    except OSError as error:
        raise OutputError(
            f"cannot be read ({error.strerror})", where=folder, remedy="choose another folder"
        ) from error
    if _read_mark(folder) is None:
        if occupied:
            raise OutputError("holds other files", where=folder, remedy="choose an empty or new folder")
        space = (source.native or source).target
        write_json(folder / MARK, {"version": VERSION, "space": space.name, "fingerprint": space.fingerprint})
    return Cache(folder, source)


def _read_mark(folder: Path) -> dict[str, Any] | None:
    """Return what a cache says about itself; None where there is none."""
    mark = folder / MARK
    try:
        facts = json.loads(mark.read_text(encoding="utf-8"))
        if facts["version"] == VERSION and isinstance(facts["fingerprint"], str):
            return dict(facts)
        what = f"is of version {facts['version']}, not {VERSION}"
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, LookupError, TypeError):
        what = "is damaged"
    raise DataError(what, where=mark, remedy=f"remove the folder {folder} and build the cache again")


def _fingerprint(source: Source) -> str:
    """Return a hash of everything that a mask in target ids depends on beside its file."""
    spaces = [source.stored.fingerprint, source.target.fingerprint]
    how = [spaces, source.label_map.table, source.colored, source.palette_colored]
    return hashlib.sha256(json.dumps(how).encode()).hexdigest()[:16]


def _made_from(record: Record) -> str:
    """Return the sizes and times of a record's files."""
    found = []
    for path in (record.image, record.label):
        try:
            stat = Path(path or "").stat()
        except OSError as error:
            raise DataError(
                f"cannot be read ({error.strerror})", where=path, remedy="check the path"
            ) from error
        found.append(f"{stat.st_size} {stat.st_mtime_ns}")
    return ", ".join(found)


def _checksum(pixels: npt.NDArray[Any], mask: npt.NDArray[Any]) -> str:
    digest = hashlib.sha256(f"{pixels.shape} {mask.dtype}".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    digest.update(np.ascontiguousarray(mask).data)
    return digest.hexdigest()


def _entry_bytes(source: Source, record: Record) -> int:
    height, width = image_size(record.image)
    return height * width * (3 + source.target.dtype.itemsize) + HEADER


def _check_room(folder: Path, needed: int) -> None:
    free = free_disk(folder)
    if needed > free:
        raise OutputError(
            f"the cache needs {needed / 1e9:.2f} GB, but {free / 1e9:.2f} GB are free",
            where=folder,
            remedy="free some space or choose a folder on another disk",
        )


@contextmanager
def _opened(path: Path, framework: str = "pt") -> Iterator[Any]:
    """Open an entry; its size is compared with what its header promises."""
    try:
        with safe_open(path, framework=framework) as entry:
            yield entry
    except FileNotFoundError as error:
        raise DataError("is missing from the cache", where=path, remedy=_AGAIN) from error
    except (OSError, SafetensorError) as error:
        raise DataError(f"is damaged ({error})", where=path, remedy=_AGAIN) from error


def _facts(entry: Any) -> dict[str, str]:  # noqa: ANN401 - safetensors has no types
    """Return what an entry says about itself."""
    try:
        facts = json.loads(entry.metadata()[ABOUT])
        return {name: str(facts[name]) for name in ("key", "made_from", "sha256")}
    except (KeyError, TypeError, ValueError) as error:
        raise DataError("is damaged (it is no entry of a cache)", remedy=_AGAIN) from error
