import sys
import threading
from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from roadseg.errors import ImageError, RecipeError
from roadseg.inference import Predictor, ScoreMap, WeightsCard, Whole
from roadseg.inference.motion import Motion, motion_between, reduced
from roadseg.inference.strategies import Part, ScoreSum
from roadseg.inference.stream import Ahead, FlowSmoothing, Memory, stream
from roadseg.labels import LabelSpace
from roadseg.media.video import Frame
from roadseg.recipes import Preprocess
from tests.films import moving
from tests.tiny import tiny

SIZE = (96, 128)
SPACE = LabelSpace.from_names(["road", "car", "tree"])


@pytest.fixture
def predictor():
    card = WeightsCard(model="tests.tiny:tiny", space=SPACE, preprocess=Preprocess())
    return Predictor(tiny(SPACE.num_classes), card, device="cpu")


@pytest.fixture
def cv2():
    return pytest.importorskip("cv2", reason="needs opencv-python-headless")


def frames_of(pictures):
    return [Frame(pixels, Fraction(i, 25)) for i, pixels in enumerate(pictures)]


def smooth_pictures(count, step=2, size=SIZE):
    """Pictures with something to see everywhere, that move to the left."""
    width = size[1] + step * count
    rng = np.random.default_rng(0)
    noise = torch.from_numpy(rng.random((1, 3, size[0] // 4, width // 4), dtype=np.float32))
    wide = F.interpolate(noise, size=(size[0], width), mode="bicubic").clamp(0, 1)[0].permute(1, 2, 0)
    pixels = (wide * 255).to(torch.uint8).numpy()
    return [np.ascontiguousarray(pixels[:, i * step : i * step + size[1]]) for i in range(count)]


# ---- Threads ----


def test_a_stream_gives_what_the_predictor_gives_frame_by_frame(predictor):
    frames = frames_of(moving(6, SIZE))
    results = list(stream(predictor, frames, confidence=True))
    assert [result.frame.seconds for result in results] == [frame.seconds for frame in frames]
    for result, frame in zip(results, frames, strict=True):
        alone = predictor(frame.pixels, confidence=True)
        assert (result.prediction.labels == alone.labels).all()
        assert (result.prediction.confidence == alone.confidence).all()
        assert result.memory is None


def test_reading_network_and_use_happen_at_the_same_time(predictor):
    # Each stage waits for another to be further on: one after the other, this would never end.
    read_two, used_one = threading.Event(), threading.Event()

    def source():
        frames = frames_of(moving(4, SIZE))
        yield from frames[:2]
        read_two.set()
        assert used_one.wait(20)  # the first result is used before the last frames are read
        yield from frames[2:]

    class Waiting(Whole):
        def __call__(self, model, images):
            assert read_two.wait(20)  # the second frame is read before the first is through the network
            return super().__call__(model, images)

    predictor.strategy = Waiting()
    count = 0
    for _ in stream(predictor, source()):
        used_one.set()
        count += 1
    assert count == 4


def test_a_stage_runs_only_a_few_items_ahead():
    made = []

    def endless():
        while True:
            made.append(None)
            yield len(made)

    with Ahead(endless(), depth=2) as items:
        taken = [item for item, _ in zip(items, range(3), strict=False)]
        assert taken == [1, 2, 3]
        assert len(made) <= 4 + 2 + 1  # taken, waiting, and one in the hand


def test_a_stream_that_is_left_stops_its_threads(predictor):
    before = threading.active_count()
    results = stream(predictor, frames_of(moving(50, SIZE)))
    next(results)
    assert threading.active_count() > before
    results.close()
    assert threading.active_count() == before


def test_a_stream_ends_when_it_is_told_to_even_if_its_source_is_stuck(predictor, monkeypatch):
    monkeypatch.setattr("roadseg.inference.stream._PATIENCE_SECONDS", 0.1)
    stop, go_on, before = threading.Event(), threading.Event(), threading.active_count()

    def source():
        yield from frames_of(moving(1, SIZE))
        stop.set()
        go_on.wait(60)

    assert len(list(stream(predictor, source(), stop=stop))) <= 1
    assert threading.active_count() == before + 1  # the one that waits for a frame
    go_on.set()


def test_an_error_of_the_source_comes_after_the_frames_before_it(predictor):
    def source():
        yield from frames_of(moving(3, SIZE))
        raise ImageError("is cut short", where="film.mp4")

    results = stream(predictor, source())
    assert len([next(results) for _ in range(3)]) == 3
    with pytest.raises(ImageError, match="cut short"):
        next(results)


def test_an_error_of_the_network_ends_the_stream(predictor):
    def broken(image, *, confidence):
        raise RuntimeError("out of order")

    before = threading.active_count()
    with pytest.raises(RuntimeError, match="out of order"):
        list(stream(broken, frames_of(moving(9, SIZE))))
    assert threading.active_count() == before


# ---- Flow ----


@pytest.mark.usefixtures("cv2")
def test_flow_finds_where_pixels_were():
    before, now = (reduced(picture) for picture in smooth_pictures(2, step=3))
    motion = motion_between(before, now)
    assert motion is not None
    inner = motion.flow[16:-16, 16:-16]
    assert np.median(inner[..., 0]) == pytest.approx(3 / SIZE[1], rel=0.1)
    assert np.abs(np.median(inner[..., 1])) < 0.2 / SIZE[0]
    assert motion.trust[16:-16, 16:-16].mean() > 0.9


@pytest.mark.usefixtures("cv2")
def test_other_scenes_are_cuts():
    one, other = smooth_pictures(1)[0], smooth_pictures(1)[0][::-1]
    assert motion_between(reduced(one), reduced(one)) is not None
    assert motion_between(reduced(one), reduced(np.ascontiguousarray(255 - other))) is None


@pytest.mark.usefixtures("cv2")
@pytest.mark.parametrize("size", [(8, 8), (1, 1), (5, 300), (24, 448), (2000, 90), (600, 900)])
def test_flow_of_any_size(size):
    picture = np.full((*size, 3), 90, dtype=np.uint8)
    gray = reduced(picture)
    assert max(gray.shape) <= 448
    assert min(gray.shape) >= max(64, max(gray.shape) // 3)  # slimmer ones crash OpenCV
    motion = motion_between(gray, gray)
    assert motion is not None
    assert motion.flow.shape == (*gray.shape, 2)
    assert np.abs(motion.flow).max() < 1e-3


# ---- Smoothing ----


def uniform_motion(x, y, trust=1.0, size=SIZE):
    """The whole picture came from (x, y) pixels away."""
    flow = np.empty((*size, 2), dtype=np.float32)
    flow[...] = x / size[1], y / size[0]
    return Motion(flow, np.full(size, trust, dtype=np.float32))


def scripted(maps):
    """A strategy that gives one map after the other."""
    found = iter(maps)
    return lambda model, images: next(found)


def run_smoothing(maps, motions, weight):
    smoother = FlowSmoothing(scripted(maps), weight)
    results = []
    for motion in motions:
        smoother.motion = motion
        results.append(smoother(None, torch.zeros(1, 3, *SIZE)))
        smoother.before = smoother.now
    return results


def test_without_motion_the_average_is_the_stated_one():
    values = torch.randn(4, 1, 3, 12, 16)
    maps = [ScoreMap(value, SIZE, False) for value in values]
    results = run_smoothing(maps, [None, *[uniform_motion(0, 0, trust=0.5)] * 3], weight=0.8)
    expected = values[0]
    assert torch.equal(results[0].scores, expected)
    for value, result in zip(values[1:], results[1:], strict=True):
        expected = 0.6 * value + 0.4 * expected  # 0.8 * trust 0.5
        torch.testing.assert_close(result.scores, expected)


@pytest.mark.parametrize("align_corners", [False, True])
def test_scores_move_along_the_flow(align_corners):
    # One cell further left: what was at column j + 1 is now at column j.
    cells = (13, 17) if align_corners else (12, 16)
    pixels = 127 / 16 if align_corners else 8
    before, now = torch.randn(2, 1, 3, *cells)
    maps = [ScoreMap(before, SIZE, align_corners), ScoreMap(now, SIZE, align_corners)]
    moved = run_smoothing(maps, [None, uniform_motion(pixels, 0)], weight=0.5)[1].scores
    torch.testing.assert_close(
        moved[..., :-1], 0.5 * now[..., :-1] + 0.5 * before[..., 1:], atol=1e-4, rtol=1e-4
    )


def test_cells_beyond_the_picture_do_not_shift_the_others():
    # A picture of 96 x 120 that was extended to 128 columns: flow covers the picture, scores the extended one.
    size, grid = (96, 120), (96, 128)
    before, now = torch.randn(2, 1, 2, 12, 16)
    smoother = FlowSmoothing(scripted([ScoreMap(now, grid, False)]), 0.5)
    smoother.before, smoother.motion = (before,), uniform_motion(8, 0, size=size)
    moved = smoother(None, torch.zeros(1, 3, *size)).scores
    torch.testing.assert_close(
        moved[..., :14], 0.5 * now[..., :14] + 0.5 * before[..., 1:15], atol=1e-4, rtol=1e-4
    )


def test_a_cut_starts_anew():
    first, second = torch.randn(2, 1, 3, 12, 16)
    maps = [ScoreMap(value, SIZE, False) for value in (first, second)]
    assert torch.equal(run_smoothing(maps, [None, None], weight=0.9)[1].scores, second)


def test_sums_of_maps_are_smoothed_part_by_part():
    small, large = torch.randn(2, 1, 3, 6, 8), torch.randn(2, 1, 3, 12, 16)
    half = (SIZE[0] // 2, SIZE[1] // 2)
    sums = [
        ScoreSum((Part(ScoreMap(s, half, False), half, 0.5), Part(ScoreMap(t, SIZE, False), SIZE, 0.5)), SIZE)
        for s, t in zip(small, large, strict=True)
    ]
    result = run_smoothing(sums, [None, uniform_motion(0, 0)], weight=0.5)[1]
    torch.testing.assert_close(result.parts[0].map.scores, small.mean(0), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(result.parts[1].map.scores, large.mean(0), atol=1e-5, rtol=1e-5)


@pytest.mark.usefixtures("cv2")
def test_smoothing_takes_flicker_away(predictor):
    torch.manual_seed(1)

    class Noisy(Whole):
        def __call__(self, model, images):
            found = super().__call__(model, images)
            return found._replace(scores=found.scores + 0.3 * torch.randn_like(found.scores))

    predictor.strategy = Noisy()
    frames = frames_of(smooth_pictures(1) * 12)
    plain = np.stack([result.prediction.labels for result in stream(predictor, frames)])
    calm = np.stack([result.prediction.labels for result in stream(predictor, frames, smooth=0.8)])
    changes = [np.mean(labels[5:] != labels[4:-1]) for labels in (plain, calm)]
    assert changes[1] < changes[0] / 2
    assert isinstance(predictor.strategy, Noisy)  # the caller's own predictor is as it was


@pytest.mark.usefixtures("cv2")
def test_a_stream_goes_on_where_it_was_to_the_last_bit(predictor, tmp_path):
    frames = frames_of(smooth_pictures(8))
    whole = list(stream(predictor, frames, smooth=0.7))
    memory = whole[3].memory
    assert memory is not None
    memory.save(tmp_path / "memory.npz")
    rest = list(stream(predictor, frames[4:], smooth=0.7, memory=Memory.load(tmp_path / "memory.npz")))
    for one, other in zip(whole[4:], rest, strict=True):
        assert (one.prediction.labels == other.prediction.labels).all()
        assert torch.equal(one.memory.scores[0], other.memory.scores[0])
    forgotten = list(stream(predictor, frames[4:], smooth=0.7))
    assert not torch.equal(forgotten[0].memory.scores[0], whole[4].memory.scores[0])


@pytest.mark.parametrize("weight", [-0.1, 1.0, 2.0])
def test_weights_out_of_range_are_refused(predictor, weight):
    with pytest.raises(RecipeError, match="more than 0 and less than 1"):
        next(stream(predictor, [], smooth=weight))


def test_without_opencv_the_remedy_is_told(predictor, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(RecipeError, match="pip install"):
        next(stream(predictor, frames_of(moving(1)), smooth=0.5))
    assert len(list(stream(predictor, frames_of(moving(2))))) == 2


def test_the_protocol_names_the_smoothing():
    assert "optical flow by 0.5" in FlowSmoothing(Whole(), 0.5).describe()
