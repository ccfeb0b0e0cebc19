"""``roadseg report``: a score or a training run as one HTML file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from roadseg.cli.loading import open_predictor
from roadseg.cli.terminal import Flag, Talk, Terminal, size_text
from roadseg.errors import DataError, InputError, LabelError, RoadsegError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from roadseg.data import Record, Source
    from roadseg.labels import LabelSpace
    from roadseg.reporting import Content, Example

__all__ = ["Report"]

_MOST = 50  # pictures of a page that a browser still opens quickly
_WORST = 12

if TYPE_CHECKING:
    Guess = Callable[[Record, tuple[int, int]], NDArray[Any] | None]
    """From a record and the size of its label to predicted ids."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """Show a score or a training run as one HTML file.

    The page needs no network and no other file. Pictures of the worst images are added where the predictions are known.

        roadseg report score.json -o report.html --predictions out/
        roadseg report runs/mine -o report.html

    Attributes:
        source: A score saved by `roadseg evaluate --out`, or the folder of a training run.
        out: The HTML file.
        predictions: Folder written by `roadseg predict`, for the pictures of the worst images.
        space: Label space of the pictures in that folder (default: the score's); also the file of the score's own.
        weights: Compute the predictions of the worst images with these weights instead.
        data: The data set (default: where it was when the score was made).
        worst: How many of the worst images to show, at most 50.
        device: auto, cpu, cuda, cuda:1 or mps.
        trust_code: Accept weights whose network is package.module:callable, and run that code.
    """

    source: Annotated[
        Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN_OR_SCORE", help_behavior_hint="")
    ]
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE")] = Path("report.html")
    predictions: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None
    space: Annotated[str | None, tyro.conf.arg(metavar="SPACE", help_behavior_hint="")] = None
    weights: Annotated[str | None, tyro.conf.arg(metavar="NAME_OR_FILE", help_behavior_hint="")] = None
    data: Annotated[str | None, tyro.conf.arg(metavar="DIR_OR_YAML", help_behavior_hint="")] = None
    worst: int = _WORST
    device: str = "auto"
    trust_code: Flag = False
    terminal: Talk = field(default_factory=Terminal)

    def run(self) -> int:
        """Read, draw, and write the page."""
        from roadseg.reporting import read_content, write_page

        if not 0 <= self.worst <= _MOST:
            raise InputError(f"--worst {self.worst} is not possible", remedy=f"give 0 to {_MOST}")
        if self.predictions is not None and self.weights is not None:
            raise InputError(
                "predictions are either read or computed", remedy="give --predictions or --weights, not both"
            )
        content = read_content(self.source)
        if self.source.is_dir() and (self.predictions or self.weights or self.worst != _WORST):
            raise InputError(
                "is a training run, which does not say which images are the worst",
                where=self.source,
                remedy="leave out --predictions, --weights and --worst, or report a score of its weights:"
                " `roadseg evaluate --out FILE`",
            )
        pictures = _Pictures(self, content)
        examples = pictures.collect()
        size = write_page(self.out, content, examples, pictures.space)
        for failure in pictures.failed:
            self.terminal.warn(failure)
        self.terminal.emit(
            {
                "report": str(self.out),
                "bytes": size,
                "images": [example.key for example in examples],
                "failed": pictures.failed,
            }
        )
        self.terminal.say(f"{self.out} ({size_text(size)}, {len(examples)} images)")
        return 1 if pictures.failed else 0


class _Pictures:
    """The worst images of a score, where they can be had.

    Attributes:
        space: The label space of the score, where it is known.
        failed: What could not be shown, in sentences.
    """

    def __init__(self, command: Report, content: "Content") -> None:
        self.command, self.terminal = command, command.terminal
        self.score = content.score or {}
        protocol = self.score.get("protocol")
        self.protocol: dict[str, Any] = protocol if isinstance(protocol, dict) else {}
        self.space = _known_space(self.protocol.get("space"), command.space)
        self.failed: list[str] = []

    def collect(self) -> "list[Example]":
        """Return the worst images; none where a score does not name them or nothing was asked for."""
        from roadseg.reporting.content import worst_images

        command = self.command
        rows = worst_images(self.score, command.worst)
        if command.predictions is None and command.weights is None:
            if rows:
                self.terminal.note(
                    "no pictures: add --predictions DIR or --weights NAME to see the worst images"
                )
            return []
        if not rows:
            self.terminal.note("no pictures: the score does not say which images are the worst")
            return []
        source = self._source()
        self.space = source.target
        records = {record.key: record for record in source.find(self._split())}
        predict = self._from_folder(source) if command.predictions else self._from_weights(source)
        examples: list[Example] = []
        with self.terminal.progress("drawing", len(rows)) as progress:
            for done, row in enumerate(rows, start=1):
                example = self._example(row, records.get(str(row.get("key"))), source, predict)
                examples += [example] if example else []
                progress.update(done)
        return examples

    def _example(
        self,
        row: Mapping[str, Any],
        record: "Record | None",
        source: "Source",
        predict: "Guess",
    ) -> "Example | None":
        from roadseg.media import read_image
        from roadseg.reporting import make_example

        try:
            if record is None:
                raise DataError(
                    f"has no image {row.get('key')}", where=source.root, remedy="choose the data with --data"
                )
            truth = source.read_label(record)
            return make_example(
                record.key,
                read_image(record.image),
                truth,
                predict(record, (truth.shape[0], truth.shape[1])),
                source.target,
                scores=(_share(row.get("miou")), _share(row.get("accuracy"))),
            )
        except RoadsegError as error:
            self.failed.append(str(error))
            return None

    def _source(self) -> "Source":
        """Open the data set, with labels in the space of the score."""
        from dataclasses import replace

        from roadseg.data import open_source
        from roadseg.labels import label_map, space

        where = self.command.data or self.score.get("data")
        if not isinstance(where, str):
            raise InputError("the score does not say where its data set is", remedy="give it with --data")
        source = open_source(where)
        wanted = self.protocol.get("space")
        if not isinstance(wanted, str) or wanted == source.target.name:
            return source
        try:
            target = self.space or space(wanted)
        except LabelError as error:
            raise LabelError(
                f"is in label space {wanted}, which does not come with roadseg",
                where=self.command.source,
                remedy="name its file: --space FILE.toml",
            ) from error
        return replace(source, label_map=source.label_map.then(label_map(source.target, target)))

    def _split(self) -> str:
        split = self.protocol.get("split")
        if not isinstance(split, str) or not split:
            raise InputError(
                "does not say which split it is of", where=self.command.source, remedy="evaluate again"
            )
        return split

    def _from_folder(self, source: "Source") -> "Guess":
        """Read ``DIR/labels/KEY.png``."""
        from roadseg.labels import label_map, space
        from roadseg.media import read_mask

        folder = Path(self.command.predictions or ".")
        labels = folder / "labels" if (folder / "labels").is_dir() else folder
        stored = space(self.command.space) if self.command.space else source.target
        translate = label_map(stored, source.target)

        def read(record: "Record", _size: tuple[int, int]) -> "NDArray[Any]":
            path = _find(labels, record)
            mask = read_mask(path)
            if mask.ndim != 2:
                raise DataError(
                    "is a color picture",
                    where=path,
                    remedy="name the folder that holds labels/, with class ids",
                )
            return translate.relabel(mask, where=str(path))

        return read

    def _from_weights(self, source: "Source") -> "Guess":
        """Compute predictions at the size of the labels."""
        from roadseg.labels import label_map

        command = self.command
        predictor = open_predictor(str(command.weights), command.device, command.trust_code, self.terminal)
        translate = label_map(predictor.space, source.target)
        scored, drawn = self.protocol.get("strategy"), predictor.strategy.describe()
        if isinstance(scored, str) and scored != drawn:
            self.terminal.note(f"note: the score is of {scored}; the pictures are of {drawn}")

        def compute(record: "Record", size: tuple[int, int]) -> "NDArray[Any]":
            import torch

            from roadseg.media import read_image

            image: NDArray[np.uint8] = read_image(record.image)
            batch = torch.from_numpy(image.copy()).permute(2, 0, 1)[None]
            return translate.relabel(predictor.decode(batch, size).labels[0].cpu().numpy(), where=record.key)

        return compute


def _find(labels: Path, record: "Record") -> Path:
    """Return the prediction of a record: named by its key, or as its image lies below some folder."""
    name = record.image.with_suffix(".png").name
    tries = [labels / f"{record.key}.png", labels / record.image.parent.name / name, labels / name]
    found = next((path for path in tries if path.is_file()), None)
    if found is None:
        raise DataError(
            f"holds no prediction of {record.key}", where=labels, remedy=f"looked for {tries[0].name}, {name}"
        )
    return found


def _known_space(name: object, given: str | None) -> "LabelSpace | None":
    """Return the label space of a score: the one that was given, or one that comes with roadseg."""
    from roadseg.labels import space, space_names

    if given is not None and (found := space(given)).name == name:
        return found
    return space(name) if isinstance(name, str) and name in space_names() else None


def _share(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
