"""``roadseg evaluate``: from a labeled data set to an honest score."""

import json
import math
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from roadseg.cli.loading import open_predictor
from roadseg.cli.quality import Care, Quality
from roadseg.cli.score_tables import difference_lines, extra_lines, score_table, worst_table
from roadseg.cli.terminal import Flag, Talk, Terminal, duration
from roadseg.errors import DataError, InputError, LabelError, RecipeError

if TYPE_CHECKING:
    from roadseg.data import Source
    from roadseg.inference import Predictor
    from roadseg.inference.examination import Aspect, Findings
    from roadseg.inference.pipeline import Shard
    from roadseg.metrics import Confusion, Difference, ImageCounts, Interval, Protocol

__all__ = ["Evaluate"]


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Score weights on a labeled data set.

    Every score comes with its protocol; scores of different protocols must not be compared.

        roadseg evaluate --data camvid/ --split test
        roadseg evaluate --data data.yaml --weights runs/mine/best.safetensors --json
        roadseg evaluate --data cityscapes/ --weights b.safetensors --out b.json --compare a.json
        torchrun --nproc-per-node 4 -m roadseg evaluate --data cityscapes/ --weights w.safetensors

    Attributes:
        data: Data set: folder, data.yaml or NAME:PATH.
        split: Split to score on (default: test if labeled, else val).
        weights: Name of bundled weights (the default) or a file.
        void: Predictions on pixels without truth.
        absent: A class without truth.
        exclude: Classes to leave out of the means.
        to: Label space to score in (default: the data set's).
        translate: What is mapped to that space: labels, or scores.
        original: The data with its labels before relabeling (MSeg).
        boundary: Also score outlines (boundary F and IoU).
        trimap: Also score pixels by their distance from outlines.
        calibration: Also compare confidence and accuracy.
        replicates: Draws for the interval; 0 for none.
        worst: How many of the worst images to list.
        compare: Score of --out on the same images, to compare with.
        out: Save scores as JSON, and counts per image beside it.
        device: auto, cpu, cuda, cuda:1 or mps.
        trust_code: Run networks that weights name as package.module:callable.
        workers: Processes that load images.
    """

    data: Annotated[str, tyro.conf.arg(metavar="DIR_OR_YAML", help_behavior_hint="(required)")]
    split: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None
    weights: Annotated[str | None, tyro.conf.arg(metavar="NAME_OR_FILE", help_behavior_hint="")] = None
    void: Literal["ignored", "false-positive"] = "ignored"
    absent: Literal["left-out", "zero-if-predicted", "zero"] = "left-out"
    exclude: Annotated[tuple[str, ...], tyro.conf.arg(metavar="CLASS ...", help_behavior_hint="")] = ()
    to: Annotated[str | None, tyro.conf.arg(metavar="SPACE", help_behavior_hint="")] = None
    translate: Literal["labels", "scores"] = "labels"
    original: Annotated[str | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None
    boundary: Flag = False
    trimap: Flag = False
    calibration: Flag = False
    replicates: int = 1000
    worst: int = 5
    compare: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="FILE", help_behavior_hint="")] = None
    device: str = "auto"
    trust_code: Flag = False
    workers: int = 0
    care: Care = field(default_factory=Quality)
    terminal: Talk = field(default_factory=Terminal)

    def run(self) -> int:
        """Score, and print or save the scores."""
        from roadseg.inference import DEFAULT_WEIGHTS, file_sha256, find_weights
        from roadseg.inference.pipeline import Shard

        self._check()
        shard = Shard.from_environment()
        terminal = self.terminal if shard.rank == 0 else replace(self.terminal, quiet=True)
        source = self._source(self.data)
        for name in self.exclude:
            source.target.index(name)
        split = self.split or _labeled_split(source)
        other = None if self.compare is None else _Other.read(self.compare)
        name = self.weights or DEFAULT_WEIGHTS
        # Of the file that is opened: another one may lie there when all is counted.
        digest = file_sha256(find_weights(name))
        predictor = open_predictor(name, shard.device(self.device), self.trust_code, terminal)
        self._choose_strategy(predictor, source, terminal)
        self._check_end(predictor, source, split, other)
        if self.out is not None and shard.rank == 0:
            _try_to_write(self.out)
            _try_to_write(_images_file(self.out))
        started = time.monotonic()
        try:
            findings = self._examine(predictor, source, split, shard, terminal)
        finally:
            shard.leave()
        if shard.rank == 0:
            seconds = time.monotonic() - started
            self._report(_Outcome(self, predictor, source, split, findings, seconds, digest), other)
        return 0

    def _check(self) -> None:
        if self.replicates < 0 or self.worst < 0:
            raise RecipeError("--replicates and --worst count things", remedy="give 0 or more")
        if self.compare is not None and self.replicates == 0:
            raise RecipeError(
                "a comparison needs an interval", where="--replicates 0", remedy="leave --replicates out"
            )

    def _source(self, spec: str) -> "Source":
        """Open a data set in the label space that is scored in."""
        from roadseg.data import open_source
        from roadseg.labels import label_map, space

        source = open_source(spec)
        if self.to is None:
            return source
        return replace(source, label_map=source.label_map.then(label_map(source.target, space(self.to))))

    def _choose_strategy(self, predictor: "Predictor", source: "Source", terminal: Terminal) -> None:
        from roadseg.labels import label_map

        try:
            found = label_map(predictor.space, source.target)
        except LabelError as error:
            raise LabelError(
                f"predicts label space {predictor.space.name}, which no map leads from to {source.target.name}",
                where=self.weights,
                remedy="score weights on data of their own classes, or in a space that both map to: --to SPACE",
            ) from error
        predictor.strategy = self.care.strategy(
            predictor.model, to=found if self.translate == "scores" else None
        )
        if self.care != Quality():
            terminal.note(self.care.describe(predictor.model))

    def _check_end(
        self, predictor: "Predictor", source: "Source", split: str, other: "_Other | None"
    ) -> None:
        """Refuse a comparison that could not be made at the end."""
        from roadseg.metrics import Confusion

        if other is not None:
            protocol = self.protocol(predictor, source, split, Confusion(source.target))
            other.check(protocol, [record.key for record in source.find(split)])

    def protocol(
        self, predictor: "Predictor", source: "Source", split: str, confusion: "Confusion"
    ) -> "Protocol":
        """Return the protocol of what was counted."""
        from roadseg.inference import protocol_of

        return protocol_of(
            predictor,
            source,
            split,
            confusion,
            self.void,
            absent=self.absent,
            excluded=self.exclude,
            relabeled=self.original is not None,
        )

    def _examine(
        self, predictor: "Predictor", source: "Source", split: str, shard: "Shard", terminal: Terminal
    ) -> "Findings":
        """Count this process's share, and add up all processes'."""
        from roadseg.inference.examination import examine

        chosen: dict[Aspect, bool] = {
            "boundary": self.boundary,
            "trimap": self.trimap,
            "calibration": self.calibration,
        }
        share = len(shard.of(source.find(split)))
        with terminal.progress("scoring", share) as report:
            findings = examine(
                predictor,
                source,
                split,
                aspects=tuple(aspect for aspect, wanted in chosen.items() if wanted),
                original=None if self.original is None else self._source(self.original),
                rank=shard.rank,
                world=shard.size,
                workers=self.workers,
                progress=report.update,
            )
        first, *others = shard.gather(findings)
        total: Findings = first
        for one in others:
            total += one
        return total

    def _report(self, outcome: "_Outcome", other: "_Other | None") -> None:
        """Compare, save and print; what fails keeps back nothing of the rest."""
        result = outcome.to_json()
        difference = None
        try:
            if other is not None:
                difference = other.compare(outcome)
                result["compare"] = {"with": str(self.compare), **difference.to_json()}
        finally:
            try:
                self._save(outcome, result)
            finally:
                self._print(outcome, result, difference)

    def _save(self, outcome: "_Outcome", result: dict[str, Any]) -> None:
        from roadseg.media import write_json

        if self.out is not None:
            outcome.findings.counts.save(_images_file(self.out))
            write_json(self.out, result)

    def _print(self, outcome: "_Outcome", result: dict[str, Any], difference: "Difference | None") -> None:
        self.terminal.emit(result)
        rows = result["per_image"]
        worst = [worst_table(rows, self.worst)] if self.worst and len(rows) > 1 else []
        self.terminal.say(
            score_table(outcome.scores, outcome.interval),
            *worst,
            *extra_lines(result),
            *([] if difference is None else difference_lines(difference, str(self.compare))),
            f"protocol: {outcome.protocol}",
            f"weights: {result['weights']}, {duration(outcome.seconds)} on {result['device']}",
        )


class _Outcome:
    """Scores that follow from what was counted, and how they came about."""

    def __init__(
        self,
        command: Evaluate,
        predictor: "Predictor",
        source: "Source",
        split: str,
        findings: "Findings",
        seconds: float,
        weights_sha256: str,
    ) -> None:
        from roadseg.inference import DEFAULT_WEIGHTS
        from roadseg.metrics import Scores, miou_interval

        self.command = command
        self.findings = findings
        self.seconds = seconds
        self.device = str(predictor.device)
        self.weights = command.weights or DEFAULT_WEIGHTS
        self.weights_sha256 = weights_sha256
        self.protocol: Protocol = command.protocol(predictor, source, split, findings.confusion)
        self.scores = Scores.from_confusion(findings.confusion, self.protocol, instances=findings.instances)
        self.interval: Interval | None = None
        # Without any truth there is no score to be sure of.
        if command.replicates and findings.confusion.images > 1 and math.isfinite(self.scores.miou):
            self.interval = miou_interval(findings.counts, self.protocol, replicates=command.replicates)

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain JSON values."""
        findings = self.findings
        result: dict[str, Any] = {
            "weights": self.weights,
            "weights_sha256": self.weights_sha256,
            "data": self.command.data,
            **self.scores.to_json(),
        }
        if self.interval is not None:
            result["interval"] = self.interval.to_json()
        for name in ("boundary", "trimap", "calibration"):
            counted = getattr(findings, name)
            if counted is not None:
                result[name] = counted.result().to_json()
        result["per_image"] = findings.table(self.protocol)
        result["confusion"] = findings.confusion.to_json()
        return {**result, "device": self.device, "seconds": round(self.seconds, 1)}


@dataclass(frozen=True)
class _Other:
    """A score of earlier, to compare with."""

    path: Path
    protocol: Mapping[str, Any]
    counts: "ImageCounts"

    @classmethod
    def read(cls, path: Path) -> "_Other":
        """Read a score and its counts per image."""
        from roadseg.metrics import ImageCounts

        try:
            score = json.loads(path.read_text(encoding="utf-8"))
            protocol = score["protocol"]
            if not isinstance(protocol, Mapping):
                raise TypeError("its protocol is no object")
        except FileNotFoundError as error:
            raise InputError("does not exist", where=path, remedy="give a score saved by --out") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError("is no score", where=path, remedy="give a file saved by --out") from error
        return cls(path, protocol, ImageCounts.load(_images_file(path)))

    def check(self, protocol: "Protocol", keys: list[str]) -> None:
        """Refuse a score of another protocol or of other images."""
        from roadseg.metrics import check_comparable

        check_comparable(protocol, self.protocol, str(self.path))
        self.counts.in_order(keys, self.path)
        if len(keys) < 2:
            raise DataError(
                "is of one image, which cannot tell what is better",
                where=self.path,
                remedy="compare over at least two images",
            )

    def compare(self, outcome: _Outcome) -> "Difference":
        """Return how much better the newer score is."""
        from roadseg.metrics import compare

        return compare(
            outcome.findings.counts, self.counts, outcome.protocol, replicates=outcome.command.replicates
        )


def _images_file(score: Path) -> Path:
    """Return the file of counts per image that belongs to a score."""
    return score.with_suffix(".images.npz")


class _Tried(Exception):  # noqa: N818 - no error
    """The file could be written."""


def _try_to_write(path: Path) -> None:
    """Refuse a file that cannot be written; one that is there stays as it is."""
    from roadseg.media import atomic_path

    with suppress(_Tried), atomic_path(path) as temporary:
        temporary.touch()
        raise _Tried


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
