"""``roadseg submit``: from predictions to an archive that a benchmark's server accepts."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from roadseg.cli.terminal import Talk, Terminal, size_text
from roadseg.errors import InputError, OutputError

if TYPE_CHECKING:
    from roadseg.media.submissions import Benchmark, Check, Expected, Origin

__all__ = ["Submit"]

_REFUSED = 2
_SHOWN = 5  # faults of a kind; --json has all
_HOW = {"given": "as given", "manifest": "as its manifest says", "ids": "judging by the ids that occur"}
_Place = Annotated[Path | None, tyro.conf.arg(metavar="LIST_OR_FOLDER", help_behavior_hint="")]


@dataclass(frozen=True, kw_only=True)
class Submit:
    """Pack predictions for a benchmark: official ids and names, checked without its server.

    Whatever the server would turn down is listed, and then nothing is written (exit code 2).

        roadseg predict leftImg8bit/test -o out --weights my.safetensors
        roadseg submit out --benchmark cityscapes --expected leftImg8bit/test -o mine.zip
        roadseg submit --check-only mine.zip --benchmark cityscapes

    Attributes:
        predictions: Folder that `roadseg predict` wrote to, or any folder of label pictures.
        benchmark: Whose rules count.
        expected: Folder of the images (or labels) of the test set, or a .txt list of their names (default: what is
            known about the benchmark, for most the number of images).
        out: The archive to write (default: BENCHMARK.zip).
        source: Label space of the predictions (default: as their manifest says, else judged by the ids that occur).
        check_only: Check this archive or folder of official ids, and write nothing.
    """

    predictions: Annotated[
        Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[PREDICTIONS]", help_behavior_hint="")
    ] = None
    benchmark: Annotated[
        Literal["cityscapes", "kitti", "mapillary", "wilddash", "camvid"],
        tyro.conf.arg(help_behavior_hint="(required)"),
    ]
    expected: _Place = None
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="ZIP", help_behavior_hint="")] = None
    source: Annotated[str | None, tyro.conf.arg(name="from", metavar="SPACE", help_behavior_hint="")] = None
    check_only: Annotated[Path | None, tyro.conf.arg(metavar="ZIP_OR_FOLDER", help_behavior_hint="")] = None
    terminal: Talk = field(default_factory=Terminal)

    def run(self) -> int:
        """Pack and check; 2 when there are faults."""
        from roadseg.media.submissions import BENCHMARKS, expected_frames

        benchmark = BENCHMARKS[self.benchmark]
        if (self.predictions is None) == (self.check_only is None):
            raise InputError(
                "one thing at a time",
                remedy="give the folder of the predictions, or --check-only ZIP_OR_FOLDER",
            )
        expected = expected_frames(benchmark, self.expected)
        if expected is None:
            self.terminal.note(f"without --expected, {_unsure(benchmark)}")
        if self.check_only is not None:
            return self._check(benchmark, self.check_only, expected)
        return self._pack(benchmark, self.predictions or Path(), expected)

    def _check(self, benchmark: "Benchmark", path: Path, expected: "Expected | None") -> int:
        from roadseg.media.submissions import check_submission

        if self.out is not None or self.source is not None:
            raise InputError("--check-only writes and translates nothing", remedy="leave out -o and --from")
        with self.terminal.progress("checking", 0) as report:
            check = check_submission(benchmark, path, expected, report.update)
        self.terminal.emit({"file": str(path), **_facts(benchmark, check, expected)})
        if check.faults:
            return self._refuse(check, f"{path} is not fit to be sent")
        self.terminal.say(f"{path}: {_images(check)}, no fault found; {benchmark.upload}")
        return 0

    def _pack(self, benchmark: "Benchmark", folder: Path, expected: "Expected | None") -> int:
        from roadseg.labels import label_map
        from roadseg.media.submissions import find_origin, find_predictions, write_submission

        out = self.out or Path(f"{benchmark.name}.zip")
        if out.suffix.lower() != ".zip":
            raise OutputError("is no name of an archive", where=out, remedy="let it end in .zip")
        files = find_predictions(folder)
        origin = find_origin(benchmark, folder, files, self.source)
        translation = label_map(origin.space, benchmark.space)
        self.terminal.note(_origin_words(benchmark, origin))
        with self.terminal.progress("packing and checking", 2 * len(files)) as report:
            written = write_submission(
                benchmark, files, translation, out, folder=folder, expected=expected, progress=report.update
            )
        check = written.check
        size = None if written.path is None else written.path.stat().st_size
        self.terminal.emit(
            {
                "file": None if written.path is None else str(written.path),
                "bytes": size,
                "sha256": written.sha256,
                "from": origin.space.name,
                "from_how": origin.how,
                **_facts(benchmark, check, expected),
            }
        )
        if check.faults:
            return self._refuse(check, "nothing was written")
        self.terminal.say(
            f"{out} ({size_text(size or 0)}): {_images(check)}, no fault found; {benchmark.upload}"
        )
        return 0

    def _refuse(self, check: "Check", consequence: str) -> int:
        """List the faults, each in a line, the first few of every kind."""
        kinds = Counter[str]()
        for fault in check.faults:
            kinds[fault.kind] += 1
            if kinds[fault.kind] <= _SHOWN:
                self.terminal.warn(str(fault))
        count = len(check.faults)
        hidden = {kind: number - _SHOWN for kind, number in kinds.items() if number > _SHOWN}
        more = ", ".join(f"{number} more of kind {kind}" for kind, number in hidden.items())
        listed = f" ({more}; --json has all)" if more else ""
        self.terminal.warn(f"{count} fault{'s' if count > 1 else ''}{listed}: {consequence}")
        return _REFUSED


def _facts(benchmark: "Benchmark", check: "Check", expected: "Expected | None") -> dict[str, Any]:
    return {
        "benchmark": benchmark.name,
        "to": benchmark.official,
        "images": check.images,
        "split": check.split,
        "expected": None if expected is None else {"from": expected.origin, "images": len(expected.sizes)},
        "faults": [fault.to_json() for fault in check.faults],
    }


def _images(check: "Check") -> str:
    words = f"{check.images} label picture{'s' if check.images != 1 else ''}"
    return words if check.split is None else f"{words} (as many as {check.split} has)"


def _unsure(benchmark: "Benchmark") -> str:
    if not benchmark.counts:
        return "nobody can tell whether an image is missing"
    return (
        f"only the number of images is checked ({', '.join(f'{k} {n}' for k, n in benchmark.counts.items())})"
    )


def _origin_words(benchmark: "Benchmark", origin: "Origin") -> str:
    how = _HOW[origin.how]
    if origin.space == benchmark.space:
        return f"predictions are in {origin.space.name} ({how}), which {benchmark.name} wants"
    return f"predictions are in {origin.space.name} ({how}), translated to {benchmark.official}"
