"""Cameras as sources of frames: ``camera:0`` is the first one."""

import re
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Protocol, Self

import av
import numpy as np
import numpy.typing as npt

from roadseg.errors import ImageError, InputError
from roadseg.media.video import VIDEO_SUFFIXES, Frame, FrameSource, VideoReader

__all__ = ["is_video", "open_video"]

_CAMERA = re.compile(r"camera:(\d+)", re.IGNORECASE)
_ADDRESSES = ("rtsp://", "rtsps://", "rtmp://", "http://", "https://", "udp://", "srt://")
_INSTALL = "pip install opencv-python-headless"
# FFmpeg's way to cameras by system: format, and what it calls camera number N.
_DEVICES = {
    "linux": ("v4l2", "/dev/video{}"),
    "darwin": ("avfoundation", "{}:none"),
    "win32": ("vfwcap", "{}"),
}
_USUAL_RATE = 30


def is_video(source: str | Path) -> bool:
    """Tell by its name whether an input is a video, a camera (``camera:0``) or the address of a stream."""
    text = str(source)
    if _CAMERA.fullmatch(text) or text.lower().startswith(_ADDRESSES):
        return True
    return Path(text).suffix.lower() in VIDEO_SUFFIXES and not Path(text).is_dir()


def open_video(source: str | Path) -> FrameSource:
    """Open a video file, a camera (``camera:0``) or the address of a stream (``rtsp://...``).

    Raises:
        ImageError: It is no video, or damaged; see `VideoReader`.
        InputError: There is no such camera, or no way to reach it.
    """
    camera = _CAMERA.fullmatch(str(source))
    return VideoReader(source) if camera is None else _open_camera(int(camera[1]))


def _open_camera(number: int) -> FrameSource:
    name = f"camera:{number}"
    kind, device = _DEVICES.get(sys.platform, ("", ""))
    if kind in av.formats_available:
        try:
            return VideoReader(device.format(number), options=(kind, {}))
        except ImageError as error:
            raise _absent(name) from error
    # The wheels of PyAV for Linux lack FFmpeg's devices; OpenCV has its own way to them.
    try:
        import cv2
    except ImportError as error:
        raise InputError("cannot be read: FFmpeg has no cameras here", where=name, remedy=_INSTALL) from error
    cv2.utils.logging.setLogLevel(
        cv2.utils.logging.LOG_LEVEL_ERROR
    )  # it would print to stderr that there is no camera; that is for us to say
    return _OpenCvCamera(name, cv2.VideoCapture(number))


def _absent(name: str) -> InputError:
    return InputError(
        "there is no such camera, or another program uses it",
        where=name,
        remedy="check it, or try another number",
    )


class _Capture(Protocol):
    """A ``cv2.VideoCapture``, or what stands for it in tests."""

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's spelling
        """Tell whether the device is there."""

    def read(self) -> tuple[bool, npt.NDArray[np.uint8]]:
        """Wait for a frame, BGR."""

    def get(self, prop: int, /) -> float:
        """Return a property of the device."""

    def release(self) -> None:
        """Let go of the device."""


class _OpenCvCamera:
    """A camera read by OpenCV; frames are timed as they arrive."""

    is_live = True

    def __init__(self, name: str, device: _Capture) -> None:
        self._device = device
        self.count: int | None = None
        found = device.isOpened()
        if found:
            found, self._first = device.read()
        if not found:
            device.release()
            raise _absent(name)
        self.size = (int(self._first.shape[0]), int(self._first.shape[1]))
        rate = device.get(5)  # cv2.CAP_PROP_FPS
        self.fps = Fraction(rate if 0 < rate <= 1000 else _USUAL_RATE).limit_denominator(1000)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the camera."""
        self._device.release()

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """Yield frames as they come; those before ``start`` are dropped."""
        began = time.monotonic()
        found, picture, number = True, self._first, 0
        while found:
            if number >= start:
                seconds = Fraction(time.monotonic() - began).limit_denominator(10_000)
                yield Frame(np.ascontiguousarray(picture[..., ::-1]), seconds)
            number += 1
            found, picture = self._device.read()
