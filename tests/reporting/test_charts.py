import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from roadseg.reporting.charts import confusion_map, line_chart, reliability_chart


def parse(svg):
    """The SVG before any legend; fails when it is not well formed."""
    return ET.fromstring(svg[: svg.index("</svg>") + 6])


def test_lines_span_the_axes_and_every_point_says_its_value():
    svg = line_chart("t", [("a", [(0, 0.0), (5, 0.5), (10, 1.0)]), ("b", [(0, 1.0)])], "x", "y", percent=True)
    root = parse(svg)
    points = [tuple(map(float, p.split(","))) for p in root.find("polyline").get("points").split()]
    assert points[0][0] < points[1][0] < points[2][0]
    assert points[0][1] > points[1][1] > points[2][1]
    assert points[1][0] == pytest.approx((points[0][0] + points[2][0]) / 2, abs=0.1)
    titles = [title.text for title in root.iter("title")]
    assert "a: 50 at 5" in titles
    assert len(titles) == 4
    assert 'class="key line1">b<' in svg


def test_values_that_are_not_finite_are_left_out():
    root = parse(line_chart("t", [("a", [(0, math.nan), (1, 2.0), (2, math.inf), (3, 3.0)])], "x", "y"))
    assert len(root.find("polyline").get("points").split()) == 2
    assert line_chart("t", [("a", [(0, math.nan)])], "x", "y") == '<p class="missing">No values.</p>'


@pytest.mark.parametrize("value", [0.0, 1.0, -3.0, 1e-30, 1e30])
def test_a_single_value_has_an_axis(value):
    root = parse(line_chart("t", [("a", [(value, value)])], "x", "y"))
    assert 0 < float(root.find("circle").get("cx")) < 420


def test_long_runs_have_lines_without_dots():
    root = parse(line_chart("t", [("a", [(i, i) for i in range(500)])], "x", "y"))
    assert len(root.findall("circle")) == 1


def test_reliability_bars_stand_at_their_accuracy():
    root = parse(reliability_chart("t", [(0.0, 0.5, 0, 0, 0), (0.5, 1.0, 0.75, 0.5, 10)]))
    bars = [item for item in root.iter("rect") if item.get("class") == "bin"]
    assert len(bars) == 1
    assert float(bars[0].get("height")) == pytest.approx((260 - 14 - 40) / 2, abs=0.1)
    assert bars[0].find("title").text.startswith("confidence 75.0 %, accuracy 50.0 %: 10 pixels")


def test_confusion_cells_are_shares_of_their_row():
    counts = np.array([[75, 25, 0], [0, 10, 0]])
    root = parse(confusion_map("t", ["a<b", "c"], ["a<b", "c", "none"], counts))
    cells = [item for item in root.iter("rect") if item.get("class").startswith("cell")]
    assert [cell.get("class") for cell in cells] == ["cell right", "cell wrong", "cell right"]
    assert [float(cell.get("fill-opacity")) ** 2 for cell in cells] == pytest.approx(
        [0.75, 0.25, 1], abs=2e-3
    )
    assert cells[1].find("title").text == "a<b: 25.00 % taken for c (25 pixels)"
