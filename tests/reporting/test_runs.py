import json
import os
import platform
import subprocess
import sys

import pytest

from roadseg.errors import InputError
from roadseg.reporting.runs import differing, find_runs, read_run

NOW = 2_000_000_000.0


def row(epoch, miou=None, *, per_epoch=10, loss=1.0):
    data = {"step": epoch * per_epoch, "epoch": epoch, "seconds": 20.0 * epoch, "loss": loss, "lr": 0.1}
    if miou is not None:
        classes = {"Road": {"iou": miou / 2, "recall": 0.7}, "pole": {"iou": None}}
        data["val"] = {
            "miou": miou,
            "pixel_accuracy": 0.9,
            "classes": classes,
            "categories": {"flat": {"iou": 0.4}},
        }
    return data


def make_run(folder, *, rows=(), age=0.0, recipe=None, result=None, member=None, steps=100):
    """Write a run whose files are so many seconds old."""
    folder.mkdir(parents=True)
    recipe = {
        "kind": "Recipe",
        "name": "r",
        "epochs": 10,
        "optim": {"kind": "SGD", "lr": 0.1},
        **(recipe or {}),
    }
    write(folder / "run.json", json.dumps({"recipe": recipe, "steps": steps, "steps_per_epoch": 10}), age)
    write(folder / "metrics.jsonl", "".join(json.dumps(item) + "\n" for item in rows), age)
    if result is not None:
        write(folder / "result.json", json.dumps(result), age)
    if member is not None:
        write(folder / "member.json", json.dumps(member), age)
    return folder


def write(path, text, age):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (NOW - age, NOW - age))


def test_runs_are_found_below_a_folder_but_not_within_each_other(tmp_path):
    for name in ("b", "a/x", "a/x/old", ".hidden/run"):
        make_run(tmp_path / name)
    write(tmp_path / "new/member.json", "{}", 0)
    (tmp_path / "empty").mkdir()
    assert find_runs(tmp_path) == (tmp_path / "a/x", tmp_path / "b", tmp_path / "new")
    assert find_runs(tmp_path / "b") == (tmp_path / "b",)
    with pytest.raises(InputError, match="holds no run"):
        find_runs(tmp_path / "empty")
    with pytest.raises(InputError, match="is no folder"):
        find_runs(tmp_path / "none")


def test_figures_are_numbers_with_their_best(tmp_path):
    # As texts, "9e-2" would be better than "0.5".
    run = read_run(
        make_run(tmp_path / "r", rows=[row(1, 9e-2, loss=3.0), row(2, 0.5, loss=2.0), row(3, 0.4), row(4)]),
        NOW,
    )
    miou = run.metric("mIoU")
    assert (miou.last, miou.best, miou.best_epoch) == (0.4, 0.5, 2)
    assert run.metric("loss").best == 1.0
    assert run.metric("accuracy").last == 0.9
    assert run.metric("road").best == 0.25
    assert run.metric("flat").best == 0.4
    assert run.metric("classes.road.recall").best == 0.7
    assert run.metric("pole") is None
    assert run.metric("nothing") is None
    assert (run.step, run.epoch, run.seconds, run.steps) == (40, 4, 80.0, 100)


def test_how_long_a_run_still_takes(tmp_path):
    run = read_run(make_run(tmp_path / "r", rows=[row(1), row(5)], age=30), NOW)
    assert run.state == "running"
    assert run.left == pytest.approx(100 - 30)  # 2 s a step, and 30 s since the last row
    slow = read_run(make_run(tmp_path / "s", rows=[row(9)], age=300), NOW)
    assert slow.left == 0.0
    assert read_run(make_run(tmp_path / "t"), NOW).left is None


def test_the_steps_of_a_run_from_what_is_known(tmp_path):
    folder = make_run(tmp_path / "r", rows=[row(4, per_epoch=7)], steps=None)
    write(folder / "run.json", json.dumps({"recipe": {"epochs": 10, "steps": None}}), 0)
    assert read_run(folder, NOW).steps == 70
    write(folder / "run.json", json.dumps({"recipe": {"epochs": 10, "steps": 44}}), 0)
    assert read_run(folder, NOW).steps == 44
    write(folder / "run.json", "{}", 0)
    assert read_run(folder, NOW).steps is None


def test_states(tmp_path):
    here, pid = platform.node(), os.getpid()
    member = {"name": "m", "arguments": []}
    cases = {
        "finished": [
            make_run(tmp_path / "a", result={"finished": True, "seconds": 5.0}),
            make_run(tmp_path / "b", rows=[row(10)], age=9999),
            make_run(tmp_path / "b2", rows=[row(10)], member={**member, "exit": -9}),
        ],
        "running": [make_run(tmp_path / "c", rows=[row(1)], age=60)],
        "stopped": [
            make_run(tmp_path / "d", rows=[row(1)], age=700),
            make_run(tmp_path / "e", member={**member, "exit": 130}),
            make_run(tmp_path / "f", member={**member, "exit": 0}),
            make_run(
                tmp_path / "g", member={**member, "pid": pid, "host": here, "folder": "/x/g"}
            ),  # another process by now
        ],
        "failed": [
            make_run(tmp_path / "h", member={**member, "exit": 2}),
            make_run(tmp_path / "i", member={**member, "exit": -9}),
        ],
        "waiting": [make_run(tmp_path / "j", member={**member, "submitted": True}, age=5)],
    }
    for state, folders in cases.items():
        assert [read_run(folder, NOW).state for folder in folders] == [state] * len(folders), state
    assert read_run(tmp_path / "a", NOW).seconds == 5.0


def test_states_of_members_without_a_run(tmp_path):
    for name, note, state in (
        ("a", {"name": "a"}, "waiting"),
        ("b", {"name": "b", "submitted": True}, "waiting"),
        ("c", {"name": "c", "exit": 2, "started": 1}, "failed"),
        ("d", {"name": "d", "started": 1, "pid": 2**22 + 1, "host": platform.node()}, "failed"),
    ):
        write(tmp_path / name / "member.json", json.dumps({**note, "recipe": {"name": "x"}}), 0)
        run = read_run(tmp_path / name, NOW)
        assert (run.state, run.settings()) == (state, {"recipe": "x"})


def test_a_run_that_went_on_since_the_sweep_noted_its_end(tmp_path):
    folder = make_run(tmp_path / "r", rows=[row(1)], age=10)
    write(folder / "member.json", json.dumps({"exit": 2, "arguments": []}), 100)
    assert read_run(folder, NOW).state == "running"


def test_a_process_that_is_alive(tmp_path):
    folder = make_run(tmp_path / "alive", rows=[row(1)], age=5000)
    process = subprocess.Popen(
        [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)", str(folder)],
        stdout=subprocess.PIPE,
    )
    with process:
        process.stdout.readline()
        note = {"pid": process.pid, "host": platform.node(), "folder": str(folder), "exit": None}
        write(folder / "member.json", json.dumps(note), 0)
        assert read_run(folder, NOW).state == "running"
        process.kill()
    assert read_run(folder, NOW).state == "stopped"
    write(folder / "member.json", json.dumps({**note, "host": "elsewhere"}), 6000)
    assert read_run(folder, NOW).state == "stopped"


def test_half_written_and_damaged_files(tmp_path):
    folder = make_run(tmp_path / "r", rows=[row(1, 0.5), row(2, 0.6)])
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 30, "epo')
    run = read_run(folder, NOW)
    assert (run.epoch, run.faults) == (2, ())
    write(folder / "metrics.jsonl", '{"step": 1\n' + json.dumps(row(3)) + "\n[]\n", 0)
    write(folder / "result.json", "\xff", 0)
    write(folder / "run.json", "{", 0)
    run = read_run(folder, NOW)
    assert run.epoch == 3
    assert [fault.removeprefix(f"{folder}/") for fault in run.faults] == [
        "run.json: is damaged",
        "result.json: is damaged",
        "metrics.jsonl: line 1 is damaged",
        "metrics.jsonl: line 3 is damaged",
    ]
    assert run.settings() == {}


def test_settings_that_differ(tmp_path):
    runs = [
        read_run(make_run(tmp_path / "a", recipe={"paper": "x", "seed": 1}), NOW),
        read_run(
            make_run(tmp_path / "b", recipe={"seed": 2, "optim": {"kind": "AdamW", "lr": 0.1, "eps": 1}}), NOW
        ),
    ]
    names, common = differing(runs)
    assert names == ("optim.kind", "seed", "optim.eps")
    assert common == {"recipe": "r", "epochs": 10, "optim.lr": 0.1}
    assert differing(runs[:1])[0] == ()
