"""``roadseg timelapse``: a folder of photos as a film, each beside its labels."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from roadseg.cli.loading import open_predictor
from roadseg.cli.terminal import Flag, Talk, Terminal, duration
from roadseg.cli.translation import How, To, Translation, find_target
from roadseg.errors import ImageError, InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from roadseg.inference import Predictor
    from roadseg.media import FoundImage, Prediction
    from roadseg.media.film import VideoWriter

__all__ = ["Timelapse"]


@dataclass(frozen=True, kw_only=True)
class Timelapse:
    """Make a film of a folder of photos, each beside its labels.

    The photos, in the order of their names, with the classes in color beside them, a legend above and a caption below.
    Photos of other sizes are fitted into the size of the first.

        roadseg timelapse leftImg8bit/test -o berlin.mp4 --city berlin
        roadseg timelapse photos/ -o out.mp4 --fps 5 --count 0 --no-caption

    Attributes:
        folder: Folder of photos (searched to the bottom), or a pattern such as "photos/*.jpg".
        out: The film to write, an .mp4.
        fps: Photos per second.
        count: How many photos to take, from the first on; 0 for all.
        city: Take only photos in a folder of this name, or whose names begin with it and "_", as in Cityscapes.
        legend: Draw the classes above.
        caption: Write city, network and name of the photo below.
        alpha: Opacity of the colors, 0..1.
        weights: Bundled weights by name (`roadseg models`) or a .safetensors file (default: the bundled ones).
        to: Label space of the results (`roadseg labels`), or a .toml file of one.
        translate: Sum probabilities and take the best of the sums, or translate the best labels.
        device: auto, cpu, cuda, cuda:1 or mps.
        trust_code: Accept weights whose network is package.module:callable, and run that code.
    """

    folder: Annotated[
        str, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="(required)")
    ]
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE")] = Path("timelapse.mp4")
    fps: float = 2.0
    count: int = 20
    city: Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = None
    legend: Annotated[bool, tyro.conf.arg(help_behavior_hint="")] = True
    caption: Annotated[bool, tyro.conf.arg(help_behavior_hint="")] = True
    alpha: float = 0.6
    weights: Annotated[str | None, tyro.conf.arg(metavar="NAME_OR_FILE", help_behavior_hint="")] = None
    to: To = None
    translate: How = "scores"
    device: str = "auto"
    trust_code: Flag = False
    terminal: Talk = field(default_factory=Terminal)

    def run(self) -> int:
        """Make the film; 1 when some of several photos could not be read."""
        from roadseg.inference import DEFAULT_WEIGHTS
        from roadseg.media import find_images
        from roadseg.media.film import VideoWriter

        self._check()
        found = self._chosen(find_images([self.folder]))
        target = find_target(self.to)
        writer = VideoWriter(self.out, self.fps)
        name = self.weights or DEFAULT_WEIGHTS
        predictor = open_predictor(name, self.device, self.trust_code, self.terminal)
        translation = Translation.choose(predictor.space, target, self.translate)
        translation.tell(self.terminal)
        predictor = translation.apply(predictor)
        started = time.monotonic()
        failed: list[dict[str, str]] = []
        size = (0, 0)
        with writer, self.terminal.progress("labeling", len(found)) as report:
            for number, frame in enumerate(self._frames(found, predictor, translation, failed), 1):
                writer.write(frame)
                size = (frame.shape[0] + frame.shape[0] % 2, frame.shape[1] + frame.shape[1] % 2)
                report.update(number + len(failed))
            if not writer.frames:
                raise InputError(failed[0]["error"])
        self._tell(writer, size, translation, failed, time.monotonic() - started)
        return 1 if failed else 0

    def _check(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise InputError(f"--alpha is {self.alpha}", remedy="give a number from 0 (photo) to 1 (colors)")
        if self.count < 0:
            raise InputError(f"--count is {self.count}", remedy="give how many photos to take, or 0 for all")
        if not 0 < self.fps <= 1000:
            raise InputError(
                f"--fps is {self.fps:g}", remedy="give more than 0, up to 1000 photos per second"
            )

    def _chosen(self, found: "list[FoundImage]") -> "list[FoundImage]":
        if self.city is not None:
            city = self.city.casefold()
            kept = [image for image in found if _is_of(image, city)]
            if not kept:
                raise InputError(
                    f"holds no photo of {self.city}",
                    where=self.folder,
                    remedy="name a folder in it, or what names of photos begin with before an underscore",
                )
            found = kept
        return found[: self.count] if self.count else found

    def _frames(
        self,
        found: "list[FoundImage]",
        predictor: "Predictor",
        translation: Translation,
        failed: list[dict[str, str]],
    ) -> "Iterator[npt.NDArray[np.uint8]]":
        """Yield the frames of all photos that can be read, and note the others."""
        from roadseg.media.timelapse import TimelapseLayout

        layout: TimelapseLayout | None = None
        for image, prediction in _labeled(found, predictor, failed):
            if layout is None:
                height, width = prediction.labels.shape
                layout = TimelapseLayout(
                    translation.space, (height, width), self.legend, self.caption, self.alpha
                )
            yield layout.compose(translation(prediction), self._text(image, predictor))

    def _text(self, image: "FoundImage", predictor: "Predictor") -> str:
        city = [] if self.city is None else [f"City: {self.city}"]
        return "    ".join([*city, f"Model: {predictor.card.model}", f"Frame: {image.key}"])

    def _tell(
        self,
        writer: "VideoWriter",
        size: tuple[int, int],
        translation: Translation,
        failed: list[dict[str, str]],
        seconds: float,
    ) -> None:
        frames, fps = writer.frames, writer.fps
        for failure in failed:
            self.terminal.warn(failure["error"])
        self.terminal.emit(
            {
                "file": str(self.out),
                "frames": frames,
                "fps": float(fps),
                "height": size[0],
                "width": size[1],
                "space": translation.space.name,
                **translation.facts(),
                "failed": failed,
                "seconds": round(seconds, 3),
            }
        )
        missing = f", {len(failed)} could not be read" if failed else ""
        lasts = duration(float(frames / fps))
        self.terminal.say(f"{self.out}: {frames} photos ({lasts}, {size[1]}x{size[0]}){missing}")


def _is_of(image: "FoundImage", city: str) -> bool:
    """Tell whether a photo lies in a folder of that name, or is named after it."""
    folders = [part.casefold() for part in image.path.parts[:-1]]
    stem = image.path.stem.casefold()
    return city in folders or stem == city or stem.startswith(f"{city}_")


def _labeled(
    found: "list[FoundImage]", predictor: "Predictor", failed: list[dict[str, str]]
) -> "Iterator[tuple[FoundImage, Prediction]]":
    """Yield photos with their labels; one that cannot be read is noted, and passed over."""
    from roadseg.inference.stream import Ahead

    def work() -> "Iterator[tuple[FoundImage, Prediction | ImageError]]":
        for image in found:
            try:
                yield image, predictor(image.path)
            except ImageError as error:
                yield image, error

    with Ahead(work()) as results:  # the network works while the last frame is drawn and encoded
        for image, result in results:
            if isinstance(result, ImageError):
                failed.append({"image": str(image.path), "error": str(result)})
            else:
                yield image, result
