"""``roadseg data subset``: a part of a data set as one of its own."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from roadseg.cli.terminal import Flag, Talk, Terminal

__all__ = ["DataSubset"]


@dataclass(frozen=True, kw_only=True)
class DataSubset:
    """Take a share of a data set's pictures; the others become a split of their own.

    Writes a small file that `--data` takes everywhere; nothing is copied. In it the split is the share that was taken,
    SPLIT-rest are the others, and all other splits are as before. The same arguments take the same pictures.

        roadseg data subset camvid/ --share 0.25 -o quarter.yaml
        roadseg train fast-scnn.camvid --data quarter.yaml --data.train train
        roadseg autolabel --data quarter.yaml --split train-rest -o pseudo --weights my.safetensors

    Attributes:
        root: Folder of a data set or its data.yaml; NAME:PATH forces a layout.
        out: File to write, .yaml.
        split: Split to divide; train+val divides both.
        share: Share of the pictures to take, between 0 and 1.
        seed: Other seeds take other pictures.
        by_sequence: Take the share of every sequence, told by the names of the pictures.
    """

    root: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DIR_OR_YAML", help_behavior_hint="")]
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE")] = Path("subset.yaml")
    split: Annotated[str, tyro.conf.arg(metavar="NAME")] = "train"
    share: Annotated[float, tyro.conf.arg(metavar="P")] = 0.25
    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    by_sequence: Flag = False
    terminal: Talk = field(default_factory=Terminal)

    def run(self) -> int:
        """Divide, and say how many pictures there are of both kinds."""
        from roadseg.data import open_source
        from roadseg.data.subset import write_subset

        counts = write_subset(
            self.out,
            self.root,
            open_source(self.root),
            self.split,
            self.share,
            self.seed,
            by_sequence=self.by_sequence,
        )
        self.terminal.emit({"out": str(self.out), "splits": counts})
        splits = ", ".join(f"{count} {name}" for name, count in counts.items())
        self.terminal.say(
            f"{splits}; in {self.out}", f"  train on it:  roadseg train RECIPE --data {self.out}"
        )
        return 0
