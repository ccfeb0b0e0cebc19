"""Decoding a data set once: data cache."""

from pathlib import Path

import pytest

from roadseg.data import RoadDataset, open_source


def test_cache_is_built_kept_verified_and_removed(run, camvid):
    arguments = ("data", "cache", "fast", "--data", camvid, "--split", "train+val", "--workers", 0)
    first = run(*arguments, "--json")
    assert (first.code, first.err) == (0, "")
    assert {key: first.json[key] for key in ("cache", "made", "kept", "remade")} == {
        "cache": "fast",
        "made": 10,
        "kept": 0,
        "remade": [],
    }
    assert len(RoadDataset(open_source(camvid), "val", cache="fast")) == 2
    again = run(*arguments)
    assert again.out.startswith("0 images decoded in ")
    assert "10 were there already" in again.out
    assert f"roadseg train NAME --data {camvid} --data.cache fast" in again.out

    entry = sorted(Path("fast/entries").iterdir())[0]
    entry.write_bytes(entry.read_bytes()[:-1] + b"\xee")
    verified = run(*arguments, "--verify")
    assert verified.sentence == f"{entry} was damaged or out of date and is made anew"
    assert verified.out.startswith("1 images decoded")

    removed = run("data", "cache", "fast", "--remove")
    assert removed.code == 0
    assert removed.out.startswith("10 images removed, ")
    assert not Path("fast").exists()


def test_cache_interrupted(run, camvid, monkeypatch):
    def stop(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("roadseg.data.cache.build_cache", stop)
    result = run("data", "cache", "fast", "--data", camvid)
    assert (result.code, result.sentence) == (130, "roadseg: interrupted; go on with the same command")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fast"], "no data set was given; name it with --data"),
        (["fast", "--data", "nowhere"], "nowhere: does not exist"),
        (["fast", "--remove"], "fast: is not a cache and stays as it is"),
        ([".", "--data", "{camvid}", "--workers", 0], "holds other files"),
        (["fast", "--data", "{camvid}", "--split", "training"], "has no split 'training'"),
    ],
)
def test_requests_that_cannot_be_met(run, camvid, arguments, words):
    Path("letter.txt").write_text("dear")
    result = run("data", "cache", *(str(item).format(camvid=camvid) for item in arguments))
    assert result.code == 2
    assert words in result.sentence
