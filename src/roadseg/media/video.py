"""Reading video files, one frame at a time: upright, RGB, with their times.

PyAV carries FFmpeg in its wheel; nothing else has to be installed. Files read here are untrusted: sizes are bounded before a frame is decoded, and whatever is wrong becomes an `ImageError` of one sentence.
"""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple, Protocol, Self, cast

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.sidedata.sidedata import SideData
from av.video.reformatter import Colorspace
from av.video.stream import VideoStream

from roadseg.errors import ImageError

__all__ = ["MAX_FRAME_PIXELS", "VIDEO_SUFFIXES", "Frame", "FrameSource", "VideoReader"]

MAX_FRAME_PIXELS = 2**26
"""Larger frames are refused: 64 megapixels admit 8192 x 8192, twice what 8K video has."""

VIDEO_SUFFIXES = (
    ".3gp",
    ".asf",
    ".avi",
    ".flv",
    ".h264",
    ".h265",
    ".hevc",
    ".m2ts",
    ".m4v",
    ".mjpeg",
    ".mkv",
    ".mov",
    ".mp4",
    ".mpeg",
    ".mpg",
    ".mts",
    ".mxf",
    ".ogv",
    ".ts",
    ".vob",
    ".webm",
    ".wmv",
    ".y4m",
)

_PATIENCE_SECONDS = 30.0  # with an address that sends nothing
_USUAL_RATE = Fraction(25)  # of files that state none
# FFmpeg shows text files as films, and opens what lists of files name.
_NOT_VIDEO = ("concat", "image2", "lavfi", "tty")
_UNTOLD = 2  # color space "unspecified" in FFmpeg's numbering
_HD = 720  # lines from which players take untagged colors for BT.709
# By how much an index may promise more than there is before the file counts as cut short.
_LAST_SECOND = Fraction(1)


class Frame(NamedTuple):
    """One picture of a video.

    Attributes:
        pixels: uint8 ``[H, W, 3]``, RGB, upright.
        seconds: When it is shown, from the first frame on.
    """

    pixels: npt.NDArray[np.uint8]
    seconds: Fraction


class FrameSource(Protocol):
    """What gives frames: a file, a stream, a camera."""

    size: tuple[int, int]
    """Height and width of every frame."""
    fps: Fraction
    """Frames per second, on average."""
    count: int | None
    """Number of frames as far as it is known before they are read."""
    is_live: bool
    """Whether what was not read in time is lost, and the end is where somebody stops it."""

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """Yield the frames from number ``start`` on; only once."""
        ...

    def close(self) -> None:
        """Let go of the file or the device."""
        ...


class VideoReader:
    """The frames of a video file, in order.

    Every frame has the size of the first one, after the rotation that phones store with the video. Memory holds one
    frame and what the decoder keeps.

    Args:
        path: A file in any format that FFmpeg reads; or an address such as ``rtsp://...``.
        max_pixels: Larger frames are refused before they are decoded.
        options: Format and options of FFmpeg, for devices.

    Raises:
        ImageError: The file is missing, empty, no video, damaged, without a single frame, or its frames are too large.
    """

    def __init__(
        self,
        path: str | Path,
        max_pixels: int = MAX_FRAME_PIXELS,
        *,
        options: tuple[str | None, dict[str, str]] = (None, {}),
    ) -> None:
        self.path = path
        self.is_live = options[0] is not None or "://" in str(path)
        self._max_pixels = max_pixels
        self._container = _open(path, *options)
        try:
            self._stream = self._video_stream()
            self._raw = self._decode()
            self._first = next(self._raw, None)
            if self._first is None:
                raise ImageError("holds no frame", where=path, remedy="check that the recording was finished")
            self._turn = _Turn.of(self._first)
            self.size = self._turn.size(self._first.height, self._first.width)
            self.fps = _rate(self._stream)
            self.count = self._stream.frames or self._counted_by_duration()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """Yield the frames from number ``start`` on; can be called once.

        Frames before ``start`` are decoded, which is the only way to count exactly, but not converted.

        Raises:
            ImageError: The file is damaged or cut short; what came before was good.
        """
        first = self._first
        if first is None:
            raise RuntimeError("the frames of a video can be read once; open it again")
        self._first = None
        clock = _Clock(self.fps)
        number = 0
        seconds = clock.at(_time(first))
        if start == 0:
            yield Frame(self._pixels(first), seconds)
        number = 1
        for frame in self._raw:
            seconds = clock.at(_time(frame))
            if number >= start:
                yield Frame(self._pixels(frame), seconds)
            number += 1
        self._check_end(number, seconds)

    def _video_stream(self) -> VideoStream:
        container = self._container
        if container.format.name in _NOT_VIDEO or container.format.name.endswith("_pipe"):
            raise ImageError("is not a video", where=self.path, remedy=_REMEDY)
        stream = next(iter(container.streams.video), None)
        if stream is None:
            raise ImageError("has no pictures, or is cut short", where=self.path, remedy=_REMEDY)
        self._check_size(stream.codec_context.width, stream.codec_context.height)
        stream.thread_type = "AUTO"
        return stream

    def _check_size(self, width: int, height: int) -> None:
        if width * height > self._max_pixels:
            raise ImageError(
                f"has frames of {width} x {height} pixels, more than {self._max_pixels}",
                where=self.path,
                remedy="scale the video down",
            )

    def _decode(self) -> Iterator[av.VideoFrame]:
        number = 0
        try:
            for packet in self._container.demux(self._stream):
                if packet.is_corrupt and not self.is_live:
                    raise av.error.InvalidDataError(0, "the packet is incomplete")
                for frame in packet.decode():
                    self._check_size(frame.width, frame.height)
                    yield frame
                    number += 1
        except av.error.ExitError as error:
            raise _silent(self.path) from error
        except (av.FFmpegError, ValueError, OSError) as error:
            where = "at its first frame" if not number else f"after {number} frames"
            raise ImageError(
                f"is damaged or cut short {where}", where=self.path, remedy="copy or record it again"
            ) from error

    def _pixels(self, frame: av.VideoFrame) -> npt.NDArray[np.uint8]:
        height, width = self._turn.size(*self.size)
        untold = frame.colorspace == _UNTOLD
        source = (Colorspace.ITU709 if height >= _HD else Colorspace.ITU601) if untold else None
        pixels = frame.to_ndarray(format="rgb24", width=width, height=height, src_colorspace=source)
        return self._turn.upright(pixels.astype(np.uint8, copy=False))

    def _counted_by_duration(self) -> int | None:
        duration = self._container.duration
        return max(1, round(Fraction(duration, av.time_base) * self.fps)) if duration else None

    def _check_end(self, number: int, seconds: Fraction) -> None:
        """Notice a file whose index promises more than was there.

        Both the count and the time have to fall short: players skip frames that an edit list leaves out, and sound may
        go on after the last frame.
        """
        promised, duration = self._stream.frames, self._container.duration
        if not promised or number >= promised or not duration or self.is_live:
            return
        if seconds + 1 / self.fps + _LAST_SECOND < Fraction(duration, av.time_base):
            raise ImageError(
                f"is cut short: it ends after {number} of {promised} frames",
                where=self.path,
                remedy="copy or record it again",
            )


_NO_VIDEO = "is not a video, or is cut short"
_REMEDY = "give a video such as MP4, MOV, MKV, AVI or WebM"


def _open(path: str | Path, kind: str | None, options: dict[str, str]) -> InputContainer:
    is_address = "://" in str(path)
    if not is_address and kind is None:
        file = Path(path)
        if not file.exists():
            raise ImageError("does not exist", where=path, remedy="check the path")
        if file.is_dir():
            raise ImageError("is a folder, not a video", where=path, remedy=_REMEDY)
        if file.is_file() and not file.stat().st_size:
            raise ImageError("is empty", where=path, remedy="copy or record it again")
    try:
        return av.open(
            str(path),
            "r",
            format=kind,
            options=options,
            metadata_errors="ignore",
            timeout=_PATIENCE_SECONDS if is_address else None,
        )
    except av.error.ExitError as error:
        raise _silent(path) from error
    except (av.FFmpegError, ValueError, OSError) as error:
        reason = _NO_VIDEO if isinstance(error, av.error.InvalidDataError) else None
        said = getattr(error, "strerror", None) or "unknown reason"
        raise ImageError(reason or f"cannot be opened ({said})", where=path, remedy=_REMEDY) from error


def _silent(path: str | Path) -> ImageError:
    return ImageError(
        f"sent nothing for {_PATIENCE_SECONDS:g} seconds",
        where=path,
        remedy="check the address and the network",
    )


def _rate(stream: VideoStream) -> Fraction:
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate and 0 < rate <= 1000:
            return Fraction(rate).limit_denominator(100_000)
    return _USUAL_RATE


def _time(frame: av.VideoFrame) -> Fraction | None:
    return None if frame.pts is None or frame.time_base is None else frame.pts * Fraction(frame.time_base)


class _Clock:
    """Turns the times that a file states into times that begin at 0 and grow."""

    def __init__(self, fps: Fraction) -> None:
        self.period = 1 / fps
        self.first: Fraction | None = None
        self.last: Fraction | None = None

    def at(self, stated: Fraction | None) -> Fraction:
        """Return the time of the next frame; without a stated one, or with one of the past, one period later."""
        if self.first is None or self.last is None:
            self.first, self.last = stated or Fraction(0), Fraction(0)
            return self.last
        seconds = None if stated is None else stated - self.first
        self.last = seconds if seconds is not None and seconds > self.last else self.last + self.period
        return self.last


class _Turn(NamedTuple):
    """How stored pixels become upright ones: first swapped, then flipped."""

    swap: bool
    flip_rows: bool
    flip_columns: bool

    @classmethod
    def of(cls, frame: av.VideoFrame) -> "_Turn":
        """Read the display matrix ``[[a, b, u], [c, d, v], [x, y, w]]``: right goes to (a, b), down to (c, d)."""
        data = frame.side_data.get("DISPLAYMATRIX")
        matrix = b"" if data is None else bytes(cast("SideData", data))
        if len(matrix) < 36:  # nine numbers of four bytes
            return cls(False, False, False)
        a, b, _, c, d = (int(value) for value in np.frombuffer(matrix, dtype=np.int32)[:5])
        if abs(b) + abs(c) > abs(a) + abs(d):
            return cls(True, b < 0, c < 0)
        return cls(False, d < 0, a < 0)

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width after the turn, or from after it those before."""
        return (width, height) if self.swap else (height, width)

    def upright(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return the turned pixels."""
        turned = pixels.swapaxes(0, 1) if self.swap else pixels
        turned = turned[::-1] if self.flip_rows else turned
        turned = turned[:, ::-1] if self.flip_columns else turned
        return np.ascontiguousarray(turned)
