"""``roadseg motion train``: a plan by name, its values changed by flags, run by `roadseg.training.video_prediction`."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import tyro

from roadseg.cli.entry import description
from roadseg.cli.run_folder import check_free, exit_code, is_first
from roadseg.cli.terminal import Flag, Talk, Terminal
from roadseg.cli.train import NOT_FLAGS, REGISTRY, TrainProgress, find_object, with_recipe_flags
from roadseg.errors import RecipeError
from roadseg.recipes import VideoPrediction, video_prediction

if TYPE_CHECKING:
    from roadseg.training import FitResult

__all__ = ["MotionTrain"]


@dataclass(frozen=True, kw_only=True)
class MotionTrain:
    """Train a network to predict video frames, as a source of motion.

        roadseg motion train sdcnet2d-small.streets --data clips/ -o runs/motion
        roadseg motion train sdcnet2d.cityscapes --data cityscapes/ --network.weights flownet2.pth --dry-run
        torchrun --nproc-per-node 8 -m roadseg motion train sdcnet2d.cityscapes --data cityscapes/

    PLAN comes first: sdcnet2d.cityscapes, sdcnet2d-recon.cityscapes, sdcnet2d-small.streets, or FILE.py:FUNCTION. Every
    value of it is a flag.

    Attributes:
        root: Folder of videos: leftImg8bit_sequence/SPLIT of Cityscapes, sequences/SPLIT of rendered streets, or
            SPLIT/ with folders of numbered frames (same as --data.root).
        out: Folder of the run (default: runs/PLAN).
        resume: Go on with the run in that folder.
        dry_run: Show the plan and what is missing; train nothing.
        max_steps: Stop, resumably, after this step of the plan.
        device: auto, cpu, cuda, cuda:1 or mps.
    """

    recipe: ClassVar[VideoPrediction]

    root: Annotated[str, tyro.conf.arg(name="data", metavar="DIR", help_behavior_hint="")] = ""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="RUNDIR", help_behavior_hint="")] = None
    resume: Flag = False
    dry_run: Flag = False
    max_steps: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")] = None
    device: str = "auto"
    terminal: Talk = field(default_factory=Terminal)

    @classmethod
    def from_arguments(cls, arguments: list[str]) -> "MotionTrain":
        """Parse the plan's name, then the flags that this plan has.

        Raises:
            RecipeError: There is no such plan, or none was named.
        """
        if not arguments or arguments[0] in ("-h", "--help"):
            return tyro.cli(
                cls, prog="roadseg motion train PLAN", args=["--help"], description=description(cls)
            )
        name, *rest = arguments
        if name.startswith("-"):
            raise RecipeError(
                f"the first argument is {name}, not a plan",
                remedy=f"name it first: `roadseg motion train PLAN {name} ...`; there are"
                f" {', '.join(video_prediction.names())}",
            )
        return tyro.cli(
            with_recipe_flags(cls, _find(name)),
            prog=f"roadseg motion train {name}",
            args=rest,
            description=description(cls) if ":" in name else video_prediction.about(name),
            config=(tyro.conf.AvoidSubcommands,),
            registry=REGISTRY,
        )

    def run(self) -> int:
        """Train, or show the plan; 130 when interrupted."""
        recipe = self.resolve()
        out = self.out or Path("runs") / recipe.name
        if self.dry_run:
            if not is_first():
                return 0
            from roadseg.cli.motion_plan import tell_plan

            return tell_plan(recipe, out, self.terminal)
        if not self.resume:
            check_free(out)
        from roadseg.labeling.sdc_motion import dis_flow
        from roadseg.training.video_prediction import train_video_prediction

        terminal = self.terminal if is_first() else dataclasses.replace(self.terminal, quiet=True)
        with _Progress(terminal, recipe.name) as report:
            result = train_video_prediction(
                recipe,
                out,
                flow_between=dis_flow if recipe.network.flow == "dis" else None,
                device=self.device,
                resume=self.resume,
                report=report,
                max_steps=self.max_steps,
            )
        if is_first():
            self._tell(result, out)
        return exit_code(result, self.max_steps)

    def resolve(self) -> VideoPrediction:
        """Return the plan with the values that were given."""
        given = {
            f.name: getattr(self, f.name)
            for f in dataclasses.fields(VideoPrediction)
            if f.name not in NOT_FLAGS
        }
        recipe = dataclasses.replace(type(self).recipe, **given)
        data = dataclasses.replace(recipe.data, root=self.root or recipe.data.root)
        return dataclasses.replace(recipe, data=data)

    def _tell(self, result: "FitResult", out: Path) -> None:
        self.terminal.emit(
            {
                "recipe": type(self).recipe.name,
                "out": str(out),
                "steps": result.steps,
                "finished": result.finished,
                "best_psnr": result.best,
                "weights": str(result.weights),
            }
        )
        state = "done" if result.finished else f"stopped after step {result.steps}, --resume goes on"
        score = "" if result.best is None else f", best validation PSNR {result.best:.2f} dB"
        self.terminal.say(f"{state}{score}")
        if result.weights.is_file():
            self.terminal.say(f"  try it:  roadseg motion score sdc:{result.weights} --data FOLDER")


class _Progress(TrainProgress):
    """Draws a progress bar, with the scores of predicted frames."""

    def validated(self, epoch: int, scores: Mapping[str, Any], best: bool) -> None:
        """Leave a line with the scores."""
        self.score = f"  PSNR {scores['psnr']:.2f} dB (copy {scores['copy']['psnr']:.2f})"
        if self.report is not None:
            self.report.line(f"epoch {epoch}: {self.state}{self.score}{'  (best so far)' if best else ''}")


def _find(name: str) -> VideoPrediction:
    if ":" not in name:
        return video_prediction.get(name)
    found = find_object(name)
    if not isinstance(found, VideoPrediction):
        raise RecipeError(
            f"gives a {type(found).__name__}, not a VideoPrediction",
            where=name,
            remedy="return roadseg.recipes.VideoPrediction(...)",
        )
    return found
