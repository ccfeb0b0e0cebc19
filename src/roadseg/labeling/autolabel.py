"""Labels for pictures by networks: what they say, how sure they are, and a data set of what can be trusted.

Networks label an unlabeled or coarsely labeled split (Tao et al., "Hierarchical Multi-Scale Attention for Semantic
Segmentation", 2020, section 4.4): their hard labels, where they are sure, train better than coarse drawings.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from roadseg.data import Record, Source
from roadseg.data.autolabels import PROBABILITY
from roadseg.data.thresholds import Thresholds
from roadseg.errors import ONE_FILE, DataError, LabelError, OutputError
from roadseg.inference import Predictor
from roadseg.inference.memory import is_out_of_memory
from roadseg.inference.pipeline import Passed, Shard, Stage, pipeline, stage_workers
from roadseg.labeling.agreement import Opinion, Teachers
from roadseg.labeling.calibration import check_sizes
from roadseg.labeling.label_folder import LabelFolder
from roadseg.labeling.tally import Tally, tally
from roadseg.labeling.trust import Trust, confident
from roadseg.labels import LabelMap, LabelSpace, label_map
from roadseg.media import FoundImage, Prediction, read_image, write_image, write_json, write_mask
from roadseg.media.manifest import Identity, Manifest, fingerprint, remove_leftovers, tidy

__all__ = ["TITLE", "Outcome", "autolabel", "label_settings", "list_pictures", "picture_source"]

TITLE = "Confidence from which on labels are trusted, by class; inf trusts none."
"""What a file of thresholds begins with, unless something else is said."""


@dataclass(frozen=True)
class Outcome:
    """What was done.

    Attributes:
        out: The folder.
        done: Keys of the pictures that were labeled.
        skipped: Keys of those that were finished before.
        failed: Files that could not be labeled, with the reason.
        tally: What became of the pixels of all finished pictures.
    """

    out: Path
    done: tuple[str, ...]
    skipped: tuple[str, ...]
    failed: tuple[tuple[str, Exception], ...]
    tally: Tally

    @property
    def data(self) -> Path:
        """The data set file: what `roadseg.data.open_source` and ``roadseg train --data`` take."""
        return LabelFolder(self.out).data


def picture_source(found: Sequence[FoundImage], space: LabelSpace) -> Source:
    """Return pictures without labels as a data set with one split, ``train``.

    Args:
        found: The pictures.
        space: The label space that they are to be labeled in.
    """
    records = [Record(image.path, None, image.key) for image in found]
    return Source(
        name="pictures",
        root=Path(),
        label_map=label_map(space, space),
        splits=("train",),
        list_split=lambda _split: list(records),
        looks_for="pictures",
        license="as their owner says",
    )


def label_settings(
    teachers: Teachers, source: Source, trust: Trust, merge: Sequence[str] = ()
) -> dict[str, Any]:
    """Return all that labels depend on beside the pictures and the thresholds, as JSON."""
    return {
        **teachers.settings(),
        "space": f"{teachers.space.name} ({teachers.space.fingerprint})",
        "stored": source.stored.fingerprint,
        "label_mapping": source.label_map.table,
        **trust.settings(),
        "merge": list(merge),
    }


def autolabel(
    teachers: Teachers | Predictor | Sequence[Predictor],
    source: Source,
    split: str,
    out: str | Path,
    *,
    thresholds: Thresholds | float | str | Path = 0.5,
    trust: Trust | None = None,
    merge: Sequence[str] = (),
    notes: Mapping[str, str] | None = None,
    title: str = TITLE,
    shard: Shard | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Outcome:
    """Label a split and write what `roadseg.labeling.label_folder` lists; what is finished is not done again.

    >>> calibrated = calibrate(teachers, camvid, "val").calibrated(0.95)   # doctest: +SKIP
    >>> autolabel(teachers, camvid, "rest", "pseudo", thresholds=calibrated.thresholds)   # doctest: +SKIP

    Args:
        teachers: The networks; predictors are brought to the label space of the data set.
        source: The data set; `picture_source` makes one of mere pictures.
        split: Its split; it need not have labels. Where it has, they are what the statistics compare with.
        out: Folder to fill.
        thresholds: Confidence from which on labels are trusted, see `Thresholds.of`.
        trust: Further rules.
        merge: Classes that masks also get where the stored label says so, whatever the network says there.
        notes: Remarks on the thresholds of classes, for their file.
        title: Where the thresholds come from, likewise.
        shard: This process's share.
        progress: Called with (pictures done, pictures of this process).

    Raises:
        DataError: There is no such split, or it has no stored labels to merge from.
        LabelError: No map leads from the networks' label space to that of the data set, or a class does not exist.
        OutputError: The folder holds labels of other settings, or cannot be written.
    """
    members = teachers if isinstance(teachers, Teachers) else Teachers.of(teachers, source.target)
    plan = _Plan(
        teachers=members,
        source=source,
        records=list_pictures(source, split),
        thresholds=Thresholds.of(thresholds, source.target),
        trust=trust or Trust(),
        merge=tuple(merge),
        shard=shard or Shard(),
    )
    plan.check(split)
    folder = LabelFolder(Path(out))
    settings = {**label_settings(members, source, plan.trust, merge), "thresholds": _plain(plan.thresholds)}
    folder.check(settings)
    if plan.shard.rank == 0:
        _prepare(folder, settings)
        plan.thresholds.write(folder.thresholds, title, notes)
    plan.shard.gather(None)  # nobody writes while leftovers are removed
    own = _label(plan, folder, fingerprint(settings), progress)
    outcome = _joined(plan, folder, own)
    if plan.shard.rank == 0:
        _finish(plan, folder, outcome)
    plan.shard.gather(None)  # the data set is there for all
    return outcome


def list_pictures(source: Source, split: str) -> list[Record]:
    """Return the pictures of a split, with their labels where there are files.

    Raises:
        DataError: There is no such split, it is empty, or results of two pictures would have one name.
    """
    if split not in source.splits:
        raise DataError(
            f"has no split {split!r}", where=source.root, remedy=f"it has {', '.join(source.splits)}"
        )
    records = source.list_split(split)
    if not records:
        raise DataError(f"split {split!r} has no pictures", where=source.root)
    keys = {record.key.casefold() for record in records}
    if len(keys) < len(records) or any(f"{key}{PROBABILITY}" in keys for key in keys):
        raise DataError(
            f"two pictures of split {split!r} have names that differ in nothing but case or {PROBABILITY!r}",
            where=source.root,
            remedy="rename one of them",
        )
    return [
        record if record.label is None or record.label.is_file() else record._replace(label=None)
        for record in records
    ]


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What is labeled, by whom, and what of it is used."""

    teachers: Teachers
    source: Source
    records: list[Record]
    thresholds: Thresholds
    trust: Trust
    merge: tuple[str, ...]
    shard: Shard
    merged_ids: tuple[int, ...] = field(init=False)
    stored_ids: NDArray[Any] = field(init=False)

    def __post_init__(self) -> None:
        target = self.source.target
        ids = tuple(target.stored_id(target.ids[target.index(name)]) for name in self.merge)
        object.__setattr__(self, "merged_ids", ids)
        object.__setattr__(self, "stored_ids", _stored_ids(self.source.label_map))

    def check(self, split: str) -> None:
        """Refuse what does not fit together."""
        if self.teachers.space != self.source.target:
            raise LabelError(
                f"the networks give labels of {self.teachers.space.name}, the data set has {self.source.target.name}",
                where=self.source.root,
                remedy="bring them to one: Teachers.of(predictors, source.target)",
            )
        if self.thresholds.space != self.source.target:
            raise LabelError(
                f"the thresholds are those of {self.thresholds.space.name}, the data set has {self.source.target.name}",
                where=self.source.root,
                remedy="calibrate in the label space of the data set",
            )
        unlabeled = sum(record.label is None for record in self.records)
        if self.merge and unlabeled:
            raise DataError(
                f"{unlabeled} of the {len(self.records)} pictures of split {split!r} have no stored label that classes"
                " could be merged from",
                where=self.source.root,
                remedy="add the stored labels, or merge no classes",
            )


class _Work(NamedTuple):
    """A picture on its way through the stages."""

    record: Record
    inputs: tuple[Identity, ...]
    pixels: NDArray[np.uint8]
    truth: NDArray[Any] | None
    opinion: Opinion | None = None


@dataclass
class _Share:
    """What one process did."""

    done: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: list[tuple[str, Exception]] = field(default_factory=list)
    facts: dict[str, Mapping[str, Any]] = field(default_factory=dict)


def _label(
    plan: _Plan, folder: LabelFolder, settings: str, progress: Callable[[int, int], None] | None
) -> _Share:
    """Label this process's share of the pictures."""
    shard, share = plan.shard, _Share()
    mine: list[Record] = shard.of(plan.records)
    with Manifest(folder.root, settings, rank=shard.rank, size=shard.size) as manifest:
        todo = []
        for record in mine:
            entry = manifest.finished(record.key, _inputs(record))
            if entry is None:
                todo.append(record)
            else:
                share.skipped.append(record.key)
                share.facts[record.key] = entry.facts
        job = _Job(plan, folder, manifest)
        workers = min(stage_workers(), len(todo) or 1)
        stages = (
            Stage(job.read, workers=workers, name="read"),
            Stage(job.ask),
            Stage(job.write, workers=workers, name="write"),
        )
        with closing(pipeline(todo, *stages)) as stream:
            for count, passed in enumerate(stream, start=len(share.skipped) + 1):
                _note(passed, share)
                if progress is not None:
                    progress(count, len(mine))
    return share


def _note(passed: Passed, share: _Share) -> None:
    error = passed.error
    if error is None:
        share.done.append(passed.item.key)
        share.facts[passed.item.key] = passed.value
    elif isinstance(error, OutputError) or not (isinstance(error, ONE_FILE) or is_out_of_memory(error)):
        raise error
    else:
        share.failed.append((str(passed.item.image), error))


@dataclass(frozen=True)
class _Job:
    """What is done with one picture, in three stages."""

    plan: _Plan
    folder: LabelFolder
    manifest: Manifest

    def read(self, record: Record) -> _Work:
        # Identities first: a file that changes while it is read is not the one that was finished.
        inputs = tuple(Identity.of(path) for path in _inputs(record))
        truth = None if record.label is None else self.plan.source.read_label(record)
        return _Work(record, inputs, read_image(record.image), truth)

    def ask(self, work: _Work) -> _Work:
        return work._replace(opinion=self.plan.teachers(work.pixels))

    def write(self, work: _Work) -> Mapping[str, Any]:
        plan, record, opinion, truth = self.plan, work.record, work.opinion, work.truth
        if opinion is None:
            raise AssertionError("a picture was written before it was labeled")
        target = plan.source.target
        kept = plan.trust.places(opinion) & confident(opinion, plan.thresholds)
        ids = opinion.channels.astype(target.dtype)
        mask = np.where(kept, ids, target.dtype.type(target.stored_id(target.ignore)))
        merged = None
        if truth is not None:
            check_sizes(record, opinion, truth)
        if truth is not None and plan.merge:
            merged = np.isin(truth, plan.merged_ids)
            mask = np.where(merged, truth, mask).astype(target.dtype)
        self.manifest.begin(record.key)
        files = self.folder.files(record.key)
        write_mask(files["labels"], plan.stored_ids[opinion.channels])
        write_image(files["confidence"], opinion.confidence)
        Prediction(mask, target).save(files["masks"], color=target.dtype == np.uint8)
        facts = tally(target, opinion, kept, truth, merged).to_facts()
        return self.manifest.finish(record.key, work.inputs, files, facts).facts


def _joined(plan: _Plan, folder: LabelFolder, own: _Share) -> Outcome:
    """Join what the processes did, in the order of the pictures."""
    shares = plan.shard.gather(own)
    facts = {key: one for share in shares for key, one in share.facts.items()}
    order = {record.key: position for position, record in enumerate(plan.records)}
    return Outcome(
        out=folder.root,
        done=tuple(sorted((key for share in shares for key in share.done), key=order.__getitem__)),
        skipped=tuple(sorted((key for share in shares for key in share.skipped), key=order.__getitem__)),
        failed=tuple(failure for share in shares for failure in share.failed),
        tally=Tally.of(plan.source.target, facts.values()),
    )


def _finish(plan: _Plan, folder: LabelFolder, outcome: Outcome) -> None:
    """Write what is about all pictures."""
    tidy(folder.root)
    finished = {*outcome.done, *outcome.skipped}
    licenses = dict.fromkeys(predictor.card.license for predictor in plan.teachers.predictors)
    text = f"pictures: {plan.source.license}; labels made by networks: {'; '.join(licenses)}"
    pictures = [(record.image, record.key) for record in plan.records if record.key in finished]
    if pictures:
        folder.write_data(pictures, plan.source.target, text)
    write_json(folder.statistics, {**outcome.tally.to_json(), "thresholds": _plain(plan.thresholds)})


def _prepare(folder: LabelFolder, settings: Mapping[str, Any]) -> None:
    """Make the folder, without what a killed run left half-written, and note what its labels are made by."""
    try:
        folder.root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"the folder cannot be made ({error.strerror})", where=folder.root, remedy="choose another one"
        ) from error
    remove_leftovers(folder.root, ("labels", "masks"))
    folder.write_settings(settings)


def _inputs(record: Record) -> list[Path]:
    return [record.image] if record.label is None else [record.image, record.label]


def _plain(thresholds: Thresholds) -> dict[str, float | str]:
    """Return thresholds as JSON, which has no infinity."""
    return {
        name: str(value) if value == float("inf") else value for name, value in thresholds.by_name.items()
    }


def _stored_ids(to_train: LabelMap) -> NDArray[Any]:
    """Return the id that label files have for each channel of the trained space, ``[C]``.

    Of several stored classes that are trained as one, the first; where there is none, the ignored id.
    """
    stored, target = to_train.source, to_train.target
    table = np.full(target.num_classes, stored.stored_id(stored.ignore), dtype=stored.dtype)
    for channel, row in enumerate(to_train.matrix):
        if row.any():
            table[channel] = stored.stored_id(stored.ids[int(row.argmax())])
    return table
