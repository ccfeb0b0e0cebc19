"""Training results: python benchmarks/results.py [RUN ...] takes in finished runs and writes RESULTS.md anew.

A RUN is the folder of one, or a weight file of ours. Each becomes one file in benchmarks/results/ with its plan, its scores
over time and what it ran on; the tables and the picture are made of those files alone. With --data, the last weights of every
given run are scored: on the test split, and on the validation split where the run was not trained on that.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from scoring import parameters_in_use, percent, scores_on  # from this folder

import roadseg
from roadseg.media.run_files import LAST, METRICS, RUN
from roadseg.models import read_card
from roadseg.recipes.changes import changes
from roadseg.reporting.charts import line_chart

HERE = Path(__file__).parent
RECORDS = HERE / "results"
TABLE = HERE / "RESULTS.md"
CURVES = HERE / "results.svg"
COLORS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#17becf", "#7f7f7f")
STYLE = (
    "<style>text{font:12px sans-serif;fill:#444}.grid{stroke:#ddd}path,polyline{fill:none;stroke-width:2}"
    + "".join(f".line{i}{{stroke:{color}}}.name{i}{{fill:{color}}}" for i, color in enumerate(COLORS))
    + "</style>"
    '<rect width="100%" height="100%" fill="#fff"/>'
)


def record(run: Path, data: str | None) -> dict[str, Any]:
    """Return what is kept of a run: nothing of it names a place on a machine."""
    weights = run / LAST if run.is_dir() else run
    card = read_card(weights)
    recipe = dict(card["provenance"]["recipe"])
    started = beginning(recipe["model"].get("weights"))
    recipe["data"] = {key: recipe["data"][key] for key in ("train", "val")}
    recipe["model"] = {key: recipe["model"][key] for key in ("kind", "name", "options")}
    rows = lines(run / METRICS)
    known = [found for found in card["scores"] if "void truth ignored" in found["protocol"]["text"]]
    scores = {"test": known[-1]} if known and recipe["data"]["val"] == "test" else {}
    if data is not None:
        trained = recipe["data"]["train"].split("+")
        predictor = roadseg.load(weights)
        scores = {
            split: scores_on(predictor, data, split).to_json()
            for split in ("val", "test")
            if split not in trained
        }
    if "test" not in scores:
        raise SystemExit(f"{run}: is not scored; give --data")
    plan = json.loads((run / RUN).read_text()) if run.is_dir() else {}
    stop = f" --max-steps {rows[-1]['step']}" if rows and rows[-1]["step"] < plan["steps"] else ""
    seconds = processor_seconds(rows, plan.get("device", {}).get("processes", 1))
    return {
        "recipe": recipe,
        "starts_from": started,
        "parameters": parameters_in_use(
            recipe["model"]["name"], recipe["model"]["options"], len(card["space"]["classes"])
        ),
        "command": f"roadseg train {recipe['name']} --data CAMVID" + stop,
        "versions": plan.get("versions", {}),
        "device": plan.get("device", {"name": card["provenance"].get("hardware", "unknown")}),
        "epochs": rows[-1]["epoch"] if rows else recipe["epochs"],
        "hours": round(rows[-1]["seconds"] / 3600, 2) if rows else card["provenance"]["hours"],
        "cpu_hours": round(seconds[-1] / 3600, 2) if rows else None,
        "curve": [
            {key: row[key] for key in ("epoch", "step", "loss")}
            | {"cpu_seconds": spent, "miou": row["val"]["miou"]}
            for row, spent in zip(rows, seconds, strict=True)
            if "val" in row
        ],
        "scores": {
            split: {
                "miou": found["miou"],
                "pixel_accuracy": found["pixel_accuracy"],
                "protocol": found["protocol"]["text"],
                "classes": {
                    each["name"]: found["classes"][each["name"]]["iou"] for each in card["space"]["classes"]
                },
            }
            for split, found in scores.items()
        },
    }


def beginning(weights: str | None) -> str | None:
    """Return the recipe of the run that a run started from."""
    if weights is None:
        return None
    if Path(weights).is_file():
        return str(read_card(Path(weights))["provenance"]["recipe"]["name"])
    return Path(weights).parent.name  # the folder of a run is named after its recipe


def lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's metrics; none for a weight file alone."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def processor_seconds(rows: list[dict[str, Any]], processes: int) -> list[float]:
    """Return the processor time up to each validation; early versions counted anew after an interruption.

    The first process notes its own: the others are as busy.
    """
    before = last = 0.0
    found = []
    for row in rows:
        now = row.get("cpu_seconds", row["seconds"])
        before += last if now < last else 0.0
        last = now
        found.append(round(processes * (before + now), 1))
    return found


def table(records: list[dict[str, Any]]) -> str:
    """Return RESULTS.md."""
    found = [
        "# Training results",
        "",
        "Written by `python benchmarks/results.py RUN ...` from the files of the runs, which `benchmarks/results/` keeps:",
        "the plan, the versions, the device, and every validation. Scores are of the last weights of a run, never of the",
        "best on test. A validation score is given where the run was not trained on those images.",
        "",
        "| recipe | starts from | network, parameters in use | training | device | time | processor time | val mIoU |"
        " test mIoU | accuracy |",
        "|---|---|---|---|---|---:|---:|---:|---:|---:|",
    ]
    for item in records:
        recipe, device, test = item["recipe"], item["device"], item["scores"]["test"]
        crop = recipe["augment"]["crop"]
        cores = device.get("threads", 0) * device.get("processes", 1)
        threads = f", {cores} threads" if cores else ""
        val = item["scores"].get("val")
        found.append(
            f"| {recipe['name']} | {item['starts_from'] or 'scratch'} | {recipe['model']['name']}, "
            f"{item['parameters'] / 1e6:.2f} M | {recipe['data']['train']}, {item.get('epochs', recipe['epochs'])} epochs, "
            f"batch {recipe['batch_size']}, crop {crop[1]}x{crop[0]} | {device['name']}{threads} |"
            f" {clock(item['hours'])} | {clock(item['cpu_hours'])} | {percent(val and val['miou'], 2)} |"
            f" **{percent(test['miou'], 2)}** | {percent(test['pixel_accuracy'], 2)} |"
        )
    found += ["", f"![mIoU over processor time]({CURVES.name})", "", "## Commands", "", "```"]
    found += [item["command"] for item in records]
    found += ["```", "", "## What moved the score", ""]
    names = {item["recipe"]["name"]: item for item in records}
    for item in records:
        base = names.get(item["starts_from"] or "")
        if base is not None:
            gain = 100 * (item["scores"]["test"]["miou"] - base["scores"]["test"]["miou"])
            found.append(f"- {item['recipe']['name']}, {gain:+.1f} on test over {base['recipe']['name']}:")
            found += [
                f"  - {what}"
                for what in changes(base["recipe"], item["recipe"])
                if not what.startswith(("name", "seed"))
                # Plans of earlier versions do not say what could not be chosen then.
                and ("not set" not in what or what.startswith(("model.options", "sampling")))
            ]
    classes = list(records[0]["scores"]["test"]["classes"])
    found += ["", "## Classes, IoU on test", "", "| recipe | " + " | ".join(classes) + " |"]
    found.append("|---|" + "---:|" * len(classes))
    for item in records:
        values = item["scores"]["test"]["classes"]
        found.append(
            f"| {item['recipe']['name']} | " + " | ".join(percent(values[name]) for name in classes) + " |"
        )
    protocols = dict.fromkeys(
        f"- {found['protocol']}" for item in records for found in item["scores"].values()
    )
    return "\n".join([*found, "", "## Protocols", "", *protocols, ""])


def curves(records: list[dict[str, Any]]) -> str:
    """Return a picture of the scores over processor time."""
    drawn = [
        (item["recipe"]["name"], [(row["cpu_seconds"] / 60, row["miou"]) for row in item["curve"]])
        for item in records
        if len(item["curve"]) > 1 and item["recipe"]["data"]["val"] == "test"
    ]
    page = line_chart("mIoU over processor time", drawn, "processor minutes", "test mIoU, %", percent=True)
    svg = page.partition("</svg>")[0].replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    legend = "".join(
        f'<text class="name{number}" x="72" y="{20 + 16 * number}">{name}</text>'
        for number, (name, _) in enumerate(drawn)
    )
    return re.sub(r"(<svg[^>]*>)", r"\1" + STYLE, svg, count=1) + legend + "</svg>\n"


def clock(hours: float | None) -> str:
    """Return a time as hours and minutes."""
    return "-" if hours is None else f"{int(hours)}:{int(hours % 1 * 60):02d} h"


def main() -> int:
    """Take in runs, and write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="*", type=Path, help="folders of finished runs, or weight files")
    parser.add_argument("--data", help="score the given runs on this CamVid folder")
    options = parser.parse_args()
    for run in options.runs:
        content = record(run, options.data)
        RECORDS.mkdir(exist_ok=True)
        path = RECORDS / f"{content['recipe']['name']}.json"
        path.write_text(json.dumps(content, indent=1) + "\n")
    found = [json.loads(path.read_text()) for path in sorted(RECORDS.glob("*.json"))]
    if not found:
        raise SystemExit("there are no results yet: give the folders of finished runs")
    found.sort(key=lambda item: -item["scores"]["test"]["miou"])
    TABLE.write_text(table(found))
    CURVES.write_text(curves(found))
    print(f"{TABLE}: {len(found)} runs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
