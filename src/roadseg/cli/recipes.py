"""``roadseg recipes``: the training plans that there are; nothing is built or loaded."""

from dataclasses import dataclass, field
from typing import Annotated, Any

import tyro
from rich.table import Table

from roadseg import recipes
from roadseg.cli.terminal import Talk, Terminal
from roadseg.recipes import Expectation, Recipe

__all__ = ["Recipes", "figures"]


@dataclass(frozen=True, kw_only=True)
class Recipes:
    """List training recipes, or tell one of them.

        roadseg recipes
        roadseg recipes hrnet-ocr-hms.cityscapes

    Attributes:
        name: A recipe; without one, all are listed.
    """

    name: Annotated[
        str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[NAME]", help_behavior_hint="")
    ] = None
    terminal: Talk = field(default_factory=Terminal)

    def run(self) -> int:
        """Print the list, or one entry."""
        if self.name is None:
            self._list([recipes.get(name) for name in recipes.names()])
        else:
            self._show(recipes.get(self.name))
        return 0

    def _list(self, found: list[Recipe]) -> None:
        table = Table("recipe", "network", "GPUs", "length", "expected", box=None)
        table.columns[0].no_wrap = True
        for recipe in found:
            length = f"{recipe.steps:,} steps" if recipe.steps else f"{recipe.epochs} epochs"
            best = recipe.expects[0] if recipe.expects else None
            score = f"{figures(best)}: {best.metric} on {best.split}" if best else "-"
            table.add_row(recipe.name, recipe.model.name, str(recipe.devices), length, score)
        self.terminal.say(
            table,
            "",
            "`roadseg recipes NAME` tells more; `roadseg train NAME --dry-run` shows the whole plan",
            "docs/recipes.md has the table with sources",
        )
        self.terminal.emit({"recipes": [recipe.to_json() for recipe in found]})

    def _show(self, recipe: Recipe) -> None:
        self.terminal.say(f"{recipe.name}  ({recipe.paper})", "", recipes.about(recipe.name), "")
        for item in recipe.expects:
            self.terminal.say(f"  expects  {item.metric} on {item.split}: {figures(item)}")
        self.terminal.say(f"  plan     roadseg train {recipe.name} --dry-run")
        document: dict[str, Any] = {"about": recipes.about(recipe.name), **recipe.to_json()}
        self.terminal.emit(document)


def figures(item: Expectation) -> str:
    """Return what a score is expected to be, and where that is known from."""
    known = (("published", item.published), ("ours", item.ours))
    return ", ".join(f"{value:.2f} {name}" for name, value in known if value) or "not measured yet"
