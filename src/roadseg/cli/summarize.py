"""``roadseg summarize``: training runs beside each other, with what was varied and what came of it."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from rich.table import Table
from rich.text import Text

from roadseg.cli.terminal import Flag, Talk, Terminal, percent
from roadseg.errors import InputError

if TYPE_CHECKING:
    from roadseg.reporting.runs import Run

__all__ = ["Summarize"]

_MOST_SETTINGS = 8  # columns that a terminal still shows
_PLAIN = ("loss", "lr")  # no shares of one
_EMPTY: tuple[object, ...] = (None, "", [], {}, False)
_TITLES = {"miou": "mIoU"}
_COLORS = {"finished": "green", "running": "cyan", "failed": "red"}


@dataclass(frozen=True, kw_only=True)
class Summarize:
    """Compare training runs, finished or in progress.

        roadseg summarize runs/lr
        roadseg summarize runs/ --metric miou pole loss --sort best_pole --csv runs.csv

    Each DIR is a sweep, a run, or any folder above runs. Scores are those of the validations.

    Attributes:
        folders: Where to look for runs.
        metric: Scores to show: miou, accuracy, loss, lr, a class (its IoU), classes.pole.recall and the like.
        sort: A column of the CSV file to sort by, highest first: best_miou, miou, seconds, optim.lr and the like.
        ascending: Lowest first.
        csv: Also write the table, with every setting that differs, to this file.
    """

    folders: Annotated[
        tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="DIR ...", help_behavior_hint="")
    ]
    metric: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...", help_behavior_hint="")] = (
        "miou",
        "accuracy",
        "loss",
    )
    sort: Annotated[str, tyro.conf.arg(metavar="COLUMN", help_behavior_hint="")] = ""
    ascending: Flag = False
    csv: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    terminal: Talk = field(default_factory=Terminal)

    def run(self) -> int:
        """Read, sort and tell; 1 where some file is damaged."""
        from roadseg.media import write_text
        from roadseg.reporting.runs import differing

        if not self.folders:
            raise InputError("no folder is given", remedy="for example roadseg summarize runs/")
        runs = dict(_named_runs(self.folders))
        self._check_metrics(list(runs.values()))
        settings, common = differing(list(runs.values()))
        rows = self._sorted([_row(name, run, settings, self.metric) for name, run in runs.items()])
        faults = [fault for run in runs.values() for fault in run.faults]
        if self.csv is not None:
            write_text(self.csv, _csv_text(rows))
        records = [{**row, "folder": runs[row["run"]].folder} for row in rows]
        self.terminal.emit({"common": common, "differing": settings, "runs": records, "faults": faults})
        alike = " ".join(f"{name}={_text(value)}" for name, value in common.items() if value not in _EMPTY)
        if alike and len(rows) > 1:
            self.terminal.say(Text(f"all: {alike}", "dim"), "")
        self.terminal.say(_table(rows, runs, settings[:_MOST_SETTINGS], self.metric))
        if hidden := settings[_MOST_SETTINGS:]:
            self.terminal.note(
                f"{len(hidden)} more settings differ, see --csv or --json: {', '.join(hidden)}"
            )
        for fault in faults:
            self.terminal.warn(fault)
        return 1 if faults else 0

    def _check_metrics(self, runs: "Sequence[Run]") -> None:
        """Refuse names that none of the runs knows, if any was validated at all."""
        from roadseg.reporting.runs import names_of

        known = tuple(dict.fromkeys(chain.from_iterable(names_of(run.rows) for run in runs)))
        for name in self.metric if known else ():
            if name not in type(self).metric and not any(run.metric(name) for run in runs):
                raise InputError(
                    f"no run has a score {name!r}",
                    where="--metric",
                    remedy=f"choose among {', '.join(known)}",
                )

    def _sorted(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the rows by the wanted column, those without a value last."""
        from roadseg.reporting.runs import LOWER_IS_BETTER

        first = self.metric[0] if self.metric else ""
        column = self.sort or (f"best_{first}" if first else "run")
        if column not in rows[0]:
            raise InputError(
                f"there is no column {column!r}", where="--sort", remedy=f"choose among {', '.join(rows[0])}"
            )
        lowest_first = self.ascending or (not self.sort and first in ("", *LOWER_IS_BETTER))
        known = [row for row in rows if row[column] is not None]
        known.sort(key=lambda row: _order(row[column]), reverse=not lowest_first)
        return known + [row for row in rows if row[column] is None]


def _named_runs(folders: Sequence[Path]) -> "Iterator[tuple[str, Run]]":
    """Yield every run once: by its path below the folder that was given, or by its whole path if several were."""
    from roadseg.reporting.runs import find_runs, read_run

    seen: set[Path] = set()
    for root in folders:
        for folder in find_runs(root):
            place = folder.resolve()
            if place in seen:
                continue
            seen.add(place)
            below = folder if len(folders) > 1 else folder.relative_to(root)
            yield (place.name if below == Path() else below.as_posix()), read_run(folder)


def _row(name: str, run: "Run", settings: Sequence[str], metrics: Sequence[str]) -> dict[str, Any]:
    """Return a run as a row of the CSV file."""
    values = run.settings()
    row: dict[str, Any] = {"run": name, **{key: values.get(key) for key in settings}}
    for key in metrics:
        found = run.metric(key)
        row[key] = None if found is None else found.last
        row[f"best_{key}"] = None if found is None else found.best
        row[f"best_{key}_epoch"] = None if found is None else found.best_epoch
    return row | {
        "epoch": run.epoch,
        "step": run.step,
        "total_steps": run.steps,
        "seconds": run.seconds,
        "left": run.left,
        "state": run.state,
    }


def _table(
    rows: Sequence[Mapping[str, Any]],
    runs: "Mapping[str, Run]",
    settings: Sequence[str],
    metrics: Sequence[str],
) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("run", overflow="fold")
    for name in settings:
        table.add_column(name.removesuffix(".kind"), justify="right", overflow="fold")
    for name in metrics:
        table.add_column(_TITLES.get(name.lower(), name), justify="right", no_wrap=True)
        table.add_column("best", justify="right", no_wrap=True)
    for name in ("epoch", "time", "left"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for row in rows:
        figures = ((_score(name, row[name]), _score(name, row[f"best_{name}"])) for name in metrics)
        table.add_row(
            Text(row["run"]),
            *(_text(row[name]) for name in settings),
            *chain.from_iterable(figures),
            _epochs(runs[row["run"]]),
            _clock(row["seconds"]),
            _clock(row["left"]),
            Text(row["state"], _COLORS.get(row["state"], "")),
        )
    return table


def _epochs(run: "Run") -> str:
    """Return the last epoch, and of how many where the run is not at its end."""
    if run.epoch is None:
        return "-"
    planned = run.recipe.get("epochs")
    return str(run.epoch) if planned in (None, run.epoch) else f"{run.epoch}/{planned}"


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _score(name: str, value: float | None) -> str:
    if value is None or (abs(value) <= 1 and name.lower() not in _PLAIN):
        return percent(value, 2)
    return f"{value:.4g}"


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, list | tuple):
        return "x".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _order(value: object) -> tuple[int, float, str]:
    """Return what to sort a value by: numbers by their size, and before texts."""
    return (0, float(value), "") if isinstance(value, int | float) else (1, 0.0, _text(value))


def _csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(rows[0])
    for row in rows:
        writer.writerow(_text(value) if isinstance(value, list | tuple) else value for value in row.values())
    return buffer.getvalue()
