"""Networks by data sets: one table of scores with their means, beside published ones, in several forms."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any, Literal

from roadseg.errors import InputError
from roadseg.metrics.means import MEANS

__all__ = [
    "FORMS",
    "Cell",
    "Published",
    "Row",
    "Scoreboard",
    "best_of",
    "published",
    "published_names",
    "rendered",
]

Kind = Literal["ours", "published", "difference"]


@dataclass(frozen=True)
class Cell:
    """What one network reaches on one data set.

    Attributes:
        score: Mean IoU in 0..1, or a difference of two; None where it is not known.
        base: Length of the image's shorter side that gave it, in pixels; None where there is no choice.
        by_base: The scores of all lengths tried.
    """

    score: float | None = None
    base: int | None = None
    by_base: tuple[tuple[int, float], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"miou": self.score, "base": self.base, "by_base": {str(k): v for k, v in self.by_base}}


def best_of(by_base: Mapping[int, float | None]) -> Cell:
    """Return the best score over lengths of the shorter side, as MSeg reports it; of equal ones, that of the shortest."""
    known = tuple(sorted((base, score) for base, score in by_base.items() if score is not None))
    if not known:
        return Cell()
    base, score = max(known, key=lambda item: (item[1], -item[0]))
    return Cell(score, base if len(by_base) > 1 else None, known)


@dataclass(frozen=True)
class Row:
    """One network, ours or a published one, or how far ours is from that.

    Attributes:
        name: What it is called.
        cells: One for each data set.
        kind: Whose figures these are.
        means: Mean over data sets by the mean's name; empty where a score is missing, because a mean over fewer data
            sets is another figure.
    """

    name: str
    cells: tuple[Cell, ...]
    kind: Kind
    means: Mapping[str, float]

    @classmethod
    def of(cls, name: str, cells: Sequence[Cell], kind: Kind = "ours") -> "Row":
        """Return scores with their means."""
        scores = [cell.score for cell in cells if cell.score is not None]
        whole = len(scores) == len(cells) > 0
        means = {mean: function(scores) for mean, function in MEANS.items()} if whole else {}
        return cls(name, tuple(cells), kind, means)

    def minus(self, other: "Row") -> "Row":
        """Return how much better this row is than another."""
        cells = [
            Cell(None if a.score is None or b.score is None else a.score - b.score)
            for a, b in zip(self.cells, other.cells, strict=True)
        ]
        means = {name: value - other.means[name] for name, value in self.means.items() if name in other.means}
        return Row(f"{self.name} - {other.name}", tuple(cells), "difference", means)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        scores = [cell.to_json() for cell in self.cells]
        return {"name": self.name, "kind": self.kind, "scores": scores, "means": dict(self.means)}


@dataclass(frozen=True)
class Published:
    """A published table.

    Attributes:
        name: Name of its file.
        title: One line.
        source: Where it was published, and by whom.
        license: What may be done with it.
        regime: What kind of scores it holds: ``zero-shot`` or ``training``.
        protocol: How its scores came about.
        columns: Heading of each column, by the name of the data set's layout.
        rows: Scores in percent by the network's name; None where none was published.
    """

    name: str
    title: str
    source: str
    license: str
    regime: str
    protocol: str
    columns: Mapping[str, str]
    rows: Mapping[str, tuple[float | None, ...]]
    means: Mapping[str, float]

    def row_like(self, name: str) -> str:
        """Return the row that a name contains, or else the one of the best mean."""
        plain = _letters(name)
        alike = [row for row in self.rows if _letters(row) in plain]
        return max(alike, key=len) if alike else max(self.means, key=lambda row: self.means[row])

    def row(self, name: str, data: Sequence[str]) -> Row:
        """Return a row over some data sets, named by their layouts.

        Raises:
            InputError: There is no such row.
        """
        if name not in self.rows:
            raise InputError(
                f"has no row {name!r}",
                where=f"published table {self.name}",
                remedy=f"its rows are {', '.join(self.rows)}",
            )
        scores = dict(zip(self.columns, self.rows[name], strict=True))
        found = [scores.get(column) for column in data]
        cells = [Cell(None if score is None else score / 100) for score in found]
        return Row.of(f"published {name}", cells, "published")


@cache
def published_names() -> tuple[str, ...]:
    """Return the names of the published tables that come with roadseg."""
    entries = files("roadseg.reporting").joinpath("published").iterdir()
    return tuple(
        sorted(entry.name.removesuffix(".toml") for entry in entries if entry.name.endswith(".toml"))
    )


def published(name: str) -> Published:
    """Return a published table.

    Raises:
        InputError: There is none of that name.
    """
    if name not in published_names():
        raise InputError(
            f"there is no published table {name!r}", remedy=f"choose among {', '.join(published_names())}"
        )
    text = files("roadseg.reporting").joinpath("published", f"{name}.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    return Published(
        name=name,
        title=table["title"],
        source=table["source"],
        license=table["license"],
        regime=table["regime"],
        protocol=table["protocol"],
        columns={column["data"]: column["title"] for column in table["columns"]},
        rows={
            row["name"]: tuple(score if score >= 0 else None for score in row["scores"])
            for row in table["rows"]
        },
        means={row["name"]: row["mean"] for row in table["rows"] if "mean" in row},
    )


@dataclass(frozen=True)
class Scoreboard:
    """Networks by data sets.

    Attributes:
        columns: Headings of the data sets.
        rows: The networks; below each, the published one that it is compared with.
        notes: What is to be known about the figures, in sentences.
    """

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    def grid(self, bold: tuple[str, str] = ("", "")) -> list[list[str]]:
        """Return the table as texts, the headings first; figures are percent.

        Args:
            bold: What stands before and after the best of our figures in each column, where there are several.
        """
        head = ["percent", *self.columns, *(f"{name} mean" for name in MEANS)]
        ours = [_values(row) for row in self.rows if row.kind == "ours"]
        best = [max((v for v in column if v is not None), default=None) for column in zip(*ours, strict=True)]
        found = [head]
        for row in self.rows:
            texts = [row.name]
            for place, value in enumerate(_values(row)):
                text = _text(value, signed=row.kind == "difference")
                if row.kind == "ours" and len(ours) > 1 and value is not None and value == best[place]:
                    text = f"{bold[0]}{text}{bold[1]}"
                base = row.cells[place].base if place < len(row.cells) else None
                texts.append(text if base is None else f"{text} ({base})")
            found.append(texts)
        return found

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        rows = [row.to_json() for row in self.rows]
        return {"columns": list(self.columns), "rows": rows, "notes": list(self.notes)}


def rendered(board: Scoreboard, form: str) -> str:
    """Return a scoreboard as a text of one of `FORMS`."""
    return {".md": _markdown, ".tex": _latex, ".html": _html}[form](board)


FORMS = (".md", ".tex", ".html", ".json")
"""Suffixes of the files that a scoreboard can be written to."""


def _markdown(board: Scoreboard) -> str:
    head, *rows = [[text.replace("|", "\\|") for text in row] for row in board.grid(("**", "**"))]
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return "\n\n".join([table, *board.notes]) + "\n"


def _latex(board: Scoreboard) -> str:
    # The marks of bold are put in after other signs have been escaped.
    head, *rows = [[_tex(text) for text in row] for row in board.grid(("\x02", "\x03"))]
    lines = [f"{' & '.join(row)} \\\\" for row in rows]
    notes = [f"% {note}" for note in board.notes]
    parts = [
        *notes,
        f"\\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
        "\\toprule",
        f"{' & '.join(head)} \\\\",
        "\\midrule",
        *lines,
        "\\bottomrule",
        "\\end{tabular}",
    ]
    return "\n".join(parts) + "\n"


def _tex(text: str) -> str:
    for sign in "&%_#":
        text = text.replace(sign, f"\\{sign}")
    return text.replace("\x02", "\\textbf{").replace("\x03", "}")


def _html(board: Scoreboard) -> str:
    head, *rows = [[escape(text) for text in row] for row in board.grid(("\x02", "\x03"))]
    first = "".join(f"<th scope=col>{text}</th>" for text in head)
    body = "".join(
        f"<tr><th scope=row>{row[0]}</th>{''.join(f'<td>{text}</td>' for text in row[1:])}</tr>\n"
        for row in rows
    )
    body = body.replace("\x02", "<strong>").replace("\x03", "</strong>")
    style = files("roadseg.reporting").joinpath("assets", "report.css").read_text(encoding="utf-8")
    notes = "".join(f"<p>{escape(note)}</p>\n" for note in board.notes)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<title>roadseg scoreboard</title>\n'
        f"<style>\n{style}</style>\n</head>\n<body>\n<main>\n<h1>Scores on many data sets</h1>\n<table>\n"
        f"<thead><tr>{first}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n{notes}</main>\n</body>\n</html>\n"
    )


def _values(row: Row) -> list[float | None]:
    return [*(cell.score for cell in row.cells), *(row.means.get(name) for name in MEANS)]


def _text(value: float | None, *, signed: bool) -> str:
    if value is None:
        return "-"
    return f"{100 * value:+.1f}" if signed else f"{100 * value:.1f}"


def _letters(name: str) -> str:
    return "".join(sign for sign in name.lower() if sign.isalnum())
