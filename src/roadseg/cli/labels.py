"""``roadseg labels``: the label spaces and the maps between them."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from rich.table import Table
from rich.text import Text

from roadseg.cli.terminal import Talk, Terminal

if TYPE_CHECKING:
    from roadseg.labels import Class, LabelMap, LabelSpace

__all__ = ["Labels"]


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Show label spaces, their classes, and the maps between them.

        roadseg labels
        roadseg labels cityscapes-19 --to camvid-11

    Attributes:
        space: A label space; without one, all are listed.
        to: Show what each class becomes in this label space.
    """

    space: Annotated[
        str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[SPACE]", help_behavior_hint="")
    ] = None
    to: Annotated[str | None, tyro.conf.arg(metavar="SPACE", help_behavior_hint="")] = None
    terminal: Talk = field(default_factory=Terminal)

    def run(self) -> int:
        """Print the spaces, one space, or one map."""
        from roadseg.errors import LabelError
        from roadseg.labels import label_map, space, space_names

        if self.space is None:
            if self.to is not None:
                raise LabelError(
                    "--to needs a label space to start from", remedy="`roadseg labels SPACE --to SPACE`"
                )
            self._list([space(name) for name in space_names()])
        elif self.to is None:
            self._show(space(self.space))
        else:
            self._show_map(label_map(self.space, self.to))
        return 0

    def _list(self, spaces: "list[LabelSpace]") -> None:
        from roadseg.labels import space_note

        table = Table("name", "classes", "ignored id", "what it is", box=None)
        for space in spaces:
            table.add_row(space.name, str(space.num_classes), str(space.ignore), space_note(space.name).title)
        self.terminal.say(table, "", "`roadseg labels NAME` shows the classes")
        self.terminal.emit(
            {
                "spaces": [
                    {
                        "name": space.name,
                        "classes": space.num_classes,
                        "ignore": space.ignore,
                        "title": space_note(space.name).title,
                    }
                    for space in spaces
                ]
            }
        )

    def _show(self, space: "LabelSpace") -> None:
        from roadseg.labels import space_note

        note = space_note(space.name)
        table = Table("id", "color", "name", "group", "instances", box=None)
        for item in space.classes:
            table.add_row(
                str(item.id), _swatch(item), item.name, item.group, "yes" if item.has_instances else ""
            )
        self.terminal.say(
            f"{space.name}: {note.title}",
            table,
            "",
            f"ignored id {space.ignore}; source: {note.source}; license: {note.license}",
        )
        self.terminal.emit(
            {
                **space.to_json(),
                "fingerprint": space.fingerprint,
                "title": note.title,
                "source": note.source,
                "license": note.license,
            }
        )

    def _show_map(self, found: "LabelMap") -> None:
        source, target = found.source, found.target
        targets = {item.id: item for item in target.classes}
        table = Table("id", "color", source.name, "", "id", "color", target.name, box=None)
        rows: list[dict[str, Any]] = []
        entries = dict(found.table)
        for item in source.classes:
            wanted = entries[item.id]
            goal = targets.get(wanted)
            if wanted == target.ignore:
                table.add_row(
                    str(item.id), _swatch(item), item.name, "->", str(wanted), "", Text("ignored", "dim")
                )
            elif goal is not None:
                table.add_row(
                    str(item.id), _swatch(item), item.name, "->", str(goal.id), _swatch(goal), goal.name
                )
            kept = None if goal is None or wanted == target.ignore else goal.name
            rows.append({"id": item.id, "name": item.name, "target_id": wanted, "target": kept})
        self.terminal.say(table)
        self.terminal.emit({"source": source.name, "target": target.name, "table": rows})


def _swatch(item: "Class") -> Text:
    """Return a color as a block of that color where the terminal has colors, and as hex."""
    code = "#{:02x}{:02x}{:02x}".format(*item.color)
    return Text.assemble(("   ", f"on {code}"), f" {code}")
