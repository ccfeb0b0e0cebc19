"""The commands that make streets: data synth and demo."""

from pathlib import Path

import pytest
import torch

from roadseg.cli.data_synth import parse_size
from roadseg.data import open_source
from roadseg.errors import InputError
from roadseg.media import image_size, read_image
from roadseg.models import read_state


@pytest.mark.parametrize("layout", ["camvid", "cityscapes", "yaml"])
def test_synth_makes_a_data_set(run, layout):
    result = run("data", "synth", "streets", "--layout", layout, "--images", 3, "--size", "24x32", "--json")
    assert (result.code, result.err) == (0, "")
    assert result.json["rendered"] == 3
    source = open_source("streets/data.yaml" if layout == "yaml" else "streets")
    records = [record for split in result.json["splits"] for record in source.find(split)]
    assert len(records) == sum(result.json["splits"].values()) == 3
    assert {image_size(record.image) for record in records} == {(24, 32)}


def test_synth_goes_on_where_it_was_stopped(run):
    arguments = ("data", "synth", "streets", "--size", "24x32")
    assert run(*arguments, "--images", 1).code == 0
    again = run(*arguments, "--images", 2)
    assert again.code == 0
    assert again.out.startswith("1 rendered in ")
    assert "1 were there already" in again.out
    assert "roadseg data check streets" in again.out


def test_synth_interrupted(run, monkeypatch):
    def stop(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("roadseg.data.synth.write_dataset", stop)
    result = run("data", "synth", "streets")
    assert (result.code, result.sentence) == (130, "roadseg: interrupted; go on with the same command")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["streets", "--size", "24"], "--size is '24'; give HEIGHTxWIDTH"),
        (["streets", "--images", 0], "nothing to render"),
        (["full"], "full"),
    ],
)
def test_synth_requests_that_cannot_be_met(run, arguments, words):
    Path("full").mkdir()
    Path("full/letter.txt").write_text("dear")
    result = run("data", "synth", *arguments)
    assert result.code == 2
    assert words in result.sentence


@pytest.mark.parametrize("command", [["data", "synth", "streets"], ["demo", "-o", "streets"]])
def test_a_seed_below_zero_leaves_nothing_behind(run, command):
    result = run(*command, "--seed", -1)
    assert (result.code, result.sentence) == (2, "roadseg: error: -1 is no seed; give 0 or more")
    assert not Path("streets").exists()


@pytest.mark.parametrize("text", ["", "x", "24", "24x", "24x32x3", "-1x2", "24 x 32"])
def test_sizes_that_are_none(text):
    with pytest.raises(InputError, match="HEIGHTxWIDTH"):
        parse_size(text)


def test_demo_goes_the_whole_way(run, bundled, monkeypatch):
    monkeypatch.setattr("roadseg.cli.demo.SIZE", (24, 32))
    monkeypatch.setattr("roadseg.cli.demo.CROP", (16, 16))
    monkeypatch.setattr("roadseg.cli.demo.WORKERS", 0)
    result = run("demo", "--images", 6, "--steps", 2, "--json")
    assert result.code == 0
    assert result.err.startswith("starts from fast-scnn.camvid-roadseg.safetensors: ")
    found = result.json
    assert found["before"]["protocol"]["split"] == "test"
    assert found["after"]["protocol"] == found["before"]["protocol"]
    old, new = read_state(bundled).state, read_state(found["weights"]).state
    assert any(not torch.equal(value, new[key]) for key, value in old.items())
    tests = len(open_source("roadseg-demo/data").find("test"))
    height, width, _ = read_image(found["sheet"]).shape
    assert width >= 4 * 32 + 3 * 6
    assert height > tests * 24
    assert len(list(Path("roadseg-demo/overlay").iterdir())) == tests
    words = run("demo", "--images", 6, "--steps", 1)
    assert words.code == 0
    assert "look at roadseg-demo/demo.png" in words.out
