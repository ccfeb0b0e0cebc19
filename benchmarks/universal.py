"""Memory of sliding multi-scale inference with a network of very many classes, MSeg's 194.

Usage::

    python benchmarks/universal.py --threads 1 --json universal.json

The picture is of 1080p, the scales are MSeg's six, each with its mirror image, in windows of 713 pixels. One map of 194
classes at the size of the picture takes 1.6 GB in float32, and the direct way has several. Memory is the rise of the
resident size over one call in a fresh process, the picture and the network not counted (Linux only). The network is
small, so that what is measured is everything around a network.

Prints JSON on stdout and a table on stderr.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from delivery import deliver  # from this folder
from sliding import memory_status  # from this folder
from torch import Tensor, nn

from roadseg.inference import MultiScale, Predictor, Strategy, WeightsCard, choose
from roadseg.inference.quality import mseg_protocol
from roadseg.inference.strategies import view_sizes
from roadseg.labels import label_map, space
from roadseg.models.output import Output
from roadseg.recipes import Preprocess

SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
WINDOW, SHORT_SIDE = 713, 1080
SIZE = (1080, 1920)
UNIVERSAL = space("mseg-194")
CARD = WeightsCard(model="benchmark", space=UNIVERSAL, preprocess=Preprocess())
DIRECT = 4 * UNIVERSAL.num_classes * SIZE[0] * SIZE[1]  # bytes of one map of scores


class Small(nn.Module):
    """Two strided convolutions and a classifier, with the cells of MSeg's networks: every fourth pixel."""

    stride, align_corners, num_classes = 4, True, UNIVERSAL.num_classes

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(
                nn.Conv2d(3, 8, 3, 2, 1),
                nn.ReLU(inplace=True),
                nn.Conv2d(8, 16, 3, 2, 1),
                nn.ReLU(inplace=True),
            ),
            nn.Conv2d(16, self.num_classes, 1),
        )

    def forward(self, images: Tensor) -> Output:
        """Map images to logits at 1/4."""
        return Output(self.layers(images))


def cases() -> Mapping[str, Strategy]:
    """The published protocol, and what the flags of the command line give, for several sets of classes."""
    found: dict[str, Strategy] = {}
    for target in ("", "cityscapes-19", "wilddash-19"):
        to = label_map(UNIVERSAL, target) if target else None
        name = target or "all 194 classes"
        found[f"published, {name}"] = mseg_protocol(SHORT_SIDE, SCALES, window=WINDOW, flip=True, to=to)
        found[f"--scales --flip --window, {name}"] = choose(
            "fast", Small(), scales=SCALES, flip=True, window=WINDOW, to=to
        )
    return found


def predictor(strategy: Strategy) -> Predictor:
    """The network with a strategy; its weights are drawn at random but always the same."""
    torch.manual_seed(0)
    return Predictor(Small(), CARD, strategy=strategy, device="cpu")


def picture() -> Tensor:
    """A smooth uint8 picture ``[1, 3, H, W]``."""
    coarse = torch.rand(1, 3, 32, 64, generator=torch.Generator().manual_seed(0))
    return nn.functional.interpolate(coarse, size=SIZE, mode="bilinear").mul_(255).byte()


@torch.inference_mode()
def peak_here(name: str) -> dict[str, float]:
    """Seconds, and the bytes by which the resident size rises, for a case in this process."""
    network, image = predictor(cases()[name]), picture()
    predictor(MultiScale((1.0, 2.0))).decode(image[..., :64, :64])  # loads what is loaded on first use
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before, begin = memory_status("VmRSS"), time.perf_counter()
    network.decode(image)
    return {"seconds": time.perf_counter() - begin, "peak": memory_status("VmHWM") - before}


def measure(name: str, threads: int) -> dict:
    """One case in a fresh process."""
    # Every larger allocation its own mapping: what is freed leaves the resident size, so it cannot hide a later peak.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "131072"}
    command = [sys.executable, __file__, "--threads", str(threads), "--peak", name]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    strategy = cases()[name]
    return {
        "case": name,
        "strategy": strategy.describe(),
        "passes": len(view_sizes(strategy, SIZE)),
        **json.loads(done.stdout),
    }


def main() -> None:
    """Run all cases and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument("--json", type=Path, help="also write the JSON to this file")
    parser.add_argument("--only", default="", help="cases with this text in their name")
    parser.add_argument("--peak", metavar="CASE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.peak:
        print(json.dumps(peak_here(options.peak)))
        return
    rows = [measure(name, options.threads) for name in cases() if options.only in name]
    report = {
        "benchmark": "universal",
        "torch": torch.__version__,
        "python": platform.python_version(),
        "threads": options.threads,
        "size": list(SIZE),
        "scales": list(SCALES),
        "window": WINDOW,
        "one_map_bytes": DIRECT,
        "cases": rows,
    }
    lines = (
        f"{row['case']:44}{row['passes']:>5} passes{row['seconds']:>9.1f} s{row['peak'] / 1e9:>8.2f} GB"
        for row in rows
    )
    deliver(report, "\n".join(lines), json_file=options.json)


if __name__ == "__main__":
    main()
