"""How good are labels that were carried along the motion of a video? Measured where every frame has its true labels.

Usage::

    roadseg data synth data/clips --layout camvid --images 0 --sequences 20 --frames 12 --size 180x240
    python benchmarks/propagation.py data/clips --split train --motion copy dis known --frames 5
    python benchmarks/propagation.py camvid:data/camvid --split val --motion copy dis --frames 10 --every 5 --teacher default

From every ``--every``-th labeled frame the labels go to the neighbors on both sides, step by step as `roadseg propagate` does
it, and are compared with the neighbor's own. "kept" counts only the pixels that the check of occlusions leaves, and says how
many those are.

How well pictures and labels fit each other is measured twice, for the moved picture (joint) and for the real frame
(label-only): by the contrast at borders between labels, the mean change of gray there over that of all pixels; and with
``--teacher`` by a network, as the mIoU of what it sees in the picture, taken as the truth, and the label. A network that knows
the true labels of real frames by heart favors those, so its row "true labels" is the height of the bar.

Prints JSON on stdout and a table on stderr.
"""

import argparse
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from delivery import deliver  # from this folder
from forward import processor  # from this folder
from numpy.typing import NDArray
from rich.progress import track

import roadseg
from roadseg.data import Record
from roadseg.data.sequences import Clips, Sequence, find_sequences
from roadseg.inference import Predictor
from roadseg.labeling.motion import open_motion
from roadseg.labeling.propagation import Propagated, Way, propagate, reachable
from roadseg.metrics import Confusion, Scores

Counts = dict[tuple[str, int, str], Confusion]
Contrasts = dict[tuple[str, int, str], list[float]]


def main() -> None:
    """Measure, and print."""
    options = arguments()
    clips = find_sequences(options.root, options.labels, split=options.split, space=options.space)
    teacher = None
    if options.teacher:
        teacher = roadseg.load() if options.teacher == "default" else roadseg.load(options.teacher)
        teacher = teacher.to(clips.source.target)
    counts: Counts = {}
    contrasts: Contrasts = {}
    starts = [
        (sequence, number)
        for sequence in clips.sequences
        for number in sequence.annotated[options.every // 2 :: options.every]
    ]
    for name in options.motion:
        for sequence, number in track(starts, f"{name:12}", console=console()):
            measure(clips, sequence, number, name, options.frames, teacher, counts, contrasts)
    report = summary(counts, contrasts, clips, options, len(starts))
    title = f"# {options.title}\n\nWritten by `benchmarks/propagation.py`, which says what is measured:\n\n    {command()}"
    deliver(report, table(report), json_file=options.json, table_file=options.table, title=title)


def arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root")
    parser.add_argument("--labels")
    parser.add_argument("--space", help="label space of the label files of a plain folder")
    parser.add_argument("--split", default="train")
    parser.add_argument("--motion", nargs="+", default=["copy", "dis"], help="as for roadseg propagate")
    parser.add_argument("--frames", type=int, default=5, help="farthest neighbor")
    parser.add_argument("--every", type=int, default=1, help="start from one labeled frame of so many")
    parser.add_argument("--teacher", help="weights of a network, or default for the bundled ones")
    parser.add_argument("--title", default="Propagated labels")
    parser.add_argument("--json", type=Path, help="also write the JSON to this file")
    parser.add_argument("--table", type=Path, help="also write the table to this file")
    return parser.parse_args()


def measure(
    clips: Clips,
    sequence: Sequence,
    number: int,
    motion: str,
    frames: int,
    teacher: Predictor | None,
    counts: Counts,
    contrasts: Contrasts,
) -> None:
    """Propagate from one frame, and add up what came out at every distance."""
    ignore = clips.source.target.ignore

    def read(path: Path) -> NDArray[Any]:
        return clips.source.read_label(Record(path, path, path.stem))

    def count(offset: int, kind: str, truth: NDArray[Any], label: NDArray[Any]) -> None:
        key = motion, abs(offset), kind
        counts.setdefault(key, Confusion(clips.source.target)).update(truth, label)

    for found in labeled(sequence, number, motion, frames, ignore, read):
        truth = read(sequence.labels[found.number])
        count(found.offset, "all", truth, found.label)
        count(found.offset, "kept", truth, np.where(found.occluded, ignore, found.label))
        for kind, picture, label in (
            ("joint", found.image, found.label),
            ("label-only", found.real, found.label),
            ("true labels", found.real, truth),
        ):
            contrasts.setdefault((motion, abs(found.offset), kind), []).append(contrast(picture, label))
        if teacher is not None:
            count(found.offset, "joint", np.asarray(teacher(found.image).labels), found.label)
            seen = np.asarray(teacher(found.real).labels)
            count(found.offset, "label-only", seen, found.label)
            count(found.offset, "true labels", seen, truth)


def contrast(picture: NDArray[np.uint8], label: NDArray[Any]) -> float:
    """Return the mean change of gray between neighbors of different labels, over that of all neighbors."""
    gray = picture.mean(axis=2)
    changes = np.concatenate([np.abs(np.diff(gray, axis=axis)).ravel() for axis in (0, 1)])
    borders = np.concatenate([(np.diff(label.astype(int), axis=axis) != 0).ravel() for axis in (0, 1)])
    return float(changes[borders].mean() / changes.mean())


def labeled(
    sequence: Sequence, number: int, motion: str, frames: int, ignore: int, read: Any
) -> Iterator[Propagated]:
    """Yield the neighbors that have labels of their own; what is occluded is marked, and keeps its label."""
    way = Way(opened(motion), check=True, ignore=ignore)
    near = [offset for side in (1, -1) for offset in range(side, side * (frames + 1), side)]
    near = [offset for offset in near if number + offset * sequence.step in sequence.labels]
    reach = reachable(sequence, number, near, way)
    plain = Way(opened(motion), ignore=ignore)
    checked = propagate(sequence, number, reach, way, read_label=read)
    unchecked = propagate(sequence, number, reach, plain, read_label=read)
    for with_check, without in zip(checked, unchecked, strict=True):
        yield without._replace(occluded=with_check.occluded)


_opened: dict[str, Any] = {}


def opened(motion: str) -> Any:
    """Open a source of motion once."""
    if motion not in _opened:
        _opened[motion] = open_motion(motion)
    return _opened[motion]


def summary(
    counts: Counts, contrasts: Contrasts, clips: Clips, options: argparse.Namespace, starts: int
) -> dict[str, Any]:
    """Return all figures."""
    rows = []
    for (motion, offset, kind), confusion in sorted(counts.items()):
        total, none = confusion.counts[:-1].sum(), confusion.counts[:-1, -1].sum()
        confusion.counts[:, -1] = 0  # what was not answered is no error
        scores = Scores.from_confusion(confusion)
        rows.append(
            {
                "motion": motion,
                "offset": offset,
                "kind": kind,
                "pairs": confusion.images,
                "miou": scores.miou,
                "pixel_accuracy": scores.pixel_accuracy,
                "kept": 1 - none / total,
                "classes": {
                    name: None if np.isnan(iou) else float(iou)
                    for name, iou in zip(scores.names, scores.iou, strict=True)
                },
            }
        )
    return {
        "command": command(),
        "processor": processor(),
        "sequences": len(clips.sequences),
        "starts": starts,
        "rows": rows,
        "contrasts": [
            {"motion": motion, "offset": offset, "kind": kind, "contrast": float(np.mean(values))}
            for (motion, offset, kind), values in sorted(contrasts.items())
        ],
    }


def table(report: dict[str, Any]) -> str:
    """Return mIoU by distance, and per class at some distances."""
    rows = report["rows"]
    offsets = sorted({row["offset"] for row in rows})
    found = {(row["motion"], row["kind"], row["offset"]): row for row in rows}
    lines = ["mIoU in percent by distance in frames:", "", head("", offsets)]
    for motion, kind in dict.fromkeys((row["motion"], row["kind"]) for row in rows):
        if (motion, kind) == ("copy", "kept"):
            continue  # where nothing moves, all is consistent
        cells = [found.get((motion, kind, offset)) for offset in offsets]
        lines.append(line(f"{motion}, {WORDS[kind]}", [percent(cell and cell["miou"]) for cell in cells]))
        if kind == "kept":
            lines.append(line(f"{motion}, share kept", [percent(cell and cell["kept"]) for cell in cells]))
    fits = {(row["motion"], row["kind"], row["offset"]): row["contrast"] for row in report["contrasts"]}
    lines += ["", "Contrast at borders between labels:", "", head("", offsets)]
    for motion, kind in dict.fromkeys(key[:2] for key in fits):
        values = [fits.get((motion, kind, offset)) for offset in offsets]
        lines.append(
            line(f"{motion}, {WORDS[kind]}", ["" if value is None else f"{value:.2f}" for value in values])
        )
    for offset in sorted({1, offsets[len(offsets) // 2], offsets[-1]} & set(offsets)):
        columns = [
            key
            for key in dict.fromkeys((row["motion"], row["kind"]) for row in rows)
            if key[1] in ("all", "kept") and key != ("copy", "kept")
        ]
        lines += [
            "",
            f"IoU per class at a distance of {offset}:",
            "",
            head("class", [", ".join(key) for key in columns]),
        ]
        names = next(iter(found.values()))["classes"]
        for name in names:
            cells = [found[(*key, offset)]["classes"][name] for key in columns]
            if any(cell is not None for cell in cells):
                lines.append(line(name, [percent(cell) for cell in cells]))
    return "\n".join(lines)


WORDS = {
    "all": "all pixels",
    "kept": "kept pixels",
    "joint": "labels on the moved picture",
    "label-only": "labels on the real frame",
    "true labels": "true labels on the real frame",
}


def head(first: str, columns: list[Any]) -> str:
    """Return the first two lines of a table."""
    return line(first, [str(column) for column in columns]) + "\n|---|" + "---:|" * len(columns)


def line(first: str, cells: list[str]) -> str:
    """Return a line of a table."""
    return f"| {first} | {' | '.join(cells)} |"


def percent(value: float | None) -> str:
    """Return a share for people."""
    return "" if value is None else f"{100 * value:.1f}"


def command() -> str:
    """Return the command line, without where its output went."""
    words = sys.argv[1:]
    for option in ("--json", "--table", "--title"):
        if option in words:
            at = words.index(option)
            del words[at : at + 2]
    return shlex.join(["python", "benchmarks/propagation.py", *words])


def console() -> Any:
    """Return where progress is shown: not among the data."""
    from rich.console import Console

    return Console(stderr=True)


if __name__ == "__main__":
    main()
