"""Run folders read as rows of a table: what was varied, what came out, and whether it still goes on."""

import json
import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from roadseg.errors import InputError
from roadseg.media.run_files import METRICS, RESULT, RUN, STATE
from roadseg.recipes.changes import flat

__all__ = ["LOWER_IS_BETTER", "Metric", "Run", "differing", "find_runs", "names_of", "read_note", "read_run"]

MEMBER = "member.json"
LOWER_IS_BETTER = ("loss",)
RECENT_SECONDS = 600.0
"""A run saves its state twice as often: one whose files are older goes on no more."""

_STOPPED = (0, 130, -2)
"""Exit codes of a run that was told to stop: at a step, or by an interrupt."""

State = Literal["waiting", "running", "finished", "stopped", "failed"]

_ALIASES = {"accuracy": "pixel_accuracy"}
_OF_ROW = ("loss", "lr", "waiting", "val_mean_miou")
_NOT_COMPARED = ("paper", "expects")
_UNIONS = ("loss", "optim", "schedule", "sampling")


@dataclass(frozen=True)
class Metric:
    """One figure over a run.

    Attributes:
        last: Its latest value.
        best: Its highest value, or its lowest for those of `LOWER_IS_BETTER`.
        best_epoch: The epoch of that.
    """

    last: float
    best: float
    best_epoch: int | None


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a run folder tells.

    Attributes:
        folder: The folder.
        recipe: The recipe as JSON; empty where it is not known.
        rows: What was measured, one row per validation, in order.
        step: Optimizer steps up to the last row.
        steps: Optimizer steps of the whole run, or None where that is not known.
        epoch: Epochs up to the last row.
        seconds: Training time up to the last row, or to the end.
        state: ``running``: its process is alive, or its files are new where no process is known. ``stopped``: it can be
            resumed. ``failed``: its process ended with an error. ``waiting``: of a sweep, and not yet started.
        left: Estimated seconds to the end of a run that is running, or None.
        faults: What cannot be read, in sentences.
    """

    folder: Path
    recipe: Mapping[str, Any]
    rows: tuple[Mapping[str, Any], ...]
    step: int
    steps: int | None
    epoch: int | None
    seconds: float | None
    state: State
    left: float | None
    faults: tuple[str, ...] = ()

    def metric(self, name: str) -> Metric | None:
        """Return a figure by name, or None where it was never measured.

        Args:
            name: ``miou``, ``accuracy``, ``loss``, any other score or value of a row, a class (its IoU), or a path such
                as ``classes.pole.recall``. Case does not count.
        """
        found = [(value, row.get("epoch")) for row in self.rows if (value := _figure(row, name)) is not None]
        if not found:
            return None
        choose = min if name.lower() in LOWER_IS_BETTER else max
        best, epoch = choose(found, key=lambda pair: pair[0])
        return Metric(found[-1][0], best, epoch if isinstance(epoch, int) else None)

    def settings(self) -> dict[str, Any]:
        """Return the recipe's values by dotted name; ``kind`` only where there are several, as of losses."""
        return {
            "recipe" if name == "name" else name: value
            for name, value in flat(self.recipe).items()
            if name not in _NOT_COMPARED
            and (name.partition(".")[0] in _UNIONS or name.rpartition(".")[2] != "kind")
        }


def find_runs(root: Path) -> tuple[Path, ...]:
    """Return the run folders at and below a folder, sorted; hidden folders are left out.

    Raises:
        InputError: There is no such folder, or no run in it.
    """
    if not root.is_dir():
        raise InputError("is no folder", where=root, remedy="name a run's folder, or one that holds runs")
    found = []
    for place, folders, files in os.walk(root, followlinks=True):
        if RUN in files or MEMBER in files:
            found.append(Path(place))
            folders.clear()  # no run lies within another
        folders[:] = sorted(name for name in folders if not name.startswith("."))
    if not found:
        raise InputError("holds no run", where=root, remedy=f"a run's folder has a {RUN}")
    return tuple(sorted(found))


def read_run(folder: Path, now: float | None = None) -> Run:
    """Read a run folder, also one that is being written; what is damaged is left out and named.

    Args:
        folder: A folder that `find_runs` found.
        now: Seconds since 1970; None asks the clock.
    """
    now = time.time() if now is None else now
    faults: list[str] = []
    run, member, result = (_read_object(folder / name, faults) for name in (RUN, MEMBER, RESULT))
    rows = _read_rows(folder / METRICS, faults)
    recipe = run.get("recipe") or member.get("recipe")
    recipe = recipe if isinstance(recipe, Mapping) else {}
    last = rows[-1] if rows else {}
    step, steps = int(last.get("step", 0)), _total_steps(run, recipe, last)
    done = result.get("finished") is True or (steps is not None and step >= steps > 0)
    state: State = "finished" if done else _state(folder, run, member, now)
    seconds = _number(result.get("seconds") if state == "finished" else None) or _number(last.get("seconds"))
    left = None
    if state == "running" and steps is not None and step and seconds is not None:
        since = now - (_modified(folder / METRICS) or now)
        left = max(0.0, (steps - step) * seconds / step - since)
    epoch = last.get("epoch")
    return Run(
        folder=folder,
        recipe=recipe,
        rows=rows,
        step=step,
        steps=steps,
        epoch=epoch if isinstance(epoch, int) else None,
        seconds=seconds,
        state=state,
        left=left,
        faults=tuple(faults),
    )


def read_note(folder: Path) -> Mapping[str, Any]:
    """Return what a sweep noted of a run, ``member.json``; empty where there is none or it is damaged."""
    return _read_object(folder / MEMBER, [])


def differing(runs: Sequence[Run]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return the names of the settings that differ between runs, and the values of those that do not.

    Runs whose recipe is not known do not count.
    """
    known = [settings for run in runs if (settings := run.settings())]
    differ: list[str] = []
    common: dict[str, Any] = {}
    for name in dict.fromkeys(name for settings in known for name in settings):
        values = [settings.get(name) for settings in known]
        if all(value == values[0] for value in values):
            common[name] = values[0]
        else:
            differ.append(name)
    return tuple(differ), common


def _figure(row: Mapping[str, Any], name: str) -> float | None:
    """Return a figure of one row, or None where the row has none of that name."""
    wanted = _ALIASES.get(name.lower(), name.lower())
    if wanted in _OF_ROW:
        return _number(row.get(wanted))
    scores = row.get("val")
    scores = scores if isinstance(scores, Mapping) else {}
    for group in (scores, scores.get("classes"), scores.get("categories")):
        if isinstance(group, Mapping):
            value = {str(key).lower(): item for key, item in group.items()}.get(wanted)
            if isinstance(value, Mapping):
                value = value.get("iou")
            if (number := _number(value)) is not None:
                return number
    return _number({key.lower(): value for key, value in flat(scores).items()}.get(wanted))


def _state(folder: Path, run: Mapping[str, Any], member: Mapping[str, Any], now: float) -> State:
    """Tell how a run stands that is not at its end; see `Run` for what the states mean."""
    touched = max(_modified(folder / name) or 0.0 for name in (RUN, METRICS, STATE))
    if member and touched <= (_modified(folder / MEMBER) or 0.0):  # nobody went on with the run since
        if (code := member.get("exit")) is not None:
            return "stopped" if code in _STOPPED else "failed"
        if member.get("submitted"):
            return "waiting"
    for process in (member, run):
        if (alive := _is_alive(process)) is not None:
            return "running" if alive else ("stopped" if touched else "failed")
    if not touched:
        return "waiting"
    return "running" if now - touched < RECENT_SECONDS else "stopped"


def _is_alive(note: Mapping[str, Any]) -> bool | None:
    """Tell whether the process that a file names by ``pid`` and ``host`` is alive; None where nobody can know."""
    pid = note.get("pid")
    if not isinstance(pid, int) or note.get("host") != platform.node() or note.get("exit") is not None:
        return None
    try:
        # Numbers of processes are given out again: that of a sweep's run names its folder.
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        return bool(words) and os.fsencode(str(note.get("folder", ""))) in words
    except OSError:
        if Path("/proc/self").exists():
            return False
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _total_steps(run: Mapping[str, Any], recipe: Mapping[str, Any], last: Mapping[str, Any]) -> int | None:
    for value in (run.get("steps"), recipe.get("steps")):
        if isinstance(value, int) and value > 0:
            return value
    epochs, per_epoch = recipe.get("epochs"), run.get("steps_per_epoch")
    if not isinstance(per_epoch, int) and last.get("epoch"):
        per_epoch = int(last["step"]) // int(last["epoch"])
    return epochs * per_epoch if isinstance(epochs, int) and isinstance(per_epoch, int) else None


def _read_object(path: Path, faults: list[str]) -> Mapping[str, Any]:
    """Return a JSON object; an empty one where the file does not exist, and a fault where it is damaged."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        data = None
    except OSError as error:
        faults.append(f"{path}: cannot be read ({error.strerror})")
        return {}
    if not isinstance(data, Mapping):
        faults.append(f"{path}: is damaged")
        return {}
    return data


def _read_rows(path: Path, faults: list[str]) -> tuple[Mapping[str, Any], ...]:
    """Return the rows of a file; the last one may be half-written, others that are damaged are faults."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ()
    except OSError as error:
        faults.append(f"{path}: cannot be read ({error.strerror})")
        return ()
    lines = text.split("\n")
    rows = []
    for number, line in enumerate(lines, start=1):
        row = _row(line)
        if row is not None:
            rows.append(row)
        elif line.strip() and number < len(lines):
            faults.append(f"{path}: line {number} is damaged")
    return tuple(rows)


def _row(line: str) -> Mapping[str, Any] | None:
    with suppress(ValueError):
        row = json.loads(line)
        if isinstance(row, Mapping) and isinstance(row.get("step"), int):
            return row
    return None


def _number(value: object) -> float | None:
    """Return a finite number; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < float("inf") else None


def _modified(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def names_of(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the names that `Run.metric` knows in rows, for whoever asked for another."""
    for row in rows:
        yield from (name for name in _OF_ROW if name in row)
        scores = row.get("val")
        if isinstance(scores, Mapping):
            yield from (name for name, value in scores.items() if _number(value) is not None)
            classes = scores.get("classes")
            yield from classes if isinstance(classes, Mapping) else ()
