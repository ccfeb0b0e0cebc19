"""Time of counting truth against prediction on 1024x2048 label maps, against loops over the classes.

Usage::

    python benchmarks/confusion.py --repeats 9 --json confusion.json

Prints JSON on stdout and a table on stderr. The variants take turns within each repeat, so a busy machine slows all of
them alike: read the ratios, not the milliseconds. All variants give the same IoU, which is checked before anything is
timed. "per-class loop" is the usual one: for every class its pixels in truth and in prediction, their intersection and
their union. "bincount" counts pixel by pixel, as many code bases do.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from delivery import deliver  # from this folder
from numpy.typing import NDArray

from roadseg.labels import space
from roadseg.metrics import Confusion, ImageCounts, Protocol, Scores

SIZE = (1024, 2048)
SPACE = space("cityscapes-19")
CLASSES, VOID = SPACE.num_classes, SPACE.ignore
BASELINE = "per-class loop"


@dataclass(frozen=True)
class Case:
    """Truth of blocks with void ones among them, and a prediction that is off at borders and in places wrong."""

    name: str
    block: int
    wrong: float

    def pictures(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The truth and the prediction, uint8 ``[H, W]``."""
        rng = np.random.default_rng(0)
        shape = (SIZE[0] // self.block, SIZE[1] // self.block)
        blocks = rng.integers(0, CLASSES, shape, dtype=np.uint8)
        blocks[rng.random(shape) < 0.1] = VOID
        truth = np.kron(blocks, np.ones((self.block, self.block), np.uint8))
        prediction = np.roll(truth, (2, 3), (0, 1))
        wrong = (rng.random(SIZE) < self.wrong) | (prediction == VOID)
        prediction[wrong] = rng.integers(0, CLASSES, int(wrong.sum()))
        return truth, prediction


CASES = (
    Case("regions, 3 % speckles", block=64, wrong=0.03),
    Case("small regions", block=8, wrong=0.0),
    Case("noise", block=1, wrong=0.5),
)


def per_class_loop(truth: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Intersection over union, class by class."""
    valid = truth != VOID
    iou = []
    for class_id in range(CLASSES):
        true = truth == class_id
        given = (prediction == class_id) & valid
        iou.append((true & given).sum() / (true | given).sum())
    return np.array(iou)


def bincount(truth: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Intersection over union from a confusion matrix that is counted pixel by pixel."""
    valid = truth != VOID
    pairs = CLASSES * truth[valid].astype(np.int64) + prediction[valid]
    counts = np.bincount(pairs, minlength=CLASSES**2).reshape(CLASSES, CLASSES)
    right = np.diag(counts)
    return right / (counts.sum(0) + counts.sum(1) - right)


def confusion(truth: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What `roadseg.metrics` does for a score."""
    counted = Confusion(SPACE)
    counted.update(truth, prediction)
    return Scores.from_confusion(counted).iou


def per_image(truth: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What ``roadseg evaluate`` does: also the counts of the image alone, for its table and the interval."""
    counted = Confusion(SPACE)
    counted.update(truth, prediction)
    counts = ImageCounts.stack(SPACE, [("image", ImageCounts.of_image(counted))])
    return counts.iou(counts.counts, Protocol())[0]


VARIANTS: dict[str, Callable[[NDArray[np.uint8], NDArray[np.uint8]], NDArray[np.float64]]] = {
    BASELINE: per_class_loop,
    "bincount": bincount,
    "Confusion": confusion,
    "Confusion, per image": per_image,
}


def measure(case: Case, repeats: int) -> dict[str, object]:
    """One case: for every variant the median time and its ratio to the baseline's."""
    truth, prediction = case.pictures()
    expected = per_class_loop(truth, prediction)
    for name, run in VARIANTS.items():
        np.testing.assert_allclose(run(truth, prediction), expected, rtol=1e-12, err_msg=name)
    seconds: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for _ in range(repeats):
        for name, run in VARIANTS.items():
            begin = time.perf_counter()
            run(truth, prediction)
            seconds[name].append(time.perf_counter() - begin)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    rows = []
    for name, values in seconds.items():
        quartiles = statistics.quantiles(values, n=4, method="inclusive")
        rows.append(
            {
                "variant": name,
                "median_ms": 1e3 * medians[name],
                "iqr_ms": 1e3 * (quartiles[2] - quartiles[0]),
                "speedup": medians[BASELINE] / medians[name],
            }
        )
    return {"case": case.name, "variants": rows}


def table(cases: list[dict]) -> str:
    """The report for people."""
    lines = []
    for case in cases:
        lines += ["", f"{case['case']:26}{'median':>12}{'IQR':>10}{'speed':>8}"]
        lines += [
            f"{row['variant']:26}{row['median_ms']:>9.1f} ms{row['iqr_ms']:>7.1f} ms{row['speedup']:>7.1f}x"
            for row in case["variants"]
        ]
    return "\n".join(lines)


def main() -> None:
    """Run all cases and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9, help="timed rounds per case")
    parser.add_argument("--json", type=Path, help="also write the JSON to this file")
    options = parser.parse_args()
    cases = [measure(case, options.repeats) for case in CASES]
    report = {
        "benchmark": "confusion",
        "size": list(SIZE),
        "classes": CLASSES,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "repeats": options.repeats,
        "cases": cases,
    }
    deliver(report, table(cases), json_file=options.json)


if __name__ == "__main__":
    main()
