"""`roadseg labels`: list, show, diff and map, for spaces by name and by file."""

import pytest

from roadseg.labels import space_names

MINE = """
name = "mine"
parent = "cityscapes-19"
drop = ["train"]
merge = { cycle = ["motorcycle", "bicycle"] }
"""


@pytest.fixture
def mine(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(MINE)
    return file


def test_list_is_what_no_word_gives(run):
    assert run("labels", "list").out == run("labels").out
    assert [item["name"] for item in run("labels", "list", "--json").json["spaces"]] == list(space_names())


def test_show(run, mine):
    assert run("labels", "show", "voc-21").out == run("labels", "voc-21").out
    result = run("labels", "show", mine)
    assert "made from cityscapes-19. 1 class of cityscapes-19 ignored: train." in result.out
    assert "cycle from motorcycle, bicycle" in result.out
    found = run("labels", "show", mine, "--json").json
    assert (found["parent"], found["origins"]) == ("cityscapes-19", ["cityscapes-19"])
    assert found["from_parent"]["merged"] == {"cycle": ["motorcycle", "bicycle"]}
    assert len(found["classes"]) == 17


def test_diff(run, mine):
    out = run("labels", "diff", "cityscapes-19", mine).out
    assert "only in cityscapes-19" in out
    assert "16 of 19 and 17 classes are the same" in out
    found = run("labels", "diff", "cityscapes-19", mine, "--json").json
    differing = {item["name"]: item["differs"] for item in found["classes"] if item["differs"]}
    assert differing == {
        "train": ["only in cityscapes-19"],
        "motorcycle": ["only in cityscapes-19"],
        "bicycle": ["only in cityscapes-19"],
        "cycle": ["only in mine"],
    }
    same = run("labels", "diff", "kitti", "cityscapes").out
    assert same.splitlines() == ["35 of 35 and 35 classes are the same; ignored ids 0 and 0"]


def test_map_marks_what_is_lost(run, mine):
    out = run("labels", "map", "mseg-194", "pascal-context-60").out
    assert "2 classes of pascal-context-60 never reached (IoU 0): flower, wood." in out
    found = run("labels", "map", "mseg-194", "pascal-context-60", "--json").json
    assert found["unreachable"] == ["flower", "wood"]
    assert (found["dropped"], len(found["table"])) == ([], 194)
    ignored = run("labels", "map", "cityscapes-19", mine).out
    assert any("train" in line and "ignored" in line for line in ignored.splitlines())
    assert run("labels", "map", "cityscapes-19", mine).out == run("labels", "cityscapes-19", "--to", mine).out
    assert "Nothing is lost from kitti to cityscapes." in run("labels", "map", "kitti", "cityscapes").out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show"], "0 label spaces after show; `roadseg labels show SPACE`"),
        (["list", "voc-21"], "1 label spaces after list; `roadseg labels list`"),
        (["diff", "voc-21"], "`roadseg labels diff SPACE SPACE`"),
        (["map", "voc-21", "kitti", "--to", "kitti"], "--to needs a label space"),
        (["map", "voc-21", "kitty"], "unknown label space 'kitty'; did you mean kitti"),
        (["show", "missing.toml"], "missing.toml: cannot be read as a label space"),
    ],
)
def test_requests_that_are_none(run, arguments, words):
    result = run("labels", *arguments)
    assert (result.code, words in result.sentence) == (2, True), result.sentence
