"""How commands talk: results on stdout, progress and remarks on stderr, JSON instead of words on request."""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any, Protocol

import tyro
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

__all__ = ["Flag", "Options", "Report", "Talk", "Terminal", "duration", "percent", "size_text"]

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(help_behavior_hint="")]
"""A switch: ``--name`` when it is off by default, ``--no-name`` when it is on."""

WIDE = 160  # columns for tables that go to a file or a pipe, which have no width of their own
PLAIN_SECONDS = 10.0  # between progress lines where no bar can be drawn


class Report(Protocol):
    """Hears how far a piece of work is."""

    def update(self, done: int, total: int | None = None, text: str = "") -> None:
        """So much is done; ``text`` says more about the present state."""

    def line(self, text: str) -> None:
        """Say something that stays."""


@dataclass(frozen=True, kw_only=True)
class Terminal:
    """What every command takes.

    Attributes:
        json: Print one JSON document to stdout, and nothing else.
        quiet: Show no progress and no remarks.
        debug: Show the traceback of an error.
    """

    json: Flag = False
    quiet: Flag = False
    debug: Flag = False

    def say(self, *parts: RenderableType) -> None:
        """Print results in words and tables to stdout; nothing with ``--json``."""
        if not self.json:
            console = _console(stderr=False)
            for part in parts:
                console.print(part, soft_wrap=isinstance(part, str | Text))

    def emit(self, data: Mapping[str, Any]) -> None:
        """Print results as JSON to stdout; nothing without ``--json``."""
        if self.json:
            text = json.dumps(data, default=_plain, indent=2, ensure_ascii=False)
            try:
                text.encode(sys.stdout.encoding or "utf-8")
            except UnicodeEncodeError:  # the name of a file that is no UTF-8, or a stdout that is not
                text = json.dumps(data, default=_plain, indent=2)
            sys.stdout.write(text + "\n")

    def note(self, text: str) -> None:
        """Print a remark to stderr."""
        if not self.quiet:
            _console(stderr=True).print(text, soft_wrap=True)

    def warn(self, text: str) -> None:
        """Print to stderr what went wrong, also with ``--quiet``."""
        _console(stderr=True).print(
            Text.assemble("roadseg: ", ("error", "bold red"), f": {text}"), soft_wrap=True
        )

    @contextmanager
    def progress(self, what: str, total: int, done: int = 0) -> Iterator[Report]:
        """Show the progress of some work: a bar on a terminal, else a line now and then.

        Args:
            what: What is being done, for example ``labeling``.
            total: How many pieces it has.
            done: How many of them were done before.
        """
        console = _console(stderr=True)
        if self.quiet:
            yield _Nothing()
        elif not console.is_terminal:
            yield _Lines(console, what, total, done)
        else:
            bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=30),
                MofNCompleteColumn(),
                TimeRemainingColumn(elapsed_when_finished=True),
                TextColumn("{task.fields[text]}"),
                console=console,
                transient=True,
            )
            with bar:
                yield _Bar(bar, what, total, done)


Talk = Annotated[Terminal, tyro.conf.arg(name="")]
"""The type of a command's field for its `Terminal`."""

Options = Annotated[tuple[str, ...], tyro.conf.arg(metavar="KEY=VALUE ...", help_behavior_hint="")]
"""The type of a command's field that takes pairs, see `roadseg.cli.pairs`."""


class _Nothing:
    def update(self, done: int, total: int | None = None, text: str = "") -> None:
        pass

    def line(self, text: str) -> None:
        pass


class _Lines:
    def __init__(self, console: Console, what: str, total: int, done: int) -> None:
        self.console, self.what, self.total, self.start = console, what, total, done
        self.began = self.last = time.monotonic()

    def update(self, done: int, total: int | None = None, text: str = "") -> None:
        self.total = self.total if total is None else total
        now = time.monotonic()
        if now - self.last < PLAIN_SECONDS or done == self.total:
            return
        self.last = now
        left = (now - self.began) / max(1, done - self.start) * (self.total - done)
        parts = [f"{self.what} {done}/{self.total}", f"{duration(left)} left", text]
        self.line(", ".join(part for part in parts if part))

    def line(self, text: str) -> None:
        self.console.print(text, soft_wrap=True)


class _Bar:
    def __init__(self, progress: Progress, what: str, total: int, done: int) -> None:
        self.progress = progress
        self.task = progress.add_task(what, total=total, completed=done, text="")

    def update(self, done: int, total: int | None = None, text: str = "") -> None:
        self.progress.update(self.task, completed=done, total=total, text=text)

    def line(self, text: str) -> None:
        self.progress.console.print(text, soft_wrap=True)


def _console(*, stderr: bool) -> Console:
    # No markup and no emoji: brackets and colons in file names are themselves.
    stream = sys.stderr if stderr else sys.stdout
    if isinstance(stream, TextIOWrapper) and stream.errors == "strict":
        stream.reconfigure(errors="replace")  # names of files need not be UTF-8
    width = None if stream.isatty() else WIDE
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False, width=width)


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def percent(share: float | None, digits: int = 1) -> str:
    """Return a share of one as percent, without the sign; a dash for none."""
    return "-" if share is None or share != share else f"{100 * share:.{digits}f}"


def duration(seconds: float) -> str:
    """Return a time span in the units that fit it: ``12 s``, ``3:05 min``, ``2:10 h``."""
    seconds = max(0.0, seconds)
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02} h"


def size_text(size: float) -> str:
    """Return a number of bytes in the unit that fits it."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if size >= 10 or unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError  # pragma: no cover - the last unit returns
