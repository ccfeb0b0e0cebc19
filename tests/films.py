"""Small videos drawn by code, and ways to read and play them."""

import base64
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from roadseg.media.film import VideoWriter
from roadseg.media.video import VideoReader
from tests.fakes import picture

SIZE = (48, 64)  # height, width
CHROMIUM = Path("/usr/bin/chromium")

_PLAY = """async ({data, at}) => {
    const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0));
    const video = document.createElement("video");
    video.muted = true;
    const happens = (name) => new Promise((good, bad) => {
        video.addEventListener(name, good, {once: true});
        video.addEventListener("error", () => bad(new Error(video.error.message)), {once: true});
    });
    let event = happens("loadeddata");
    video.src = URL.createObjectURL(new Blob([bytes], {type: "video/mp4"}));
    await event;
    event = happens("seeked");
    video.currentTime = at;
    await event;
    const canvas = document.createElement("canvas");
    canvas.width = Math.min(64, video.videoWidth);
    canvas.height = Math.min(48, video.videoHeight);
    const drawing = canvas.getContext("2d");
    drawing.drawImage(video, 0, 0, canvas.width, canvas.height, 0, 0, canvas.width, canvas.height);
    const pixels = Array.from(drawing.getImageData(0, 0, canvas.width, canvas.height).data);
    event = happens("seeked");
    video.currentTime = 0;
    await event;
    const before = video.getVideoPlaybackQuality().totalVideoFrames;
    event = happens("ended");
    video.playbackRate = 2;
    await video.play();
    await event;
    return {
        duration: video.duration, width: video.videoWidth, height: video.videoHeight, pixels,
        frames: video.getVideoPlaybackQuality().totalVideoFrames - before,
    };
}"""


def moving(count: int, size: tuple[int, int] = SIZE, step: int = 1) -> list[np.ndarray]:
    """Pictures of blocks that move to the left, ``step`` pixels from each to the next."""
    width = size[1] + step * count
    small = picture("moving", (-(-size[0] // 4), -(-width // 4)))
    wide = np.kron(
        small, np.ones((4, 4, 1), dtype=np.uint8)
    )  # blocks of 16: film halves the resolution of colors
    return [np.ascontiguousarray(wide[: size[0], i * step : i * step + size[1]]) for i in range(count)]


def film(path: Path, frames: list[np.ndarray], fps: Fraction | float = 25, crf: int = 10) -> Path:
    """Write a video."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, fps, crf=crf) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def turned(path: Path, frames: list[np.ndarray], degrees: int) -> Path:
    """Write a video that states a rotation, as phones do."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "1"})
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "yuv420p"
        stream.set_display_rotation(degrees)
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def read(path: Path) -> tuple[list[np.ndarray], list[Fraction]]:
    """All frames of a video, and their times."""
    with VideoReader(path) as reader:
        frames = list(reader.frames())
    return [frame.pixels for frame in frames], [frame.seconds for frame in frames]


def play(path: Path, at: float) -> dict[str, Any]:
    """Play a video to its end in Chromium; also return the top left of its picture at a time. Skips where there is no Chromium."""
    if not CHROMIUM.exists():
        pytest.skip(f"needs {CHROMIUM}")
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    data = base64.b64encode(path.read_bytes()).decode()
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        try:
            page = browser.new_page()
            page.goto("about:blank")
            page.set_default_timeout(120_000)
            shown: dict[str, Any] = page.evaluate(_PLAY, {"data": data, "at": at})
        finally:
            browser.close()
    size = min(48, shown["height"]), min(64, shown["width"])
    rgba = np.array(shown["pixels"], dtype=np.uint8).reshape(*size, 4)
    shown["pixels"] = rgba[..., :3]
    return shown
