"""Hard example mining, and criteria composed of it, against values of the published implementation (Fast_Seg)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from roadseg.losses import Criterion, CrossEntropyLoss, OhemLoss, OutputLoss

IGNORE = 255
VALUE, GRADIENT = 1e-5, 1e-4  # relative; of the gradient's largest value
# The weights that the published code gives the 19 classes of Cityscapes.
WEIGHTS = (
    *(0.8373, 0.918, 0.866, 1.0345, 1.0166, 0.9969, 0.9754, 1.0489, 0.8786, 1.0023),
    *(0.9539, 0.9843, 1.1116, 0.9037, 1.0865, 1.0955, 1.0865, 1.1529, 1.0507),
)
MINED = (
    "ohem_t0.7_k100000_w0",
    "ohem_t0.7_k256_w0",
    "ohem_t0.7_k1500_w0",
    "ohem_t0.2_k900_w0",
    "ohem_t0.7_k0_w0",
    "ohem_t0.6_k256_w1",
)
Golden = tuple[dict[str, Any], dict[str, np.ndarray]]


@pytest.fixture(scope="module")
def golden(shared: Path) -> Golden:
    folder = shared / "golden" / "losses"
    cases = json.loads((folder / "fastseg_ohem.json").read_text(encoding="utf-8"))["cases"]
    with np.load(folder / "fastseg_ohem.npz") as arrays:
        return cases, dict(arrays)


def assert_gradient(found: torch.Tensor | None, want: np.ndarray) -> None:
    assert found is not None
    assert np.abs(found.numpy() - want).max() <= GRADIENT * np.abs(want).max()


@pytest.mark.parametrize("name", MINED)
def test_mining(golden: Golden, name: str) -> None:
    cases, arrays = golden
    case = cases[name]
    weights = torch.tensor(WEIGHTS) if case["use_weight"] else None
    criterion = OhemLoss(IGNORE, threshold=case["thresh"], min_kept=case["min_kept"], class_weights=weights)
    logits = torch.from_numpy(arrays["logits"]).requires_grad_()
    mask = torch.from_numpy(arrays["target"])
    loss = criterion(logits, mask)
    loss.backward()
    assert loss.item() == pytest.approx(case["loss"], rel=VALUE)
    assert_gradient(logits.grad, arrays[f"{name}__grad"])


@pytest.mark.parametrize("name", MINED)
def test_as_many_pixels_are_kept(golden: Golden, name: str) -> None:
    cases, arrays = golden
    case = cases[name]
    mask = torch.from_numpy(arrays["target"])
    loss = torch.nn.functional.cross_entropy(
        torch.from_numpy(arrays["logits"]), mask.long(), ignore_index=IGNORE, reduction="none"
    )
    kept = OhemLoss(IGNORE, threshold=case["thresh"], min_kept=case["min_kept"]).kept(loss, mask != IGNORE)
    assert int(kept.sum()) == case["kept_pixels"]


@pytest.mark.parametrize(
    ("name", "aux", "outputs"),
    [("CriterionOhemDSN", "plain", 2), ("CriterionICNet", "mined", 4), ("CriterionDFANet", "mined", 3)],
)
def test_composed_criteria(golden: Golden, name: str, aux: str, outputs: int) -> None:
    cases, arrays = golden
    case = cases[name]
    mined = OhemLoss(IGNORE, threshold=case["thresh"], min_kept=case["min_kept"])
    guide: Criterion = CrossEntropyLoss(IGNORE) if aux == "plain" else mined
    loss = OutputLoss(mined, aux=guide, aux_weights=(0.4,), aux_at="image", align_corners=True)
    predictions = [torch.from_numpy(arrays[f"pred{i}"]).requires_grad_() for i in range(outputs)]
    value = loss(predictions[0], torch.from_numpy(arrays["target"]), predictions[1:])
    value.backward()
    assert value.item() == pytest.approx(case["loss"], rel=VALUE)
    for index, prediction in enumerate(predictions):
        assert_gradient(prediction.grad, arrays[f"{name}__grad{index}"])
