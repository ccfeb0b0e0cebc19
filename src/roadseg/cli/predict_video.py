"""Videos for ``roadseg predict``: one labeled MP4 each, in closed parts so that a stopped run goes on where it was.

The film is written in parts of 250 frames, each closed before it is noted in a manifest, and joined at the end without
encoding anew. A run that was killed continues behind the last noted part, with the state of smoothing as it was there,
and the joined film has the same bytes as without the interruption.
"""

import hashlib
import json
import signal
import threading
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from itertools import chain, count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from roadseg import __version__
from roadseg.cli.recording import Recording, read_json
from roadseg.cli.terminal import Report, Terminal, duration
from roadseg.cli.translation import Translation
from roadseg.errors import InputError

if TYPE_CHECKING:
    from roadseg.inference import Predictor
    from roadseg.inference.stream import Streamed
    from roadseg.media import Prediction
    from roadseg.media.video import Frame, FrameSource

__all__ = ["VideoPlan", "VideoResult", "numbered", "predict_video", "video_key"]

PART_FRAMES = 250  # ten seconds: what a killed run loses at most
_EDGE_BYTES = 2**20  # of a file's beginning and end, by which it is recognized


@dataclass(frozen=True, kw_only=True)
class VideoPlan:
    """What to make of a video.

    Attributes:
        alpha: Opacity of the colors, 0..1.
        legend: Whether to add a bar with the names of the classes below; of many, those in the frame.
        side_by_side: Whether to show the picture itself on the left of the labeled one.
        only: Names of the classes to color; empty for all.
        smooth: Weight of the past in the average over time, 0 (none) to below 1; see
            `roadseg.inference.stream.FlowSmoothing`.
        label_frames: Whether to write the class ids of every frame as PNG too.
        limit: Frames to label at most; None for all.
    """

    alpha: float = 0.5
    legend: bool = False
    side_by_side: bool = False
    only: tuple[str, ...] = ()
    smooth: float = 0.0
    label_frames: bool = False
    limit: int | None = None


@dataclass(frozen=True, kw_only=True)
class VideoResult:
    """What was made of a video.

    Attributes:
        source: The video as given.
        file: The film.
        height: Of the film, pixels.
        width: Of the film, pixels.
        fps: Frames per second, on average.
        frames: How many the film has.
        seconds: How long it lasts.
        shares: Mean share of the pixels of each class that occurs, 0..1, largest first.
        computed: How many frames this call labeled; the others were there.
        failed: Why the video could not be read to its end; the film has what came before.
    """

    source: str
    file: Path
    height: int
    width: int
    fps: float
    frames: int
    seconds: float
    shares: dict[str, float]
    computed: int
    failed: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**asdict(self), "file": str(self.file)}

    def sentence(self) -> str:
        """Return it in words."""
        size = f"{self.width}x{self.height}, {self.fps:.4g} frames/s"
        there = self.frames - self.computed
        before = f", {there} of them before" if there else ""
        return f"{self.source}: {self.frames} frames ({duration(self.seconds)}, {size}) labeled{before}: {self.file}"


def predict_video(
    predictor: "Predictor",
    source: str | Path,
    out: Path,
    plan: VideoPlan | None = None,
    *,
    key: str | None = None,
    translation: Translation | None = None,
    redo: bool = False,
    terminal: Terminal | None = None,
) -> VideoResult:
    """Label a video and write ``OUT/video/KEY.mp4``, beside it ``KEY.json`` about it.

    With ``label_frames``, class ids go to ``OUT/labels/KEY/000000.png`` and on. What an earlier call with the same
    video, weights and plan has finished is not done again. A camera or stream is recorded until Ctrl-C, and each time
    under another name: ``KEY``, ``KEY_2`` ...

    Args:
        predictor: The network.
        source: A file, ``camera:0`` or an address; see `roadseg.media.camera.open_video`.
        out: Folder for the results.
        plan: What to make of it.
        key: Name of the results below their folders, without suffix (default: that of the file).
        translation: How the results get into their label space (default: they are in the predictor's).
        redo: Whether to label frames again whose results are there.
        terminal: Where to show progress.

    Raises:
        ImageError: Not even one frame could be read.
        InputError: There is no such camera.
        LabelError: A class of ``only`` is unknown.
        RecipeError: ``smooth`` is out of range, or needs OpenCV where there is none.
        OutputError: The results cannot be written.
    """
    from roadseg.media.camera import open_video

    plan = plan or VideoPlan()
    translation = translation or Translation.choose(predictor.space, None)
    painter = _Painter(plan, translation)
    key = key or video_key(source)
    frames = open_video(source)
    film: _Film | None = None
    try:
        job = _fingerprint(predictor, source, painter)
        if frames.is_live:
            key = _free_key(out, key)
        file = out / "video" / f"{key}.mp4"
        labels = out / "labels" / key if plan.label_frames else None
        fresh = redo or frames.is_live
        if not fresh and (known := _known_result(file, job, labels)) is not None:
            return known
        film = _Film(predictor, frames, painter, Recording(file, job, fresh=fresh), labels)
        return film.make(str(source), terminal or Terminal())
    finally:
        if film is None or not film.is_reading:
            frames.close()


class _Painter:
    """Draws frames according to a plan."""

    def __init__(self, plan: VideoPlan, translation: Translation) -> None:
        space = translation.space
        self.plan, self.translation, self.space = plan, translation, space
        shown = [space.index(name) for name in plan.only] or range(space.num_classes)
        self._ids = [space.ids[i] for i in shown]
        self._table: np.ndarray[Any, np.dtype[Any]] | None = None
        if plan.only:
            self._table = np.full(np.iinfo(space.dtype).max + 1, space.stored_id(space.ignore), space.dtype)
            stored = [space.stored_id(number) for number in self._ids]
            self._table[stored] = stored
        self._bar: np.ndarray[Any, np.dtype[np.uint8]] | None = None

    def paint(self, prediction: "Prediction") -> "np.ndarray[Any, np.dtype[np.uint8]]":
        """Return one frame of the film, uint8 ``[H, W, 3]``."""
        from dataclasses import replace

        from roadseg.media import stack

        shown = prediction
        if self._table is not None:
            shown = replace(prediction, labels=self._table[prediction.labels])
        picture = shown.overlay(alpha=self.plan.alpha)
        if self.plan.side_by_side and prediction.image is not None:
            picture = np.concatenate([prediction.image, picture], axis=1)
        if not self.plan.legend:
            return picture
        bar = self._legend(shown, picture.shape[1])
        if bar.shape[1] != picture.shape[1]:
            return stack([picture, bar])  # a bar is at least as wide as its text
        return np.concatenate([picture, bar])  # 20 ms faster than filling a background first

    def _legend(self, shown: "Prediction", width: int) -> "np.ndarray[Any, np.dtype[np.uint8]]":
        """Return a bar of all classes or, where they are too many, of those in the frame."""
        from roadseg.media.draw import MOST_IN_FILMS, film_legend, legend_bar

        if len(self._ids) > MOST_IN_FILMS:
            counts = zip(self.space.ids, _counts(shown).tolist(), strict=True)
            return film_legend(self.space, {number: count for number, count in counts if count}, width)
        if self._bar is None:
            self._bar = legend_bar(self.space, self._ids, width)
        return self._bar


@dataclass
class _Film:
    """One film in the making."""

    predictor: "Predictor"
    source: "FrameSource"
    painter: _Painter
    recording: Recording
    labels: Path | None
    failed: str | None = None
    size: tuple[int, int] = field(default=(0, 0))
    frames: "Iterator[Frame] | None" = None

    @property
    def is_reading(self) -> bool:
        """Whether a thread still waits for a frame: closing the source under it would crash."""
        return bool(getattr(self.frames, "gi_running", False))

    def make(self, source: str, terminal: Terminal) -> VideoResult:
        """Label what is left, join the parts, and say what came out."""
        there = self.recording.frames
        total = self._total()
        with (
            terminal.progress("labeling", total or there + 1, there) as report,
            _stop_on_interrupt(self.source.is_live) as stopped,
            closing(self._stream(stopped)) as results,
        ):
            left = self._readable(results, stopped)
            while (first := next(left, None)) is not None:
                self._write_part(chain([first], islice(left, PART_FRAMES - 1)), report, total)
        if not self.recording.parts:
            if stopped.is_set():
                raise KeyboardInterrupt
            raise InputError(self.failed or "gave no frame", where=None if self.failed else source)
        self.recording.join(self.source.fps)
        return self._conclude(source, self.recording.frames - there)

    def _total(self) -> int | None:
        count, limit = self.source.count, self.painter.plan.limit
        return count if limit is None or (count is not None and count < limit) else limit

    def _stream(self, stopped: threading.Event) -> "Generator[Streamed, None, None]":
        from roadseg.inference.stream import stream

        plan, done = self.painter.plan, self.recording.frames
        left = None if plan.limit is None else max(0, plan.limit - done)
        self.frames = self.source.frames(done)
        return stream(
            self.predictor,
            islice(self.frames, left),
            smooth=plan.smooth,
            memory=self.recording.memory(),
            stop=stopped,
        )

    def _readable(self, results: "Iterator[Streamed]", stopped: threading.Event) -> "Iterator[Streamed]":
        """Yield what can be read; an error of the source ends it and is remembered."""
        try:
            for result in results:
                yield result
                if stopped.is_set():
                    return
        except InputError as error:
            self.failed = str(error)

    def _write_part(self, results: "Iterator[Streamed]", report: Report, total: int | None) -> None:
        from roadseg.media.film import VideoWriter

        before, frames = self.recording.frames, 0
        start: Fraction | None = None
        counts = np.zeros(self.painter.space.num_classes, dtype=np.int64)
        with VideoWriter(self.recording.path(), self.source.fps) as writer:
            for frame, raw, memory in results:
                prediction = self.painter.translation(raw)
                start = frame.seconds if start is None else start
                picture = self.painter.paint(prediction)
                writer.write(picture, frame.seconds - start)
                counts += _counts(prediction)
                if self.labels is not None:
                    prediction.save(self.labels / f"{before + frames:06}.png")
                frames += 1
                end, kept, size = frame.seconds, memory, picture.shape[:2]
                report.update(before + frames, total or before + frames + 1)
        part = {
            "frames": frames,
            "start": str(start),
            "end": str(end),
            "size": size,
            "counts": counts.tolist(),
            "pixels": prediction.labels.size,
        }
        self.recording.add(part, kept)

    def _conclude(self, source: str, computed: int) -> VideoResult:
        from roadseg.media import write_json

        recording, space, fps = self.recording, self.painter.space, self.source.fps
        last = recording.parts[-1]
        counts = np.sum([part["counts"] for part in recording.parts], axis=0)
        shares = counts / (recording.frames * last["pixels"])
        height, width = (side + side % 2 for side in last["size"])
        result = VideoResult(
            source=source,
            file=recording.file,
            height=height,
            width=width,
            fps=float(fps),
            frames=recording.frames,
            seconds=float(Fraction(last["end"]) + 1 / fps),
            shares={
                space.names[i]: float(shares[i]) for i in np.argsort(-shares, kind="stable") if shares[i]
            },
            computed=computed,
            failed=self.failed,
        )
        facts = result.to_json() | {"file": recording.file.name}
        del facts["computed"]  # of this call, not of the film
        record = {
            "job": recording.job,
            "bytes": recording.file.stat().st_size,
            "space": space.name,
            **self.painter.translation.facts(),
            "result": facts,
        }
        write_json(_record_of(recording.file), record)
        recording.discard()
        return result


def _counts(prediction: "Prediction") -> "np.ndarray[Any, np.dtype[np.int64]]":
    """Return the pixels of each class ``[C]``."""
    space = prediction.space
    stored = [space.stored_id(number, prediction.labels.dtype) for number in space.ids]
    return np.bincount(prediction.labels.ravel(), minlength=max(stored) + 1)[stored]


def video_key(source: str | Path) -> str:
    """Return what the results of a video are called, without suffix."""
    text = str(source)
    if "://" in text or not Path(text).suffix:
        return "".join(letter if letter.isalnum() else "-" for letter in text).strip("-")
    return Path(text).stem


def numbered(key: str) -> Iterator[str]:
    """Yield ``KEY``, ``KEY_2``, ``KEY_3`` ..., for results that need a name of their own."""
    yield key
    for number in count(2):
        yield f"{key}_{number}"


def _free_key(out: Path, key: str) -> str:
    """Return a name that no recording has: what a camera saw cannot be had again, also where the recording was killed."""
    return next(name for name in numbered(key) if not _is_recorded(out, name))


def _is_recorded(out: Path, key: str) -> bool:
    film, parts = out / "video" / f"{key}.mp4", out / "video" / f".{key}.parts"
    return film.exists() or any(parts.glob("part-*.mp4")) or (out / "labels" / key).exists()


def _record_of(file: Path) -> Path:
    return file.with_suffix(".json")


def _known_result(file: Path, job: str, labels: Path | None) -> VideoResult | None:
    """Return what an earlier call finished, if its film and the labels of its frames are still there."""
    found = read_json(_record_of(file))
    if found.get("job") != job or not file.is_file() or file.stat().st_size != found.get("bytes"):
        return None
    result = VideoResult(**found["result"] | {"file": file, "computed": 0})
    if labels is not None and not all((labels / f"{i:06}.png").is_file() for i in range(result.frames)):
        return None
    return result


def _fingerprint(predictor: "Predictor", source: str | Path, painter: _Painter) -> str:
    """Return a digest of everything that the film follows from."""
    facts = {
        "version": __version__,
        "part": PART_FRAMES,
        "plan": asdict(painter.plan),
        "space": painter.space.fingerprint,
        **painter.translation.settings(),
        "weights": predictor.fingerprint(),
        "strategy": predictor.strategy.describe(),
        "device": predictor.device.type,
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    path = Path(source)
    if path.is_file():
        size = path.stat().st_size
        digest.update(str(size).encode())
        with path.open("rb") as file:
            digest.update(file.read(_EDGE_BYTES))
            file.seek(max(0, size - _EDGE_BYTES))
            digest.update(file.read())
    return digest.hexdigest()


@contextmanager
def _stop_on_interrupt(wanted: bool) -> Iterator[threading.Event]:
    """Give an event that Ctrl-C sets, where that is how a recording ends; elsewhere one that is never set."""
    stopped = threading.Event()
    if not wanted or threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    before = signal.signal(signal.SIGINT, lambda *_: stopped.set())
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, before)
