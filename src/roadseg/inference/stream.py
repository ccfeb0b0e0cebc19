"""Predictions over the frames of a video, with reading, network and whatever follows at the same time.

One thread reads frames, one runs the network, and the caller draws and writes; queues of a few frames lie between them,
so that memory stays bounded and the slowest of the three sets the pace. FFmpeg, torch and NumPy let go of Python's
lock while they work.

Networks that see one frame at a time flicker: a border wanders, a pole comes and goes. `FlowSmoothing` averages their
scores over time, along the motion of the picture.
"""

import copy
import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Generic, NamedTuple, Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from roadseg.errors import RecipeError
from roadseg.inference.motion import Motion, motion_between, optical_flow, reduced
from roadseg.inference.predictor import Predictor
from roadseg.inference.strategies import Bounded, Probabilities, ScoreMap, ScoreSum, Strategy
from roadseg.media import Prediction, atomic_path
from roadseg.media.video import Frame
from roadseg.models.output import SegmentationModel

__all__ = ["Ahead", "FlowSmoothing", "Memory", "Streamed", "stream"]

T = TypeVar("T")

_DEPTH = 3  # frames that may wait between two stages
_POLL_SECONDS = 0.2
_PATIENCE_SECONDS = 2.0  # with a source that is told to stop, and may be stuck


@dataclass(frozen=True)
class Memory:
    """What smoothing knows about the past after a frame; with it, a stream goes on as if it had not stopped.

    Attributes:
        scores: float32 ``[1, C, h, w]``, smoothed; several where the strategy sums maps of several resolutions.
        gray: uint8 ``[h', w']``, the frame as `roadseg.inference.motion.reduced` made it.
    """

    scores: tuple[torch.Tensor, ...]
    gray: npt.NDArray[np.uint8]

    def save(self, path: Path) -> None:
        """Write it to an ``.npz`` file, atomically."""
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            maps = {f"scores_{i}": part.cpu().numpy() for i, part in enumerate(self.scores)}
            np.savez(file, gray=self.gray, **maps)  # type: ignore[arg-type] # numpy's stub takes maps for a flag

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            count = sum(name.startswith("scores_") for name in file.files)
            return cls(tuple(torch.from_numpy(file[f"scores_{i}"]) for i in range(count)), file["gray"])


class Streamed(NamedTuple):
    """One frame with what was made of it.

    Attributes:
        frame: The frame.
        prediction: Its labels.
        memory: The state of smoothing after it; None without smoothing.
    """

    frame: Frame
    prediction: Prediction
    memory: Memory | None


class FlowSmoothing:
    """A strategy that averages the scores of another one over the frames of a video, along optical flow.

    With the scores ``L_t`` of frame t at the network's own resolution, the flow ``F_t`` from frame t to frame t - 1 and
    its trust ``c_t`` (`motion_between`), at every score cell x::

        S_t(x) = (1 - a c_t(x)) L_t(x) + a c_t(x) S_{t-1}(x + F_t(x)),      S_0 = L_0

    Where the flow is right, that is an exponential average over about ``1 / (1 - a)`` frames; where it is not (things
    that appear, borders of the picture), the frame speaks for itself. At a cut between scenes ``c_t = 0`` everywhere.
    ``S_{t-1}`` is read by bilinear interpolation; sums of scores decode exactly, see `roadseg.inference.decode`.

    Args:
        inner: The strategy of the single frames.
        weight: ``a``, 0..1 without 1.

    Raises:
        RecipeError: The weight is not in that range.
    """

    def __init__(self, inner: Strategy, weight: float) -> None:
        if not 0 < weight < 1:
            raise RecipeError(
                f"a weight of {weight} cannot smooth",
                where="smooth",
                remedy="give more than 0 and less than 1",
            )
        self.inner, self.weight = inner, weight
        self.motion: Motion | None = None
        """How the coming frame came from the one before; None: not at all."""
        self.before: tuple[torch.Tensor, ...] = ()
        """float32 ``[1, C, h, w]``, the smoothed scores of the frame before; nothing before the first."""
        self.now: tuple[torch.Tensor, ...] = ()
        """The same after a call; the caller decides when it becomes `before`, so that a call can be repeated."""

    def __call__(self, model: SegmentationModel, images: torch.Tensor) -> ScoreMap | ScoreSum:
        """Return the smoothed scores of one frame ``[1, 3, H, W]``."""
        found = self.inner(model, images)
        if isinstance(found, ScoreSum):  # the average of a sum is the sum of the averages
            parts = tuple(
                part._replace(map=self._smoothed(part.map, part.size, i))
                for i, part in enumerate(found.parts)
            )
            self.now = tuple(part.map.scores for part in parts)
            return replace(found, parts=parts)
        smoothed = self._smoothed(found, (images.shape[-2], images.shape[-1]), 0)
        self.now = (smoothed.scores,)
        return smoothed

    def _smoothed(self, found: ScoreMap, size: tuple[int, int], index: int) -> ScoreMap:
        scores = found.scores.float()
        before = self.before[index] if index < len(self.before) else None
        if self.motion is not None and before is not None and before.shape == scores.shape:
            moved, trust = _moved(before.to(scores.device), self.motion, found, size)
            scores = torch.lerp(scores, moved, self.weight * trust)
        return found._replace(scores=scores)

    def describe(self) -> str:
        """Return the words that stand in a score's protocol."""
        return f"{self.inner.describe()}, smoothed over time along optical flow by {self.weight:g}"


def stream(
    predictor: Predictor,
    frames: Iterable[Frame],
    *,
    smooth: float = 0.0,
    memory: Memory | None = None,
    confidence: bool = False,
    stop: threading.Event | None = None,
) -> Generator[Streamed, None, None]:
    """Segment frames one after the other while the next are read and the last are used.

    Args:
        predictor: The network.
        frames: The frames, for example of a `VideoReader`; they are read in another thread, a few ahead.
        smooth: Weight of the past, 0 (none) to below 1; see `FlowSmoothing`.
        memory: The state after the frame before the first one.
        confidence: Also give the probability of the winning class.
        stop: When it is set, the stream ends even if no frame comes. A thread that waits for one is left behind, and
            the source must not be closed under it.

    Yields:
        Every frame with its prediction, in order. Closing the generator stops the threads.

    Raises:
        RecipeError: ``smooth`` is out of range, or needs OpenCV where there is none.
    """
    smoother: FlowSmoothing | None = None
    if smooth != 0:
        optical_flow()
        predictor = copy.copy(predictor)
        predictor.strategy, smoother = _smoothing(predictor.strategy, smooth)
        if memory is not None:
            smoother.before = memory.scores
    gray = None if memory is None else memory.gray
    moving = _with_motion(frames, gray, smooth=smoother is not None)
    seen = Ahead(moving, stop=stop, patience=_PATIENCE_SECONDS)
    with Ahead(_predictions(predictor, smoother, seen, confidence=confidence), stop=stop) as results:
        yield from results


def _smoothing(strategy: Strategy, weight: float) -> tuple[Strategy, FlowSmoothing]:
    """Return a strategy that smooths, and the part of it that does.

    Scores are smoothed before they become probabilities of pixels where they are in one piece: at the network's own
    resolution they are a hundredth of the numbers, and smoothed alike whatever they are summed into.
    """
    match strategy:
        case Bounded(inner=Probabilities() as chances):
            smoother = FlowSmoothing(replace(strategy, inner=chances.inner), weight)
            return replace(chances, inner=smoother), smoother
        case Probabilities():
            smoother = FlowSmoothing(strategy.inner, weight)
            return replace(strategy, inner=smoother), smoother
    smoother = FlowSmoothing(strategy, weight)
    return smoother, smoother


class _Seen(NamedTuple):
    frame: Frame
    gray: npt.NDArray[np.uint8] | None
    motion: Motion | None


def _with_motion(
    frames: Iterable[Frame], before: npt.NDArray[np.uint8] | None, *, smooth: bool
) -> Iterator[_Seen]:
    for frame in frames:
        if not smooth:
            yield _Seen(frame, None, None)
            continue
        gray = reduced(frame.pixels)
        known = before is not None and before.shape == gray.shape
        motion = motion_between(before, gray) if known and before is not None else None
        yield _Seen(frame, gray, motion)
        before = gray


def _predictions(
    predictor: Predictor, smoother: FlowSmoothing | None, seen: "Ahead[_Seen]", *, confidence: bool
) -> Iterator[Streamed]:
    with seen:
        for frame, gray, motion in seen:
            if smoother is not None:
                smoother.motion = motion
            prediction = predictor(frame.pixels, confidence=confidence)
            memory = None
            if smoother is not None and gray is not None:
                smoother.before = smoother.now
                memory = Memory(smoother.now, gray)
            yield Streamed(frame, prediction, memory)


def _moved(
    before: torch.Tensor, motion: Motion, found: ScoreMap, size: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the scores before, moved to where they are now ``[1, C, h, w]``, and the trust in them ``[1, 1, h, w]``.

    Args:
        before: ``[1, C, h, w]``.
        motion: From this frame to the one before.
        found: How the cells lie over the picture.
        size: Height and width of the picture as the network sees it.
    """
    rows, columns = before.shape[-2:]
    y = _centers(rows, found.grid[0], found.align_corners, before.device)[:, None].expand(rows, columns)
    x = _centers(columns, found.grid[1], found.align_corners, before.device)[None].expand(rows, columns)
    shares = torch.stack([(x + 0.5) / size[1], (y + 0.5) / size[0]], dim=-1)[None]
    field = torch.from_numpy(np.concatenate([motion.flow, motion.trust[..., None]], axis=-1)).to(
        before.device
    )
    # Flow is a picture of its own: sampled where its pixels lie, whatever the scores' convention.
    local = F.grid_sample(
        field.permute(2, 0, 1)[None],
        shares * 2 - 1,
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )
    from_x, from_y = x + local[0, 0] * size[1], y + local[0, 1] * size[0]
    if found.align_corners:
        places = [from_x / max(found.grid[1] - 1, 1), from_y / max(found.grid[0] - 1, 1)]
    else:
        places = [(from_x + 0.5) / found.grid[1], (from_y + 0.5) / found.grid[0]]
    moved = F.grid_sample(
        before,
        torch.stack(places, dim=-1)[None] * 2 - 1,
        mode="bilinear",
        padding_mode="border",
        align_corners=found.align_corners,
    )
    return moved, local[:, 2:]


def _centers(cells: int, pixels: int, align_corners: bool, device: torch.device) -> torch.Tensor:
    """Return the pixel positions ``[cells]`` of score cells along one axis of the grid."""
    index = torch.arange(cells, dtype=torch.float32, device=device)
    if align_corners:
        return index * ((pixels - 1) / max(cells - 1, 1))
    return (index + 0.5) * (pixels / cells) - 0.5


class _Failed(NamedTuple):
    error: BaseException


_END = object()


class Ahead(Generic[T]):
    """Iterates over something in a thread of its own, a few items ahead of whoever uses them.

    Used as a context, whose end stops the thread; what the thread raises, the iteration raises.

    Args:
        items: What to iterate over; if it is a generator, the thread closes it.
        depth: How many items may wait.
        stop: When it is set, the iteration ends even if no item comes.
        patience: Seconds to wait for the thread after `stop`; None for as long as it takes.
    """

    def __init__(
        self,
        items: Iterable[T],
        depth: int = _DEPTH,
        *,
        stop: threading.Event | None = None,
        patience: float | None = None,
    ) -> None:
        self._items = items
        self._queue: queue.Queue[object] = queue.Queue(depth)
        self._asked = stop or threading.Event()
        self._patience = patience
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(self._patience if self._asked.is_set() else None)

    def __iter__(self) -> Iterator[T]:
        while True:
            try:
                # Not for ever: on Windows, Ctrl-C is not noticed while waiting for a lock.
                item = self._queue.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                if self._asked.is_set():
                    return
                continue
            if item is _END:
                return
            if isinstance(item, _Failed):
                raise item.error
            yield item  # type: ignore[misc] # the queue holds T, and the two cases above

    def _work(self) -> None:
        last: object = _END
        iterator = iter(self._items)
        try:
            for item in iterator:
                if not self._put(item):
                    break
        except BaseException as error:  # noqa: BLE001 - raised again by whoever uses the items
            last = _Failed(error)
        finally:
            with suppress(Exception):
                if isinstance(iterator, Generator):
                    iterator.close()
        self._put(last)

    def _put(self, item: object) -> bool:
        """Wait for room; False if nobody wants more."""
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False
