"""Pictures for ``roadseg predict``: read, label and write them at the same time, and skip what is finished."""

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roadseg.cli.entry import explain
from roadseg.cli.outputs import Outputs, Truths
from roadseg.cli.terminal import Terminal
from roadseg.errors import ONE_FILE, InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from roadseg.inference import Predictor
    from roadseg.inference.maps import Scored
    from roadseg.inference.pipeline import Passed
    from roadseg.labels import LabelSpace
    from roadseg.media import FoundImage, Prediction
    from roadseg.media.manifest import Entry, Identity, Manifest

__all__ = ["ImageJob", "Labeled"]


@dataclass
class Labeled:
    """What was done with the pictures of a run.

    Attributes:
        done: What is to be told of each picture that was labeled, in order.
        skipped: The same of each that was finished before.
        failed: The pictures that could not be labeled, with the sentence that says why.
    """

    done: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, str]] = field(default_factory=list)

    def add(self, other: "Labeled") -> None:
        """Add what another process did."""
        self.done += other.done
        self.skipped += other.skipped
        self.failed += other.failed


@dataclass(frozen=True)
class _Work:
    """A picture on its way through the stages."""

    image: "FoundImage"
    inputs: "tuple[Identity, ...]"
    started: float
    pixels: "NDArray[np.uint8]"
    truth: "Prediction | None" = None
    scored: "Scored | None" = None


class ImageJob:
    """The pictures of one run.

    Args:
        predictor: The network and how it is run.
        outputs: What to write.
        truths: Where true labels are, if outputs need them.
        batch: How many pictures of one size the network gets together at most.
    """

    def __init__(
        self, predictor: "Predictor", outputs: Outputs, truths: Truths | None = None, batch: int = 1
    ) -> None:
        self.predictor = predictor
        self.outputs = outputs
        self.truths = truths
        self.batch = batch

    def label(
        self,
        found: "Sequence[FoundImage]",
        manifest: "Manifest",
        terminal: Terminal,
        *,
        redo: bool = False,
        only: bool = False,
    ) -> Labeled:
        """Label all pictures that are not finished yet.

        Args:
            found: The pictures.
            manifest: What is finished, and where to note what will be.
            terminal: Where to show the progress.
            redo: Whether to label finished ones again.
            only: Whether a picture that cannot be labeled is an error rather than one of the failed.
        """
        from roadseg.inference.pipeline import Stage, pipeline, stage_workers

        result = Labeled()
        todo: list[FoundImage] = []
        for image in found:
            entry = None if redo else manifest.finished(image.key, self._inputs(image))
            if entry is None:
                todo.append(image)
            else:
                result.skipped.append(_told(entry, self.outputs.out))
        workers = stage_workers()
        stages = (
            Stage(self._read, workers=min(workers, len(todo) or 1), ahead=self.batch, name="read"),
            Stage(self._score, batch=self.batch, alike=lambda work: work.pixels.shape),
            Stage(
                lambda work: self._write(work, manifest), workers=min(workers, len(todo) or 1), name="write"
            ),
        )
        total, before = len(found), len(result.skipped)
        with (
            terminal.progress("labeling", total, before) as report,
            closing(pipeline(todo, *stages)) as stream,
        ):
            for count, passed in enumerate(stream, start=before + 1):
                self._note(passed, result, only=only)
                report.update(count)
        return result

    def _note(self, passed: "Passed", result: Labeled, *, only: bool) -> None:
        from roadseg.inference.memory import is_out_of_memory

        error = passed.error
        if error is None:
            result.done.append(passed.value)
        elif only or not (isinstance(error, ONE_FILE) or is_out_of_memory(error)):
            raise error
        else:
            sentence = explain(error)[0]
            name = str(passed.item.path)
            result.failed.append(
                {"image": name, "error": sentence if name in sentence else f"{name}: {sentence}"}
            )

    def _inputs(self, image: "FoundImage") -> list[Path]:
        if self.truths is None:
            return [image.path]
        try:
            return [image.path, self.truths.path(image)]
        except InputError:
            return [image.path, self.truths.folder / image.key]  # said when the picture is read

    def _read(self, image: "FoundImage") -> _Work:
        from roadseg.media import read_image
        from roadseg.media.manifest import Identity

        started = time.monotonic()
        # Identities first: a file that changes while it is read is not the one that was finished.
        inputs = tuple(Identity.of(path) for path in self._inputs(image))
        pixels = read_image(image.path)
        truth = None if self.truths is None else self.truths.read(self.truths.path(image), pixels)
        return _Work(image, inputs, started, pixels, truth)

    def _score(self, works: list[_Work]) -> list[_Work]:
        from roadseg.inference.maps import score

        attention = "attention" in self.outputs.kinds
        scored = score(self.predictor, [work.pixels for work in works], attention=attention)
        return [replace(work, scored=one) for work, one in zip(works, scored, strict=True)]

    def _write(self, work: _Work, manifest: "Manifest") -> dict[str, Any]:
        from roadseg.inference.predictor import label_ids
        from roadseg.media import Prediction

        if work.scored is None:
            raise AssertionError("a picture was written before it was labeled")
        decoded = work.scored.decode(confidence="confidence" in self.outputs.kinds)
        own = Prediction(
            labels=label_ids(decoded.labels[0], self.predictor.space),
            space=self.predictor.space,
            confidence=None if decoded.confidence is None else decoded.confidence[0].cpu().numpy(),
            image=work.pixels,
        )
        prediction = self.outputs.translation(own)
        manifest.begin(work.image.key)
        files = self.outputs.write(work.image, work.scored, prediction, work.truth)
        height, width = prediction.labels.shape
        facts = {
            "image": str(work.image.path),
            "height": height,
            "width": width,
            "space": _told_space(prediction.space),
            **self.outputs.translation.facts(),
            "shares": prediction.shares(),
        }
        entry = manifest.finish(
            work.image.key, work.inputs, {str(kind): file for kind, file in files.items()}, facts
        )
        return {**_told(entry, self.outputs.out), "seconds": round(time.monotonic() - work.started, 3)}


def _told_space(labels: "LabelSpace") -> str | dict[str, Any]:
    """Return the name of a label space that comes with roadseg, all of any other."""
    from roadseg.labels import space, space_names

    known = labels.name in space_names() and space(labels.name) == labels
    return labels.name if known else labels.to_json()


def _told(entry: "Entry", out: Path) -> dict[str, Any]:
    return {**entry.facts, "files": {kind: str(out / file) for kind, file in entry.files.items()}}
