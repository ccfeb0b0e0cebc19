"""``roadseg predict``: from pictures and videos to label maps."""

import dataclasses
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from glob import glob, has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from roadseg.cli.loading import open_predictor
from roadseg.cli.outputs import DEFAULT_OUTPUTS, SUFFIXES, Kind, Outputs, Truths
from roadseg.cli.predict_images import ImageJob, Labeled
from roadseg.cli.quality import Care, Quality
from roadseg.cli.terminal import Flag, Talk, Terminal, duration, percent
from roadseg.cli.translation import How, To, Translation, find_target
from roadseg.errors import InputError, OutputError, RecipeError

if TYPE_CHECKING:
    from roadseg.cli.predict_video import VideoResult
    from roadseg.inference import Predictor
    from roadseg.inference.pipeline import Shard
    from roadseg.labels import LabelSpace
    from roadseg.media import FoundImage

__all__ = ["Predict", "mean_shares", "shares_text"]

_NAMED_SHARES = 4
_STANDARD_INPUT = "-"
_TRIAL = 64  # pixels: side of the picture that shows whether a network has attention


@dataclass(frozen=True, kw_only=True)
class Predict:
    """Label every pixel of photos and videos: road, sidewalk, building, car ...

    Writes DIR/labels/NAME.png (class ids), DIR/color/NAME.png (palette PNG) and DIR/overlay/NAME.jpg of photos, or what
    --outputs names, and DIR/video/NAME.mp4 of videos. What is finished already is skipped (DIR/manifest.jsonl).

        roadseg predict street.jpg
        roadseg predict photos/ -o out --weights my.safetensors --to cityscapes
        find . -name "*.jpg" -size +10k | roadseg predict -

    Attributes:
        inputs: Pictures, folders, patterns such as "photos/*.jpg", .txt lists of them, - for such a list on standard
            input; videos, camera:0, addresses of streams.
        weights: Bundled weights by name (`roadseg models`) or a file.
        out: Folder for the results.
        outputs: What to write; diff needs --truth, attention a network that has it.
        to: Label space of the results, or a .toml file of one.
        translate: Sum scores, or map the best labels.
        truth: Folder with true labels, for diff and compose.
        truth_space: Label space of the true labels, if not of the results.
        full: Write probabilities for every pixel of the picture.
        legend: Draw class names beside overlay, compose and videos.
        alpha: Opacity of the colors over photos, 0..1.
        smooth: Weight of the past in videos, 0 to below 1.
        only: Names of the classes to color in videos (default: all).
        limit: Frames of a video to label at most.
        device: auto, cpu, cuda, cuda:1 or mps.
        batch: Pictures that the network gets together.
        trust_code: Run the code that weights name as their network.
        redo: Label pictures again whose results are there.
    """

    inputs: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="INPUT...", help_behavior_hint="")
    ] = ()
    weights: Annotated[str | None, tyro.conf.arg(metavar="NAME_OR_FILE", help_behavior_hint="")] = None
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="DIR")] = Path("roadseg-out")
    outputs: tuple[Kind, ...] = DEFAULT_OUTPUTS
    to: To = None
    translate: How = "scores"
    truth: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None
    truth_space: Annotated[str | None, tyro.conf.arg(metavar="SPACE", help_behavior_hint="")] = None
    full: Flag = False
    legend: Flag = False
    alpha: float = 0.5
    smooth: float = 0.0
    only: Annotated[tuple[str, ...], tyro.conf.arg(metavar="CLASS...", help_behavior_hint="")] = ()
    limit: Annotated[int | None, tyro.conf.arg(metavar="FRAMES", help_behavior_hint="")] = None
    device: str = "auto"
    batch: int = 1
    trust_code: Flag = False
    redo: Flag = False
    care: Care = field(default_factory=Quality)
    terminal: Talk = field(default_factory=Terminal)

    def run(self) -> int:
        """Label everything; 1 when some of several could not be."""
        from roadseg.inference import DEFAULT_WEIGHTS, file_sha256, find_weights
        from roadseg.inference.pipeline import Shard

        self._check()
        shard = Shard.from_environment()
        videos, pictures = _sorted_inputs(self.inputs)
        if shard.size > 1 and _STANDARD_INPUT in pictures:
            raise InputError("several processes cannot share standard input", remedy="give a .txt list")
        found = self._find(pictures)
        _check_folder(self.out)
        target = find_target(self.to)
        name = self.weights or DEFAULT_WEIGHTS
        terminal = self.terminal if shard.rank == 0 else dataclasses.replace(self.terminal, quiet=True)
        # Before they are loaded: a training may replace the file, and then the results are to be made again.
        digest = file_sha256(find_weights(name))
        predictor = open_predictor(name, shard.device(self.device), self.trust_code, terminal)
        predictor.strategy = self.care.strategy(predictor.model)
        if self.care != Quality():
            terminal.note(self.care.describe(predictor.model))
        translation = Translation.choose(predictor.space, target, self.translate)
        if videos:
            self._check_videos(translation.space)
        translation.tell(terminal)
        run = _Run(self, translation.apply(predictor), translation, shard, terminal)
        started = time.monotonic()
        try:
            labeled = run.pictures(found, digest)
            films = run.videos(videos, labeled)
            ended = shard.gather((labeled, films))
        except KeyboardInterrupt as stop:
            stop.add_note("the same command goes on where it was")
            raise
        finally:
            shard.leave()
        all_labeled = Labeled()
        all_films: list[VideoResult] = []
        for one, more in ended:
            all_labeled.add(one)
            all_films += more
        if shard.rank == 0:
            run.tidy()
            run.tell(all_labeled, all_films, time.monotonic() - started, name)
        return 1 if all_labeled.failed or any(film.failed for film in all_films) else 0

    def _check(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise InputError(f"--alpha is {self.alpha}", remedy="give a number from 0 (photo) to 1 (colors)")
        if self.batch < 1:
            raise InputError(f"--batch is {self.batch}", remedy="give 1 or more")
        if not 0 <= self.smooth < 1:
            raise InputError(f"--smooth is {self.smooth}", remedy="give a number from 0 to below 1")
        if self.limit is not None and self.limit < 1:
            raise InputError(f"--limit is {self.limit}", remedy="give 1 or more")
        if not self.inputs:
            raise InputError("no picture was given", remedy="for example `roadseg predict street.jpg`")
        if not self.outputs:
            raise InputError("--outputs names nothing", remedy=f"choose from {', '.join(SUFFIXES)}")
        if "diff" in self.outputs and self.truth is None:
            raise InputError("the output diff needs true labels", remedy="name their folder with --truth DIR")
        if self.truth is not None and not self.truth.is_dir():
            raise InputError(
                "is no folder", where=self.truth, remedy="give a folder of label maps to --truth"
            )

    def _check_videos(self, space: "LabelSpace") -> None:
        """Fail before the pictures are labeled where no video can be."""
        from roadseg.inference.motion import optical_flow

        for name in self.only:
            space.index(name)
        if self.smooth:
            optical_flow(where="--smooth")

    def _find(self, pictures: list[str]) -> "list[FoundImage]":
        from roadseg.media import find_images

        return _without_results(find_images(pictures), pictures, self.out) if pictures else []


class _Run:
    """One call: the network, this process's share of the inputs, and what came out."""

    def __init__(
        self,
        command: Predict,
        predictor: "Predictor",
        translation: Translation,
        shard: "Shard",
        terminal: Terminal,
    ) -> None:
        self.command = command
        self.predictor = predictor
        self.translation = translation
        self.space = translation.space
        self.shard = shard
        self.terminal = terminal

    def pictures(self, found: "list[FoundImage]", digest: str) -> Labeled:
        """Label this process's share of the pictures."""
        from roadseg.media.manifest import Manifest, fingerprint, remove_leftovers

        if not found:
            return Labeled()
        command, shard = self.command, self.shard
        if "attention" in command.outputs:
            check_attention(self.predictor)
        outputs = Outputs(
            command.outputs, command.out, self.translation, command.alpha, command.legend, command.full
        )
        truths = self._truths()
        if shard.rank == 0:
            remove_leftovers(command.out, outputs.kinds)
        shard.gather(None)  # nobody writes while leftovers are removed
        job = ImageJob(self.predictor, outputs, truths, command.batch)
        settings = fingerprint({**outputs.settings(), **self._settings(digest, truths)})
        with Manifest(command.out, settings, rank=shard.rank, size=shard.size) as manifest:
            only = len(found) == 1 and shard.size == 1
            return job.label(shard.of(found), manifest, self.terminal, redo=command.redo, only=only)

    def videos(self, sources: list[str], labeled: Labeled) -> "list[VideoResult]":
        """Label this process's share of the videos, one after the other; note those that cannot be read."""
        from roadseg.cli.predict_video import VideoPlan, predict_video

        command = self.command
        results: list[VideoResult] = []
        plan = VideoPlan(
            alpha=command.alpha,
            legend=command.legend,
            side_by_side="compose" in command.outputs,
            only=command.only,
            smooth=command.smooth,
            # The default names labels for photos; a PNG per frame is written only when somebody asks for it.
            label_frames="labels" in command.outputs and command.outputs != DEFAULT_OUTPUTS,
            limit=command.limit,
        )
        for source, key in self.shard.of(_with_keys(sources)):
            try:
                result = predict_video(
                    self.predictor,
                    source,
                    command.out,
                    plan,
                    key=key,
                    translation=self.translation,
                    redo=command.redo,
                    terminal=self.terminal,
                )
            except InputError as error:
                if len(command.inputs) == 1 and len(sources) == 1:
                    raise
                labeled.failed.append({"video": source, "error": str(error)})
                continue
            results.append(result)
        return results

    def tidy(self) -> None:
        """Join the lists of what is finished, when every process has ended."""
        from roadseg.media.manifest import tidy

        if any(self.command.out.glob("manifest*.jsonl")):
            tidy(self.command.out)

    def _truths(self) -> Truths | None:
        from roadseg.labels import space

        command = self.command
        if command.truth is None or not {"diff", "compose"} & set(command.outputs):
            return None
        stored = None if command.truth_space is None else space(command.truth_space)
        return Truths(command.truth, self.space, stored)

    def _settings(self, digest: str, truths: Truths | None) -> dict[str, Any]:
        """Everything that results depend on beside the picture and the choice of outputs."""
        stored = None if truths is None or truths.stored is None else truths.stored.to_json()
        return {
            "weights_sha256": digest,
            "strategy": repr(self.predictor.strategy),
            "truth": truths is not None,
            "truth_space": stored,
        }

    def tell(self, labeled: Labeled, films: "list[VideoResult]", seconds: float, weights: str) -> None:
        """Say what was done, and where the results are."""
        terminal, out = self.terminal, self.command.out
        for failure in labeled.failed:
            terminal.warn(failure["error"])
        for film in films:
            if film.failed:
                terminal.warn(film.failed)
        terminal.emit(
            {
                "weights": weights,
                "space": self.space.name,
                **self.translation.facts(),
                "device": str(self.predictor.device),
                "out": str(out),
                "seconds": round(seconds, 3),
                "processes": self.shard.size,
                "images": labeled.done,
                "failed": labeled.failed,
                "skipped": len(labeled.skipped),
                "videos": [film.to_json() for film in films],
            }
        )
        self._tell_pictures(labeled, seconds)
        for film in films:
            terminal.say(film.sentence())

    def _tell_pictures(self, labeled: Labeled, seconds: float) -> None:
        terminal, out = self.terminal, self.command.out
        done, skipped, failed = labeled.done, labeled.skipped, labeled.failed
        failed = [item for item in failed if "image" in item]
        count = len(done) + len(skipped) + len(failed)
        if count == 1 and not failed:
            only = (done or skipped)[0]
            before = "" if done else "was labeled before, --redo does it again; "
            shares = shares_text(only["shares"])
            terminal.say(f"{only['image']} ({only['width']}x{only['height']}): {before}{shares}")
            for kind, file in only["files"].items():
                terminal.say(f"  {kind:<10} {file}")
        elif count:
            facts = [f"{len(done)} of {count} pictures labeled in {duration(seconds)}"]
            facts += [f"{len(skipped)} were there already"] if skipped else []
            facts += [f"{len(failed)} could not be labeled"] if failed else []
            terminal.say(", ".join(facts))
            if done:
                terminal.say(f"  on average {shares_text(mean_shares(item['shares'] for item in done))}")
                terminal.say(f"  in {out}{os.sep}: {', '.join(done[0]['files'])}")


def shares_text(shares: dict[str, float]) -> str:
    """Return the largest shares of a picture in words."""
    present = sorted(((share, name) for name, share in shares.items() if share > 0), reverse=True)
    named = ", ".join(f"{percent(share, 0)} % {name}" for share, name in present[:_NAMED_SHARES])
    rest = len(present) - _NAMED_SHARES
    return f"{named} and {rest} more" if rest > 0 else named


def mean_shares(many: Iterable[dict[str, float]]) -> dict[str, float]:
    """Return the mean of several pictures' shares."""
    rows = list(many)
    names = {name: None for row in rows for name in row}
    return {name: sum(row.get(name, 0.0) for row in rows) / len(rows) for name in names}


def check_attention(predictor: "Predictor") -> None:
    """Fail before the work when a network has no attention to show."""
    import numpy as np

    from roadseg.inference.maps import score

    trial = score(predictor, [np.zeros((_TRIAL, _TRIAL, 3), dtype=np.uint8)], attention=True)
    if not trial[0].attention:
        raise RecipeError(
            f"{predictor.card.model} has no attention to show",
            where="--outputs attention",
            remedy="use a network with hierarchical attention, such as hrnet-ocr-w48-hms, or leave it out",
        )


def _sorted_inputs(inputs: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the inputs that are videos, patterns of them spelled out, and the others."""
    from roadseg.media.camera import is_video

    videos: list[str] = []
    pictures: list[str] = []
    for item in inputs:
        if item == _STANDARD_INPUT or not is_video(item):
            pictures.append(item)
        elif has_magic(item) and not Path(item).exists() and "://" not in item:
            videos += sorted(glob(item, recursive=True)) or [item]  # noqa: PTH207 (absolute patterns)
        else:
            videos.append(item)
    return videos, pictures


def _with_keys(sources: list[str]) -> list[tuple[str, str | None]]:
    """Give videos of the same name, even if only but for case, results of different names."""
    from roadseg.cli.predict_video import numbered, video_key

    own = [video_key(source) for source in sources]
    used = {key.casefold() for key in own}
    first: set[str] = set()
    keyed: list[tuple[str, str | None]] = []
    for source, key in zip(sources, own, strict=True):
        if key.casefold() not in first:
            first.add(key.casefold())
            keyed.append((source, None))
            continue
        other = next(name for name in numbered(key) if name.casefold() not in used)
        used.add(other.casefold())
        keyed.append((source, other))
    return keyed


def _without_results(found: "list[FoundImage]", inputs: Iterable[str], out: Path) -> "list[FoundImage]":
    """Leave out what an earlier call wrote: the folder for the results may lie in the folder of the pictures."""
    results = {(out / kind).resolve() for kind in SUFFIXES}
    named = {Path(item).resolve() for item in inputs}
    kept: list[FoundImage] = []
    for image in found:
        path = image.path.resolve()
        if results.isdisjoint(path.parents):
            kept.append(image)
        elif path in named:
            raise InputError(
                "lies where results are written",
                where=image.path,
                remedy="leave it out, or choose another folder with -o",
            )
    if not kept:
        raise InputError("holds only results of roadseg", where=out, remedy="name the pictures to label")
    return kept


def _check_folder(out: Path) -> None:
    """Fail before the work when the folder for the results cannot be there."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"the folder cannot be made ({error.strerror})", where=out, remedy="choose another one with -o"
        ) from error
