"""A film that is written in closed parts, so that a run that was killed can go on behind the last of them."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roadseg.errors import OutputError

if TYPE_CHECKING:
    from roadseg.inference.stream import Memory

__all__ = ["Recording", "read_json"]


class Recording:
    """The parts of a film on disk, and the manifest that says which of them are complete."""

    def __init__(self, file: Path, job: str, *, fresh: bool) -> None:
        if file.is_dir():
            raise OutputError(
                "there is a folder of that name", where=file, remedy="choose another folder with -o"
            )
        self.file, self.job = file, job
        self.folder = file.with_name(f".{file.stem}.parts")
        self._manifest = self.folder / "manifest.json"
        self.parts: list[dict[str, Any]] = [] if fresh else self._noted()
        if not self.parts:
            with _as_output_error(self.folder):
                if self.folder.is_dir():
                    shutil.rmtree(self.folder)
            self._note()

    @property
    def frames(self) -> int:
        """How many frames the parts hold."""
        return sum(part["frames"] for part in self.parts)

    def memory(self) -> "Memory | None":
        """Return the state of smoothing after the last part."""
        from roadseg.inference.stream import Memory

        name = self.parts[-1]["memory"] if self.parts else None
        return None if name is None else Memory.load(self.folder / name)

    def path(self) -> Path:
        """Return the file of the next part."""
        return self.folder / f"part-{len(self.parts):05}.mp4"

    def add(self, part: dict[str, Any], memory: "Memory | None") -> None:
        """Note the next part, which is written and closed."""
        path = self.path()
        part |= {"file": path.name, "bytes": path.stat().st_size, "memory": None}
        if memory is not None:
            part["memory"] = f"memory-{len(self.parts):05}.npz"
            memory.save(self.folder / part["memory"])
        old = self.parts[-1]["memory"] if self.parts else None
        self.parts.append(part)
        self._note()
        if old is not None:
            (self.folder / old).unlink(missing_ok=True)

    def join(self, fps: Fraction) -> None:
        """Make the film of the parts."""
        from roadseg.media import atomic_path
        from roadseg.media.film import join_videos

        joined = self.folder / "joined.mp4"
        with atomic_path(joined) as temporary:
            paths = [self.folder / part["file"] for part in self.parts]
            join_videos(paths, [Fraction(part["start"]) for part in self.parts], temporary, fps)
        with _as_output_error(self.file):
            joined.replace(self.file)

    def discard(self) -> None:
        """Remove the parts."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _note(self) -> None:
        from roadseg.media import write_json

        write_json(self._manifest, {"job": self.job, "parts": self.parts})

    def _noted(self) -> list[dict[str, Any]]:
        """Return the parts of an earlier call with the same job that are still there."""
        found = read_json(self._manifest)
        parts: list[dict[str, Any]] = found.get("parts", []) if found.get("job") == self.job else []
        for part in parts:
            path = self.folder / part["file"]
            if not path.is_file() or path.stat().st_size != part["bytes"]:
                return []
        last = parts[-1]["memory"] if parts else None
        return [] if last is not None and not (self.folder / last).is_file() else parts


def read_json(path: Path) -> dict[str, Any]:
    """Return the mapping in a file; nothing where there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


@contextmanager
def _as_output_error(where: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or "unknown reason"
        raise OutputError(
            f"cannot be written ({reason})", where=where, remedy="choose another folder with -o"
        ) from error
