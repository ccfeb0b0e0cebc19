"""Score runs that differ in their seeds, and tell what is left of the differences between ways.

Usage::

    python benchmarks/seeds.py runs/few_labels --data data/town --split train+val+test --table few_labels.md

Every folder with weights in one of the given folders is a run, and ``NAME-SEED`` its name. Runs of one name are one row: the
mean of their mIoU, and the interval that holds the mean of all seeds in 95 of 100 such experiments (Student's t). Differences
to the first row are those of equal seeds, which share their data and their start. Scores are kept beside the weights.

Prints JSON on stdout and a table on stderr.
"""

import argparse
import json
import math
import statistics
import sys
from pathlib import Path
from typing import Any

from delivery import deliver  # from this folder
from forward import processor  # from this folder
from scoring import percent, scores_on  # from this folder

import roadseg
from roadseg.media.run_files import LAST, RUN

# Of Student's distribution, for 95 %, by degrees of freedom.
QUANTILES = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


def main() -> None:
    """Score what is not scored yet, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--first", help="the row that the others are compared with")
    parser.add_argument("--title", default="Seeds")
    parser.add_argument("--about", type=Path, help="the plan of the runs, whose docstring is quoted")
    parser.add_argument("--json", type=Path, help="also write the JSON to this file")
    parser.add_argument("--table", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for weights in sorted(path for folder in options.runs for path in folder.glob(f"*/{LAST}")):
        name, _, seed = weights.parent.name.rpartition("-")
        found.setdefault(name, {})[int(seed)] = scored(weights, options.data, options.split)
    if not found:
        raise SystemExit(f"there are no weights in {', '.join(map(str, options.runs))}")
    first = options.first or next(iter(found))
    names = [first, *(name for name in found if name != first)]
    report = {"processor": processor(), "rows": [row(name, found[name], found[first]) for name in names]}
    title = f"# {options.title}\n\nWritten by `benchmarks/seeds.py`."
    if options.about:
        title += " " + options.about.read_text().split('"""')[1].strip()
    deliver(report, table(report), json_file=options.json, table_file=options.table, title=title)


def scored(weights: Path, data: str, split: str) -> dict[str, Any]:
    """Return the scores of a run, from its folder if they are there."""
    file = weights.with_name("score.json")
    if not file.is_file() or file.stat().st_mtime < weights.stat().st_mtime:
        scores = scores_on(roadseg.load(weights), data, split)
        file.write_text(json.dumps(scores.to_json(), indent=1) + "\n")
        sys.stderr.write(f"{weights.parent.name}: {100 * scores.miou:.2f}\n")
    score: dict[str, Any] = json.loads(file.read_text())
    recipe = json.loads(weights.with_name(RUN).read_text())["recipe"]
    return score | {"steps": recipe["steps"] or recipe["epochs"]}


def row(name: str, seeds: dict[int, dict[str, Any]], first: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """Return the figures of one way."""
    values = [seeds[seed]["miou"] for seed in sorted(seeds)]
    both = [seeds[seed]["miou"] - first[seed]["miou"] for seed in sorted(seeds) if seed in first]
    classes = next(iter(seeds.values()))["classes"]
    return {
        "name": name,
        "seeds": sorted(seeds),
        "miou": values,
        "mean": statistics.mean(values),
        "interval": interval(values),
        "gain": None if seeds is first else statistics.mean(both),
        "gain_interval": None if seeds is first else interval(both),
        "protocol": next(iter(seeds.values()))["protocol"]["text"],
        "classes": {
            each: statistics.mean(known)
            if (known := [v for s in seeds.values() if (v := s["classes"][each]["iou"]) is not None])
            else None
            for each in classes
        },
    }


def interval(values: list[float]) -> float | None:
    """Return half the length of the interval of the mean; None for a single value."""
    if len(values) < 2:
        return None
    return QUANTILES[len(values) - 1] * statistics.stdev(values) / math.sqrt(len(values))


def table(report: dict[str, Any]) -> str:
    """Return the rows in Markdown, and the classes below."""
    rows = report["rows"]
    lines = ["| | seeds | mIoU | mean | gain with equal seeds |", "|---|---:|---|---:|---:|"]
    for each in rows:
        single = ", ".join(percent(value) for value in each["miou"])
        gain = "" if each["gain"] is None else with_interval(each["gain"], each["gain_interval"], "+")
        lines.append(
            f"| {each['name']} | {len(each['seeds'])} | {single} | {with_interval(each['mean'], each['interval'])} | {gain} |"
        )
    names = [each["name"] for each in rows]
    lines += ["", f"| IoU, mean | {' | '.join(names)} |", "|---|" + "---:|" * len(names)]
    for name in rows[0]["classes"]:
        lines.append(f"| {name} | {' | '.join(percent(each['classes'][name]) for each in rows)} |")
    return "\n".join([*lines, "", f"Protocol: {rows[0]['protocol']}."])


def with_interval(value: float, half: float | None, sign: str = "") -> str:
    """Return a value in percent with its interval."""
    return f"{100 * value:{sign}.1f}" + ("" if half is None else f" ± {100 * half:.1f}")


if __name__ == "__main__":
    main()
