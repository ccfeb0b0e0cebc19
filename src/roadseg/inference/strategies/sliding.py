"""Overlapping windows, averaged where they overlap.

Windows are merged at the resolution of the scores wherever their cells lie on one grid: windows, steps and the image are
then multiples of the network's stride (plus one for networks that align corners). Everywhere but within one cell of a
window's border this equals upsampling each window and averaging pixels, because upsampling is linear and all cells that
a pixel is drawn from were averaged over the same windows. At borders it is the better of the two: a window upsampled
alone has to repeat its last cell outward, the merged map has the neighbor's. With other windows, such as those of
published protocols, pixels are averaged, a few rows at a time.
"""

import math
import warnings
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F

from roadseg.errors import RecipeError
from roadseg.inference.memory import is_out_of_memory, network_bytes, release
from roadseg.inference.strategies.scores import ScoreMap, ScoreSum, band_rows, upsampled_rows
from roadseg.inference.strategies.totals import Sink, Span
from roadseg.inference.strategies.whole import Strategy, Whole, extended, pixel_classes
from roadseg.inference.strategies.windows import Line, window_starts
from roadseg.models.output import SegmentationModel

__all__ = ["Sliding"]

_LEAST_WINDOW = 32
_WINDOW_BYTES = 2**28  # scores of windows at a time, where they have a score per pixel


@dataclass(frozen=True)
class Sliding:
    """Overlapping windows; every pixel is the average of the windows that saw it.

    An image that fits in one window is run at once. On out-of-memory, fewer windows are run at a time, then scores are
    collected in main memory, and only then, because it changes what the network sees, windows are halved, with a warning.

    Attributes:
        window: Side of the windows in pixels, or height and width.
        overlap: Part of a window that the next one covers as well, 0..1; one third in the published protocols.
        stride: Pixels from one window to the next, instead of ``overlap``.
        inner: What is done with each window. None runs the network once, on the window as it is if the network aligns
            corners, else extended to its stride as `Whole` does.
        batch: Windows that the network sees at a time.
        weights: ``uniform``, or ``gaussian`` for less weight to the borders of windows, which see less context.
        pad: Surround images smaller than a window by zeros, the mean of the pixels, as MSeg does.
        grow: Enlarge windows with the image at scales above 1 of `MultiScale`, as NVIDIA's evaluation does.
        merge: ``auto`` merges windows at the resolution of the scores where their cells lie on one grid; ``pixels``
            upsamples each window, as published evaluations do.
        max_memory: Bytes that the network may take: bounds ``batch``.
    """

    window: int | tuple[int, int] = 1024
    overlap: float = 1 / 3
    stride: int | None = None
    inner: Strategy | None = None
    batch: int = 4
    weights: Literal["uniform", "gaussian"] = "uniform"
    pad: bool = False
    grow: bool = False
    merge: Literal["auto", "pixels"] = "auto"
    max_memory: int | None = None

    def __post_init__(self) -> None:
        """Refuse windows that cannot slide."""
        if min(self._window) < 1 or self.batch < 1:
            raise RecipeError(
                f"windows of {self.window} pixels, {self.batch} at a time, cannot slide",
                where="Sliding",
                remedy="give positive numbers",
            )
        if not 0 <= self.overlap < 1 or (
            self.stride is not None and not 0 < self.stride <= min(self._window)
        ):
            raise RecipeError(
                f"overlap {self.overlap:g} and stride {self.stride} leave gaps or do not get on",
                where="Sliding",
                remedy="give an overlap of 0 or more and less than 1, or a stride from 1 to the window",
            )

    def __call__(self, model: SegmentationModel, images: torch.Tensor) -> ScoreMap | ScoreSum:
        """Return the average over windows."""
        height, width = images.shape[-2:]
        if not self.pad and self._window[0] >= height and self._window[1] >= width:
            return (self.inner or Whole())(model, images)
        now = self
        while True:
            try:
                slide = _Slide(now, model, images)
                slide.run()
                return slide.result()
            except _WindowTooLargeError as error:
                now = now.halved(error)

    def by_pixel(self, model: SegmentationModel, size: tuple[int, int]) -> bool:
        """Return whether windows over an image of a size are merged pixel by pixel, rather than by the network's cells."""
        height, width = size
        if not self.pad and self._window[0] >= height and self._window[1] >= width:
            return False
        if self.pad or self.merge == "pixels" or pixel_classes(self.inner, model):
            return True
        rows, columns = lines_over(self, size, model.stride, 1 if model.align_corners else 0)
        return not (rows.on_grid and columns.on_grid)

    def pour(self, model: SegmentationModel, images: torch.Tensor, sink: Sink) -> None:
        """Give the windows of an image to a sink; on out-of-memory, what it holds is not to be used.

        Raises:
            RuntimeError, MemoryError: There is too little memory.
        """
        try:
            _Slide(self, model, images, sink).run()
        except _WindowTooLargeError as error:
            raise error.__cause__ or error from error

    def at_scale(self, scale: float) -> "Sliding":
        """Return the strategy for an image at a scale of `MultiScale`."""
        if not self.grow or scale <= 1:
            return self
        height, width = (int(side * scale) for side in self._window)
        stride = None if self.stride is None else int(self.stride * scale)
        return replace(self, window=(height, width), stride=stride)

    def halved(self, error: BaseException) -> "Sliding":
        """Return the strategy with windows of half the side, rounded up to a multiple of 32 (plus one).

        Raises:
            The given error's cause, if windows cannot become smaller.
        """
        odd = self._window[0] % 2
        height, width = (max(_LEAST_WINDOW, -(-side // 64) * 32) + odd for side in self._window)
        if self.pad or (height, width) == self._window or max(height, width) > max(self._window):
            raise error.__cause__ or error
        warnings.warn(
            f"out of memory: windows of {_by(self._window)} pixels were replaced by {_by((height, width))};"
            " scores may differ",
            RuntimeWarning,
            stacklevel=3,
        )
        stride = None if self.stride is None else min(height, width, -(-self.stride // 2))
        return replace(self, window=(height, width), stride=stride)

    @property
    def _window(self) -> tuple[int, int]:
        return (self.window, self.window) if isinstance(self.window, int) else self.window

    def steps(self) -> tuple[int, int]:
        """Return the pixels from one window to the next, down and across."""
        if self.stride is not None:
            return self.stride, self.stride
        # Rounded first: 552 * (1 - 1/3) is 368, whatever floating point says.
        height, width = (math.ceil(round(side * (1 - self.overlap), 6)) for side in self._window)
        return height, width

    def windows(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        """Return the top left corners ``(y, x)`` of the windows over an image of a height and width, in pixels."""
        (rows, columns), steps = self._window, self.steps()
        return [
            (y, x)
            for y in window_starts(size[0], rows, steps[0])
            for x in window_starts(size[1], columns, steps[1])
        ]

    def view_sizes(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        """Return the sizes of the images that the network sees for one image of a size."""
        from roadseg.inference.strategies.nesting import view_sizes

        rows, columns = self._window
        seen = (rows, columns) if self.pad else (min(rows, size[0]), min(columns, size[1]))
        return view_sizes(self.inner or Whole(), seen) * len(self.windows(size))

    def describe(self) -> str:
        """Return the words that stand in a score's protocol."""
        step = f"stride {self.stride}" if self.stride is not None else f"overlap {self.overlap:.2g}"
        words = [f"sliding windows of {_by(self._window)}", step]
        words += ["gaussian weights"] if self.weights == "gaussian" else []
        words += ["padded with the mean"] if self.pad else []
        inner = "" if self.inner is None else f" of ({self.inner.describe()})"
        return ", ".join(words) + inner


def _by(window: tuple[int, int]) -> str:
    return f"{window[1]}x{window[0]}"


class _WindowTooLargeError(Exception):
    """One window alone does not fit in memory."""


class _Slide:
    """One run of windows over images: where they lie, and what was added up so far."""

    def __init__(
        self, plan: Sliding, model: SegmentationModel, images: torch.Tensor, sink: Sink | None = None
    ) -> None:
        self.plan, self.model, self.sink = plan, model, sink
        mirrored = sink is not None and sink.mirrored
        self.size = images.shape[-2], images.shape[-1]
        self.base = 1 if model.align_corners else 0
        self.inner = plan.inner or Whole(extend="auto")
        images, self.origin = _padded(images.flip(-1) if mirrored and plan.pad else images, plan)
        self.by_cell = plan.merge == "auto" and not plan.pad
        size = images.shape[-2], images.shape[-1]
        self.rows, self.columns = lines_over(plan, size, model.stride if self.by_cell else 0, self.base)
        images = extended(images, (self.rows.length, self.columns.length))
        self.images = images.flip(-1) if mirrored and not plan.pad else images
        self.device = images.device
        self.total: torch.Tensor | None = None
        self.pitch = (1, 1)
        self.cells = (0, 0)
        self.probabilities = False

    def run(self) -> None:
        """Look at all windows, and add them up or give them to the sink."""
        places = [(y, x) for y in self.rows.starts for x in self.columns.starts]
        batch = self._first_batch()
        done = 0
        while done < len(places):
            chunk = places[done : done + batch]
            seen = False
            try:
                found = self._look(chunk)
                seen = True
                self._add(found, chunk)
            except (RuntimeError, MemoryError) as error:
                if seen and self.sink is not None:
                    raise
                batch = self._yield_memory(error, batch)
                if seen:  # part of the chunk may have been added: begin anew
                    done, self.total = 0, None
                continue
            done += len(chunk)
            del found  # before the next ones are made

    def _first_batch(self) -> int:
        """Windows at a time that stay within the limits."""
        batch = self.plan.batch
        if classes := pixel_classes(self.plan.inner, self.model):
            scores = 4 * classes * self.rows.window * self.columns.window
            batch = min(batch, _WINDOW_BYTES // scores)
        if self.plan.max_memory is not None:
            one = network_bytes(self.model, self.images[..., : self.rows.window, : self.columns.window])
            batch = min(batch, self.plan.max_memory // max(1, one))
        return max(1, batch)

    def _yield_memory(self, error: RuntimeError | MemoryError, batch: int) -> int:
        """After an error, take less memory and return the new batch; raises what is not for want of memory."""
        if not is_out_of_memory(error):
            raise error
        release(self.images.device)
        if batch > 1:
            return batch // 2
        if self.device.type != "cpu":
            self.device = torch.device("cpu")
            self.total = None if self.total is None else self.total.cpu()
            return batch
        raise _WindowTooLargeError from error

    def _look(self, chunk: list[tuple[int, int]]) -> ScoreMap:
        """Run the inner strategy over some windows."""
        high, wide = self.rows.window, self.columns.window
        views = torch.cat([self.images[..., y : y + high, x : x + wide] for y, x in chunk])
        found = self.inner(self.model, views)
        if isinstance(found, ScoreSum):
            return ScoreMap(found.scores, found.grid, found.align_corners, found.probabilities)
        return found

    def _add(self, found: ScoreMap, chunk: list[tuple[int, int]]) -> None:
        if self.sink is not None:
            for scores, corner in zip(found.scores.chunk(len(chunk)), chunk, strict=True):
                self._pour(self.sink, found._replace(scores=scores), corner)
            return
        if self.total is None:
            self._begin(found)
        assert self.total is not None  # noqa: S101 - for the type checker: begun above
        pitch = self.pitch
        maps = found.scores.chunk(len(chunk))
        for scores, (y, x) in zip(maps, chunk, strict=True):
            place = self.total[..., y // pitch[0] :, x // pitch[1] :]
            place = place[..., : self.high.numel(), : self.wide.numel()]
            self._add_window(place, found._replace(scores=scores))

    def _pour(self, sink: Sink, window: ScoreMap, corner: tuple[int, int]) -> None:
        spans = []
        for axis, line in enumerate((self.rows, self.columns)):
            weights = line.weights(line.window, self.plan.weights)
            counts = line.counts(weights, 1, line.length)[corner[axis] :][: line.window]
            view = self.size[axis]
            length = view if self.plan.pad else line.length
            spans.append(Span(corner[axis] - self.origin[axis], weights / counts, view, length))
        sink.pour(window, *spans)

    def _add_window(self, place: torch.Tensor, window: ScoreMap) -> None:
        scores, size = window.scores, (place.shape[-2], place.shape[-1])
        direct = tuple(scores.shape[-2:]) == size
        for top, bottom in band_rows(size, scores.shape[0] * scores.shape[1], scores.device):
            band = (
                scores[..., top:bottom, :].to(torch.float32, copy=self.weighted)
                if direct
                else upsampled_rows(window, top, bottom, size, size)
            )
            if self.weighted:
                band.mul_(self.high[top:bottom, None].to(band.device)).mul_(self.wide.to(band.device))
            place[..., top:bottom, :].add_(band.to(place.device))

    def _begin(self, found: ScoreMap) -> None:
        """Decide at which resolution windows are merged, from what the first of them gave."""
        cells = found.scores.shape[-2], found.scores.shape[-1]
        lines = (self.rows, self.columns)
        base = 1 if found.align_corners else 0
        pitches = [line.pitch(count, base) for line, count in zip(lines, cells, strict=True)]
        fits = found.grid == (self.rows.window, self.columns.window)
        if self.by_cell and fits and None not in pitches:
            self.pitch = (pitches[0] or 1, pitches[1] or 1)
            self.align_corners = found.align_corners
            base_cells = [0 if pitch == 1 else base for pitch in self.pitch]
        else:
            self.pitch, cells = (1, 1), (self.rows.window, self.columns.window)
            self.align_corners, base_cells = False, [0, 0]
        self.cells = (
            (self.rows.length - base_cells[0]) // self.pitch[0] + base_cells[0],
            (self.columns.length - base_cells[1]) // self.pitch[1] + base_cells[1],
        )
        self.high = self.rows.weights(cells[0], self.plan.weights)
        self.wide = self.columns.weights(cells[1], self.plan.weights)
        self.weighted = self.plan.weights != "uniform"
        self.probabilities = found.probabilities
        shape = (len(self.images), found.scores.shape[1], *self.cells)
        limit = self.plan.max_memory
        if limit is not None and 4 * math.prod(shape) > limit / 2:
            self.device = torch.device("cpu")
        self.total = torch.zeros(shape, dtype=torch.float32, device=self.device)

    def result(self) -> ScoreMap:
        """Return the average over windows, where there is no sink."""
        assert self.total is not None  # noqa: S101 - there is at least one window
        down = self.rows.counts(self.high, self.pitch[0], self.cells[0])
        across = self.columns.counts(self.wide, self.pitch[1], self.cells[1])
        total = self.total.div_(down[:, None].to(self.device)).div_(across.to(self.device))
        grid = (self.rows.length, self.columns.length)
        if self.plan.pad:
            top, left = self.origin
            total = total[..., top : top + self.size[0], left : left + self.size[1]]
            grid = self.size
        return ScoreMap(total, grid, self.align_corners, self.probabilities)


def lines_over(plan: Sliding, size: tuple[int, int], stride: int, base: int) -> tuple[Line, Line]:
    """Return the windows down and across an image; on the grid of a stride, if it is one and they fit it."""
    for each in (stride, 0):
        # A side of one pixel per cell is on every grid; `1, 0` keeps the image as it is.
        found = [
            Line.build(length, side, step, each or 1, base if each else 0)
            for length, side, step in zip(size, plan._window, plan.steps(), strict=True)
        ]
        if all(line.on_grid for line in found):
            break
    return found[0], found[1]


def _padded(images: torch.Tensor, plan: Sliding) -> tuple[torch.Tensor, tuple[int, int]]:
    """Surround images smaller than a window by zeros; also return where the image begins."""
    if not plan.pad:
        return images, (0, 0)
    missing = [max(side - length, 0) for side, length in zip(plan._window, images.shape[-2:], strict=True)]
    top, left = missing[0] // 2, missing[1] // 2
    return F.pad(images, (left, missing[1] - left, top, missing[0] - top)), (top, left)
