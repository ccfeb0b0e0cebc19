"""Multi-scale sliding inference as MSeg publishes it, against its own output."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from roadseg.inference import Flip, MultiScale, Probabilities, Sliding, Whole, normalize
from roadseg.inference.strategies import Strategy
from roadseg.models.output import Output
from roadseg.recipes import Preprocess
from tests.golden.filling import fill_state

TOLERANCE = 5e-5


class Convolution(nn.Module):
    """One convolution whose cells lie on every fourth pixel, the last one included where sides are 4k + 1."""

    num_classes, stride, align_corners = 6, 4, True

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 6, 3, stride=4, padding=1))

    def forward(self, images: torch.Tensor) -> Output:
        return Output(self.net(images))


def published(case: dict, **changes: object) -> Strategy:
    """The protocol: windows two thirds apart, flips within windows, probabilities averaged everywhere."""
    view = Flip(Probabilities(Whole(extend=False)))
    windows = Sliding(case["crop"], overlap=1 / 3, pad=True, inner=view, **changes)
    return MultiScale(tuple(case["scales"]), short_side=case["base_size"], inner=windows)


@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize("batch", [1, 3])
def test_mseg_inference(shared: Path, index: int, batch: int) -> None:
    folder = shared / "golden" / "mseg_infer"
    facts = json.loads((folder / "mseg_infer.json").read_text())
    case = facts["cases"][f"case{index}"]
    with np.load(folder / "mseg_infer.npz") as arrays:
        image, expected, labels = (arrays[f"{name}{index}"] for name in ("image", "prob", "label"))
    model = Convolution().eval()
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    model.load_state_dict(fill_state(shapes, gain=2.0, suffix=facts["suffix"]))
    spec = Preprocess(mean=tuple(case["mean"]), std=tuple(case["std"]))
    images = normalize(torch.from_numpy(image).permute(2, 0, 1)[None], spec)
    strategy = published(case, batch=batch)
    assert isinstance(strategy, MultiScale)
    sizes = [list(strategy.size_at(tuple(case["hw"]), scale)) for scale in case["scales"]]
    assert sizes == case["scaled_hw"]
    with torch.inference_mode():
        found = strategy(model, images).scores[0].permute(1, 2, 0).numpy()
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max()
    gap = np.diff(np.sort(expected, -1)[..., -2:], axis=-1)[..., 0]
    assert (found.argmax(-1) == labels)[gap > 1e-4].all()
