"""``roadseg scoreboard``: networks by data sets, one table of scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from rich.table import Table

from roadseg.cli.scoreboard_runs import DataSet, Network, Protocol, Regime, Trials, check_titles, titled
from roadseg.cli.terminal import Flag, Talk, Terminal
from roadseg.errors import InputError

if TYPE_CHECKING:
    from roadseg.reporting.scoreboard import Published, Row
    from roadseg.reporting.scoreboard import Scoreboard as Board

__all__ = ["Scoreboard"]

Found = Mapping[tuple[str, str, int], Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Scoreboard:
    """Score weights on many data sets, as one table with means.

    Every score is kept in --folder: a run that was interrupted goes on where it stopped, and none is computed twice.

        roadseg scoreboard a.safetensors b.safetensors --data camvid/ kitti/ --split val train -o table.md
        roadseg scoreboard MSeg-1m=w.safetensors --data voc/ wilddash/ --published mseg-zero-shot
        torchrun --nproc-per-node 4 -m roadseg scoreboard w.safetensors --data camvid/ kitti/

    Attributes:
        weights: Names of bundled weights, or files; NAME=FILE names a row.
        data: Data sets: folder, data.yaml or LAYOUT:PATH; NAME=... names a column.
        split: Split to score on: the first of these that a data set has labels for.
        regime: zero-shot: in the data set's classes, by sums of probabilities. training: in the network's, without
            those that the data set's labels cannot be. oracle: only where both are the same.
        original: Relabeled data sets with their labels before relabeling (MSeg), as NAME=DIR.
        base: Lengths of the image's shorter side in pixels; the best score is taken for each data set.
        scales: Factors of that length, averaged.
        flip: Average with the mirrored image.
        window: Side of square sliding windows in pixels; 0 for whole images.
        absent: A class without truth.
        published: A published table to compare with: mseg-zero-shot, mseg-zero-shot-multi-scale, mseg-training; with
            :ROW, one of its networks (default: that of the weights' name, else its best).
        folder: Where scores are kept.
        out: Also write the table: .md, .tex, .html or .json.
        device: auto, cpu, cuda, cuda:1 or mps.
        trust_code: Run networks that weights name as package.module:callable.
        workers: Processes that load images.
    """

    weights: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="[NAME=]WEIGHTS ...", help_behavior_hint=""),
    ]
    data: Annotated[tuple[str, ...], tyro.conf.arg(metavar="[NAME=]DIR ...", help_behavior_hint="(required)")]
    split: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")] = ("val",)
    regime: Regime = "zero-shot"
    original: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=DIR ...", help_behavior_hint="")] = ()
    base: Annotated[tuple[int, ...], tyro.conf.arg(metavar="PX ...")] = (360, 720, 1080)
    scales: Annotated[tuple[float, ...], tyro.conf.arg(metavar="S ...")] = (1.0,)
    flip: Flag = False
    window: Annotated[int, tyro.conf.arg(metavar="PX")] = 713
    absent: Literal["left-out", "zero-if-predicted", "zero"] = "zero"
    published: Annotated[str | None, tyro.conf.arg(metavar="TABLE[:ROW]", help_behavior_hint="")] = None
    folder: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("scoreboard")
    out: Annotated[
        tuple[Path, ...], tyro.conf.arg(aliases=["-o"], metavar="FILE ...", help_behavior_hint="")
    ] = ()
    device: str = "auto"
    trust_code: Flag = False
    workers: int = 0
    terminal: Talk = field(default_factory=Terminal)

    def run(self) -> int:
        """Score, and print or write the table; 1 where some score could not be had."""
        from roadseg.inference.pipeline import Shard

        self._check()
        shard = Shard.from_environment()
        terminal = self.terminal if shard.rank == 0 else replace(self.terminal, quiet=True)
        protocol = Protocol(self.regime, self.scales, self.flip, self.window, self.absent)
        trials = Trials(protocol, self.folder, shard, self.device, self.trust_code, self.workers, terminal)
        networks = self._networks()
        try:
            data = self._open(trials)
            found = trials.run(networks, data, self.base)
        except KeyboardInterrupt as stop:
            stop.add_note(f"scores so far are in {self.folder}: the same command goes on from there")
            raise
        finally:
            shard.leave()
        if shard.rank == 0:
            self._report(networks, data, found, trials)
        return 1 if trials.failed else 0

    def _check(self) -> None:
        """Refuse what cannot succeed before anything is computed."""
        from roadseg.inference.quality import mseg_protocol
        from roadseg.reporting.scoreboard import FORMS

        if not self.weights or not self.data or not self.base:
            raise InputError(
                "there is nothing to score",
                remedy="give weights, --data and --base, for example roadseg scoreboard w.safetensors --data camvid/",
            )
        for base in self.base:
            mseg_protocol(base, self.scales, window=self.window)
        for path in self.out:
            if path.suffix not in FORMS:
                raise InputError(
                    "is of no form that a table can have", where=path, remedy=f"end it in {', '.join(FORMS)}"
                )
        if unnamed := [text for text in self.original if not titled(text)[0]]:
            raise InputError(
                f"{unnamed[0]!r} does not say which data set it belongs to",
                where="--original",
                remedy="give NAME=DIR with a name of --data",
            )
        self._table()

    def _table(self) -> "tuple[Published, str] | None":
        """Return the published table that is wanted, and the row; empty for the one like ours."""
        from roadseg.reporting.scoreboard import published

        if self.published is None:
            return None
        name, _, row = self.published.partition(":")
        table = published(name)
        if row:
            table.row(row, ())
        return table, row

    def _networks(self) -> list[Network]:
        pairs = [titled(text) for text in self.weights]
        networks = [Network(title or _name_of(weights), weights) for title, weights in pairs]
        check_titles([network.title for network in networks], "networks")
        return networks

    def _open(self, trials: Trials) -> list[DataSet]:
        """Open the data sets; those that cannot be opened are reported, and have no column."""
        before = dict(titled(text) for text in self.original)
        data = []
        for text in self.data:
            one = trials.attempt(text, lambda text=text: DataSet.open(text, before, self.split))  # type: ignore[misc]
            data += [] if one is None else [one]
        titles = [one.title for one in data]
        check_titles(titles, "data sets")
        if not trials.failed and (strange := sorted(set(before) - set(titles))):
            raise InputError(
                f"there is no data set {strange[0]!r}",
                where="--original",
                remedy=f"the names of --data are {', '.join(titles)}",
            )
        return data

    def _report(
        self, networks: Sequence[Network], data: Sequence[DataSet], found: Found, trials: Trials
    ) -> None:
        """Write and print the table."""
        from roadseg.media import write_json, write_text
        from roadseg.reporting.scoreboard import Scoreboard as Board
        from roadseg.reporting.scoreboard import rendered

        board = Board(
            tuple(one.title for one in data),
            tuple(self._rows(networks, data, found)),
            tuple(self._notes(data, found)),
        )
        result = {**board.to_json(), "scores": [_record(key, score) for key, score in found.items()]}
        result["failed"] = trials.failed
        for path in self.out:
            if path.suffix == ".json":
                write_json(path, result)
            else:
                write_text(path, rendered(board, path.suffix))
        self.terminal.emit(result)
        self.terminal.say(_terminal_table(board), *board.notes)
        kept = len(found) - trials.computed
        self.terminal.note(f"{trials.computed} scores computed, {kept} found in {self.folder}")
        for sentence in trials.failed:
            self.terminal.warn(sentence)

    def _rows(self, networks: Sequence[Network], data: Sequence[DataSet], found: Found) -> "list[Row]":
        from roadseg.reporting.scoreboard import Row, best_of

        table = self._table()
        rows = []
        for network in networks:
            cells = []
            for one in data:
                scores = {base: found.get((network.title, one.title, base)) for base in self.base}
                known = {base: None if score is None else score["miou"] for base, score in scores.items()}
                cells.append(best_of(known))
            rows.append(Row.of(network.title, cells))
        if self.regime == "oracle" and len(rows) > 1:
            best = [
                max(column, key=lambda cell: cell.score or 0)
                for column in zip(*(r.cells for r in rows), strict=True)
            ]
            rows.append(Row.of("oracles", best))
        if table is None:
            return rows
        beside = []
        for row in rows:
            name = table[1] or table[0].row_like(row.name)
            other = table[0].row(name, [_column_of(one, table[0]) for one in data])
            beside += [row, other, row.minus(other)]
        return beside

    def _notes(self, data: Sequence[DataSet], found: Found) -> list[str]:
        several = len(self.base) > 1
        sizes = ", ".join(map(str, self.base))
        notes = [
            f"Mean IoU in percent, {self.regime}"
            + (f"; the best of {sizes} pixels for the shorter side, the one in brackets." if several else ".")
        ]
        for one in data:
            scores = [score for (_, title, _), score in found.items() if title == one.title]
            text = scores[0]["protocol"]["text"] if scores else "not scored"
            if several and scores:
                text = text.replace(f"of short side {scores[0]['base']}", "of the short side")
            notes.append(f"{one.title}: {text}.")
        if (table := self._table()) is not None:
            notes.append(f"Published: {table[0].title}; {table[0].protocol}. {table[0].source}.")
            if table[0].regime != self.regime:
                notes.append(f"The published scores are of regime {table[0].regime}, ours are {self.regime}.")
        return notes


def _name_of(weights: str) -> str:
    """Return what weights are called; the names of those that are bundled have dots of their own."""
    from roadseg.models.bundled import bundled_weights

    return weights if weights in bundled_weights() else Path(weights).stem


def _record(key: tuple[str, str, int], score: Mapping[str, Any]) -> dict[str, Any]:
    """Return what JSON says of one score."""
    chosen = ("miou", "pixel_accuracy", "mean_accuracy", "weights_sha256", "key", "protocol")
    return {"weights": key[0], "data": key[1], "base": key[2], **{name: score.get(name) for name in chosen}}


def _column_of(data: DataSet, table: "Published") -> str:
    """Return the column of a published table that a data set belongs to."""
    title = data.title.lower()
    for column, heading in table.columns.items():
        if title in (column, heading.lower()):
            return column
    return data.source.name


def _terminal_table(board: "Board") -> Table:
    head, *rows = board.grid()
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column(head[0], overflow="fold")
    for text in head[1:]:
        table.add_column(text, justify="right")
    for row, texts in zip(board.rows, rows, strict=True):
        table.add_row(*texts, style="dim" if row.kind == "published" else "")
    return table
