"""Writing files so that no reader ever meets a half-written one."""

import errno
import json
import math
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from roadseg.errors import OutputError

__all__ = ["atomic_path", "free_disk", "is_utf8", "write_bytes", "write_json", "write_lines", "write_text"]

_FULL = ("the disk is full", "free some space or choose a folder on another disk")
_NO_FOLDER = ("a part of its path is a file, not a folder", "rename that file or choose another folder")
_NOT_ALLOWED = ("permission denied", "choose a folder you may write to, or change its permissions")
_IS_FOLDER = ("there is a folder of that name", "give the name of a file in it")
_CAUSES: Mapping[int, tuple[str, str]] = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: ("your disk quota is used up", "delete files or choose a folder on another disk"),
    errno.EROFS: ("its file system is read-only", "choose a folder on another disk"),
    errno.EACCES: _NOT_ALLOWED,
    errno.EPERM: _NOT_ALLOWED,
    errno.EISDIR: _IS_FOLDER,
    errno.ENOTDIR: _NO_FOLDER,
    errno.EEXIST: _NO_FOLDER,
    errno.ENAMETOOLONG: ("its name is too long", "choose a shorter name"),
}


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path to write to, which becomes ``path`` when the block ends well.

    The temporary file lies in the same folder, so that the final step is one rename: a reader sees the old file or
    the new one, never a part. Whatever ends the block early, Ctrl-C included, removes the temporary file and leaves an
    old file as it was. The parent folder is created. The temporary name has the suffix of ``path``, because writers
    choose their format by it, and is hidden.

    Args:
        path: The file to write.

    Yields:
        The temporary path; nothing is there yet.

    Raises:
        OutputError: The file cannot be written: the disk is full or read-only, ``path`` is a folder and the like. An
            ``OSError`` of the block becomes an ``OutputError`` too, unless it names a file elsewhere.
    """
    target = Path(path)
    _prepare(target)
    temporary = target.with_name(f".{secrets.token_hex(8)}{target.suffix}")
    try:
        yield temporary
        temporary.replace(target)
    except OSError as error:
        if not _is_about(error, target.parent):
            raise
        raise _output_error(error, target) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write bytes atomically.

    Raises:
        OutputError: See :func:`atomic_path`.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def is_utf8(text: str) -> bool:
    """Return whether a text can be written as UTF-8: not all names of files can."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def write_text(path: str | Path, text: str) -> None:
    r"""Write text atomically, UTF-8 with ``\n`` at line ends on every system.

    Raises:
        OutputError: See :func:`atomic_path`.
    """
    write_bytes(path, text.encode("utf-8"))


def write_lines(path: str | Path, lines: Iterable[str]) -> None:
    """Write a list atomically, one item per line. Names of files, which need not be UTF-8, keep their bytes.

    Raises:
        OutputError: See :func:`atomic_path`.
    """
    write_bytes(path, "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"))


def write_json(path: str | Path, data: object) -> None:
    """Write JSON atomically, indented by two spaces.

    NumPy numbers and arrays become numbers and lists, paths become texts. NaN and infinity, which JSON does not have,
    become ``null``. Where a text cannot be UTF-8, as some names of files, whatever is not ASCII is escaped.

    Args:
        path: The file to write.
        data: Mappings, sequences, texts, numbers, None, and what is named above.

    Raises:
        OutputError: See :func:`atomic_path`.
        TypeError: ``data`` holds something that JSON cannot express.
    """
    plain = _plain(data)
    text = json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False)
    if not is_utf8(text):
        text = json.dumps(plain, indent=2, allow_nan=False)
    write_text(path, text + "\n")


def free_disk(path: Path) -> int:
    """Return the free bytes on the disk that a path is on or will be on."""
    place = path.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def _plain(data: object) -> object:
    if isinstance(data, np.ndarray | np.generic):
        data = data.tolist()
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, Mapping):
        return {_plain(key): _plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_plain(item) for item in data]
    return str(data) if isinstance(data, Path) else data


def _prepare(target: Path) -> None:
    try:
        if target.is_dir():
            raise OSError(errno.EISDIR, "is a folder")
        if target.exists() and not target.is_file():
            # A rename would put a file in place of a device such as /dev/null.
            raise OutputError("is not a regular file", where=target, remedy="choose another name")
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _output_error(error, target) from error


def _is_about(error: OSError, folder: Path) -> bool:
    """Tell whether an error may stem from writing into the folder."""
    named = error.filename
    return not isinstance(named, str | Path) or Path(named).parent == folder


def _output_error(error: OSError, target: Path) -> OutputError:
    other = (error.strerror or str(error) or "unknown reason", "try again or choose another folder")
    cause, remedy = _CAUSES.get(error.errno or 0, other)
    return OutputError(f"cannot be written: {cause}", where=target, remedy=remedy)
