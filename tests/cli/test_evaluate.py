import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from roadseg.cli.loading import open_predictor
from roadseg.errors import OutputError
from roadseg.inference import file_sha256, load
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


def other_weights(path, label_space, seed=1):
    from roadseg.inference import WeightsCard, save_package
    from roadseg.models import build
    from roadseg.recipes import Preprocess

    torch.manual_seed(seed)
    card = WeightsCard(model="fast-scnn", space=label_space, preprocess=Preprocess())
    save_package(path, build("fast-scnn", label_space.num_classes), card)
    return path


@pytest.fixture(scope="module")
def cityscapes(tmp_path_factory):
    """Frames of which those of val have files of objects, and weights for them."""
    root = fake_cityscapes(tmp_path_factory.mktemp("data") / "cityscapes", size=SIZE)
    for label in root.glob("gtFine/val/*/*_labelIds.png"):
        ids = read_mask(label).astype(np.uint16)
        objects = np.where(ids >= 24, ids * 1000 + 1, ids)
        save(label.with_name(label.name.replace("labelIds", "instanceIds")), objects)
    return root, other_weights(root.parent / "city.safetensors", space("cityscapes-19"))


def test_a_score_says_all_about_itself(run, camvid, weights):
    found = run("evaluate", "--data", camvid, "--weights", weights, "--json").json
    assert found["weights_sha256"] == file_sha256(weights)
    assert found["confusion"]["names"] == list(space("camvid-11").names)
    counts = np.array(found["confusion"]["counts"])
    assert counts.shape == (12, 12)
    assert counts[:-1].sum() == sum(item["pixels"] for item in found["classes"].values())
    assert found["interval"]["low"] <= found["miou"] <= found["interval"]["high"]
    assert found["protocol"]["images"] == 2
    assert found["protocol"]["strategy"] == "whole image, single scale, no flip"
    assert "categories" not in found  # the classes of CamVid form no groups
    assert "iiou" not in found
    rows = found["per_image"]
    assert [Path(row["image"]).parent.name for row in rows] == ["test", "test"]
    assert [Path(row["label"]).parent.name for row in rows] == ["testannot", "testannot"]
    assert sum(row["pixels"] for row in rows) == counts[:-1].sum()


def test_cityscapes_has_groups_and_objects(run, cityscapes):
    root, weights = cityscapes
    found = run("evaluate", "--data", root, "--weights", weights, "--json").json
    assert set(found["categories"]) == {"flat", "construction", "object", "nature", "sky", "human", "vehicle"}
    assert found["categories"]["flat"]["iiou"] is None
    assert found["iiou"] is not None
    assert found["classes"]["road"]["iiou"] is None
    assert 0 <= found["category_miou"] <= 1
    table = run("evaluate", "--data", root, "--weights", weights).out
    assert "iIoU" in table
    assert "group vehicle" in table
    assert "worst images" in table


def test_outlines_and_calibration_on_request(run, camvid):
    arguments = ("evaluate", "--data", camvid, "--boundary", "--trimap", "--calibration")
    found = run(*arguments, "--json").json
    assert found["boundary"]["radius_px"]
    assert "mean" in found["boundary"]["f"]
    assert [row["width"] for row in found["trimap"]] == list(range(1, 21))
    assert found["calibration"]["ece"] >= 0
    text = run(*arguments).out
    assert "boundary: mean F" in text
    assert "trimap: mIoU within 1 px" in text
    assert "calibration: error (ECE)" in text


def test_worst_images_are_listed_worst_first(run, camvid):
    found = run("evaluate", "--data", camvid, "--split", "train", "--json").json["per_image"]
    order = [row["key"] for row in sorted(found, key=lambda row: row["miou"])]
    lines = run("evaluate", "--data", camvid, "--split", "train", "--worst", 3).out.splitlines()
    listed = [key for line in lines for key in order if key in line]
    assert listed == order[:3]
    assert "worst images" not in run("evaluate", "--data", camvid, "--worst", 0).out


def test_excluded_and_absent_classes(run, camvid):
    plain = run("evaluate", "--data", camvid, "--json").json
    found = run("evaluate", "--data", camvid, "--exclude", "sky", "road", "--absent", "zero", "--json").json
    kept = [item["iou"] for name, item in found["classes"].items() if name not in ("sky", "road")]
    assert found["miou"] == pytest.approx(sum(kept) / len(kept))
    assert found["pixel_accuracy"] == plain["pixel_accuracy"]
    assert found["protocol"]["excluded"] == ["sky", "road"]
    assert found["protocol"]["text"].endswith("mean over all classes, absent ones as 0 without sky, road")


def test_labels_without_truth_give_no_score_and_no_fault(run, tmp_path):
    root = fake_camvid(tmp_path / "camvid", size=SIZE)
    for label in (root / "testannot").iterdir():
        save(label, np.full(SIZE, 11, np.uint8))
    arguments = ("evaluate", "--data", root, "--boundary", "--trimap", "--calibration")
    found = run(*arguments, "--json")
    assert (found.code, found.json["miou"], "NaN" in found.out) == (0, None, False)
    assert "interval" not in found.json
    assert "calibration: no pixel has a truth" in run(*arguments).out


def test_comparison_with_an_earlier_score(run, camvid, tmp_path):
    other = other_weights(tmp_path / "other.safetensors", space("camvid-11"), seed=3)
    first = run("evaluate", "--data", camvid, "--split", "train", "--json", "--out", "first.json").json
    found = run(
        *("evaluate", "--data", camvid, "--split", "train", "--json", "--weights", other),
        *("--compare", "first.json"),
    ).json
    assert found["compare"]["with"] == "first.json"
    assert found["compare"]["miou"] == pytest.approx(found["miou"] - first["miou"])
    assert (
        found["compare"]["interval"]["low"]
        <= found["compare"]["miou"]
        <= found["compare"]["interval"]["high"]
    )
    same = run("evaluate", "--data", camvid, "--split", "train", "--compare", "first.json")
    assert (same.code, same.err) == (0, "")
    assert "against first.json: mIoU +0.00 points" in same.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--void", "false-positive"], "test.json: was computed with void 'ignored', not 'false-positive'"),
        (["--absent", "zero"], "test.json: was computed with absent"),
        (["--exclude", "sky"], "test.json: was computed with excluded"),
        (["--split", "val"], "test.json: was computed with split 'test', not 'val'"),
        (["--to", "camvid-12"], "test.json: was computed with space"),
        (["--data", "more"], "test.json: was computed on other images (2, not 3"),
        (["--out", "folder"], "folder: cannot be written: there is a folder of that name"),
        (["--out", "."], ".: cannot be written: there is a folder of that name"),
        (["--out", "test.json/new.json"], "new.json: cannot be written: a part of its path is a file"),
    ],
)
def test_what_cannot_end_well_does_not_begin(run, camvid, monkeypatch, tmp_path, arguments, words):
    fake_camvid(Path("more"), size=SIZE, splits={"train": 1, "val": 1, "test": 3})
    assert run("evaluate", "--data", camvid, "--out", "test.json").code == 0
    Path("folder").mkdir()
    before = sorted(Path().rglob("*"))
    monkeypatch.setattr("roadseg.inference.examination.examine", lambda *_, **__: pytest.fail("it began"))
    result = run("evaluate", "--data", camvid, "--compare", "test.json", *arguments)
    assert result.code == 2
    assert words in result.sentence
    assert sorted(Path().rglob("*")) == before


def test_one_image_is_not_compared(run, tmp_path):
    root = fake_camvid(tmp_path / "camvid", size=SIZE, splits={"train": 1, "val": 1, "test": 1})
    assert run("evaluate", "--data", root, "--out", "one.json").code == 0
    result = run("evaluate", "--data", root, "--compare", "one.json", "--out", "two.json")
    assert result.code == 2
    assert "one.json: is of one image" in result.sentence


def test_a_comparison_that_fails_at_the_end_keeps_the_scores(run, tmp_path):
    root = fake_camvid(tmp_path / "camvid", size=SIZE)
    for label in (root / "testannot").iterdir():
        save(label, np.full(SIZE, 11, np.uint8))
    arguments = ("evaluate", "--data", root, "--json", "--out")
    assert run(*arguments, "first.json").code == 0
    result = run(*arguments, "second.json", "--compare", "first.json")
    assert result.code == 2
    assert "there is no score" in result.sentence
    assert json.loads(Path("second.json").read_text()) == result.json
    assert Path("second.images.npz").is_file()


def test_a_score_that_cannot_be_saved_at_the_end_is_printed(run, camvid, monkeypatch):
    def fail(path, _data):
        raise OutputError("cannot be written: the disk is full", where=path)

    monkeypatch.setattr("roadseg.media.write_json", fail)
    result = run("evaluate", "--data", camvid, "--json", "--out", "test.json")
    assert (result.code, "the disk is full" in result.sentence) == (2, True)
    assert result.json["protocol"]["dataset"] == "camvid"


def test_the_digest_is_of_the_weights_that_were_used(run, camvid, weights, monkeypatch, tmp_path):
    mine = Path(shutil.copy(weights, tmp_path / "mine.safetensors"))
    used = file_sha256(mine)
    monkeypatch.setattr("roadseg.cli.evaluate.open_predictor", _replaced(mine))
    assert run("evaluate", "--data", camvid, "--weights", mine, "--json").json["weights_sha256"] == used


def _replaced(path):
    """Open weights, and put others in their place."""

    def opened(*arguments):
        predictor = open_predictor(*arguments)
        other_weights(path, space("camvid-11"), seed=5)
        return predictor

    return opened


@pytest.mark.skipif(sys.platform != "linux", reason="needs names that are no text")
def test_names_of_files_that_are_no_utf8(run, camvid, tmp_path):
    root = Path(shutil.copytree(camvid, tmp_path / "odd"))
    name = sorted((root / "test").iterdir())[0].name
    for folder in (root / "test", root / "testannot"):
        (folder / name).rename(folder / "stra\udcdfe.png")
    result = run("evaluate", "--data", root, "--json", "--out", "odd.json")
    assert (result.code, result.err) == (0, "")
    assert "stra\udcdfe" in {Path(row["image"]).stem for row in result.json["per_image"]}
    assert json.loads(Path("odd.json").read_text()) == result.json
    again = run("evaluate", "--data", root, "--compare", "odd.json")
    assert (again.code, again.err) == (0, "")
    assert "stra?e" in again.out
    assert run("report", "odd.json", "-o", "odd.html", "--quiet").code == 0


def test_out_saves_counts_per_image(run, camvid):
    from roadseg.metrics import ImageCounts

    found = run("evaluate", "--data", camvid, "--json", "--out", "scores/test.json").json
    counts = ImageCounts.load("scores/test.images.npz")
    assert counts.keys == [row["key"] for row in found["per_image"]]
    assert sorted(path.name for path in Path("scores").iterdir()) == ["test.images.npz", "test.json"]


def test_sums_of_scores_reach_another_label_space(run, cityscapes):
    root, weights = cityscapes
    arguments = ("evaluate", "--data", root, "--weights", weights, "--to", "camvid-11", "--json")
    by_label = run(*arguments).json
    by_score = run(*arguments, "--translate", "scores").json
    assert "summed to camvid-11" in by_score["protocol"]["strategy"]
    assert "summed" not in by_label["protocol"]["strategy"]
    # A dropped class has no label in the target; by scores, every pixel gets one.
    assert np.array(by_score["confusion"]["counts"])[:-1, -1].sum() == 0


def test_quality_is_in_the_protocol_and_its_cost_on_stderr(run, camvid):
    result = run("evaluate", "--data", camvid, "--flip", "--json")
    assert "with flip" in result.json["protocol"]["strategy"]
    assert "2 passes" in result.sentence


def test_a_relabeled_model_on_the_original_labels(run, camvid, tmp_path):
    before = fake_camvid(tmp_path / "before", size=SIZE)
    for label in (before / "testannot").iterdir():
        mask = read_mask(label)
        save(label, np.where(mask == 3, 4, mask).astype(np.uint8))
    found = run("evaluate", "--data", camvid, "--original", before, "--json").json
    assert found["protocol"]["relabeled"]
    assert found["classes"]["road"]["pixels"] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--exclude", "tram"], "has no class 'tram'"),
        (["--compare", "nowhere.json"], "nowhere.json: does not exist; give a score saved by --out"),
        (["--compare", "text.json"], "text.json: is no score"),
        (["--compare", "list.json"], "list.json: is no score"),
        (["--compare", "alone.json"], "alone.images.npz: does not exist; `roadseg evaluate --out` writes it"),
        (["--replicates", "-1"], "--replicates and --worst count things"),
        (["--compare", "val.json", "--replicates", "0"], "a comparison needs an interval"),
        (["--compare", "val.json"], "val.json: was computed with split 'val', not 'test'"),
        (["--original", "nowhere"], "nowhere: does not exist"),
        (["--weights", "fruits.safetensors"], "fruits.safetensors: predicts label space fruits"),
        (["--weights", "city.safetensors", "--calibration"], "for cityscapes-19, not for camvid-11"),
        (["--scales", "a,b"], "'a,b' are no scales"),
    ],
)
def test_wrong_requests_end_in_one_sentence(run, camvid, arguments, words):
    from roadseg.labels import LabelSpace

    Path("text.json").write_text("no score")
    Path("list.json").write_text("[1]")
    Path("alone.json").write_text('{"protocol": {"dataset": "camvid", "split": "test"}}')
    if "val.json" in arguments:
        assert run("evaluate", "--data", camvid, "--split", "val", "--out", "val.json").code == 0
    if "fruits.safetensors" in arguments:
        other_weights("fruits.safetensors", LabelSpace.from_names(["apple", "pear"], name="fruits"))
    if "city.safetensors" in arguments:
        other_weights("city.safetensors", space("cityscapes-19"))
    result = run("evaluate", "--data", camvid, *arguments)
    assert result.code == 2
    assert words in result.sentence


def test_a_label_of_another_size_is_one_sentence(run, tmp_path):
    root = fake_camvid(tmp_path / "camvid", size=SIZE)
    label = sorted((root / "testannot").iterdir())[0]
    save(label, stripes([0, 1], (12, 16)))
    result = run("evaluate", "--data", root)
    assert result.code == 2
    assert "is 16x12 but its image" in result.sentence


def test_two_processes_score_as_one(run, tmp_path, weights):
    """Under torchrun: an odd number of images, none twice, and one report."""
    root = fake_camvid(tmp_path / "camvid", size=SIZE, splits={"train": 1, "val": 1, "test": 3})
    alone = run("evaluate", "--data", root, "--weights", weights, "--json").json
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "roadseg", "evaluate", "--data", str(root), "--weights", str(weights), "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [*command, "--device", "cpu"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    together = json.loads(done.stdout)
    for found in (alone, together):
        found.pop("seconds")
        found.pop("device")
    assert together == alone
