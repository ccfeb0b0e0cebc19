import dataclasses
import json

import pytest
import torch

from roadseg.data import open_source
from roadseg.errors import RecipeError
from roadseg.inference import evaluate, load
from roadseg.metrics import Scores
from roadseg.training import fit
from roadseg.training.checkpoint import load_state
from roadseg.training.distributed import join
from tests.fakes import fake_camvid
from tests.training.plans import shared, torchrun, weights_of


@pytest.fixture(scope="module")
def camvid(tmp_path_factory):
    return fake_camvid(tmp_path_factory.mktemp("data"))


def last_scores(run):
    return json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["val"]


def assert_close(one, other, rtol=1e-4, atol=1e-6):
    assert one.keys() == other.keys()
    for key, value in one.items():
        torch.testing.assert_close(value, other[key], rtol=rtol, atol=atol)


@pytest.mark.parametrize("name", ["plain", "relaxed", "rmi", "sharded"])
def test_two_processes_equal_one(camvid, tmp_path, name):
    """Two processes with half of the batch each give the weights of one process with all of it."""
    alone = shared(name, camvid)
    fit(dataclasses.replace(alone, engine=shared("plain", camvid).engine), tmp_path / "one", device="cpu")
    done = torchrun(2, name, str(camvid), str(tmp_path / "two"))
    assert done.returncode == 0, done.stderr[-3000:]
    # The published +1 that guards the binary cross entropy of RMI against empty batches counts once per part.
    tolerance = 2e-3 if name == "rmi" else 1e-4
    assert_close(weights_of(tmp_path / "one"), weights_of(tmp_path / "two"), tolerance, tolerance / 100)
    scores = [last_scores(tmp_path / run)["protocol"]["images"] for run in ("one", "two")]
    assert scores[0] == scores[1] == 2


def test_the_weights_that_are_saved_are_those_that_were_scored(camvid, tmp_path):
    """Running statistics are each process's own; and an auxiliary output of weight 0 is no obstacle."""
    done = torchrun(2, "normalized", str(camvid), str(tmp_path))
    assert done.returncode == 0, done.stderr[-3000:]
    predictor = load(tmp_path / "last.safetensors", device="cpu", trust_code=True)
    found = Scores.from_confusion(evaluate(predictor, open_source(camvid), "test"))
    assert last_scores(tmp_path)["pixel_accuracy"] == found.pixel_accuracy


def test_every_process_needs_a_gpu(monkeypatch):
    monkeypatch.setattr("roadseg.training.distributed.choose_device", torch.device)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(RecipeError, match=r"process 3 of this machine has no GPU .* --nproc-per-node 2"):
        join("cuda")


def test_compressed_gradients_are_nearly_the_same(camvid, tmp_path):
    fit(shared("plain", camvid), tmp_path / "one", device="cpu")
    done = torchrun(2, "compressed", str(camvid), str(tmp_path / "two"))
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = weights_of(tmp_path / "one"), weights_of(tmp_path / "two")
    assert_close(one, two, rtol=0.05, atol=5e-3)
    assert any(not torch.equal(value, two[key]) for key, value in one.items())


def test_a_run_goes_on_with_another_number_of_processes(camvid, tmp_path):
    fit(shared("relaxed", camvid), tmp_path / "whole", device="cpu")
    done = torchrun(2, "relaxed", str(camvid), str(tmp_path / "parts"), "--max-steps", "3")
    assert done.returncode == 0, done.stderr[-3000:]
    state = load_state(tmp_path / "parts" / "last.pt")
    assert (state["step"], state["devices"]) == (3, 2)
    result = fit(shared("relaxed", camvid), tmp_path / "parts", device="cpu", resume=True)
    assert result.finished
    assert_close(weights_of(tmp_path / "whole"), weights_of(tmp_path / "parts"))


def test_a_process_that_dies_ends_the_run_with_one_sentence(camvid, tmp_path):
    done = torchrun(2, "mortal", str(camvid), str(tmp_path), "--max-steps", "2")
    assert done.returncode == 0, done.stderr[-3000:]
    done = torchrun(2, "mortal", str(camvid), str(tmp_path), "--resume")
    assert done.returncode != 0
    assert "RunError: " in done.stderr
    assert (
        "another process of the run has ended; see what it said last; then go on with --resume" in done.stderr
    )
    state = load_state(tmp_path / "last.pt")
    assert state["step"] >= 2
    plan = dataclasses.replace(shared("mortal", camvid))
    assert fit(plan, tmp_path, device="cpu", resume=True).finished
