"""From what a user names (files, folders, patterns, lists) to image files, each with a name for its results."""

import os
import re
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from glob import glob, has_magic
from pathlib import Path

from roadseg.errors import InputError
from roadseg.media.images import IMAGE_SUFFIXES

__all__ = ["FoundImage", "find_images", "walk_visible"]

_LIST_SUFFIX = ".txt"
_STANDARD_INPUT = "-"
_LOOKED_FOR = f"looked for {', '.join(IMAGE_SUFFIXES)}"


@dataclass(frozen=True)
class FoundImage:
    """An image file, and what to call its results.

    Args:
        path: The file.
        key: Name that no other image of the same search has, with ``/`` between folders and without a suffix.
    """

    path: Path
    key: str


def find_images(inputs: str | Path | Sequence[str | Path]) -> list[FoundImage]:
    """Find image files.

    Each input is one of

    - an image file; its key is its stem,
    - a folder, searched with all its subfolders in natural order (``2.png`` before ``10.png``), hidden names and
      ``__MACOSX`` left out; keys are paths below it, so that results can mirror the tree,
    - a pattern such as ``drive/*/left_*.png`` (``**`` stands for any folders); keys are paths below its fixed part,
    - a list file ``.txt`` with one of the above per line, relative to the list file or to the working folder; empty
      lines and lines that start with ``#`` do not count,
    - ``-`` for such a list on standard input, or for paths with a zero byte after each (``find -print0``).

    A file that is named twice is found once. Where keys would coincide, even if only in upper and lower case or in how
    accents are encoded, which some file systems do not tell apart, the suffix is added (``x_jpg`` and ``x_png``) or else as many parent folders as it takes (``a/1`` and ``b/1``).

    Args:
        inputs: One or several of these.

    Returns:
        At least one image, in the order of the inputs; all keys differ.

    Raises:
        InputError: An input does not exist, is no image, or holds none.
    """
    named = [inputs] if isinstance(inputs, str | Path) else list(inputs)
    if not named:
        raise InputError("no images were given", remedy="name image files, folders, patterns or a .txt list")
    found: dict[str, FoundImage] = {}
    for item in named:
        for image in _search(item):
            found.setdefault(os.path.abspath(image.path), image)  # noqa: PTH100 (Path.absolute keeps "..")
    return _with_own_keys(list(found.values()))


def _search(item: str | Path) -> list[FoundImage]:
    if item == _STANDARD_INPUT:
        return _read_standard_input()
    path = Path(item)
    if path.is_file() and path.suffix.lower() == _LIST_SUFFIX:
        return _read_list(path)
    return _search_one(item)


def _search_one(item: str | Path) -> list[FoundImage]:
    """Find the images of an input that is no list file."""
    path = Path(item)
    if path.is_dir():
        images = list(_walk(path, path))
        if not images:
            raise InputError("holds no images", where=path, remedy=f"{_LOOKED_FOR} in it and its subfolders")
        return images
    if path.exists():
        if path.suffix and not _is_image(path):
            raise InputError(f"is no image file by its suffix {path.suffix}", where=path, remedy=_LOOKED_FOR)
        return [FoundImage(path, path.stem)]
    if has_magic(str(item)):
        return _match(str(item))
    if "://" in str(item):
        raise InputError("is an address, not a file", where=str(item), remedy="download it first")
    raise InputError("does not exist", where=path, remedy="check the path")


def walk_visible(folder: Path, kind: type[InputError] = InputError) -> Iterator[tuple[Path, list[str]]]:
    """Yield a folder and all below it, each with the names of its files; hidden ones and ``__MACOSX`` are left out.

    Linked folders are entered, but none twice.

    Args:
        folder: Where to start; its own name may be hidden.
        kind: The error to raise.

    Raises:
        InputError: A folder cannot be read.
    """

    def fail(error: OSError) -> None:
        reason = error.strerror or str(error)
        raise kind(
            f"cannot be searched: {reason}", where=error.filename or folder, remedy="check its permissions"
        ) from error

    seen: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True, onerror=fail):
        real = os.path.realpath(place)
        # Emptied in place: this is how os.walk is told where not to go.
        folders[:] = [] if real in seen else sorted(name for name in folders if _is_visible(name))
        if real not in seen:
            yield Path(place), [name for name in names if _is_visible(name)]
        seen.add(real)


def _walk(folder: Path, base: Path) -> Iterator[FoundImage]:
    """Yield the images below a folder."""
    paths = [place / name for place, names in walk_visible(folder) for name in names if _is_image(Path(name))]
    for path in sorted(paths, key=lambda path: _natural(path.relative_to(folder))):
        yield FoundImage(path, _key_below(path, base))


def _match(pattern: str) -> list[FoundImage]:
    """Find what a pattern stands for; folders that it matches are searched."""
    parts = Path(pattern).parts
    fixed = next(i for i, part in enumerate(parts) if has_magic(part))
    base = Path(*parts[:fixed])
    images: list[FoundImage] = []
    for path in sorted(map(Path, glob(pattern, recursive=True)), key=_natural):  # noqa: PTH207 (absolute patterns)
        if path.is_dir():
            images.extend(_walk(path, base))
        elif path.is_file() and _is_image(path):
            images.append(FoundImage(path, _key_below(path, base)))
    if not images:
        raise InputError("matches no images", where=pattern, remedy=_LOOKED_FOR)
    return images


def _read_list(path: Path) -> list[FoundImage]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "cannot be read as a list of images", where=path, remedy="write one path per line as UTF-8 text"
        ) from error
    return _search_lines(lines, path)


def _read_standard_input() -> list[FoundImage]:
    try:
        text = sys.stdin.read()
    except UnicodeDecodeError as error:
        raise InputError(
            "cannot be read as a list of images", where="standard input", remedy="write paths as UTF-8 text"
        ) from error
    lines = [entry for entry in text.split("\0") if entry] if "\0" in text else text.splitlines()
    return _search_lines(lines, Path("standard input"))


def _search_lines(lines: Iterable[str], path: Path) -> list[FoundImage]:
    images: list[FoundImage] = []
    for number, text in enumerate(lines, start=1):
        entry = text.strip()
        if entry and not entry.startswith("#"):
            images.extend(_search_line(entry, path, number))
    if not images:
        raise InputError("lists no images", where=path, remedy="write one path per line")
    return images


def _search_line(entry: str, path: Path, number: int) -> list[FoundImage]:
    beside = path.parent / entry
    has_beside = beside.exists() or (has_magic(entry) and bool(glob(str(beside), recursive=True)))  # noqa: PTH207
    try:
        images = _search_one(beside if has_beside else entry)
    except InputError as error:
        where = f"{path}, line {number}: {error.where}"
        raise InputError(error.what, where=where, remedy=error.remedy) from error
    if len(images) == 1 and images[0].path in (beside, Path(entry)):
        # A list names files of one tree: their keys mirror it, whichever of them are listed.
        return [replace(images[0], key=_key_below(images[0].path, path.parent if has_beside else Path()))]
    return images


def _key_below(path: Path, base: Path) -> str:
    """Return the path below a folder without its suffix; the stem alone for a path that leaves the folder."""
    inside = Path(os.path.relpath(path, base))
    if inside.is_absolute() or ".." in inside.parts:
        return path.stem
    return inside.with_suffix("").as_posix()


def _with_own_keys(images: Sequence[FoundImage]) -> list[FoundImage]:
    """Lengthen keys until all differ.

    This ends: parent folders run out, and from then on members of a clash get different endings, so that no two of
    them ever coincide again.
    """
    keys = [image.key for image in images]
    depths = [0] * len(images)  # parent folders taken into the key
    while clashes := _clashes(keys):
        for members in clashes:
            suffixes = {images[i].path.suffix.casefold() for i in members}
            for rank, i in enumerate(members):
                path = images[i].path
                if len(suffixes) == len(members):
                    keys[i] += path.suffix.replace(".", "_")
                elif (longer := _with_parent(images[i], depths[i] + 1)) is not None:
                    keys[i], depths[i] = longer, depths[i] + 1
                else:
                    keys[i] = f"{keys[i]}_{rank + 1}"
    return [replace(image, key=key) for image, key in zip(images, keys, strict=True)]


def _with_parent(image: FoundImage, depth: int) -> str | None:
    """Return the key with that many parent folders before it; None where there are no more."""
    folders = Path(os.path.abspath(image.path)).parts[1:-1]  # noqa: PTH100
    own = image.key.count("/")
    outer = folders[: len(folders) - own]
    return None if depth > len(outer) else "/".join([*outer[len(outer) - depth :], image.key])


def _clashes(keys: Iterable[str]) -> list[list[int]]:
    """Return the positions of keys that coincide; case or composed accents do not tell files apart on every system."""
    groups: dict[str, list[int]] = defaultdict(list)
    for i, key in enumerate(keys):
        groups[unicodedata.normalize("NFC", unicodedata.normalize("NFC", key).casefold())].append(i)
    return [members for members in groups.values() if len(members) > 1]


def _natural(path: Path) -> list[tuple[list[tuple[int, str]], str]]:
    """Return a sort key by which numbers in names count as numbers."""
    return [
        ([(int(run) if run.isdecimal() else -1, run) for run in re.split("([0-9]+)", part.casefold())], part)
        for part in path.parts
    ]


def _is_visible(name: str) -> bool:
    return not name.startswith(".") and name != "__MACOSX"


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES
