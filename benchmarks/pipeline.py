"""Labeling a folder: `roadseg predict` against its network alone, and against a plain sequential script.

Usage::

    python benchmarks/pipeline.py --images 16 --repeats 3 --threads 1 --json pipeline.json --table docs/benchmarks/pipeline.md

Pictures of 1024x2048 pixels are read as PNG; a label PNG and an overlay JPEG of each are written. Three ways take turns
within each repeat, so that a busy machine slows all of them alike; read the ratios, not the milliseconds.

- network: the network alone, over a picture that is in memory already, as often as there are pictures;
- roadseg: what ``roadseg predict --outputs labels overlay`` does once it is loaded: reading, network, decoding, drawing,
  encoding and writing of several pictures at the same time;
- plain: one picture after the other by Pillow, bilinear upsampling of all scores, softmax, argmax, and Pillow again.

``of network`` is the network's time over roadseg's: 1 means that everything around the network costs nothing. ``of
plain`` is how many times faster roadseg is than the plain script. The network "instant" is a few averages and one
product: what remains is the work around it.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from delivery import deliver  # from this folder
from forward import metadata, size_of, spread, wait  # from this folder
from PIL import Image
from torch import Tensor, nn

from roadseg.cli.outputs import Outputs
from roadseg.cli.predict_images import ImageJob
from roadseg.cli.terminal import Terminal
from roadseg.inference import Predictor, WeightsCard
from roadseg.inference.preprocess import normalize
from roadseg.labels import space
from roadseg.media import find_images, write_image
from roadseg.media.manifest import Manifest
from roadseg.models import build
from roadseg.models.fusing import fuse
from roadseg.models.output import Output
from roadseg.recipes import Preprocess

INSTANT = "instant"
SPACE = "cityscapes-19"
ALPHA, QUALITY = 0.5, 92


class Instant(nn.Module):
    """Scores in next to no time: the colors of blurred cells of 8 pixels, compared with a color per class."""

    stride = 8
    align_corners = False

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.colors = nn.Conv2d(3, num_classes, 1)
        with torch.no_grad():
            centers = 2 * torch.rand(num_classes, 3, generator=torch.Generator().manual_seed(0)) - 1
            self.colors.weight.copy_(8 * centers[..., None, None])
            self.colors.bias.copy_(-4 * centers.square().sum(1))  # the nearest color wins

    def forward(self, images: Tensor) -> Output:
        """Map ``[B, 3, H, W]`` to scores at one eighth."""
        cells = F.avg_pool2d(F.avg_pool2d(images, 8), 5, 1, 2)
        return Output(self.colors(cells))


class Costly(nn.Module):
    """A network that takes its time, with the scores of `Instant`: at random it would paint noise, not regions."""

    align_corners = False

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.instant = Instant(network.num_classes)
        self.num_classes, self.stride = network.num_classes, network.stride

    def forward(self, images: Tensor) -> Output:
        """Map ``[B, 3, H, W]`` to scores at one eighth."""
        self.network(images)
        return self.instant(images)


def draw(size: tuple[int, int], seed: int) -> np.ndarray:
    """A picture of large soft regions with some texture, uint8 ``[H, W, 3]``; as a PNG about as long as a real one."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.uniform(0, 255, (1, 3, size[0] // 128 + 1, size[1] // 128 + 1))).float()
    smooth = F.interpolate(coarse, size=size, mode="bicubic")[0].permute(1, 2, 0).numpy()
    return np.clip(smooth + rng.normal(0, 2, (*size, 1)), 0, 255).astype(np.uint8)


def network(name: str, device: str) -> Predictor:
    """A predictor with random weights, prepared as `roadseg.load` prepares it."""
    torch.manual_seed(0)
    classes = space(SPACE).num_classes
    if name == INSTANT:
        model: nn.Module = Instant(classes).eval()
    else:
        costly = build(name, classes).eval()
        fuse(costly)
        model = Costly(costly).eval()
    spec = Preprocess(mean=(127.5,) * 3, std=(127.5,) * 3)
    return Predictor(model, WeightsCard(model=name, space=space(SPACE), preprocess=spec), device=device)


@torch.inference_mode()
def network_alone(predictor: Predictor, picture: np.ndarray, count: int) -> None:
    """Run the network and nothing else."""
    batch = torch.from_numpy(picture).permute(2, 0, 1)[None]
    images = batch.to(predictor.device, memory_format=torch.channels_last)
    for _ in range(count):
        predictor.strategy(predictor.model, normalize(images, predictor.card.preprocess))


def roadseg(predictor: Predictor, folder: Path, out: Path, batch: int) -> None:
    """Label a folder as ``roadseg predict`` does."""
    job = ImageJob(predictor, Outputs(("labels", "overlay"), out, space(SPACE), ALPHA), batch=batch)
    with Manifest(out, "benchmark") as manifest:
        result = job.label(find_images([folder]), manifest, Terminal(quiet=True), redo=True)
    assert not result.failed


@torch.inference_mode()
def plain(predictor: Predictor, folder: Path, out: Path) -> None:
    """Label a folder as scripts do."""
    palette = space(SPACE).palette
    spec = predictor.card.preprocess
    mean = torch.tensor(spec.mean, device=predictor.device).view(3, 1, 1)
    std = torch.tensor(spec.std, device=predictor.device).view(3, 1, 1)
    for path in sorted(folder.iterdir()):
        image = np.array(Image.open(path).convert("RGB"))
        batch = torch.from_numpy(image).permute(2, 0, 1)[None].to(predictor.device).float()
        logits = predictor.model((batch - mean) * (spec.scale / std)).logits
        full = F.interpolate(
            logits, size=image.shape[:2], mode="bilinear", align_corners=predictor.model.align_corners
        )
        labels = full.softmax(1).argmax(1)[0].cpu().numpy().astype(np.uint8)
        Image.fromarray(labels).save(out / f"{path.stem}.png")
        overlay = (ALPHA * palette[labels] + (1 - ALPHA) * image).astype(np.uint8)
        Image.fromarray(overlay).save(out / f"{path.stem}.jpg", quality=QUALITY, subsampling=0)


def agreement(folder: Path, ours: Path, theirs: Path) -> float:
    """Share of the pixels that both ways label alike."""
    same = [
        float(
            (
                np.array(Image.open(ours / "labels" / path.name)) == np.array(Image.open(theirs / path.name))
            ).mean()
        )
        for path in sorted(folder.iterdir())
    ]
    return statistics.mean(same)


def measure(name: str, folder: Path, work: Path, options: argparse.Namespace) -> dict[str, object]:
    """One network: seconds per picture of each way, and the ratios."""
    predictor = network(name, options.device)
    picture, count = draw(options.size, 0), len(list(folder.iterdir()))
    ours, theirs = work / f"{name}-roadseg", work / f"{name}-plain"
    ours.mkdir()
    theirs.mkdir()
    ways: dict[str, Callable[[], None]] = {
        "network": lambda: network_alone(predictor, picture, count),
        "roadseg": lambda: roadseg(predictor, folder, ours, options.batch),
        "plain": lambda: plain(predictor, folder, theirs),
    }
    network_alone(predictor, picture, 1)  # the first pass of a network is slower
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(options.repeats):
        for way in ways if turn % 2 else reversed(ways):
            wait(options.device)
            begin = time.perf_counter()
            ways[way]()
            wait(options.device)
            seconds[way].append((time.perf_counter() - begin) / count)
    of_network = [a / b for a, b in zip(seconds["network"], seconds["roadseg"], strict=True)]
    of_plain = [a / b for a, b in zip(seconds["plain"], seconds["roadseg"], strict=True)]
    return {
        "network": name,
        "ms": {way: 1e3 * statistics.median(values) for way, values in seconds.items()},
        "of_network": statistics.median(of_network),
        "of_network_iqr": spread(of_network),
        "of_plain": statistics.median(of_plain),
        "of_plain_iqr": spread(of_plain),
        "same_labels": agreement(folder, ours, theirs),
    }


def table(report: dict) -> str:
    """The report for people, in Markdown."""
    facts = report["metadata"]
    lines = [
        f"{report['images']} pictures of {report['size'][1]}x{report['size'][0]} pixels, {facts['device']} "
        f"({facts['processor']}, {facts['cores']} cores), {facts['threads']} threads of torch, "
        f"{facts['repeats']} repeats, torch {facts['torch']}, {facts['date']}.",
        "",
        "| network | network alone | roadseg predict | plain script | of the network's speed | times the plain script | same labels |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in report["rows"]:
        ms = row["ms"]
        lines.append(
            f"| {row['network']} | {ms['network']:.0f} ms | {ms['roadseg']:.0f} ms | {ms['plain']:.0f} ms "
            f"| {row['of_network']:.2f} | {row['of_plain']:.1f} | {100 * row['same_labels']:.3f} % |"
        )
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=[INSTANT, "fast-scnn", "espnet"])
    parser.add_argument("--images", type=int, default=16, help="pictures in the folder")
    parser.add_argument("--size", type=size_of, default=(1024, 2048), metavar="HEIGHTxWIDTH")
    parser.add_argument("--repeats", type=int, default=3, help="turns")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--batch", type=int, default=1, help="pictures that the network gets together")
    parser.add_argument("--json", type=Path, help="also write the JSON to this file")
    parser.add_argument("--table", type=Path, help="also write the table to this file")
    return parser.parse_args()


def main() -> None:
    """Measure all networks and report."""
    options = parse()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as temporary:
        folder, work = Path(temporary, "in"), Path(temporary, "out")
        work.mkdir()
        for index in range(options.images):
            write_image(folder / f"{index:03}.png", draw(options.size, index))
        rows = [measure(name, folder, work, options) for name in options.networks]
        length = statistics.mean(path.stat().st_size for path in folder.iterdir())
    facts = metadata(argparse.Namespace(**vars(options), clock="wall"))
    report = {
        "benchmark": "pipeline",
        "metadata": facts,
        "images": options.images,
        "size": list(options.size),
        "batch": options.batch,
        "png_bytes": round(length),
        "rows": rows,
    }
    deliver(
        report,
        table(report),
        json_file=options.json,
        table_file=options.table,
        title="# Labeling a folder\n\nWritten by `benchmarks/pipeline.py`, which says what is measured.",
    )


if __name__ == "__main__":
    main()
