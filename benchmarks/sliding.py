"""Time and memory of sliding multi-scale inference against a straightforward implementation of the same windows.

Usage::

    python benchmarks/sliding.py --repeats 3 --threads 1 --json sliding.json

Straightforward is what evaluation scripts do: for every scale and flip, upsample the scores of each window, pad them to
the size of the scaled image, add them to a full-size float32 array and count; divide, resize to the image; average the
scales with NumPy; take the argmax. "slices" is the same, but adds each window to the slice it covers. `roadseg` runs ``MultiScale((0.5, 1, 2), flip=True, inner=Sliding(512, stride=384))``.

Prints JSON on stdout and a table on stderr. The variants take turns within each repeat, so a busy machine slows both
alike: read the ratios, not the seconds. Memory is the rise of the resident size over one call in a fresh process, the
image and the network not counted (Linux only). The last case, an image of 8K, is measured for `roadseg` alone.
"""

import argparse
import functools
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from delivery import deliver  # from this folder
from torch import Tensor, nn

from roadseg.inference import Bounded, MultiScale, Predictor, Sliding, Strategy, WeightsCard
from roadseg.inference.strategies import window_starts
from roadseg.labels import space
from roadseg.models import build
from roadseg.models.output import Output
from roadseg.recipes import Preprocess

SCALES = (0.5, 1.0, 2.0)
WINDOW, STRIDE = 256, 192
CARD = WeightsCard(model="benchmark", space=space("cityscapes-19"), preprocess=Preprocess())
LIMIT = 10**9  # bytes that the network may take for the image of 8K


class Small(nn.Module):
    """Three strided convolutions and a classifier: fast, so that everything around a network shows."""

    stride, align_corners, num_classes = 8, False, 19

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in ((3, 8), (8, 16), (16, 32)):
            layers += [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(32, 19, 1))

    def forward(self, images: Tensor) -> Output:
        """Map images to logits at 1/8."""
        return Output(self.layers(images))


@dataclass(frozen=True)
class Case:
    """A network, and the size of the image it is run over."""

    name: str
    network: Callable[[], nn.Module]
    size: tuple[int, int]
    strategy: Strategy
    compared: bool = True

    def predictor(self) -> Predictor:
        """The network with the strategy, weights drawn at random but always the same."""
        torch.manual_seed(0)
        return Predictor(self.network(), CARD, strategy=self.strategy, device="cpu")

    def image(self) -> Tensor:
        """A smooth uint8 picture ``[1, 3, H, W]``."""
        generator = torch.Generator().manual_seed(0)
        coarse = torch.rand(1, 3, 32, 64, generator=generator)
        return F.interpolate(coarse, size=self.size, mode="bilinear").mul_(255).byte()


SLIDING = MultiScale(SCALES, flip=True, inner=Sliding(WINDOW, stride=STRIDE))
CASES = (
    Case("small network", Small, (512, 1024), SLIDING),
    Case("fast-scnn", lambda: build("fast-scnn", 19, align_corners=False), (512, 1024), SLIDING),
    Case("small network, 8K", Small, (4320, 7680), SLIDING, compared=False),
    Case("small network, 8K, whole", Small, (4320, 7680), Bounded(LIMIT), compared=False),
)


def plain(predictor: Predictor, image: Tensor, *, pad: bool = True) -> Tensor:
    """Labels ``[H, W]``, the straightforward way."""
    height, width = image.shape[2:]
    mean = torch.tensor(CARD.preprocess.mean).view(1, 3, 1, 1)
    std = torch.tensor(CARD.preprocess.std).view(1, 3, 1, 1)
    pixels = (image.float() - mean) / std
    views = []
    for scale in SCALES:
        scaled = F.interpolate(pixels, size=(int(height * scale), int(width * scale)), mode="bilinear")
        for flip in (False, True):
            scores = plain_windows(predictor.model, scaled.flip(-1) if flip else scaled, pad)
            scores = scores.flip(-1) if flip else scores
            views.append(F.interpolate(scores, size=(height, width), mode="bilinear")[0].numpy())
    return torch.from_numpy(np.mean(views, axis=0).argmax(0))


def plain_windows(model: nn.Module, image: Tensor, pad: bool) -> Tensor:
    """Scores ``[1, C, H, W]`` at the size of the image."""
    height, width = image.shape[2:]
    total, count = torch.zeros(1, 19, height, width), torch.zeros(1, 1, height, width)
    for y in window_starts(height, WINDOW, STRIDE):
        for x in window_starts(width, WINDOW, STRIDE):
            window = image[..., y : y + WINDOW, x : x + WINDOW]
            high, wide = window.shape[2:]
            scores = F.interpolate(model(window).logits, size=(high, wide), mode="bilinear")
            if pad:
                total += F.pad(scores, (x, width - x - wide, y, height - y - high))
            else:
                total[..., y : y + high, x : x + wide] += scores
            count[..., y : y + high, x : x + wide] += 1
    return total / count


def ours(predictor: Predictor, image: Tensor) -> Tensor:
    """Labels ``[H, W]`` by the strategies of roadseg."""
    return predictor.decode(image).labels[0]


VARIANTS: dict[str, Callable[[Predictor, Tensor], Tensor]] = {
    "straightforward": plain,
    "slices": functools.partial(plain, pad=False),
    "roadseg": ours,
}


def memory_status(field: str) -> int:
    """A field of this process's memory status in bytes: VmRSS is the resident size, VmHWM its peak."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(field))
    return 1024 * int(line.split()[1])


def peak_here(case: Case, variant: str) -> int:
    """Bytes by which the resident size rises while a variant runs in this process."""
    predictor, image = case.predictor(), case.image()
    VARIANTS[variant](predictor, image[..., :64, :64])  # loads what is loaded on first use
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = memory_status("VmRSS")
    VARIANTS[variant](predictor, image)
    return memory_status("VmHWM") - before


def peak_in_fresh_process(index: int, variant: str) -> int:
    """`peak_here`, undisturbed by what this process did before."""
    # Every larger allocation its own mapping: what is freed leaves the resident size, so it cannot hide a later peak.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "131072"}
    command = [sys.executable, __file__, "--peak", str(index), variant]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return int(done.stdout)


def measure(index: int, options: argparse.Namespace) -> dict:
    """One case: seconds and memory of each variant, and how many labels agree."""
    case = CASES[index]
    predictor, image = case.predictor(), case.image()
    names = list(VARIANTS) if case.compared else ["roadseg"]
    seconds: dict[str, list[float]] = {name: [] for name in names}
    labels = {}
    for name in names:
        VARIANTS[name](
            predictor, image[..., :64, :64]
        )  # an untimed round on a part: the plain way takes long
    for _ in range(options.repeats):
        for name in names:
            begin = time.perf_counter()
            labels[name] = VARIANTS[name](predictor, image)
            seconds[name].append(time.perf_counter() - begin)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    peak = {name: peak_in_fresh_process(index, name) for name in names}
    result: dict = {
        "case": case.name,
        "size": list(case.size),
        "strategy": case.strategy.describe(),
        "variants": [
            {
                "variant": name,
                "seconds": seconds[name],
                "median_s": median[name],
                "peak_mib": peak[name] / 2**20,
            }
            for name in names
        ],
    }
    for row in result["variants"] if case.compared else ():
        name = row["variant"]
        row["speedup"] = median[name] / median["roadseg"]
        row["memory_ratio"] = peak["roadseg"] / peak[name]
        row["same_labels"] = float((labels[name] == labels["roadseg"]).float().mean())
    return result


def table(cases: list[dict]) -> str:
    """The report for people."""
    lines = [
        f"{'case':28}{'variant':18}{'median':>10}{'peak':>12}{'roadseg: faster':>17}{'its memory':>12}{'same labels':>13}"
    ]
    for case in cases:
        for row in case["variants"]:
            line = f"{case['case']:28}{row['variant']:18}{row['median_s']:>8.2f} s{row['peak_mib']:>8.0f} MiB"
            if "speedup" in row:
                line += f"{row['speedup']:>16.1f}x{row['memory_ratio']:>12.2f}{row['same_labels']:>13.4%}"
            lines.append(line)
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="timed rounds per case")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument(
        "--cases", type=int, nargs="*", default=range(len(CASES)), help="which cases, by number"
    )
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
    cases = [measure(index, options) for index in options.cases]
    report = {
        "benchmark": "sliding",
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": options.threads,
        "repeats": options.repeats,
        "scales": list(SCALES),
        "window": WINDOW,
        "stride": STRIDE,
        "cases": cases,
    }
    deliver(report, table(cases), json_file=options.json)


if __name__ == "__main__":
    main()
