"""From arguments to a command, and from whatever happens to an exit code."""

import difflib
import errno
import importlib
import inspect
import os
import re
import sys
import traceback
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from roadseg import __version__
from roadseg.errors import RoadsegError

__all__ = [
    "COMMANDS",
    "FAULT",
    "INTERRUPTED",
    "PIPE_CLOSED",
    "Command",
    "command_class",
    "description",
    "explain",
    "main",
]

COMMANDS: Mapping[str, str] = {
    "predict": "roadseg.cli.predict:Predict",
    "evaluate": "roadseg.cli.evaluate:Evaluate",
    "scoreboard": "roadseg.cli.scoreboard:Scoreboard",
    "report": "roadseg.cli.report:Report",
    "submit": "roadseg.cli.submit:Submit",
    "timelapse": "roadseg.cli.timelapse:Timelapse",
    "autolabel": "roadseg.cli.autolabel:Autolabel",
    "propagate": "roadseg.cli.propagate:Propagate",
    "train": "roadseg.cli.train:Train",
    "motion train": "roadseg.cli.motion_train:MotionTrain",
    "motion score": "roadseg.cli.motion_score:MotionScore",
    "sweep": "roadseg.cli.sweep:Sweep",
    "summarize": "roadseg.cli.summarize:Summarize",
    "convert": "roadseg.cli.convert:Convert",
    "data setup": "roadseg.cli.data_setup:DataSetup",
    "data check": "roadseg.cli.data_check:DataCheck",
    "data cache": "roadseg.cli.data_cache:DataCache",
    "data synth": "roadseg.cli.data_synth:DataSynth",
    "data subset": "roadseg.cli.data_subset:DataSubset",
    "models": "roadseg.cli.models:Models",
    "recipes": "roadseg.cli.recipes:Recipes",
    "labels": "roadseg.cli.labels:Labels",
    "demo": "roadseg.cli.demo:Demo",
    "doctor": "roadseg.cli.doctor:Doctor",
}
"""Every command and the class whose fields are its flags. A command's file imports nothing heavy until it runs."""

FAULT, INTERRUPTED, PIPE_CLOSED = 70, 130, 141
_HELP = ("-h", "--help", "help")


class Command(Protocol):
    """One command with its flags parsed."""

    def run(self) -> int:
        """Carry it out and return the exit code."""
        ...


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; see `roadseg.cli` for what the codes mean.

    Args:
        arguments: What follows the program's name; None takes it from the process.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with warnings.catch_warnings():
            if "--debug" not in given:
                warnings.showwarning = _show_warning
            code = _run(given)
        sys.stdout.flush()  # here, so that a reader who went away is noticed while it can be handled
        return code
    except SystemExit as stop:  # how tyro ends after help (0) and usage errors (2)
        return stop.code if isinstance(stop.code, int) else 2
    except KeyboardInterrupt as stop:
        hints = "".join(f"; {note}" for note in getattr(stop, "__notes__", ()))
        sys.stderr.write(f"roadseg: interrupted{hints}\n")
        return INTERRUPTED
    except BrokenPipeError:
        with suppress(OSError, ValueError):
            # Python flushes stdout again when it ends: give it something that can be flushed.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except Exception as error:  # noqa: BLE001 - the one place where every error ends: as a sentence and an exit code
        if "--debug" in given:
            traceback.print_exc()
        sentence, code = explain(error)
        from roadseg.cli.terminal import Terminal

        Terminal().warn(sentence)
        return code


def _show_warning(message: Warning | str, *_where: object, **_more: object) -> None:
    """Write a warning without the line of code that it came from."""
    sys.stderr.write(f"roadseg: {message}\n")


def explain(error: BaseException) -> tuple[str, int]:
    """Return the one sentence and the exit code of an error."""
    if isinstance(error, RoadsegError):
        return _sentence(error), 2
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "out of memory; use smaller pictures, a smaller batch, or another --device", 2
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full{_about(error)}; free some space or choose a folder on another disk", 2
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.strerror or error}{_about(error)}", 2
    first = next(iter(str(error).splitlines()), "")
    what = f"{type(error).__name__}: {first}" if first else type(error).__name__
    return (
        f"unexpected {what}; this is a fault of roadseg: run again with --debug and report what it shows",
        FAULT,
    )


def command_class(name: str) -> type[Command]:
    """Return the class of a command, importing its file."""
    module, _, attribute = COMMANDS[name].partition(":")
    found: type[Command] = getattr(importlib.import_module(module), attribute)
    return found


def _run(arguments: list[str]) -> int:
    first, second = [*arguments, "--help", "--help"][:2]
    if first in ("-V", "--version"):
        sys.stdout.write(f"roadseg {__version__}\n")
        return 0
    if first in _HELP:
        return _overview("")
    is_group = any(command.startswith(f"{first} ") for command in COMMANDS)
    if is_group and second in _HELP:
        return _overview(f"{first} ")
    name = f"{first} {second}" if is_group else first
    if name not in COMMANDS:
        raise _unknown(name)
    return _parse(name, arguments[len(name.split()) :]).run()


def _parse(name: str, arguments: list[str]) -> Command:
    import tyro

    command = command_class(name)
    parse = getattr(command, "from_arguments", None)
    if parse is not None:
        found: Command = parse(arguments)
        return found
    return tyro.cli(command, prog=f"roadseg {name}", args=arguments, description=description(command))


def description(command: type) -> str:
    """Return a class's docstring up to its attributes: what stands above the flags in a command's help."""
    return inspect.cleandoc(command.__doc__ or "").partition("\nAttributes:")[0].rstrip()


def _unknown(name: str) -> RoadsegError:
    close = difflib.get_close_matches(name, COMMANDS, n=1)
    known = "`roadseg --help` lists the commands"
    return RoadsegError(
        f"there is no command {name!r}",
        remedy=f"did you mean `roadseg {close[0]}`? {known}" if close else known,
    )


def _overview(group: str) -> int:
    """Print all commands, or those of a group, each with the first line of its help."""
    from rich.table import Table

    from roadseg.cli.terminal import Terminal

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
    table.add_column(style="bold cyan", no_wrap=True)
    table.add_column()
    for name in COMMANDS:
        if name.startswith(group):
            table.add_row(name, (command_class(name).__doc__ or name).splitlines()[0].rstrip("."))
    terminal = Terminal()
    if not group:
        terminal.say(f"roadseg {__version__}: a street photo in, an honest label map out", "")
    terminal.say(
        f"usage: roadseg {group}COMMAND ...",
        "",
        table,
        "",
        f"`roadseg {group}COMMAND --help` shows its flags",
    )
    if not group:
        terminal.say(
            "", "start with:  roadseg predict street.jpg     (or, with no picture at hand:  roadseg demo)"
        )
    return 0


def _sentence(error: RoadsegError) -> str:
    lines = str(error).strip().splitlines()
    if any("Traceback" in line for line in lines):
        # From a loader process torch re-raises the error with the whole traceback as its text; the last line is ours.
        lines = [re.sub(r"^[\w.]+: ", "", lines[-1])]
    return " ".join(line.strip() for line in lines)


def _about(error: OSError) -> str:
    return "" if error.filename is None else f" ({error.filename})"
