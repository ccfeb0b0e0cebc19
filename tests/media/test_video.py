import os
import socket
import sys
import threading
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest

from roadseg.errors import ImageError, InputError, OutputError
from roadseg.media import camera as cameras
from roadseg.media.camera import is_video, open_video
from roadseg.media.film import VideoWriter, join_videos
from roadseg.media.video import Frame, VideoReader
from tests.fakes import picture, save
from tests.films import SIZE, film, moving, play, read, turned

PAL, NTSC = Fraction(25), Fraction(30000, 1001)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - other).mean())


# ---- Reading ----


@pytest.mark.parametrize("fps", [PAL, NTSC, Fraction(24000, 1001), Fraction(1, 2)])
def test_frames_come_back_with_their_size_rate_count_and_times(tmp_path, fps):
    frames = moving(7)
    path = film(tmp_path / "film.mp4", frames, fps)
    with VideoReader(path) as reader:
        assert (reader.size, reader.fps, reader.count, reader.is_live) == (SIZE, fps, 7, False)
        found = list(reader.frames())
    assert [frame.seconds for frame in found] == [i / fps for i in range(7)]
    right = [difference(a.pixels, b) for a, b in zip(found, frames, strict=True)]
    wrong = [difference(a.pixels, b) for a, b in zip(found[1:], frames, strict=False)]
    assert max(right) < min(wrong)


def test_variable_frame_rates_keep_their_times(tmp_path):
    times = [Fraction(0), Fraction(1, 30), Fraction(1, 2), Fraction(7, 3), Fraction(5, 2)]
    with VideoWriter(tmp_path / "film.mp4", 30) as writer:
        for frame, seconds in zip(moving(5), times, strict=True):
            writer.write(frame, seconds)
    assert read(tmp_path / "film.mp4")[1] == times


def test_reading_can_begin_later(tmp_path):
    path = film(tmp_path / "film.mp4", moving(6))
    whole, times = read(path)
    with VideoReader(path) as reader:
        later = list(reader.frames(4))
    assert [frame.seconds for frame in later] == times[4:]
    assert all((a.pixels == b).all() for a, b in zip(later, whole[4:], strict=True))
    with VideoReader(path) as reader:
        assert list(reader.frames(6)) == []
        with pytest.raises(RuntimeError, match="read once"):
            next(reader.frames())


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotated_recordings_are_read_upright(tmp_path, degrees):
    stored = np.zeros((32, 48, 3), dtype=np.uint8)
    stored[:16, :24], stored[:16, 24:], stored[16:, :24] = (220, 30, 30), (30, 220, 30), (30, 30, 220)
    with VideoReader(turned(tmp_path / "phone.mp4", [stored] * 3, degrees)) as reader:
        upright = np.rot90(stored, degrees // 90)  # degrees count against the clock, as FFmpeg's do
        assert reader.size == upright.shape[:2]
        assert all(difference(frame.pixels, upright) < 6 for frame in reader.frames())


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.mp4", b"", "is empty"),
        ("text.mp4", b"not a film\n" * 50, "is not a video"),
        ("film.txt", b"FFmpeg would show this text as a film\n" * 50, "is not a video"),
        ("list.mp4", b"ffconcat version 1.0\nfile '/etc/passwd'\n", "video"),
    ],
)
def test_what_is_no_video_is_refused_in_one_sentence(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=says) as caught:
        VideoReader(tmp_path / name)
    assert name in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_missing_files_folders_and_photos_are_no_videos(tmp_path):
    with pytest.raises(ImageError, match="does not exist"):
        VideoReader(tmp_path / "none.mp4")
    with pytest.raises(ImageError, match="is a folder"):
        VideoReader(tmp_path)
    with pytest.raises(ImageError, match="is not a video"):
        VideoReader(save(tmp_path / "photo.png", picture("photo")))


def test_sound_alone_is_no_video(tmp_path):
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.rate, sound.pts = 8000, 0
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    with pytest.raises(ImageError, match="no pictures"):
        VideoReader(tmp_path / "sound.mp4")


def test_a_film_without_frames_is_refused(tmp_path):
    with av.open(str(tmp_path / "none.avi"), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuvj420p"
        container.start_encoding()
    with pytest.raises(ImageError, match=r"holds no frame|is not a video"):
        VideoReader(tmp_path / "none.avi")


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_film_cut_short_gives_its_frames_and_then_says_so(tmp_path, share):
    whole = film(tmp_path / "whole.mp4", moving(40), crf=1).read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole[: int(len(whole) * share)])
    found: list[Frame] = []
    with VideoReader(path) as reader:
        frames = reader.frames()
        with pytest.raises(ImageError, match="cut short") as caught:
            found.extend(frames)
    assert all(frame.pixels.shape == (*SIZE, 3) for frame in found)
    assert 0 < len(found) < 40
    assert f"after {len(found)} frames" in str(caught.value)


def test_a_film_that_lost_its_index_is_refused(tmp_path):
    whole = film(tmp_path / "whole.mp4", moving(9)).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[:200])
    with pytest.raises(ImageError, match="cut short"):
        VideoReader(tmp_path / "cut.mp4")


def test_frames_are_bounded_before_they_are_decoded(tmp_path):
    path = film(tmp_path / "film.mp4", moving(2))
    with pytest.raises(ImageError, match="64 x 48 pixels, more than 3000"):
        VideoReader(path, max_pixels=3000)


def test_frames_that_change_their_size_are_scaled_to_the_first(tmp_path):
    path = tmp_path / "changing.mjpeg"
    stills = [save(tmp_path / f"{i}.jpg", picture("a", size)) for i, size in enumerate([(48, 64), (32, 32)])]
    path.write_bytes(b"".join(still.read_bytes() for still in stills * 2))
    with VideoReader(path) as reader:
        assert [frame.pixels.shape for frame in reader.frames()] == [(48, 64, 3)] * 4


@pytest.fixture
def silent_address():
    """An address that sends what it is given, and then nothing; the connection stays open."""
    server = socket.create_server(("127.0.0.1", 0))
    held = [server]

    def serve(data: bytes) -> None:
        connection, _ = server.accept()
        held.append(connection)
        connection.recv(4096)
        connection.sendall(data)

    def address(data: bytes) -> str:
        threading.Thread(target=serve, args=(data,), daemon=True).start()
        return f"http://127.0.0.1:{server.getsockname()[1]}/live"

    yield address
    for each in held:
        each.close()


def test_addresses_that_send_nothing_are_given_up(tmp_path, silent_address, monkeypatch):
    monkeypatch.setattr("roadseg.media.video._PATIENCE_SECONDS", 0.5)
    with pytest.raises(ImageError, match=r"/live: sent nothing for 0\.5 seconds"):
        VideoReader(silent_address(b""))
    path = tmp_path / "live.ts"
    with av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_stream("mpeg2video", rate=25)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        for frame in moving(30):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    found: list[Frame] = []
    with VideoReader(silent_address(b"HTTP/1.0 200 OK\r\n\r\n" + path.read_bytes())) as reader:
        assert reader.is_live
        with pytest.raises(ImageError, match="sent nothing"):
            found.extend(reader.frames())
    assert len(found) > 20


# ---- Writing ----


def test_colors_survive(tmp_path):
    colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 64, 128), (255, 255, 255), (0, 0, 0)]
    flat = np.repeat(np.array(colors, dtype=np.uint8), 16, axis=0)[None].repeat(32, axis=0)
    frames, _ = read(film(tmp_path / "film.mp4", [flat] * 3))
    for i, color in enumerate(colors):
        assert np.abs(frames[1][16, 16 * i + 8].astype(int) - color).max() <= 4


@pytest.mark.parametrize("size", [(47, 64), (48, 63), (47, 63), (1, 1)])
def test_odd_sides_grow_to_even_ones(tmp_path, size):
    frames, _ = read(film(tmp_path / "film.mp4", moving(3, size)))
    height, width = size[0] + size[0] % 2, size[1] + size[1] % 2
    assert frames[0].shape == (height, width, 3)
    with av.open(str(tmp_path / "film.mp4")) as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"


def test_the_index_stands_before_the_pictures(tmp_path):
    data = film(tmp_path / "film.mp4", moving(3)).read_bytes()
    assert 0 < data.find(b"moov") < data.find(b"mdat")


def test_the_same_frames_give_the_same_bytes(tmp_path):
    one, two = (film(tmp_path / name, moving(30)) for name in ("a.mp4", "b.mp4"))
    assert one.read_bytes() == two.read_bytes()


def _write(writer: VideoWriter, *frames: np.ndarray, stop: bool = False) -> None:
    for frame in frames:
        writer.write(frame)
    if stop:
        raise ZeroDivisionError


def test_what_ends_early_leaves_nothing_and_an_old_film_as_it_was(tmp_path):
    path = film(tmp_path / "film.mp4", moving(3))
    old = path.read_bytes()
    with pytest.raises(ZeroDivisionError), VideoWriter(path, 25) as writer:
        _write(writer, *moving(1), stop=True)
    assert path.read_bytes() == old
    assert [file.name for file in tmp_path.iterdir()] == ["film.mp4"]


def test_impossible_films_are_refused(tmp_path):
    with pytest.raises(OutputError, match=r"end in \.mp4"):
        VideoWriter(tmp_path / "film.avi", 25)
    for fps in (0, -1, 2000):
        with pytest.raises(OutputError, match="frames per second"):
            VideoWriter(tmp_path / "film.mp4", fps)
    with pytest.raises(OutputError, match="no frame"), VideoWriter(tmp_path / "film.mp4", 25):
        pass
    with pytest.raises(OutputError, match="one size"), VideoWriter(tmp_path / "film.mp4", 25) as writer:
        _write(writer, *moving(1), *moving(1, (48, 66)))
    with pytest.raises(OutputError, match="cannot be encoded"), VideoWriter(tmp_path / "f.mp4", 25) as writer:
        writer.write(np.zeros((2, 40_000, 3), dtype=np.uint8))
    assert not any(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="file"), VideoWriter(tmp_path / "file" / "film.mp4", 25):
        pass


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="permission"):
        film(tmp_path / "film.mp4", moving(1))


def test_names_of_any_script(tmp_path):
    frames, _ = read(film(tmp_path / "Straße 日本 🚗" / "Füße [1].mp4", moving(2)))
    assert len(frames) == 2


def test_joined_films_have_the_frames_and_times_of_their_parts(tmp_path):
    frames, times = moving(12), [Fraction(i * i, 30) for i in range(12)]
    parts, starts = [], []
    for first in (0, 5, 10):
        with VideoWriter(tmp_path / f"{first}.mp4", 30) as writer:
            for frame, seconds in zip(frames[first : first + 5], times[first:], strict=False):
                writer.write(frame, seconds - times[first])
        parts.append(tmp_path / f"{first}.mp4")
        starts.append(times[first])
    join_videos(parts, starts, tmp_path / "joined.mp4", Fraction(30))
    joined, found = read(tmp_path / "joined.mp4")
    assert found == times
    single = [frame for part in parts for frame in read(part)[0]]
    assert all((a == b).all() for a, b in zip(joined, single, strict=True))


def test_chromium_plays_it(tmp_path):
    frames = moving(30, (50, 64), step=2)
    path = film(tmp_path / "film.mp4", frames, NTSC)
    shown = play(path, at=10.5 * 1001 / 30000)
    assert (shown["width"], shown["height"]) == (64, 50)
    assert shown["duration"] == pytest.approx(30 * 1001 / 30000, abs=1e-3)
    assert shown["frames"] >= 25  # a busy machine may skip some
    # The same frame, and the same colors, as our own reader sees: a wrong matrix is off by 10 and more.
    assert difference(shown["pixels"], read(path)[0][10][:48]) < 3


# ---- Cameras ----


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("camera:0", True),
        ("Camera:12", True),
        ("camera:front", False),
        ("drive.MP4", True),
        ("drive.mkv", True),
        ("rtsp://10.0.0.1/stream", True),
        ("street.jpg", False),
        ("folder", False),
    ],
)
def test_videos_are_known_by_their_names(source, expected):
    assert is_video(source) is expected


class FakeCapture:
    """Stands for cv2.VideoCapture: three frames, then unplugged."""

    frames = 3

    def __init__(self, number: int) -> None:
        self.number, self.left, self.released = number, self.frames, False

    def isOpened(self) -> bool:
        return self.number == 0

    def read(self) -> tuple[bool, np.ndarray]:
        self.left -= 1
        return self.left >= 0, np.full((48, 64, 3), (0, 0, 200), dtype=np.uint8)

    def get(self, prop: int, /) -> float:
        return 0.0

    def release(self) -> None:
        self.released = True


@pytest.fixture
def fake_cv2(monkeypatch):
    level = SimpleNamespace(setLogLevel=lambda level: None, LOG_LEVEL_ERROR=2)
    fake = SimpleNamespace(VideoCapture=FakeCapture, utils=SimpleNamespace(logging=level))
    monkeypatch.setitem(sys.modules, "cv2", fake)
    monkeypatch.setattr(cameras, "_DEVICES", {})


@pytest.mark.usefixtures("fake_cv2")
def test_a_camera_gives_rgb_frames_timed_as_they_come():
    source = open_video("camera:0")
    assert (source.size, source.fps, source.count, source.is_live) == ((48, 64), 30, None, True)
    frames = list(source.frames())
    source.close()
    assert len(frames) == 3
    assert frames[0].pixels[0, 0].tolist() == [200, 0, 0]
    assert [frame.seconds for frame in frames] == sorted(frame.seconds for frame in frames)


@pytest.mark.usefixtures("fake_cv2")
def test_a_camera_that_is_not_there_is_named():
    with pytest.raises(InputError, match="camera:7: there is no such camera"):
        open_video("camera:7")


def test_without_a_way_to_cameras_the_remedy_is_told(monkeypatch):
    monkeypatch.setattr(cameras, "_DEVICES", {})
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(InputError, match="pip install opencv"):
        open_video("camera:0")


def test_cameras_of_ffmpeg_are_read_as_video(tmp_path, monkeypatch):
    path = film(tmp_path / "0.mp4", moving(3))
    monkeypatch.setattr(cameras, "_DEVICES", {sys.platform: ("mp4", f"{path.parent}/{{}}.mp4")})
    source = open_video("camera:0")
    assert source.is_live
    assert len(list(source.frames())) == 3
    source.close()
    with pytest.raises(InputError, match="no such camera"):
        open_video("camera:1")
