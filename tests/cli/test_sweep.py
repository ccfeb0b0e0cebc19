import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from roadseg.cli import sweep_course
from roadseg.cli.sweep_runs import slots, submission
from roadseg.cli.train import Train, find_recipe
from roadseg.errors import InputError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends signals")

ROOT = Path(__file__).parents[2]

TRAINER = '''
"""Stands in for `roadseg train`: what it does is said by --seed."""
import json, signal, sys, time
from pathlib import Path
args = sys.argv[1:]
out, seed = Path(args[args.index("-o") + 1]), int(args[args.index("--seed") + 1])
signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
out.mkdir(exist_ok=True)
(out / "run.json").write_text(json.dumps({"recipe": {"name": "r", "seed": seed}, "steps": 4, "steps_per_epoch": 2}))
if seed == 1 and "--resume" not in args:
    print("it went wrong", file=sys.stderr)
    sys.exit(2)
if seed >= 2 and "--resume" not in args:
    (out / "last.pt").touch()
    time.sleep(60)
print("done", sys.argv[1:])
(out / "result.json").write_text(json.dumps({"finished": True, "seconds": 1.0}))
'''

PLAN = """
recipe = "fast-scnn.camvid"
[grid]
seed = {seeds}
"""


@pytest.fixture
def trainer(tmp_path, monkeypatch):
    path = tmp_path / "trainer.py"
    path.write_text(TRAINER)
    monkeypatch.setattr(sweep_course, "_TRAIN", (sys.executable, str(path)))
    return path


def plan(seeds, name="seeds.toml"):
    Path(name).write_text(PLAN.format(seeds=seeds))
    return name


def states(result):
    return {run["name"]: run["state"] for run in result.json["runs"]}


def interrupt_when(exists, count=1):
    """Interrupt this process once a file is there."""

    def wait():
        while not exists.exists():
            time.sleep(0.05)
        for _ in range(count):
            time.sleep(0.3)
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_dry_run_shows_the_commands_and_writes_nothing(run):
    result = run("sweep", plan([0, 1]), "--dry-run")
    assert result.code == 0
    out = Path.cwd() / "runs/seeds/seed=1"
    command = [sys.executable, "-m", "roadseg", "train", "fast-scnn.camvid", "--seed", "1", "-o", str(out)]
    assert f"  {shlex.join(command)}\n" in result.out
    assert "2 runs: 2 to start" in result.out
    assert not Path("runs").exists()
    assert states(run("sweep", "seeds.toml", "--dry-run", "--json", "--only", "=1")) == {"seed=1": "start"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (PLAN.format(seeds="[0, 'x']"), "the run seed=x is not possible: Error parsing --seed: "),
        ("recipe = 'fast-scnn.camvid'\n[flags]\nsed = 3", "is not possible: Unrecognized options: --sed, 3"),
        ("recipe = 'fast-scnn.camvd'", "the run fast-scnn.camvd is not possible: there is no recipe"),
        ("recipe = 'f.py:g'", "the run g is not possible: f.py: there is no such file"),
        ("recip = 'fast-scnn.camvid'", "has an unknown key 'recip'; did you mean recipe?"),
    ],
)
def test_members_that_cannot_be_trained_are_named_before_any_starts(run, text, words):
    Path("bad.toml").write_text(text)
    result = run("sweep", "bad.toml")
    assert result.code == 2
    assert words in result.sentence
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.toml"], "none.toml: there is no such file"),
        (["plan.txt"], "plan.txt: is no plan of a sweep"),
        (["seeds.toml", "--only", "nobody"], "no run's name holds 'nobody'; choose among seed=0"),
        (["seeds.toml", "--jobs", 0], "--jobs 0 is not possible"),
        (["seeds.toml", "--jobs", 2, "--gpus", "0,1,2"], "3 GPUs cannot be divided evenly over 2 jobs"),
        (["seeds.toml", "--submit", "sbatch --wrap x"], "--submit: runs no member"),
        (["seeds.toml", "--submit", "no-such-program {command}"], "no program 'no-such-program'"),
        (["seeds.toml", "--submit", "sh -c '{command}"], "--submit: is not closed"),
    ],
)
def test_requests_that_cannot_be_met(run, arguments, words):
    plan([0])
    result = run("sweep", *arguments)
    assert result.code == 2
    assert words in result.sentence
    assert not Path("runs").exists()


def test_failures_do_not_stop_the_rest_and_are_done_again(run, trainer):
    first = run("sweep", plan([1, 0]), "--out", "deep/out", "--json")
    assert first.code == 1
    assert states(first) == {"seed=1": "failed", "seed=0": "finished"}
    log = Path.cwd() / "deep/out/seed=1/log.txt"
    assert f"seed=1 failed (exit code 2): it went wrong; its log is {log}" in first.err
    out = Path("deep/out")
    assert (out / "sweep.toml").read_text() == PLAN.format(seeds=[1, 0])
    assert json.loads((out / "sweep.json").read_text())["runs"][0]["name"] == "seed=1"
    words = shlex.split((out / "seed=0/command.txt").read_text())
    assert words[1:] == [
        str(trainer),
        "fast-scnn.camvid",
        "--seed",
        "0",
        "-o",
        str(out.absolute() / "seed=0"),
    ]

    (out / "seed=1/last.pt").touch()  # as if it had come further before it failed
    os.utime(out / "seed=1/last.pt", (1e9, 1e9))
    again = run("sweep", "seeds.toml", "--out", "deep/out")
    assert again.code == 0
    assert "seed=0 is finished\n" in again.err
    assert "seed=1 goes on where it stopped\n" in again.err
    assert "2 runs: 2 finished" in again.out
    assert (out / "seed=1/command.txt").read_text().endswith(" --resume\n")
    assert log.read_text().count("--- ") == 2
    assert run("sweep", "seeds.toml", "--out", "deep/out").code == 0


def test_other_settings_under_the_same_name_are_refused(run, trainer):
    run("sweep", plan([0]))
    Path("seeds.toml").write_text(PLAN.format(seeds=[0]) + "[flags]\nepochs = 3\n")
    result = run("sweep", "seeds.toml")
    assert result.code == 2
    assert "runs/seeds/seed=0: holds a run with other settings: epochs was 160 and is 3" in result.sentence


def test_other_data_under_the_same_name_are_refused(run, trainer):
    Path("seeds.toml").write_text('data = "a"\n' + PLAN.format(seeds=[0]))
    run("sweep", "seeds.toml")
    Path("seeds.toml").write_text('data = "b"\n' + PLAN.format(seeds=[0]))
    result = run("sweep", "seeds.toml")
    assert result.code == 2
    assert 'holds a run with other settings: data.root was "a" and is "b"' in result.sentence


def test_interruption_stops_all_runs_and_the_same_command_goes_on(run, trainer):
    plan([2, 3, 0])
    thread = interrupt_when(Path.cwd() / "runs/seeds/seed=3/last.pt")
    stopped = run("sweep", "seeds.toml", "--jobs", 2, "--json")
    thread.join()
    assert stopped.code == 130
    assert states(stopped) == {"seed=2": "stopped", "seed=3": "stopped", "seed=0": "waiting"}
    assert stopped.err.splitlines()[-1] == "roadseg: interrupted; the same command goes on with the sweep"
    planned = run("sweep", "seeds.toml", "--dry-run", "--json")
    assert states(planned) == {"seed=2": "resume", "seed=3": "resume", "seed=0": "start"}
    assert states(run("sweep", "seeds.toml", "--jobs", 3, "--json")) == dict.fromkeys(
        states(planned), "finished"
    )


def test_third_interruption_kills_runs_that_do_not_listen(run, trainer):
    trainer.write_text(TRAINER.replace("lambda *_: sys.exit(130)", "signal.SIG_IGN"))
    plan([2])
    thread = interrupt_when(Path.cwd() / "runs/seeds/seed=2/last.pt", count=3)
    began = time.monotonic()
    assert run("sweep", "seeds.toml").code == 130
    thread.join()
    assert time.monotonic() - began < 30
    assert json.loads(Path("runs/seeds/seed=2/member.json").read_text())["exit"] == -9


def test_runs_that_another_sweep_has_started_are_left_alone(run, trainer):
    run("sweep", plan([0]))
    folder = (Path.cwd() / "runs/seeds/seed=0").resolve()
    (folder / "result.json").unlink()
    note = json.loads((folder / "member.json").read_text())
    command = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        note |= {"pid": process.pid, "exit": None}
        (folder / "member.json").write_text(json.dumps(note))
        assert states(run("sweep", "seeds.toml", "--json")) == {"seed=0": "running"}
        process.kill()
    assert states(run("sweep", "seeds.toml", "--json")) == {"seed=0": "finished"}


def test_python_files_plan_recipes_that_the_copy_keeps(run, trainer):
    text = (
        "import dataclasses\nfrom roadseg import recipes\n\n\n"
        "def seeds():\n    base = recipes.get('fast-scnn.camvid')\n"
        "    return [dataclasses.replace(base, epochs=n) for n in (1, 2)]\n\n\n"
        "def sweep():\n    return [('first', {'recipe': 'fast-scnn.camvid', 'seed': 0})]\n"
    )
    Path("plans.py").write_text(text)
    result = run("sweep", "plans.py:seeds", "--dry-run", "--json")
    assert states(result) == {"epochs=1": "start", "epochs=2": "start"}
    assert "plans.py:seeds[1]" in result.json["runs"][1]["command"]
    assert Train.from_arguments(["plans.py:seeds[1]"]).resolve().epochs == 2
    assert states(run("sweep", "plans.py", "--json")) == {"first": "finished"}
    run("sweep", "plans.py:seeds", "--json")
    out = Path.cwd() / "runs/plans.seeds"
    assert (out / "sweep.py").read_text() == text
    assert f"{out}/sweep.py:seeds[0]" in (out / "epochs=1/command.txt").read_text()


@pytest.mark.parametrize("number", ["2", "x"])
def test_references_to_items_that_are_not_there(number):
    Path("plans.py").write_text("def f():\n    return [1, 2]\n")
    with pytest.raises(Exception, match=f"plans.py: f has no item {number}"):
        find_recipe(f"plans.py:f[{number}]")


def test_submitted_runs_are_not_submitted_twice(run, trainer):
    plan([0, 1])
    script = Path.cwd() / "queue"  # keeps what it is given
    script.write_text('#!/bin/sh\necho "$2" >> "$1.job"\necho queued\n')
    script.chmod(0o755)
    template = f"{script} '{{out}}' {{command}}"
    first = run("sweep", "seeds.toml", "--submit", template, "--json")
    assert first.code == 0
    assert states(first) == {"seed=0": "submitted", "seed=1": "submitted"}
    assert "seed=0: submitted: queued" in first.err
    again = run("sweep", "seeds.toml", "--submit", template, "--json")
    assert states(again) == {"seed=0": "waiting", "seed=1": "waiting"}
    assert "remove" in again.err
    for job in sorted(Path("runs/seeds").glob("*.job")):
        subprocess.run(["sh", "-c", job.read_text()], check=False, capture_output=True)
    assert states(run("sweep", "seeds.toml", "--dry-run", "--json"))["seed=0"] == "finished"


def test_submit_commands_that_wait_for_the_run(run, trainer):
    result = run("sweep", plan([0]), "--submit", f"{sys.executable} {trainer} {{module_command}}", "--json")
    assert states(result) == {"seed=0": "finished"}


def test_words_of_a_submit_command():
    command = ("python", "-m", "roadseg", "train", "a b", "--data", "it's")
    folder, name = Path("/runs/with space"), "lr=1"

    def words(template):
        return submission(template, command, folder, name)

    whole = "python -m roadseg train 'a b' --data 'it'\"'\"'s'"
    assert words("sh -c {command}") == ("sh", "-c", whole)
    assert words("sh -c '{command}'") == ("sh", "-c", whole)
    assert words("sh --wrap={command} -J {name}") == ("sh", f"--wrap={whole}", "-J", "lr=1")
    assert words("sh --log={out}/x -m {module_command}") == (
        *("sh", "--log=/runs/with space/x", "-m"),
        *("roadseg", "train", "a b", "--data", "it's"),
    )
    assert words("sh -c 'exec -m {module_command}'")[2] == f"exec -m {whole.removeprefix('python -m ')}"
    marked = submission("sh {name} {command}", ("p", "-m", "{out}"), folder, "{command}")
    assert marked == ("sh", "{command}", "p -m '{out}'")


def test_places_share_the_machine(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("roadseg.cli.sweep_runs._cores", lambda: 8)
    assert slots(None, "") == ({},)
    assert slots(3, "") == ({"OMP_NUM_THREADS": "2"},) * 3
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in slots(None, "0, 2")] == ["0", "2"]
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in slots(2, "0,1,2,3")] == ["0,1", "2,3"]
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in slots(None, "0,0")] == ["0", "0"]
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert slots(3, "") == ({},) * 3
    with pytest.raises(InputError):
        slots(3, "0,1")


def test_a_real_sweep_survives_the_killing_of_a_run(run, camvid, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    Path("tiny.py").write_text(
        "import dataclasses\nfrom roadseg import recipes\n\n\n"
        "def night():\n    base = recipes.get('fast-scnn.camvid')\n"
        "    augment = dataclasses.replace(base.augment, crop=(16, 24))\n"
        "    return dataclasses.replace(\n"
        "        base, name='night', model=recipes.Model(name='tests.tiny:tiny'), augment=augment, batch_size=4,\n"
        "        epochs=2, ema=0.0, workers=0, eval_every=1, loss=recipes.CrossEntropy(), on_fewer='keep',\n"
        "    )\n"
    )
    Path("night.toml").write_text(
        f"recipe = 'tiny.py:night'\ndata = '{camvid}'\nflags.device = 'cpu'\n"
        "[[variants]]\nflags.epochs = 1\n[[variants]]\nflags.epochs = 100000\n"
    )
    victim = Path.cwd() / "runs/night/epochs=100000"

    def kill():
        while not (victim / "last.pt").exists():
            time.sleep(0.05)
        os.kill(json.loads((victim / "member.json").read_text())["pid"], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    result = run("sweep", "night.toml", "--jobs", 2, "--json")
    thread.join()
    assert result.code == 1
    assert states(result) == {"epochs=1": "finished", "epochs=100000": "failed"}
    assert "epochs=100000 failed (killed by SIGKILL)" in result.err

    rows = len((victim / "metrics.jsonl").read_text().splitlines())
    assert rows >= 1

    def stop():
        while len((victim / "metrics.jsonl").read_text().splitlines()) < rows + 2:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=stop)
    thread.start()
    again = run("sweep", "night.toml", "--json")
    thread.join()
    assert again.code == 130
    assert states(again) == {"epochs=1": "finished", "epochs=100000": "stopped"}
    assert "epochs=100000 goes on where it stopped" in again.err
    assert "interrupted; the state of step" in (victim / "log.txt").read_text()
    table = run("summarize", "runs/night", "--json")
    assert table.code == 0
    assert {row["run"]: row["state"] for row in table.json["runs"]} == states(again)
    assert table.json["differing"] == ["epochs"]
