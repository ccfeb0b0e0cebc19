"""Time from an image in memory to its labels, for several weights in one run.

Usage::

    python benchmarks/latency.py fast-scnn.camvid-roadseg espnet.safetensors --data CAMVID --table latency.md

Each weights' own preprocessing is part of its time. Weights take turns, so that a busy machine slows all alike: read the ratio
to the first, the median over the turns, rather than the milliseconds. With --data, mIoU on its test split is scored too.
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from delivery import deliver  # from this folder
from forward import processor  # from this folder
from scoring import parameters_in_use, percent, scores_on  # from this folder

import roadseg
from roadseg.data.synth import build_scene, render


def main() -> None:
    """Time, score, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", nargs="+")
    parser.add_argument("--size", default="360x480", help="height x width of the image")
    parser.add_argument("--turns", type=int, default=30)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--data", help="CamVid, to score on")
    parser.add_argument("--json", type=Path, help="also write the JSON to this file")
    parser.add_argument("--table", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    height, width = map(int, options.size.split("x"))
    image = render(build_scene(0), 0.0, size=(height, width)).image
    predictors = {name: roadseg.load(name, device=options.device) for name in options.weights}
    times: dict[str, list[float]] = {name: [] for name in predictors}
    for turn in range(-2, options.turns):  # the first ones warm up
        for name, predictor in predictors.items():
            started = time.perf_counter()
            predictor(image)  # ends with a copy to the processor, which waits for the device
            if turn >= 0:
                times[name].append(time.perf_counter() - started)
    first = next(iter(times.values()))
    rows = [
        row(name, predictors[name], times[name], first)
        | ({} if options.data is None else {"miou": scores_on(predictors[name], options.data, "test").miou})
        for name in predictors
    ]
    device = next(iter(predictors.values())).device
    report = {
        "processor": processor(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "threads": options.threads,
        "size": options.size,
        "rows": rows,
    }
    title = (
        "# Latency\n\nWritten by `benchmarks/latency.py`: from an image in memory to its labels, "
        f"{options.size}, {report['device']}, {options.threads} threads of {report['processor']}."
    )
    deliver(report, table(rows), json_file=options.json, table_file=options.table, title=title)


def row(name: str, predictor: roadseg.Predictor, times: list[float], first: list[float]) -> dict[str, Any]:
    """Return the figures of one network."""
    return {
        "weights": Path(name).name.removesuffix(".safetensors"),
        "network": predictor.card.model,
        "parameters": parameters_in_use(
            predictor.card.model, dict(predictor.card.options), predictor.card.space.num_classes
        ),
        "milliseconds": 1000 * statistics.median(times),
        "ratio": statistics.median(one / other for one, other in zip(times, first, strict=True)),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return the figures in Markdown."""
    scored = "miou" in rows[0]
    lines = [
        "| weights | network | parameters | ms | time, ratio |" + (" CamVid test mIoU |" if scored else ""),
        "|---|---|---:|---:|---:|" + ("---:|" if scored else ""),
    ]
    lines += [
        f"| {each['weights']} | {each['network']} | {each['parameters'] / 1e6:.2f} M |"
        f" {each['milliseconds']:.1f} | {each['ratio']:.2f} |"
        + (f" {percent(each['miou'], 2)} |" if scored else "")
        for each in rows
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
