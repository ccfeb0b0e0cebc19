import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from roadseg.data import open_source
from roadseg.labels import space
from roadseg.media import write_mask
from tests.reporting.samples import score

CAMVID = space("camvid-11")


@pytest.fixture
def saved(tmp_path, camvid):
    """A score of the fake data set that names its two test images."""
    records = open_source(str(camvid)).find("test")
    rows = [
        {
            "key": record.key,
            "image": str(record.image),
            "label": str(record.label),
            "miou": 0.1 * i,
            "accuracy": 0.5,
        }
        for i, record in enumerate(records)
    ]
    protocol = {"dataset": "camvid", "split": "test", "space": "camvid-11", "text": "camvid test"}
    path = tmp_path / "score.json"
    path.write_text(json.dumps(score(per_image=rows, data=str(camvid), protocol=protocol)))
    return path


def shown(html):
    """The examples in a page, and its classes."""
    return json.loads(re.search(r'id="data">(.*?)</script>', html.read_text(encoding="utf-8"))[1])


def change(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_score_alone_becomes_a_page(run, saved, tmp_path):
    result = run("report", saved, "-o", tmp_path / "r.html")
    assert result.code == 0
    assert result.out.startswith(f"{tmp_path / 'r.html'} (")
    assert "add --predictions DIR or --weights NAME" in result.sentence
    found = shown(tmp_path / "r.html")
    assert found["examples"] == []
    assert [item["name"] for item in found["classes"]] == list(CAMVID.names)


def test_pictures_by_weights(run, saved, weights, tmp_path):
    result = run("report", saved, "-o", tmp_path / "r.html", "--weights", weights, "--worst", 1, "--json")
    assert result.code == 0
    assert len(result.json["images"]) == 1
    example = shown(tmp_path / "r.html")["examples"][0]
    assert example["truth"].startswith(example["prediction"][:22])
    assert (example["width"], example["height"]) == (64, 48)
    assert result.json["bytes"] == (tmp_path / "r.html").stat().st_size


def test_pictures_by_predictions(run, saved, camvid, tmp_path):
    keys = [record.key for record in open_source(str(camvid)).find("test")]
    out = tmp_path / "out"
    for key in keys:
        write_mask(out / "labels" / f"{key}.png", np.zeros((48, 64), np.uint8))
    result = run("report", saved, "-o", tmp_path / "r.html", "--predictions", out, "--json")
    assert result.code == 0
    assert result.json["images"] == keys
    (out / "labels" / f"{keys[0]}.png").unlink()
    result = run("report", saved, "-o", tmp_path / "r.html", "--predictions", out, "--json")
    assert result.code == 1
    assert result.json["images"] == keys[1:]
    assert f"holds no prediction of {keys[0]}" in result.sentence
    # The same predictions in the ids of another label space.
    write_mask(out / "labels" / f"{keys[0]}.png", np.full((48, 64), 17, np.uint8))
    assert run("report", saved, "--predictions", out, "--quiet").code == 1
    write_mask(out / "labels" / f"{keys[0]}.png", np.full((48, 64), 11, np.uint8))
    assert run("report", saved, "--predictions", out, "--space", "camvid-12", "--quiet").code == 0


def test_predictions_of_other_pictures_are_told(run, saved, camvid, tmp_path):
    for record in open_source(str(camvid)).find("test"):
        write_mask(tmp_path / "out" / "labels" / f"{record.key}.png", np.zeros((48, 90), np.uint8))
    result = run("report", saved, "--predictions", tmp_path / "out", "--json")
    assert result.code == 1
    assert result.json["images"] == []
    assert "the image is 64 x 48 and a label map 90 x 48" in result.json["failed"][0]


def test_a_training_run(run, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    rows = [{"step": i, "loss": 1.0, "lr": 0.1, "val": score(per_image=None)} for i in (1, 2)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = run("report", folder, "-o", tmp_path / "r.html")
    assert (result.code, result.err) == (0, "")
    assert 'id="training"' in (tmp_path / "r.html").read_text(encoding="utf-8")
    for asked in (("--weights", "any"), ("--predictions", "any"), ("--worst", 3)):
        result = run("report", folder, "-o", tmp_path / "none.html", *asked)
        assert (result.code, (tmp_path / "none.html").exists()) == (2, False)
        assert f"{folder}: is a training run, which does not say which images" in result.sentence
        assert "roadseg evaluate --out" in result.sentence


def test_a_score_without_images_has_no_pictures(run, saved, tmp_path):
    change(saved, per_image=None)
    result = run("report", saved, "-o", tmp_path / "r.html", "--weights", "any")
    assert (result.code, result.sentence) == (
        0,
        "no pictures: the score does not say which images are the worst",
    )


def test_pictures_of_another_strategy_than_the_score_are_told(run, camvid, weights, tmp_path):
    score = tmp_path / "score.json"
    arguments = ("--data", camvid, "--weights", weights, "--out", score, "--quiet")
    for flags, words in (((), ""), (("--flip",), "the pictures are of whole image, single scale, no flip\n")):
        assert run("evaluate", *arguments, *flags).code == 0
        result = run("report", score, "-o", tmp_path / "r.html", "--weights", weights, "--worst", 1)
        assert (result.code, result.err.rpartition("; ")[2]) == (0, words)


def test_a_score_in_a_label_space_of_the_user(run, camvid, weights, tmp_path, monkeypatch):
    mine = tmp_path / "mine.toml"
    mine.write_text('name = "mine"\nparent = "camvid-11"\npick = ["road", "sky"]\n')
    score, page = tmp_path / "score.json", tmp_path / "r.html"
    assert (
        run("evaluate", "--data", camvid, "--weights", weights, "--to", mine, "--out", score, "--quiet").code
        == 0
    )
    monkeypatch.setattr("roadseg.labels.catalog._read", {})  # as in a process of its own
    arguments = ("report", score, "-o", page, "--weights", weights)
    result = run(*arguments)
    assert result.code == 2
    assert (
        f"{score}: is in label space mine, which does not come with roadseg; name its file" in result.sentence
    )
    assert run(*arguments, "--space", mine, "--quiet").code == 0
    found = shown(page)
    assert [item["name"] for item in found["classes"]] == ["road", "sky"]
    assert len(found["examples"]) == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--worst", "51"], "--worst 51 is not possible; give 0 to 50"),
        (["--predictions", "a", "--weights", "b"], "give --predictions or --weights, not both"),
        (["--weights", "nowhere.safetensors"], "nowhere.safetensors"),
        (["--weights", "x", "--data", "nowhere"], "nowhere"),
    ],
)
def test_says_what_does_not_go(run, saved, arguments, sentence):
    result = run("report", saved, *arguments)
    assert result.code == 2
    assert sentence in result.sentence
    assert result.out == ""


def test_says_what_a_score_lacks(run, saved, tmp_path):
    change(saved, protocol={"space": "camvid-11"})
    assert "does not say which split" in run("report", saved, "--weights", "x").sentence
    change(saved, data=None)
    assert "give it with --data" in run("report", saved, "--weights", "x").sentence
    assert "does not exist" in run("report", tmp_path / "none.json").sentence


def test_a_data_set_that_changed_is_told(run, saved, camvid, weights, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(camvid, moved)
    rows = json.loads(saved.read_text())["per_image"]
    change(saved, per_image=[{**rows[0], "key": "gone"}, rows[1]], data="nowhere")
    result = run("report", saved, "--weights", weights, "--data", moved, "--json")
    assert result.code == 1
    assert len(result.json["images"]) == 1
    assert "has no image gone; choose the data with --data" in result.sentence


def test_a_page_without_pictures_imports_no_torch(saved, tmp_path):
    code = (
        "import sys; from roadseg.cli import main;"
        f" code = main(['report', {str(saved)!r}, '-o', {str(tmp_path / 'r.html')!r}]);"
        " sys.exit('torch' in sys.modules or code)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
