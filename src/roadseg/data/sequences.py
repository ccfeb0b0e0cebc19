"""Frames of video in their order, with the labels that some of them have.

Found are::

    leftImg8bit_sequence/<split>/<city>/*_leftImg8bit.png       Cityscapes; labels in gtFine/ (or gtFine_trainvaltest/)
    sequences/<split>/<name>/images/*.png, labels/*.png         `roadseg data synth` in the layouts camvid and yaml
    any data set that roadseg opens                             the records of a split; CamVid val is video at 15 fps
    any folder of numbered frames                               labels of the same file names in a folder of their own

The number of a frame is the last one in its name, and what stands before it names the film. The commonest step between
the numbers of a film is its step (1 in Cityscapes, 2 in CamVid val); where another follows, a new sequence begins.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from roadseg.data.records import Record
from roadseg.data.source import Source, list_images
from roadseg.data.sources import open_source
from roadseg.errors import DataError, LabelError
from roadseg.labels import label_map, space_note

__all__ = ["Clips", "Sequence", "find_sequences", "flow_file", "frame_number", "split_runs"]

CITYSCAPES = "cityscapes"
CLIPS, IMAGES, LABELS, FLOW = "sequences", "images", "labels", "flow"
SEQUENCE, IMAGE_END, LABEL_ENDS = (
    "leftImg8bit_sequence",
    "_leftImg8bit",
    ("_gtFine_labelIds", "_gtCoarse_labelIds"),
)
FINE = ("gtFine", "gtFine_trainvaltest/gtFine")
_NUMBERED = re.compile(r"(.*?)(\d+)")


@dataclass(frozen=True)
class Sequence:
    """Frames of video whose numbers rise by a constant step.

    Attributes:
        name: Unique among the sequences found together, with ``/`` between folders.
        frames: Image files in the order of time.
        numbers: The number of each frame.
        labels: Label file by number of the frame; most frames may have none.
        beyond: Numbers of the frames of the same film that follow a hole: the last before this sequence, the first after
            it.
    """

    name: str
    frames: tuple[Path, ...]
    numbers: tuple[int, ...]
    labels: Mapping[int, Path] = field(default_factory=dict)
    beyond: tuple[int | None, int | None] = (None, None)

    @property
    def step(self) -> int:
        """Between the numbers of neighbors; 1 for a single frame."""
        return self.numbers[1] - self.numbers[0] if len(self.numbers) > 1 else 1

    @property
    def annotated(self) -> tuple[int, ...]:
        """Numbers of the frames that have labels, rising."""
        return tuple(number for number in self.numbers if number in self.labels)


@dataclass(frozen=True)
class Clips:
    """Sequences of one data set.

    Attributes:
        source: Reads their label files: ``source.read_label(Record(image, label, key))``.
        sequences: In the order of their folders, films and numbers.
    """

    source: Source
    sequences: tuple[Sequence, ...]


def find_sequences(
    root: str | Path, labels: str | Path | None = None, *, split: str = "train", space: str | None = None
) -> Clips:
    """Find the sequences of a split.

    Args:
        root: A folder as described above, or a data set as for `open_source`.
        labels: Where labels are: for Cityscapes a folder that holds ``gtFine``, or one laid out like it (such as the
            ``gtFine_sequence`` of synthetic data sets); for a folder of frames the folder of the label files. By default
            they are where the layout has them.
        split: Which frames, in layouts that have splits.
        space: Label space of the label files of a plain folder of frames.

    Raises:
        DataError: There are no frames, or no labels, or two sequences have one name.
        LabelError: There is no such label space, or no network can be trained on it.
    """
    folder = Path(root).expanduser()
    truth = None if labels is None else Path(labels).expanduser()
    if truth is not None and not truth.exists():
        raise DataError(
            "does not exist", where=truth, remedy="give the folder of the label files to --labels"
        )
    official = folder if folder.name == SEQUENCE else folder / SEQUENCE
    if official.is_dir():
        clips = _cityscapes(official, truth, split)
    elif (folder / CLIPS).is_dir():
        clips = _rendered(folder, split)
    elif truth is not None or space is not None:
        clips = _plain(folder, truth, space)
    else:
        clips = _records(open_source(root), split)
    if not clips.sequences:
        raise DataError(
            f"has no numbered frames of split {split!r}",
            where=folder,
            remedy="name another --split or folder",
        )
    _check_usable(clips, folder)
    return clips


def _check_usable(clips: Clips, folder: Path) -> None:
    """Refuse what labels could not be told apart in, or what no network could be trained on."""
    (name, count), *_ = Counter(each.name for each in clips.sequences).most_common(1)
    if count > 1:
        raise DataError(
            f"has {count} sequences named {name!r} in different folders",
            where=folder,
            remedy="rename the frames of one of them, or name one folder at a time",
        )
    if not clips.source.target.is_contiguous:
        raise LabelError(
            f"label space {clips.source.target.name} does not number its classes from 0 without gaps, so that no network"
            " could be trained on the labels",
            where=folder,
            remedy="describe frames and labels by a data.yaml with space and label_mapping, and give that",
        )


def frame_number(frame: Path) -> int:
    """Return the number of a frame: the last one in its name.

    Raises:
        DataError: There is none.
    """
    return _film_and_number(frame)[1]


def flow_file(frame: Path) -> Path | None:
    """Return where the renderer of synthetic streets stores the flow from a frame to the next; None for other frames."""
    if frame.parent.name == IMAGES:
        return frame.parent.parent / FLOW / f"{frame.stem}.npz"
    if SEQUENCE in frame.parts:
        at = len(frame.parts) - 1 - frame.parts[::-1].index(SEQUENCE)
        name = f"{frame.stem.removesuffix(IMAGE_END)}_flow.npz"
        return Path(*frame.parts[:at], FLOW, *frame.parts[at + 1 : -1], name)
    return None


def split_runs(frames: Iterable[Path], labels: Mapping[Path, Path], folder: str = "") -> list[Sequence]:
    """Sort frames into sequences.

    Args:
        frames: Image files, in any order.
        labels: Label files of some of them.
        folder: What the names of the sequences begin with.

    Raises:
        DataError: A name has no number, or two frames of a film share one.
    """
    films: dict[str, list[tuple[int, Path]]] = {}
    for frame in frames:
        film, number = _film_and_number(frame)
        films.setdefault(film, []).append((number, frame))
    found = []
    for film in sorted(films):
        numbered = sorted(films[film])
        for (number, one), (next_number, other) in pairwise(numbered):
            if number == next_number:
                raise DataError(
                    f"has the same number as {one.name}", where=other, remedy="keep one of the frames"
                )
        found += _runs(numbered, labels, f"{folder}/" if folder else "")
    return found


def _runs(numbered: list[tuple[int, Path]], labels: Mapping[Path, Path], folder: str) -> list[Sequence]:
    """Cut one film where its numbers do not go on by its commonest step."""
    steps = Counter(later - number for (number, _), (later, _) in pairwise(numbered))
    usual = max(steps, key=lambda step: (steps[step], -step), default=1)
    cuts = [i for i in range(1, len(numbered)) if numbered[i][0] - numbered[i - 1][0] != usual]
    found = []
    for start, end in pairwise([0, *cuts, len(numbered)]):
        run = numbered[start:end]
        before = numbered[start - 1][0] if start else None
        after = numbered[end][0] if end < len(numbered) else None
        found.append(
            Sequence(
                name=folder + run[0][1].stem.removesuffix(IMAGE_END),
                frames=tuple(frame for _, frame in run),
                numbers=tuple(number for number, _ in run),
                labels={number: labels[frame] for number, frame in run if frame in labels},
                beyond=(before, after),
            )
        )
    return found


def _film_and_number(frame: Path) -> tuple[str, int]:
    match = _NUMBERED.fullmatch(frame.stem.removesuffix(IMAGE_END))
    if match is None:
        raise DataError(
            "has no number at the end of its name",
            where=frame,
            remedy="name frames such as street_000017.png, or take other pictures out of the folder",
        )
    return match[1], int(match[2])


def _cityscapes(folder: Path, truth: Path | None, split: str) -> Clips:
    root = folder.parent
    places = [root / name for name in FINE] if truth is None else [*(truth / name for name in FINE), truth]
    labels = next((place for place in places if (place / split).is_dir()), None)
    if labels is None:
        raise DataError(
            f"has no labels of split {split!r}",
            where=truth or root,
            remedy=f"put gtFine/{split} beside {SEQUENCE}, or name the folder that holds it with --labels",
        )
    if not (folder / split).is_dir():
        raise DataError(
            f"has no split {split!r}", where=folder, remedy=f"it has {', '.join(_folders(folder))}"
        )
    found: list[Sequence] = []
    for city in _folders(folder / split):
        frames = [path for path in list_images(folder / split / city) if path.stem.endswith(IMAGE_END)]
        files = _by_frame_stem(labels / split / city)
        known = {
            frame: files[stem] for frame in frames if (stem := frame.stem.removesuffix(IMAGE_END)) in files
        }
        found += split_runs(frames, known, city)
    return Clips(_source(CITYSCAPES, root, CITYSCAPES, "cityscapes-19"), tuple(found))


def _by_frame_stem(folder: Path) -> dict[str, Path]:
    """Return official label files by what their name shares with that of their frame."""
    files = list_images(folder) if folder.is_dir() else []
    return {
        path.stem.removesuffix(end): path for path in files for end in LABEL_ENDS if path.stem.endswith(end)
    }


def _rendered(root: Path, split: str) -> Clips:
    found: list[Sequence] = []
    clips = root / CLIPS / split
    for name in _folders(clips) if clips.is_dir() else []:
        frames = list_images(clips / name / IMAGES)
        found += split_runs(frames, _by_stem(frames, clips / name / LABELS), name)
    try:
        source = open_source(root)
    except DataError:  # clips alone are no data set; the renderer's layouts have these ids
        space = "cityscapes-19" if (root / "data.yaml").is_file() else "camvid-11"
        source = _source("folder", root, space, space)
    return Clips(source, tuple(found))


def _records(source: Source, split: str) -> Clips:
    if split not in source.splits:
        raise DataError(
            f"has no split {split!r}", where=source.root, remedy=f"it has {', '.join(source.splits)}"
        )
    records = source.list_split(split)  # unlike find, this lets frames be without labels
    labels = {record.image: record.label for record in records if record.label and record.label.is_file()}
    if not labels:
        raise DataError(
            f"split {split!r} has no labels", where=source.root, remedy="name another --split, or --labels"
        )
    by_folder: dict[Path, list[Record]] = {}
    for record in records:
        by_folder.setdefault(record.image.parent, []).append(record)
    found: list[Sequence] = []
    for part in by_folder.values():
        folder = part[0].key.rpartition("/")[0]
        found += split_runs([record.image for record in part], labels, folder)
    return Clips(source, tuple(found))


def _plain(folder: Path, truth: Path | None, space: str | None) -> Clips:
    if truth is None:
        raise DataError("comes without labels", where=folder, remedy="name their folder with --labels")
    frames = list_images(folder)
    labels = _by_stem(frames, truth)
    official = any(path.stem.endswith(LABEL_ENDS) for path in labels.values())
    if space is None and not official:
        raise DataError(
            "holds label files of an unknown label space",
            where=truth,
            remedy="name it with --space, for example --space cityscapes-19 (`roadseg labels` lists all)",
        )
    stored = space or CITYSCAPES
    target = "cityscapes-19" if stored == CITYSCAPES else stored
    name = CITYSCAPES if all(frame.stem.endswith(IMAGE_END) for frame in frames) and official else "folder"
    return Clips(_source(name, folder, stored, target), tuple(split_runs(frames, labels)))


def _by_stem(frames: Iterable[Path], folder: Path) -> dict[Path, Path]:
    """Return the label files of frames: of the same stem, or named as in Cityscapes."""
    files = {path.stem: path for path in (list_images(folder) if folder.is_dir() else [])}
    official = _by_frame_stem(folder)
    found = {}
    for frame in frames:
        label = files.get(frame.stem) or official.get(frame.stem.removesuffix(IMAGE_END))
        if label is not None:
            found[frame] = label
    return found


def _source(name: str, root: Path, stored: str, target: str) -> Source:
    """Return a source that reads label files; it lists nothing."""
    return Source(
        name=name,
        root=root,
        label_map=label_map(stored, target),
        splits=(),
        list_split=lambda split: [],
        looks_for="numbered frames",
        license=space_note(stored).license,
        colored=True,
    )


def _folders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir())
