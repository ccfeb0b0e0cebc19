"""Warping, FlowNet 2.0 and SDC-Net2D against the published implementations, filled with the same weights."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from roadseg.losses.video_prediction import VideoPredictionLoss
from roadseg.models.flownet2 import FlowNet2
from roadseg.models.sdcnet import SDCNet2D
from roadseg.models.warping import channel_norm, correlation, displaced_convolution, warp
from tests.golden.filling import _generator, fill_state, noise

TOLERANCE = 1e-5
SIZE = (128, 192)


def arrays(path: Path) -> dict[str, torch.Tensor]:
    with np.load(path) as stored:
        return {name: torch.from_numpy(stored[name]) for name in stored}


def error(mine: torch.Tensor, want: torch.Tensor) -> float:
    """The largest difference, relative to the largest value."""
    assert mine.shape == want.shape
    return float((mine - want).abs().max() / want.abs().max())


@dataclass(frozen=True)
class Golden:
    facts: dict[str, Any]
    outputs: dict[str, torch.Tensor]

    def fill(self, network: nn.Module, given: Mapping[str, torch.Tensor]) -> nn.Module:
        """Give a network on no device the weights of this file, without a copy; it must have the file's layout."""
        shapes = {key: shape for key, shape, _ in self.facts["layout"]}
        assert {key: list(value.shape) for key, value in network.state_dict().items()} == shapes
        assert sum(value.numel() for value in network.parameters()) == self.facts["params"]
        todo = {key: shape for key, shape in shapes.items() if key not in given}
        network.load_state_dict({**fill_state(todo, self.facts["gain"]), **given}, assign=True)
        return network.eval()


def golden(shared: Path, name: str) -> Golden:
    folder = shared / "golden" / "video"
    facts = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return Golden(facts, arrays(folder / f"{name}.npz"))


@pytest.fixture(scope="module")
def frames() -> torch.Tensor:
    """Three frames ``[1, 3, 3, H, W]`` of one picture that moves; in the channel order of the published code."""
    coarse = noise((1, 3, SIZE[0] // 8, SIZE[1] // 8)) * 45 + 120
    base = F.interpolate(coarse, SIZE, mode="bilinear", align_corners=False).clamp(0, 255)
    return torch.stack([torch.roll(base, (k, 2 * k), (2, 3)) for k in range(3)], dim=1)


def test_operations(shared: Path) -> None:
    given = arrays(shared / "golden" / "video" / "ops.npz")
    assert error(warp(given["img"], given["flow"]), given["warp_bilinear"]) < TOLERANCE
    assert torch.equal(warp(given["img"], given["flow"], "nearest"), given["warp_nearest"])
    assert error(channel_norm(given["img"]), given["channelnorm"]) < TOLERANCE
    want = given["correlation_pad20_k1_d20_s1_1_s2_2"]
    assert error(correlation(given["corr_a"], given["corr_b"]), want) < TOLERANCE


def test_operations_in_double_precision(shared: Path) -> None:
    given = arrays(shared / "golden" / "nvidia" / "nvidia_golden_warp.npz")
    assert error(warp(given["warp_img"], given["flow"]), given["warp_bilinear"]) < 1e-12
    assert torch.equal(warp(given["warp_img"], given["flow"], "nearest"), given["warp_nearest"])
    found = displaced_convolution(given["sdc_img"], given["sdc_kv"], given["sdc_kh"], given["flow"])
    assert error(found, given["sdc_out"]) < 1e-12


@torch.inference_mode()
def test_flownet2(shared: Path, frames: torch.Tensor) -> None:
    reference = golden(shared, "flownet2")
    with torch.device("meta"):
        network = FlowNet2()
    network = reference.fill(network, {})
    assert error(network(frames[:, 0], frames[:, 1]), reference.outputs["flow"]) < TOLERANCE


@torch.inference_mode()
def test_sdcnet(shared: Path, frames: torch.Tensor) -> None:
    rgb = frames.flip(2)
    given = dict(SDCNet2D(width=1 / 64, flow="given").named_buffers())  # constants are left as they are built
    for name in ("sdcnet2d_recon", "sdcnet2d"):
        reference = golden(shared, name)
        with torch.device("meta"):
            network = SDCNet2D(reconstruction=name.endswith("recon"))
        network = reference.fill(network, given)
        if network.reconstruction:
            flows = network.flownet2(frames[0, 1:], frames[0, :-1])[None]
            # Both files have the same FlowNet2.
            given |= {
                key: value for key, value in network.state_dict().items() if key.startswith("flownet2.")
            }
            made = network(rgb)
        else:
            made = network(rgb, flows[:, :1])
        _compare(reference.outputs, made, flows, frames[:, 2])


def _compare(want: dict[str, torch.Tensor], made: Any, flows: torch.Tensor, target: torch.Tensor) -> None:
    for name, value in want.items():
        if name.startswith("flownet_"):
            assert error(flows[:, int(name[-1])], value) < TOLERANCE
    assert error(made.flow, want["flow_prediction"]) < TOLERANCE
    image = made.image.flip(1)
    assert error(image[..., ::2, ::2], want["image_prediction"]) < TOLERANCE
    labels = torch.from_numpy(_generator("lab").integers(0, 19, (1, 1, *SIZE)))
    assert torch.equal(warp(labels, made.flow, "nearest"), want["label_prediction"].to(labels.dtype))
    loss = VideoPredictionLoss()
    losses = [*loss.terms(image, target, made.flow), loss(image, target, made.flow)]
    assert error(torch.stack(losses), want["losses"]) < TOLERANCE
