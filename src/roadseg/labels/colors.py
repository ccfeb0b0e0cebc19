"""Colors of label pictures: generating, painting and reading them back."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from roadseg.errors import LabelError

__all__ = ["as_stored", "count_ids", "decode_colors", "generated_color", "paint"]

Color = tuple[int, int, int]
NAMED_IN_ERRORS = 5  # offending ids or colors that an error names


def generated_color(i: int) -> Color:
    """Return the ``i``-th color of the Pascal VOC scheme (VOC development kit, ``VOClabelcolormap``) after black.

    The bits of ``i + 1`` are dealt to red, green and blue in turn, highest color bit first, so any two of the
    first 2^24 - 1 colors differ.
    """
    red = green = blue = 0
    number = i + 1
    for shift in range(7, -1, -1):
        red |= (number & 1) << shift
        green |= (number >> 1 & 1) << shift
        blue |= (number >> 2 & 1) << shift
        number >>= 3
    return red, green, blue


def as_stored(mask: npt.NDArray[Any], where: str = "") -> npt.NDArray[Any]:
    """Return a mask of any integer type as uint8 where its numbers fit, else as uint16 with -1 as 65535.

    Raises:
        LabelError: It holds no integers, or a number outside -1..65535.
    """
    if mask.dtype in (np.uint8, np.uint16):
        return mask
    if mask.dtype == np.bool_:
        return mask.astype(np.uint8)
    if mask.dtype.kind not in "iu":
        raise LabelError(
            f"label mask of type {mask.dtype}",
            where=where or None,
            remedy="label ids are whole numbers: give an integer array",
        )
    low, high = (int(mask.min()), int(mask.max())) if mask.size else (0, 0)
    if low < -1 or high > 65535:
        outside = count_ids(mask[(mask < -1) | (mask > 65535)])
        raise LabelError(f"holds {outside}", where=where or "label mask", remedy="label ids are -1..65535")
    return mask.astype(np.uint8 if low >= 0 and high <= 255 else np.uint16)


def count_ids(values: npt.NDArray[Any]) -> str:
    """Return ``id 7 (12 pixels), id 9 (1 pixel)`` for the most frequent of these values."""
    ids, counts = np.unique(values, return_counts=True)
    return _listing([f"id {ids[k]}" for k in np.argsort(-counts, kind="stable")], -np.sort(-counts))


def paint(mask: npt.NDArray[Any], colors: Sequence[tuple[int, Color]]) -> npt.NDArray[np.uint8]:
    """Return the colors of a uint8 or uint16 mask, uint8 ``[..., 3]``; black for an id without a color."""
    table = np.zeros((np.iinfo(mask.dtype).max + 1, 3), dtype=np.uint8)
    for number, color in reversed(colors):
        if number < len(table):
            table[number] = color
    return np.take(table, mask, axis=0)


def decode_colors(
    rgb: npt.NDArray[np.uint8],
    ids: Mapping[Color, int],
    dtype: npt.DTypeLike,
    *,
    space_name: str,
    where: str = "",
) -> npt.NDArray[Any]:
    """Return the id of every pixel's color.

    Args:
        rgb: Label picture, uint8 ``[H, W, 3]``.
        ids: Stored id of each color.
        dtype: Type of the result.
        space_name: Name of the label space, for the error text.
        where: File, for the error text.

    Raises:
        LabelError: The picture has another shape or type, or holds a color that ``ids`` lacks.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise LabelError(
            f"color label picture of type {rgb.dtype} and shape {list(rgb.shape)}",
            where=where or None,
            remedy="give uint8 [H, W, 3]",
        )
    codes = _packed(np.array(list(ids), dtype=np.uint8))
    order = np.argsort(codes)
    codes, values = codes[order], np.array(list(ids.values()), dtype=dtype)[order]
    pixels = _packed(rgb).ravel()
    if not pixels.size:
        return np.zeros(rgb.shape[:2], dtype=dtype)
    # Label pictures are runs of one color: looking up each run once is several times faster than each pixel,
    # and needs no table of all 2^24 colors.
    starts = np.flatnonzero(np.concatenate(([True], pixels[1:] != pixels[:-1])))
    runs, lengths = pixels[starts], np.diff(starts, append=pixels.size)
    slots = np.minimum(np.searchsorted(codes, runs), len(codes) - 1)
    unknown = codes[slots] != runs
    if unknown.any():
        raise LabelError(
            f"holds {_count_colors(runs[unknown], lengths[unknown])}, of no class of {space_name}",
            where=where or None,
            remedy="give the label space the picture was colored in, or a lossless copy "
            "(JPEG and resizing mix colors)",
        )
    return np.repeat(values[slots], lengths).reshape(rgb.shape[:2])


def _packed(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    packed = rgb[..., 0].astype(np.uint32)
    for channel in (1, 2):
        packed <<= np.uint32(8)
        packed |= rgb[..., channel]
    return packed


def _count_colors(codes: npt.NDArray[np.uint32], lengths: npt.NDArray[Any]) -> str:
    found, inverse = np.unique(codes, return_inverse=True)
    counts = np.bincount(inverse.ravel(), weights=lengths).astype(np.int64)
    order = np.argsort(-counts, kind="stable")
    colors = [f"color ({code >> 16}, {code >> 8 & 255}, {code & 255})" for code in found[order].tolist()]
    return _listing(colors, counts[order])


def _listing(things: Sequence[str], counts: npt.NDArray[Any]) -> str:
    shown = [
        f"{thing} ({count} pixel{'' if count == 1 else 's'})"
        for thing, count in zip(things[:NAMED_IN_ERRORS], counts.tolist(), strict=False)
    ]
    more = len(things) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
