"""The sections of a report, each a function from a score to HTML; empty where the score says nothing of it."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from roadseg.labels import LabelSpace
from roadseg.reporting.charts import confusion_map, line_chart, reliability_chart
from roadseg.reporting.content import Content

__all__ = [
    "boundary_section",
    "calibration_section",
    "category_section",
    "class_section",
    "confusion_section",
    "curve_section",
    "figure",
    "headline",
    "percent",
    "section",
]

Score = Mapping[str, Any]
_CONFUSIONS = 12  # named in words
_SUMMARY = (
    ("pixel_accuracy", "pixel accuracy"),
    ("mean_accuracy", "mean accuracy"),
    ("frequency_weighted_iou", "frequency-weighted IoU"),
    ("category_miou", "category mIoU"),
    ("iiou", "iIoU"),
    ("category_iiou", "category iIoU"),
)
_COLUMNS = (
    ("iou", "IoU"),
    ("precision", "precision"),
    ("recall", "recall"),
    ("iiou", "iIoU"),
    ("boundary_f", "boundary F"),
    ("boundary_iou", "boundary IoU"),
)


def section(name: str, title: str, inner: str) -> str:
    """Return a section with its heading; nothing without content."""
    if not inner:
        return ""
    return f'<section id="{name}" aria-labelledby="{name}-title"><h2 id="{name}-title">{title}</h2>\n{inner}</section>\n'


def figure(inner: str, caption: str, name: str = "") -> str:
    """Return a figure; the caption is HTML."""
    mark = f' id="{name}"' if name else ""
    return f"<figure{mark}>{inner}<figcaption>{caption}</figcaption></figure>\n"


def percent(value: object, digits: int = 1) -> str:
    """Return a share in percent without the sign, a dash for none."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and value == value
    return f"{100 * value:.{digits}f}" if known else "-"  # type: ignore[operator]


def headline(content: Content) -> str:
    """Return the title, the score, and how it came about."""
    score = content.score
    kicker = f"training run{f' of {content.recipe}' if content.recipe else ''}" if content.curve else "score"
    parts = [f'<p class="kicker">{escape(kicker)}</p><h1>{escape(content.title)}</h1>']
    if score is None:
        parts.append('<p class="missing">This run was never validated: it has no score.</p>')
        return f"<header>{''.join(parts)}</header>\n"
    parts.append(f'<p class="score"><b>{percent(score["miou"], 2)}</b> % mIoU{_interval(score)}</p>')
    figures = "".join(
        f"<div><dt>{name}</dt><dd>{percent(score[key], 2)} %</dd></div>"
        for key, name in _SUMMARY
        if score.get(key) is not None
    )
    parts.append(f'<dl class="summary">{figures}</dl>')
    protocol = _mapping(score.get("protocol"))
    if protocol.get("text"):
        parts.append(f'<p class="protocol"><b>Protocol.</b> {escape(str(protocol["text"]))}.</p>')
    facts = [
        f"{name} {escape(str(score[key]))}{unit}"
        for key, name, unit in (
            ("weights", "weights", ""),
            ("weights_sha256", "SHA-256", ""),
            ("data", "data", ""),
            ("device", "on", ""),
            ("seconds", "in", " s"),
        )
        if score.get(key) is not None
    ]
    parts.append(f'<p class="facts">{" · ".join(facts)}</p>' if facts else "")
    return f"<header>{''.join(parts)}</header>\n"


def class_section(score: Score, space: LabelSpace | None = None) -> str:
    """Return a sortable table with a bar for each figure of each class."""
    classes = _mapping(score.get("classes"))
    if not classes:
        return ""
    boundary = _mapping(score.get("boundary"))
    rows = {
        name: {
            **values,
            "boundary_f": _mapping(boundary.get("f")).get(name),
            "boundary_iou": _mapping(boundary.get("iou")).get(name),
        }
        for name, values in classes.items()
    }
    columns = [
        (key, name) for key, name in _COLUMNS if any(row.get(key) is not None for row in rows.values())
    ]
    colors = {item.name: item.color for item in space.classes} if space else {}
    head = "".join(
        f'<th scope="col" aria-sort="none"><button type="button" data-column="{i}">{name}</button></th>'
        for i, name in enumerate(["class", *(f"{name}, %" for _, name in columns), "pixels, %"])
    )
    total = sum(_number(row.get("pixels")) for row in rows.values()) or 1.0
    lines = []
    for number, (name, row) in enumerate(rows.items()):
        cells = "".join(_bar(row.get(key), key) for key, _ in columns)
        cells += _bar(_number(row.get("pixels")) / total, "pixels")
        swatch = f'<i class="swatch" style="background:rgb{colors[name]}"></i>' if name in colors else ""
        lines.append(f'<tr><th scope="row" data-value="{number}">{swatch}{escape(name)}</th>{cells}</tr>')
    table = f'<table class="classes sortable"><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table>'
    return section("classes", "Classes", f'<div class="wide">{table}</div>')


def category_section(score: Score) -> str:
    """Return the scores of categories."""
    categories = _mapping(score.get("categories"))
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th>{_bar(_mapping(row).get("iou"), "iou")}'
        f"{_bar(_mapping(row).get('iiou'), 'iiou')}</tr>"
        for name, row in categories.items()
    )
    head = '<th scope="col">category</th><th scope="col">IoU, %</th><th scope="col">iIoU, %</th>'
    table = f'<table class="classes"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return section("categories", "Categories", table if rows else "")


def confusion_section(score: Score) -> str:
    """Return the confusion matrix as a heat map, and the largest confusions in words."""
    confusion = _mapping(score.get("confusion"))
    names = [str(name) for name in confusion.get("names") or ()]
    try:
        counts = np.array(confusion.get("counts") or [], dtype=np.int64)
    except (TypeError, ValueError, OverflowError):
        return ""
    if not names or counts.shape != (len(names) + 1, len(names) + 1):
        return ""
    counts = counts[:-1]  # pixels without truth are no confusion
    rows = [i for i in range(len(names)) if counts[i].any()]
    if not rows:
        return ""
    columns = [*names, "none"] if counts[:, -1].any() else names
    kept = counts[rows][:, : len(columns)]
    chart = confusion_map(
        "Confusion matrix, each row as shares of its true class", [names[i] for i in rows], columns, kept
    )
    caption = (
        "Rows are the truth, columns the prediction; each row is shares of its true class. The stronger, the larger:"
        " shades follow the square root, so that small confusions are seen."
    )
    inner = figure(f'<div class="wide">{chart}</div>', caption)
    return section("confusion", "Confusion", f"{inner}{_largest(kept, [names[i] for i in rows], columns)}")


def boundary_section(score: Score) -> str:
    """Return the boundary figures and the trimap curve."""
    boundary, trimap = _mapping(score.get("boundary")), _rows(score.get("trimap"))
    parts = []
    means = [
        f"{name} {percent(_mapping(boundary.get(key)).get('mean'))} %{_pixels(boundary.get(unit), text)}"
        for key, name, unit, text in (
            ("f", "mean boundary F", "radius_px", "tolerance"),
            ("iou", "mean boundary IoU", "band_px", "band"),
        )
        if _mapping(boundary.get(key)).get("mean") is not None
    ]
    if means:
        parts.append(f"<p>{escape(' · '.join(means))}</p>")
    if trimap:
        lines = [
            (name, [(_number(row.get("width")), _value(row.get(key))) for row in trimap])
            for key, name in (("miou", "mIoU"), ("accuracy", "accuracy"))
        ]
        chart = line_chart(
            "Trimap curve", lines, "distance to a boundary of the truth, pixels", "%", percent=True
        )
        parts.append(figure(chart, "Scores over the pixels up to that far from a boundary of the truth."))
    return section("boundaries", "Near boundaries", "".join(parts))


def calibration_section(score: Score) -> str:
    """Return the calibration figures and the reliability diagram."""
    calibration = _mapping(score.get("calibration"))
    facts = []
    if calibration.get("ece") is not None:
        facts.append(f"expected calibration error {percent(calibration['ece'], 2)} %")
    if calibration.get("temperature") is not None:
        facts.append(
            f"{percent(calibration.get('ece_after'), 2)} % after dividing the scores by"
            f" {_number(calibration['temperature']):.3g}"
        )
    parts = [f"<p>{escape('; '.join(facts))}</p>"] if facts else []
    bins = []
    for row in _rows(calibration.get("bins")):
        low, high, confidence, accuracy = (
            _number(row.get(key)) for key in ("low", "high", "confidence", "accuracy")
        )
        bins.append((low, high, confidence, accuracy, int(_number(row.get("count")))))
    if bins:
        chart = reliability_chart("Reliability diagram", bins)
        caption = (
            "Accuracy of the pixels of each range of confidence; the thin line is their mean confidence. Bars that end"
            " below the diagonal mean a network that is too sure. Faint bars hold few pixels."
        )
        parts.append(figure(chart, caption))
    return section("calibration", "Calibration", "".join(parts))


def curve_section(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the curves of a training run."""
    if not rows:
        return ""
    charts = []
    for key, name, share in (
        ("loss", "training loss", False),
        ("miou", "validation mIoU", True),
        ("lr", "learning rate", False),
    ):
        points = [
            (float(row["step"]), _value(_mapping(row.get("val")).get(key) if share else row.get(key)))
            for row in rows
        ]
        if any(y == y for _, y in points):
            unit = f"{name}, %" if share else name
            charts.append(figure(line_chart(name, [(name, points)], "step", unit, percent=share), name))
    return section("training", "Training", f'<div class="charts">{"".join(charts)}</div>' if charts else "")


def _interval(score: Score) -> str:
    interval = _mapping(score.get("interval"))
    if interval.get("low") is None or interval.get("high") is None:
        return ""
    level = f"{100 * _number(interval['level']):.0f} % interval" if interval.get("level") else "interval"
    return (
        f" <small>{level} {percent(interval['low'], 2)} to {percent(interval['high'], 2)},"
        " images drawn anew</small>"
    )


def _largest(counts: np.ndarray[Any, np.dtype[np.int64]], rows: Sequence[str], columns: Sequence[str]) -> str:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    pairs = sorted(
        (
            (float(shares[i, j]), rows[i], columns[j])
            for i, j in zip(*np.nonzero(counts), strict=True)
            if rows[i] != columns[j]
        ),
        reverse=True,
    )[:_CONFUSIONS]
    if not pairs:
        return ""
    items = "".join(
        f"<li>{percent(share)} % of <b>{escape(true)}</b> taken for <b>{escape(given)}</b></li>"
        for share, true, given in pairs
    )
    return f'<h3>Largest confusions</h3><ol class="confusions">{items}</ol>'


def _bar(value: object, kind: str) -> str:
    text = percent(value)
    number = _value(value)
    width = f"{100 * number:.1f}" if number == number else "0"
    order = f"{number:.6f}" if number == number else "-1"
    return f'<td class="bar {kind}" data-value="{order}"><span style="--share:{width}%"></span><b>{text}</b></td>'


def _pixels(values: object, name: str) -> str:
    known = values if isinstance(values, list) else [values]
    numbers = [f"{value:g}" for value in known if isinstance(value, int | float)]
    return f" ({name} {', '.join(numbers)} pixels)" if numbers else ""


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _rows(value: object) -> list[Mapping[str, Any]]:
    items: Iterable[object] = value if isinstance(value, list) else ()
    return [item for item in items if isinstance(item, Mapping)]


def _value(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def _number(value: object) -> float:
    number = _value(value)
    return number if number == number else 0.0
