"""What ends a run early: it says so in one sentence, and the last good state stays."""

import dataclasses
import json
import math
import subprocess
import sys

import pytest
import torch

from roadseg.data import open_source
from roadseg.errors import OutputError, RunError
from roadseg.recipes import ClassUniform, CrossEntropy, Model
from roadseg.training import fit
from roadseg.training.checkpoint import load_state, save_state
from roadseg.training.distributed import World
from roadseg.training.watch import LossWatch
from tests.fakes import fake_camvid, stripes
from tests.tiny import TinyNet
from tests.training.plans import ROOT, recipe, weights_of


@pytest.fixture(scope="module")
def camvid(tmp_path_factory):
    return fake_camvid(tmp_path_factory.mktemp("data"))


class Exploding(TinyNet):
    """Gives no numbers from its sixth training step on."""

    calls = 0

    def forward(self, images):
        output = super().forward(images)
        if self.training:
            Exploding.calls += 1
            if Exploding.calls >= 6:
                return output._replace(logits=output.logits * math.nan)
        return output


def exploding(num_classes):
    return Exploding(num_classes)


def test_a_loss_that_is_no_number_names_its_images_and_keeps_the_last_state(camvid, tmp_path):
    Exploding.calls = 0
    plan = recipe(camvid, model=Model(name="tests.training.test_failures:exploding"), ema=0.0, eval_every=1)
    fit(plan, tmp_path, device="cpu", max_steps=4)
    before = weights_of(tmp_path)
    with pytest.raises(
        RunError, match=r"the loss became nan at step 5; its images are listed in .*bad-batch"
    ):
        fit(plan, tmp_path, device="cpu", resume=True)
    noted = json.loads((tmp_path / "bad-batch.json").read_text())
    known = {record.key for record in open_source(camvid).find("train+val")}
    assert noted["step"] == 5
    assert len(noted["keys"]) == plan.batch_size
    assert set(noted["keys"]) <= known
    after = weights_of(tmp_path)
    assert load_state(tmp_path / "last.pt")["step"] in (4, 5)
    assert all(torch.isfinite(value).all() for value in after.values())
    assert before.keys() == after.keys()


def test_a_gradient_scaler_may_skip_single_steps(tmp_path):
    watch = LossWatch(tmp_path, World(0, 1, torch.device("cpu")), tolerant=True)
    for step in range(30):
        watch.add(step, torch.tensor(math.inf if step % 3 else 1.0), ("a",), 0.1)
    assert watch.mean() == 1.0
    watch = LossWatch(tmp_path, World(0, 1, torch.device("cpu")), tolerant=True)
    for step in range(20):
        watch.add(step, torch.tensor(math.inf), ("a",), 0.1)
    with pytest.raises(RunError, match="the loss became inf at step 19"):
        watch.flush()


def test_a_full_disk_leaves_the_old_state(tmp_path):
    path = tmp_path / "last.pt"
    save_state(path, {"recipe": "{}", "step": 1})
    script = (
        "import resource, sys, signal, torch\n"
        "from pathlib import Path\n"
        "from roadseg.errors import OutputError\n"
        "from roadseg.training.checkpoint import save_state\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n"
        "    save_state(Path(sys.argv[1]), {'recipe': '{}', 'step': 2, 'model': torch.zeros(100_000)})\n"
        "except OutputError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, timeout=120, cwd=ROOT
    )
    assert "cannot be written" in done.stdout, done.stderr
    assert load_state(path)["step"] == 1
    assert [item.name for item in tmp_path.iterdir()] == ["last.pt"]


def test_classes_that_do_not_occur_are_no_obstacle(tmp_path):
    """Class-uniform sampling, class weights and scores of a data set with two of eleven classes."""
    root = fake_camvid(tmp_path / "data")
    source = open_source(root)
    from PIL import Image

    for record in source.find("train+val+test"):
        Image.fromarray(stripes([3, 8])).save(record.label)
    plan = recipe(
        root,
        loss=CrossEntropy(class_weights="median"),
        sampling=ClassUniform(tile=8),
        epochs=2,
    )
    result = fit(plan, tmp_path / "run", device="cpu")
    assert result.finished
    row = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert math.isfinite(row["loss"])
    assert row["val"]["classes"]["pole"]["iou"] is None or math.isfinite(row["val"]["classes"]["pole"]["iou"])


def test_a_run_on_fewer_devices_keeps_what_it_was_started_with(camvid, tmp_path):
    plan = recipe(camvid, devices=2, batch_size=4, ema=0.0)
    heard = []

    from roadseg.training.report import Silent

    class Listener(Silent):
        def prepared(self, note):
            heard.append(note)

    fit(plan, tmp_path, device="cpu", max_steps=2, report=Listener())
    assert any("batch 4 -> 2" in note and "learning rate 0.05 -> 0.025" in note for note in heard)
    run = json.loads((tmp_path / "run.json").read_text())
    assert (run["recipe"]["batch_size"], run["recipe"]["optim"]["lr"]) == (2, 0.025)
    result = fit(plan, tmp_path, device="cpu", resume=True)
    assert result.finished
    assert result.steps == run["steps"] == 4 * run["steps_per_epoch"]


def test_a_run_can_be_planned_in_steps(camvid, tmp_path):
    result = fit(recipe(camvid, steps=3), tmp_path, device="cpu")
    assert (result.steps, result.finished) == (3, True)
    noted = json.loads((tmp_path / "result.json").read_text())
    assert noted["finished"]
    assert noted["steps"] == 3
    assert noted["weights"] == "best.safetensors"
    row = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert row["step"] == 3
    assert row["stages"]["decode"] > 0


def test_writing_elsewhere_is_still_refused(camvid, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError):
        fit(dataclasses.replace(recipe(camvid), epochs=1), tmp_path / "file" / "run", device="cpu")
