"""``roadseg autolabel``: training labels for pictures that have none, made by trained networks."""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from rich.table import Table

from roadseg.cli.entry import explain
from roadseg.cli.loading import open_predictor
from roadseg.cli.quality import Care, Quality
from roadseg.cli.terminal import Flag, Talk, Terminal, duration, percent
from roadseg.cli.translation import find_target
from roadseg.errors import DataError, InputError, LabelError, OutputError, RecipeError

if TYPE_CHECKING:
    from roadseg.data import Source
    from roadseg.data.thresholds import Thresholds
    from roadseg.inference.pipeline import Shard
    from roadseg.labeling.autolabel import Outcome
    from roadseg.labeling.calibration import Calibrated, ConfidenceCounts
    from roadseg.labeling.trust import Trust

__all__ = ["Autolabel"]

_CALIBRATED = "calibrated:"


@dataclass(frozen=True, kw_only=True)
class Autolabel:
    """Label pictures for training: what networks are sure of, everything else ignored.

    Fills DIR with a data set that `roadseg train --data DIR` takes; the pictures stay where they are. DIR/labels has all
    labels with their confidence, for --data.autolabels.root. The same command goes on where it was stopped.

        roadseg autolabel photos/ -o pseudo --weights my.safetensors --threshold 0.9
        roadseg autolabel --data camvid/ --split test --weights a.safetensors --threshold calibrated:0.95
        torchrun --nproc-per-node 4 -m roadseg autolabel photos/ --weights a.safetensors b.safetensors

    Attributes:
        inputs: Pictures, folders, patterns, .txt lists; or none, with --data.
        out: Folder for the labels.
        weights: Bundled weights by name or files; several must agree.
        data: Data set to label: folder, data.yaml or NAME:PATH.
        split: Its split (default: train_extra if it has one, else train).
        to: Label space (default: that of --data or the first network).
        threshold: Least confidence: a number, a .toml file of numbers by class, or calibrated:P: that above which the
            share P of a class's labels is right.
        calibrate_on: Labeled data for that (default: val of --data).
        agree: How many networks must agree (default: all).
        border: Ignore pixels this close to another label.
        margin: Ignore pixels this close to the edge of the picture.
        area: Rows and columns outside which all is ignored.
        merge: Classes that masks also get where stored labels say so.
        preview: Pictures to show in DIR/preview.jpg, what is ignored hatched.
        device: auto, cpu, cuda, cuda:1 or mps.
        trust_code: Run the code that weights name as their network.
    """

    inputs: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="INPUT...", help_behavior_hint="")
    ] = ()
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="DIR")] = Path("autolabels")
    weights: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME_OR_FILE ...", help_behavior_hint="")] = ()
    data: Annotated[str | None, tyro.conf.arg(metavar="DIR_OR_YAML", help_behavior_hint="")] = None
    split: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None
    to: Annotated[str | None, tyro.conf.arg(metavar="SPACE", help_behavior_hint="")] = None
    threshold: Annotated[str, tyro.conf.arg(metavar="P")] = "0.5"
    calibrate_on: Annotated[str | None, tyro.conf.arg(metavar="PATH@SPLIT", help_behavior_hint="")] = None
    agree: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")] = None
    border: Annotated[int, tyro.conf.arg(metavar="PX")] = 0
    margin: Annotated[int, tyro.conf.arg(metavar="PX")] = 0
    area: Annotated[
        tuple[int, int, int, int] | None,
        tyro.conf.arg(metavar="TOP LEFT BOTTOM RIGHT", help_behavior_hint=""),
    ] = None
    merge: Annotated[tuple[str, ...], tyro.conf.arg(metavar="CLASS ...", help_behavior_hint="")] = ()
    preview: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    device: str = "auto"
    trust_code: Flag = False
    care: Care = field(default_factory=Quality)
    terminal: Talk = field(default_factory=Terminal)

    def run(self) -> int:
        """Label everything; 1 when some pictures could not be."""
        from roadseg.inference.pipeline import Shard
        from roadseg.labeling.trust import Trust

        self._check()
        shard = Shard.from_environment()
        terminal = self.terminal if shard.rank == 0 else replace(self.terminal, quiet=True)
        trust = Trust(border=self.border, margin=self.margin, window=self.area)
        started = time.monotonic()
        try:
            run = _Run(self, shard, terminal, trust)
            outcome = run.label()
        except KeyboardInterrupt as stop:
            stop.add_note("the same command goes on where it was")
            raise
        finally:
            shard.leave()
        if shard.rank == 0:
            run.tell(outcome, time.monotonic() - started)
        return 1 if outcome.failed else 0

    def _check(self) -> None:
        if bool(self.inputs) == (self.data is not None):
            raise InputError(
                "give either pictures or --data" if self.inputs else "no pictures were given",
                remedy="for example `roadseg autolabel photos/ --weights my.safetensors`, or --data DIR --split NAME",
            )
        if not self.weights:
            raise InputError("no network was given", remedy="name weights with --weights")
        if self.preview < 0:
            raise InputError(f"--preview is {self.preview}", remedy="give 0 or more")
        if self.split is not None and self.data is None:
            raise InputError("--split needs a data set", remedy="name it with --data")
        if self.merge and self.data is None:
            raise InputError("--merge needs stored labels", remedy="name their data set with --data")
        if self.calibrate_on is not None and not self.threshold.startswith(_CALIBRATED):
            raise InputError(
                f"--threshold {self.threshold} needs no data to calibrate on",
                remedy=f"give --threshold {_CALIBRATED}0.95",
            )


class _Run:
    """One call: the networks, the pictures, the rules."""

    def __init__(self, command: Autolabel, shard: "Shard", terminal: Terminal, trust: "Trust") -> None:
        from roadseg.labeling.agreement import Teachers
        from roadseg.labeling.label_folder import LabelFolder

        self.command, self.shard, self.terminal, self.trust = command, shard, terminal, trust
        self.folder = LabelFolder(command.out)
        opened = self._opened()
        members = [
            open_predictor(name, shard.device(command.device), command.trust_code, terminal)
            for name in command.weights
        ]
        for member in members:
            member.strategy = command.care.strategy(member.model)
        target = find_target(command.to) or (members[0].space if opened is None else opened.target)
        self.teachers: Teachers = Teachers.of(members, target, command.agree)
        self.source, self.split = self._pictures(opened)
        for name in command.merge:  # a typo should show before hours of calibration
            target.index(name)
        if never := self.teachers.never:
            terminal.note(f"{target.name}: these weights can never predict {', '.join(never)}")

    def label(self) -> "Outcome":
        """Calibrate where that is asked for, and label."""
        from roadseg.labeling.autolabel import autolabel, label_settings

        command = self.command
        self.folder.check(label_settings(self.teachers, self.source, self.trust, command.merge))
        thresholds, notes, title = self._thresholds()
        if removed := [name for name in thresholds.removed if name not in notes]:
            self._warn(f"no pixel of {', '.join(removed)} is trusted: the threshold is inf")
        pictures = len(self.source.list_split(self.split))
        with self.terminal.progress("labeling", math.ceil(pictures / self.shard.size)) as report:
            return autolabel(
                self.teachers,
                self.source,
                self.split,
                command.out,
                thresholds=thresholds,
                trust=self.trust,
                merge=command.merge,
                notes=notes,
                title=title,
                shard=self.shard,
                progress=report.update,
            )

    def tell(self, outcome: "Outcome", seconds: float) -> None:
        """Say what was done, what became of the pixels, and how to go on."""
        terminal, out = self.terminal, self.command.out
        for file, error in outcome.failed:
            sentence = explain(error)[0]
            terminal.warn(sentence if file in sentence else f"{file}: {sentence}")
        for name in outcome.tally.removed:
            self._warn(f"{name} is predicted, but none of its labels is trusted")
        sheet = self._preview(outcome)
        statistics = outcome.tally.to_json()
        terminal.emit(
            {
                "out": str(out),
                "data": str(outcome.data),
                "space": self.teachers.space.name,
                "done": len(outcome.done),
                "skipped": len(outcome.skipped),
                "failed": [{"image": file, "error": explain(error)[0]} for file, error in outcome.failed],
                "removed": list(outcome.tally.removed),
                "preview": None if sheet is None else str(sheet),
                "seconds": round(seconds, 3),
                **statistics,
            }
        )
        count = len(outcome.done) + len(outcome.skipped) + len(outcome.failed)
        facts = [f"{len(outcome.done)} of {count} pictures labeled in {duration(seconds)}"]
        facts += [f"{len(outcome.skipped)} were there already"] if outcome.skipped else []
        facts += [f"{len(outcome.failed)} could not be labeled"] if outcome.failed else []
        terminal.say(", ".join(facts))
        if outcome.tally.pictures:
            terminal.say(_table(statistics), _sentence(statistics))
            terminal.say(
                f"  train with it:  roadseg train RECIPE --data DATA --data.parts {outcome.data}@train@"
            )

    def _opened(self) -> "Source | None":
        """Open the data set, in the label space that is asked for."""
        from roadseg.data import open_source

        if self.command.data is None:
            return None
        source = open_source(self.command.data)
        if source.root.resolve() == self.command.out.resolve():
            raise OutputError(
                "is the data set itself", where=source.root, remedy="choose another folder with -o"
            )
        target = find_target(self.command.to)
        return source if target is None else source.to(target)

    def _pictures(self, opened: "Source | None") -> "tuple[Source, str]":
        """Return the data set and the split to label."""
        from roadseg.labeling.autolabel import picture_source
        from roadseg.media import find_images

        command = self.command
        if opened is not None:
            usual = "train_extra" if "train_extra" in opened.splits else "train"
            return opened, command.split or usual
        results = command.out.resolve()
        found = [
            image for image in find_images(command.inputs) if results not in image.path.resolve().parents
        ]
        if not found:
            raise InputError("holds only labels of roadseg", where=command.out, remedy="name the pictures")
        return picture_source(found, self.teachers.space), "train"

    def _thresholds(self) -> "tuple[Thresholds, Mapping[str, str], str]":
        """Return the thresholds, what they give by class, and where they come from."""
        from roadseg.data.thresholds import Thresholds
        from roadseg.labeling.autolabel import TITLE

        text, space = self.command.threshold, self.teachers.space
        if text.startswith(_CALIBRATED):
            found, title = self._calibrated(_share(text.removeprefix(_CALIBRATED)))
            for sentence in found.warnings:
                self._warn(sentence)
            return found.thresholds, found.notes, title
        try:
            value: float | str = float(text)
        except ValueError:
            value = text
        return Thresholds.of(value, space), {}, TITLE

    def _calibrated(self, precision: float) -> "tuple[Calibrated, str]":
        """Calibrate, or take what an earlier call with the same networks and data counted."""
        from roadseg.data import open_source
        from roadseg.labeling.autolabel import label_settings
        from roadseg.labeling.calibration import calibrate
        from roadseg.media import write_json
        from roadseg.media.manifest import Identity, fingerprint

        where, split = _place(self.command.calibrate_on or self.command.data)
        source = open_source(where)
        records = source.find(split)
        spaces = (source.stored.fingerprint, source.target.fingerprint)
        files = [
            astuple(Identity.of(path)) for record in records for path in (record.image, record.label) if path
        ]
        state = fingerprint(
            {
                **label_settings(self.teachers, self.source, self.trust),
                "on": [where, split, *spaces, source.label_map.table, *files],
            }
        )
        counts = self._known(state)
        if counts is None:
            with self.terminal.progress("calibrating", math.ceil(len(records) / self.shard.size)) as report:
                counts = calibrate(
                    self.teachers, source, split, trust=self.trust, shard=self.shard, progress=report.update
                )
            if self.shard.rank == 0:
                write_json(self.folder.calibration, {"state": state, **counts.to_json()})
        place = f"{split} of {where}".encode("utf-8", "backslashreplace").decode()  # names need not be UTF-8
        title = f"Confidence from which on {precision:.1%} of a class's labels are right, by class; inf trusts none."
        return counts.calibrated(precision, place), f"{title}\nFound on {counts.pictures} pictures, {place}."

    def _known(self, state: str) -> "ConfidenceCounts | None":
        from roadseg.labeling.calibration import ConfidenceCounts

        found = None
        try:
            data = json.loads(self.folder.calibration.read_text(encoding="utf-8"))
            found = ConfidenceCounts.from_json(data) if data["state"] == state else None
        except (OSError, ValueError, KeyError, TypeError, LabelError):
            found = None  # none, or a damaged one: it is counted anew
        # All processes have to do the same, and have read before the first one writes.
        return found if all(one is not None for one in self.shard.gather(found)) else None

    def _warn(self, sentence: str) -> None:
        """Say what is likely not wanted; the labels are made all the same."""
        self.terminal.note(f"warning: {sentence}")

    def _preview(self, outcome: "Outcome") -> Path | None:
        from roadseg.labeling.autolabel import list_pictures
        from roadseg.labeling.preview import preview_sheet, spread
        from roadseg.media import write_image

        finished = {*outcome.done, *outcome.skipped}
        if not self.command.preview or not finished:
            return None
        records = [item for item in list_pictures(self.source, self.split) if item.key in finished]
        sheet = preview_sheet(self.folder, self.source, spread(records, self.command.preview))
        write_image(self.folder.preview, sheet)
        return self.folder.preview


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= 1:
        raise RecipeError(
            f"{text!r} is no share of right labels",
            where="--threshold",
            remedy=f"for example {_CALIBRATED}0.95",
        )
    return value


def _place(text: str | None) -> tuple[str, str]:
    """Return the data set and the split of ``PATH@SPLIT``; the split ``val`` where none is named."""
    if text is None:
        raise DataError(
            "there is no labeled data to calibrate on", remedy="name some: --calibrate-on PATH@SPLIT"
        )
    path, at, split = text.rpartition("@")
    if not at or Path(text).exists() or "/" in split:
        return text, "val"
    return path, split


def _table(statistics: Mapping[str, Any]) -> Table:
    """Return what became of each class's pixels, in percent."""
    judged = "accuracy" in statistics
    table = Table(box=None)
    table.add_column("")
    columns = ["predicted", "kept", "kept_of_predicted", "confidence"]
    heads = ["predicted %", "kept %", "kept of it %", "confidence %"]
    if judged:
        columns += ["precision", "kept_precision", "iou", "kept_iou"]
        heads += ["right %", "right of kept %", "IoU %", "IoU of kept %"]
    for head in heads:
        table.add_column(head, justify="right")
    for row in statistics["classes"]:
        table.add_row(row["class"], *(percent(row[column]) for column in columns))
    return table


def _sentence(statistics: Mapping[str, Any]) -> str:
    parts = [f"{percent(statistics['kept'])} % of all pixels are trusted"]
    if statistics["disputed"]:
        parts.append(f"the networks disagree on {percent(statistics['disputed'])} %")
    if statistics["merged"]:
        parts.append(f"{percent(statistics['merged'])} % are merged from stored labels")
    if "accuracy" in statistics:
        right, kept = percent(statistics["accuracy"]), percent(statistics["kept_accuracy"])
        parts.append(
            f"by the stored labels, {right} % of all labels are right and {kept} % of the trusted ones"
        )
    return "; ".join(parts)
