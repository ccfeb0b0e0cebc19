import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from roadseg.cli import predict_video as module
from roadseg.cli.predict_video import VideoPlan, predict_video
from roadseg.cli.terminal import Terminal
from roadseg.errors import ImageError, InputError, LabelError, OutputError
from roadseg.inference import Predictor, WeightsCard, Whole
from roadseg.labels import LabelSpace
from roadseg.media import camera as cameras
from roadseg.media import read_mask
from roadseg.media.video import Frame, VideoReader
from roadseg.recipes import Preprocess
from tests.films import film, moving, play, read
from tests.tiny import tiny

SIZE = (48, 64)
SPACE = LabelSpace.from_names(["road", "car", "tree"])
QUIET = Terminal(quiet=True)
PART = 5
ROOT = Path(__file__).parents[2]


class Counting(Whole):
    """Counts the frames that go through the network, and stops at one of them."""

    def __init__(self, stop: int | None = None) -> None:
        object.__setattr__(self, "calls", 0)
        object.__setattr__(self, "stop", stop)

    def __call__(self, model, images):
        if self.calls == self.stop:
            raise KeyboardInterrupt
        object.__setattr__(self, "calls", self.calls + 1)
        return super().__call__(model, images)


def predictor_of(stop: int | None = None) -> Predictor:
    import torch

    torch.manual_seed(3)
    card = WeightsCard(model="tests.tiny:tiny", space=SPACE, preprocess=Preprocess())
    return Predictor(tiny(SPACE.num_classes), card, device="cpu", strategy=Counting(stop))


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(module, "PART_FRAMES", PART)


def files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_video_becomes_a_labeled_one(tmp_path):
    source = film(tmp_path / "drive.mp4", moving(12), 10)
    result = predict_video(predictor_of(), source, tmp_path / "out", terminal=QUIET)
    assert result.file == tmp_path / "out" / "video" / "drive.mp4"
    assert (result.height, result.width, result.fps, result.frames, result.seconds) == (48, 64, 10, 12, 1.2)
    assert result.computed == 12
    assert result.failed is None
    assert sum(result.shares.values()) == pytest.approx(1)
    assert files_below(tmp_path / "out") == ["video/drive.json", "video/drive.mp4"]
    frames, times = read(result.file)
    assert len(frames) == 12
    assert times == read(source)[1]
    expected = predictor_of()(read(source)[0][5]).overlay(alpha=0.5)
    assert np.abs(frames[5].astype(int) - expected).mean() < 8
    assert json.loads((tmp_path / "out/video/drive.json").read_text())["result"]["frames"] == 12
    assert json.dumps(result.to_json())


def test_what_is_finished_is_not_done_again(tmp_path):
    source = film(tmp_path / "drive.mp4", moving(6))
    first = predict_video(predictor_of(), source, tmp_path / "out", terminal=QUIET)
    before = first.file.stat().st_mtime_ns
    predictor = predictor_of()
    again = predict_video(predictor, source, tmp_path / "out", terminal=QUIET)
    assert predictor.strategy.calls == again.computed == 0
    assert (again.frames, again.shares, again.seconds) == (first.frames, first.shares, first.seconds)
    assert again.file.stat().st_mtime_ns == before
    assert predict_video(predictor_of(), source, tmp_path / "out", redo=True, terminal=QUIET).computed == 6
    other = predict_video(predictor, source, tmp_path / "out", VideoPlan(alpha=1.0), terminal=QUIET)
    assert other.computed == 6
    film(source, moving(7))
    assert predict_video(predictor, source, tmp_path / "out", terminal=QUIET).computed == 7


def test_labels_of_frames_that_are_gone_are_made_again(tmp_path):
    source, plan = film(tmp_path / "drive.mp4", moving(3)), VideoPlan(label_frames=True)
    predict_video(predictor_of(), source, tmp_path, plan, terminal=QUIET)
    assert predict_video(predictor_of(), source, tmp_path, plan, terminal=QUIET).computed == 0
    lost = tmp_path / "labels/drive/000001.png"
    lost.unlink()
    assert predict_video(predictor_of(), source, tmp_path, plan, terminal=QUIET).computed == 3
    assert lost.is_file()


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("smooth", [0.0, 0.6])
def test_a_stopped_run_goes_on_and_ends_the_same(tmp_path, smooth):
    if smooth:
        pytest.importorskip("cv2", reason="needs opencv-python-headless")
    plan = VideoPlan(smooth=smooth, label_frames=True)
    source = film(tmp_path / "drive.mp4", moving(18))
    predict_video(predictor_of(), source, tmp_path / "whole", plan, terminal=QUIET)
    for stop in (0, 3, 11, 17):
        out = tmp_path / f"stopped at {stop}"
        with pytest.raises(KeyboardInterrupt):
            predict_video(predictor_of(stop), source, out, plan, terminal=QUIET)
        assert not (out / "video/drive.mp4").exists()
        predictor = predictor_of()
        result = predict_video(predictor, source, out, plan, terminal=QUIET)
        assert result.computed == predictor.strategy.calls == 18 - stop // PART * PART
        assert files_below(out) == files_below(tmp_path / "whole")
        for name in files_below(out):
            if not name.endswith(".json"):
                assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


KILLED = """
import sys, time
from pathlib import Path
from roadseg.cli import predict_video as module
from tests.cli.test_predict_video import QUIET, Counting, predictor_of
from roadseg.cli.predict_video import VideoPlan, predict_video

class Slow(Counting):
    def __call__(self, model, images):
        found = super().__call__(model, images)
        with open(sys.argv[3], "a") as log:
            log.write(".")
        time.sleep(0.03)
        return found

module.PART_FRAMES = 5
predictor = predictor_of()
predictor.strategy = Slow()
predict_video(predictor, Path(sys.argv[1]), Path(sys.argv[2]), VideoPlan(label_frames=True), terminal=QUIET)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_run_loses_no_more_than_the_part_in_flight(tmp_path, monkeypatch):
    count, ahead = 40, 6  # frames that wait between the stages
    source = film(tmp_path / "drive.mp4", moving(count))
    log = tmp_path / "log"
    command = [sys.executable, "-c", KILLED, str(source), str(tmp_path / "out"), str(log)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, cwd=ROOT)
    moment = random.randrange(1, count - 5)
    began = time.monotonic()
    while not log.exists() or log.stat().st_size < moment:
        assert process.poll() is None
        assert time.monotonic() - began < 120
        time.sleep(0.005)
    process.kill()
    process.wait()
    done = log.stat().st_size
    assert not (tmp_path / "out/video/drive.mp4").exists()
    for part in (tmp_path / "out/video/.drive.parts").glob("part-*.mp4"):
        assert len(read(part)[0]) == PART  # none is truncated
    monkeypatch.setattr(module, "PART_FRAMES", PART)
    plan = VideoPlan(label_frames=True)
    predictor = predictor_of()
    result = predict_video(predictor, source, tmp_path / "out", plan, terminal=QUIET)
    assert result.frames == count
    assert done + predictor.strategy.calls <= count + PART + ahead, f"killed after {done} frames"
    predict_video(predictor, source, tmp_path / "whole", plan, terminal=QUIET)
    assert files_below(tmp_path / "out") == files_below(tmp_path / "whole")
    for name in files_below(tmp_path / "whole"):
        if name.endswith((".mp4", ".png")):
            assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_parts_of_another_plan_are_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PART_FRAMES", PART)
    source = film(tmp_path / "drive.mp4", moving(12))
    with pytest.raises(KeyboardInterrupt):
        predict_video(predictor_of(10), source, tmp_path / "out", VideoPlan(alpha=0.0), terminal=QUIET)
    result = predict_video(predictor_of(), source, tmp_path / "out", VideoPlan(alpha=1.0), terminal=QUIET)
    assert result.computed == 12


def test_pictures_side_by_side_with_a_legend(tmp_path):
    source = film(tmp_path / "drive.mp4", moving(3, (64, 100)))
    plan = VideoPlan(side_by_side=True, legend=True)
    result = predict_video(predictor_of(), source, tmp_path / "out", plan, terminal=QUIET)
    assert result.width == 200
    assert result.height > 64
    shown, taken = read(result.file)[0][1], read(source)[0][1]
    assert shown.shape == (result.height, result.width, 3)
    assert np.abs(shown[:64, :100].astype(int) - taken).mean() < 8


def test_only_some_classes_are_colored(tmp_path):
    source = film(tmp_path / "drive.mp4", moving(4))
    taken = read(source)[0][2]
    labels = predictor_of()(taken).labels
    present = [name for i, name in enumerate(SPACE.names) if (labels == i).any()]
    plan = VideoPlan(only=(present[0],), alpha=1.0)
    result = predict_video(predictor_of(), source, tmp_path / "out", plan, terminal=QUIET)
    shown = read(result.file)[0][2].astype(int)
    colored = labels == SPACE.index(present[0])
    assert set(result.shares) >= set(present)  # shares are of all classes
    if (~colored).any():
        assert (
            np.abs(shown[~colored] - taken[~colored]).mean() < np.abs(shown[colored] - taken[colored]).mean()
        )
    with pytest.raises(LabelError, match=r"has no class 'rode'.*road"):
        predict_video(predictor_of(), source, tmp_path / "out", VideoPlan(only=("rode",)), terminal=QUIET)


def test_class_ids_of_every_frame(tmp_path):
    source = film(tmp_path / "drive.mp4", moving(3))
    plan = VideoPlan(label_frames=True, limit=2)
    result = predict_video(predictor_of(), source, tmp_path / "out", plan, terminal=QUIET)
    assert result.frames == 2
    names = ["labels/drive/000000.png", "labels/drive/000001.png"]
    assert files_below(tmp_path / "out")[:2] == names
    expected = predictor_of()(read(source)[0][1]).labels
    assert (read_mask(tmp_path / "out" / names[1]) == expected).all()


def test_names_of_any_script_and_given_ones(tmp_path):
    source = film(tmp_path / "Füße 日本.v2.mp4", moving(2))
    result = predict_video(predictor_of(), source, tmp_path / "aus gabe", terminal=QUIET)
    assert result.file.name == "Füße 日本.v2.mp4"
    other = predict_video(predictor_of(), source, tmp_path / "aus gabe", key="other", terminal=QUIET)
    assert files_below(tmp_path / "aus gabe") == [
        "video/Füße 日本.v2.json",
        "video/Füße 日本.v2.mp4",
        "video/other.json",
        "video/other.mp4",
    ]
    assert other.file.read_bytes() == result.file.read_bytes()


@pytest.mark.usefixtures("small_parts")
def test_a_damaged_video_is_labeled_up_to_the_damage(tmp_path):
    whole = film(tmp_path / "whole.mp4", moving(40), crf=1).read_bytes()
    source = tmp_path / "cut.mp4"
    source.write_bytes(whole[: len(whole) // 2])
    result = predict_video(predictor_of(), source, tmp_path / "out", terminal=QUIET)
    assert "cut short" in result.failed
    assert 0 < result.frames < 40
    assert len(read(result.file)[0]) == result.frames
    again = predict_video(predictor_of(), source, tmp_path / "out", terminal=QUIET)
    assert (again.failed, again.frames, again.computed) == (result.failed, result.frames, 0)


def test_videos_without_a_frame_leave_nothing(tmp_path):
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(ImageError, match="is empty"):
        predict_video(predictor_of(), tmp_path / "empty.mp4", tmp_path / "out", terminal=QUIET)
    assert not (tmp_path / "out").exists()


def test_places_that_cannot_be_written_to_are_named(tmp_path):
    source = film(tmp_path / "drive.mp4", moving(2))
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file"):
        predict_video(predictor_of(), source, tmp_path / "file", terminal=QUIET)
    (tmp_path / "out/video/drive.mp4").mkdir(parents=True)
    with pytest.raises(OutputError, match="folder of that name"):
        predict_video(predictor_of(), source, tmp_path / "out", terminal=QUIET)


def test_a_camera_is_recorded_until_it_is_stopped(tmp_path, monkeypatch):
    path = film(tmp_path / "device" / "0.mp4", moving(30))
    monkeypatch.setattr(cameras, "_DEVICES", {sys.platform: ("mp4", f"{path.parent}/{{}}.mp4")})

    class Stopping(Counting):
        def __call__(self, model, images):
            if self.calls == 7:
                os.kill(os.getpid(), signal.SIGINT)
            return super().__call__(model, images)

    predictor = predictor_of()
    predictor.strategy = Stopping()
    before = signal.getsignal(signal.SIGINT)
    result = predict_video(predictor, "camera:0", tmp_path / "out", terminal=QUIET)
    assert result.file.name == "camera-0.mp4"
    assert 1 <= result.frames < 30
    assert len(read(result.file)[0]) == result.frames
    assert signal.getsignal(signal.SIGINT) is before
    again = predict_video(predictor_of(), "camera:0", tmp_path / "out", terminal=QUIET)
    assert again.computed == 30  # a recording is made anew each time
    assert again.file.name == "camera-0_2.mp4"
    assert len(read(result.file)[0]) == result.frames
    with pytest.raises(InputError, match="no such camera"):
        predict_video(predictor_of(), "camera:5", tmp_path / "out", terminal=QUIET)


class Stalling:
    """A camera that gives some frames and then, until it may go on, nothing."""

    size, fps, count, is_live = SIZE, Fraction(25), None, True

    def __init__(self, given: int) -> None:
        self.given, self.go_on, self.closed = given, threading.Event(), False

    def frames(self, start: int = 0):
        for i, pixels in enumerate(moving(self.given)):
            yield Frame(pixels, Fraction(i, 25))
        if not self.given:
            os.kill(os.getpid(), signal.SIGINT)
        self.go_on.wait(60)

    def close(self) -> None:
        self.closed = True


class Interrupting(Terminal):
    """Presses Ctrl-C when two frames are labeled."""

    @contextmanager
    def progress(self, what, total, done=0):
        def update(done, total):
            if done == 2:
                os.kill(os.getpid(), signal.SIGINT)

        yield SimpleNamespace(update=update)


def test_a_camera_that_gives_no_more_frames_can_be_stopped(tmp_path, monkeypatch):
    camera = Stalling(2)
    monkeypatch.setattr(cameras, "open_video", lambda _source: camera)
    monkeypatch.setattr("roadseg.inference.stream._PATIENCE_SECONDS", 0.1)
    result = predict_video(predictor_of(), "camera:0", tmp_path, terminal=Interrupting())
    assert result.frames == len(read(result.file)[0]) == 2
    assert not camera.closed  # a thread still reads from it
    camera.go_on.set()


def test_a_camera_that_gives_nothing_can_be_stopped(tmp_path, monkeypatch):
    camera = Stalling(0)
    monkeypatch.setattr(cameras, "open_video", lambda _source: camera)
    monkeypatch.setattr("roadseg.inference.stream._PATIENCE_SECONDS", 0.1)
    with pytest.raises(KeyboardInterrupt):
        predict_video(predictor_of(), "camera:0", tmp_path, terminal=QUIET)
    assert not (tmp_path / "video/camera-0.mp4").exists()
    camera.go_on.set()


def test_parts_of_a_killed_recording_are_kept(tmp_path, monkeypatch):
    path = film(tmp_path / "device" / "0.mp4", moving(4))
    monkeypatch.setattr(cameras, "_DEVICES", {sys.platform: ("mp4", f"{path.parent}/{{}}.mp4")})
    part = film(tmp_path / "video/.camera-0.parts/part-00000.mp4", moving(1))
    result = predict_video(predictor_of(), "camera:0", tmp_path, terminal=QUIET)
    assert result.file.name == "camera-0_2.mp4"
    assert part.is_file()


def test_the_command_labels_a_video(run, bundled, tmp_path):
    source = film(tmp_path / "drive.mp4", moving(4))
    result = run("predict", source, "-o", tmp_path / "out", "--json")
    assert result.code == 0, result.err
    assert result.json["videos"][0]["frames"] == 4
    assert (tmp_path / "out/video/drive.mp4").is_file()


def test_a_real_drive_plays_in_chromium(shared, tmp_path):
    source = shared / "data" / "video" / "carnd_solidWhiteRight_960x540_25fps.mp4"
    if not source.is_file():
        pytest.skip("needs the driving video of the reference data")
    result = predict_video(predictor_of(), source, tmp_path, VideoPlan(legend=True), terminal=QUIET)
    with VideoReader(source) as reader:
        size, fps, count = reader.size, reader.fps, reader.count
    assert (result.width, result.fps, result.frames) == (size[1], fps, count)
    assert result.height > size[0]  # the legend
    with av.open(str(result.file)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.frames, stream.average_rate) == ("h264", count, fps)
    shown = play(result.file, at=100.5 / 25)
    assert (shown["width"], shown["height"]) == (result.width, result.height)
    assert shown["duration"] == pytest.approx(count / fps, abs=1e-3)
    assert shown["frames"] > 0.8 * count  # a busy machine may skip some
    with VideoReader(result.file) as reader:
        expected = next(reader.frames(100)).pixels[:48, :64]
    assert np.abs(shown["pixels"].astype(int) - expected).mean() < 3
