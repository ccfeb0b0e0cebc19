import json
from pathlib import Path

import numpy as np
import pytest
import torch

from roadseg.inference import load
from roadseg.labels import space
from roadseg.media import read_mask
from tests.cli.conftest import SIZE
from tests.fakes import fake_camvid, fake_cityscapes, save, stripes

pytestmark = pytest.mark.usefixtures("bundled")


def test_table_has_every_class_and_the_protocol(run, camvid):
    result = run("evaluate", "--data", camvid)
    assert (result.code, result.err) == (0, "")
    assert all(name in result.out for name in space("camvid-11").names)
    assert "mean IoU" in result.out
    assert (
        "protocol: camvid test: 2 images, camvid-11, at stored labels, whole image, single scale, no flip, void truth"
        " ignored, mean over classes present in the truth"
    ) in result.out


def test_json_is_the_score_of_the_predictions(run, camvid, weights):
    found = run("evaluate", "--data", camvid, "--split", "val", "--json").json
    predictor = load(weights)
    right = total = 0
    for label in sorted((camvid / "valannot").iterdir()):
        truth = read_mask(label)
        labels = predictor(camvid / "val" / label.name).labels
        known = truth != space("camvid-11").ignore
        right += int((labels == truth)[known].sum())
        total += int(known.sum())
    assert found["pixel_accuracy"] == pytest.approx(right / total)
    assert found["protocol"]["split"] == "val"
    assert sum(item["pixels"] for item in found["classes"].values()) == total


def test_void_as_false_positives_lowers_the_score(run, camvid):
    ignored = run("evaluate", "--data", camvid, "--json").json
    counted = run("evaluate", "--data", camvid, "--void", "false-positive", "--json").json
    assert counted["miou"] < ignored["miou"]
    assert counted["protocol"]["void"] == "false-positive"
    assert "counted as false positives" in counted["protocol"]["text"]


def test_out_saves_what_json_prints(run, camvid):
    result = run("evaluate", "--data", camvid, "--json", "--out", "scores/test.json")
    assert json.loads(Path("scores/test.json").read_text()) == result.json


def test_other_label_space(run, tmp_path):
    from roadseg.inference import WeightsCard, save_package
    from roadseg.models import build
    from roadseg.recipes import Preprocess

    torch.manual_seed(1)
    city = space("cityscapes-19")
    save_package(
        tmp_path / "city.safetensors",
        build("fast-scnn", city.num_classes),
        WeightsCard(model="fast-scnn", space=city, preprocess=Preprocess()),
    )
    root = fake_cityscapes(tmp_path / "cityscapes", size=SIZE)
    found = run(
        "evaluate", "--data", root, "--weights", tmp_path / "city.safetensors", "--to", "camvid-11", "--json"
    )
    assert found.code == 0
    assert found.json["protocol"]["space"] == "camvid-11"
    assert found.json["protocol"]["split"] == "val"  # the labels of test are not public
    assert set(found.json["classes"]) == set(space("camvid-11").names)


def test_unknown_label_id(run, tmp_path):
    root = fake_camvid(tmp_path / "camvid", size=SIZE)
    label = sorted((root / "testannot").iterdir())[0]
    save(label, stripes([0, 3, 77], SIZE))
    result = run("evaluate", "--data", root)
    assert result.code == 2
    assert result.sentence.startswith(f"roadseg: error: {label}: holds")
    assert "77" in result.sentence
    assert str(int((stripes([0, 3, 77], SIZE) == 77).sum())) in result.sentence


def test_unknown_label_id_in_a_loader_process(run, tmp_path):
    root = fake_camvid(tmp_path / "camvid", size=SIZE)
    label = sorted((root / "testannot").iterdir())[0]
    save(label, np.full(SIZE, 77, np.uint8))
    result = run("evaluate", "--data", root, "--workers", 1)
    assert result.code == 2
    assert result.sentence.startswith(f"roadseg: error: {label}: holds")


def test_missing_label(run, tmp_path):
    root = fake_camvid(tmp_path / "camvid", size=SIZE)
    label = sorted((root / "testannot").iterdir())[0]
    label.unlink()
    result = run("evaluate", "--data", root)
    assert result.code == 2
    assert "1 of 2 images of split 'test' have no label file" in result.sentence
    assert str(label) in result.sentence


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data", "nowhere"], "nowhere: does not exist"),
        (["--data", "CAMVID", "--split", "tset"], "has no split 'tset'"),
        (["--data", "CAMVID", "--to", "cityscape"], "unknown label space 'cityscape'"),
        (
            ["--data", "CAMVID", "--weights", "x.pth"],
            "x.pth: is neither a file nor the name of bundled weights",
        ),
    ],
)
def test_requests_that_cannot_be_met(run, camvid, arguments, words):
    result = run("evaluate", *(camvid if item == "CAMVID" else item for item in arguments))
    assert result.code == 2
    assert words in result.sentence


def test_data_is_required(run):
    result = run("evaluate")
    assert result.code == 2
    assert "--data" in result.err
