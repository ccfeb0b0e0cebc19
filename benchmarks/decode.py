"""Time and memory of `roadseg.inference.decode` against upsampling the scores and taking their maximum.

Usage::

    python benchmarks/decode.py --repeats 7 --threads 1 --json decode.json

Prints JSON on stdout and a table on stderr. The variants take turns within each repeat, so a busy machine slows all of
them alike: read the ratios, not the milliseconds. ``--clock cpu`` counts the time the processor worked for this
process, which a busy machine disturbs least; use it with one thread. Memory is the rise of the resident size over one
call in a fresh process (Linux only).
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from delivery import deliver  # from this folder
from torch import Tensor

from roadseg.inference.decode import Decoded, decode

SIZE = (1024, 2048)
CLASSES = 19
BASELINE = "upsample + max"
CONFIDENCE_BASELINE = "upsample + softmax + max"


@dataclass(frozen=True)
class Case:
    """A score map to decode to `SIZE`: regions of about `region` cells with rough borders, or noise if zero."""

    name: str
    stride: int
    region: int

    def scores(self) -> Tensor:
        """The logits ``[1, C, h, w]``."""
        generator = torch.Generator().manual_seed(0)
        height, width = SIZE[0] // self.stride, SIZE[1] // self.stride
        noise = torch.randn(1, CLASSES, height, width, generator=generator)
        if not self.region:
            return noise
        coarse = (height // self.region, width // self.region)
        seeds = 4 * torch.randn(1, CLASSES, *coarse, generator=generator)
        return F.interpolate(seeds, size=(height, width), mode="bicubic").add_(noise, alpha=0.1)


CASES = (
    Case("stride 8, regions", stride=8, region=16),
    Case("stride 4, regions", stride=4, region=16),
    Case("stride 8, noise", stride=8, region=0),
)


def upsample(scores: Tensor) -> Tensor:
    """The large array that `decode` never makes."""
    return F.interpolate(scores, size=SIZE, mode="bilinear", align_corners=False)


def upsample_softmax_max(scores: Tensor) -> Decoded:
    """The usual way to labels with confidence."""
    confidence, labels = upsample(scores).softmax(1).max(1)
    return Decoded(labels, confidence)


VARIANTS: dict[str, Callable[[Tensor], Decoded]] = {
    BASELINE: lambda scores: Decoded(upsample(scores).max(1).indices),
    "upsample + argmax": lambda scores: Decoded(upsample(scores).argmax(1)),
    "decode": lambda scores: decode(scores, SIZE, align_corners=False),
    "decode, strips": lambda scores: decode(scores, SIZE, align_corners=False, method="strips"),
    "decode, cells": lambda scores: decode(scores, SIZE, align_corners=False, method="cells"),
    CONFIDENCE_BASELINE: upsample_softmax_max,
    "decode, confidence": lambda scores: decode(scores, SIZE, align_corners=False, confidence=True),
}


def mixed_share(scores: Tensor) -> float:
    """The share of cells whose four corners differ in class."""
    labels = scores[0].max(0).indices
    corners = torch.stack([labels[:-1, :-1], labels[:-1, 1:], labels[1:, :-1], labels[1:, 1:]])
    return float((corners != corners[0]).any(0).float().mean())


def take_turns(scores: Tensor, repeats: int, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Seconds of every variant, `repeats` times after one untimed round."""
    seconds: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for turn in range(repeats + 1):
        for name, run in VARIANTS.items():
            begin = clock()
            run(scores)
            if turn:
                seconds[name].append(clock() - begin)
    return seconds


def memory_status(field: str) -> int:
    """A field of this process's memory status in bytes: VmRSS is the resident size, VmHWM its peak."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(field))
    return 1024 * int(line.split()[1])


def peak_here(case: Case, variant: str) -> int:
    """Bytes by which the resident size rises while `variant` runs in this process."""
    run = VARIANTS[variant]
    scores = case.scores()
    run(scores[..., :2, :2])  # loads what is loaded on first use
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = memory_status("VmRSS")
    run(scores)
    return memory_status("VmHWM") - before


def peak_in_fresh_process(index: int, variant: str) -> int:
    """`peak_here`, undisturbed by what this process did before."""
    # Every larger allocation its own mapping: what is freed leaves the resident size, so it cannot hide a later peak.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "131072"}
    command = [sys.executable, __file__, "--peak", str(index), variant]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return int(done.stdout)


def measure(index: int, options: argparse.Namespace) -> dict[str, object]:
    """One case: for every variant its time, its memory, and the pixels that differ from the baseline."""
    case = CASES[index]
    scores = case.scores()
    expected = VARIANTS[BASELINE](scores).labels
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    seconds = take_turns(scores, options.repeats, clock)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    results = []
    for name, run in VARIANTS.items():
        baseline = CONFIDENCE_BASELINE if name in (CONFIDENCE_BASELINE, "decode, confidence") else BASELINE
        quartiles = statistics.quantiles(seconds[name], n=4, method="inclusive")
        results.append(
            {
                "variant": name,
                "median_ms": 1e3 * medians[name],
                "iqr_ms": 1e3 * (quartiles[2] - quartiles[0]),
                "speedup": medians[baseline] / medians[name],
                "baseline": baseline,
                "peak_mib": None if options.no_memory else peak_in_fresh_process(index, name) / 2**20,
                "different_pixels": int((run(scores).labels != expected).sum()),
            }
        )
    return {
        "case": case.name,
        "scores": list(scores.shape),
        "size": list(SIZE),
        "mixed_cells": mixed_share(scores),
        "variants": results,
    }


def table(cases: list[dict]) -> str:
    """The report for people."""
    lines = []
    for case in cases:
        peaks = {row["variant"]: row["peak_mib"] for row in case["variants"]}
        lines += [
            "",
            f"{case['case']}: {case['scores'][1:]} -> {case['size']}, {case['mixed_cells']:.0%} of the cells mixed",
            f"{'':26}{'median':>12}{'IQR':>10}{'speed':>8}{'peak memory':>14}{'less':>8}{'differing':>11}",
        ]
        for row in case["variants"]:
            peak, base = row["peak_mib"], peaks[row["baseline"]]
            memory = f"{'-':>14}{'-':>8}" if peak is None else f"{peak:>10.1f} MiB{base / peak:>7.1f}x"
            lines.append(
                f"{row['variant']:26}{row['median_ms']:>9.1f} ms{row['iqr_ms']:>7.1f} ms{row['speedup']:>7.1f}x"
                f"{memory}{row['different_pixels']:>11}"
            )
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7, help="timed rounds per case")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="what a second is")
    parser.add_argument("--no-memory", action="store_true", help="skip the measurement of memory")
    parser.add_argument("--json", type=Path, help="also write the JSON to this file")
    parser.add_argument("--peak", nargs=2, metavar=("CASE", "VARIANT"), help=argparse.SUPPRESS)
    return parser.parse_args()


@torch.inference_mode()
def main() -> None:
    """Run all cases and report."""
    options = parse()
    torch.set_num_threads(options.threads)
    if options.peak:
        print(peak_here(CASES[int(options.peak[0])], options.peak[1]))
        return
    cases = [measure(index, options) for index in range(len(CASES))]
    report = {
        "benchmark": "decode",
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": options.threads,
        "clock": options.clock,
        "repeats": options.repeats,
        "cases": cases,
    }
    deliver(report, table(cases), json_file=options.json)


if __name__ == "__main__":
    main()
