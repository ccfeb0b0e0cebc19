import dataclasses
import json
import math
import os
import signal
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from roadseg.data import open_source
from roadseg.errors import DataError, OutputError, RecipeError, WeightsError
from roadseg.inference import load
from roadseg.media import write_image, write_mask
from roadseg.recipes import SGD, AdamW, Augment, CrossEntropy, Data, Model, Synthetic
from roadseg.training import fit
from roadseg.training.checkpoint import load_state
from roadseg.training.report import Silent
from tests.fakes import fake_camvid
from tests.training.plans import VARIANTS, recipe, variant, weights_of


@pytest.fixture(scope="module")
def camvid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("camvid")
    fake_camvid(root)
    return root


def assert_identical(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for key, value in one.items():
        assert torch.equal(value, other[key]), key


def test_a_run_leaves_weights_metrics_and_its_plan(camvid, tmp_path):
    plan = recipe(camvid)
    result = fit(plan, tmp_path, device="cpu")
    assert result.finished
    assert result.weights == tmp_path / "best.safetensors"
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [2, 4]
    assert result.best == max(row["val"]["miou"] for row in rows)
    assert rows[-1]["val"]["protocol"]["dataset"] == "camvid"
    run = json.loads((tmp_path / "run.json").read_text())
    assert run["recipe"]["optim"]["kind"] == "SGD"
    assert torch.__version__.startswith(run["versions"]["torch"])
    predictor = load(tmp_path / "best.safetensors", device="cpu", trust_code=True)
    assert predictor.space.name == "camvid-11"
    assert predictor.card.provenance["recipe"]["name"] == "tiny.camvid"


def test_training_learns_what_can_be_learned(tmp_path):
    """Images whose colors are those of their labels' classes are soon understood."""
    fake_camvid(tmp_path / "data", size=(96, 144))
    source = open_source(tmp_path / "data")
    for record in source.find("train+val+test"):
        write_image(record.image, source.target.colorize(source.read_label(record)))

    augment = Augment(crop=(32, 48), scale=(1.0, 1.0))
    plan = recipe(
        tmp_path / "data",
        augment=augment,
        epochs=30,
        optim=AdamW(lr=0.02),
        loss=CrossEntropy(),
        eval_every=15,
    )
    fit(plan, tmp_path / "run", device="cpu")
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["loss"] < 0.5 * math.log(11)
    assert rows[-1]["val"]["pixel_accuracy"] > 0.5


@pytest.mark.parametrize(
    "name", [name for name in VARIANTS if name not in ("sharded", "mortal", "compressed")]
)
@pytest.mark.parametrize("stop", [1, 7])
def test_an_interrupted_run_ends_bit_identical(camvid, tmp_path, stop, name):
    """Wherever it was stopped: before or after losses and samplings switch."""
    plan = variant(name, camvid)
    fit(plan, tmp_path / "whole", device="cpu")
    part = fit(plan, tmp_path / "parts", device="cpu", max_steps=stop)
    assert not part.finished
    result = fit(plan, tmp_path / "parts", device="cpu", resume=True)
    assert result.finished
    assert_identical(weights_of(tmp_path / "whole"), weights_of(tmp_path / "parts"))
    rows = [(tmp_path / run / "metrics.jsonl").read_text().splitlines() for run in ("whole", "parts")]
    scores = [[json.loads(line)["val"] for line in run] for run in rows]
    assert scores[0] == scores[1]


def test_the_number_of_loader_processes_changes_nothing(camvid, tmp_path):
    fit(recipe(camvid, epochs=2), tmp_path / "none", device="cpu")
    fit(recipe(camvid, epochs=2, workers=1), tmp_path / "one", device="cpu")
    assert_identical(weights_of(tmp_path / "none"), weights_of(tmp_path / "one"))


def test_accumulated_parts_equal_the_undivided_step(camvid, tmp_path):
    plan = recipe(camvid, batch_size=4, ema=0.0, model=Model(name="tests.tiny:tiny"))
    fit(plan, tmp_path / "whole", device="cpu")
    fit(dataclasses.replace(plan, accumulate=2), tmp_path / "parts", device="cpu")
    whole, parts = weights_of(tmp_path / "whole"), weights_of(tmp_path / "parts")
    for key, value in whole.items():
        torch.testing.assert_close(value, parts[key], rtol=1e-4, atol=1e-6)


def test_an_interrupt_saves_and_can_be_resumed(camvid, tmp_path):
    class Interrupter(Silent):
        def stepped(self, step, loss, lr):
            if step == 2:
                os.kill(os.getpid(), signal.SIGINT)

    assert threading.current_thread() is threading.main_thread()
    plan = recipe(camvid)
    result = fit(plan, tmp_path, device="cpu", report=Interrupter())
    assert (result.finished, result.steps) == (False, 2)
    assert load_state(tmp_path / "last.pt")["step"] == 2
    fit(plan, tmp_path / "whole", device="cpu")
    fit(plan, tmp_path, device="cpu", resume=True)
    assert_identical(weights_of(tmp_path / "whole"), weights_of(tmp_path))


def test_rendered_scenes_are_mixed_in(camvid, tmp_path):
    mixed = Data(
        root=str(camvid), train="train", val="", synthetic=Synthetic(root=str(camvid), share=0.5, until=0.5)
    )
    result = fit(recipe(camvid, data=mixed), tmp_path, device="cpu")
    assert result.finished
    assert result.best is None
    assert result.weights == tmp_path / "last.safetensors"


def test_resuming_with_another_recipe_is_refused(camvid, tmp_path):
    fit(recipe(camvid), tmp_path, device="cpu", max_steps=1)
    with pytest.raises(RecipeError, match=r"optim\.lr was 0\.05 and is 0\.1"):
        fit(recipe(camvid, optim=SGD(lr=0.1)), tmp_path, device="cpu", resume=True)


def test_resuming_nothing_is_refused(camvid, tmp_path):
    with pytest.raises(OutputError, match="no run to resume"):
        fit(recipe(camvid), tmp_path, device="cpu", resume=True)


def test_resuming_from_a_foreign_file_is_refused(camvid, tmp_path):
    (tmp_path / "last.pt").write_bytes(b"not a state")
    with pytest.raises(WeightsError, match="no state of a roadseg run"):
        fit(recipe(camvid), tmp_path, device="cpu", resume=True)


def test_training_without_data_says_what_to_do(tmp_path):
    with pytest.raises(RecipeError, match=r"no data is given.*roadseg data synth"):
        fit(recipe(tmp_path, data=Data()), tmp_path, device="cpu")
    with pytest.raises(DataError, match="does not exist"):
        fit(recipe(tmp_path, data=Data(root=str(tmp_path / "nowhere"))), tmp_path, device="cpu")


def test_tensorboard_files_are_written_on_request(camvid, tmp_path):
    fit(recipe(camvid), tmp_path, device="cpu", tensorboard=True)
    assert list(tmp_path.glob("events.out.tfevents.*"))


def test_labels_without_a_class_give_no_score(tmp_path):
    root = fake_camvid(tmp_path / "data")
    source = open_source(root)
    for record in source.find("test"):
        write_mask(record.label, np.full_like(source.read_label(record), source.target.ignore))
    result = fit(recipe(root, epochs=2), tmp_path / "run", device="cpu", tensorboard=True)
    assert (result.best, result.weights.name) == (None, "last.safetensors")
    assert load_state(tmp_path / "run" / "last.pt")["best"] is None
    assert json.loads((tmp_path / "run" / "result.json").read_text())["best_miou"] is None


def test_weights_of_an_earlier_run_are_not_those_of_a_new_one(camvid, tmp_path):
    for name in ("best", "last"):
        (tmp_path / f"{name}.safetensors").write_bytes(b"of another run")
    part = fit(recipe(camvid), tmp_path, device="cpu", max_steps=1)
    assert part.weights.name == "last.safetensors"
    assert not list(tmp_path.glob("*.safetensors"))


def test_a_run_goes_on_where_gradients_have_to_be_scaled(camvid, tmp_path, monkeypatch):
    fit(recipe(camvid), tmp_path, device="cpu", max_steps=1)
    module = sys.modules[fit.__module__]
    monkeypatch.setattr(module, "gradient_scaler", lambda *_: torch.amp.GradScaler("cpu"))
    assert fit(recipe(camvid), tmp_path, device="cpu", resume=True).finished


def test_mixed_precision_runs_where_it_is_asked_for(camvid, tmp_path):
    result = fit(recipe(camvid, precision="bfloat16"), tmp_path, device="cpu")
    assert result.finished
