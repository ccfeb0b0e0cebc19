"""Small videos made by code: a camera pans over a picture, so that the flow is the same everywhere and known."""

from pathlib import Path

import numpy as np
from PIL import Image

from roadseg.media import write_image

PAN = (3, 1)
"""Pixels that the view moves from frame to frame, to the right and down: things move to the left and up."""


def panned(root: Path, splits: dict[str, int] | None = None, *, frames: int = 5, size=(64, 80)) -> Path:
    """Write clips in the layout of rendered streets, with the flow from each frame to the next.

    Args:
        root: The folder.
        splits: Number of clips of each split.
        frames: Frames of each clip.
        size: Height and width.
    """
    for number, split in enumerate([name for name, n in (splits or {"train": 1}).items() for _ in range(n)]):
        ground = texture(number, (size[0] + PAN[1] * frames, size[1] + PAN[0] * frames))
        folder = root / "sequences" / split / f"clip_{number:06d}"
        for frame in range(frames):
            x, y = PAN[0] * frame, PAN[1] * frame
            write_image(folder / "images" / f"{frame:06d}.png", ground[y : y + size[0], x : x + size[1]])
            if frame < frames - 1:
                write_flow(folder / "flow" / f"{frame:06d}.npz", size)
    return root


def write_flow(path: Path, size: tuple[int, int]) -> None:
    flow = np.broadcast_to(np.float32([-PAN[0], -PAN[1]]), (*size, 2))
    valid = np.zeros(size, bool)
    valid[PAN[1] :, PAN[0] :] = True  # the rest leaves the picture
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, flow=flow, valid=valid)


def texture(seed: int, size: tuple[int, int]) -> np.ndarray:
    """Smooth color noise, uint8 ``[H, W, 3]``."""
    coarse = np.random.default_rng(seed).integers(0, 256, (size[0] // 8, size[1] // 8, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC))
