"""``roadseg labels``: the label spaces, what differs between two, and the maps between them."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from rich.table import Table
from rich.text import Text

from roadseg.cli.terminal import Talk, Terminal

if TYPE_CHECKING:
    from roadseg.labels import Class, LabelMap, LabelSpace

__all__ = ["Labels"]

_SPACES = {"list": 0, "show": 1, "diff": 2, "map": 2}  # label spaces that follow each word


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Show label spaces, their classes, and the maps between them.

        roadseg labels list
        roadseg labels show cityscapes-19
        roadseg labels diff cityscapes-19 my-space.toml
        roadseg labels map mseg-194 camvid-11

    A label space is a name of the list, or a .toml file of your own. `roadseg labels SPACE [--to SPACE]` does the same
    as show and map.

    Attributes:
        words: list, show SPACE, diff SPACE SPACE or map SPACE SPACE; without one, list.
        to: Show what each class becomes in this label space.
    """

    words: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[SPACE...]", help_behavior_hint="")
    ] = ()
    to: Annotated[str | None, tyro.conf.arg(metavar="SPACE", help_behavior_hint="")] = None
    terminal: Talk = field(default_factory=Terminal)

    def run(self) -> int:
        """Print the spaces, one space, the difference of two, or one map."""
        from roadseg.labels import label_map, space, space_names

        verb, names = self._request()
        if verb == "list":
            self._list(space_names())
        elif verb == "show":
            self._show(names[0])
        elif verb == "diff":
            self._diff(space(names[0]), space(names[1]))
        else:
            self._map(label_map(names[0], names[1]))
        return 0

    def _request(self) -> tuple[str, tuple[str, ...]]:
        """Return the word that says what to do, and the label spaces to do it with."""
        from roadseg.errors import LabelError

        words = self.words or ("list",)
        if words[0] not in _SPACES:
            words = ("show", *words)
        verb, names = words[0], words[1:]
        if self.to is not None:
            if verb != "show" or not names:
                raise LabelError(
                    "--to needs a label space to start from", remedy="`roadseg labels SPACE --to SPACE`"
                )
            verb, names = "map", (*names, self.to)
        if len(names) != _SPACES[verb]:
            usage = " ".join(["roadseg labels", verb, *["SPACE"] * _SPACES[verb]])
            raise LabelError(f"{len(names)} label spaces after {verb}", remedy=f"`{usage}`")
        return verb, names

    def _list(self, names: tuple[str, ...]) -> None:
        from roadseg.labels import space, space_note

        table = Table("name", "classes", "ignored id", "what it is", box=None)
        rows: list[dict[str, Any]] = []
        for name in names:
            item, title = space(name), space_note(name).title
            table.add_row(name, str(item.num_classes), str(item.ignore), title)
            rows.append({"name": name, "classes": item.num_classes, "ignore": item.ignore, "title": title})
        self.terminal.say(
            table, "", "`roadseg labels show NAME` shows the classes, `roadseg labels map NAME NAME` a map"
        )
        self.terminal.emit({"spaces": rows})

    def _show(self, name: str) -> None:
        from roadseg.labels import label_map, space, space_note, space_origins

        item, note = space(name), space_note(name)
        origins = space_origins(item.name)
        table = Table("id", "color", "name", "group", "instances", box=None)
        for entry in item.classes:
            table.add_row(*_cells(entry), entry.group, "yes" if entry.has_instances else "")
        said = [f"ignored id {item.ignore}"]
        said += [
            f"{what}: {text}" for what, text in (("source", note.source), ("license", note.license)) if text
        ]
        lines: list[str | Table] = [
            f"{item.name}: {note.title or f'{item.num_classes} classes'}",
            table,
            "",
            "; ".join(said),
        ]
        report = label_map(note.parent, item).report() if note.parent else None
        if report is not None:
            lines += [f"made from {note.parent}. {' '.join(report.sentences())}"]
        if origins:
            lines += [f"maps lead here from {', '.join(origins)}"]
        self.terminal.say(*lines)
        self.terminal.emit(
            {
                **item.to_json(),
                "fingerprint": item.fingerprint,
                "title": note.title,
                "source": note.source,
                "license": note.license,
                "parent": note.parent or None,
                "from_parent": None if report is None else report.to_json(),
                "origins": list(origins),
            }
        )

    def _diff(self, one: "LabelSpace", two: "LabelSpace") -> None:
        there = {item.name: item for item in two.classes}
        pairs = [(item, there.pop(item.name, None)) for item in one.classes]
        table = Table("id", "color", one.name, "id", "color", two.name, "what differs", box=None)
        rows: list[dict[str, Any]] = []
        for a, b in [*pairs, *((None, item) for item in there.values())]:
            what = _difference(a, b, one.name, two.name)
            if what:
                table.add_row(*_cells(a), *_cells(b), ", ".join(what))
            rows.append({"name": (a or b).name, "in": [a is not None, b is not None], "differs": what})  # type: ignore[union-attr]
        same = sum(not row["differs"] for row in rows)
        if same < len(rows):
            self.terminal.say(table, "")
        self.terminal.say(
            f"{same} of {one.num_classes} and {two.num_classes} classes are the same; "
            f"ignored ids {one.ignore} and {two.ignore}",
        )
        self.terminal.emit(
            {
                "spaces": [one.name, two.name],
                "ignore": [one.ignore, two.ignore],
                "same": same,
                "classes": rows,
            }
        )

    def _map(self, found: "LabelMap") -> None:
        source, target, report = found.source, found.target, found.report()
        goals = {item.name: item for item in target.classes}
        entries = dict(found.table)
        table = Table("id", "color", source.name, "", "id", "color", target.name, box=None)
        rows: list[dict[str, Any]] = []
        for item in source.classes:
            goal, wanted = report.goals[item.name], entries[item.id]
            cells = _cells(goals[goal]) if goal is not None else (str(wanted), "", Text("ignored", "dim"))
            table.add_row(*_cells(item), "->", *cells)
            rows.append({"id": item.id, "name": item.name, "target_id": wanted, "target": goal})
        for name in report.unreachable:
            table.add_row("", "", Text("nothing", "dim"), "->", *_cells(goals[name]))
        self.terminal.say(table, "", *report.sentences())
        self.terminal.emit({"source": source.name, "target": target.name, "table": rows, **report.to_json()})


def _difference(a: "Class | None", b: "Class | None", one: str, two: str) -> list[str]:
    """Return what differs between two classes of one name, either of which may be missing."""
    if a is None or b is None:
        return [f"only in {two if a is None else one}"]
    return [
        what for what in ("id", "color", "group", "has_instances") if getattr(a, what) != getattr(b, what)
    ]


def _cells(item: "Class | None") -> tuple[str, Text, str]:
    return ("", Text(), "") if item is None else (str(item.id), _swatch(item), item.name)


def _swatch(item: "Class") -> Text:
    """Return a color as a block of that color where the terminal has colors, and as hex."""
    code = "#{:02x}{:02x}{:02x}".format(*item.color)
    return Text.assemble(("   ", f"on {code}"), f" {code}")
