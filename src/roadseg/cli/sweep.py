"""``roadseg sweep``: many training runs by one file, side by side, and again what did not get done."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from roadseg.cli.terminal import Flag, Talk, Terminal

__all__ = ["Sweep"]


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Train many runs that one file plans; run the same command again to do what was not done.

        roadseg sweep lr.toml --dry-run
        roadseg sweep lr.toml --gpus 0,1,2,3
        roadseg sweep ablation.py:losses --jobs 2 --out runs/losses
        roadseg sweep lr.toml --submit 'sbatch --gpus=1 --wrap {command}'

    Finished runs are skipped, stopped ones go on, failed ones start again where they left off. `roadseg summarize OUT`
    compares them.

    Attributes:
        file: FILE.toml, FILE.py with a function sweep(), or FILE.py:FUNCTION.
        out: Folder of the runs (default: runs/FILE).
        dry_run: Check every run's recipe and flags, and show the commands.
        jobs: Runs at a time (default: one per GPU of --gpus, or 1).
        gpus: GPUs to divide over the jobs, by comma; one named twice takes two jobs.
        submit: Hand each run to this command: {command} is its command line as one word, {module_command} what follows
            python -m, {out} its folder, {name} its name.
        only: Take the runs whose name holds this, * and ? standing for anything.
    """

    file: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="FILE", help_behavior_hint="")]
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="DIR", help_behavior_hint="")] = None
    dry_run: Flag = False
    jobs: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")] = None
    gpus: Annotated[str, tyro.conf.arg(metavar="0,1,...", help_behavior_hint="")] = ""
    submit: Annotated[str, tyro.conf.arg(metavar="'COMMAND ...'", help_behavior_hint="")] = ""
    only: Annotated[str, tyro.conf.arg(metavar="TEXT", help_behavior_hint="")] = ""
    terminal: Talk = field(default_factory=Terminal)

    def run(self) -> int:
        """Plan, check, and train; 1 when runs failed, 130 when interrupted."""
        from roadseg.cli.sweep_course import carry_out

        return carry_out(self)
