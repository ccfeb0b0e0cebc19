"""Training results: python benchmarks/results.py [RUN ...] takes in finished runs and writes RESULTS.md anew.

Each run becomes one file in benchmarks/results/ with its plan, its scores over time and what it ran on; the table and the
picture are made of those files alone.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from roadseg.reporting.charts import line_chart

HERE = Path(__file__).parent
RECORDS = HERE / "results"
TABLE = HERE / "RESULTS.md"
CURVES = HERE / "results.svg"
COLORS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd")
STYLE = (
    "<style>text{font:12px sans-serif;fill:#444}.grid{stroke:#ddd}path,polyline{fill:none;stroke-width:2}"
    + "".join(f".line{i}{{stroke:{color}}}.name{i}{{fill:{color}}}" for i, color in enumerate(COLORS))
    + "</style>"
    '<rect width="100%" height="100%" fill="#fff"/>'
)


def record(run: Path) -> dict[str, Any]:
    """Return what is kept of a run: nothing of it names a place on a machine."""
    plan = json.loads((run / "run.json").read_text())
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    if not rows or "val" not in rows[-1]:
        raise SystemExit(f"{run}: has no scores; let it come to its first validation")
    recipe = plan["recipe"]
    last = rows[-1]["val"]
    recipe["data"] = {key: recipe["data"][key] for key in ("train", "val")}
    return {
        "recipe": recipe,
        "versions": plan["versions"],
        "device": plan["device"],
        "protocol": last["protocol"]["text"] if isinstance(last["protocol"], dict) else last["protocol"],
        "curve": [
            {key: row[key] for key in ("epoch", "step", "seconds", "loss") if key in row}
            | {"cpu_seconds": seconds}
            | {"miou": row["val"]["miou"], "pixel_accuracy": row["val"]["pixel_accuracy"]}
            for row, seconds in zip(rows, processor_seconds(rows), strict=True)
        ],
        "classes": {name: values["iou"] for name, values in last["classes"].items()},
    }


def processor_seconds(rows: list[dict[str, Any]]) -> list[float]:
    """Return the processor time up to each validation; early versions counted anew after an interruption."""
    before = last = 0.0
    found = []
    for row in rows:
        now = row.get("cpu_seconds", row["seconds"])
        before += last if now < last else 0.0
        last = now
        found.append(round(before + now, 1))
    return found


def table(records: list[dict[str, Any]]) -> str:
    """Return RESULTS.md."""
    lines = [
        "# Training results",
        "",
        "Written by `python benchmarks/results.py RUN ...` from the files of the runs, which `benchmarks/results/` keeps:",
        "the plan, the versions, the device, and every validation. Scores are of the last weights, on images that were",
        "watched but not selected on.",
        "",
        "| recipe | network | parameters of the run | device | time | processor time | test mIoU | accuracy |",
        "|---|---|---|---|---:|---:|---:|---:|",
    ]
    for item in records:
        recipe, device, last = item["recipe"], item["device"], item["curve"][-1]
        crop = recipe["augment"]["crop"]
        lines.append(
            f"| {recipe['name']} | {recipe['model']['name']} | {recipe['epochs']} epochs, batch {recipe['batch_size']},"
            f" crop {crop[1]}x{crop[0]} | {device['name']}, {device['threads']} threads | {clock(last['seconds'])} |"
            f" {clock(last['cpu_seconds'])} | **{100 * last['miou']:.2f}** | {100 * last['pixel_accuracy']:.2f} |"
        )
    lines += ["", f"![mIoU over processor time]({CURVES.name})", "", "## Commands", "", "```"]
    lines += [f"roadseg train {item['recipe']['name']} --data CAMVID" for item in records]
    lines += ["```", "", "## Classes, IoU", ""]
    names = list(records[0]["classes"])
    lines += [
        "| recipe | " + " | ".join(names) + " |",
        "|---|" + "---:|" * len(names),
        *(
            f"| {item['recipe']['name']} | "
            + " | ".join(f"{100 * item['classes'][name]:.1f}" for name in names)
            + " |"
            for item in records
        ),
        "",
        "## Protocol",
        "",
        *dict.fromkeys(f"- {item['protocol']}" for item in records),
        "",
    ]
    return "\n".join(lines)


def curves(records: list[dict[str, Any]]) -> str:
    """Return a picture of the scores over processor time."""
    lines = [
        (
            item["recipe"]["name"],
            [(row["cpu_seconds"] / 60, row["miou"]) for row in item["curve"]],
        )
        for item in records
    ]
    page = line_chart("mIoU over processor time", lines, "processor minutes", "test mIoU, %", percent=True)
    svg = page.partition("</svg>")[0].replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    legend = "".join(
        f'<text class="name{number}" x="72" y="{20 + 16 * number}">{name}</text>'
        for number, (name, _) in enumerate(lines)
    )
    return re.sub(r"(<svg[^>]*>)", r"\1" + STYLE, svg, count=1) + legend + "</svg>\n"


def clock(seconds: float) -> str:
    """Return a time as hours and minutes."""
    return f"{int(seconds // 3600)}:{int(seconds % 3600 // 60):02d} h"


def main() -> int:
    """Take in runs, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="*", type=Path, help="folders of finished runs")
    for run in parser.parse_args().runs:
        content = record(run)
        RECORDS.mkdir(exist_ok=True)
        path = RECORDS / f"{content['recipe']['name']}.json"
        path.write_text(json.dumps(content, indent=1) + "\n")
    found = [json.loads(path.read_text()) for path in sorted(RECORDS.glob("*.json"))]
    if not found:
        raise SystemExit("there are no results yet: give the folders of finished runs")
    found.sort(key=lambda item: -item["curve"][-1]["miou"])
    TABLE.write_text(table(found))
    CURVES.write_text(curves(found))
    print(f"{TABLE}: {len(found)} runs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
