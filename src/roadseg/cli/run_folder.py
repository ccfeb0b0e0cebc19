"""The folder of a training run, before and after it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from roadseg.cli.entry import INTERRUPTED
from roadseg.errors import OutputError

if TYPE_CHECKING:
    from roadseg.training import FitResult

__all__ = ["check_free", "exit_code", "is_first", "was_stopped"]


def is_first() -> bool:
    """Return whether this is the process that speaks for all of a run."""
    return os.environ.get("RANK", "0") == "0"


def check_free(out: Path) -> None:
    """Refuse a folder that a new run would overwrite another's files in.

    Raises:
        OutputError: It holds a run.
    """
    from roadseg.media.run_files import STATE

    if (out / STATE).exists():
        raise OutputError(
            "holds a run already",
            where=out,
            remedy="go on with it by --resume, or choose another folder with -o",
        )


def was_stopped(result: "FitResult", max_steps: int | None) -> bool:
    """Return whether a run ended before the step that was asked for."""
    return not result.finished and (max_steps is None or result.steps < max_steps)


def exit_code(result: "FitResult", max_steps: int | None) -> int:
    """Return the exit code of a run; one that was stopped ends like any interrupted command, and says how to go on.

    Raises:
        KeyboardInterrupt: It was stopped, and this is the process that speaks for all.
    """
    if not was_stopped(result, max_steps):
        return 0
    if not is_first():
        return INTERRUPTED
    stop = KeyboardInterrupt()
    stop.add_note(f"the state of step {result.steps} is saved: go on with the same command and --resume")
    raise stop
