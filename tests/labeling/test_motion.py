import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.errors import DataError, RecipeError, WeightsError
from roadseg.labeling.motion import Copy, Dis, Known, Step, inverse, open_motion
from roadseg.media import read_image
from tests.labeling.films import SHIFT, sliding


def _step(root, source, target):
    files = [root / "images" / f"{number:06d}.png" for number in (source, target)]
    return Step(None, read_image(files[0]), read_image(files[1]), (None, *files))


def test_copy_moves_nothing(tmp_path):
    sliding(tmp_path, frames=2)
    flow = Copy()(_step(tmp_path, 0, 1))
    assert flow.shape == (64, 96, 2)
    assert flow.dtype == np.float32
    assert not flow.any()


@pytest.mark.parametrize("size", [(64, 96), (33, 250), (24, 30)])
def test_dis_finds_where_things_were(tmp_path, size):
    sliding(tmp_path, frames=2, size=size)
    for source, target, sign in ((0, 1, 1), (1, 0, -1)):
        flow = Dis()(_step(tmp_path, source, target))
        assert flow.shape == (*size, 2)
        assert flow.dtype == np.float32
        assert np.median(flow[..., 0]) == pytest.approx(sign * SHIFT, abs=0.5)
        assert np.median(flow[..., 1]) == pytest.approx(0, abs=0.5)


def test_dis_at_half_the_size_gives_flow_of_the_whole(tmp_path):
    sliding(tmp_path, frames=2, size=(128, 192))
    flow = open_motion("dis:96")(_step(tmp_path, 0, 1))
    assert flow.shape == (128, 192, 2)
    assert np.median(flow[..., 0]) == pytest.approx(SHIFT, abs=0.7)


def test_known_flow_is_turned_round_for_later_frames(tmp_path):
    sliding(tmp_path, frames=3)
    later, earlier = Known()(_step(tmp_path, 0, 1)), Known()(_step(tmp_path, 1, 0))
    assert np.all(later == (SHIFT, 0))
    assert np.all(earlier == (-SHIFT, 0))


def test_known_flow_needs_to_be_there(tmp_path):
    sliding(tmp_path, frames=4)
    with pytest.raises(DataError, match="2 frames from 000000"):
        Known()(_step(tmp_path, 0, 2))
    (tmp_path / "flow" / "000002.npz").unlink()
    with pytest.raises(DataError, match=r"has no stored flow at .*000002.npz"):
        Known()(_step(tmp_path, 2, 3))
    (tmp_path / "images").rename(tmp_path / "pictures")
    files = [tmp_path / "pictures" / f"{number:06d}.png" for number in (0, 1)]
    with pytest.raises(DataError, match="has no stored flow beside it"):
        Known()(Step(None, read_image(files[0]), read_image(files[1]), (None, *files)))


def test_known_flow_of_another_size(tmp_path):
    sliding(tmp_path, frames=2)
    step = _step(tmp_path, 0, 1)
    with pytest.raises(DataError, match="96x64 pixels for frames of 48x32"):
        Known()(step._replace(source=step.source[::2, ::2], target=step.target[::2, ::2]))


@settings(max_examples=30, deadline=None)
@given(dx=st.integers(-9, 9), dy=st.integers(-9, 9))
def test_the_inverse_of_a_shift_is_the_shift_back(dx, dy):
    flow = np.full((20, 30, 2), (dx, dy), dtype=np.float32)
    assert np.all(inverse(flow, np.ones((20, 30), dtype=np.bool_)) == (-dx, -dy))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), stretch=st.floats(-0.15, 0.3))
def test_going_there_and_back_ends_near_the_start(seed, stretch):
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:40, :60].astype(np.float32)
    flow = np.stack([columns - 30, rows - 20], axis=2) * np.float32(stretch) + rng.uniform(-2, 2, 2)
    flow = flow.astype(np.float32)
    back = inverse(flow, np.ones((40, 60), dtype=np.bool_))
    x, y = columns + back[..., 0], rows + back[..., 1]
    inside = (x >= 0) & (x <= 59) & (y >= 0) & (y <= 39)
    away = flow[np.rint(y[inside]).astype(int), np.rint(x[inside]).astype(int)] + back[inside]
    assert np.abs(away).max() < 1.5


def test_what_is_uncovered_moves_like_what_lies_behind():
    flow = np.zeros((1, 9, 2), dtype=np.float32)
    flow[0, 3:5, 0] = 2  # two pixels move to the right over a still ground
    valid = np.ones((1, 9), dtype=np.bool_)
    valid[0, 5:7] = False  # which they cover
    back = inverse(flow, valid)
    assert back[0, :, 0].tolist() == [0, 0, 0, 0, 0, -2, -2, 0, 0]


def test_raft_with_weights_from_a_file(tmp_path):
    from torchvision.models.optical_flow import raft_small

    torch.save(raft_small(weights=None).state_dict(), tmp_path / "raft.pth")
    sliding(tmp_path, frames=2, size=(60, 131))
    motion = open_motion(f"raft-small:{tmp_path / 'raft.pth'}")
    flow = motion(_step(tmp_path, 0, 1))
    assert flow.shape == (60, 131, 2)
    assert flow.dtype == np.float32
    assert np.isfinite(flow).all()
    assert motion.name.startswith("raft-small:raft.pth@")
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="other"):
        open_motion(f"raft-small:{tmp_path / 'other.pth'}")


@pytest.mark.parametrize(
    "text", ["", "flow", "dis:0", "dis:x", "copy:1", "raft-small", "raft:f", "sdc:", "known:f"]
)
def test_other_texts_name_no_motion(text):
    with pytest.raises(RecipeError, match="there is no motion"):
        open_motion(text)


def test_motion_names():
    assert [open_motion(text).name for text in ("copy", "dis", "dis:512", "known")] == [
        "copy",
        "dis",
        "dis:512",
        "known",
    ]


def test_without_opencv_the_remedy_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(RecipeError, match=r"dense inverse search needs OpenCV.*pip install"):
        open_motion("dis")
