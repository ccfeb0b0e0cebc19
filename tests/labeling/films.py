"""Films whose motion is known: a window that slides over a picture, so that everything moves alike."""

from pathlib import Path

import numpy as np
from PIL import Image

from tests.fakes import save

SHIFT = 3  # pixels to the left from frame to frame
IGNORE = 255


def canvas(size, frames, seed=0):
    """A textured picture, and its labels in patches of 8 pixels, wide enough for all frames."""
    rng = np.random.default_rng(seed)
    height, width = size[0], size[1] + SHIFT * frames
    small = rng.integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), dtype=np.uint8)
    smooth = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    labels = rng.integers(0, 5, (height // 8 + 1, width // 8 + 1), dtype=np.uint8)
    return np.asarray(smooth), labels.repeat(8, 0).repeat(8, 1)[:height, :width]


def sliding(root: Path, frames=6, size=(64, 96), annotated=(2,), first=0):
    """Write ``images/000000.png`` ..., ``labels/`` of some of them, and ``flow/`` as the renderer does.

    Returns the true labels of every frame.
    """
    picture, ids = canvas(size, frames)
    truths = []
    for t in range(frames):
        window = slice(SHIFT * t, SHIFT * t + size[1])
        save(root / "images" / f"{first + t:06d}.png", picture[:, window])
        truths.append(ids[:, window])
        if t in annotated:
            save(root / "labels" / f"{first + t:06d}.png", ids[:, window])
        if t < frames - 1:
            flow = np.zeros((*size, 2), dtype=np.float32)
            flow[..., 0] = -SHIFT
            valid = np.ones(size, dtype=np.bool_)
            valid[:, :SHIFT] = False
            (root / "flow").mkdir(parents=True, exist_ok=True)
            np.savez(root / "flow" / f"{first + t:06d}.npz", flow=flow, valid=valid)
    return truths
