import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from roadseg.data import open_source
from roadseg.labels import LabelSpace, space
from roadseg.media import read_mask
from tests.cli.conftest import SIZE
from tests.fakes import fake_cityscapes, picture, save
from tests.labeling.color_net import painted, saved_teacher

CAMVID = space("camvid-11")
TINY = (
    *("--augment.crop", 16, 24, "--augment.scale", 1, 1, "--batch-size", 4, "--steps", 2, "--epochs", 2),
    *("--workers", 0, "--device", "cpu", "-o", "run"),
)


@pytest.fixture(scope="module")
def colors(tmp_path_factory) -> Path:
    """A teacher that tells CamVid's classes by how red a pixel is."""
    return saved_teacher(tmp_path_factory.mktemp("teacher") / "colors.safetensors", CAMVID)


@pytest.fixture
def plans(tmp_path, monkeypatch) -> Path:
    """Recipes of a user with a tiny network: of pictures alone, and of coarse labels with boosted classes."""
    path = tmp_path / "plans.py"
    path.write_text(
        "import dataclasses\n"
        "from roadseg import recipes\n\n\n"
        "def changed(name):\n"
        "    model = recipes.Model(name='tests.tiny:tiny')\n"
        "    plan, loss = recipes.get(name), recipes.CrossEntropy()\n"
        "    aux = recipes.get('fast-scnn.camvid').aux\n"
        "    return dataclasses.replace(plan, model=model, loss=loss, aux=aux, name='mine', ema=0, on_fewer='keep')\n\n\n"
        "def student():\n"
        "    return changed('fast-scnn.camvid')\n\n\n"
        "def boosted():\n"
        "    return changed('hrnet-ocr-hms.cityscapes-sota')\n"
    )
    monkeypatch.delitem(sys.modules, "plans", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return path


@pytest.fixture
def painted_camvid(tmp_path) -> Path:
    """A data set that the teacher is right about where it is certain."""
    for split, count in {"train": 4, "val": 2}.items():
        for number in range(count):
            channels = np.broadcast_to((np.arange(SIZE[1]) * 10 // SIZE[1] + number) % 10, SIZE)
            doubt = np.broadcast_to(np.where(np.arange(SIZE[0]) < 12, 9, 0)[:, None], SIZE)
            save(tmp_path / "data" / split / f"{split}{number}.png", painted(channels, doubt))
            truth = np.where(doubt > 0, (channels + 5) % 10, channels)
            save(tmp_path / "data" / f"{split}annot" / f"{split}{number}.png", truth.astype(np.uint8))
    return tmp_path / "data"


def test_a_folder_of_photos(run, weights, tmp_path):
    for name in ("1.png", "2.jpg"):
        save(tmp_path / "photos" / name, picture(name, SIZE))
    result = run("autolabel", tmp_path / "photos", "--weights", weights, "--threshold", 0.2, "--preview", 1)
    assert result.code == 0, result.err
    assert result.out.startswith("2 of 2 pictures labeled in ")
    assert "of all pixels are trusted" in result.out
    assert "--data.parts autolabels/data.yaml@train@" in result.out
    assert open_source("autolabels").find("train")[0].image == tmp_path / "photos" / "1.png"
    assert Path("autolabels/preview.jpg").is_file()
    again = run("autolabel", tmp_path / "photos", "--weights", weights, "--threshold", 0.2)
    assert "0 of 2 pictures labeled" in again.out
    assert "2 were there already" in again.out


def test_results_among_the_photos_are_not_labeled(run, weights, tmp_path):
    save(tmp_path / "photos" / "1.png", picture("1", SIZE))
    out = tmp_path / "photos" / "pseudo"
    for _ in range(2):
        found = run("autolabel", tmp_path / "photos", "-o", out, "--weights", weights, "--json").json
        assert found["pictures"] == 1


def test_calibrated_thresholds_reach_their_precision(run, colors, painted_camvid):
    command = (
        *("autolabel", "--data", painted_camvid, "-o", "out", "--weights", colors, "--trust-code", "--json"),
        *("--threshold", "calibrated:0.95"),
    )
    result = run(*command)
    assert result.code == 0, result.err
    found = result.json
    assert found["kept_accuracy"] == 1
    assert found["accuracy"] == found["kept"] == 0.75
    assert found["kept_miou"] > found["miou"]
    text = Path("out/thresholds.toml").read_text()
    assert text.startswith("# Confidence from which on 95.0% of a class's labels are right, by class")
    assert "# 100.0% right, 75.0% kept" in text
    counts = Path("out/calibration.json").stat().st_mtime_ns
    assert run(*command).json["skipped"] == 4
    assert Path("out/calibration.json").stat().st_mtime_ns == counts
    given = run(*command[:4], "other", *command[5:8], "--json", "--threshold", "out/thresholds.toml")
    assert given.json["kept"] == 0.75


def test_data_that_changed_is_calibrated_on_anew(run, colors, painted_camvid):
    (painted_camvid / "val.yaml").write_text("train: train\nval: val\nmasks_dir: masks\nspace: camvid-11\n")
    (painted_camvid / "masks").mkdir()
    for split in ("train", "val"):
        (painted_camvid / f"{split}annot").rename(painted_camvid / "masks" / split)
    command = (
        *("autolabel", painted_camvid / "train", "--weights", colors, "--trust-code", "-o", "out"),
        *("--threshold", "calibrated:0.95", "--calibrate-on", f"{painted_camvid}/val.yaml@val"),
    )
    assert run(*command).code == 0
    before = Path("out/calibration.json").read_text()
    (painted_camvid / "val.yaml").write_text(
        "train: train\nval: val\nmasks_dir: masks\nspace: camvid-11\nlabel_mapping: {0: 1, 1: 0}\n"
    )
    run(*command)
    mapped = Path("out/calibration.json").read_text()
    assert json.loads(mapped)["right"] != json.loads(before)["right"]
    save(painted_camvid / "masks" / "val" / "val0.png", np.full(SIZE, 3, dtype=np.uint8))
    run(*command)
    assert json.loads(Path("out/calibration.json").read_text())["right"] != json.loads(mapped)["right"]


def test_data_may_be_in_a_folder_whose_name_is_not_utf_8(run, colors, painted_camvid):
    strange = painted_camvid.with_name(os.fsdecode(b"stra\xdfe"))
    try:
        painted_camvid.rename(strange)
    except OSError:
        pytest.skip("this file system has no such names")
    result = run(
        *("autolabel", "--data", strange, "-o", "out", "--weights", colors, "--trust-code"),
        *("--threshold", "calibrated:0.95"),
    )
    assert result.code == 0, result.err
    assert r"stra\udcdfe" in Path("out/thresholds.toml").read_text(encoding="utf-8")


def test_other_settings_are_refused(run, weights, photo):
    command = ("autolabel", photo, "--weights", weights, "-o", "out")
    assert run(*command, "--border", 1).code == 0
    other = run(*command, "--border", 2)
    assert other.code == 2
    assert (
        "out: holds labels of other settings: border 2 instead of 1; choose another folder" in other.sentence
    )


def test_a_damaged_picture_does_not_stop_the_others(run, weights, tmp_path):
    save(tmp_path / "photos" / "1.png", picture("1", SIZE))
    (tmp_path / "photos" / "2.png").write_bytes(b"")
    result = run("autolabel", tmp_path / "photos", "--weights", weights, "--threshold", 0)
    assert result.code == 1
    assert "2.png" in result.sentence
    assert "1 could not be labeled" in result.out


def test_classes_without_a_trusted_pixel_are_named(run, colors, painted_camvid, tmp_path):
    (tmp_path / "t.toml").write_text("default = 0.5\n[thresholds]\nsky = inf\n")
    result = run(
        *("autolabel", "--data", painted_camvid, "--weights", colors, "--trust-code"),
        *("--threshold", tmp_path / "t.toml"),
    )
    assert result.code == 0
    lines = result.err.splitlines()
    assert "warning: no pixel of sky is trusted: the threshold is inf" in lines


def test_two_networks(run, weights, colors, painted_camvid):
    found = run(
        *("autolabel", "--data", painted_camvid, "--weights", weights, colors, "--trust-code", "--json"),
        *("--threshold", 0),
    ).json
    assert 0 < found["disputed"] < 1
    assert found["kept"] == pytest.approx(1 - found["disputed"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "no pictures were given"),
        (("a.png", "--data", "x"), "give either pictures or --data"),
        (("a.png",), "no network was given"),
        (("a.png", "--weights", "w", "--merge", "car"), "--merge needs stored labels"),
        (("a.png", "--weights", "w", "--split", "test"), "--split needs a data set; name it with --data"),
        (("a.png", "--weights", "w", "--calibrate-on", "x"), "needs no data to calibrate on"),
    ],
)
def test_incomplete_requests(run, arguments, sentence):
    result = run("autolabel", *arguments)
    assert result.code == 2
    assert sentence in result.sentence


def test_unusable_thresholds(run, weights, photo):
    for threshold, sentence in {
        "calibrated:2": "'2' is no share of right labels",
        "calibrated:0.9": "there is no labeled data to calibrate on",
        "7": "the threshold is 7.0",
        "none.toml": "cannot be read as a file of thresholds",
    }.items():
        result = run("autolabel", photo, "--weights", weights, "--threshold", threshold)
        assert result.code == 2
        assert sentence in result.sentence


def test_a_network_of_foreign_classes_is_refused(run, tmp_path, camvid):
    fruit = LabelSpace.from_names(("apple", "pear"), name="fruit")
    path = saved_teacher(tmp_path / "fruit.safetensors", fruit)
    result = run("autolabel", "--data", camvid, "--weights", path, "--trust-code")
    assert result.code == 2
    assert "predicts label space fruit, which no map leads from to camvid-11" in result.sentence


def test_a_student_trains_on_a_part_and_on_labels_of_the_rest(run, colors, painted_camvid, plans):
    assert run("data", "subset", painted_camvid, "--share", 0.5, "-o", "half.yaml", "--json").json[
        "splits"
    ] == {
        "train": 2,
        "train-rest": 2,
    }
    made = run(
        *("autolabel", "--data", "half.yaml", "--split", "train-rest", "-o", "pseudo"),
        *("--weights", colors, "--trust-code", "--json"),
    ).json
    assert made["done"] == 2
    result = run(
        *("train", f"{plans}:student", "--data", "half.yaml", "--data.train", "train", "--data.val", "val"),
        *("--data.parts", f"{made['data']}@train@", *TINY),
    )
    assert result.code == 0, result.err
    plan = json.loads(Path("run/run.json").read_text())["recipe"]["data"]
    assert plan["parts"] == [f"{made['data']}@train@"]


def test_coarse_labels_are_replaced_for_boosted_sampling(run, tmp_path, plans):
    root = fake_cityscapes(tmp_path / "cityscapes", size=SIZE)
    cityscapes = space("cityscapes-19")
    path = saved_teacher(tmp_path / "teacher.safetensors", cityscapes, [7.0 * n for n in range(19)])
    made = run(
        *("autolabel", "--data", root, "-o", "pseudo", "--weights", path, "--trust-code", "--json"),
        *("--threshold", 0.2, "--merge", "truck"),
    )
    assert made.code == 0, made.err
    assert made.json["done"] == 1
    stored = np.unique(read_mask(next(Path("pseudo/labels").rglob("*_000019.png"))))
    assert set(stored) <= {*space("cityscapes").ids}
    result = run(
        *("train", f"{plans}:boosted", "--data", root, "--data.autolabels.root", "pseudo/labels"),
        *("--data.autolabels.threshold", "pseudo/thresholds.toml", *TINY),
    )
    assert result.code == 0, result.err
    recipe = json.loads(Path("run/run.json").read_text())["recipe"]
    assert recipe["sampling"]["boost"]
    assert recipe["data"]["autolabels"]["threshold"] == "pseudo/thresholds.toml"


def test_the_data_set_itself_is_not_filled(run, painted_camvid, colors):
    before = sorted(painted_camvid.iterdir())
    result = run(
        "autolabel", "--data", painted_camvid, "-o", painted_camvid, "--weights", colors, "--device", "cpu"
    )
    assert result.code == 2
    assert "is the data set itself" in result.err
    assert sorted(painted_camvid.iterdir()) == before
