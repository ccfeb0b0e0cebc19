"""``roadseg demo``: the whole way, offline, from nothing to a network that has learned something."""

import dataclasses
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from roadseg.cli.terminal import Talk, Terminal, duration, percent

if TYPE_CHECKING:
    from roadseg.data import Source
    from roadseg.inference import Predictor
    from roadseg.metrics import Scores
    from roadseg.recipes import Recipe

__all__ = ["Demo"]

SIZE = (240, 320)
CROP = (256, 320)
BATCH = 4
WORKERS = min(4, os.cpu_count() or 1)  # that render
SHOWN = 4  # pictures on the sheet
GAP = 6


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Show the whole way offline, in under two minutes: render, predict, evaluate, train, look.

    Streets are rendered, labeled with the bundled weights and scored; the weights are trained on for a few steps and
    scored again. DIR/demo.png shows it all.

        roadseg demo
        roadseg demo -o /tmp/demo --steps 100

    Attributes:
        out: Folder for everything; streets that an earlier demo left in it are used again.
        images: Number of streets to render.
        steps: Training steps.
        seed: Other seeds give other streets.
    """

    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="DIR")] = Path("roadseg-demo")
    images: Annotated[int, tyro.conf.arg(metavar="N")] = 20
    steps: Annotated[int, tyro.conf.arg(metavar="N")] = 30
    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    terminal: Talk = field(default_factory=Terminal)

    def run(self) -> int:
        """Go the whole way and say where the results are."""
        from roadseg.data import open_source
        from roadseg.inference import load
        from roadseg.recipes import get

        began = time.monotonic()
        data = self.out / "data"
        with self._stage(f"rendering {self.images} streets") as facts:
            self._render(data)
            source = open_source(data)
            facts.append(
                f"{len(source.find('train'))} to train on, {len(source.find('test'))} to test on, in {data}"
            )
        before = load(device="cpu")
        with self._stage("labeling the test streets with the bundled weights") as facts:
            facts.append(f"pictures in {self._label(before, source)}")
        with self._stage("scoring them") as facts:
            first = self._score(before, source)
            facts.append(
                f"mIoU {percent(first.miou)} (trained on real photos, they have never seen such streets)"
            )
        recipe, steps = fine_tuning(get("fast-scnn.synthetic"), before, data, self.steps, source)
        with self._stage(f"training for {steps} steps") as facts:
            weights = self._train(recipe)
            facts.append(f"weights in {weights}")
        after = load(weights, device="cpu")
        with self._stage("scoring again") as facts:
            second = self._score(after, source)
            facts.append(f"mIoU {percent(second.miou)}, {100 * (second.miou - first.miou):+.1f} points")
        sheet = self.out / "demo.png"
        with self._stage("drawing") as facts:
            draw_sheet(sheet, source, (before, after))
            facts.append(f"{sheet}: picture, truth, before, after")
        seconds = time.monotonic() - began
        self.terminal.emit(
            {
                "out": str(self.out),
                "sheet": str(sheet),
                "weights": str(weights),
                "before": first.to_json(),
                "after": second.to_json(),
                "seconds": round(seconds, 1),
            }
        )
        self.terminal.say("", f"done in {duration(seconds)}; look at {sheet}")
        self.terminal.say("next:  roadseg predict street.jpg     (a photo of yours)")
        return 0

    @contextmanager
    def _stage(self, what: str) -> Iterator[list[str]]:
        """Announce a stage; what the block appends is said when it is over."""
        facts: list[str] = []
        started = time.monotonic()
        self.terminal.say(f"- {what} ...")
        yield facts
        self.terminal.say(f"  {'; '.join(facts)} ({duration(time.monotonic() - started)})")

    def _render(self, data: Path) -> None:
        from roadseg.data.synth import Style, write_dataset

        with self.terminal.progress("rendering", self.images) as report:
            write_dataset(
                data,
                layout="camvid",
                images=self.images,
                size=SIZE,
                seed=self.seed,
                style=Style(sky="cloudy"),  # weights that know daylight only deserve no night
                workers=WORKERS,
                progress=report.update,
            )

    def _label(self, predictor: "Predictor", source: "Source") -> Path:
        """Write label ids and overlays of the test pictures; return the folder of the overlays."""
        from roadseg.media import write_image

        for record in source.find("test"):
            prediction = predictor(record.image)
            prediction.save(self.out / "labels" / f"{record.key}.png")
            write_image(self.out / "overlay" / f"{record.key}.jpg", prediction.overlay(legend=True))
        return self.out / "overlay"

    def _score(self, predictor: "Predictor", source: "Source") -> "Scores":
        from roadseg.inference import evaluate, protocol_of
        from roadseg.metrics import Scores

        with self.terminal.progress("scoring", len(source.find("test"))) as report:
            confusion = evaluate(predictor, source, "test", progress=report.update)
        return Scores.from_confusion(confusion, protocol_of(predictor, source, "test", confusion))

    def _train(self, recipe: "Recipe") -> Path:
        from roadseg.cli.train import TrainProgress
        from roadseg.training import fit

        with TrainProgress(self.terminal, "training") as report:
            return fit(recipe, self.out / "run", device="cpu", report=report).weights


def fine_tuning(
    recipe: "Recipe", start: "Predictor", data: Path, steps: int, source: "Source"
) -> "tuple[Recipe, int]":
    """Return a recipe that trains a network on for about so many steps (whole epochs), and their exact number."""
    from roadseg.data import StepSampler
    from roadseg.inference import DEFAULT_WEIGHTS
    from roadseg.recipes import AdamW, CrossEntropy, Data, Model, Poly

    per_epoch = StepSampler.steps_per_epoch(len(source.find("train")), BATCH)
    epochs = max(1, round(steps / per_epoch))
    # The network gets its pictures resized; it is trained on pictures of about that size.
    zoom = (start.card.preprocess.short_side or SIZE[0]) / SIZE[0]
    made = dataclasses.replace(
        recipe,
        name="demo",
        model=Model(name=start.card.model, options=start.card.options, weights=DEFAULT_WEIGHTS),
        data=Data(root=str(data), train="train", val=""),
        preprocess=start.card.preprocess,
        augment=dataclasses.replace(recipe.augment, crop=CROP, scale=(0.8 * zoom, 1.25 * zoom)),
        loss=CrossEntropy(),
        optim=AdamW(lr=1e-3),
        schedule=Poly(),
        epochs=epochs,
        batch_size=BATCH,
        ema=0.0,
        workers=0,
        eval_every=epochs,
    )
    return made, epochs * per_epoch


def draw_sheet(path: Path, source: "Source", predictors: "tuple[Predictor, ...]") -> None:
    """Write a sheet with a row per test picture: the picture, its truth, and each network's answer."""
    from roadseg.data import decode
    from roadseg.media import Prediction, legend_bar, side_by_side, stack, write_image

    rows: list[Any] = []
    for record in source.find("test")[:SHOWN]:
        sample = decode(source, record)
        picture = sample.image.permute(1, 2, 0).numpy().copy()
        truth = Prediction(labels=sample.mask.numpy(), space=source.target, image=picture)
        answers = [predictor(picture).to(source.target).overlay(alpha=0.7) for predictor in predictors]
        rows.append(side_by_side([picture, truth.overlay(alpha=0.7), *answers], gap=GAP))
    legend = legend_bar(source.target, source.target.ids, rows[0].shape[1])
    write_image(path, stack([*rows, legend], gap=GAP))
