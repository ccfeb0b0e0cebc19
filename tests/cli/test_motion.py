import json

import pytest

from tests.videos import panned

SMALL = ("--crop", "64", "64", "--network.width", "0.05", "--batch-size", "1", "--data.val-frames", "1")


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return panned(tmp_path_factory.mktemp("videos"), {"train": 1, "val": 1}, frames=4)


def test_a_network_is_trained_resumed_and_scored(run, videos, tmp_path):
    train = ("motion", "train", "sdcnet2d-small.streets", "--data", videos, "-o", tmp_path / "run")
    options = (*SMALL, "--steps", "3", "--device", "cpu", "--json", "--quiet")
    first = run(*train, *options, "--max-steps", "1")
    assert (first.code, first.json["steps"], first.json["finished"]) == (0, 1, False)
    again = run(*train, *options)
    assert again.code == 2
    assert "--resume" in again.sentence
    whole = run(*train, *options, "--resume")
    assert (whole.code, whole.json["steps"], whole.json["finished"]) == (0, 3, True)
    assert whole.json["best_psnr"] > 10

    weights = whole.json["weights"]
    scored = run(
        "motion", "score", f"sdc:{weights}", "known", "--data", videos, "--frames", "1", "--json", "--quiet"
    )
    assert scored.code == 0
    scores = scored.json["scores"]
    assert len(scores) == 3
    assert scores["known"]["epe"] == 0
    assert scores["known"]["psnr"] > scores["copy"]["psnr"]
    (name,) = scores.keys() - {"copy", "known"}
    assert name.startswith("sdcnet2d:best.safetensors@")
    assert scores[name]["epe"] > 0


def test_a_table_shows_the_scores_beside_a_copy(run, videos):
    result = run("motion", "score", "copy", "--data", videos, "--split", "val")
    assert result.code == 0
    assert "PSNR" in result.out
    assert sum("copy" in line for line in result.out.splitlines()) == 1


def test_a_bad_frame_is_told_at_the_end(run, tmp_path):
    root = panned(tmp_path, {"val": 1}, frames=4)
    last = sorted(root.glob("sequences/val/*/images/*.png"))[-1]
    last.write_bytes(b"nothing")
    result = run("motion", "score", "known", "--data", root, "--json")
    assert result.code == 1
    assert last.name in result.sentence
    assert result.json["scores"]["copy"]["frames"] == 1


def test_a_dry_run_works_without_data(run, tmp_path):
    result = run("motion", "train", "sdcnet2d.cityscapes", "--dry-run")
    assert result.code == 1
    assert "172.21 M parameters" in result.out
    assert "FlowNet2 as published" in result.out
    assert "give them with --data" in result.out
    plan = json.loads(run("motion", "train", "sdcnet2d.cityscapes", "--dry-run", "--json").out)
    assert plan["recipe"]["schedule"]["epochs"] == [250, 450]


def test_a_dry_run_counts_what_is_there(run, videos, monkeypatch):
    result = run("motion", "train", "sdcnet2d-small.streets", "--data", videos, "--dry-run")
    assert result.code == 0
    assert "2 to train on" in result.out
    monkeypatch.setenv("RANK", "1")
    result = run("motion", "train", "sdcnet2d-small.streets", "--data", videos, "--dry-run")
    assert (result.code, result.out) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("train", "--data", "clips"), "name it first"),
        (("train", "sdcnet2d"), "there is no plan 'sdcnet2d'"),
        (("train", "tests.videos:PAN"), "gives a tuple, not a VideoPrediction"),
        (("score", "teleport", "--data", "."), "there is no motion 'teleport'"),
        (("score", "copy", "--data", ".", "--frames", "0"), "score at least one"),
        (("score", "copy", "--data", "."), "has no videos of split 'val'"),
    ],
)
def test_mistakes_are_told_in_a_sentence(run, arguments, said):
    result = run("motion", *arguments)
    assert result.code == 2
    assert said in result.sentence
