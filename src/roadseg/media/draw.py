"""Pictures for people: overlays, legends, and pictures beside or below each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from roadseg.errors import ImageError
from roadseg.labels import Class, LabelSpace

__all__ = [
    "MOST_IN_FILMS",
    "contours",
    "differences",
    "film_legend",
    "gray_levels",
    "legend_bar",
    "overlay",
    "side_by_side",
    "stack",
]

Picture = npt.NDArray[np.uint8]

MOST_IN_FILMS = 40
"""Spaces of more classes than this have a `film_legend` in films, rather than one of all classes."""

_FILM_ROWS = 3

_BACKGROUND = (24, 26, 31)
_TEXT = (238, 240, 243)
_FAINT_TEXT = (160, 166, 176)
_SWATCH_EDGE = (120, 126, 136)
_SMOOTHING = 4  # swatches are drawn this much larger and scaled down
_NARROWEST = 160  # pixels; below, no name could be read
_BLOCK = 64  # rows blended at a time: the 16-bit intermediates stay in the cache
_OUTLINE = 255
_OUTLINE_WEIGHT = 0.7
_DIMMED, _DARK = 5, 9  # right pixels keep 5/16 of their brightness, pixels without truth lose 9/16 of that


def overlay(
    image: Picture,
    colors: Picture,
    alpha: float = 0.5,
    *,
    keep: npt.NDArray[np.bool_] | None = None,
    outline: npt.NDArray[np.bool_] | bool = True,
) -> Picture:
    """Blend class colors over a picture.

    Args:
        image: uint8 ``[H, W, 3]``.
        colors: uint8 ``[H, W, 3]``, for example of `LabelSpace.colorize`.
        alpha: Weight of the colors, 0..1; steps of 1/256.
        keep: bool ``[H, W]``: where the picture stays as it is.
        outline: Whether to draw thin light lines between classes; or where, bool ``[H, W]`` of :func:`contours`, which
            is faster from labels than from colors.

    Returns:
        uint8 ``[H, W, 3]``, a new array.

    Raises:
        ImageError: An array has another shape or type, or ``alpha`` is outside 0..1.
    """
    _check_picture(image, "image")
    _check_picture(colors, "colors")
    lines = contours(colors) if outline is True else outline
    for name, array in (("colors", colors), ("keep", keep), ("outline", lines)):
        if isinstance(array, np.ndarray) and array.shape[:2] != image.shape[:2]:
            raise ImageError(
                f"{name} of {_size(array)} pixels for an image of {_size(image)}", remedy="give equal sizes"
            )
    if not 0 <= alpha <= 1:
        raise ImageError(f"alpha is {alpha}", remedy="give 0 (picture alone) to 1 (colors alone)")
    blended = _blend(image, colors, alpha)
    flat = blended.reshape(-1, 3)
    if keep is not None:
        rows = np.flatnonzero(keep)
        flat[rows] = image.reshape(-1, 3)[rows]
    if isinstance(lines, np.ndarray):
        rows = np.flatnonzero(lines)
        light = np.full((len(rows), 3), _OUTLINE, dtype=np.uint8)
        flat[rows] = _blend(flat[rows], light, _OUTLINE_WEIGHT)
    return blended


def differences(
    image: Picture, colors: Picture, wrong: npt.NDArray[np.bool_], unknown: npt.NDArray[np.bool_]
) -> Picture:
    """Show where a prediction is wrong, and what it says there.

    Args:
        image: uint8 ``[H, W, 3]``.
        colors: What was predicted, in color, uint8 ``[H, W, 3]``.
        wrong: bool ``[H, W]``: shown in the predicted color.
        unknown: bool ``[H, W]``: where there is no truth, shown almost black; elsewhere the picture is dim and gray.

    Returns:
        uint8 ``[H, W, 3]``, a new array.
    """
    _check_picture(image, "image")
    _check_picture(colors, "colors")
    gray = np.asarray(Image.fromarray(image).convert("L")).astype(np.uint16) * _DIMMED >> 4
    gray = np.where(unknown, gray * (16 - _DARK) >> 4, gray).astype(np.uint8)
    return np.where(wrong[..., None], colors, gray[..., None])


def gray_levels(values: npt.NDArray[np.floating[Any]]) -> Picture:
    """Return numbers 0..1 as gray, uint8 of the same shape: 0 is black, 1 is white."""
    levels: Picture = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return levels


def contours(labels: npt.NDArray[Any], width: int | None = None) -> npt.NDArray[np.bool_]:
    """Return where neighboring pixels differ.

    Args:
        labels: Ids ``[H, W]``, or colors ``[H, W, 3]``.
        width: Thickness in pixels; by default 1, and 1 more for each full 900 pixels of the shorter side.

    Returns:
        bool ``[H, W]``. Lines lie on the right and lower side of a border, and on both sides from width 2 on.
    """
    down, right = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    if labels.ndim == 3:
        down, right = down.any(axis=2), right.any(axis=2)
    lines = np.zeros(labels.shape[:2], dtype=np.bool_)
    lines[1:] |= down
    lines[:, 1:] |= right
    thickness = 1 + min(labels.shape[:2]) // 900 if width is None else width
    if thickness >= 2:
        lines[:-1] |= down
        lines[:, :-1] |= right
    for step in range(thickness - 2):
        lines = _grown(lines, forward=step % 2 == 0)
    return lines


def legend_bar(space: LabelSpace, ids: Mapping[int, float] | Sequence[int], width: int) -> Picture:
    """Draw the names of classes beside their colors, in as many rows as they take.

    Args:
        space: Whose classes they are.
        ids: Class ids in the order to draw; or id -> share of the pixels, which are then written too, largest first.
            Ids that the space lacks are left out.
        width: Pixels; the bar is at least 160 wide, so that names can be read.

    Returns:
        uint8 ``[h, width, 3]``; light text on dark, ``h`` by the number of rows.
    """
    width = max(width, _NARROWEST)
    classes = {item.id: item for item in space.classes}
    if isinstance(ids, Mapping):
        order = sorted(ids, key=lambda number: -ids[number])
        entries = [(classes[number], _percent(ids[number])) for number in order if number in classes]
    else:
        entries = [(classes[number], "") for number in ids if number in classes]
    return _Grid.build(entries, width).draw(entries)


def film_legend(space: LabelSpace, shares: Mapping[int, float], width: int) -> Picture:
    """Draw the names of the classes of one frame in a bar that has the same size for all frames.

    The largest that find room are drawn, in class order so that they move as little as can be from frame to frame; how
    many are missing stands behind the last.

    Args:
        space: Whose classes they are.
        shares: Class id -> share of the pixels, for the classes that occur.
        width: Pixels; the bar is at least 160 wide, so that names can be read.

    Returns:
        uint8 ``[h, width, 3]``; light text on dark, three rows.
    """
    grid = _Grid.build([(item, "") for item in space.classes], max(width, _NARROWEST))
    room = _FILM_ROWS * grid.columns
    largest = sorted(shares, key=lambda number: -shares[number])
    shown = set(largest if len(largest) <= room else largest[: room - 1])
    missing = len(largest) - len(shown)
    entries = [(item, "") for item in space.classes if item.id in shown]
    return grid.draw(entries, _FILM_ROWS, f"and {missing} more" if missing else "")


def stack(pictures: Sequence[Picture], gap: int = 0) -> Picture:
    """Put pictures below each other, left-aligned on a dark background.

    Args:
        pictures: uint8 ``[H_i, W_i, 3]``, at least one.
        gap: Pixels between them.

    Returns:
        uint8 ``[sum H_i + gaps, max W_i, 3]``.

    Raises:
        ImageError: There is none, or one is no uint8 RGB picture.
    """
    return _join(pictures, gap, axis=0)


def side_by_side(pictures: Sequence[Picture], gap: int = 0) -> Picture:
    """Put pictures beside each other, top-aligned on a dark background.

    Args:
        pictures: uint8 ``[H_i, W_i, 3]``, at least one.
        gap: Pixels between them.

    Returns:
        uint8 ``[max H_i, sum W_i + gaps, 3]``.

    Raises:
        ImageError: There is none, or one is no uint8 RGB picture.
    """
    return _join(pictures, gap, axis=1)


def _blend(below: Picture, above: Picture, alpha: float) -> Picture:
    """Return ``below * (1 - alpha) + above * alpha``, rounded, in 16-bit integers."""
    weight = round(alpha * 256)
    blended = np.empty_like(below, order="C")
    for top in range(0, len(below), _BLOCK):
        rows = slice(top, top + _BLOCK)
        part = below[rows].astype(np.uint16)
        part *= np.uint16(256 - weight)
        other = above[rows].astype(np.uint16)
        other *= np.uint16(weight)
        part += other
        part += np.uint16(128)
        part >>= np.uint16(8)
        blended[rows] = part
    return blended


def _grown(lines: npt.NDArray[np.bool_], *, forward: bool) -> npt.NDArray[np.bool_]:
    grown = lines.copy()
    if forward:
        grown[1:] |= lines[:-1]
        grown[:, 1:] |= lines[:, :-1]
    else:
        grown[:-1] |= lines[1:]
        grown[:, :-1] |= lines[:, 1:]
    return grown


_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_Entry = tuple[Class, str]  # a class, and the text after its name


@dataclass(frozen=True)
class _Grid:
    """Where the entries of a legend lie: in cells of one size, row by row."""

    width: int
    font: _Font
    side: int
    columns: int

    @classmethod
    def build(cls, entries: Sequence[_Entry], width: int) -> "_Grid":
        """Make cells as wide as the longest of these entries, if the bar is."""
        size = min(max(width // 64, 12), 32)
        font, pad = ImageFont.load_default(size), size // 2
        widest = max((_text_width(font, item.name, text, pad) for item, text in entries), default=0)
        columns = max(1, min(len(entries), (width - pad) // (size + pad + widest + 2 * pad)))
        return cls(width, font, size, columns)

    def draw(self, entries: Sequence[_Entry], rows: int | None = None, rest: str = "") -> Picture:
        """Return the bar, in as many rows as the entries take or in exactly so many; `rest` is written behind the last."""
        rows = -(-len(entries) // self.columns) if rows is None else rows
        side, pad, line = self.side, self.side // 2, round(self.side * 1.75)
        cell = (self.width - 2 * pad) // self.columns
        bar = Image.new("RGB", (self.width, rows * line + 2 * pad if rows else 0), _BACKGROUND)
        draw = ImageDraw.Draw(bar)
        for i, (item, text) in enumerate(entries):
            left, middle = pad + i % self.columns * cell, pad + i // self.columns * line + line // 2
            bar.paste(_swatch(item.color, side), (left, middle - side // 2))
            inset = side + pad  # from the left end of an entry to its name
            room = cell - inset - pad - round(self.font.getlength(text)) - (pad if text else 0)
            name = _shortened(self.font, item.name, room)
            # "lm": left end, middle of the line, so that swatch and text share one axis whatever letters occur.
            draw.text((left + inset, middle), name, font=self.font, fill=_TEXT, anchor="lm")
            after = left + inset + round(self.font.getlength(name)) + pad
            draw.text((after, middle), text, font=self.font, fill=_FAINT_TEXT, anchor="lm")
        if rest:
            row, column = divmod(len(entries), self.columns)
            at = pad + column * cell, pad + row * line + line // 2
            draw.text(at, rest, font=self.font, fill=_FAINT_TEXT, anchor="lm")
        return np.array(bar)


def _text_width(font: _Font, name: str, share: str, pad: int) -> int:
    return round(font.getlength(name) + (pad + font.getlength(share) if share else 0))


def _shortened(font: _Font, name: str, room: int) -> str:
    """Return the name, cut to fit into ``room`` pixels."""
    if font.getlength(name) <= room:
        return name
    keep = len(name)
    while keep > 1 and font.getlength(f"{name[:keep]}…") > room:
        keep -= 1
    return f"{name[:keep]}…"


def _swatch(color: tuple[int, int, int], side: int) -> Image.Image:
    """Return a rounded square with a thin rim, so that dark colors show on the dark background."""
    large = side * _SMOOTHING
    tile = Image.new("RGB", (large, large), _BACKGROUND)
    box = (0, 0, large - 1, large - 1)
    ImageDraw.Draw(tile).rounded_rectangle(
        box, large // 5, fill=color, outline=_SWATCH_EDGE, width=_SMOOTHING
    )
    return tile.resize((side, side), Image.Resampling.LANCZOS)


def _percent(share: float) -> str:
    return "<1%" if 0 < share < 0.01 else f"{share:.0%}"


def _join(pictures: Sequence[Picture], gap: int, axis: int) -> Picture:
    if not pictures:
        raise ImageError("no pictures to join", remedy="give at least one")
    for i, picture in enumerate(pictures):
        _check_picture(picture, f"picture {i}")
    across = max(picture.shape[1 - axis] for picture in pictures)
    along = sum(picture.shape[axis] for picture in pictures) + gap * (len(pictures) - 1)
    shape = (along, across, 3) if axis == 0 else (across, along, 3)
    joined = np.empty(shape, dtype=np.uint8)
    joined[:] = _BACKGROUND
    start = 0
    for picture in pictures:
        height, width = picture.shape[:2]
        top, left = (start, 0) if axis == 0 else (0, start)
        joined[top : top + height, left : left + width] = picture
        start += picture.shape[axis] + gap
    return joined


def _check_picture(picture: npt.NDArray[Any], name: str) -> None:
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ImageError(
            f"{name} of type {picture.dtype} and shape {list(picture.shape)}", remedy="give uint8 [H, W, 3]"
        )


def _size(array: npt.NDArray[Any]) -> str:
    return f"{array.shape[1]} x {array.shape[0]}"
