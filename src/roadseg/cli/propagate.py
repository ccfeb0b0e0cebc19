"""``roadseg propagate``: labels of annotated frames for their neighbors."""

import dataclasses
import re
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from roadseg.cli.entry import explain
from roadseg.cli.terminal import Flag, Report, Talk, Terminal, duration, percent
from roadseg.errors import ONE_FILE, DataError, InputError, OutputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from roadseg.data.sequences import Clips, Sequence
    from roadseg.inference.pipeline import Shard
    from roadseg.labeling.propagated_set import PropagatedSet
    from roadseg.labeling.propagation import Propagated, Way

__all__ = ["Propagate", "parse_frames"]

_MOST_FRAMES = 100


@dataclass(frozen=True, kw_only=True)
class Propagate:
    """Carry the labels of annotated video frames to the frames around them.

    Motion between the real frames moves labels and picture step by step. The result is a data set with the splits
    plus1, minus1, ... and train, all of them; a stopped call goes on when it is repeated.

        roadseg propagate cityscapes/ -o propagated/ --frames 1..5
        roadseg propagate camvid/ -o pairs/ --split val --every 10 --frames 1..3 --occlusion check --preview
        roadseg propagate frames/ --labels masks/ --space camvid-11 -o pairs/
        roadseg train swiftnet.cityscapes --data cityscapes/ --data.parts propagated/data.yaml@plus3+minus3@

    Attributes:
        sequences: Folder with leftImg8bit_sequence, a data set whose pictures are video, or numbered frames.
        out: Folder to fill.
        labels: Folder of the label files, if they are not where the layout has them.
        space: Label space of the label files of a plain folder of frames (`roadseg labels`).
        split: Which frames, in data sets with splits.
        every: Start from every n-th annotated frame of a sequence, the first in the middle of n.
        frames: Distances to propagate to, such as 1..5 or 1,3; 0 also writes the annotated frames, as a split.
        directions: To frames after the annotated one, before it, or both.
        mode: Pair the labels with the picture that was moved with them, or with the real frame.
        motion: copy, dis, dis:PIXELS, raft-small:FILE, raft-large:FILE, sdc:FILE, or known.
        occlusion: Ignore pixels whose motion does not return to where it came from.
        preview: Write a sheet of pictures for each sequence.
        device: What networks compute on: auto, cpu, cuda, cuda:1 or mps.
    """

    sequences: Annotated[
        Path, tyro.conf.Positional, tyro.conf.arg(metavar="SEQUENCES", help_behavior_hint="(required)")
    ]
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="DIR")] = Path("propagated")
    labels: Annotated[Path | None, tyro.conf.arg(metavar="ROOT", help_behavior_hint="")] = None
    space: Annotated[str | None, tyro.conf.arg(metavar="SPACE", help_behavior_hint="")] = None
    split: str = "train"
    every: Annotated[int, tyro.conf.arg(metavar="N")] = 1
    frames: str = "1..5"
    directions: Literal["both", "forward", "backward"] = "both"
    mode: Literal["joint", "label-only"] = "joint"
    motion: str = "dis"
    occlusion: Literal["off", "check"] = "off"
    preview: Flag = False
    device: str = "auto"
    terminal: Talk = field(default_factory=Terminal)

    def run(self) -> int:
        """Propagate everything; 1 when some annotated frames could not be started from."""
        from roadseg.data.sequences import find_sequences
        from roadseg.inference import choose_device
        from roadseg.inference.pipeline import Shard
        from roadseg.labeling.motion import open_motion
        from roadseg.labeling.propagated_set import PropagatedSet, written_space
        from roadseg.labeling.propagation import Way

        offsets = self._offsets()
        shard = Shard.from_environment()
        clips = find_sequences(self.sequences, self.labels, split=self.split, space=self.space)
        _check_annotated(clips, self.sequences)
        if self.out.resolve() in (self.sequences.resolve(), clips.source.root.resolve()):
            raise OutputError(
                "is where the frames are", where=self.out, remedy="choose another folder with -o"
            )
        terminal = self.terminal if shard.rank == 0 else dataclasses.replace(self.terminal, quiet=True)
        motion = open_motion(self.motion, choose_device(shard.device(self.device)))
        ids = written_space(clips.source)
        way = Way(motion, self.mode, self.occlusion == "check", ids.stored_id(ids.ignore))
        started = time.monotonic()
        try:
            if shard.rank == 0:
                PropagatedSet.prepare(self.out)
            shard.gather(None)  # nobody writes while leftovers are removed
            with PropagatedSet(self.out, clips.source, way, rank=shard.rank, size=shard.size) as pairs:
                work = _Work(self, clips, offsets, pairs, way, shard)
                work.propagate(terminal)
            done = shard.gather(work.done)
        except KeyboardInterrupt as stop:
            stop.add_note("the same command goes on where it was")
            raise
        finally:
            shard.leave()
        total = _Done()
        for one in done:
            total.add(one)
        if shard.rank == 0:
            total.refuse_nothing(self.sequences)
            self._tell(total, pairs, motion.name, time.monotonic() - started, shard.size)
        return 1 if total.failed else 0

    def _offsets(self) -> tuple[int, ...]:
        """Return the signed offsets, in the order they are made."""
        if self.every < 1:
            raise InputError(f"--every is {self.every}", remedy="give 1 or more")
        distances = parse_frames(self.frames)
        ahead = distances if self.directions != "backward" else tuple(n for n in distances if n == 0)
        behind = tuple(-n for n in distances if n) if self.directions != "forward" else ()
        return (*ahead, *behind)

    def _tell(
        self, total: "_Done", pairs: "PropagatedSet", motion: str, seconds: float, processes: int
    ) -> None:
        from roadseg.labeling.propagated_set import offset_name

        terminal = self.terminal
        provenance = pairs.finish()
        for failure in total.failed:
            terminal.warn(failure["error"])
        splits: dict[str, int] = {}
        for pair in sorted(provenance, key=lambda pair: int(pair["offset"])):
            name = offset_name(int(pair["offset"]))
            splits[name] = splits.get(name, 0) + 1
        ignored = sum(pair["ignored"] for pair in provenance) / len(provenance)
        terminal.emit(
            {
                "out": str(self.out),
                "data": str(self.out / "data.yaml"),
                "motion": motion,
                "mode": self.mode,
                "written": total.written,
                "kept": total.kept,
                "beyond_ends": total.beyond,
                "splits": splits,
                "ignored": round(ignored, 6),
                "failed": total.failed,
                "previews": total.previews,
                "processes": processes,
                "seconds": round(seconds, 3),
            }
        )
        facts = [f"{total.written} pairs written in {duration(seconds)}"]
        facts += [f"{total.kept} were there already"] if total.kept else []
        facts += [f"{total.beyond} would lie beyond the ends of sequences"] if total.beyond else []
        facts += [f"{len(total.failed)} annotated frames failed"] if total.failed else []
        joined = "+".join(splits)
        terminal.say(
            ", ".join(facts),
            f"  on average {percent(ignored)} % of the pixels are ignored; splits: {', '.join(splits)}",
            f"  train with:  roadseg train ... --data.parts {self.out / 'data.yaml'}@{joined}@",
        )


@dataclass
class _Done:
    """What came out of some annotated frames.

    Attributes:
        written: Pairs written now.
        kept: Pairs that were there already.
        beyond: Wanted neighbors that lie beyond the ends of their sequence.
        failed: Annotated frames that could not be started from, with the sentence that says why.
        previews: Sheets of pictures.
    """

    written: int = 0
    kept: int = 0
    beyond: int = 0
    failed: list[dict[str, str]] = field(default_factory=list)
    previews: list[str] = field(default_factory=list)

    def add(self, other: "_Done") -> None:
        self.written += other.written
        self.kept += other.kept
        self.beyond += other.beyond
        self.failed += other.failed
        self.previews += other.previews

    def refuse_nothing(self, where: Path) -> None:
        """Raise an error that says why, if there is nothing at all."""
        if self.written or self.kept:
            return
        if not self.failed:
            raise DataError(
                "has no frame at the wanted distances from annotated ones",
                where=where,
                remedy="ask for nearer --frames, for both --directions, or for a smaller --every",
            )
        more = len(self.failed) - 1
        others = f" (and {more} more annotated frames failed)" if more else ""
        raise DataError(f"{self.failed[0]['error']}{others}")


class _Work:
    """This process's share of the sequences.

    Args:
        command: The flags.
        clips: All sequences.
        offsets: The wanted neighbors.
        pairs: Where they are written.
        way: How they are made.
        shard: Which share is this process's.
    """

    def __init__(
        self,
        command: Propagate,
        clips: "Clips",
        offsets: tuple[int, ...],
        pairs: "PropagatedSet",
        way: "Way",
        shard: "Shard",
    ) -> None:
        self.command = command
        self.clips = clips
        self.offsets = offsets
        self.pairs = pairs
        self.way = way
        self.starts = shard.of(
            [
                (sequence, number)
                for sequence in clips.sequences
                for number in sequence.annotated[command.every // 2 :: command.every]
            ]
        )
        self.done = _Done()

    def propagate(self, terminal: Terminal) -> None:
        """Make what is missing, and note what cannot be made."""
        total = len(self.starts) * len(self.offsets)
        with terminal.progress("propagating", total) as report:
            for sequence, number in self.starts:
                try:
                    self._one(sequence, number, report)
                except ONE_FILE as error:
                    sentence = explain(error)[0]
                    self.done.failed.append(
                        {"sequence": sequence.name, "frame": str(number), "error": sentence}
                    )
                report.update(self._passed(), total)

    def _passed(self) -> int:
        done = self.done
        return done.written + done.kept + done.beyond + len(done.failed) * len(self.offsets)

    def _one(self, sequence: "Sequence", number: int, report: Report) -> None:
        """Make the missing pairs of one annotated frame."""
        from roadseg.labeling.propagation import propagate, reachable

        there = reachable(sequence, number, self.offsets, self.way)
        missing = self.pairs.missing(sequence, number, there)
        self.done.kept += len(there) - len(missing)
        self.done.beyond += len(self.offsets) - len(there)
        sheet = self._sheet(sequence, number)

        def written() -> "Iterator[Propagated]":
            wanted = there if sheet else missing
            for made in propagate(sequence, number, wanted, self.way, read_label=self._read):
                if made.offset in missing:
                    self.pairs.write(sequence, number, made)
                    self.done.written += 1
                    report.update(self._passed())
                yield made

        if sheet:
            self._draw(sheet, sequence, number, (made for made in written() if made.offset))
        else:
            deque(written(), maxlen=0)  # nobody looks at them

    def _read(self, label: Path) -> "NDArray[Any]":
        from roadseg.labeling.propagated_set import read_truth

        return read_truth(self.clips.source, label)

    def _sheet(self, sequence: "Sequence", number: int) -> Path | None:
        """Return the preview that is to be drawn from this frame: one for each sequence, from its first start."""
        path = self.command.out / "preview" / f"{sequence.name}.png"
        wanted = (
            self.command.preview
            and number == sequence.annotated[self.command.every // 2]
            and not path.is_file()
        )
        return path if wanted else None

    def _draw(self, path: Path, sequence: "Sequence", number: int, neighbors: "Iterable[Propagated]") -> None:
        from roadseg.labeling.strips import strip
        from roadseg.labels import label_map
        from roadseg.media import read_image, write_image

        source, checked = self.clips.source, self.way.check
        shown = source.label_map if self.pairs.keeps_stored else label_map(source.target, source.target)
        frame = read_image(sequence.frames[sequence.numbers.index(number)])
        label = self._read(sequence.labels[number])
        write_image(path, strip(frame, label, neighbors, shown, checked=checked))
        self.done.previews.append(str(path))


def parse_frames(text: str) -> tuple[int, ...]:
    """Return the distances that a text such as ``1..5`` or ``1,3..5`` names, rising.

    Raises:
        InputError: The text is something else.
    """
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:\.\.(\d+))?\s*", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not 0 <= first <= last <= _MOST_FRAMES:
            raise InputError(
                f"--frames is {text!r}", remedy=f"give distances up to {_MOST_FRAMES}, such as 1..5 or 1,3"
            )
        found.update(range(first, last + 1))
    return tuple(sorted(found))


def _check_annotated(clips: "Clips", where: Path) -> None:
    if any(sequence.annotated for sequence in clips.sequences):
        return
    count = sum(len(sequence.frames) for sequence in clips.sequences)
    raise DataError(
        f"has labels for none of its {count} frames",
        where=where,
        remedy="name the folder of the label files with --labels; they are matched by the names of the frames",
    )
