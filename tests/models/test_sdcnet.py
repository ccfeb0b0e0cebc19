from pathlib import Path

import pytest
import torch

from roadseg.errors import WeightsError
from roadseg.losses.video_prediction import VideoPredictionLoss
from roadseg.models.sdcnet import SDCNet2D
from roadseg.models.warping import warp
from roadseg.models.weights import load_weights

NARROW = 1 / 32


def stirred(**options: object) -> SDCNet2D:
    """A narrow network whose last layer is not at its start."""
    network = SDCNet2D(width=NARROW, **options)
    torch.nn.init.normal_(network.final_flow.weight, std=0.05)
    return network.eval()


@pytest.mark.parametrize(("reconstruction", "count"), [(False, 172_209_324), (True, 172_217_254)])
def test_published_size(reconstruction: bool, count: int) -> None:
    with torch.device("meta"):
        network = SDCNet2D(reconstruction=reconstruction)
    assert sum(value.numel() for value in network.parameters()) == count
    assert len(network.state_dict()) == 257


@pytest.mark.parametrize("reconstruction", [False, True])
@torch.no_grad()
def test_fresh_weights_predict_no_motion(reconstruction: bool) -> None:
    network = SDCNet2D(reconstruction=reconstruction, width=NARROW, flow="given")
    frames = torch.rand(2, 3, 3, 50, 70) * 255
    made = network(frames, torch.randn(2, network.num_flows, 2, 50, 70))
    assert made.flow.shape == (2, 2, 50, 70)
    assert made.flow.abs().max() < 1e-5
    assert torch.allclose(made.image, frames[:, 1], atol=1e-2)


@pytest.mark.parametrize("reconstruction", [False, True])
@torch.no_grad()
def test_can_start_at_the_latest_flow(reconstruction: bool) -> None:
    network = SDCNet2D(reconstruction=reconstruction, width=NARROW, flow="given")
    network.start_at_latest_flow()
    flows = torch.randn(2, network.num_flows, 2, 64, 64) * 5
    made = network(torch.rand(2, 3, 3, 64, 64) * 255, flows)
    assert torch.allclose(made.flow, flows[:, -1], atol=1e-4)


@torch.no_grad()
def test_the_image_is_the_last_known_frame_moved() -> None:
    network = stirred(flow="given")
    frames = torch.rand(1, 3, 3, 65, 40) * 255
    made = network(frames, torch.zeros(1, 1, 2, 65, 40))
    assert made.flow.std() > 0.1
    assert torch.equal(made.image, warp(frames[:, 1], made.flow))


@torch.no_grad()
def test_only_reconstruction_sees_the_frame_to_make() -> None:
    frames = torch.rand(1, 3, 3, 64, 64) * 255
    other = frames.clone()
    other[:, 2] = 0
    network, flows = stirred(flow="given"), torch.zeros(1, 2, 2, 64, 64)
    want = network(frames, flows[:, :1]).flow
    assert torch.equal(network(other, flows[:, :1]).flow, want)
    assert torch.equal(network(frames[:, :2], flows[:, :1]).flow, want)
    network = stirred(flow="given", reconstruction=True)
    assert not torch.allclose(network(frames, flows).flow, network(other, flows).flow, atol=1e-3)


@pytest.mark.parametrize("reconstruction", [False, True])
@torch.no_grad()
def test_flows_are_those_from_each_frame_to_the_one_before(reconstruction: bool) -> None:
    network = stirred(reconstruction=reconstruction)
    frames = torch.rand(2, 3, 3, 64, 64) * 255
    assert network.flownet2 is not None
    pairs = [(1, 0), (2, 1)][: network.num_flows]
    bgr = frames.flip(2)
    flows = torch.stack([network.flownet2(bgr[:, late], bgr[:, early]) for late, early in pairs], dim=1)
    assert flows.abs().max() > 1e-3
    assert torch.allclose(network(frames).flow, network(frames, flows).flow, atol=1e-4)


def test_learns_a_steady_motion() -> None:
    network = SDCNet2D(width=NARROW, flow="given")
    coarse = torch.rand(1, 3, 11, 11)
    wide = torch.nn.functional.interpolate(coarse, (80, 80), mode="bicubic").clamp(0, 1) * 255
    frames = torch.stack([wide[..., :64, 3 * k : 3 * k + 64] for k in range(3)], dim=1)
    flows = torch.zeros(1, 1, 2, 64, 64)
    flows[:, :, 0] = 3
    loss = VideoPredictionLoss()
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    course = []
    for _ in range(25):
        made = network(frames, flows)
        value = loss(made.image, frames[:, 2], made.flow)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        course.append(value.item())
    assert course[-1] < 0.5 * course[0]
    assert made.flow[:, 0].mean() > 1.5


@pytest.mark.parametrize(
    ("frames", "flows", "words"),
    [
        ((1, 3, 3, 8, 8), None, "flow='given'"),
        ((1, 1, 3, 8, 8), (1, 1, 2, 8, 8), "frames are"),
        ((3, 3, 8, 8), (1, 1, 2, 8, 8), "frames are"),
        ((1, 3, 3, 8, 8), (1, 2, 2, 8, 8), "flows are"),
        ((1, 3, 3, 8, 8), (1, 1, 2, 8, 4), "flows are"),
    ],
)
def test_what_does_not_fit_is_named(
    frames: tuple[int, ...], flows: tuple[int, ...] | None, words: str
) -> None:
    network = SDCNet2D(width=NARROW, flow="given")
    with pytest.raises(ValueError, match=words):
        network(torch.zeros(frames), None if flows is None else torch.zeros(flows))


def test_a_published_checkpoint_loads(tmp_path: Path) -> None:
    saved, network = stirred(reconstruction=True), SDCNet2D(reconstruction=True, width=NARROW)
    state = {f"module.{key}": value for key, value in saved.state_dict().items()}
    torch.save({"epoch": 3, "arch": "SDCNet2DRecon", "state_dict": state}, tmp_path / "sdc.pth")
    assert load_weights(network, tmp_path / "sdc.pth").loaded == 257
    frames = torch.rand(1, 3, 3, 64, 64) * 255
    with torch.no_grad():
        assert torch.equal(network.eval()(frames).flow, saved(frames).flow)


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    state = SDCNet2D(width=NARROW, flow="given").state_dict()
    state["extra.weight"] = state.pop("conv5.0.bias")
    torch.save(state, tmp_path / "sdc.pth")
    network = SDCNet2D(width=NARROW, flow="given")
    with pytest.raises(WeightsError, match=r"1 missing \(conv5.0.bias\), 1 unexpected \(extra.weight\)"):
        load_weights(network, tmp_path / "sdc.pth")
