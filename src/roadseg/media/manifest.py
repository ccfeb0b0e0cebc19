"""What was finished in a folder of results: one line of JSON per image, so that a stopped run can go on.

A line is added when all files of an image are in place, so a run that is killed loses at most the images in work. When
an image is done again, its old line is revoked first. Every process of a parallel run adds to a file of its own; all
``manifest*.jsonl`` of the folder are read together, and the latest line about an image counts.
"""

import hashlib
import json
import os
import secrets
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from roadseg.errors import OutputError
from roadseg.media.writing import atomic_path

__all__ = ["Entry", "Identity", "Manifest", "fingerprint", "remove_leftovers", "tidy"]

_NAME = "manifest.jsonl"
_ALL = "manifest*.jsonl"
_TEMPORARY = ".[0-9a-f]*"
_TEMPORARY_DIGITS = 16


@dataclass(frozen=True)
class Identity:
    """By what an input file is recognized as unchanged.

    Attributes:
        path: Where it is, absolute.
        size: Bytes.
        mtime_ns: When it was last changed.
    """

    path: str
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> "Identity":
        """Return the identity of a file; of one that is not there, an identity that no file has."""
        try:
            status = path.stat()
        except OSError:
            return cls(str(path), -1, -1)
        return cls(os.path.abspath(path), status.st_size, status.st_mtime_ns)  # noqa: PTH100 (links stay)


@dataclass(frozen=True)
class Entry:
    """One finished image.

    Attributes:
        key: Name of its results.
        inputs: The files it was made from.
        settings: Fingerprint of everything else that the results depend on.
        files: Results by kind: path relative to the folder of the manifest.
        sizes: Their sizes in bytes.
        facts: What else is worth knowing.
        finished: When, in nanoseconds since 1970.
    """

    key: str
    inputs: tuple[Identity, ...]
    settings: str
    files: Mapping[str, str]
    sizes: Mapping[str, int]
    facts: Mapping[str, Any] = field(default_factory=dict)
    finished: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the line of the manifest."""
        return {
            "key": self.key,
            "inputs": [{"path": x.path, "size": x.size, "mtime_ns": x.mtime_ns} for x in self.inputs],
            "settings": self.settings,
            "files": {kind: {"path": self.files[kind], "size": self.sizes[kind]} for kind in self.files},
            "facts": dict(self.facts),
            "finished": self.finished,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Entry":
        """Read a line of the manifest; raises ``KeyError``, ``TypeError`` or ``AttributeError`` on anything else."""
        return cls(
            key=data["key"],
            inputs=tuple(Identity(x["path"], x["size"], x["mtime_ns"]) for x in data["inputs"]),
            settings=data["settings"],
            files={kind: str(file["path"]) for kind, file in data["files"].items()},
            sizes={kind: int(file["size"]) for kind, file in data["files"].items()},
            facts=dict(data["facts"]),
            finished=int(data["finished"]),
        )


def fingerprint(settings: Mapping[str, Any]) -> str:
    """Return a short text that changes whenever a setting does; settings are what JSON can express."""
    text = json.dumps(settings, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Manifest:
    """The list of what is finished in a folder, open for a run that adds to it; usable from several threads.

    Args:
        folder: The folder of the results; it must exist.
        settings: Fingerprint of this run's settings.
        rank: Number of this process in a parallel run, and
        size: how many there are: each but the only one writes a part of its own.

    Raises:
        OutputError: The manifest cannot be written.
    """

    def __init__(self, folder: Path, settings: str, *, rank: int = 0, size: int = 1) -> None:
        self.folder = folder
        self.settings = settings
        self._lock = threading.Lock()
        self._entries = _read_all(folder)
        name = _NAME if size == 1 else _part_name(f"{rank}-of-{size}")
        self.path = folder / name
        self._file = _open(self.path)
        if not _claim(self._file):
            # Another run writes to this folder: let each have a file of its own.
            self._file.close()
            self.path = folder / _part_name(secrets.token_hex(4))
            self._file = _open(self.path)
            _claim(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        empty = self._file.tell() == 0
        self._file.close()
        if empty:
            with suppress(OSError):
                self.path.unlink()

    @property
    def entries(self) -> list[Entry]:
        """What is finished, in the order of the keys."""
        return [self._entries[key] for key in sorted(self._entries)]

    def finished(self, key: str, inputs: Iterable[Path]) -> Entry | None:
        """Return the entry of an image if its files, the settings and all results are as they were; else None."""
        entry = self._entries.get(key)
        if entry is None or entry.settings != self.settings:
            return None
        if entry.inputs != tuple(Identity.of(path) for path in inputs):
            return None
        return entry if all(self._is_there(entry, kind) for kind in entry.files) else None

    def begin(self, key: str) -> None:
        """Revoke what is said about an image, before its results are replaced."""
        with self._lock:
            if self._entries.pop(key, None) is not None:
                self._add({"key": key, "revoked": time.time_ns()})

    def finish(
        self, key: str, inputs: Iterable[Identity], files: Mapping[str, Path], facts: Mapping[str, Any]
    ) -> Entry:
        """Record an image whose results are all in place.

        Args:
            key: Name of its results.
            inputs: The files it was made from, as they were when they were read.
            files: Results by kind, all below the folder.
            facts: What else is worth knowing, as JSON.
        """
        entry = Entry(
            key=key,
            inputs=tuple(inputs),
            settings=self.settings,
            files={kind: path.relative_to(self.folder).as_posix() for kind, path in files.items()},
            sizes={kind: path.stat().st_size for kind, path in files.items()},
            facts=facts,
            finished=time.time_ns(),
        )
        with self._lock:
            self._entries[key] = entry
            self._add(entry.to_json())
        return entry

    def _is_there(self, entry: Entry, kind: str) -> bool:
        path = self.folder / entry.files[kind]
        return path.is_file() and path.stat().st_size == entry.sizes[kind]

    def _add(self, data: Mapping[str, Any]) -> None:
        # One write of one line at the end of the file: a reader sees all of it, or what it takes for garbage.
        try:
            self._file.write(json.dumps(data, ensure_ascii=True).encode("ascii") + b"\n")
        except OSError as error:
            raise _failure(error, self.path) from error


def remove_leftovers(folder: Path, kinds: Iterable[str]) -> None:
    """Remove the temporary files that a killed run left in the folders of these kinds of results.

    Nothing is done while another run writes to the folder. Call it before a `Manifest` is opened.
    """
    if not all(_is_free(path) for path in folder.glob(_ALL)):
        return
    for kind in kinds:
        for path in (folder / kind).rglob(_TEMPORARY):
            if len(path.stem) == 1 + _TEMPORARY_DIGITS:
                with suppress(OSError):
                    path.unlink()


def tidy(folder: Path) -> None:
    """Join the parts that no run writes to any more to one file: a line per finished image, in the order of the keys.

    Nothing is done while another run writes to that file. Call it after the `Manifest` is closed.

    Raises:
        OutputError: The file cannot be written.
    """
    with _open(folder / _NAME) as file:
        if not _claim(file):
            return
        parts = [path for path in folder.glob(_ALL) if path.name != _NAME and _is_free(path)]
        entries = _read_all(folder)
        lines = [json.dumps(entries[key].to_json(), ensure_ascii=True) for key in sorted(entries)]
        with atomic_path(folder / _NAME) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
    for part in parts:
        with suppress(OSError):
            part.unlink()


def _part_name(what: str) -> str:
    return f"manifest.{what}.jsonl"


def _open(path: Path) -> IO[bytes]:
    try:
        file = path.open("ab", buffering=0)
        if file.tell():
            file.write(b"\n")  # the last line may have been cut short
    except OSError as error:
        raise _failure(error, path) from error
    return file


def _failure(error: OSError, path: Path) -> OutputError:
    return OutputError(
        f"cannot be written ({error.strerror or error})", where=path, remedy="choose another folder with -o"
    )


def _is_free(path: Path) -> bool:
    """Tell whether no run writes to a file."""
    try:
        with path.open("ab") as file:
            return _claim(file)
    except OSError:
        return False


def _claim(file: IO[bytes]) -> bool:
    """Tell whether this process is the only one that writes to the file; holds until the file is closed."""
    try:
        import fcntl
    except ImportError:  # pragma: no cover - Windows
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # the file system has no locks
        return True
    return True


def _read_all(folder: Path) -> dict[str, Entry]:
    """Return the latest entries of all parts that were not revoked; lines that are cut short do not count."""
    latest: dict[str, tuple[int, Entry | None]] = {}
    for path in sorted(folder.glob(_ALL)):
        try:
            lines = path.read_bytes().splitlines()
        except OSError as error:
            raise OutputError(
                f"cannot be read ({error.strerror})", where=path, remedy="delete it to start anew"
            ) from error
        for line in lines:
            with suppress(ValueError, LookupError, TypeError, AttributeError):
                _note(latest, json.loads(line))
    return {key: entry for key, (_, entry) in latest.items() if entry is not None}


def _note(latest: dict[str, tuple[int, Entry | None]], data: Mapping[str, Any]) -> None:
    entry = None if "revoked" in data else Entry.from_json(data)
    when = int(data["revoked"]) if entry is None else entry.finished
    if when >= latest.get(data["key"], (0, None))[0]:
        latest[data["key"]] = (when, entry)
