"""A sweep as it is carried out: what starts, what is said of it, and how it ends."""

import contextlib
import fnmatch
import shlex
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from roadseg import __version__
from roadseg.cli.sweep_plan import DEFAULT_FUNCTION, GOES, Entry, entries_of, refuse_changes, split
from roadseg.cli.sweep_runs import LOG, Ending, Job, Slot, last_line, slots, submission, work_off
from roadseg.cli.terminal import Report, duration, percent
from roadseg.errors import InputError
from roadseg.media import atomic_path, write_json
from roadseg.reporting.runs import MEMBER, read_run

if TYPE_CHECKING:
    from roadseg.cli.sweep import Sweep

__all__ = ["carry_out"]

_TRAIN = (sys.executable, "-m", "roadseg", "train")
_OPEN = (*GOES, "running")
_LOOK_SECONDS = 5.0


def carry_out(command: "Sweep") -> int:
    """Plan, check, and train.

    Raises:
        RoadsegError: Something is wrong before any run starts.
        KeyboardInterrupt: The sweep was interrupted; all runs are stopped.
    """
    path, function = split(command.file)
    name = path.stem if function == DEFAULT_FUNCTION else f"{path.stem}.{function}"
    out = (command.out or Path("runs") / name).absolute()
    entries = entries_of(path, function, out)
    places = slots(command.jobs, command.gpus)
    chosen = [entry for entry in entries if fnmatch.fnmatchcase(entry.member.name, f"*{command.only}*")]
    if not chosen:
        raise InputError(
            f"no run's name holds {command.only!r}",
            where="--only",
            remedy=f"choose among {', '.join(entry.member.name for entry in entries)}",
        )
    refuse_changes(chosen)
    if command.dry_run:
        return _show(command, chosen)
    copied = out / f"sweep{path.suffix}"
    jobs = [_job(command, entry, path, copied) for entry in chosen if entry.action in GOES]
    _write_sweep(command, path, copied, entries)
    return _Course(command, chosen, out).follow(jobs, places)


def _show(command: "Sweep", entries: Sequence[Entry]) -> int:
    for entry in entries:
        words = shlex.join(_words(command, entry, entry.member.arguments))
        command.terminal.say(f"{entry.member.name}: {entry.text}", f"  {words}")
    command.terminal.say("", f"{len(entries)} runs: {_counted(entry.action for entry in entries)}")
    command.terminal.emit(
        {
            "sweep": command.file,
            "runs": [
                {
                    "name": entry.member.name,
                    "folder": entry.folder,
                    "state": entry.action,
                    "command": _words(command, entry, entry.member.arguments),
                }
                for entry in entries
            ],
        }
    )
    return 0


def _job(command: "Sweep", entry: Entry, file: Path, copied: Path) -> Job:
    """Return what starts a run; recipes of the sweep's file are taken from its copy.

    So the runs that are still to come stay as they were planned when the file is edited.
    """
    recipe, *flags = entry.member.arguments
    place, _, function = recipe.rpartition(":")
    if place and Path(place).resolve() == file.resolve():
        recipe = f"{copied}:{function}"
    note = {"name": entry.member.name, "arguments": entry.member.arguments, "recipe": entry.recipe}
    return Job(
        name=entry.member.name,
        folder=entry.folder,
        command=_words(command, entry, (recipe, *flags)),
        note=note,
        submitted=bool(command.submit),
    )


def _words(command: "Sweep", entry: Entry, arguments: Sequence[str]) -> tuple[str, ...]:
    own = (*_TRAIN, *arguments, "-o", str(entry.folder))
    own = (*own, "--resume") if entry.action == "resume" else own
    return submission(command.submit, own, entry.folder, entry.member.name) if command.submit else own


class _Course:
    """A sweep as it goes: what is said of it, and how it stands."""

    def __init__(self, command: "Sweep", entries: Sequence[Entry], out: Path) -> None:
        self.command, self.terminal, self.out = command, command.terminal, out
        self.entries = entries
        self.states = {entry.member.name: entry.action for entry in entries}
        self.endings: dict[str, Ending] = {}
        self.report: Report | None = None
        self.looked = 0.0

    def follow(self, jobs: Sequence[Job], places: Sequence[Slot]) -> int:
        """Work jobs off and tell of it; the exit code."""
        for entry in self.entries:
            if entry.action != "start":
                self.terminal.note(f"{entry.member.name} {entry.text}")
        with self.terminal.progress(f"{self.out.name}, %", 100, self._percent()) as self.report:
            complete = work_off(
                jobs,
                places,
                started=self._started,
                ended=self._ended,
                stopping=self._stopping,
                ticked=self._ticked,
            )
        self._tell()
        if not complete:
            stop = KeyboardInterrupt()
            stop.add_note("the same command goes on with the sweep")
            raise stop
        return 1 if "failed" in self.states.values() else 0

    def _started(self, job: Job) -> None:
        self.states[job.name] = "running"

    def _ended(self, ending: Ending) -> None:
        name = ending.job.name
        self.states[name], self.endings[name] = ending.state, ending
        text = {
            "finished": f"finished after {duration(ending.seconds)}{_score(ending.job.folder)}",
            "submitted": f"submitted: {last_line(ending.job.folder / LOG)}",
            "stopped": "stopped",
            "failed": f"failed ({_code(ending.code)})",
        }[ending.state]
        if self.report is not None:
            self.report.line(f"{name}: {text}")
        self.looked = 0.0
        self._ticked()

    def _stopping(self, count: int) -> None:
        if self.report is not None:
            self.report.line(
                f"stopping {count} runs, which save their states; Ctrl-C again ends them at once"
            )

    def _ticked(self) -> None:
        """Move the bar by what the runs' own files tell."""
        if self.report is None or time.monotonic() - self.looked < _LOOK_SECONDS:
            return
        self.looked = time.monotonic()
        counts = Counter(self.states.values())
        done = sum(count for state, count in counts.items() if state not in _OPEN)
        self.report.update(
            self._percent(), text=f"{done} of {len(self.states)} done, {counts['running']} running"
        )

    def _percent(self) -> int:
        """Return how much of the sweep is done: runs that are not at their end count by their steps."""
        parts = 0.0
        for entry in self.entries:
            run = read_run(entry.folder) if self.states[entry.member.name] in _OPEN else None
            parts += 1.0 if run is None else run.step / run.steps if run.steps else 0.0
        return int(100 * parts / len(self.entries))

    def _tell(self) -> None:
        states = {name: "waiting" if state in GOES else state for name, state in self.states.items()}
        failed = [ending for name, ending in self.endings.items() if states[name] == "failed"]
        for ending in failed:
            log = ending.job.folder / LOG
            self.terminal.warn(
                f"{ending.job.name} failed ({_code(ending.code)}): {last_line(log)}; its log is {log}"
            )
        self.terminal.say(
            f"{len(states)} runs: {_counted(states.values())}",
            f"  compare them:  roadseg summarize {shlex.quote(_short(self.out))}",
        )
        codes = {name: ending.code for name, ending in self.endings.items()}
        self.terminal.emit(
            {
                "sweep": self.command.file,
                "out": self.out,
                "runs": [
                    {
                        "name": entry.member.name,
                        "folder": entry.folder,
                        "state": states[entry.member.name],
                        "exit": codes.get(entry.member.name),
                    }
                    for entry in self.entries
                ],
            }
        )


def _write_sweep(command: "Sweep", path: Path, copied: Path, entries: Sequence[Entry]) -> None:
    """Write what was planned: the file itself, the list of runs, and a note into the folder of each new one."""
    if path.resolve() != copied.resolve():
        with atomic_path(copied) as temporary:
            shutil.copyfile(path, temporary)
    members = [{"name": entry.member.name, "arguments": entry.member.arguments} for entry in entries]
    about = {"file": path.resolve(), "cwd": Path.cwd(), "roadseg": __version__, "runs": members}
    write_json(copied.with_name("sweep.json"), {**about, "submit": command.submit or None})
    for entry in entries:
        if entry.action == "start":
            note = {"name": entry.member.name, "arguments": entry.member.arguments, "recipe": entry.recipe}
            write_json(entry.folder / MEMBER, note)


def _counted(states: Iterable[str]) -> str:
    words = {"start": "to start", "resume": "to resume", "restart": "to start again"}
    return ", ".join(f"{count} {words.get(state, state)}" for state, count in Counter(states).items())


def _score(folder: Path) -> str:
    found = read_run(folder).metric("miou")
    return "" if found is None else f", best mIoU {percent(found.best, 2)}"


def _code(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"


def _short(path: Path) -> str:
    """Return a path from the working folder where it lies below that."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
