"""``roadseg models``: the networks and the weights that there are; nothing is built or loaded."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from rich.table import Table

from roadseg.cli.terminal import Talk, Terminal, percent, size_text

if TYPE_CHECKING:
    from roadseg.models.catalog import ModelRow

__all__ = ["Models"]


@dataclass(frozen=True, kw_only=True)
class Models:
    """List networks and weights, or show one of them.

        roadseg models
        roadseg models espnet
        roadseg models runs/mine/best.safetensors

    Attributes:
        name: A network, bundled weights, or a .safetensors file; without one, all are listed.
    """

    name: Annotated[
        str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[NAME_OR_FILE]", help_behavior_hint="")
    ] = None
    terminal: Talk = field(default_factory=Terminal)

    def run(self) -> int:
        """Print the list, or one entry."""
        from roadseg.models import catalog
        from roadseg.models.bundled import bundled_weights, read_card

        bundled = bundled_weights()
        if self.name is None:
            rows = [catalog.row(name) for name in catalog.names()]
            self._list(rows, {name: (path, read_card(path)) for name, path in bundled.items()})
        elif self.name in bundled or Path(self.name).is_file():
            path = bundled.get(self.name, Path(self.name))
            self._show_weights(path, read_card(path))
        else:
            self._show_network(catalog.row(self.name))
        return 0

    def _list(self, rows: "list[ModelRow]", weights: Mapping[str, tuple[Path, dict[str, Any]]]) -> None:
        networks = Table(
            *(
                "network",
                "paper",
                "year",
                "params",
                "GMACs",
                "stride",
                "published mIoU",
                "layouts",
                "weights' license",
            ),
            title="networks",
            title_justify="left",
            box=None,
        )
        networks.columns[0].no_wrap = True
        for row in rows:
            score = f"{row.scores[0].miou:g} {row.scores[0].on}" if row.scores else "-"
            networks.add_row(
                row.name,
                row.title,
                str(row.year),
                f"{row.params / 1e6:.2f} M",
                f"{row.macs / 1e9:.1f}",
                str(row.stride),
                score,
                ", ".join(_layouts(row)) or "-",
                row.weights[0].license.partition(";")[0] if row.weights else "-",
            )
        self.terminal.say(
            networks,
            "params and GMACs (at 2048x1024) for 19 classes; layouts: published files that load, by publisher",
            "also: smp:ARCHITECTURE/ENCODER, torchvision:NAME, and your own as package.module:callable",
            "",
        )
        packages = Table(
            "weights",
            "network",
            "labels",
            "mIoU",
            "on",
            "license",
            title="weights",
            title_justify="left",
            box=None,
        )
        for name, (_, card) in weights.items():
            score, protocol = _first_score(card)
            packages.add_row(
                name,
                card["model"],
                card["space"]["name"],
                score,
                protocol.get("dataset", ""),
                card["license"],
            )
        if weights:
            self.terminal.say(packages, "")
        self.terminal.say("`roadseg models NAME` tells more, about options and protocols too")
        self.terminal.emit(
            {
                "networks": [_network_json(row) for row in rows],
                "weights": [_weights_json(name, path, card) for name, (path, card) in weights.items()],
            }
        )

    def _show_network(self, row: "ModelRow") -> None:
        self.terminal.say(
            f"{row.name}: {row.title}",
            f"  paper    {row.paper} ({row.year})",
            *_size_lines(row),
            f"  stride   {row.stride}",
            f"  factory  {row.factory}",
        )
        if row.aux_weights:
            weights = ", ".join(f"{weight:g}" for weight in row.aux_weights)
            self.terminal.say(f"  loss     auxiliary outputs weigh {weights}")
        for option, meaning in row.options.items():
            self.terminal.say(f"  option   {option}: {meaning}")
        for score in row.scores:
            self.terminal.say(f"  score    {score.miou:g} mIoU on {score.on} ({score.by})")
        for files in row.weights:
            self.terminal.say(f"  weights  {files.where} [{files.layout}]; license: {files.license}")
        if row.weights:
            self.terminal.say(f"           then: roadseg convert FILE -o {row.name}.safetensors")
        if row.note:
            self.terminal.say(f"  note     {row.note}")
        self.terminal.emit(_network_json(row))

    def _show_weights(self, path: Path, card: dict[str, Any]) -> None:
        self.terminal.say(f"{path.name} ({size_text(path.stat().st_size)})")
        temperature = card.get("temperature", 1)
        facts = {
            "network": f"{card['model']} {card['options'] or ''}".strip(),
            "labels": f"{card['space']['name']}, {len(card['space']['classes'])} classes",
            "input": ", ".join(
                f"{key} {value}" for key, value in card["preprocess"].items() if value is not None
            ),
            "logits": f"divided by {temperature:.4g}" if temperature != 1 else None,
            "license": card["license"],
            "source": card.get("source_sha256")
            and f"converted from a file with sha256 {card['source_sha256']}",
            "note": card.get("provenance", {}).get("note"),
        }
        for name, value in facts.items():
            if value:
                self.terminal.say(f"  {name:<8} {value}")
        for score in card.get("scores", ()):
            text = score.get("protocol", {}).get("text", "protocol not recorded")
            self.terminal.say(f"  score    {percent(score.get('miou'), 2)} mIoU, {text}")
        self.terminal.emit(_weights_json(path.name.removesuffix(".safetensors"), path, card))


def _size_lines(row: "ModelRow") -> list[str]:
    if not row.params:  # networks of other libraries are not measured
        return []
    return [
        f"  params   {row.params:,} (19 classes)",
        f"  cost     {row.macs / 1e9:.2f} G multiply-adds at 2048x1024 (19 classes)",
    ]


def _layouts(row: "ModelRow") -> list[str]:
    """Return the publishers of the layouts that load into a network."""
    return list(dict.fromkeys(weights.layout.partition("/")[0] for weights in row.weights))


def _network_json(row: "ModelRow") -> dict[str, Any]:
    return asdict(row)


def _weights_json(name: str, path: Path, card: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "file": str(path), "bytes": path.stat().st_size, **card}


def _first_score(card: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    for score in card.get("scores", ()):
        return percent(score.get("miou"), 1), score.get("protocol", {})
    return "-", {}
