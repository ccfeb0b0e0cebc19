"""Scores as tables for people; all figures in percent."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from roadseg.cli.terminal import percent

if TYPE_CHECKING:
    from roadseg.metrics import Difference, Interval, Scores

__all__ = ["difference_lines", "extra_lines", "score_table", "worst_table"]


def score_table(scores: "Scores", interval: "Interval | None" = None) -> Table:
    """Return scores as a table: a row per class, then per group, then the summary; all figures in percent."""
    objects = scores.instances
    table = Table(title="percent", title_justify="right", title_style="dim", show_footer=False)
    table.add_column("class")
    for column in ("IoU", *(["iIoU"] if objects else []), "precision", "recall", "pixels"):
        table.add_column(column, justify="right")
    total = max(1, int(scores.pixels.sum()))
    for i, name in enumerate(scores.names):
        values = [scores.precision[i], scores.recall[i], scores.pixels[i] / total]
        first = [scores.iou[i], *([objects.iou[i]] if objects else [])]
        table.add_row(name, *(percent(float(value)) for value in (*first, *values)))
    table.add_section()
    for name, value in scores.categories.items():
        more = [percent(objects.categories.get(name))] if objects else []
        table.add_row(f"group {name}", percent(value), *more)
    table.add_section()
    spread = "" if interval is None else f" {percent(interval.low, 2)}..{percent(interval.high, 2)}"
    more = [percent(objects.miou, 2)] if objects else []
    table.add_row("mean IoU (mIoU)", percent(scores.miou, 2), *more, style="bold")
    if spread:
        assert interval is not None  # noqa: S101 - it made the text
        table.add_row(f"  {interval.level:.0%} interval over images", spread.strip())
    if scores.categories:
        more = [percent(objects.category_miou, 2)] if objects else []
        table.add_row("mean over groups", percent(scores.category_miou, 2), *more)
    table.add_row("pixel accuracy", percent(scores.pixel_accuracy, 2))
    table.add_row("mean accuracy", percent(scores.mean_accuracy, 2))
    table.add_row("frequency-weighted IoU", percent(scores.frequency_weighted_iou, 2))
    return table


def worst_table(rows: Sequence[Mapping[str, Any]], count: int) -> Table:
    """Return the images with the lowest mIoU, the worst first; those without any truth are left out."""
    table = Table(title="worst images, percent", title_justify="right", title_style="dim")
    table.add_column("image")
    table.add_column("mIoU", justify="right")
    table.add_column("accuracy", justify="right")
    known = [row for row in rows if row["miou"] is not None]
    for row in sorted(known, key=lambda row: row["miou"])[:count]:
        table.add_row(row["key"], percent(row["miou"]), percent(row["accuracy"]))
    return table


def extra_lines(result: Mapping[str, Any]) -> list[str]:
    """Return a line for each of boundary, trimap and calibration that a score has."""
    lines = []
    if "boundary" in result:
        found = result["boundary"]
        radius = ", ".join(str(value) for value in found["radius_px"])
        lines.append(
            f"boundary: mean F {percent(found['f']['mean'], 2)} (within {radius} px), mean IoU"
            f" {percent(found['iou']['mean'], 2)}"
        )
    if "trimap" in result:
        chosen = [row for row in result["trimap"] if row["width"] in (1, 2, 5, 10, 20)]
        curve = ", ".join(f"{row['width']} px {percent(row['miou'])}" for row in chosen)
        lines.append(f"trimap: mIoU within {curve}")
    if "calibration" in result:
        found = result["calibration"]
        lines.append(
            f"calibration: error (ECE) {percent(found['ece'], 2)}, best temperature {found['temperature']:.2f}, error"
            f" with it {percent(found['ece_after'], 2)}"
            if found["ece"] is not None
            else "calibration: no pixel has a truth"
        )
    return lines


def difference_lines(difference: "Difference", other: str) -> list[str]:
    """Return a paired comparison in words: what the difference is, and which classes it comes from."""
    low, high = difference.interval.low, difference.interval.high
    verdict = "clear" if difference.is_clear else "not clear: zero is inside"
    known = {name: value for name, value in difference.classes.items() if value == value and value != 0}
    order = sorted(known, key=lambda name: -abs(known[name]))[:5]
    largest = ", ".join(f"{name} {100 * known[name]:+.1f}" for name in order)
    return [
        f"against {other}: mIoU {100 * difference.miou:+.2f} points, {difference.interval.level:.0%} interval"
        f" {100 * low:+.2f}..{100 * high:+.2f} ({verdict}), better in {difference.better:.0%} of the replicates",
        *([f"  largest differences: {largest}"] if largest else []),
    ]
