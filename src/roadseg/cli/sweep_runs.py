"""The processes of a sweep: started side by side, watched, and stopped together."""

import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from roadseg.errors import InputError
from roadseg.media import write_json, write_text
from roadseg.reporting.runs import MEMBER, read_run

__all__ = ["LOG", "Ending", "Job", "Slot", "last_line", "slots", "submission", "work_off"]

LOG, COMMAND = "log.txt", "command.txt"
POLL_SECONDS = 0.1
_MOST_SIGNALS = 2
"""The first interrupt lets a run save its state, the second ends it at once; the third goes to no one who listens."""

Slot = Mapping[str, str]
"""Environment variables of the runs that take a place, one after the other."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run to be started.

    Attributes:
        name: Of the member.
        folder: Of the run, absolute.
        command: The program and its arguments.
        note: What goes into ``member.json``.
        submitted: Whether the command may hand the run to others, such as a queue, and end before it.
    """

    name: str
    folder: Path
    command: tuple[str, ...]
    note: Mapping[str, Any]
    submitted: bool = False


@dataclass(frozen=True)
class Ending:
    """How a job's process ended.

    Attributes:
        job: The job.
        state: ``finished``, ``submitted``, ``stopped`` or ``failed``.
        code: Exit code; negative for the number of a signal.
        seconds: Since its start.
    """

    job: Job
    state: str
    code: int
    seconds: float


@dataclass
class _Process:
    job: Job
    slot: Slot
    handle: subprocess.Popen[bytes]
    log: IO[bytes]
    note: dict[str, Any]
    began: float = field(default_factory=time.monotonic)
    signals: int = 0


def slots(jobs: int | None, gpus: str) -> tuple[Slot, ...]:
    """Return the places for runs that are trained at the same time.

    Args:
        jobs: How many; None for one per GPU, or one.
        gpus: GPUs by comma, divided evenly over the places; a number given twice takes two runs.

    Raises:
        InputError: There is no such division.
    """
    devices = [name for item in gpus.split(",") if (name := item.strip())]
    count = jobs if jobs is not None else max(1, len(devices))
    if count < 1:
        raise InputError(f"--jobs {count} is not possible", remedy="give 1 or more")
    if devices and len(devices) % count:
        raise InputError(
            f"{len(devices)} GPUs cannot be divided evenly over {count} jobs",
            remedy="change --jobs or --gpus; a GPU named twice takes two jobs",
        )
    share: Slot = {}
    if count > 1 and "OMP_NUM_THREADS" not in os.environ:
        share = {"OMP_NUM_THREADS": str(max(1, _cores() // count))}
    if not devices:
        return (share,) * count
    each = len(devices) // count
    return tuple(
        {**share, "CUDA_VISIBLE_DEVICES": ",".join(devices[i * each : (i + 1) * each])} for i in range(count)
    )


def submission(template: str, command: Sequence[str], folder: Path, name: str) -> tuple[str, ...]:
    """Return the words of a submit command; no shell reads them, so nothing in names or paths is misread.

    Args:
        template: Split into words as a shell does. In each, ``{command}`` becomes the whole command line,
            ``{module_command}`` the part after ``python -m``, ``{out}`` the run's folder and ``{name}`` its name. A word
            that is nothing but ``{module_command}`` becomes as many words as the command has.
        command: ``python -m roadseg train ...``.
        folder: Of the run.
        name: Of the member.

    Raises:
        InputError: The template does not run the command, or there is no such program.
    """
    try:
        words = shlex.split(template)
    except ValueError as error:
        raise InputError(f"is not closed ({error})", where="--submit") from error
    if not any(mark in word for word in words for mark in ("{command}", "{module_command}")):
        raise InputError(
            "runs no member",
            where="--submit",
            remedy="for example --submit 'sbatch --gpus=1 --wrap {command}'",
        )
    if shutil.which(words[0]) is None:
        raise InputError(f"there is no program {words[0]!r} on this machine", where="--submit")
    module = command[2:]
    values = {
        "{command}": shlex.join(command),
        "{module_command}": shlex.join(module),
        "{out}": str(folder),
        "{name}": name,
    }
    found: list[str] = []
    for word in words:
        found += module if word == "{module_command}" else [_filled(word, values)]
    return tuple(found)


def work_off(
    jobs: Sequence[Job],
    places: Sequence[Slot],
    *,
    started: Callable[[Job], None],
    ended: Callable[[Ending], None],
    stopping: Callable[[int], None],
    ticked: Callable[[], None],
) -> bool:
    """Run jobs, as many at a time as there are places, and wait for all.

    An interrupt or a termination signal starts no more and is passed on to those that run, which save their state.

    Args:
        jobs: In the order in which to start them.
        places: What each place adds to the environment.
        started: Hears of every start.
        ended: Hears of every end.
        stopping: Hears of every signal, with the number of jobs that it goes to.
        ticked: Hears of the passing of time.

    Returns:
        Whether all were started and none was stopped.

    Raises:
        OutputError: A folder of a run cannot be written; the others are stopped first.
    """
    waiting, free = deque(jobs), deque(places)
    running: list[_Process] = []
    with _counted_signals() as signals:
        try:
            while running or (waiting and not signals[0]):
                while waiting and free and not signals[0]:
                    started(waiting[0])
                    running.append(_start(waiting.popleft(), free.popleft()))
                for process in [item for item in running if item.handle.poll() is not None]:
                    running.remove(process)
                    free.append(process.slot)
                    ended(_end(process))
                if running and signals[0] > min(process.signals for process in running):
                    stopping(len(running))
                    _pass_on(running, signals[0])
                ticked()
                if running:
                    time.sleep(POLL_SECONDS)
        finally:
            _pass_on(running, 1)
            for process in running:
                process.handle.wait()
                _end(process)
    return not signals[0]


def last_line(log: Path) -> str:
    """Return the last line of a log that says something."""
    with suppress(OSError):
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "")
    return ""


def _start(job: Job, slot: Slot) -> _Process:
    job.folder.mkdir(parents=True, exist_ok=True)
    assignments = [f"{name}={shlex.quote(value)}" for name, value in slot.items()]
    write_text(job.folder / COMMAND, " ".join([*assignments, shlex.join(job.command)]) + "\n")
    log = (job.folder / LOG).open("ab")
    log.write(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')}: {shlex.join(job.command)}\n".encode())
    log.flush()
    handle = subprocess.Popen(  # noqa: S603 - the user's own command, no shell
        job.command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env={**os.environ, **slot},
        start_new_session=True,  # Ctrl-C in the terminal goes to the sweep alone, which passes it on once
    )
    process = _Process(job, slot, handle, log, dict(job.note))
    process.note |= {"folder": str(job.folder), "host": platform.node(), "pid": handle.pid}
    process.note["started"] = round(time.time(), 1)
    try:
        write_json(job.folder / MEMBER, process.note)
    except BaseException:
        _pass_on([process], 1)
        handle.wait()
        raise
    return process


def _end(process: _Process) -> Ending:
    """Note how a process ended."""
    process.log.close()
    job, code = process.job, process.handle.returncode
    seconds = time.monotonic() - process.began
    note: dict[str, Any] = {**process.note, "pid": None, "exit": code, "seconds": round(seconds, 1)}
    if code == 0:
        state = "finished"
        if job.submitted and read_run(job.folder).state != "finished":
            state = "submitted"
            note |= {"exit": None, "submitted": True}
    else:
        state = "stopped" if process.signals or code in (130, -signal.SIGINT) else "failed"
    write_json(job.folder / MEMBER, note)
    return Ending(job, state, code, seconds)


def _pass_on(running: Sequence[_Process], count: int) -> None:
    """Send every process the interrupts it has not had yet; beyond the second, end it."""
    for process in running:
        while process.signals < count:
            process.signals += 1
            ends = process.signals > _MOST_SIGNALS
            with suppress(ProcessLookupError):
                if hasattr(os, "killpg"):
                    os.killpg(process.handle.pid, signal.SIGKILL if ends else signal.SIGINT)
                else:
                    process.handle.terminate()


@contextmanager
def _counted_signals() -> Iterator[list[int]]:
    """Count interrupts and termination signals instead of raising them."""
    count = [0]

    def handle(_number: int, _frame: object) -> None:
        count[0] += 1

    try:
        before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread: the caller's signals are its own affair
        yield count
        return
    try:
        yield count
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _filled(word: str, values: Mapping[str, str]) -> str:
    """Return a word of a template with its marks replaced, in one go: what is put in is not searched again."""
    marks = "|".join(map(re.escape, values))
    return re.sub(marks, lambda match: values[match[0]], word)


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)  # which only Linux has
    return len(affinity(0)) if affinity else os.cpu_count() or 1
