"""Writing video: H.264 that browsers play, and joining what was written in parts.

PyAV carries FFmpeg and the encoder x264 in its wheel; nothing else has to be installed.
"""

import math
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
import numpy.typing as npt
from av.container import OutputContainer
from av.video.reformatter import Colorspace
from av.video.stream import VideoStream

from roadseg.errors import ImageError, OutputError
from roadseg.media.writing import atomic_path

__all__ = ["VideoWriter", "join_videos"]

_PLAIN_TICKS = 90_000  # per second: the clock of MPEG, which the usual frame rates divide
_THREADS = 4  # of the encoder: its output depends on their number, which must not depend on the machine
_BT709, _LIMITED = 1, 1  # FFmpeg's numbers for the colors of HD television


class VideoWriter:
    """Writes an MP4 with H.264 in 4:2:0, which every browser plays while it is still loading.

    The file appears under its name when the block ends well; whatever ends it early leaves nothing, and an old file as
    it was. The size is that of the first picture; H.264 needs even sides, so that odd ones grow by one repeated row or
    column. There are no frames that depend on later ones: times of decoding and showing agree, and files of equal
    settings can be joined without encoding anew (`join_videos`).

    Args:
        path: A name that ends in ``.mp4``.
        fps: Frames per second; with `write`'s ``seconds``, only how long the last frame lasts.
        crf: Quality, x264's constant rate factor: 0 is lossless, 51 the worst; 18 looks like the original.
        preset: x264's name for how long it tries to save bytes: ultrafast ... veryslow.

    Raises:
        OutputError: The file cannot be written.
    """

    def __init__(
        self, path: str | Path, fps: Fraction | float, *, crf: int = 20, preset: str = "veryfast"
    ) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() != ".mp4":
            raise OutputError("is no name for an MP4", where=path, remedy="let it end in .mp4")
        self.fps = Fraction(fps).limit_denominator(100_000)
        if not 0 < self.fps <= 1000:
            raise OutputError(
                f"cannot have {float(fps):g} frames per second", where=path, remedy="give up to 1000"
            )
        self.frames = 0
        self._options = {"crf": str(crf), "preset": preset, "bf": "0"}
        self._ticks = self.fps.numerator * math.ceil(_PLAIN_TICKS / self.fps.numerator)
        self._size: tuple[int, int] | None = None
        self._stack = ExitStack()
        self._last = -1

    def __enter__(self) -> Self:
        self._temporary = self._stack.enter_context(atomic_path(self.path))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        except BaseException as failure:
            self._let_go()
            self._stack.__exit__(type(failure), failure, failure.__traceback__)
            raise
        if kind is not None:
            self._let_go()
        self._stack.__exit__(kind, error, trace)

    def write(self, pixels: npt.NDArray[np.uint8], seconds: Fraction | None = None) -> None:
        """Add a picture.

        Args:
            pixels: uint8 ``[H, W, 3]``; all of one size.
            seconds: When it is shown, from the first picture of the file on; by default, at the frame rate.

        Raises:
            OutputError: The picture has another size than the first, or the encoder refuses it.
        """
        if self._size is None:
            self._start(pixels)
        if pixels.shape[:2] != self._size or pixels.dtype != np.uint8:
            raise OutputError(
                f"got a picture {pixels.dtype} {list(pixels.shape)} after others of {self._size}",
                where=self.path,
                remedy="give uint8 pictures of one size",
            )
        height, width = pixels.shape[:2]
        if height % 2 or width % 2:
            pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame = frame.reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709, src_color_range="JPEG", dst_color_range="MPEG"
        )
        at = Fraction(self.frames) / self.fps if seconds is None else seconds
        frame.pts = self._last = max(self._last + 1, round(at * self._ticks))
        frame.time_base = Fraction(1, self._ticks)
        self.frames += 1
        self._encode(frame)

    def _start(self, pixels: npt.NDArray[np.uint8]) -> None:
        height, width = self._size = pixels.shape[:2]
        self._container = av.open(str(self._temporary), "w", format="mp4", options={"movflags": "+faststart"})
        self._stream = self._container.add_stream("libx264", rate=self.fps, options=self._options)
        context = self._stream.codec_context
        context.width, context.height, context.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
        context.time_base = Fraction(1, self._ticks)
        context.thread_count = _THREADS
        context.color_range = _LIMITED
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        self._packets = _Timed(self._container, self._stream, round(self._ticks / self.fps))

    def _encode(self, frame: av.VideoFrame | None) -> None:
        try:
            for packet in self._stream.encode(frame):
                self._packets.add(packet)
        except av.FFmpegError as error:
            if isinstance(error, OSError):
                raise
            height, width = self._size or (0, 0)
            raise OutputError(
                f"frames of {width} x {height} pixels cannot be encoded ({error.strerror})",
                where=self.path,
                remedy="make them smaller",
            ) from error

    def _finish(self) -> None:
        if self._size is None:
            raise OutputError("would hold no frame", where=self.path, remedy="write at least one")
        self._encode(None)
        self._packets.finish()
        self._container.close()

    def _let_go(self) -> None:
        if self._size is not None:
            with suppress(av.FFmpegError, OSError, ValueError):
                self._container.close()


class _Timed:
    """Packets on their way to a file, each with the time until the next."""

    def __init__(self, container: OutputContainer, stream: VideoStream, last: int) -> None:
        self.container, self.stream, self.last = container, stream, last
        self.held: av.Packet[VideoStream] | None = None

    def add(self, packet: "av.Packet[VideoStream]") -> None:
        """Write the packet before this one, which now is known to end where this one begins."""
        if self.held is not None:
            self._write(self.held, (packet.pts or 0) - (self.held.pts or 0))
        self.held = packet

    def finish(self) -> None:
        """Write the last packet, which lasts one period of the frame rate."""
        if self.held is not None:
            self._write(self.held, self.last)
        self.held = None

    def _write(self, packet: "av.Packet[VideoStream]", duration: int) -> None:
        packet.duration = duration
        packet.stream = self.stream
        self.container.mux(packet)


def join_videos(paths: list[Path], starts: list[Fraction], target: Path, fps: Fraction) -> None:
    """Put videos of one `VideoWriter` setting behind each other without encoding them again.

    Args:
        paths: The files, at least one.
        starts: When each begins, in seconds.
        target: The file to write; not atomic, see `atomic_path`.
        fps: How long the last frame lasts.
    """
    container = av.open(str(target), "w", format="mp4", options={"movflags": "+faststart"})
    try:
        packets: _Timed | None = None
        for path, start in zip(paths, starts, strict=True):
            with av.open(str(path)) as part:
                source = part.streams.video[0]
                ticks = source.time_base
                if ticks is None:
                    raise ImageError("has no clock", where=path)
                if packets is None:
                    stream = container.add_stream_from_template(source)
                    stream.time_base = ticks
                    packets = _Timed(container, stream, round(1 / (fps * ticks)))
                offset = round(start / ticks)
                for packet in part.demux(source):
                    if packet.pts is None or packet.dts is None:
                        continue  # the empty packet at the end
                    packet.pts += offset
                    packet.dts += offset
                    packets.add(packet)
        if packets is not None:
            packets.finish()
    finally:
        container.close()
