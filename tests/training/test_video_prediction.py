import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from roadseg.errors import RecipeError, RunError
from roadseg.inference.motion_weights import load_motion
from roadseg.models.sdcnet import SDCNet2D
from roadseg.recipes import AdamW, FrameNetwork, Milestones, Poly, VideoPrediction, Videos
from roadseg.training.checkpoint import load_state
from roadseg.training.distributed import World
from roadseg.training.motion_start import fresh_network
from roadseg.training.schedule import learning_rate
from roadseg.training.video_prediction import train_video_prediction
from tests.videos import panned


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return panned(tmp_path_factory.mktemp("videos"), {"train": 2, "val": 1}, frames=4)


def still(target, source):
    """Flow that a network is handed: none."""
    return np.zeros((*target.shape[:2], 2), np.float32)


def plan(root: Path, **changes: object) -> VideoPrediction:
    made = VideoPrediction(
        name="tiny.videos",
        paper="none",
        network=FrameNetwork(width=0.05, flow="dis"),
        data=Videos(root=str(root), val_frames=2),
        crop=(64, 64),
        optim=AdamW(lr=2e-3, weight_decay=0.0, decoupled=False),
        schedule=Poly(),
        epochs=1,
        steps=24,
        batch_size=2,
        eval_every=3,
        workers=0,
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def train(recipe: VideoPrediction, out: Path, **options: object):
    return train_video_prediction(recipe, out, flow_between=still, device="cpu", **options)


def test_training_predicts_better_and_better(videos, tmp_path):
    """Everything moves by the same flow: a network that saw it knows more than one that sees no motion."""
    result = train(plan(videos), tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert result.finished
    assert [row["step"] for row in rows] == [6, 12, 18, 24]  # two clips have four triplets
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert result.best == max(row["val"]["psnr"] for row in rows)
    assert result.best > rows[0]["val"]["copy"]["psnr"] + 0.3  # which is what the untrained network gives
    assert rows[-1]["val"]["ssim"] > rows[0]["val"]["copy"]["ssim"]
    assert rows[-1]["val"]["frames"] == 2
    assert json.loads((tmp_path / "run.json").read_text())["recipe"]["kind"] == "VideoPrediction"
    assert json.loads((tmp_path / "result.json").read_text())["finished"]

    network, card = load_motion(result.weights)
    assert card.flow == "dis"
    assert card.provenance["recipe"]["name"] == "tiny.videos"
    assert card.scores["psnr"] == result.best
    frames = torch.rand(1, 3, 3, 64, 64) * 255
    flow = network(frames, torch.zeros(1, 1, 2, 64, 64)).flow
    assert flow[:, 0].mean() > 0.1  # what is now here was to the right before


def test_an_interrupted_run_ends_bit_identical(videos, tmp_path):
    recipe = plan(videos, steps=6, flip=0.5, reverse=0.5, clip_norm=1.0)
    train(recipe, tmp_path / "whole")
    stopped = train(recipe, tmp_path / "parts", max_steps=2)
    assert (stopped.steps, stopped.finished) == (2, False)
    train(recipe, tmp_path / "parts", resume=True)
    one, other = (load_state(tmp_path / name / "last.pt")["model"] for name in ("whole", "parts"))
    assert all(torch.equal(one[key], other[key]) for key in one)
    notes = [
        [{**json.loads(line), "seconds": 0, "cpu_seconds": 0, "waiting": 0, "loss": 0} for line in text]
        for name in ("whole", "parts")
        for text in [(tmp_path / name / "metrics.jsonl").read_text().splitlines()]
    ]
    assert notes[0] == notes[1]
    with pytest.raises(RecipeError, match=r"flip was 0\.5 and is 0\.0"):
        train(plan(videos, steps=6, reverse=0.5, clip_norm=1.0), tmp_path / "parts", resume=True)


@pytest.mark.parametrize("reconstruction", [False, True])
def test_a_network_can_start_at_the_flow_that_it_is_handed(reconstruction):
    torch.manual_seed(1)
    network, _ = fresh_network(
        FrameNetwork(reconstruction=reconstruction, width=0.05, flow="dis", starts_at="flow")
    )
    flows = 20 * torch.randn(1, network.num_flows, 2, 64, 64)
    made = network(torch.rand(1, 3, 3, 64, 64) * 255, flows)
    assert torch.allclose(made.flow, flows[:, -1], atol=1e-4)
    rest, _ = fresh_network(FrameNetwork(reconstruction=reconstruction, width=0.05, flow="dis"))
    assert rest(torch.rand(1, 3, 3, 64, 64) * 255, flows).flow.abs().max() < 1e-4


def test_flownet_inside_starts_from_its_own_weights_and_keeps_them(videos, tmp_path):
    torch.manual_seed(3)
    trained = SDCNet2D(width=0.05).flownet2
    torch.save({"state_dict": trained.state_dict()}, tmp_path / "flownet2.pth")
    spec = FrameNetwork(width=0.05, weights=str(tmp_path / "flownet2.pth"))
    _, note = fresh_network(spec)
    assert "its FlowNet2 starts from" in (note or "")
    train(plan(videos, network=spec, steps=2, data=Videos(root=str(videos), val="")), tmp_path / "run")
    network, card = load_motion(tmp_path / "run" / "last.safetensors")
    assert card.flow == "flownet2"
    after = network.flownet2.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in trained.state_dict().items())
    assert network.final_flow.weight.abs().sum() > 0


def test_flow_that_nothing_computes_is_asked_for(videos, tmp_path):
    with pytest.raises(RecipeError, match="nothing computes it"):
        train_video_prediction(plan(videos), tmp_path, device="cpu")
    with pytest.raises(RecipeError, match="--data FOLDER"):
        train(plan(Path(), data=Videos()), tmp_path)
    with pytest.raises(RecipeError, match="validates on 0 frames"):
        train(plan(videos, data=Videos(root=str(videos), val_frames=0)), tmp_path)


def test_a_run_goes_on_where_gradients_have_to_be_scaled(videos, tmp_path, monkeypatch):
    recipe = plan(videos, steps=2)
    train(recipe, tmp_path, max_steps=1)
    monkeypatch.setattr(
        "roadseg.training.video_prediction.gradient_scaler", lambda *_: torch.amp.GradScaler("cpu")
    )
    assert train(recipe, tmp_path, resume=True).finished


def test_a_lost_process_is_told(videos, tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("Connection closed by peer [127.0.0.1]:1")

    world = World(0, 2, torch.device("cpu"))
    monkeypatch.setattr("roadseg.training.video_prediction.join", lambda _device: world)
    monkeypatch.setattr("roadseg.training.video_prediction._Run", broken)
    with pytest.raises(RunError, match="another process of the run has ended"):
        train(plan(videos), tmp_path)


def test_rates_fall_at_milestones():
    schedule = Milestones(epochs=(2, 4), factor=0.1)
    rates = [learning_rate(schedule, 1e-4, step, 60, 10) for step in (0, 19, 20, 39, 40, 59)]
    assert rates == pytest.approx([1e-4, 1e-4, 1e-5, 1e-5, 1e-6, 1e-6])
