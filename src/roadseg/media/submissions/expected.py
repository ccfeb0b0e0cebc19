"""Which frames a submission must have."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from roadseg.errors import InputError
from roadseg.media.find import find_images
from roadseg.media.images import image_size
from roadseg.media.submissions.benchmark import Benchmark

__all__ = ["Expected", "expected_frames"]

_LIST_SUFFIX = ".txt"


@dataclass(frozen=True)
class Expected:
    """The frames that a submission must have.

    Args:
        sizes: Height and width of each frame; None where they are not known.
        origin: How they are known, in words.
    """

    sizes: Mapping[str, tuple[int, int] | None]
    origin: str


def expected_frames(benchmark: Benchmark, given: str | Path | None = None) -> Expected | None:
    """Find out which frames a submission must have.

    Args:
        benchmark: The benchmark.
        given: A folder of its images (or of labels), searched with all subfolders; or a ``.txt`` list with a name or a
            path per line, of which what follows a tab does not count. Paths are relative to the list or to the working
            folder. By default what is built in for the benchmark.

    Returns:
        The frames, with sizes where the images are there; None where only the number of images is known.

    Raises:
        InputError: What was given does not exist, cannot be read, or names no frame of the benchmark.
    """
    if given is None:
        return Expected(dict.fromkeys(benchmark.frames), "the list built in") if benchmark.frames else None
    path = Path(given)
    is_list = path.is_file() and path.suffix.lower() == _LIST_SUFFIX
    if not is_list and not path.is_dir():
        what = "is no folder and no .txt list" if path.exists() else "does not exist"
        raise InputError(
            what, where=path, remedy="give the folder of the test images, or a list of their names"
        )
    sizes: dict[str, tuple[int, int] | None] = {}
    for name, file in _listed(path) if is_list else _contained(path):
        frame = benchmark.frame_of(name)
        # A frame may come several times: its image, and several kinds of labels.
        if frame is not None and sizes.get(frame) is None:
            sizes[frame] = None if file is None else image_size(file)
    if not sizes:
        raise InputError(
            f"names no frame of {benchmark.name}",
            where=path,
            remedy="give the folder of the benchmark's test images",
        )
    return Expected(dict(sorted(sizes.items())), str(path))


def _contained(folder: Path) -> Iterator[tuple[str, Path | None]]:
    for image in find_images(folder):
        yield image.path.name, image.path


def _listed(path: Path) -> Iterator[tuple[str, Path | None]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "cannot be read as a list", where=path, remedy="write one name per line as UTF-8 text"
        ) from error
    for line in lines:
        entry = line.partition("\t")[0].strip()
        if entry and not entry.startswith("#"):
            beside = path.parent / entry
            yield entry, next((file for file in (beside, Path(entry)) if file.is_file()), None)
