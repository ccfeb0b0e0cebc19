"""ESPNetv2's published Cityscapes weights on two frames of Cityscapes, beside what the published code reaches there.

Its scores were measured on the lossless frames; here are JPEGs (quality 95) of them, so they differ by a point. A wrong
dilation, channel order or ``align_corners`` costs 2.5 to 30 points on at least one of them.
"""

from pathlib import Path

import pytest
from benchmarks.published_weights import FRAMES, on_frame, published

from roadseg.models.weights import build_for, load_weights, read_state, recognize

# Size, frame, mIoU and accuracy of the published code.
KNOWN = [
    ("0.5", FRAMES[0], 55.1, 89.5),
    ("0.5", FRAMES[1], 58.2, 86.3),
    ("2.0", FRAMES[0], 68.1, 94.1),
    ("2.0", FRAMES[1], 72.0, 95.2),
]


def _weights(shared: Path, size: str) -> Path:
    return shared / "data" / "weights" / "espnetv2" / f"espnetv2_s_{size}_city_1024x512.pth"


@pytest.mark.parametrize(("size", "name"), [("0.5", "espnetv2-s05"), ("2.0", "espnetv2-s20")])
def test_published_weights_fit_completely(shared: Path, size: str, name: str) -> None:
    file = read_state(_weights(shared, size))
    layout, found = recognize(file)
    assert layout.name == "sacmehta/espnetv2"
    assert (found.model, found.num_classes) == (name, 20)
    report = load_weights(build_for(file), file)
    assert len(file.state) - report.loaded == 3  # slopes that the published network does not use


@pytest.mark.parametrize(("size", "frame", "miou", "accuracy"), KNOWN)
def test_published_weights_score_as_published(
    shared: Path, size: str, frame: str, miou: float, accuracy: float
) -> None:
    scores = on_frame(published(_weights(shared, size)), shared / "data" / "cityscapes_samples", frame)
    assert 100 * scores.miou == pytest.approx(miou, abs=1.6)
    assert 100 * scores.pixel_accuracy == pytest.approx(accuracy, abs=1.6)
