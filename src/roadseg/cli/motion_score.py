"""``roadseg motion score``: how well sources of motion predict real frames."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.table import Table

from roadseg.cli.terminal import Talk, Terminal
from roadseg.errors import InputError

if TYPE_CHECKING:
    from roadseg.labeling.motion_scores import MotionScores

__all__ = ["MotionScore"]

_BASELINE = "copy"


@dataclass(frozen=True, kw_only=True)
class MotionScore:
    """Score sources of motion: how close do frames that they moved come to the real ones?

        roadseg motion score dis --data clips/
        roadseg motion score dis sdc:runs/sdcnet2d-small.streets/best.safetensors --data clips/ --split test

    Of three consecutive frames, the second is moved to where the third is, and compared with it; a copy of the second is
    what all have to beat. PSNR is in decibel, the interpolation error in gray levels. Where the true flow is known
    (`roadseg data synth`), the end-point error is in pixels.

    Attributes:
        motions: copy, dis, dis:PIXELS, raft-small:FILE, raft-large:FILE, known or sdc:FILE.
        data: Folder of videos: leftImg8bit_sequence/SPLIT of Cityscapes, sequences/SPLIT of rendered streets, or
            SPLIT/ with folders of numbered frames.
        split: Which of them; . is the folder itself.
        frames: Score at most so many frames, evenly spread.
        device: auto, cpu, cuda, cuda:1 or mps.
    """

    motions: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="MOTION ...", help_behavior_hint="")
    ]
    data: Annotated[Path, tyro.conf.arg(metavar="DIR", help_behavior_hint="")]
    split: str = "val"
    frames: Annotated[int, tyro.conf.arg(metavar="N")] = 100
    device: str = "auto"
    terminal: Talk = field(default_factory=Terminal)

    def run(self) -> int:
        """Score, and print a table; 1 when some frames could not be scored."""
        from roadseg.data.triplets import find_videos
        from roadseg.inference import choose_device
        from roadseg.labeling.motion import open_motion
        from roadseg.labeling.motion_scores import score_motion, triples

        if self.frames < 1:
            raise InputError(f"--frames is {self.frames}", remedy="score at least one")
        device = choose_device(self.device)
        opened = [open_motion(text, device) for text in dict.fromkeys((_BASELINE, *self.motions))]
        chosen = triples(find_videos(self.data, self.split), self.frames)
        scores: dict[str, MotionScores] = {}
        failures: dict[str, None] = {}  # each sentence once: a bad file is one for all motions
        with self.terminal.progress("scoring", len(chosen) * len(opened)) as report:
            for number, motion in enumerate(opened):
                base = number * len(chosen)
                found, failed = score_motion(
                    motion,
                    chosen,
                    lambda done, base=base, name=motion.name: report.update(base + done, text=name),  # type: ignore[misc]
                )
                if found is not None:
                    scores[motion.name] = found
                failures |= dict.fromkeys(map(str, failed))
        self.terminal.emit(
            {
                "data": str(self.data),
                "split": self.split,
                "scores": {name: found.to_json() for name, found in scores.items()},
                "failed": list(failures),
            }
        )
        self.terminal.say(_table(scores))
        for sentence in failures:
            self.terminal.warn(sentence)
        return 1 if failures else 0


def _table(scores: "dict[str, MotionScores]") -> Table:
    table = Table("motion")
    for column in ("frames", "PSNR", "SSIM", "interpolation error", "end-point error", "ms/frame"):
        table.add_column(column, justify="right")
    for name, found in scores.items():
        table.add_row(
            name,
            str(found.frames),
            f"{found.psnr:.2f}",
            f"{found.ssim:.4f}",
            f"{found.ie:.2f}",
            "-" if found.epe is None else f"{found.epe:.3f}",
            f"{1000 * found.seconds:.0f}",
        )
    return table
