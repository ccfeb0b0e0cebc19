"""Frames of a time-lapse: a bar of all classes, the photo beside its labels, and a caption.

The layout is that of massimilianoviola/semantic-segmentation-cityscapes (visualization.py): for photos of 2048 x 1024,
a legend of 100 lines in two rows of cells in the colors of the classes, photo and blend (40 % photo, 60 % colors) side
by side, and a gray caption of 50 lines.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from roadseg.labels import LabelSpace
from roadseg.media.draw import MOST_IN_FILMS, film_legend, overlay, side_by_side, stack
from roadseg.media.prediction import Prediction

__all__ = ["TimelapseLayout", "caption_bar", "class_bar"]

Picture = npt.NDArray[np.uint8]

_ROWS = 2
_LINE_SHARE = 50 / 4096  # height of a legend row and of the caption, of the width
_LEAST_LINE = 18  # pixels; below, no text could be read
_CAPTION_GRAY = 100
_TEXT_SHARE = 0.55  # of a line's height
_LIGHT, _DARK = (255, 255, 255), (0, 0, 0)
_BRIGHT = 150  # luma of a cell from which dark text reads better than the white of the original
_LUMA = (0.299, 0.587, 0.114)
_MARGIN = 0.06  # of a cell's width, on both sides of its name


@dataclass
class TimelapseLayout:
    """Composes frames of one size.

    Args:
        space: The classes of the legend.
        pane: Height and width of the photo and of the blend; pictures of other sizes are fitted into it on black.
        legend: Whether to draw the classes at the top; of many, those in the photo.
        caption: Whether to keep a line for text at the bottom.
        alpha: Weight of the colors in the blend.
    """

    space: LabelSpace
    pane: tuple[int, int]
    legend: bool = True
    caption: bool = True
    alpha: float = 0.6
    _bar: Picture | None = field(default=None, init=False, repr=False)

    def compose(self, prediction: Prediction, text: str = "") -> Picture:
        """Return one frame, uint8 ``[legend + H + caption, 2 W, 3]``.

        Args:
            prediction: Labels that carry their picture.
            text: The caption.
        """
        image = prediction.image
        if image is None:
            raise ValueError("a time-lapse needs predictions that carry their picture")
        blend = overlay(image, prediction.colorize(), self.alpha, outline=False)
        rows = [side_by_side([_fitted(image, self.pane), _fitted(blend, self.pane)])]
        width = rows[0].shape[1]
        if self.legend:
            rows.insert(0, self._legend(prediction, width))
        if self.caption:
            rows.append(caption_bar(text, width))
        return stack(rows)

    def _legend(self, prediction: Prediction, width: int) -> Picture:
        if self.space.num_classes > MOST_IN_FILMS:
            ids = {item.name: item.id for item in self.space.classes}
            shares = {ids[name]: share for name, share in prediction.shares().items()}
            return film_legend(self.space, shares, width)
        if self._bar is None:
            self._bar = class_bar(self.space, width)
        return self._bar


def class_bar(space: LabelSpace, width: int) -> Picture:
    """Return the names of all classes on their colors, in two rows of equal cells.

    Args:
        space: The classes.
        width: Pixels.

    Returns:
        uint8 ``[2 line, width, 3]``; a line is width / 82 high, 18 pixels at least. With very many classes, there are
        more rows.
    """
    line = _line(width)
    # More rows where cells would be narrower than four times their height: no name fits in.
    per_row = max(1, min(-(-space.num_classes // _ROWS), width // (4 * line)))
    rows = -(-space.num_classes // per_row)
    bar = Image.new("RGB", (width, rows * line))
    draw = ImageDraw.Draw(bar)
    for i, item in enumerate(space.classes):
        row, column = divmod(i, per_row)
        left, right = column * width // per_row, (column + 1) * width // per_row
        draw.rectangle((left, row * line, right - 1, (row + 1) * line - 1), fill=item.color)
        room = (right - left) * (1 - 2 * _MARGIN)
        font = _font_that_fits(item.name, line, room)
        middle = ((left + right) // 2, row * line + line // 2)
        draw.text(middle, item.name, font=font, fill=_text_color(item.color), anchor="mm")
    return np.array(bar)


def caption_bar(text: str, width: int) -> Picture:
    """Return a gray line with text, uint8 ``[line, width, 3]``."""
    line = _line(width)
    bar = Image.new("RGB", (width, line), (_CAPTION_GRAY,) * 3)
    font = _font_that_fits(text, line, width - line)
    ImageDraw.Draw(bar).text((line // 2, line // 2), text, font=font, fill=_LIGHT, anchor="lm")
    return np.array(bar)


def _line(width: int) -> int:
    return max(_LEAST_LINE, round(width * _LINE_SHARE))


def _font_that_fits(text: str, line: int, room: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    size = line * _TEXT_SHARE
    length = ImageFont.load_default(size).getlength(text)
    return ImageFont.load_default(size if length <= room else max(6.0, size * room / length))


def _text_color(color: Sequence[int]) -> tuple[int, int, int]:
    luma = sum(weight * value for weight, value in zip(_LUMA, color, strict=True))
    return _DARK if luma >= _BRIGHT else _LIGHT


def _fitted(picture: Picture, pane: tuple[int, int]) -> Picture:
    """Return the picture scaled to fit into the pane, centered on black."""
    height, width = picture.shape[:2]
    if (height, width) == pane:
        return picture
    factor = min(pane[0] / height, pane[1] / width)
    size = max(1, min(pane[1], round(width * factor))), max(1, min(pane[0], round(height * factor)))
    scaled = np.array(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0))
    canvas = np.zeros((*pane, 3), dtype=np.uint8)
    top, left = (pane[0] - size[1]) // 2, (pane[1] - size[0]) // 2
    canvas[top : top + size[1], left : left + size[0]] = scaled
    return canvas
