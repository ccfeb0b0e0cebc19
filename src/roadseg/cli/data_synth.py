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


@dataclass(frozen=True, kw_only=True)
class DataSynth:
    """Render streets with exact labels, as a data set to train and test on.

    The same seed gives the same pixels.

        roadseg data synth streets/ --images 500
        roadseg data synth clips/ --layout cityscapes --images 0 --sequences 20 --size 256x512

    Attributes:
        out: Folder to fill.
        layout: Files and classes as in Cityscapes or CamVid, or a folder with a data.yaml.
        images: Number of single pictures.
        sequences: Number of short clips with moving camera and traffic, and known optical flow.
        size: Height and width in pixels.
        seed: Other seeds give other streets.
    """

    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT", help_behavior_hint="")]
    layout: Literal["cityscapes", "camvid", "yaml"] = "camvid"
    images: Annotated[int, tyro.conf.arg(metavar="N")] = 100
    sequences: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    size: Annotated[str, tyro.conf.arg(metavar="HxW")] = "360x480"
    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    terminal: Talk = field(default_factory=Terminal)

    def run(self) -> int:
        """Render, and say what was written."""
        from roadseg.data.synth import write_dataset

        size = parse_size(self.size)
        started = time.monotonic()
        with self.terminal.progress("rendering", self.images + self.sequences) as report:
            written = write_dataset(
                self.out,
                layout=self.layout,
                images=self.images,
                sequences=self.sequences,
                size=size,
                seed=self.seed,
                progress=report.update,
            )
        seconds = time.monotonic() - started
        return 0


def parse_size(text: str) -> tuple[int, int]:
    """Return height and width of ``HxW``.

    Raises:
        InputError: The text is something else.
    """
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise InputError(f"--size is {text!r}", remedy="give HEIGHTxWIDTH in pixels, for example 360x480")
    return int(match[1]), int(match[2])
