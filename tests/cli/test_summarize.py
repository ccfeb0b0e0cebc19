import csv
import json
from pathlib import Path

import pytest


def make_run(name, *, miou=(), lr=0.1, finished=True, **recipe):
    folder = Path(name)
    folder.mkdir(parents=True)
    data = {"name": "r", "epochs": 4, "crop": [8, 16], "optim": {"kind": "SGD", "lr": lr}, **recipe}
    (folder / "run.json").write_text(json.dumps({"recipe": data, "steps": 40, "steps_per_epoch": 10}))
    rows = [
        {
            "step": 10 * (i + 1),
            "epoch": i + 1,
            "seconds": 1800.0 * (i + 1),
            "loss": 2.0 - i / 4,
            "lr": lr,
            "val": {"miou": value, "pixel_accuracy": 0.9, "classes": {"pole": {"iou": value / 2}}},
        }
        for i, value in enumerate(miou)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if finished:
        (folder / "result.json").write_text(json.dumps({"finished": True, "seconds": 7300.0}))
    return folder


@pytest.fixture
def runs():
    make_run("runs/a", miou=(0.08, 0.3, 0.25), lr=0.02)
    make_run("runs/b", miou=(0.09,), lr=0.1, finished=False)
    make_run("runs/c", lr=0.003)
    return Path("runs")


def order(result):
    return [row["run"] for row in result.json["runs"]]


def test_the_table(run, runs):
    result = run("summarize", runs)
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0] == "all: recipe=r epochs=4 crop=8x16 optim.kind=SGD"
    table = [line.split() for line in lines[2:]]
    assert table == [
        [
            "run",
            "optim.lr",
            "mIoU",
            "best",
            "accuracy",
            "best",
            "loss",
            "best",
            "epoch",
            "time",
            "left",
            "state",
        ],
        ["a", "0.02", "25.00", "30.00", "90.00", "90.00", "1.5", "1.5", "3/4", "2:01:40", "-", "finished"],
        ["b", "0.1", "9.00", "9.00", "90.00", "90.00", "2", "2", "1/4", "0:30:00", "1:30:00", "running"],
        ["c", "0.003", "-", "-", "-", "-", "-", "-", "-", "2:01:40", "-", "finished"],
    ]


def test_json_and_sorting_by_numbers(run, runs):
    result = run("summarize", runs, "--json")
    first = result.json["runs"][0]
    assert order(result) == ["a", "b", "c"]
    assert (first["miou"], first["best_miou"], first["best_miou_epoch"]) == (0.25, 0.3, 2)
    assert first["folder"] == "runs/a"
    assert result.json["differing"] == ["optim.lr"]
    assert order(run("summarize", runs, "--json", "--sort", "optim.lr")) == ["b", "a", "c"]
    assert order(run("summarize", runs, "--json", "--sort", "optim.lr", "--ascending")) == ["c", "a", "b"]
    assert order(run("summarize", runs, "--json", "--sort", "best_loss", "--ascending")) == ["a", "b", "c"]
    assert order(run("summarize", runs, "--json", "--sort", "run")) == ["c", "b", "a"]
    # The lowest loss is the best one; what has none comes last.
    assert order(run("summarize", runs, "--json", "--metric", "loss")) == ["a", "b", "c"]
    assert order(run("summarize", runs, "--json", "--metric")) == ["a", "b", "c"]


def test_csv_and_chosen_metrics(run, runs):
    result = run("summarize", runs, "--metric", "pole", "--csv", "out/runs.csv")
    assert "15.00" in result.out
    with Path("out/runs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["run"], row["optim.lr"], row["best_pole"], row["state"]) for row in rows] == [
        ("a", "0.02", "0.15", "finished"),
        ("b", "0.1", "0.045", "running"),
        ("c", "0.003", "", "finished"),
    ]


def test_several_folders_and_single_runs(run, runs):
    make_run("more/a", miou=(0.5,), seed=3)
    result = run("summarize", "more", "runs/a", "runs", "--json")
    assert order(result) == ["more/a", "runs/a", "runs/b", "runs/c"]
    alone = run("summarize", "runs/a")
    assert [line.split()[0] for line in alone.out.splitlines()] == ["run", "a"]
    assert "all:" not in alone.out


def test_many_differences_are_named_beside_the_table(run, runs):
    make_run("runs/d", **{f"knob{i}": i for i in range(12)})
    result = run("summarize", runs)
    assert "5 more settings differ, see --csv or --json: knob7" in result.err
    assert "knob11" not in result.out


def test_damaged_files_are_named_and_the_rest_is_shown(run, runs):
    (runs / "b/run.json").write_text("{")
    with (runs / "a/metrics.jsonl").open("a") as file:
        file.write('{"step": 40')  # a run that is just writing is no fault
    result = run("summarize", runs)
    assert result.code == 1
    assert result.sentence == "roadseg: error: runs/b/run.json: is damaged"
    assert len(result.out.splitlines()) == 6


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no folder is given"),
        (["none"], "none: is no folder"),
        (["."], "holds no run"),
        (["runs", "--metric", "pol"], "--metric: no run has a score 'pol'; choose among loss, lr, miou"),
        (["runs", "--sort", "miuo"], "--sort: there is no column 'miuo'; choose among run, optim.lr, miou"),
    ],
)
def test_requests_that_cannot_be_met(run, arguments, words):
    if "runs" in arguments:
        make_run("runs/a", miou=(0.1,))
        make_run("runs/b", lr=3)
    result = run("summarize", *arguments)
    assert result.code == 2
    assert words in result.sentence
