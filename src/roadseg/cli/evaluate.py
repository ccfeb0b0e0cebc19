"""``roadseg evaluate``: from a labeled data set to an honest score."""

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from rich.table import Table

from roadseg.cli.loading import open_predictor
from roadseg.cli.terminal import Flag, Talk, Terminal, duration, percent
from roadseg.errors import DataError

if TYPE_CHECKING:
    from roadseg.data import Source
    from roadseg.metrics import Scores

__all__ = ["Evaluate", "score_table"]


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Score weights on a labeled data set.

    Every score comes with its protocol; scores of different protocols must not be compared.

        roadseg evaluate --data camvid/ --split test
        roadseg evaluate --data data.yaml --weights runs/mine/best.safetensors --json

    Attributes:
        data: Folder of a data set or its data.yaml; NAME:PATH forces a layout.
        split: Split to score on (default: test where it has labels, else val).
        weights: Bundled weights by name (`roadseg models`) or a .safetensors file (default: the bundled ones).
        void: What a prediction on a pixel without truth is: ignored, or false-positive as in some CamVid papers.
        to: Label space to score in (default: the data set's own).
        out: Also save the scores as JSON in this file.
        device: auto, cpu, cuda, cuda:1 or mps.
        trust_code: Accept weights whose network is package.module:callable, and run that code.
        workers: Processes that load images beside the one that computes.
    """

    data: Annotated[str, tyro.conf.arg(metavar="DIR_OR_YAML", help_behavior_hint="(required)")]
    split: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None
    weights: Annotated[str | None, tyro.conf.arg(metavar="NAME_OR_FILE", help_behavior_hint="")] = None
    void: Literal["ignored", "false-positive"] = "ignored"
    to: Annotated[str | None, tyro.conf.arg(metavar="SPACE", help_behavior_hint="")] = None
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="FILE", help_behavior_hint="")] = None
    device: str = "auto"
    trust_code: Flag = False
    workers: int = 0
    terminal: Talk = field(default_factory=Terminal)

    def run(self) -> int:
        """Score, and print or save the scores."""
        from roadseg.data import open_source
        from roadseg.inference import DEFAULT_WEIGHTS
        from roadseg.inference.evaluation import evaluate, protocol_of
        from roadseg.labels import label_map, space
        from roadseg.media import write_json
        from roadseg.metrics import Scores

        source = open_source(self.data)
        if self.to is not None:
            source = replace(
                source, label_map=source.label_map.then(label_map(source.target, space(self.to)))
            )
        split = self.split or _labeled_split(source)
        count = len(source.find(split))
        name = self.weights or DEFAULT_WEIGHTS
        predictor = open_predictor(name, self.device, self.trust_code, self.terminal)
        started = time.monotonic()
        with self.terminal.progress("scoring", count) as report:
            confusion = evaluate(predictor, source, split, workers=self.workers, progress=report.update)
        scores = Scores.from_confusion(confusion, protocol_of(predictor, source, split, confusion, self.void))
        seconds = time.monotonic() - started
        result = {
            "weights": name,
            "data": self.data,
            **scores.to_json(),
            "device": str(predictor.device),
            "seconds": round(seconds, 1),
        }
        if self.out is not None:
            write_json(self.out, result)
        self.terminal.emit(result)
        self.terminal.say(
            score_table(scores),
            f"protocol: {scores.protocol}",
            f"weights: {name}, {duration(seconds)} on {predictor.device}",
        )
        return 0


def score_table(scores: "Scores") -> Table:
    """Return scores as a table: a row per class, then the summary; all figures in percent."""
    table = Table(title="percent", title_justify="right", title_style="dim", show_footer=False)
    table.add_column("class")
    for column in ("IoU", "precision", "recall", "pixels"):
        table.add_column(column, justify="right")
    total = max(1, int(scores.pixels.sum()))
    for i, name in enumerate(scores.names):
        values = (scores.iou[i], scores.precision[i], scores.recall[i], scores.pixels[i] / total)
        table.add_row(name, *(percent(float(value)) for value in values))
    table.add_section()
    table.add_row("mean IoU (mIoU)", percent(scores.miou, 2), style="bold")
    table.add_row("pixel accuracy", percent(scores.pixel_accuracy, 2))
    table.add_row("mean accuracy", percent(scores.mean_accuracy, 2))
    table.add_row("frequency-weighted IoU", percent(scores.frequency_weighted_iou, 2))
    return table


def _labeled_split(source: "Source") -> str:
    """Return the split to score on when none was named."""
    for split in ("test", "val"):
        if split in source.splits and source.find(split)[0].label is not None:
            return split
    raise DataError(
        "has no labeled split named test or val",
        where=source.root,
        remedy=f"choose one with --split: {', '.join(source.splits)}",
    )
