"""Every fault of a submission, found without the benchmark's server."""

import bisect
import shutil
import tempfile
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from roadseg.errors import InputError
from roadseg.media.submissions.benchmark import Benchmark, Fault
from roadseg.media.submissions.expected import Expected
from roadseg.media.submissions.pictures import Census, check_png

__all__ = ["Check", "Progress", "check_names", "check_submission"]

Progress = Callable[[int, int], None]
"""Hears how many pictures of how many are done."""

MAX_BYTES = 2**28  # of one unpacked file: no label picture comes near, an archive made to fill disks does
_COLOR_ENDINGS = ("_color", "_colors", "_colour", "_rgb", "_overlay", "_blend")
_NAMED = 4  # files that a fault names


@dataclass(frozen=True)
class Check:
    """What was found out about a submission.

    Args:
        images: How many label pictures it has.
        split: The split that it is for, where its number of images tells; else None.
        faults: Everything that is wrong; nothing for a submission that can be sent.
    """

    images: int
    split: str | None
    faults: tuple[Fault, ...]


def check_submission(
    benchmark: Benchmark, path: str | Path, expected: Expected | None = None, progress: Progress | None = None
) -> Check:
    """Look for faults in an archive or a folder that is meant to be sent.

    Args:
        benchmark: Whose rules count.
        path: A ``.zip``, or a folder with what would go into one.
        expected: The frames that it must have; None checks their number only.
        progress: Hears how far the work is.

    Raises:
        InputError: There is no such archive or folder, or it cannot be read at all.
    """
    place = Path(path)
    with _opened(place) as files:
        faults = check_names(benchmark, files.names, expected)
        census = Census()
        # What is not to be sent at all needs no second fault for its pixels.
        outside = {fault.where for fault in faults}
        everything = {name for name in files.names if name.endswith(".png")}
        pictures = sorted(everything - outside)
        for count, name in enumerate(pictures, start=1):
            frame = benchmark.frame_of(name)
            size = expected.sizes.get(frame) if expected is not None and frame is not None else None
            faults.extend(files.check(benchmark, name, size, census))
            if progress is not None:
                progress(count, len(pictures))
        faults.extend(census.faults(benchmark, place.name))
    return Check(len(everything), _split_of(benchmark, len(everything)), tuple(faults))


def check_names(
    benchmark: Benchmark, names: Sequence[str], expected: Expected | None, *, packed: bool = True
) -> list[Fault]:
    """Return what is wrong with the names of the files of a submission.

    Args:
        benchmark: Whose rules count.
        names: Paths in the archive, with ``/`` between folders.
        expected: The frames that there must be; None checks their number only.
        packed: Whether these are the files to be sent; else those that such files are to be made from, whose names and
            folders do not matter beyond the frame that they tell.
    """
    faults = [Fault("several", name, "is there twice") for name, n in Counter(names).items() if n > 1]
    pictures: list[str] = []
    for name in sorted(set(names)):
        if not name.endswith(".png"):
            faults.append(Fault("unexpected", name, "is no .png file, and nothing else belongs here"))
        elif name.removesuffix(".png").lower().endswith(_COLOR_ENDINGS):
            faults.append(
                Fault("color", name, "is a color picture by its name; colors belong in a folder of their own")
            )
        elif packed and benchmark.flat and "/" in name:
            faults.append(Fault("name", name, "lies in a folder, but must lie at the top"))
        else:
            pictures.append(name)
    if expected is None:
        return faults + _own_frames(benchmark, pictures)
    return faults + _wanted_frames(benchmark, pictures, expected, packed)


def _wanted_frames(
    benchmark: Benchmark, pictures: Sequence[str], expected: Expected, packed: bool
) -> list[Fault]:
    """Return which frames have no file or several, and which files no frame, as the benchmark's tool sees them."""
    faults: list[Fault] = []
    taken: set[str] = set()
    find = _Finder(benchmark, pictures, packed)
    for frame in sorted(expected.sizes):
        found = find(frame)
        taken.update(found)
        if not found:
            faults.append(Fault("missing", frame, f"has no file, but is expected ({expected.origin})"))
        elif len(found) > 1:
            faults.append(_several(frame, found))
    return faults + [
        Fault("unexpected", name, f"is of no expected frame ({expected.origin})")
        for name in pictures
        if name not in taken
    ]


def _own_frames(benchmark: Benchmark, pictures: Sequence[str]) -> list[Fault]:
    """Return what is wrong where only the number of frames is known."""
    files: dict[str, list[str]] = defaultdict(list)
    faults: list[Fault] = []
    for name in pictures:
        frame = benchmark.frame_of(name)
        if frame is None:
            faults.append(
                Fault("name", name, f"is no name of a frame; {benchmark.file_of(_example(benchmark))} is one")
            )
        else:
            files[frame].append(name)
    faults.extend(_several(frame, found) for frame, found in sorted(files.items()) if len(found) > 1)
    if benchmark.counts and len(files) not in benchmark.counts.values():
        wanted = ", ".join(f"{split} has {count}" for split, count in benchmark.counts.items())
        faults.append(Fault("count", benchmark.name, f"{len(files)} frames were found, but {wanted}"))
    elif not files:
        faults.append(Fault("count", benchmark.name, "no frame was found"))
    return faults


class _Finder:
    """Finds the files of a frame as the benchmark's tool does, without looking at every file for every frame."""

    def __init__(self, benchmark: Benchmark, pictures: Sequence[str], packed: bool) -> None:
        self.benchmark = benchmark
        self.packed = packed
        self.bases = sorted((name.rpartition("/")[2], name) for name in pictures)
        self.by_frame: dict[str | None, list[str]] = defaultdict(list)
        for name in pictures:
            self.by_frame[benchmark.frame_of(name)].append(name)

    def __call__(self, frame: str) -> list[str]:
        if not self.packed:
            return self.by_frame.get(frame, [])
        first = bisect.bisect_left(self.bases, (frame, ""))
        candidates: list[str] = []
        for base, name in self.bases[first:]:
            if not base.startswith(frame):
                break
            candidates.append(name)
        return self.benchmark.found_for(frame, candidates)


class _Folder:
    """The files of a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names = [file.relative_to(path).as_posix() for file in sorted(path.rglob("*")) if file.is_file()]

    def check(
        self, benchmark: Benchmark, name: str, size: tuple[int, int] | None, census: Census
    ) -> list[Fault]:
        """Return what is wrong with one file."""
        return check_png(benchmark, self.path / name, name, size, census)


class _Archive:
    """The files of an archive; they are unpacked one at a time."""

    def __init__(self, archive: zipfile.ZipFile, scratch: Path) -> None:
        self.archive = archive
        self.scratch = scratch
        self.names = [item.filename for item in archive.infolist() if not item.is_dir()]

    def check(
        self, benchmark: Benchmark, name: str, size: tuple[int, int] | None, census: Census
    ) -> list[Fault]:
        """Return what is wrong with one file."""
        item = self.archive.getinfo(name)
        if item.file_size > MAX_BYTES:
            return [
                Fault("unreadable", name, f"unpacks to {item.file_size} bytes, more than any label picture")
            ]
        try:
            with self.archive.open(item) as source, self.scratch.open("wb") as copy:
                shutil.copyfileobj(source, copy)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            return [Fault("unreadable", name, f"is damaged in the archive ({error})")]
        except (RuntimeError, NotImplementedError) as error:  # encrypted, or packed in an unusual way
            return [Fault("unreadable", name, f"cannot be unpacked ({error})")]
        return check_png(benchmark, self.scratch, name, size, census)


@contextmanager
def _opened(path: Path) -> Iterator[_Folder | _Archive]:
    if path.is_dir():
        yield _Folder(path)
        return
    if not path.exists():
        raise InputError("does not exist", where=path, remedy="check the path")
    with tempfile.TemporaryDirectory(prefix="roadseg-") as folder:
        try:
            archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as error:
            raise InputError(
                f"is no zip archive that can be read ({error})", where=path, remedy="give a .zip or a folder"
            ) from error
        with archive:
            yield _Archive(archive, Path(folder) / "picture.png")


def _several(frame: str, found: Sequence[str]) -> Fault:
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return Fault("several", frame, f"has {len(found)} files: {', '.join(sorted(found)[:_NAMED])}{more}")


def _split_of(benchmark: Benchmark, images: int) -> str | None:
    return next((split for split, count in benchmark.counts.items() if count == images), None)


def _example(benchmark: Benchmark) -> str:
    return "berlin_000000_000019" if benchmark.by_beginning else "000000_10"
