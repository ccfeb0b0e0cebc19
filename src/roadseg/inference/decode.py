"""From score maps to labels: the one place of the toolkit that upsamples scores or takes an argmax.

A network answers at its own stride, say ``[19, 128, 256]`` for a picture of 1024 x 2048 pixels. The usual road to
labels, ``F.interpolate`` and then ``max``, writes forty million numbers to memory only to read two million labels
from them. `decode` returns the same labels, bit for bit, and never makes the large array.

The idea
    Bilinear upsampling draws each pixel from four neighboring scores, the corners of its *cell*:
    ``p = (1-u)(1-v) a + u(1-v) b + (1-u)v c + uv d``. The weights are not negative and their sum is one. So if class
    k has the best score at all four corners, it has the best score everywhere in the cell, and the pixels of the cell
    take the label of a corner without any arithmetic. Road scenes are made of regions: only the cells that a border
    between classes crosses, one in ten to one in three, are interpolated.

    The common shortcut, argmax at low resolution and then nearest-neighbor labels, gives other labels to one pixel in
    twenty-five, all of them at the borders that matter.

Why it is exact in float32
    Interpolation rounds, and two classes a hair apart may round to a tie, which ``max`` gives to the lower class. But
    in whatever order the sum is taken, an interpolated score is off by less than ``4 eps max|score|``. A corner
    therefore counts as decided only if its best score leads by more than ``8 eps max|score|``. Ties, constant maps and
    scores that are not finite decide nothing: their cells are interpolated. This half is a proof, for logits, for
    probabilities and for sums of score maps alike.

    The other half is to interpolate with torch's own arithmetic: positions in float32, columns before rows, and
    ``fma(first, near, second * far)`` at each step. On CPUs with fused multiply-add every interpolated score then has
    the bits of ``F.interpolate``. Torch adds up in another order for scores of exactly three classes, in channels-last
    layout, or of outputs with ``H + W <= 128``, and so may other devices; there, a pixel can differ from the dense way
    only where its two best scores agree up to rounding.

What else makes it fast
    Blocks of pixels are laid out ``[C, rows, columns, blocks]``, so that every step is a long vectorized loop over
    data that fit the processor's cache, and the argmax is two passes of ``amax`` (see `first_argmax`), several times
    the speed of ``max(dim)``. Where borders are everywhere, and where confidence is asked for, strips of rows are
    interpolated whole: the same bits in a small part of the memory, and still faster than the dense way.

``benchmarks/decode.py`` measures time and memory against the dense way.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from roadseg.inference.winners import Canvas, first_argmax, label_dtype, magnitude

__all__ = ["Decoded", "Method", "decode", "decode_rows"]

Method = Literal["auto", "cells", "strips", "dense"]

# Outputs of at most this many scores (4 MiB) are decoded densely: there is little to gain and calls cost more.
_DENSE_SCORES = 2**20
# With fewer pixels per cell than this, or a larger share of undecided pixels, strips are faster than cells. Measured.
_CELL_PIXELS = 4
_CROWDED = 0.75
# Scores interpolated at a time: 2 MiB on a CPU, to stay in the cache; 64 MiB elsewhere, to be worth a kernel's launch.
_CHUNK_CPU = 2**19
_CHUNK_ELSEWHERE = 2**24
# Cells are cut into blocks of at most this side, so that a chunk holds many: its innermost loop runs over blocks.
_BLOCK_SIDE = 16
# How far two scores must lie apart, relative to the largest, for interpolation not to round them to a tie.
_MARGIN = 8 * torch.finfo(torch.float32).eps
_SMALLEST = torch.finfo(torch.float32).tiny


class Decoded(NamedTuple):
    """What `decode` returns.

    Attributes:
        labels: ``[B, H, W]`` class of each pixel: uint8 for up to 256 classes, then int16, then int32.
        confidence: ``[B, H, W]`` float32, the probability of that class in 0..1; None unless asked for.
    """

    labels: Tensor
    confidence: Tensor | None = None


def decode(
    scores: Tensor,
    size: tuple[int, int],
    *,
    align_corners: bool,
    grid: tuple[int, int] | None = None,
    confidence: bool = False,
    probabilities: bool = False,
    method: Method = "auto",
) -> Decoded:
    """Upsample score maps bilinearly and take the best class of every pixel, without the upsampled scores.

    The labels are those of ``F.interpolate(scores.float(), grid, mode="bilinear", align_corners=align_corners)``,
    cropped to `size`, and ``max(1).indices``: the lowest class wins a tie, and NaN wins over all.

    Args:
        scores: ``[B, C, h, w]`` logits or probabilities, decoded in float32.
        size: ``(H, W)`` of the labels in pixels; may be smaller than the score map.
        align_corners: How the scores lie over the picture, torch's meaning of the word.
        grid: ``(H', W')`` that the scores cover if the picture was padded at the bottom and the right; `size` is then
            its top left part. `size` by default.
        confidence: Also return the probability of the winning class; every pixel is then interpolated.
        probabilities: The scores are probabilities, so that the confidence needs no softmax.
        method: ``cells`` interpolates only where a border may run, ``strips`` all pixels, a few rows at a time,
            ``dense`` all at once: the definition. ``auto`` picks the fastest and is what callers want.

    Returns:
        Labels and, if asked for, confidence, on the device of the scores.

    Raises:
        ValueError: If `scores` are not ``[B, C, h, w]`` with at least one class and cell, or `size` does not fit.
    """
    grid = size if grid is None else grid
    _check(scores, size, grid)
    batch, num_classes = scores.shape[:2]
    labels = scores.new_empty((batch, *size), dtype=label_dtype(num_classes))
    chances = scores.new_empty((batch, *size), dtype=torch.float32) if confidence else None
    with torch.no_grad():
        sampling = _Sampling.build(scores, size, grid, align_corners)
        crowded = _CROWDED if method == "auto" else 1.0
        method = sampling.fastest(num_classes) if method == "auto" else method
        for index, image in enumerate(scores):
            canvas = Canvas(labels[index], None if chances is None else chances[index], probabilities)
            planes = image.contiguous()  # torch rounds differently in other memory formats
            if method == "dense":
                _paint_dense(canvas, planes, sampling)
            elif method == "strips" or confidence:
                _paint_strips(canvas, planes, sampling)
            else:
                _paint_cells(canvas, planes, sampling, crowded)
    return Decoded(labels, chances)


def decode_rows(
    rows: Callable[[int, int], Tensor],
    bands: Iterable[tuple[int, int]],
    size: tuple[int, int],
    *,
    confidence: bool = False,
    probabilities: bool = False,
) -> Decoded:
    """Take the best class of every pixel from scores that are made a few rows at a time, such as sums of maps.

    Args:
        rows: Gives float32 scores ``[B, C, bottom - top, W]`` of rows ``top`` to ``bottom``, free to be overwritten.
        bands: Ranges of rows that cover the result.
        size: ``(H, W)`` of the labels.
        confidence: As for `decode`.
        probabilities: As for `decode`.
    """
    found = []
    for top, bottom in bands:
        strip = rows(top, bottom)
        shape = (len(strip), bottom - top, size[1])
        labels = strip.new_empty(shape, dtype=label_dtype(strip.shape[1]))
        chances = strip.new_empty(shape) if confidence else None
        finite = math.isfinite(magnitude(strip))
        for index, image in enumerate(strip):
            canvas = Canvas(labels[index], None if chances is None else chances[index], probabilities)
            canvas.paint(slice(None), image.flatten(1), finite=finite)
        found.append(Decoded(labels, chances))
    chances = torch.cat([x.confidence for x in found if x.confidence is not None], 1) if confidence else None
    return Decoded(torch.cat([x.labels for x in found], 1), chances)


def _check(scores: Tensor, size: tuple[int, int], grid: tuple[int, int]) -> None:
    if scores.ndim != 4 or 0 in scores.shape[1:]:
        shape = list(scores.shape)
        raise ValueError(f"scores must be [B, C, h, w] with at least one class and cell, not {shape}")
    if min(size) < 1 or size[0] > grid[0] or size[1] > grid[1]:
        raise ValueError(f"size {size} must be positive and lie within the grid {grid} that the scores cover")


# ---- Where output pixels come from ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Axis:
    """How the output lines (rows, or columns) of one axis are drawn from the input lines.

    Output line i is ``near[i] * input[low[i]] + far[i] * input[high[i]]``. Consecutive lines between the same two
    input lines form *spans* of at most `_BLOCK_SIDE`: span s begins at line ``start[s]`` and has ``length[s]`` lines.
    """

    low: Tensor
    high: Tensor
    near: Tensor
    far: Tensor
    start: Tensor
    length: Tensor

    @classmethod
    def build(
        cls, inputs: int, outputs: int, lines: int, align_corners: bool, device: torch.device
    ) -> "_Axis":
        """The first `lines` of the `outputs` lines that are drawn from `inputs` lines.

        Positions are computed in float32, step by step as torch does: a position in another precision is another
        weight and, now and then, another label at a border.
        """
        line = torch.arange(lines, dtype=torch.float32)
        if align_corners:
            position = line * (torch.tensor(float(inputs - 1)) / max(outputs - 1, 1))
        else:
            position = (line + 0.5) * (torch.tensor(float(inputs)) / outputs) - 0.5
        gap = position.floor().long()  # -1 before the first input line: the margin makes a span of its own
        low = gap.clamp(0, inputs - 1)
        high = (low + 1).clamp_max(inputs - 1)
        far = (position - low).clamp(0, 1)
        place = torch.arange(lines) - torch.searchsorted(gap, gap)  # of the line within its gap
        start = (place % _BLOCK_SIDE == 0).nonzero().squeeze(1)
        length = torch.diff(start, append=torch.tensor([lines]))
        return cls(*(part.to(device) for part in (low, high, 1 - far, far, start, length)))

    def lines(self, spans: Tensor, length: int) -> Tensor:
        """The lines ``[length, N]`` of N spans of the same length."""
        return self.start[spans] + torch.arange(length, device=spans.device)[:, None]


@dataclass(frozen=True)
class _Sampling:
    """How the picture is drawn from the score map."""

    rows: _Axis
    columns: _Axis
    cells: tuple[int, int]
    grid: tuple[int, int]
    size: tuple[int, int]
    align_corners: bool

    @classmethod
    def build(
        cls, scores: Tensor, size: tuple[int, int], grid: tuple[int, int], align_corners: bool
    ) -> "_Sampling":
        height, width = scores.shape[2:]
        rows = _Axis.build(height, grid[0], size[0], align_corners, scores.device)
        columns = _Axis.build(width, grid[1], size[1], align_corners, scores.device)
        return cls(rows, columns, (height, width), grid, size, align_corners)

    def fastest(self, num_classes: int) -> Method:
        """The method for finite scores with few borders; `_paint_cells` turns to strips when it finds others."""
        pixels, cells = math.prod(self.grid), math.prod(self.cells)
        if pixels < cells or num_classes * pixels <= _DENSE_SCORES:
            return "dense"  # in no more memory than the score map has, or than anybody will miss
        return "cells" if pixels >= _CELL_PIXELS * cells else "strips"


# ---- Dense and strips -----------------------------------------------------------------------------------------------


def _paint_dense(canvas: Canvas, image: Tensor, sampling: _Sampling) -> None:
    """All pixels at once, as `decode` is defined."""
    finite = math.isfinite(magnitude(image))
    height, width = sampling.size
    whole = image[None].float()
    scores = F.interpolate(whole, size=sampling.grid, mode="bilinear", align_corners=sampling.align_corners)
    canvas.paint(slice(None), scores[0, :, :height, :width].flatten(1), finite=finite)


def _paint_strips(canvas: Canvas, image: Tensor, sampling: _Sampling) -> None:
    """All pixels, a few rows at a time."""
    finite = math.isfinite(magnitude(image))
    height, width = sampling.size
    sources = math.ceil(sampling.cells[0] / sampling.grid[0])  # rows of scores read for one row of pixels
    for top, bottom in _bands(height, len(image) * sampling.grid[1] * sources, image.device):
        strip = _interpolate_rows(image, sampling, top, bottom)
        canvas.paint(slice(top * width, bottom * width), strip.flatten(1), finite=finite)


def _interpolate_rows(image: Tensor, sampling: _Sampling, top: int, bottom: int) -> Tensor:
    """Scores ``[C, bottom - top, W]`` of some output rows."""
    width = sampling.size[1]
    if sampling.cells == sampling.grid:
        return image[:, top:bottom, :width].to(torch.float32, copy=True)
    rows = sampling.rows
    low, high = rows.low[top:bottom], rows.high[top:bottom]
    first, last = int(low[0]), int(high[-1])
    lines = image[:, first : last + 1].float().reshape(1, -1, image.shape[2])
    wide = F.interpolate(lines, size=sampling.grid[1], mode="linear", align_corners=sampling.align_corners)
    wide = wide.view(len(image), last + 1 - first, -1)[..., :width]
    near, far = rows.near[top:bottom, None], rows.far[top:bottom, None]
    return _mix(wide.index_select(1, low - first), wide.index_select(1, high - first), near, far)


def _mix(first: Tensor, second: Tensor, near: Tensor, far: Tensor) -> Tensor:
    """``near * first + far * second`` by fused multiply-add, in the order of torch's kernel."""
    return (second * far).addcmul_(first, near)


def _bands(height: int, row_scores: int, device: torch.device) -> Iterator[tuple[int, int]]:
    """Ranges of rows that cover `height`, each about one chunk of scores."""
    step = max(1, _chunk_scores(device) // row_scores)
    for top in range(0, height, step):
        yield top, min(top + step, height)


def _chunk_scores(device: torch.device) -> int:
    return _CHUNK_CPU if device.type == "cpu" else _CHUNK_ELSEWHERE


# ---- Cells ----------------------------------------------------------------------------------------------------------


def _paint_cells(canvas: Canvas, image: Tensor, sampling: _Sampling, crowded: float) -> None:
    """Copy the labels of decided cells and interpolate the others; strips if more than a share is undecided."""
    largest = magnitude(image)
    if not math.isfinite(largest):
        _paint_strips(canvas, image, sampling)
        return
    rows, columns = sampling.rows, sampling.columns
    corners = _corner_labels(image, margin=max(_MARGIN * largest, _SMALLEST))
    undecided = ~_decided(corners, rows, columns)
    if float(undecided.float().mean()) > crowded:
        _paint_strips(canvas, image, sampling)
        return
    nearest = corners.to(canvas.labels.dtype).index_select(1, columns.low)
    torch.index_select(nearest, 0, rows.low, out=canvas.labels)
    flat = image.flatten(1)
    for y, x in _chunks(undecided, rows, columns, _chunk_scores(image.device) // len(image)):
        pixels = y[:, None] * sampling.size[1] + x
        canvas.paint(pixels, _interpolate_blocks(flat, sampling, y, x), finite=True)


def _corner_labels(image: Tensor, margin: float) -> Tensor:
    """``[h, w]`` best class of the score map, or -1 where it leads the second best by no more than `margin`."""
    _, height, width = image.shape
    labels = torch.empty(height, width, dtype=torch.int32, device=image.device)
    for top, bottom in _bands(height, len(image) * width, image.device):
        band = image[:, top:bottom].to(torch.float32, copy=True)
        best = band.amax(0)
        winner = first_argmax(band.clone(), best).long()
        second = band.scatter_(0, winner[None], -math.inf).amax(0)
        labels[top:bottom] = winner.masked_fill_(best - second <= margin, -1)
    return labels


def _decided(corners: Tensor, rows: _Axis, columns: _Axis) -> Tensor:
    """Which blocks, pairs of a row span and a column span, have one decided class at all four corners."""
    left, right = (corners.index_select(1, edge[columns.start]) for edge in (columns.low, columns.high))
    sides = left.masked_fill_(left != right, -1)
    top, bottom = (sides.index_select(0, edge[rows.start]) for edge in (rows.low, rows.high))
    return (top == bottom) & (top >= 0)


def _chunks(blocks: Tensor, rows: _Axis, columns: _Axis, pixels: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The marked blocks, by shape: output rows ``[r, N]`` and columns ``[k, N]`` of N blocks at a time."""
    for height in sorted(set(rows.length.tolist())):
        for width in sorted(set(columns.length.tolist())):
            alike = blocks & (rows.length == height)[:, None] & (columns.length == width)
            vertical, horizontal = alike.nonzero(as_tuple=True)
            count = max(1, pixels // (height * width))
            for y, x in zip(vertical.split(count), horizontal.split(count), strict=True):
                yield rows.lines(y, height), columns.lines(x, width)


def _interpolate_blocks(flat: Tensor, sampling: _Sampling, y: Tensor, x: Tensor) -> Tensor:
    """Scores ``[C, r, k, N]`` at the rows ``y [r, N]`` and columns ``x [k, N]``, from ``flat [C, h * w]``."""
    rows, columns, width = sampling.rows, sampling.columns, sampling.cells[1]
    top, bottom = rows.low[y[0]] * width, rows.high[y[0]] * width
    left, right = columns.low[x[0]], columns.high[x[0]]

    def corner(index: Tensor) -> Tensor:
        return flat.index_select(1, index).float()[:, None]

    near, far = columns.near[x], columns.far[x]
    upper = _mix(corner(top + left), corner(top + right), near, far)
    lower = _mix(corner(bottom + left), corner(bottom + right), near, far)
    return _mix(upper[:, None], lower[:, None], rows.near[y][:, None], rows.far[y][:, None])
