"""Charts as SVG text: drawn here, styled by the page, and readable without any script.

Colors come from CSS classes, so that a chart follows the page's light or dark theme. Every point and cell has a
``<title>``, which browsers show on hover and screen readers read.
"""

import math
from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

__all__ = ["Line", "confusion_map", "line_chart", "reliability_chart"]

Line = tuple[str, Sequence[tuple[float, float]]]
"""A name and its points."""

_WIDTH, _HEIGHT = 420, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 14, 40
_TICKS = 5
_FEW = 60  # points that are drawn as dots too
_CELL = 22
_LONGEST_NAME = 22


def line_chart(title: str, lines: Sequence[Line], x_name: str, y_name: str, *, percent: bool = False) -> str:
    """Draw lines over a common axis; points that are not finite are left out, text where none is left.

    Args:
        title: Describes the chart to those who cannot see it.
        lines: At most 4.
        x_name: Name of the horizontal axis.
        y_name: Name of the vertical axis.
        percent: Whether values are shares, shown in percent.
    """
    kept = [
        (name, [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]) for name, points in lines
    ]
    xs = [x for _, points in kept for x, _ in points]
    ys = [y for _, points in kept for _, y in points]
    if not xs:
        return '<p class="missing">No values.</p>'
    x_ticks, y_ticks = _ticks(min(xs), max(xs)), _ticks(min(ys), max(ys))
    place = _Plane(x_ticks, y_ticks)
    parts = _axes(place, x_name, y_name, percent)
    for number, (name, points) in enumerate(kept):
        path = " ".join(f"{place.x(x):.1f},{place.y(y):.1f}" for x, y in points)
        parts.append(f'<polyline class="line line{number}" points="{path}"/>')
        for x, y in points if len(points) <= _FEW else points[-1:]:
            text = f"{name}: {_number(y, percent)} at {_number(x, False)}"
            parts.append(
                f'<circle class="dot line{number}" cx="{place.x(x):.1f}" cy="{place.y(y):.1f}" r="3">'
                f"<title>{escape(text)}</title></circle>"
            )
    names = "".join(
        f'<span class="key line{number}">{escape(name)}</span>' for number, (name, _) in enumerate(kept)
    )
    legend = f'<div class="keys">{names}</div>' if len(kept) > 1 else ""
    return _svg(title, _WIDTH, _HEIGHT, parts) + legend


def reliability_chart(title: str, bins: Sequence[tuple[float, float, float, float, int]]) -> str:
    """Draw accuracy over confidence; bars below the diagonal are overconfident.

    Args:
        title: Describes the chart to those who cannot see it.
        bins: Low edge, high edge, mean confidence, accuracy, and pixels of each; empty ones are left out.
    """
    ticks = [0, 0.2, 0.4, 0.6, 0.8, 1]
    place = _Plane(ticks, ticks)
    parts = _axes(place, "confidence, %", "accuracy, %", True, percent_x=True)
    most = max((count for *_, count in bins), default=0)
    for low, high, confidence, accuracy, count in bins:
        if not count:
            continue
        text = (
            f"confidence {100 * confidence:.1f} %, accuracy {100 * accuracy:.1f} %: {count} pixels"
            f" between {100 * low:.0f} and {100 * high:.0f} %"
        )
        left, right = place.x(low), place.x(high)
        opacity = 0.35 + 0.65 * math.sqrt(count / most)
        parts.append(
            f'<rect class="bin" x="{left + 1:.1f}" y="{place.y(accuracy):.1f}" width="{right - left - 2:.1f}"'
            f' height="{place.y(0) - place.y(accuracy):.1f}" fill-opacity="{opacity:.2f}">'
            f"<title>{escape(text)}</title></rect>"
            f'<line class="mark" x1="{left + 1:.1f}" x2="{right - 1:.1f}" y1="{place.y(confidence):.1f}"'
            f' y2="{place.y(confidence):.1f}"/>'
        )
    parts.append(
        f'<line class="ideal" x1="{place.x(0):.1f}" y1="{place.y(0):.1f}" x2="{place.x(1):.1f}"'
        f' y2="{place.y(1):.1f}"/>'
    )
    return _svg(title, _WIDTH, _HEIGHT, parts)


def confusion_map(title: str, rows: Sequence[str], columns: Sequence[str], counts: NDArray[np.int64]) -> str:
    """Draw a confusion matrix, each row as shares of its truth; empty cells are left out.

    Args:
        title: Describes the chart to those who cannot see it.
        rows: Names of the true classes.
        columns: Names of the predicted classes.
        counts: int64 ``[rows, columns]``.
    """
    longest = min(_LONGEST_NAME, max(len(name) for name in (*rows, *columns)))
    margin = 12 + 7 * longest
    totals = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shares = counts / totals
    parts = [
        f'<text class="tick" x="{margin - 6}" y="{margin + _CELL * i + 15}" text-anchor="end">{_short(name)}</text>'
        for i, name in enumerate(rows)
    ]
    for j, name in enumerate(columns):
        x, y = margin + _CELL * j + 15, margin - 6
        parts.append(
            f'<text class="tick" transform="rotate(-60 {x} {y})" x="{x}" y="{y}">{_short(name)}</text>'
        )
    width, height = margin + _CELL * len(columns), margin + _CELL * len(rows)
    inner = f'x="{margin}" y="{margin}" width="{width - margin}" height="{height - margin}"'
    parts.append(f'<rect class="field" {inner}/>')
    for i, j in zip(*np.nonzero(counts), strict=True):
        share = float(shares[i, j])
        text = f"{rows[i]}: {100 * share:.2f} % taken for {columns[j]} ({counts[i, j]} pixels)"
        kind = "cell right" if rows[i] == columns[j] else "cell wrong"
        # The square root lets confusions of a percent be seen beside hits of ninety.
        parts.append(
            f'<rect class="{kind}" x="{margin + _CELL * int(j)}" y="{margin + _CELL * int(i)}" width="{_CELL - 1}"'
            f' height="{_CELL - 1}" fill-opacity="{math.sqrt(share):.3f}"><title>{escape(text)}</title></rect>'
        )
    return _svg(title, width + 12 + 4 * longest, height + 4, parts, natural=True)


class _Plane:
    """Where values lie in a chart."""

    def __init__(self, x_ticks: Sequence[float], y_ticks: Sequence[float]) -> None:
        self.x_ticks, self.y_ticks = x_ticks, y_ticks

    def x(self, value: float) -> float:
        return _LEFT + _share(value, self.x_ticks) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - _share(value, self.y_ticks) * (_HEIGHT - _TOP - _BOTTOM)


def _share(value: float, ticks: Sequence[float]) -> float:
    return (value - ticks[0]) / ((ticks[-1] - ticks[0]) or 1)


def _axes(place: _Plane, x_name: str, y_name: str, percent: bool, *, percent_x: bool = False) -> list[str]:
    parts = []
    for value in place.y_ticks:
        y = place.y(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        text = _number(value, percent)
        parts.append(f'<text class="tick" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
    for value in place.x_ticks:
        text = _number(value, percent_x)
        at = f'x="{place.x(value):.1f}" y="{_HEIGHT - _BOTTOM + 16}"'
        parts.append(f'<text class="tick" {at} text-anchor="middle">{text}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(
        f'<text class="axis" x="{middle}" y="{_HEIGHT - 6}" text-anchor="middle">{escape(x_name)}</text>'
    )
    turned = (_TOP + _HEIGHT - _BOTTOM) / 2
    parts.append(
        f'<text class="axis" transform="rotate(-90 12 {turned})" x="12" y="{turned}"'
        f' text-anchor="middle">{escape(y_name)}</text>'
    )
    return parts


def _ticks(low: float, high: float) -> list[float]:
    """Return round values that span a range."""
    if high - low < 1e-12 * max(abs(low), abs(high), 1e-300):
        low, high = (low - abs(low) / 2, high + abs(high) / 2) if low else (0.0, 1.0)
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def _number(value: float, percent: bool) -> str:
    return f"{100 * value:.4g}" if percent else f"{value:.4g}"


def _short(name: str) -> str:
    return escape(name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…")


def _svg(title: str, width: int, height: int, parts: Sequence[str], *, natural: bool = False) -> str:
    style = ' class="natural"' if natural else ""
    return (
        f'<svg{style} role="img" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        f' aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )
