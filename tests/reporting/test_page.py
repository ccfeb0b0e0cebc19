import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from roadseg.errors import OutputError
from roadseg.labels import LabelSpace
from roadseg.reporting import Content, make_example, write_page
from roadseg.reporting.page import render
from tests.reporting.samples import SPACE, example, score

VOID = {"meta", "link", "img", "input", "br"}
EVIL = '</script><script>alert("x")</script><img src=http://evil.example/x.png>'


class Checker(HTMLParser):
    """Collects elements; fails on tags that do not nest and on ids that repeat."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.tags, self.addresses = [], set(), [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        attributes = dict(attrs)
        if "id" in attributes:
            assert attributes["id"] not in self.ids
            self.ids.add(attributes["id"])
        self.addresses += [attributes[key] for key in ("src", "href") if key in attributes]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def check(html):
    checker = Checker()
    checker.feed(html)
    checker.close()
    assert checker.open == []
    assert all(address.startswith("data:") for address in checker.addresses)
    return checker


def content(**changes):
    return Content(title="mine", source=Path("score.json"), score=score(**changes))


def test_a_full_score_has_every_section():
    html = render(content(), [example()], SPACE)
    checker = check(html)
    assert {
        "classes",
        "categories",
        "confusion",
        "boundaries",
        "calibration",
        "worst",
        "example0",
    } <= checker.ids
    assert "training" not in checker.ids
    assert "<b>70.00</b> % mIoU" in html
    assert "95 % interval 65.00 to 75.00" in html
    assert "camvid test: 2 images" in html
    assert "35.0 % of <b>car</b> taken for <b>road</b>" in html
    assert "mean boundary F 70.0 % (tolerance 19 pixels)" in html
    assert "expected calibration error 5.00 %; 1.00 % after dividing the scores by 1.4" in html


def test_nothing_in_the_page_names_another_place():
    html = render(content(), [example()], SPACE)
    assert not re.search(r"https?:|//[a-z]|url\(|@import|<link(?! rel=\"icon\" href=\"data:,\")", html)
    assert "default-src &#x27;none&#x27;" in html


def test_bare_scores_are_enough():
    bare = Content(
        title="old", source=Path("x"), score={"miou": None, "classes": {"road": {"iou": None, "pixels": 0}}}
    )
    html = render(bare)
    checker = check(html)
    assert checker.ids & {"confusion", "boundaries", "calibration", "worst", "training", "controls"} == set()
    assert "<b>-</b> % mIoU" in html


def test_odd_values_are_no_trouble():
    html = render(
        content(
            confusion={"names": ["a"], "counts": "odd"},
            trimap=[None, {"width": None}],
            calibration={"bins": [{}], "ece": None},
            boundary=7,
            protocol=None,
            interval={"low": 0.1},
            categories=[1],
            per_image=[{"miou": 0.5}],
        )
    )
    check(html)


def test_a_run_has_curves():
    rows = tuple({"step": i, "loss": 1 / i, "lr": 0.1, "val": score(miou=i / 10)} for i in range(1, 5))
    run = Content(
        title="run", source=Path("run"), score=rows[-1]["val"], curve=rows, recipe="fast-scnn.camvid"
    )
    html = render(run)
    assert "training" in check(html).ids
    assert "training run of fast-scnn.camvid" in html
    assert "validation mIoU: 40 at 4" in html
    unscored = Content(title="run", source=Path("run"), score=None, curve=({"step": 1, "loss": 1.0},))
    assert "never validated" in render(unscored)
    check(render(unscored))


def test_names_cannot_become_markup():
    evil = LabelSpace.from_names([EVIL, "b"], name="evil")
    labels = np.zeros((4, 4), np.uint8)
    shown = make_example(EVIL, np.zeros((4, 4, 3), np.uint8), labels, labels, evil)
    classes = {EVIL: {"iou": 0.5, "recall": 0.5, "precision": 0.5, "pixels": 9}}
    changed = score(
        classes=classes,
        weights=EVIL,
        protocol={"text": EVIL, "space": EVIL},
        confusion={"names": [EVIL, "b"], "counts": [[1, 2, 3], [4, 5, 6], [0, 0, 0]]},
        per_image=[{"key": EVIL, "miou": 0.1}],
        categories={EVIL: {"iou": 0.5}},
    )
    html = render(Content(title=EVIL, source=Path("x"), score=changed), [shown], evil)
    checker = check(html)
    assert checker.tags.count("script") == 2
    assert checker.tags.count("img") == 1
    data = json.loads(re.search(r'id="data">(.*?)</script>', html)[1])
    assert data["classes"][0]["name"] == EVIL
    assert data["examples"][0]["key"] == EVIL


def test_is_written_whole_or_not_at_all(tmp_path):
    size = write_page(tmp_path / "new" / "report.html", content(), [example()], SPACE)
    assert (tmp_path / "new" / "report.html").stat().st_size == size
    with pytest.raises(OutputError):
        write_page(tmp_path / "new", content())
