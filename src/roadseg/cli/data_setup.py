"""``roadseg data setup``: where a published data set is to be had, and what of it is there."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.table import Table

from roadseg.cli.terminal import Talk, Terminal
from roadseg.errors import InputError

if TYPE_CHECKING:
    from roadseg.data.obtain import Inventory
    from roadseg.data.sources import Published

__all__ = ["DataSetup"]


@dataclass(frozen=True, kw_only=True)
class DataSetup:
    """Tell how to obtain a published data set, and check what is there of it.

    Files are counted, not read: `roadseg data check` reads them. Exit code 1 when something is missing.

        roadseg data setup
        roadseg data setup cityscapes
        roadseg data setup cityscapes --root data/cityscapes
        roadseg data setup acdc --root data/acdc --splits val --json

    Attributes:
        name: Data set; without it all of them are listed.
        root: Folder that it was unpacked to.
        splits: Official splits to look at (default: all).
    """

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="[NAME]", help_behavior_hint="")] = ""
    root: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None
    splits: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...", help_behavior_hint="")] = ()
    terminal: Talk = field(default_factory=Terminal)

    def run(self) -> int:
        """List the data sets, tell about one, or check it; 1 when something is missing."""
        from roadseg.data.obtain import published

        if not self.name:
            return self._list()
        layout = published(self.name)
        return self._tell(layout) if self.root is None else self._check(layout, self.root)

    def _list(self) -> int:
        from roadseg.data.sources import PUBLISHED

        if self.root is not None or self.splits:
            raise InputError(
                "no data set was named", remedy="`roadseg data setup` lists those that roadseg knows"
            )
        self.terminal.emit({"data_sets": [_facts(layout) for layout in PUBLISHED]})
        table = Table(box=None)
        for title in ("data set", "images", "how to get it"):
            table.add_column(title, overflow="fold")
        for layout in PUBLISHED:
            table.add_row(layout.NAME, _images(layout), layout.OBTAIN)
        self.terminal.say(table, "", "`roadseg data setup NAME --root DIR` checks what is there")
        return 0

    def _tell(self, layout: "Published") -> int:
        if self.splits:
            raise InputError("there is nothing to look at", remedy="say with --root where the data set is")
        self.terminal.emit(_facts(layout))
        self._say_how(layout)
        self.terminal.say(f"then: roadseg data setup {layout.NAME} --root DIR")
        return 0

    def _check(self, layout: "Published", root: Path) -> int:
        from roadseg.data.obtain import take_inventory

        with self.terminal.progress("counting", len(self.splits or layout.EXPECTED)) as bar:
            found = take_inventory(layout, root, self.splits, bar.update)
        self.terminal.emit(_facts(layout) | found.to_json())
        if not found.complete:
            self._say_how(layout)
        self.terminal.say(_table(found))
        if found.problem:
            self.terminal.say(f"problem: {found.problem}")
        for count in found.splits:
            if count.problem:
                self.terminal.say(f"problem: {count.problem}")
            for path in count.first_missing:
                self.terminal.say(f"missing: {path}")
        verdict = f"complete; `roadseg data check {layout.NAME}:{root}` reads it"
        self.terminal.say(verdict if found.complete else "incomplete")
        return 0 if found.complete else 1

    def _say_how(self, layout: "Published") -> None:
        self.terminal.say(
            f"{layout.NAME}: {_images(layout)} images", layout.OBTAIN, f"expected: {layout.LOOKS_FOR}", ""
        )


def _facts(layout: "Published") -> dict[str, object]:
    return {
        "name": layout.NAME,
        "obtain": layout.OBTAIN,
        "looks_for": layout.LOOKS_FOR,
        "expected": dict(layout.EXPECTED),
    }


def _images(layout: "Published") -> str:
    return ", ".join(f"{split} {count}" for split, count in layout.EXPECTED.items())


def _table(found: "Inventory") -> Table:
    """Return images and label files of the splits, found and expected."""
    table = Table(box=None)
    table.add_column("")
    for title in ("images", "of", "labels", "labels missing"):
        table.add_column(title, justify="right")
    for count in found.splits:
        unlabeled = count.labels + count.missing_labels == 0
        labels = ("-", "-") if unlabeled else (str(count.labels), str(count.missing_labels))
        table.add_row(count.split, str(count.images), str(count.expected), *labels)
    return table
