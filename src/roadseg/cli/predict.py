"""``roadseg predict``: from pictures to label maps."""

import os
import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from roadseg.cli.loading import open_predictor
from roadseg.cli.terminal import Flag, Talk, Terminal, duration, percent
from roadseg.errors import InputError, OutputError

if TYPE_CHECKING:
    from roadseg.inference import Predictor
    from roadseg.labels import LabelSpace
    from roadseg.media import FoundImage, Prediction

__all__ = ["Predict"]

_PENDING = 4  # pictures that may wait to be written: bounds memory
_NAMED_SHARES = 4


@dataclass(frozen=True, kw_only=True)
class Predict:
    """Label every pixel of photos: road, sidewalk, building, car ...

    Writes DIR/labels/NAME.png (class ids), DIR/color/NAME.png (palette PNG) and DIR/overlay/NAME.jpg.

        roadseg predict street.jpg
        roadseg predict photos/ -o out --weights my.safetensors --to cityscapes

    Attributes:
        inputs: Pictures, folders (searched to the bottom), patterns such as "photos/*.jpg", or .txt files that list them.
        weights: Bundled weights by name (`roadseg models`) or a .safetensors file (default: the bundled ones).
        out: Folder for the results.
        to: Label space to translate the results to, for example "cityscapes" (`roadseg labels`).
        device: auto, cpu, cuda, cuda:1 or mps.
        trust_code: Accept weights whose network is package.module:callable, and run that code.
        labels: Leave out the label ids.
        color: Leave out the colored label maps.
        overlay: Leave out the overlays.
        confidence: Also write DIR/confidence/NAME.png: the winning class's probability, 0..255.
        legend: Draw class names beside the overlay.
        alpha: Opacity of the colors in the overlay, 0..1.
        skip_existing: Leave pictures alone whose results are all there; goes on where a run was stopped.
    """

    inputs: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="INPUT...", help_behavior_hint="")
    ] = ()
    weights: Annotated[str | None, tyro.conf.arg(metavar="NAME_OR_FILE", help_behavior_hint="")] = None
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="DIR")] = Path("roadseg-out")
    to: Annotated[str | None, tyro.conf.arg(metavar="SPACE", help_behavior_hint="")] = None
    device: str = "auto"
    trust_code: Flag = False
    labels: Flag = True
    color: Flag = True
    overlay: Flag = True
    confidence: Flag = False
    legend: Flag = False
    alpha: float = 0.5
    skip_existing: Flag = False
    terminal: Talk = field(default_factory=Terminal)

    def run(self) -> int:
        """Label the pictures; 1 when some of several could not be."""
        from roadseg.inference import DEFAULT_WEIGHTS
        from roadseg.labels import label_map, space
        from roadseg.media import find_images

        if not 0 <= self.alpha <= 1:
            raise InputError(f"--alpha is {self.alpha}", remedy="give a number from 0 (photo) to 1 (colors)")
        if not self.inputs:
            raise InputError("no picture was given", remedy="for example `roadseg predict street.jpg`")
        found = _without_results(find_images(self.inputs), self.out)
        _check_folder(self.out)
        target = None if self.to is None else space(self.to)
        name = self.weights or DEFAULT_WEIGHTS
        predictor = open_predictor(name, self.device, self.trust_code, self.terminal)
        if target is not None:
            label_map(predictor.space, target)  # fails now rather than after the first picture
        job = _Job(self, predictor, target or predictor.space)
        started = time.monotonic()
        job.label(found)
        job.tell(len(found), time.monotonic() - started, name)
        return 1 if job.failed else 0


class _Job:
    """The pictures of one call: what was done with each."""

    def __init__(self, command: Predict, predictor: "Predictor", space: "LabelSpace") -> None:
        self.command = command
        self.predictor = predictor
        self.space = space
        self.done: list[dict[str, Any]] = []
        self.failed: list[dict[str, str]] = []
        self.skipped = 0

    def label(self, found: "list[FoundImage]") -> None:
        """Label all pictures; one that cannot be read stops the others only when it is the only one."""
        with (
            ThreadPoolExecutor(1) as writer,
            self.command.terminal.progress("labeling", len(found)) as report,
        ):
            pending: deque[Future[None]] = deque()
            try:
                for count, image in enumerate(found, start=1):
                    self._label_one(image, writer, pending, only=len(found) == 1)
                    report.update(count)
                    _drain(pending, _PENDING)
                _drain(pending, 0)
            except KeyboardInterrupt as stop:
                stop.add_note("go on with --skip-existing")
                raise
            finally:
                for future in pending:
                    future.cancel()

    def _label_one(
        self, image: "FoundImage", writer: ThreadPoolExecutor, pending: deque[Future[None]], only: bool
    ) -> None:
        files = self._files(image)
        if self.command.skip_existing and all(file.is_file() for file in files.values()):
            self.skipped += 1
            return
        started = time.monotonic()
        try:
            prediction = self.predictor(image.path, confidence=self.command.confidence).to(self.space)
        except InputError as error:
            if only:
                raise
            self.failed.append({"image": str(image.path), "error": str(error)})
            return
        self.done.append(
            {
                "image": str(image.path),
                "height": prediction.labels.shape[0],
                "width": prediction.labels.shape[1],
                "seconds": round(time.monotonic() - started, 3),
                "shares": prediction.shares(),
                "files": {kind: str(file) for kind, file in files.items()},
            }
        )
        pending.append(writer.submit(self._write, prediction, files))

    def _files(self, image: "FoundImage") -> dict[str, Path]:
        command = self.command
        wanted = {
            "labels": (command.labels, ".png"),
            "color": (command.color, ".png"),
            "confidence": (command.confidence, ".png"),
            "overlay": (command.overlay, ".jpg"),
        }
        return {
            kind: command.out / kind / f"{image.key}{suffix}" for kind, (on, suffix) in wanted.items() if on
        }

    def _write(self, prediction: "Prediction", files: dict[str, Path]) -> None:
        import numpy as np

        from roadseg.media import write_image

        for kind, path in files.items():
            match kind:
                case "labels" | "color":
                    prediction.save(path, color=kind == "color")
                case "confidence" if prediction.confidence is not None:
                    write_image(path, np.rint(prediction.confidence * 255).astype(np.uint8))
                case _:
                    write_image(
                        path, prediction.overlay(alpha=self.command.alpha, legend=self.command.legend)
                    )

    def tell(self, count: int, seconds: float, weights: str) -> None:
        """Say what was done, and where the results are."""
        terminal, out = self.command.terminal, self.command.out
        for failure in self.failed:
            terminal.warn(failure["error"])
        terminal.emit(
            {
                "weights": weights,
                "space": self.space.name,
                "device": str(self.predictor.device),
                "out": str(out),
                "seconds": round(seconds, 3),
                "images": self.done,
                "failed": self.failed,
                "skipped": self.skipped,
            }
        )
        if count == 1 and self.done:
            only = self.done[0]
            terminal.say(f"{only['image']} ({only['width']}x{only['height']}): {shares_text(only['shares'])}")
            for kind, file in only["files"].items():
                terminal.say(f"  {kind:<10} {file}")
            return
        facts = [f"{len(self.done)} of {count} pictures labeled in {duration(seconds)}"]
        facts += [f"{self.skipped} were there already"] if self.skipped else []
        facts += [f"{len(self.failed)} could not be read"] if self.failed else []
        terminal.say(", ".join(facts))
        if self.done:
            terminal.say(f"  on average {shares_text(mean_shares(item['shares'] for item in self.done))}")
            terminal.say(f"  in {out}{os.sep}: {', '.join(self.done[0]['files'])}")


def shares_text(shares: dict[str, float]) -> str:
    """Return the largest shares of a picture in words."""
    present = sorted(((share, name) for name, share in shares.items() if share > 0), reverse=True)
    named = ", ".join(f"{percent(share, 0)} % {name}" for share, name in present[:_NAMED_SHARES])
    rest = len(present) - _NAMED_SHARES
    return f"{named} and {rest} more" if rest > 0 else named


def mean_shares(many: Iterable[dict[str, float]]) -> dict[str, float]:
    """Return the mean of several pictures' shares."""
    rows = list(many)
    names = {name: None for row in rows for name in row}
    return {name: sum(row.get(name, 0.0) for row in rows) / len(rows) for name in names}


def _drain(pending: deque[Future[None]], keep: int) -> None:
    """Wait until at most so many pictures are left to be written; raises what went wrong in writing."""
    while len(pending) > keep:
        pending.popleft().result()


def _without_results(found: "list[FoundImage]", out: Path) -> "list[FoundImage]":
    """Leave out what an earlier call wrote: the folder for the results may lie in the folder of the pictures."""
    results = out.resolve()
    kept = [image for image in found if results not in image.path.resolve().parents]
    if not kept:
        raise InputError("holds only results of roadseg", where=out, remedy="name the pictures to label")
    return kept


def _check_folder(out: Path) -> None:
    """Fail before the work when the folder for the results cannot be there."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"the folder cannot be made ({error.strerror})", where=out, remedy="choose another one with -o"
        ) from error
