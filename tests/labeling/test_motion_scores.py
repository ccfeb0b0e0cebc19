import numpy as np
import pytest

from roadseg.data.sequences import flow_file
from roadseg.data.synth import read_flow
from roadseg.data.triplets import find_videos
from roadseg.errors import DataError
from roadseg.labeling.motion import Copy, Known
from roadseg.labeling.motion_scores import moved, score_motion, triples
from tests.fakes import save
from tests.videos import PAN, panned, texture


@pytest.fixture
def chosen(tmp_path):
    return triples(find_videos(panned(tmp_path, {"val": 2}, frames=4), "val"), 3)


def test_known_motion_is_exact_and_a_copy_is_not(chosen):
    copied, _ = score_motion(Copy(), chosen)
    known, failures = score_motion(Known(), chosen)
    assert not failures
    assert known.frames == 3
    assert known.epe == 0
    assert copied.epe == pytest.approx(np.hypot(*PAN))
    assert known.psnr > copied.psnr + 3
    assert known.ssim > copied.ssim
    assert known.ie < copied.ie


def test_a_bad_file_does_not_stop_the_rest(chosen):
    chosen[0].target.write_bytes(b"no picture")
    done = []
    scores, failures = score_motion(Copy(), chosen, done.append)
    assert (scores.frames, len(failures)) == (2, 1)
    assert chosen[0].target.name in str(failures[0])
    assert done == [0, 1, 2]
    assert score_motion(Copy(), chosen[:1])[0] is None


def test_frames_are_spread_over_all_videos(tmp_path):
    videos = find_videos(panned(tmp_path, {"val": 3}, frames=5), "val")
    names = [each.before.parent.parent.name[-1] + each.before.stem[-1] for each in triples(videos, 3)]
    assert names == ["00", "11", "22"]
    assert len(triples(videos, 100)) == 9
    with pytest.raises(DataError, match="none of 0 sequences"):
        triples([], 5)


def test_moved_pictures_come_from_where_the_flow_points():
    picture = texture(1, (16, 24))
    flow = np.zeros((16, 24, 2), np.float32)
    flow[..., 0] = 2
    assert np.array_equal(moved(picture, flow)[:, :-2], picture[:, 2:])
    assert np.array_equal(moved(picture, flow)[:, -2:], picture[:, [-1, -1]])


def test_frames_that_no_window_fits_in_are_told(tmp_path):
    for number in range(3):
        save(tmp_path / "val" / f"{number}.png", texture(number, (8, 40)))
    scores, failures = score_motion(Copy(), triples(find_videos(tmp_path, "val"), 1))
    assert scores is None
    assert "40x8, too small" in str(failures[0])


def test_flow_that_is_valid_nowhere_has_no_error(chosen):
    file = flow_file(chosen[0].before)
    flow, valid = read_flow(file)
    np.savez(file, flow=flow, valid=np.zeros_like(valid))
    assert score_motion(Copy(), chosen[:1])[0].epe is None


@pytest.mark.parametrize("content", [b"no archive", None])
def test_damaged_flow_is_told(chosen, content):
    file = flow_file(chosen[0].before)
    if content is None:
        np.savez(file, flow=np.zeros((2, 2, 2), np.float32), valid=np.ones((2, 2), bool))
    else:
        file.write_bytes(content)
    scores, failures = score_motion(Copy(), chosen[:1])
    assert scores is None
    assert file.name in str(failures[0])
