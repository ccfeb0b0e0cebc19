"""What a sweep plans: its runs, checked as `roadseg train` would, and how each of them stands."""

import contextlib
import io
import itertools
import json
import operator
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roadseg.cli.train import Train, find_object
from roadseg.errors import InputError, OutputError, RecipeError, RoadsegError
from roadseg.media.run_files import RUN, STATE
from roadseg.recipes.changes import changes
from roadseg.recipes.sweep import Member, from_python, read_toml
from roadseg.reporting.runs import MEMBER, read_note, read_run

__all__ = ["DEFAULT_FUNCTION", "GOES", "Entry", "entries_of", "refuse_changes", "split"]

DEFAULT_FUNCTION = "sweep"
GOES = ("start", "resume", "restart")
_REMEDY = "name a FILE.toml, FILE.py or FILE.py:FUNCTION"


@dataclass(frozen=True)
class Entry:
    """A member of the sweep, and what is to be done about it.

    Attributes:
        member: The member.
        recipe: Its recipe with its flags, as JSON.
        folder: Of its run, absolute.
        action: ``start``, ``resume``, ``restart``, ``finished``, ``running`` or ``waiting``.
        noted: The recipe that was trained in the folder so far, as JSON; empty for none.
    """

    member: Member
    recipe: Mapping[str, Any]
    folder: Path
    action: str
    noted: Mapping[str, Any]

    @property
    def text(self) -> str:
        """What is to be done, in words."""
        return {
            "start": "starts",
            "resume": "goes on where it stopped",
            "restart": "starts again: it left no state",
            "finished": "is finished",
            "running": "is running already",
            "waiting": f"was submitted and has not begun; remove {self.folder / MEMBER} to submit it again",
        }[self.action]


def split(file: str) -> tuple[Path, str]:
    """Return a sweep's file, and the function in it.

    Raises:
        InputError: There is no such file, or it is of no known kind.
    """
    place, _, function = file.rpartition(":")
    path, function = (Path(place), function) if place.endswith(".py") else (Path(file), DEFAULT_FUNCTION)
    if path.suffix not in (".py", ".toml"):
        raise InputError("is no plan of a sweep", where=file, remedy=_REMEDY)
    if not path.is_file():
        raise InputError("there is no such file", where=path, remedy=_REMEDY)
    return path, function


def entries_of(path: Path, function: str, out: Path) -> tuple[Entry, ...]:
    """Return the runs that a file plans, each checked, with how it stands.

    Args:
        path: FILE.toml or FILE.py.
        function: In FILE.py.
        out: Folder of the sweep, absolute.

    Raises:
        RecipeError: The file is no plan, or a run's recipe or flags are not possible.
    """
    return tuple(_entry(member, _checked(member), out) for member in _members(path, function))


def _members(path: Path, function: str) -> tuple[Member, ...]:
    if path.suffix == ".toml":
        return read_toml(path)
    reference = f"{path}:{function}"
    return from_python(find_object(reference), reference)


def _checked(member: Member) -> Mapping[str, Any]:
    """Return a member's recipe as JSON, read as `roadseg train` does.

    Raises:
        RecipeError: The member's recipe or flags are not possible.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            recipe = Train.from_arguments(list(member.arguments)).resolve()
    except SystemExit as stop:
        reason = _reason(said.getvalue()) or "its flags cannot be read"
        remedy = f"`roadseg train {shlex.quote(member.recipe)} --help` lists the flags"
        raise RecipeError(f"the run {member.name} is not possible: {reason}", remedy=remedy) from stop
    except RoadsegError as error:
        raise RecipeError(f"the run {member.name} is not possible: {error}") from error
    found: Mapping[str, Any] = json.loads(json.dumps(recipe.to_json()))
    return found


def _reason(box: str) -> str:
    """Return what a usage error says below its title, up to the next rule; without the frame."""
    lines = [line.strip("│╭╮╰╯─|+- ") for line in box.splitlines()[1:]]
    return " ".join(itertools.takewhile(bool, itertools.dropwhile(operator.not_, lines)))


def _entry(member: Member, recipe: Mapping[str, Any], out: Path) -> Entry:
    """Look at a member's folder."""
    folder = out / member.name
    if not any((folder / name).is_file() for name in (MEMBER, RUN, STATE)):
        return Entry(member, recipe, folder, "start", {})
    note = read_note(folder)
    run = read_run(folder)
    if run.state == "finished" or (note.get("exit") == 0 and note.get("arguments") == list(member.arguments)):
        action = "finished"
    elif run.state == "running" or (run.state == "waiting" and note.get("submitted")):
        action = run.state
    elif (folder / STATE).is_file():
        action = "resume"
    else:
        action = "restart" if note.get("started") else "start"
    noted = note.get("recipe", {}) if action not in ("start", "restart") else {}
    return Entry(member, recipe, folder, action, noted if isinstance(noted, Mapping) else {})


def refuse_changes(entries: Sequence[Entry]) -> None:
    """Refuse to take runs for others that the file planned under the same names before.

    Raises:
        OutputError: Some were trained with other values.
    """
    for entry in entries:
        if entry.noted and (changed := changes(entry.noted, entry.recipe, moved=False)):
            raise OutputError(
                f"holds a run with other settings: {'; '.join(changed)}",
                where=entry.folder,
                remedy="choose another --out, or remove that folder",
            )
