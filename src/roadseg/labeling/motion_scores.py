"""How good a source of motion is: how close frames that were moved by it come to the real ones."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from roadseg.data.sequences import Sequence as Frames
from roadseg.data.sequences import flow_file
from roadseg.data.synth import read_flow
from roadseg.errors import DataError, RoadsegError
from roadseg.labeling.motion import Motion, Picture, Step
from roadseg.media import read_image
from roadseg.metrics.pictures import WINDOW, PictureScores, end_point_error
from roadseg.models.warping import warp

__all__ = ["MotionScores", "Triple", "moved", "score_motion", "triples"]


class Triple(NamedTuple):
    """Files of three consecutive frames."""

    before: Path
    source: Path
    target: Path


@dataclass(frozen=True)
class MotionScores:
    """Means over scored frames.

    Attributes:
        frames: How many.
        psnr: Peak signal-to-noise ratio of the moved frames, in decibel.
        ssim: Their structural similarity, at most 1.
        ie: Their interpolation error, in gray levels.
        epe: End-point error, in pixels, where flow is known; else None.
        seconds: Time that the motion of a frame took.
    """

    frames: int
    psnr: float
    ssim: float
    ie: float
    epe: float | None
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return the scores as plain JSON values."""
        return asdict(self)


def triples(sequences: Sequence[Frames], count: int) -> list[Triple]:
    """Return up to ``count`` triples of consecutive frames, evenly spread over all that there are.

    Raises:
        DataError: There is none.
    """
    found = [
        Triple(*each.frames[first : first + 3]) for each in sequences for first in range(len(each.frames) - 2)
    ]
    if not found:
        raise DataError(
            f"none of {len(sequences)} sequences has three consecutive frames",
            remedy="give videos as folders of numbered frames without gaps",
        )
    chosen = np.linspace(0, len(found) - 1, min(count, len(found))).round().astype(int)
    return [found[index] for index in chosen.tolist()]


def score_motion(
    motion: Motion, chosen: Sequence[Triple], progress: Callable[[int], object] = lambda done: None
) -> tuple[MotionScores | None, list[RoadsegError]]:
    """Move the second frame of each triple to where the third is, and compare them.

    Rendered sequences have the flow from each frame to the next; that is the backward flow of a triple that is played
    backward, and the end-point error is of this one, at pixels that are seen in both frames.

    Args:
        motion: What is scored.
        chosen: The frames.
        progress: Called with the number of triples that are done.

    Returns:
        The scores, None where no frame could be scored; and what went wrong with the others.
    """
    pictures, distances, seconds = list[PictureScores](), list[float](), 0.0
    failures = []
    for done, triple in enumerate(chosen):
        progress(done)
        try:
            before, source, target = _frames(triple)
            started = time.perf_counter()
            flow = motion(Step(before, source, target, triple))
            seconds += time.perf_counter() - started
            distances += _distances(motion, triple, (before, source, target))
        except RoadsegError as error:
            failures.append(error)
            continue
        pictures.append(PictureScores.of(moved(source, flow), target))
    if not pictures:
        return None, failures
    mean = PictureScores.mean(pictures)
    epe = float(np.mean(distances)) if distances else None
    return MotionScores(len(pictures), *mean, epe, seconds / len(pictures)), failures


def moved(source: Picture, flow: np.ndarray[Any, np.dtype[np.float32]]) -> Picture:
    """Return the target's view of the source: uint8 ``[H, W, 3]``, moved by a backward flow, ``[H, W, 2]``."""
    image, field = (torch.from_numpy(each).permute(2, 0, 1)[None].float() for each in (source, flow))
    result: Picture = warp(image, field)[0].round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
    return result


def _frames(triple: Triple) -> tuple[Picture, Picture, Picture]:
    first, second, third = (read_image(path) for path in triple)
    for path, frame in zip(triple[1:], (second, third), strict=True):
        if frame.shape != first.shape:
            raise DataError(
                f"differs in size from {triple.before.name}", where=path, remedy="resize it, or leave it out"
            )
    if min(first.shape[:2]) < WINDOW:
        raise DataError(
            f"is {first.shape[1]}x{first.shape[0]}, too small to be scored",
            where=triple.before,
            remedy=f"give frames of {WINDOW} pixels and more on either side",
        )
    return first, second, third


def _distances(motion: Motion, triple: Triple, frames: tuple[Picture, Picture, Picture]) -> Iterator[float]:
    """Yield the end-point error of the triple played backward, if its flow is known."""
    stored = flow_file(triple.before)
    if stored is None or not stored.is_file():
        return
    true, valid = read_flow(stored)
    first, second, third = frames
    if true.shape[:2] != first.shape[:2]:
        raise DataError(
            f"holds flow of another size than {triple.before.name}",
            where=stored,
            remedy="render the sequence again",
        )
    if valid.any():
        files = (triple.target, triple.source, triple.before)
        yield end_point_error(motion(Step(third, second, first, files)), true, valid)
