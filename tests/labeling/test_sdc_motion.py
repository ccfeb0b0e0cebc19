import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from roadseg.errors import DataError, WeightsError
from roadseg.inference.motion_weights import MotionCard, load_motion, save_motion
from roadseg.labeling.motion import Step, open_motion
from roadseg.labeling.sdc_motion import SdcMotion, dis_flow
from roadseg.models.bundled import CARD_KEY
from roadseg.models.sdcnet import SDCNet2D
from roadseg.recipes import FrameNetwork
from roadseg.training.motion_start import fresh_network, motion_card
from tests.videos import PAN, texture

SIZE = (70, 90)  # no multiple of what the network pads to
FILES = (Path("0.png"), Path("1.png"), Path("2.png"))


@pytest.fixture(scope="module")
def step() -> Step:
    """Three frames of a camera that moves by `PAN`."""
    ground = texture(0, (SIZE[0] + 2 * PAN[1], SIZE[1] + 2 * PAN[0]))
    x, y = PAN
    frames = [ground[k * y : k * y + SIZE[0], k * x : k * x + SIZE[1]] for k in range(3)]
    return Step(*frames, FILES)


def weights(folder: Path, **options: object) -> Path:
    spec = FrameNetwork(width=0.05, flow="dis", starts_at="flow", **options)
    network, _ = fresh_network(spec)
    save_motion(folder / "net.safetensors", network, motion_card(spec))
    return folder / "net.safetensors"


@pytest.mark.parametrize("reconstruction", [False, True])
def test_the_flow_leads_from_the_target_to_the_source(tmp_path, step, reconstruction):
    motion = open_motion(f"sdc:{weights(tmp_path, reconstruction=reconstruction)}")
    flow = motion(step)
    assert flow.shape == (*SIZE, 2)
    assert flow.dtype == np.float32
    assert np.median(flow, axis=(0, 1)) == pytest.approx(PAN, abs=0.3)
    shown = (step.target, step.source) if reconstruction else (step.source, step.before)
    assert np.allclose(flow, dis_flow(*shown), atol=1e-3)
    assert motion.needs_before
    assert motion.name.startswith("sdcnet2d:net.safetensors@")


def test_without_a_frame_before_only_reconstruction_goes_on(tmp_path, step):
    alone = step._replace(before=None, files=(None, *FILES[1:]))
    with pytest.raises(DataError, match=r"1\.png: has no frame before it"):
        SdcMotion(weights(tmp_path))(alone)
    (tmp_path / "recon").mkdir()
    flow = SdcMotion(weights(tmp_path / "recon", reconstruction=True))(alone)
    assert np.allclose(flow, dis_flow(step.target, step.source), atol=1e-3)


@pytest.mark.parametrize("reconstruction", [False, True])
def test_a_published_checkpoint_is_told_by_its_tensors(tmp_path, reconstruction):
    torch.manual_seed(2)
    network = SDCNet2D(reconstruction=reconstruction, width=1 / 32)
    state = {f"module.{key}": value for key, value in network.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 400}, tmp_path / "sdc.pth")
    found, card = load_motion(tmp_path / "sdc.pth")
    assert (card.reconstruction, card.width, card.flow) == (reconstruction, 1 / 32, "flownet2")
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in found.state_dict().items())


def test_flow_of_a_network_that_finds_flow_itself(tmp_path, step):
    network, _ = fresh_network(FrameNetwork(width=0.03, starts_at="flow"))
    save_motion(tmp_path / "net.safetensors", network, motion_card(FrameNetwork(width=0.03)))
    assert np.isfinite(SdcMotion(tmp_path / "net.safetensors")(step)).all()


def test_other_weights_are_refused(tmp_path):
    torch.save({"conv1.0.weight": torch.zeros(32, 3, 7, 7)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="holds no network that predicts motion"):
        SdcMotion(tmp_path / "other.pth")
    path = weights(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'\\"kind\\": \\"motion\\"', b'\\"kind\\": \\"nothin\\"'))
    with pytest.raises(WeightsError, match="no weights of motion"):
        SdcMotion(path)


@pytest.mark.parametrize("card", [[], {"kind": "motion", "format": 1, "width": "wide"}])
def test_a_damaged_card_is_told(tmp_path, card):
    file = tmp_path / "net.safetensors"
    if card:
        card = {**MotionCard(reconstruction=False, width=1.0, flow="dis").to_json(), **card}
    save_file({"x": torch.zeros(1)}, file, metadata={CARD_KEY: json.dumps(card)})
    with pytest.raises(WeightsError, match="holds no network that predicts motion"):
        SdcMotion(file)
