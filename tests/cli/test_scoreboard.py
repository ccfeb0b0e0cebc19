import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from roadseg.inference import MultiScale, WeightsCard, load, save_package
from roadseg.inference.quality import mseg_protocol
from roadseg.inference.strategies import view_sizes
from roadseg.labels import label_map, space
from roadseg.media import read_mask
from roadseg.metrics import Confusion, Protocol, Scores
from roadseg.models import DEFAULT_WEIGHTS, build
from roadseg.recipes import Preprocess
from tests.cli.conftest import SIZE
from tests.fakes import fake_camvid, fake_kitti, save

FAST = ("--base", 32, 48, "--window", 33, "--split", "val", "train")


def make_weights(path: Path, name: str, seed: int) -> Path:
    torch.manual_seed(seed)
    target = space(name)
    card = WeightsCard(model="fast-scnn", space=target, preprocess=Preprocess())
    save_package(path, build("fast-scnn", target.num_classes), card)
    return path


@pytest.fixture(scope="module")
def universal(tmp_path_factory):
    folder = tmp_path_factory.mktemp("universal")
    return [make_weights(folder / f"{name}.safetensors", "mseg-194", seed) for seed, name in enumerate("ab")]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """One image each is enough to tell protocols apart."""
    root = tmp_path_factory.mktemp("data")
    camvid = fake_camvid(root / "camvid", size=SIZE, splits={"train": 1, "val": 2, "test": 1})
    return camvid, fake_kitti(root / "kitti", count=2, size=SIZE)


def by_hand(weights, root, base, *, to, absent="zero", excluded=()):
    """The mean IoU of CamVid's two images, without any of the command's own code."""
    predictor = load(weights)
    own = predictor.space
    sums = label_map(own, space(to)) if to else None
    predictor.strategy = mseg_protocol(base, window=33, to=sums)
    target = space(to) if to else own
    confusion = Confusion(target)
    for label in sorted((root / "valannot").iterdir()):
        truth = read_mask(label)
        if not to:
            truth = label_map("camvid-11", own).relabel(truth)
        confusion.update(truth, predictor(root / "val" / label.name).labels)
    return Scores.from_confusion(confusion, Protocol(absent=absent, excluded=tuple(excluded))).miou


def test_every_network_on_every_data_set_at_its_best_size(run, universal, data):
    result = run("scoreboard", *universal, "--data", *data, *FAST, "--json")
    assert result.code == 0, result.err
    found = result.json
    assert found["columns"] == ["camvid", "kitti"]
    assert [row["name"] for row in found["rows"]] == ["a", "b"]
    cell = found["rows"][0]["scores"][0]
    for base in (32, 48):
        assert cell["by_base"][str(base)] == pytest.approx(
            by_hand(universal[0], data[0], base, to="camvid-11")
        )
    assert cell["miou"] == max(cell["by_base"].values())
    assert cell["by_base"][str(cell["base"])] == cell["miou"]
    scores = [one["miou"] for one in found["rows"][1]["scores"]]
    assert found["rows"][1]["means"]["arithmetic"] == pytest.approx(sum(scores) / 2)
    protocols = [score["protocol"] for score in found["scores"] if score["data"] == "camvid"]
    assert {p["split"] for p in protocols} == {"val"}
    assert {p["absent"] for p in protocols} == {"zero"}
    assert "summed to camvid-11" in protocols[0]["strategy"]
    assert "scales 1 of short side 32, mean probabilities" in protocols[0]["strategy"]
    assert len(found["scores"]) == 8
    assert found["failed"] == []


def test_nothing_is_computed_twice(run, universal, data, monkeypatch):
    from roadseg.inference import examination

    arguments = ("scoreboard", universal[0], "--data", *data, *FAST)
    first = run(*arguments, "--json")
    assert "4 scores computed, 0 found" in first.err
    counted = []
    monkeypatch.setattr(examination, "judge", lambda *_, **__: counted.append(1) or iter(()))
    again = run(*arguments, "--json")
    assert "0 scores computed, 4 found in scoreboard" in again.err
    assert again.json == first.json
    assert counted == []


def test_a_run_goes_on_where_it_was_interrupted(run, universal, data, monkeypatch):
    from roadseg.inference import examination

    judge, calls = examination.judge, []

    def interrupted(*arguments, **more):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return judge(*arguments, **more)

    monkeypatch.setattr(examination, "judge", interrupted)
    arguments = ("scoreboard", universal[0], "--data", *data, *FAST)
    stopped = run(*arguments)
    assert stopped.code == 130
    assert "the same command goes on from there" in stopped.err
    done = sorted(Path("scoreboard").glob("*/score.json"))
    assert len(done) == 2
    done[0].write_text(done[0].read_text()[:100])  # as a lost disk leaves it
    result = run(*arguments)
    assert result.code == 0
    assert "3 scores computed, 1 found" in result.err


def test_a_score_is_kept_by_its_content(run, universal, data, tmp_path):
    root = fake_camvid(tmp_path / "copy", size=SIZE, splits={"train": 1, "val": 2, "test": 1})
    small = ("--base", 32, "--window", 33)
    assert "1 scores computed" in run("scoreboard", universal[0], "--data", data[0], *small).err
    moved = run("scoreboard", f"other={universal[0]}", "--data", f"c={root}", *small)
    assert "1 scores computed" in moved.err  # another name of row and column is another folder
    assert "0 scores computed" in run("scoreboard", universal[0], "--data", root, *small).err
    assert "1 scores computed" in run("scoreboard", universal[0], "--data", root, *small, "--flip").err
    for label in (root / "valannot").iterdir():
        save(label, np.full(SIZE, 3, np.uint8))
    assert "1 scores computed" in run("scoreboard", universal[0], "--data", root, *small).err


def test_one_broken_combination_does_not_stop_the_rest(run, universal, data, tmp_path):
    broken = fake_camvid(tmp_path / "broken", size=SIZE, splits={"train": 1, "val": 1, "test": 1})
    save(next((broken / "valannot").iterdir()), np.full(SIZE, 77, np.uint8))
    lost = tmp_path / "lost.safetensors"
    lost.write_bytes(b"no weights")
    result = run(
        *("scoreboard", lost, universal[0], "--data", f"bad={broken}", data[0], tmp_path / "nowhere"),
        *("--base", 32, "--window", 33, "-o", "table.md"),
    )
    assert result.code == 1
    errors = [line for line in result.err.splitlines() if line.startswith("roadseg: error")]
    assert len(errors) == 3
    assert "nowhere: does not exist" in errors[0]
    assert "lost: " in errors[1]
    assert "a on bad at 32 pixels: " in errors[2]
    assert "77" in errors[2]
    rows = Path("table.md").read_text().splitlines()
    assert rows[2].startswith("| lost | - | - |")
    assert rows[3].startswith("| a | - | ")
    assert rows[3].endswith("| - | - | - |")
    assert run("scoreboard", universal[0], "--data", data[0], "--base", 32, "--window", 33).code == 0


def test_training_sets_are_scored_in_the_universal_classes(run, universal, data):
    found = run(
        *("scoreboard", universal[0], "--data", data[0], "--base", 32, "--window", 33),
        *("--regime", "training", "--json"),
    ).json
    own = space("mseg-194")
    reached = label_map("camvid-11", own).matrix.any(axis=1)
    excluded = [name for name, known in zip(own.names, reached, strict=True) if not known]
    assert 0 < len(excluded) < 194
    score = found["scores"][0]
    assert score["protocol"]["space"] == "mseg-194"
    assert score["protocol"]["excluded"] == excluded
    assert score["miou"] == pytest.approx(by_hand(universal[0], data[0], 32, to="", excluded=excluded))


def test_a_relabeled_model_on_the_original_labels(run, universal, data, tmp_path):
    relabeled = fake_camvid(tmp_path / "relabeled", size=SIZE, splits={"train": 1, "val": 2, "test": 1})
    for label in (relabeled / "valannot").iterdir():
        mask = read_mask(label)
        save(label, np.where(mask == 3, 4, mask).astype(np.uint8))
    found = run(
        *("scoreboard", universal[0], "--data", f"c={relabeled}", "--original", f"c={data[0]}"),
        *("--base", 32, "--window", 33, "--regime", "training", "--json"),
    ).json
    (score,) = found["scores"]
    assert score["protocol"]["relabeled"]
    kept = json.loads(next(Path("scoreboard").glob("*/score.json")).read_text())
    assert kept["classes"]["road"]["pixels"] > 0  # of the original labels


def test_oracles_fill_the_data_sets_that_they_know(run, universal, data, tmp_path):
    camvid = make_weights(tmp_path / "camvid.safetensors", "camvid-11", 5)
    kitti = make_weights(tmp_path / "kitti.safetensors", "cityscapes-19", 6)
    found = run(
        *("scoreboard", camvid, kitti, universal[0], "--data", *data, "--regime", "oracle", *FAST, "--json"),
    ).json
    known = [[cell["miou"] is not None for cell in row["scores"]] for row in found["rows"]]
    assert known == [[True, False], [False, True], [False, False], [True, True]]
    assert found["rows"][3]["name"] == "oracles"
    assert set(found["rows"][3]["means"]) == {"harmonic", "arithmetic", "geometric"}


def test_the_published_table_stands_beside_ours(run, universal, data):
    arguments = ("scoreboard", f"MSeg-1m={universal[0]}", "--data", *data, *FAST)
    found = run(*arguments, "--published", "mseg-zero-shot", "--json").json
    ours, other, difference = found["rows"]
    assert other["name"] == "published MSeg-1m"
    assert [cell["miou"] for cell in other["scores"]] == [pytest.approx(0.833), pytest.approx(0.67)]
    assert difference["scores"][0]["miou"] == pytest.approx(ours["scores"][0]["miou"] - 0.833)
    assert difference["means"]["harmonic"] == pytest.approx(
        ours["means"]["harmonic"] - other["means"]["harmonic"]
    )
    assert "Zero-shot table in the README of mseg-dataset/mseg-semantic" in found["notes"][-1]
    named = run(*arguments, "--published", "mseg-zero-shot:MSeg-3m-480p")
    assert "published MSeg-3m-480p" in named.out
    assert "81.2" in named.out


def test_tables_are_written_in_every_form(run, universal, data):
    names = ("t/table.md", "t/table.tex", "t/table.html", "t/table.json")
    result = run("scoreboard", *universal, "--data", *data, *FAST, "-o", *names)
    assert result.code == 0
    assert "harmonic mean" in result.out
    assert "Mean IoU in percent, zero-shot; the best of 32, 48 pixels" in result.out
    assert "scales 1 of the short side" in result.out
    markdown, latex, page = (Path(name).read_text() for name in names[:3])
    assert markdown.startswith("| percent | camvid | kitti | harmonic mean |")
    assert "\\toprule" in latex
    assert "<table>" in page
    assert [row["name"] for row in json.loads(Path(names[3]).read_text())["rows"]] == ["a", "b"]


@pytest.mark.usefixtures("bundled")
def test_bundled_weights_go_by_their_name(run, data):
    result = run(
        "scoreboard", DEFAULT_WEIGHTS, "--data", data[0], "--base", 48, "--window", 0, "--flip", "--json"
    )
    assert [row["name"] for row in result.json["rows"]] == [DEFAULT_WEIGHTS]
    assert "whole image" in result.json["scores"][0]["protocol"]["strategy"]


def test_a_score_can_be_shown_as_a_report(run, universal, data):
    run("scoreboard", universal[0], "--data", data[0], "--base", 32, "--window", 33)
    score = next(Path("scoreboard").glob("*/score.json"))
    assert run("report", score, "-o", "report.html").code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "there is nothing to score"),
        (["W", "--data", "CAMVID", "--base", "0"], "a short side of 0"),
        (["W", "--data", "CAMVID", "--scales", "0"], "are no scales"),
        (["W", "--data", "CAMVID", "-o", "table.doc"], "table.doc: is of no form"),
        (["W", "--data", "CAMVID", "--published", "mseg"], "there is no published table 'mseg'"),
        (["W", "--data", "CAMVID", "--published", "mseg-training:x"], "has no row 'x'"),
        (["W", "--data", "CAMVID", "--original", "DIR"], "does not say which data set"),
        (["W", "--data", "CAMVID", "--original", "x=CAMVID"], "there is no data set 'x'"),
        (["W", "W", "--data", "CAMVID"], "two networks are called a"),
        (["W", "--data", "CAMVID", "CAMVID"], "two data sets are called camvid"),
    ],
)
def test_wrong_requests_end_in_one_sentence(run, universal, data, arguments, words):
    known = {"W": str(universal[0]), "CAMVID": str(data[0])}
    result = run("scoreboard", *(known.get(one, one) for one in arguments or ["--data", "CAMVID"]))
    assert result.code == 2
    assert words in result.sentence


def test_a_split_that_is_not_there_is_a_failed_column(run, universal, data):
    result = run("scoreboard", universal[0], "--data", data[0], "--split", "fold1")
    assert result.code == 1
    assert "has no labeled split named fold1; choose one with --split: train, val, test" in result.err


@pytest.mark.parametrize(("base", "windows"), [(360, 11), (480, 22), (720, 43), (1080, 89)])
def test_windows_are_those_of_the_published_evaluation(base, windows):
    """Six scales of a picture twice as wide as high; mirror images double them."""
    scales = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
    assert len(view_sizes(mseg_protocol(base, scales), (1024, 2048))) == windows
    assert len(view_sizes(mseg_protocol(base, scales, flip=True), (1024, 2048))) == 2 * windows
    strategy = mseg_protocol(base, scales)
    assert isinstance(strategy, MultiScale)
    assert strategy.size_at((1024, 2048), 1.0) == (base, 2 * base)


def test_two_processes_score_as_one(run, universal, data):
    arguments = (
        "scoreboard",
        universal[0],
        "--data",
        *data,
        "--base",
        32,
        "--window",
        33,
        "--split",
        "val",
        "train",
    )
    alone = run(*arguments, "--json").json
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "roadseg", *map(str, arguments), "--json", "--folder", "other", "--device", "cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == alone
    assert len(list(Path("other").glob("*/score.json"))) == 2
