"""ESPNet's published Cityscapes weights against label maps made with the published implementation.

Those maps were made from a PNG; here is a JPEG (quality 95) of the same frame, so near ties fall differently. Pixels
whose best two scores are well apart must agree all the same, which a wrong channel order, a wrong normalisation or a
wrong ``align_corners`` fails by a factor of a hundred.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from roadseg.models.blocks import resize
from roadseg.models.weights import build_for, load_weights, read_state

FRAME = "frankfurt_000000_000294_leftImg8bit"
FILES = {
    "pretrained/decoder/espnet_p_2_q_3.pth": "espnet_p_2_q_3.pth",
    "pretrained/decoder/espnet_p_2_q_8.pth": "espnet_p_2_q_8.pth",
    "pretrained/encoder/espnet_p_2_q_8.pth": "espnet_c_encoder_p_2_q_8.pth",
}
SAMPLED = (128, 256)  # the stored logits are every 128th row and every 256th column
CLEAR = 3.0  # difference of logits
# The share of all pixels that agreed when measured was 0.9841 (q3), 0.9892 (q8), 0.9923 and 0.9922 (ESPNet-C).
AGREEMENT = {"decoder_q3": 0.982, "decoder_q8": 0.987, "encoder_q8_upF": 0.990, "encoder_q8_upT": 0.990}


@pytest.fixture(scope="module")
def reference(shared: Path) -> dict[str, Any]:
    return json.loads((shared / "golden" / "espnet_real" / "espnet_real.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def images(shared: Path, reference: dict[str, Any]) -> torch.Tensor:
    """The frame as the published script prepares it: normalised, then resized, then divided by 255."""
    path = shared / "data" / "cityscapes_samples" / f"{FRAME}.jpg"
    bgr = np.asarray(Image.open(path).convert("RGB"), dtype=np.float32)[..., ::-1]
    scaled = (bgr - np.float32(reference["mean_bgr"])) / np.float32(reference["std_bgr"])
    tensor = torch.from_numpy(np.ascontiguousarray(scaled.transpose(2, 0, 1)))[None]
    return resize(tensor, (512, 1024), align_corners=False) / 255


@pytest.fixture(params=AGREEMENT)
def case(
    request: pytest.FixtureRequest, shared: Path, reference: dict[str, Any], images: torch.Tensor
) -> tuple[str, dict[str, Any], torch.Tensor, np.ndarray]:
    name = f"{request.param}__{FRAME}.png"
    facts = reference["files"][name]
    path = shared / "data" / "weights" / "espnet" / FILES[facts["weights"]]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == facts["weights_sha256"]
    file = read_state(path)
    model = build_for(file).eval()
    load_weights(model, file)
    with torch.no_grad():
        logits = resize(model(images).logits, (512, 1024), align_corners=request.param.endswith("upT"))
    want = np.asarray(Image.open(shared / "golden" / "espnet_real" / name))
    assert np.bincount(want.ravel(), minlength=20).tolist() == facts["hist"]
    return request.param, facts, logits, want


def test_published_weights_label_the_frame_alike(
    case: tuple[str, dict[str, Any], torch.Tensor, np.ndarray],
) -> None:
    name, facts, logits, want = case
    agree = torch.from_numpy(want.astype(np.int64)) == logits[0].argmax(0)
    assert agree.float().mean() >= AGREEMENT[name]
    best = logits[0].topk(2, dim=0).values
    clear = best[0] - best[1] > CLEAR
    assert clear.float().mean() > 0.65
    assert (agree[clear]).float().mean() > 0.9999

    sampled = logits[0, :, :: SAMPLED[0], :: SAMPLED[1]].flatten()
    difference = (sampled - torch.tensor(facts["logits_32nd"])).abs()
    assert difference.median() < 0.08
    assert logits.std().item() == pytest.approx(facts["logit_std"], rel=0.01)
