"""Writing a submission: one archive, the same bytes every time, or nothing at all."""

import hashlib
import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from roadseg.errors import ImageError, LabelError
from roadseg.labels import LabelMap
from roadseg.media.images import read_mask
from roadseg.media.submissions.benchmark import Benchmark, Fault
from roadseg.media.submissions.checking import Check, Progress, check_names, check_submission
from roadseg.media.submissions.expected import Expected
from roadseg.media.submissions.pictures import Census, check_mask, check_size
from roadseg.media.writing import atomic_path

__all__ = ["Submission", "write_submission"]

_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that zip can say: the same archive every time
_MODE = 0o644 << 16
_UNIX = 3
_LEVEL = 6  # of PNG; label pictures gain nothing from more


@dataclass(frozen=True)
class Submission:
    """What became of predictions.

    Args:
        path: The archive; None where it was refused, and then nothing was written.
        check: What is in it, and what is wrong.
        sha256: Of the archive, in hexadecimal digits.
    """

    path: Path | None
    check: Check
    sha256: str | None = None


class _RefusedError(Exception):
    """Leaves the block of `atomic_path`, so that nothing is left behind."""


def write_submission(
    benchmark: Benchmark,
    files: Sequence[Path],
    translation: LabelMap,
    out: str | Path,
    *,
    folder: str | Path = ".",
    expected: Expected | None = None,
    progress: Progress | None = None,
) -> Submission:
    """Translate predictions to official ids and pack them.

    Pictures pass through one at a time. The finished archive is looked at as `check_submission` does before it gets its
    name.

    Args:
        benchmark: Whose rules count.
        files: Label pictures, 8 or 16 bits, their names those of the images.
        translation: From their label space to the official one.
        out: The archive to write.
        folder: What the files are named below in faults.
        expected: The frames that there must be; None checks their number only.
        progress: Hears how far the work is, twice over all pictures: packing, and checking.

    Raises:
        OutputError: The archive cannot be written.
    """
    named = {_below(path, Path(folder)): path for path in files}
    faults = check_names(benchmark, list(named), expected, packed=False)
    wanted = _chosen(benchmark, named, faults)
    target = Path(out)
    check = Check(len(wanted), None, ())
    with suppress(_RefusedError), atomic_path(target) as temporary:
        job = _Job(benchmark, translation, expected, faults)
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            for count, (name, data) in enumerate(job.pictures(wanted), start=1):
                if data is not None:
                    archive.writestr(_entry(name), data)
                if progress is not None:
                    progress(count, 2 * len(wanted))
        if not faults:
            check = check_submission(benchmark, temporary, expected, _second_half(progress))
            faults.extend(check.faults)
        check = Check(
            len(wanted), check.split, tuple(_named_after(fault, temporary, target) for fault in faults)
        )
        if faults:
            raise _RefusedError
        digest = _sha256(temporary)
    return Submission(None, check) if check.faults else Submission(target, check, digest)


class _Job:
    """Turns predictions into the files of an archive."""

    def __init__(
        self, benchmark: Benchmark, translation: LabelMap, expected: Expected | None, faults: list[Fault]
    ) -> None:
        self.benchmark = benchmark
        self.translation = translation
        self.sizes: Mapping[str, tuple[int, int] | None] = {} if expected is None else expected.sizes
        self.faults = faults

    def pictures(self, wanted: Mapping[str, tuple[str, Path]]) -> Iterator[tuple[str, bytes | None]]:
        """Yield name and bytes of every file; None for bytes from the first fault on, which are not needed any more."""
        census = Census()
        for frame, (name, path) in wanted.items():
            mask = self._translated(name, path)
            if mask is not None:
                self.faults += check_size(
                    self.benchmark, name, (mask.shape[0], mask.shape[1]), self.sizes.get(frame)
                )
                self.faults += check_mask(self.benchmark, mask, name, census)
            yield self.benchmark.file_of(frame), None if self.faults or mask is None else _encoded(mask)

    def _translated(self, name: str, path: Path) -> npt.NDArray[np.uint8] | None:
        try:
            mask: npt.NDArray[Any] = read_mask(path)
            if mask.ndim != 2:
                self.faults.append(Fault("color", name, "is a color picture; label ids are wanted"))
                return None
            return self.translation.relabel(mask, where=name).astype(np.uint8, copy=False)
        except ImageError as error:
            self.faults.append(Fault("unreadable", name, error.what))
        except LabelError as error:
            self.faults.append(Fault("ids", name, error.what))
        return None


def _chosen(
    benchmark: Benchmark, named: Mapping[str, Path], faults: Sequence[Fault]
) -> dict[str, tuple[str, Path]]:
    """Return name and path of the file of each frame, without those that are not wanted by their names."""
    outside = {fault.where for fault in faults}
    chosen: dict[str, tuple[str, Path]] = {}
    for name in sorted(named):
        frame = benchmark.frame_of(name)
        if frame is not None and name not in outside:
            chosen.setdefault(frame, (name, named[name]))
    return dict(sorted(chosen.items()))


def _encoded(mask: npt.NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(mask)).save(buffer, "PNG", compress_level=_LEVEL)
    return buffer.getvalue()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.external_attr = _MODE
    entry.create_system = _UNIX
    return entry


def _second_half(progress: Progress | None) -> Progress | None:
    return None if progress is None else lambda done, total: progress(total + done, 2 * total)


def _named_after(fault: Fault, temporary: Path, target: Path) -> Fault:
    return Fault(fault.kind, target.name, fault.what) if fault.where == temporary.name else fault


def _below(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
