"""Composites on the command line: flags, the plan of the dry run, and the line after a validation."""

import json
import sys
from pathlib import Path

import pytest

from roadseg.cli.terminal import Terminal
from roadseg.cli.train import Train, TrainProgress
from roadseg.errors import RecipeError
from roadseg.recipes import Balanced
from tests.fakes import fake_camvid, fake_kitti

SMALL = ("--augment.crop", 16, 24, "--workers", 0, "--device", "cpu", "--eval-every", 1)
PLAN = """
import dataclasses
from roadseg import recipes

def plan():
    model = recipes.Model(name="tests.tiny:tiny")
    return dataclasses.replace(recipes.get("fast-scnn.camvid"), name="small", model=model)
"""


@pytest.fixture
def roots(tmp_path):
    return fake_camvid(tmp_path / "camvid"), fake_kitti(tmp_path / "kitti")


@pytest.fixture
def composite(roots, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "plans_of_mine", raising=False)
    file = tmp_path / "plans_of_mine.py"
    file.write_text(PLAN)
    first, second = roots
    data = ("--data", first, "--data.parts", f"kitti:{second}@train-cv0@val-cv0", "--data.to", "mseg-194")
    return ("train", f"{file}:plan", *data, *SMALL)


def parsed(*arguments):
    return Train.from_arguments([str(item) for item in arguments]).resolve()


@pytest.mark.parametrize(
    ("given", "weights"), [(("equal",), ()), (("1", "3"), (1.0, 3.0)), (("0.5", "0.5"), (0.5, 0.5))]
)
def test_shares_weigh_the_data_sets(given, weights):
    plan = parsed("fast-scnn.camvid", "--data", "a", "--data.parts", "b", "--shares", *given)
    assert plan.sampling == Balanced(weights=weights)
    assert plan.data.parts == ("b",)


def test_shares_are_numbers():
    with pytest.raises(RecipeError, match=r"--shares 1 lots are no numbers; .*\"equal\""):
        parsed("fast-scnn.camvid", "--data", "a", "--shares", "1", "lots")


def test_the_dry_run_tells_the_whole_plan(run, composite):
    result = run(*composite, "--shares", 1, 3, "--epochs", 2, "--batch-size", 4, "--dry-run")
    assert result.code == 0
    lines = [line.split(maxsplit=1)[1] for line in result.out.splitlines() if line.startswith("  part ")]
    assert lines[0].startswith("camvid: 10 images (train+val), 25.0% of every batch, ")
    assert lines[1].startswith("kitti: ")
    assert "(train-cv0), 75.0% of every batch, " in lines[1]
    assert lines[1].endswith("to validate on (val-cv0), 19 of 194 classes")
    assert "mseg-194, 194 classes" in result.out


def test_the_dry_run_as_json_counts_what_each_gives(run, composite):
    plan = run(*composite, "--shares", "equal", "--steps", 10, "--batch-size", 4, "--dry-run", "--json").json
    parts = plan["parts"]
    assert [(part["name"], part["share"], part["samples"]) for part in parts] == [
        ("camvid", 0.5, 20),
        ("kitti", 0.5, 20),
    ]
    assert plan["images"] == sum(part["images"] for part in parts)
    assert parts[0]["classes"] == 11


def test_shares_by_size_are_pointed_out(run, composite):
    told = run(*composite, "--dry-run").out
    assert "--shares equal, or numbers, weighs them" in told
    assert "% of all crops" in told


def test_what_is_missing_is_told_for_each(run, composite, roots, tmp_path):
    result = run(*composite, "--data.parts", tmp_path / "idd", f"{roots[1]}@train@holdout", "--dry-run")
    assert result.code == 1
    assert f"missing    {tmp_path / 'idd'}: does not exist" in result.out
    assert "has no split 'holdout'" in result.out
    assert f"{tmp_path / 'idd'}: not found" in result.out


def test_a_union_is_known_once_the_data_are_there(run, composite, tmp_path):
    known = run(*composite, "--data.to", "union", "--dry-run").out
    assert "labels     union, 24 classes" in known
    unknown = run(*composite, "--data.to", "union", "--data.parts", tmp_path / "idd", "--dry-run").out
    assert "labels     all class names of the data sets, once they are there" in unknown


def test_a_composite_trains_and_tells_the_score_of_each(run, composite):
    result = run(
        *composite, "--shares", "equal", "--steps", 2, "--batch-size", 4, "--loss.class-weights", "none"
    )
    assert result.code == 0, result.err
    row = json.loads(Path("runs/small/metrics.jsonl").read_text().splitlines()[-1])
    assert set(row["vals"]) == {"camvid", "kitti"}


def test_the_line_after_a_validation_names_all(capsys):
    with TrainProgress(Terminal(), "plan") as report:
        report.started(0, 2)
        report.validated(1, {"miou": 0.5, "vals": {"a": {"miou": 0.75}, "b": {"miou": 0.25}}}, True)
    assert "mIoU 50.00 (a 75.00, b 25.00)  (best so far)" in capsys.readouterr().err
