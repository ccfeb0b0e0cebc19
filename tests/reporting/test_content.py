import json

import pytest

from roadseg.errors import InputError
from roadseg.reporting import read_content
from roadseg.reporting.content import worst_images
from tests.reporting.samples import score


def test_reads_a_score(tmp_path):
    path = tmp_path / "score.json"
    path.write_text(json.dumps(score()))
    content = read_content(path)
    assert content.title == "mine on camvid test"
    assert content.score["miou"] == 0.7
    assert content.curve == ()


def test_a_score_of_nothing_known_is_named_by_its_file(tmp_path):
    path = tmp_path / "old.json"
    path.write_text(json.dumps({"miou": None, "classes": {}}))
    assert read_content(path).title == "old"


def write_run(folder, rows, recipe="fast-scnn.camvid"):
    folder.mkdir()
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "run.json").write_text(json.dumps({"recipe": {"name": recipe}}))
    return folder


def test_a_run_is_as_good_as_its_best_validation(tmp_path):
    rows = [
        {"step": step, "epoch": step, "loss": 1 / step, "lr": 0.1, "val": score(miou=miou)}
        for step, miou in ((1, 0.2), (2, 0.6), (3, None), (4, 0.5))
    ]
    content = read_content(write_run(tmp_path / "run", rows))
    assert content.title == "run"
    assert content.recipe == "fast-scnn.camvid"
    assert content.score["miou"] == 0.6
    assert [row["step"] for row in content.curve] == [1, 2, 3, 4]


def test_a_run_without_validation_has_curves_alone(tmp_path):
    content = read_content(write_run(tmp_path / "run", [{"step": 1, "loss": 2.0}]))
    assert content.score is None
    assert len(content.curve) == 1


def test_the_worst_images_come_first():
    rows = worst_images(score(), 2)
    assert [row["key"] for row in rows] == ["city/3", "city/5"]
    assert worst_images(score(per_image=None), 2) == []
    assert worst_images(score(per_image=[{"key": "x", "miou": None}, 3]), 2) == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "does not exist; name a score saved by"),
        ("{", "is not JSON; name a score"),
        ("\x00\xff", "is not JSON; name a score"),
        ("[1]", "is JSON, but no score"),
        ('{"miou": "high", "classes": {}}', "is JSON, but no score"),
        ('{"miou": 1, "classes": {"road": 1}}', "is JSON, but no score"),
    ],
)
def test_says_what_is_no_score(tmp_path, text, sentence):
    path = tmp_path / "score.json"
    if text is not None:
        path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=sentence):
        read_content(path)


def test_says_what_is_wrong_with_a_run(tmp_path):
    with pytest.raises(InputError, match=r"holds no metrics\.jsonl"):
        read_content(tmp_path)
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n{"st')
    with pytest.raises(InputError, match="line 2 is damaged"):
        read_content(tmp_path)
