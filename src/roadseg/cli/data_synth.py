"""``roadseg data synth``: labeled streets out of nothing."""

import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from roadseg.cli.terminal import Talk, Terminal, duration
from roadseg.errors import InputError

__all__ = ["DataSynth", "parse_size"]

_Count = Annotated[int, tyro.conf.arg(metavar="N")]


@dataclass(frozen=True, kw_only=True)
class DataSynth:
    """Render streets with exact labels, as a data set to train and test on.

    The same arguments give the same bytes; an interrupted call goes on when it is repeated.

        roadseg data synth streets/ --images 500 --workers 8
        roadseg data synth clips/ --layout cityscapes --images 0 --sequences 20 --size 256x512

    Attributes:
        out: Folder to fill.
        layout: Files and classes as in Cityscapes or CamVid, or a folder with a data.yaml.
        images: Number of single pictures.
        sequences: Number of clips with moving camera and traffic, and known optical flow.
        frames: Frames of each clip.
        size: Height and width in pixels.
        seed: Other seeds give other streets.
        workers: Processes that render; 0 renders in this one.
    """

    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT", help_behavior_hint="")]
    layout: Literal["cityscapes", "camvid", "yaml"] = "camvid"
    images: _Count = 100
    sequences: _Count = 0
    frames: _Count = 30
    size: Annotated[str, tyro.conf.arg(metavar="HxW")] = "360x480"
    seed: _Count = 0
    workers: _Count = 0
    terminal: Talk = field(default_factory=Terminal)

    def run(self) -> int:
        """Render, and say what was written."""
        from roadseg.data.synth import write_dataset

        size = parse_size(self.size)
        started = time.monotonic()
        try:
            with self.terminal.progress("rendering", self.images + self.sequences) as report:
                written = write_dataset(
                    self.out,
                    layout=self.layout,
                    images=self.images,
                    sequences=self.sequences,
                    frames_per_sequence=self.frames,
                    size=size,
                    seed=self.seed,
                    workers=self.workers,
                    progress=report.update,
                )
        except KeyboardInterrupt as stop:
            stop.add_note("go on with the same command")
            raise
        seconds = time.monotonic() - started
        self.terminal.emit(
            {
                "out": str(self.out),
                "layout": self.layout,
                "rendered": written.rendered,
                "kept": written.kept,
                "splits": written.splits,
                "seconds": round(seconds, 1),
            }
        )
        splits = ", ".join(f"{count} {name}" for name, count in written.splits.items())
        kept = f", {written.kept} were there already" if written.kept else ""
        self.terminal.say(
            f"{written.rendered} rendered in {duration(seconds)}{kept}; pictures: {splits or 'none'}; in {self.out}",
            f"  look closer:  roadseg data check {self._spec()}",
        )
        return 0

    def _spec(self) -> str:
        return str(self.out / "data.yaml" if self.layout == "yaml" else self.out)


def parse_size(text: str) -> tuple[int, int]:
    """Return height and width of ``HxW``.

    Raises:
        InputError: The text is something else.
    """
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise InputError(f"--size is {text!r}", remedy="give HEIGHTxWIDTH in pixels, for example 360x480")
    return int(match[1]), int(match[2])
