"""CGNet's published CamVid weights on images of CamVid's test split.

``benchmarks/published_weights.py`` scores the whole split: 65.26, to the last digit and in every class what the
published code reaches on these files. A few images guard that here.
"""

from pathlib import Path

import pytest
from benchmarks.published_weights import on_camvid, published

from roadseg.models.weights import build_for, load_weights, read_state, recognize

WEIGHTS = Path("data/weights/cgnet/cgnet_m3n21_camvid_trainval_ep800.pth")
EVERY = 40  # six images
MIOU, ACCURACY = 63.91, 91.74


def test_published_weights_fit_completely(shared: Path) -> None:
    file = read_state(shared / WEIGHTS)
    layout, found = recognize(file)
    assert layout.name == "wutianyi/cgnet"
    assert str(found) == "cgnet (m=3, n=21), 11 classes"
    report = load_weights(build_for(file), file)
    assert report.loaded == len(file.state)
    assert report.flushed > 0  # half of the published values are denormal


def test_published_weights_score_as_published(shared: Path) -> None:
    scores = on_camvid(published(shared / WEIGHTS), shared / "data" / "camvid", EVERY)
    assert scores.protocol.images == 6
    assert 100 * scores.miou == pytest.approx(MIOU, abs=0.3)
    assert 100 * scores.pixel_accuracy == pytest.approx(ACCURACY, abs=0.3)
