"""Loading for training: roadseg's pipeline against a straightforward one on Pillow, on one processor core.

Usage::

    python benchmarks/data.py --images 8 --repeats 5 --json data.json --table docs/benchmarks/data.md

Pictures of 1024x2048 pixels, as long on disk as those of Cityscapes, become training crops of 768x768: zoom by a factor
from 0.5..2, crop, flip, jitter of brightness, contrast, saturation and hue by 0.25, normalization. One process, one thread.
Seconds of the processor are counted (``--clock wall``: of the day), and the ways take turns within each repeat, so that a
busy machine slows all of them alike; read the ratios.

- plain: Pillow opens image and label, resizes both as a whole (bicubic, nearest), pads, crops, flips; torchvision jitters
  the Pillow picture and makes a normalized tensor of it; label ids are translated by a table, unchecked;
- PNG, JPEG: `RoadDataset` from files, with the label ids translated and checked;
- cache: `RoadDataset` from `roadseg data cache`, whose files are in the system's memory.

Normalization, which training does on the device, is counted for all.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from delivery import deliver  # from this folder
from forward import metadata, size_of, spread  # from this folder
from PIL import Image, ImageOps
from pipeline import draw  # from this folder
from torchvision import transforms as T

from roadseg.data import Draw, RoadDataset, open_source
from roadseg.data.cache import build_cache
from roadseg.data.stages import Stopwatch
from roadseg.inference.preprocess import normalize
from roadseg.labels import label_map, space
from roadseg.media import write_image, write_mask
from roadseg.recipes import Augment, Preprocess
from roadseg.training.build import build_transform

CROP = 768
SCALE = (0.5, 2.0)
JITTER = 0.25
QUALITY = 92  # of JPEG, colors at full resolution
BARS = {"PNG": 3.0, "cache": 10.0}
CLOCKS = {"cpu": time.thread_time, "wall": time.perf_counter}
STAGES = ("decode", "relabel", "transform", "normalize")
PREPROCESS = Preprocess()


def draw_labels(size: tuple[int, int], seed: int) -> np.ndarray:
    """Ids of Cityscapes in large regions with uneven borders, uint8 ``[H, W]``."""
    generator = torch.Generator().manual_seed(seed)
    stored = np.array([number for number in space("cityscapes").ids if number >= 0], np.uint8)
    coarse = torch.randn(1, len(stored), size[0] // 64 + 1, size[1] // 64 + 1, generator=generator)
    regions = F.interpolate(coarse, size=(size[0] // 2, size[1] // 2), mode="bicubic")[0].argmax(0)
    return stored[regions.numpy()].repeat(2, 0).repeat(2, 1)


def stored_ids() -> np.ndarray:
    """Return 256 ids of Cityscapes in order; those that it does not have are unlabeled."""
    known = space("cityscapes").ids
    return np.array([number if number in known else 0 for number in range(256)], np.uint8)


def write_data(root: Path, size: tuple[int, int], count: int) -> None:
    """Write the data set in the layout of Cityscapes, as PNG and as JPEG."""
    for index in range(count):
        name = f"aachen_{index:06}_000019"
        picture, ids = draw(size, index), draw_labels(size, index)
        for kind in ("png", "jpg"):
            image = root / kind / "leftImg8bit/train/aachen" / f"{name}_leftImg8bit.{kind}"
            write_image(image, np.ascontiguousarray(picture), quality=QUALITY)
            write_mask(root / kind / "gtFine/train/aachen" / f"{name}_gtFine_labelIds.png", ids)


class Plain:
    """The straightforward pipeline."""

    def __init__(self, root: Path) -> None:
        images, labels = (root / "png" / kind / "train/aachen" for kind in ("leftImg8bit", "gtFine"))
        self.pairs = list(zip(sorted(images.iterdir()), sorted(labels.iterdir()), strict=True))
        self.table = label_map("cityscapes", "cityscapes-19").relabel(stored_ids())
        self.jitter = T.ColorJitter(JITTER, JITTER, JITTER, JITTER)
        mean, std = ([value / 255 for value in values] for values in (PREPROCESS.mean, PREPROCESS.std))
        self.to_tensor = T.Compose([T.ToTensor(), T.Normalize(mean, std)])
        self.random = random.Random(0)

    def load(self, index: int, watch: Stopwatch) -> None:
        """Make one training sample."""
        picture, labels = (Image.open(path) for path in self.pairs[index])
        picture = picture.convert("RGB")
        labels.load()
        watch.lap("decode")
        labels = Image.fromarray(self.table[np.asarray(labels)])
        watch.lap("relabel")
        factor = self.random.uniform(*SCALE)
        size = (round(picture.width * factor), round(picture.height * factor))
        picture, labels = (
            picture.resize(size, Image.Resampling.BICUBIC),
            labels.resize(size, Image.Resampling.NEAREST),
        )
        right, below = max(0, CROP - size[0]), max(0, CROP - size[1])
        if right or below:
            picture = ImageOps.expand(picture, (0, 0, right, below), (124, 116, 104))
            labels = ImageOps.expand(labels, (0, 0, right, below), 255)
        left = self.random.randint(0, picture.width - CROP)
        top = self.random.randint(0, picture.height - CROP)
        window = (left, top, left + CROP, top + CROP)
        picture, labels = picture.crop(window), labels.crop(window)
        if self.random.random() < 0.5:
            picture, labels = ImageOps.mirror(picture), ImageOps.mirror(labels)
        picture = self.jitter(picture)
        mask = torch.from_numpy(np.array(labels)).long()
        watch.lap("transform")
        image = self.to_tensor(picture)
        watch.lap("normalize")
        assert image.shape[1:] == mask.shape == (CROP, CROP)


class Ours:
    """roadseg's pipeline."""

    def __init__(self, root: Path, cache: Path | None) -> None:
        source = open_source(root)
        augment = Augment(
            crop=(CROP, CROP),
            scale=SCALE,
            scale_draw="uniform",
            brightness=JITTER,
            contrast=JITTER,
            saturation=JITTER,
            hue=JITTER,
        )
        transform = build_transform(augment, source.target.ignore)
        self.dataset = RoadDataset(source, "train", transform, cache=cache)
        self.seed = 0

    def load(self, index: int, watch: Stopwatch) -> None:
        """Make one training sample."""
        self.seed += 1
        sample = self.dataset.load(Draw(index, self.seed), watch)
        image = normalize(sample.image[None], PREPROCESS)
        watch.lap("normalize")
        assert image.shape[2:] == sample.mask.shape == (CROP, CROP)


def measure(
    ways: dict[str, Callable[[int, Stopwatch], None]], count: int, repeats: int, clock: Callable[[], float]
) -> list[dict]:
    """Milliseconds per image and core of each way, by stage, and how many times faster than the plain one it is."""
    watches: dict[str, list[Stopwatch]] = {way: [] for way in ways}
    for load in ways.values():
        load(0, Stopwatch())
    for turn in range(repeats):
        for way in ways if turn % 2 else reversed(ways):
            watch = Stopwatch(clock)
            for index in range(count):
                load = ways[way]
                load(index, watch)
            watches[way].append(watch)
    total = {way: [sum(watch.seconds.values()) / count for watch in watches[way]] for way in ways}
    rows = []
    for way, seconds in total.items():
        ratios = [plain / own for plain, own in zip(total["plain"], seconds, strict=True)]
        rows.append(
            {
                "way": way,
                "images_per_second": 1 / statistics.median(seconds),
                "ms": 1e3 * statistics.median(seconds),
                "ms_iqr": 1e3 * spread(seconds),
                "stages_ms": {
                    stage: 1e3
                    * statistics.median(watch.seconds.get(stage, 0.0) / count for watch in watches[way])
                    for stage in STAGES
                },
                "times_plain": statistics.median(ratios),
                "times_plain_iqr": spread(ratios),
            }
        )
    return rows


def table(report: dict) -> str:
    """The report for people, in Markdown."""
    facts = report["metadata"]
    lines = [
        f"{report['images']} pictures of {report['size'][1]}x{report['size'][0]} pixels (PNG of "
        f"{report['bytes']['png'] / 1e6:.1f} MB, JPEG of {report['bytes']['jpg'] / 1e6:.1f} MB) to crops of "
        f"{CROP}x{CROP}, {facts['processor']}, one core ({facts['clock']} time), {facts['repeats']} repeats, torch {facts['torch']}, "
        f"{facts['date']}.",
        "",
        f"| pipeline | images/s per core | ms per image | {' | '.join(STAGES)} | times plain |",
        f"|---|---|---|{'---|' * len(STAGES)}---|",
    ]
    for row in report["rows"]:
        stages = " | ".join(f"{row['stages_ms'][stage]:.1f}" for stage in STAGES)
        lines.append(
            f"| {row['way']} | {row['images_per_second']:.1f} | {row['ms']:.0f} +- {row['ms_iqr']:.0f} | {stages} "
            f"| {row['times_plain']:.1f} +- {row['times_plain_iqr']:.1f} |"
        )
    return "\n".join([*lines, "", "Medians and distances between quartiles; stages in milliseconds."])


def parse() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=8, help="pictures in the data set")
    parser.add_argument("--size", type=size_of, default=(1024, 2048), metavar="HEIGHTxWIDTH")
    parser.add_argument("--repeats", type=int, default=5, help="turns")
    parser.add_argument("--clock", default="cpu", choices=tuple(CLOCKS), help="which seconds are counted")
    parser.add_argument("--json", type=Path, help="also write the JSON to this file")
    parser.add_argument("--table", type=Path, help="also write the table to this file")
    return parser.parse_args()


def main() -> None:
    """Measure all ways and report."""
    options = parse()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        write_data(root, options.size, options.images)
        length = {
            kind: statistics.mean(
                path.stat().st_size for path in (root / kind).rglob(f"*_leftImg8bit.{kind}")
            )
            for kind in ("png", "jpg")
        }
        cache = root / "cache"
        build_cache(open_source(root / "png"), "train", cache, workers=0)
        ways = {
            "plain": Plain(root).load,
            "PNG": Ours(root / "png", None).load,
            "JPEG": Ours(root / "jpg", None).load,
            "cache": Ours(root / "png", cache).load,
        }
        rows = measure(ways, options.images, options.repeats, CLOCKS[options.clock])
    facts = metadata(argparse.Namespace(**vars(options), threads=1, device="cpu"))
    report = {
        "benchmark": "data",
        "metadata": facts,
        "images": options.images,
        "size": list(options.size),
        "bytes": {kind: round(value) for kind, value in length.items()},
        "bars": BARS,
        "rows": rows,
    }
    deliver(
        report,
        table(report),
        json_file=options.json,
        table_file=options.table,
        title="# Loading for training\n\nWritten by `benchmarks/data.py`, which says what is measured.",
    )


if __name__ == "__main__":
    main()
