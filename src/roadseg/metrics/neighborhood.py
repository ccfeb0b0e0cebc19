"""What lies near a pixel: exact window maxima, distances and disks on label maps, in NumPy alone.

Everything here is exact, takes time that does not depend on the number of classes, and needs memory for a few label
maps at most.
"""

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["bits_within", "differs_within", "squared_distance", "unlike"]

_STRIP = 128  # rows handled at a time: their tables stay in the processor's cache
Bits = NDArray[np.uint32] | NDArray[np.uint64]


def differs_within(labels: NDArray[np.integer], radius: int) -> NDArray[np.bool_]:
    """Return where a square of ``2 * radius + 1`` pixels around a pixel holds another label, both not 0.

    The square holds another label exactly when its highest or its lowest label is not the pixel's own.

    Args:
        labels: ``[H, W]`` of `roadseg.metrics.channels.pair_of`.
        radius: In pixels (chessboard distance).
    """
    top = np.iinfo(labels.dtype).max
    mirrored = np.where(labels == 0, labels, top - labels).astype(labels.dtype)
    differs: NDArray[np.bool_] = _window_max(labels, radius) != labels
    differs |= _window_max(mirrored, radius) != mirrored
    differs &= labels != 0
    return differs


def unlike(first: NDArray[np.integer], second: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return where two parts of `roadseg.metrics.channels.pair_of` hold different labels, both not 0."""
    differs: NDArray[np.bool_] = first != second
    differs &= first != 0
    differs &= second != 0
    return differs


def squared_distance(mask: NDArray[np.bool_], limit: int) -> NDArray[np.uint16]:
    """Return the squared Euclidean distance to the nearest pixel of a mask where it is below ``limit``.

    Columns first, then rows: the separable exact distance transform (Felzenszwalb and Huttenlocher, "Distance
    Transforms of Sampled Functions", 2012) with the minimum taken directly, which is quick for a small limit.

    Args:
        mask: bool ``[H, W]``.
        limit: 1..181 pixels; farther pixels get some value of at least ``limit ** 2``.
    """
    height, width = mask.shape
    vertical = np.where(mask, 0, limit).astype(np.uint16)
    for rows in (range(1, height), range(height - 2, -1, -1)):
        step = 1 if rows.step > 0 else -1
        for row in rows:
            np.minimum(vertical[row], vertical[row - step] + 1, out=vertical[row])
    vertical *= vertical
    nearest = vertical.copy()
    beside = np.empty_like(vertical)
    for start in range(0, height, _STRIP):
        strip = slice(start, start + _STRIP)
        source, target, sums = vertical[strip], nearest[strip], beside[strip]
        for offset in range(1, min(limit, width)):
            np.add(source, np.uint16(offset * offset), out=sums)
            np.minimum(target[:, offset:], sums[:, :-offset], out=target[:, offset:])
            np.minimum(target[:, :-offset], sums[:, offset:], out=target[:, :-offset])
    return nearest


def bits_within(field: Bits, at: NDArray[np.intp], wanted: Bits, radius: int) -> Bits:
    """Return which wanted bits occur in a disk around each of some pixels.

    The same as dilating every bit's mask with a disk and looking at the pixels, but all bits at once, and only there.

    Args:
        field: ``[H, W]``, a bit per class.
        at: ``[N]`` indices into the flat field, ascending.
        wanted: ``[N]`` bits to look for.
        radius: In pixels: offsets with ``dx ** 2 + dy ** 2 <= radius ** 2``.
    """
    height, width = field.shape
    found = np.zeros_like(wanted)
    for start in range(0, height, _STRIP):
        stop = min(start + _STRIP, height)
        low, high = np.searchsorted(at, (start * width, stop * width))
        if low == high:
            continue
        around = np.zeros((stop - start + 2 * radius, width + 2 * radius), field.dtype)
        above, below = max(0, start - radius), min(height, stop + radius)
        shift = radius - start
        around[above + shift : below + shift, radius : radius + width] = field[above:below]
        rows, columns = np.divmod(at[low:high] - start * width, width)
        places = rows * around.shape[1] + columns + radius  # of the uppermost row that may count
        found[low:high] = _bits_in_strip(around, places, wanted[low:high], radius)
    return found


def _bits_in_strip(around: Bits, places: NDArray[np.intp], wanted: Bits, radius: int) -> Bits:
    """Look in disks; ``places`` is a pixel's index in ``around``, ``radius`` rows above it."""
    tables = _column_tables(around, 2 * radius + 1)
    stride = around.shape[1]
    found = np.zeros_like(wanted)
    active = np.arange(len(wanted))
    for dx in range(radius + 1):
        half = math.isqrt(radius * radius - dx * dx)
        power = (2 * half + 1).bit_length() - 1
        flat = tables[power].reshape(-1)
        upper = places[active] + (radius - half) * stride
        lower = upper + (2 * half + 1 - (1 << power)) * stride
        hits = flat[upper - dx] | flat[lower - dx]
        if dx:
            hits |= flat[upper + dx] | flat[lower + dx]
        found[active] |= hits
        active = active[(wanted[active] & ~found[active]) != 0]
        if not active.size:
            break
    return found & wanted


def _column_tables(around: Bits, longest: int) -> list[Bits]:
    """Return tables: the k-th holds the union of 2^k pixels from each one downwards, where they exist."""
    tables = [around]
    while 1 << len(tables) <= longest:
        half = 1 << (len(tables) - 1)
        last = tables[-1]
        union = last.copy()
        union[:-half] |= last[half:]
        tables.append(union)
    return tables


def _window_max(values: NDArray[np.integer], radius: int) -> NDArray[np.integer]:
    """Return the maximum over squares of ``2 * radius + 1`` pixels, cut off at the edges; 0 is neutral."""
    return _axis_max(_axis_max(values, radius, 0), radius, 1)


def _axis_max(values: NDArray[np.integer], radius: int, axis: int) -> NDArray[np.integer]:
    length = values.shape[axis]
    padding = [(0, 0), (0, 0)]
    padding[axis] = (radius, radius)
    table = np.pad(values, padding)
    span, reach = 2 * radius + 1, 1
    while 2 * reach <= span:  # doubling: windows of 1, 2, 4 ... values
        size = table.shape[axis] - reach
        table = np.maximum(_part(table, 0, size, axis), _part(table, reach, size, axis))
        reach *= 2
    highest: NDArray[np.integer] = np.maximum(
        _part(table, 0, length, axis), _part(table, span - reach, length, axis)
    )
    return highest


def _part(values: NDArray[np.integer], start: int, size: int, axis: int) -> NDArray[np.integer]:
    part: NDArray[np.integer] = values[start : start + size] if axis == 0 else values[:, start : start + size]
    return part
