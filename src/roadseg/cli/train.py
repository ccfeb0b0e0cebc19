"""``roadseg train``: a recipe by name, its values changed by flags, run by `roadseg.training.fit`."""

import dataclasses
import importlib
import importlib.util
import math
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar, get_type_hints

import tyro

from roadseg import recipes
from roadseg.cli.entry import description
from roadseg.cli.pairs import pair_texts, parse_pairs
from roadseg.cli.run_folder import check_free, exit_code, is_first, was_stopped
from roadseg.cli.terminal import Flag, Report, Talk, Terminal, percent
from roadseg.errors import RecipeError
from roadseg.recipes import AutoLabels, Balanced, Model, Recipe, Synthetic, VideoPrediction

if TYPE_CHECKING:
    from roadseg.training import FitResult

__all__ = [
    "NOT_FLAGS",
    "REGISTRY",
    "Train",
    "TrainProgress",
    "find_object",
    "find_recipe",
    "with_recipe_flags",
]

C = TypeVar("C")

NOT_FLAGS = ("name", "paper", "expects")
"""What a recipe says about itself."""

_OPTIONAL: dict[str, Synthetic | AutoLabels] = {
    "synthetic": Synthetic(root=""),
    "autolabels": AutoLabels(root=""),
}
"""Parts of ``--data`` that a recipe may leave out, with the values their flags start from."""


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a network by a recipe.

        roadseg train fast-scnn.camvid --data camvid/
        roadseg train fast-scnn.camvid --data camvid/ --optim.lr 0.02 --epochs 100 --dry-run
        roadseg train my_runs.py:night --data data.yaml -o runs/night
        torchrun --nproc-per-node 4 -m roadseg train fast-scnn.camvid --data camvid/
        roadseg train fast-scnn.camvid --data camvid/ --data.parts idd/ --data.to mseg-194 --shares equal

    RECIPE comes first: a name, FILE.py:FUNCTION or package.module:function. Every value of it is a flag.

    Attributes:
        root: Data set: a folder or data.yaml; NAME:PATH forces a layout (same as --data.root).
        synthetic: Rendered scenes to mix in, a data set of the same classes (same as --data.synthetic.root).
        shares: Part of every batch that is drawn from --data and from each of --data.parts, as numbers in proportion, or
            "equal"; without it, the recipe's sampling.
        out: Folder of the run (default: runs/RECIPE).
        resume: Go on with the run in that folder.
        dry_run: Show the plan and what is missing on this machine; train nothing.
        max_steps: Stop, resumably, after this step of the plan.
        device: auto, cpu, cuda, cuda:1 or mps.
        tensorboard: Also write TensorBoard event files (`pip install 'roadseg[tracking]'`).
    """

    recipe: ClassVar[Recipe]

    root: Annotated[str, tyro.conf.arg(name="data", metavar="DIR_OR_YAML", help_behavior_hint="")] = ""
    synthetic: Annotated[str, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = ""
    shares: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NUMBER ...", help_behavior_hint="")] = ()
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="RUNDIR", help_behavior_hint="")] = None
    resume: Flag = False
    dry_run: Flag = False
    max_steps: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")] = None
    device: str = "auto"
    tensorboard: Flag = False
    terminal: Talk = field(default_factory=Terminal)

    @classmethod
    def from_arguments(cls, arguments: list[str]) -> "Train":
        """Parse the recipe's name, then the flags that this recipe has.

        Raises:
            RecipeError: There is no such recipe, or none was named.
        """
        if not arguments or arguments[0] in ("-h", "--help"):
            return tyro.cli(cls, prog="roadseg train RECIPE", args=["--help"], description=_general_help(cls))
        name, *rest = arguments
        if name.startswith("-"):
            raise RecipeError(
                f"the first argument is {name}, not a recipe",
                remedy=f"name the recipe first: `roadseg train RECIPE {name} ...`; `roadseg recipes` lists them",
            )
        recipe = find_recipe(name)
        for part, empty in _OPTIONAL.items():
            if getattr(recipe.data, part) is None and any(
                item.startswith(f"--data.{part}.") for item in rest
            ):
                # Alternatives are flags only when the default has them.
                data = dataclasses.replace(recipe.data, **{part: empty})  # type: ignore[arg-type]
                recipe = dataclasses.replace(recipe, data=data)
        return tyro.cli(
            with_recipe_flags(cls, recipe),
            prog=f"roadseg train {name}",
            args=rest,
            description=_recipe_help(recipe),
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
            from roadseg.cli.train_plan import Plan

            return Plan.of(recipe, out, self.device, tensorboard=self.tensorboard).tell(self.terminal)
        if not self.resume:
            check_free(out)
        from roadseg.training import fit

        terminal = self.terminal if is_first() else dataclasses.replace(self.terminal, quiet=True)
        with TrainProgress(terminal, recipe.name) as report:
            result = fit(
                recipe,
                out,
                device=self.device,
                resume=self.resume,
                report=report,
                max_steps=self.max_steps,
                tensorboard=self.tensorboard,
            )
        if is_first():
            self._tell(result, out, was_stopped(result, self.max_steps))
        return exit_code(result, self.max_steps)

    def resolve(self) -> Recipe:
        """Return the recipe with the values that were given.

        Raises:
            RecipeError: ``--data.synthetic`` flags without a folder, or shares that are no numbers.
        """
        base = type(self).recipe
        given = {f.name: getattr(self, f.name) for f in dataclasses.fields(Recipe) if f.name not in NOT_FLAGS}
        recipe = dataclasses.replace(base, **given)
        data = recipe.data
        if self.root:
            data = dataclasses.replace(data, root=self.root)
        if self.synthetic:
            data = dataclasses.replace(
                data, synthetic=dataclasses.replace(data.synthetic or Synthetic(root=""), root=self.synthetic)
            )
        for part in _OPTIONAL:
            if (given_part := getattr(data, part)) is not None and not given_part.root:
                raise RecipeError(f"--data.{part} needs a folder", remedy=f"add --data.{part}.root DIR")
        on_fewer = recipe.on_fewer
        if recipe.batch_size != base.batch_size and on_fewer == base.on_fewer:
            on_fewer = "keep"  # a batch that was asked for is not changed behind one's back
        model = _network(base.model, recipe.model)
        sampling = Balanced(weights=_weights(self.shares)) if self.shares else recipe.sampling
        return dataclasses.replace(recipe, data=data, sampling=sampling, model=model, on_fewer=on_fewer)

    def _tell(self, result: "FitResult", out: Path, was_stopped: bool) -> None:
        self.terminal.emit(
            {
                "recipe": type(self).recipe.name,
                "out": str(out),
                "steps": result.steps,
                "finished": result.finished,
                "best_miou": result.best,
                "weights": str(result.weights),
            }
        )
        if was_stopped:
            return
        state = "done" if result.finished else f"stopped after step {result.steps}, --resume goes on"
        score = "" if result.best is None else f", best validation mIoU {percent(result.best, 2)}"
        self.terminal.say(f"{state}{score}")
        if result.weights.is_file():
            self.terminal.say(f"  try it:  roadseg predict street.jpg --weights {result.weights}")


class TrainProgress:
    """A `roadseg.training.report.Reporter` that draws a progress bar."""

    def __init__(self, terminal: Terminal, name: str) -> None:
        self.terminal = terminal
        self.name = name
        self.step = 0
        self.state = self.score = ""
        self.stack = ExitStack()
        self.report: Report | None = None
        self.scan: Report | None = None

    def __enter__(self) -> "TrainProgress":
        return self

    def __exit__(self, *_error: object) -> None:
        self.stack.close()

    def prepared(self, note: str) -> None:
        """Say it."""
        if self.report is None:
            self.terminal.note(note)
        else:
            self.report.line(note)

    def scanning(self, done: int, count: int) -> None:
        """Draw a bar of its own."""
        if self.scan is None:
            self.scan = self.stack.enter_context(self.terminal.progress("labels", count))
        self.scan.update(done)
        if done == count:
            self._close_bars()

    def started(self, step: int, steps: int) -> None:
        """Draw the bar."""
        self._close_bars()
        self.step = step
        self.report = self.stack.enter_context(self.terminal.progress(self.name, steps, step))

    def stepped(self, step: int, loss: float, lr: float) -> None:
        """Move the bar."""
        self.step, self.state = step, f"lr {lr:.2g}"
        if not math.isnan(loss):  # that of the first step is known after the second
            self.state = f"loss {loss:.3f}  {self.state}"
        self._update(f"{self.state}{self.score}")

    def validating(self, done: int, count: int) -> None:
        """Show how far the validation is."""
        self._update(f"validating {done}/{count}{self.score}")

    def validated(self, epoch: int, scores: Mapping[str, Any], best: bool) -> None:
        """Leave a line with the score."""
        each = ", ".join(f"{name} {percent(own['miou'], 2)}" for name, own in scores.get("vals", {}).items())
        self.score = f"  mIoU {percent(scores['miou'], 2)}{f' ({each})' if each else ''}"
        if self.report is not None:
            self.report.line(f"epoch {epoch}: {self.state}{self.score}{'  (best so far)' if best else ''}")

    def _close_bars(self) -> None:
        self.stack.close()
        self.report = self.scan = None

    def _update(self, text: str) -> None:
        if self.report is not None:
            self.report.update(self.step, text=text)


def _network(base: Model, given: Model) -> Model:
    """Return the network of a run: one that is not the recipe's has options and weights of its own."""
    if given.name == base.name:
        return dataclasses.replace(given, options={**base.options, **given.options})
    options = {} if given.options == base.options else given.options
    weights = None if given.weights == base.weights else given.weights
    return dataclasses.replace(given, options=options, weights=weights, starts_from="")


def _weights(shares: tuple[str, ...]) -> tuple[float, ...]:
    if shares == ("equal",):
        return ()
    try:
        return tuple(float(share) for share in shares)
    except ValueError as error:
        raise RecipeError(
            f"--shares {' '.join(shares)} are no numbers",
            remedy='give one number for each data set, such as 1 2 1, or "equal"',
        ) from error


def find_recipe(name: str) -> Recipe:
    """Return a recipe by name, or by a reference as of `find_object`.

    Raises:
        RecipeError: There is none, or the function does not return one.
    """
    if ":" not in name:
        return recipes.get(name)
    found = find_object(name)
    if not isinstance(found, Recipe):
        place, _, attribute = name.rpartition(":")
        raise RecipeError(
            f"{attribute} gives a {type(found).__name__}, not a Recipe", where=place, remedy="return a Recipe"
        )
    return found


def find_object(reference: str) -> object:
    """Return what ``FILE.py:FUNCTION`` or ``package.module:function`` gives; ``[NUMBER]`` picks one out of a list.

    Raises:
        RecipeError: There is no such function, it fails, or its list has no such item.
    """
    place, _, attribute = reference.rpartition(":")
    if not place:
        raise RecipeError(
            f"{reference} names neither a file nor a module",
            remedy="give FILE.py:FUNCTION or package.module:function",
        )
    attribute, _, number = attribute.rstrip("]").partition("[")
    module = _load_file(Path(place)) if place.endswith(".py") else _load_module(place)
    function: Callable[[], object] | None = getattr(module, attribute, None)
    if function is None:
        raise RecipeError(f"has no function {attribute!r}", where=place)
    try:
        found = function() if callable(function) else function
    except Exception as error:  # it is the user's code: anything can happen in it
        raise RecipeError(
            f"{attribute} cannot be run ({type(error).__name__}: {error})", where=place
        ) from error
    if not number:
        return found
    try:
        return list(found)[int(number)]  # type: ignore[call-overload]
    except (TypeError, ValueError, IndexError) as error:
        raise RecipeError(f"{attribute} has no item {number}", where=place) from error


def with_recipe_flags(command: type[C], recipe: Recipe | VideoPrediction) -> type[C]:
    """Return the command with one more field for each value of the recipe, whose default is the recipe's."""
    hints = get_type_hints(type(recipe))
    fields = [
        (f.name, hints[f.name], field(default=getattr(recipe, f.name), kw_only=True))
        for f in dataclasses.fields(recipe)
        if f.name not in NOT_FLAGS
    ]
    own, of_recipe = command.__doc__ or "", type(recipe).__doc__ or ""
    help_text = own.rstrip() + "\n" + of_recipe.partition("Attributes:\n")[2]
    made: type[C] = make_dataclass(
        command.__name__,
        fields,
        bases=(command,),
        namespace={"__doc__": help_text, "recipe": recipe},
        frozen=True,
        kw_only=True,
    )
    return made


def _registry() -> tyro.constructors.ConstructorRegistry:
    """Return tyro's rules with one more: mappings are ``KEY=VALUE`` texts."""
    registry = tyro.constructors.ConstructorRegistry()

    @registry.primitive_rule
    def _(
        info: tyro.constructors.PrimitiveTypeInfo,
    ) -> tyro.constructors.PrimitiveConstructorSpec[Any] | None:
        if info.type_origin is not Mapping:
            return None
        return tyro.constructors.PrimitiveConstructorSpec(
            nargs="*",
            metavar="KEY=VALUE ...",
            instance_from_str=lambda texts: parse_pairs(texts, "--model.options"),
            is_instance=lambda value: isinstance(value, Mapping),
            str_from_instance=pair_texts,
        )

    return registry


REGISTRY = _registry()


def _load_file(path: Path) -> object:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise RecipeError("there is no such file", where=path, remedy="give FILE.py:FUNCTION")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses and pickle look modules up by name
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # it is the user's code: anything can happen in it
        raise RecipeError(f"cannot be run ({type(error).__name__}: {error})", where=path) from error
    return module


def _load_module(name: str) -> object:
    try:
        return importlib.import_module(name)
    except Exception as error:  # it may be the user's code
        raise RecipeError(f"cannot import {name} ({error})", remedy="give package.module:function") from error


def _general_help(command: type[Train]) -> str:
    families = ", ".join(dict.fromkeys(name.partition(".")[0] for name in recipes.names()))
    rest = "`roadseg train RECIPE --help` shows the recipe's own flags."
    return f"{description(command)}\n\n`roadseg recipes` lists the recipes, of {families}.\n{rest}"


def _recipe_help(recipe: Recipe) -> str:
    return (
        f"Train {recipe.model.name} by the recipe {recipe.name} ({recipe.paper}).\n\n"
        f"    roadseg train {recipe.name} --data DIR --dry-run"
    )
