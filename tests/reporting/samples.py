"""Scores and examples that the tests of reports share."""

import json
from typing import Any

import numpy as np

from roadseg.labels import LabelSpace
from roadseg.reporting import Example, make_example

SPACE = LabelSpace.from_names(["road", "car", "sky"], name="three")


def score(**changes: Any) -> dict[str, Any]:
    """A score with everything that `roadseg evaluate` may write."""
    classes = {
        "road": {"iou": 0.9, "recall": 0.95, "precision": 0.94, "pixels": 700, "iiou": None},
        "car": {"iou": 0.5, "recall": 0.6, "precision": 0.7, "pixels": 200, "iiou": 0.4},
        "sky": {"iou": None, "recall": None, "precision": None, "pixels": 0, "iiou": None},
    }
    bins = [
        {"low": i / 5, "high": (i + 1) / 5, "confidence": None, "accuracy": None, "count": 0}
        for i in range(5)
    ]
    bins[4] |= {"confidence": 0.95, "accuracy": 0.9, "count": 900}
    found = {
        "miou": 0.7,
        "pixel_accuracy": 0.88,
        "mean_accuracy": 0.775,
        "frequency_weighted_iou": 0.81,
        "classes": classes,
        "protocol": {"dataset": "camvid", "split": "test", "space": "three", "text": "camvid test: 2 images"},
        "weights": "mine",
        "data": "somewhere",
        "device": "cpu",
        "seconds": 1.5,
        "categories": {"flat": {"iou": 0.9, "iiou": None}},
        "confusion": {
            "names": ["road", "car", "sky"],
            "counts": [[665, 35, 0, 0], [70, 120, 5, 5], [0, 0, 0, 0], [9, 9, 9, 9]],
        },
        "per_image": [
            {"key": f"city/{i}", "image": f"{i}.png", "label": f"{i}_l.png", "miou": i / 10, "accuracy": 0.5}
            for i in (5, 3, 8)
        ],
        "interval": {"low": 0.65, "high": 0.75, "level": 0.95, "replicates": 1000},
        "boundary": {
            "f": {"road": 0.8, "car": 0.6, "mean": 0.7},
            "iou": {"road": 0.7, "car": 0.5, "mean": 0.6},
            "radius_px": [19],
            "band_px": [46],
        },
        "trimap": [{"width": w, "miou": 0.3 + w / 100, "accuracy": 0.5} for w in range(1, 21)],
        "calibration": {"ece": 0.05, "temperature": 1.4, "ece_after": 0.01, "bins": bins},
    }
    return json.loads(json.dumps({**found, **changes}))


def example(key: str = "city/3", size: tuple[int, int] = (40, 80)) -> Example:
    """Left half road, right half car; predicted: all road but for the sky in the upper fourth."""
    truth = np.zeros(size, np.uint8)
    truth[:, size[1] // 2 :] = 1
    truth[-4:] = SPACE.ignore
    prediction = np.zeros(size, np.uint8)
    prediction[: size[0] // 4] = 2
    image = np.full((*size, 3), 128, np.uint8)
    return make_example(key, image, truth, prediction, SPACE, scores=(0.3, 0.5))
