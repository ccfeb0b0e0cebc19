"""``roadseg data check``: read a whole data set before it is trained on."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.table import Table

from roadseg.cli.terminal import Talk, Terminal, percent

if TYPE_CHECKING:
    from roadseg.data.check import Report

__all__ = ["DataCheck"]


@dataclass(frozen=True, kw_only=True)
class DataCheck:
    """Read every pair of a data set and say what is wrong with it.

    Exit code 1 when it cannot be used as it is.

        roadseg data check camvid/
        roadseg data check data.yaml --splits train val --json

    Attributes:
        path: Folder of a data set or its data.yaml; NAME:PATH forces a layout.
        splits: Splits to read (default: all).
        workers: Threads that read (default: one per processor, at most 8).
    """

    path: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DIR_OR_YAML", help_behavior_hint="")]
    splits: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...", help_behavior_hint="")] = ()
    workers: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")] = None
    terminal: Talk = field(default_factory=Terminal)

    def run(self) -> int:
        """Read everything; 1 when the data set is unusable."""
        from roadseg.data import open_source
        from roadseg.data.check import check

        source = open_source(self.path)
        with self.terminal.progress("reading", 1) as bar:
            report = check(source, self.splits or None, workers=self.workers, progress=bar.update)
        self.terminal.emit(report.to_json())
        self.terminal.say(f"{report.name} in {report.root}, label space {report.space}", _table(report))
        for note in report.notes:
            self.terminal.say(f"note: {note}")
        for problem in report.problems:
            self.terminal.say(f"problem: {problem}")
        verdict = "usable" if report.usable else f"not usable: {len(report.findings)} things to put right"
        self.terminal.say(verdict)
        return 0 if report.usable else 1


def _table(report: "Report") -> Table:
    """Return counts and sizes of the splits, and how often each class occurs in them, in percent."""
    table = Table(box=None)
    table.add_column("")
    for name in report.splits:
        table.add_column(name, justify="right")
    splits = report.splits.values()
    table.add_row("images", *(str(split.images) for split in splits))
    table.add_row("with label", *(str(split.labeled) for split in splits))
    table.add_row("sizes", *(_sizes(split.sizes) for split in splits))
    frequencies = [split.frequencies for split in splits]
    for name in frequencies[0] if frequencies else ():
        table.add_row(f"{name} %", *(percent(shares.get(name), 2) for shares in frequencies))
    table.add_row("ignored %", *(percent(split.ignore_share, 2) for split in splits), style="dim")
    return table


def _sizes(sizes: "dict[str, int] | object") -> str:
    names = list(sizes) if isinstance(sizes, dict) else []
    return f"{names[0]} and {len(names) - 1} more" if len(names) > 1 else "".join(names)
