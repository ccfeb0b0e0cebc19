"""The page: sections of HTML put together with their style and script, so that nothing is ever fetched."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from importlib import metadata
from importlib.resources import files
from pathlib import Path
from typing import Any

from roadseg.labels import LabelSpace
from roadseg.media import write_bytes
from roadseg.reporting.content import Content, worst_images
from roadseg.reporting.examples import NO_TRUTH, Example
from roadseg.reporting.sections import (
    boundary_section,
    calibration_section,
    category_section,
    class_section,
    confusion_section,
    curve_section,
    figure,
    headline,
    percent,
    section,
)

__all__ = ["render", "write_page"]

# The browser itself refuses every request then, whatever a file name or a class name tries to smuggle in.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
_LAYERS = (("image", "image"), ("truth", "truth"), ("prediction", "prediction"), ("errors", "differences"))
_NARROW = 640  # pixels; images up to here stand two in a row
_LISTED = 20  # rows of the table of worst images


def write_page(
    path: Path, content: Content, examples: Sequence[Example] = (), space: LabelSpace | None = None
) -> int:
    """Write a report as one HTML file.

    Args:
        path: The file.
        content: What to report.
        examples: Images to show, the worst first.
        space: What the channels of the examples mean; also gives the classes their colors.

    Returns:
        Its size in bytes.

    Raises:
        OutputError: It cannot be written.
    """
    data = render(content, examples, space).encode("utf-8", "replace")  # names of files need not be UTF-8
    write_bytes(path, data)
    return len(data)


def render(content: Content, examples: Sequence[Example] = (), space: LabelSpace | None = None) -> str:
    """Return the report's HTML; arguments as of `write_page`."""
    score = content.score or {}
    body = [
        headline(content),
        class_section(score, space),
        category_section(score),
        confusion_section(score),
        boundary_section(score),
        calibration_section(score),
        _example_section(examples, score),
        curve_section(content.curve),
    ]
    data = {
        "noTruth": NO_TRUTH,
        "classes": [{"name": item.name, "color": item.color} for item in space.classes] if space else [],
        "examples": [
            {key: value for key, value in asdict(example).items() if key not in ("image", "miou", "accuracy")}
            for example in examples
        ],
    }
    # In a script element nothing is escaped: only "</script" and "<!--" must not occur.
    embedded = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
    title = escape(f"{content.title}: roadseg report")
    version = metadata.version("roadseg")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<link rel="icon" href="data:,">\n<title>{title}</title>\n<style>\n{_asset("report.css")}</style>\n'
        f"</head>\n<body>\n<main>\n{''.join(part for part in body if part)}</main>\n"
        f"<footer>Written by roadseg {escape(version)}. This file needs no network and no other file.</footer>\n"
        f'<script type="application/json" id="data">{embedded}</script>\n'
        f"<script>\n{_asset('report.js')}</script>\n</body>\n</html>\n"
    )


def _asset(name: str) -> str:
    return files("roadseg.reporting").joinpath("assets", name).read_text(encoding="utf-8")


def _example_section(examples: Sequence[Example], score: Mapping[str, Any]) -> str:
    parts = [_controls()] if any(example.truth or example.prediction for example in examples) else []
    kind = "examples" if all(example.width <= _NARROW for example in examples) else "examples large"
    figures = "".join(_example(number, example) for number, example in enumerate(examples))
    parts += [f'<div class="{kind}">{figures}</div>'] if examples else []
    worst = worst_images(score, _LISTED)
    if worst:
        rows = "".join(
            f"<tr><th scope=row>{escape(str(row.get('key', '')))}</th><td>{percent(row['miou'])}</td>"
            f"<td>{percent(row.get('accuracy'))}</td></tr>"
            for row in worst
        )
        table = (
            "<table><thead><tr><th scope=col>image</th><th scope=col>mIoU, %</th>"
            f"<th scope=col>accuracy, %</th></tr></thead><tbody>{rows}</tbody></table>"
        )
        count = len(score.get("per_image") or ())
        summary = f"The {len(worst)} worst of {count} images as a table"
        parts.append(f"<details{'' if examples else ' open'}><summary>{summary}</summary>{table}</details>")
    return section("worst", "Worst images", "".join(parts))


def _controls() -> str:
    selects = "".join(
        f'<label>{side} <select id="{side}">'
        + "".join(
            f'<option value="{value}"{" selected" if value == chosen else ""}>{text}</option>'
            for value, text in _LAYERS
        )
        + "</select></label>"
        for side, chosen in (("left", "truth"), ("right", "prediction"))
    )
    return (
        f'<div id="controls" class="controls" hidden>{selects}'
        '<label>opacity <input type="range" id="opacity" min="0" max="100" value="60"></label>'
        '<details id="filter"><summary>classes shown: <output id="shown">all</output></summary>'
        '<fieldset><legend class="unseen">classes shown</legend>'
        '<button type="button" id="all">all</button> <button type="button" id="none">none</button>'
        '<div id="choices"></div></fieldset></details></div>'
    )


def _example(number: int, example: Example) -> str:
    facts = [
        f"{name} {percent(value)} %"
        for name, value in (("mIoU", example.miou), ("accuracy", example.accuracy))
        if value is not None
    ]
    caption = " · ".join([f"<strong>{escape(example.key)}</strong>", *facts])
    name = escape(example.key)
    inner = (
        f'<div class="compare" style="aspect-ratio:{example.width}/{example.height}">'
        f'<img src="{example.image}" width="{example.width}" height="{example.height}" alt="{name}">'
        '<canvas class="under" hidden></canvas><canvas class="over" hidden></canvas>'
        '<div class="handle" hidden></div>'
        f'<input class="slider" type="range" min="0" max="100" step="0.1" value="50" hidden'
        f' aria-label="boundary between left and right, {name}">'
        '<span class="tag left" hidden></span><span class="tag right" hidden></span></div>'
    )
    return figure(inner, f'{caption}<span class="readout" aria-live="off"></span>', f"example{number}")
