"""The scores behind ``roadseg scoreboard``: every network on every data set at every size, none computed twice."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from roadseg.cli.entry import explain
from roadseg.cli.terminal import Terminal
from roadseg.errors import DataError, InputError, RoadsegError

if TYPE_CHECKING:
    from roadseg.data import Source
    from roadseg.inference import Predictor
    from roadseg.inference.pipeline import Shard
    from roadseg.labels import LabelMap
    from roadseg.metrics import AbsentRule

__all__ = ["DataSet", "Network", "Protocol", "Regime", "Trials", "check_titles", "titled"]

Regime = Literal["zero-shot", "training", "oracle"]
_KEY = 12  # letters of a digest in folder names: enough for any number of scores

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Protocol:
    """What all scores of a table have in common.

    Attributes:
        regime: In which classes is scored, see `roadseg.cli.scoreboard.Scoreboard`.
        scales: Factors of the shorter side's length.
        flip: Whether mirror images are averaged in.
        window: Side of the sliding windows in pixels; 0 for whole images.
        absent: What a class without truth counts as.
    """

    regime: Regime
    scales: tuple[float, ...]
    flip: bool
    window: int
    absent: "AbsentRule"


@dataclass(frozen=True)
class DataSet:
    """A labeled split to score on.

    Attributes:
        title: Heading of its column.
        spec: How it was given on the command line.
        source: The data set.
        split: Its split.
        original: The same images with their labels before relabeling.
    """

    title: str
    spec: str
    source: "Source"
    split: str
    original: "Source | None" = None

    @classmethod
    def open(cls, text: str, originals: Mapping[str, str], splits: Sequence[str]) -> "DataSet":
        """Open ``[TITLE=]SPEC`` with the first of some splits that it has and that is labeled.

        Args:
            text: What the command line says.
            originals: Where the labels before relabeling are, by title.
            splits: The splits.

        Raises:
            DataError: There is no such data set, or it has none of the splits.
        """
        from roadseg.data import open_source

        title, spec = titled(text)
        source = open_source(spec)
        split = next((name for name in splits if _is_labeled(source, name)), None)
        if split is None:
            raise DataError(
                f"has no labeled split named {' or '.join(splits)}",
                where=source.root,
                remedy=f"choose one with --split: {', '.join(source.splits)}",
            )
        title = title or source.name
        original = open_source(originals[title]) if title in originals else None
        return cls(title, spec, source, split, original)

    def digest(self) -> str:
        """Return a digest of what the split consists of: its images and labels by name and size, and their classes."""
        records = [(r.key, r.image.stat().st_size, _size(r.label)) for r in self.source.find(self.split)]
        before = [] if self.original is None else [_size(r.label) for r in self.original.find(self.split)]
        maps = [
            None if source is None else [source.label_map.target.fingerprint, source.label_map.table]
            for source in (self.source, self.original)
        ]
        return _digest_of([self.source.name, self.split, records, before, maps])


@dataclass(frozen=True)
class Network:
    """Weights to score.

    Attributes:
        title: Name of its row.
        weights: Name of bundled weights or a file.
    """

    title: str
    weights: str


@dataclass
class Trials:
    """Scores networks, or finds their scores where they were left by an earlier run.

    Attributes:
        protocol: How.
        folder: Where scores are kept, each as ``NAME/score.json``.
        shard: This process's share of the images.
        device: auto, cpu, cuda, cuda:1 or mps.
        trust_code: Whether weights may name code to run.
        workers: Processes that load images.
        terminal: Hears about the progress.
        failed: What went wrong, in sentences.
        computed: How many scores were computed, rather than found.
    """

    protocol: Protocol
    folder: Path
    shard: "Shard"
    device: str
    trust_code: bool
    workers: int
    terminal: Terminal
    failed: list[str] = field(default_factory=list)
    computed: int = 0

    def attempt(self, what: str, work: "Callable[[], _Result]") -> "_Result | None":
        """Return what some work gives; where it fails in one process, it is reported and counts as failed in all."""
        result, sentence = None, ""
        try:
            result = work()
        except Exception as error:  # whatever it is, the other scores are computed all the same
            if self.terminal.debug and self.shard.size == 1:
                raise
            sentence = explain(error)[0]
        sentences = [text for text in self.shard.gather(sentence) if text]
        if not sentences:
            return result
        self.failed.append(f"{what}: {sentences[0]}")
        return None

    def run(
        self, networks: Sequence[Network], data: Sequence[DataSet], bases: Sequence[int]
    ) -> dict[tuple[str, str, int], dict[str, Any]]:
        """Return the score of every network on every data set at every length, as far as they could be had."""
        found = {}
        digests = {one.title: self.attempt(one.title, one.digest) for one in data}
        done, total = 0, len(networks) * len(data) * len(bases)
        for network in networks:
            opened = self.attempt(network.title, lambda network=network: self._open(network))  # type: ignore[misc]
            for one in data:
                for base in bases:
                    done += 1
                    digest = digests[one.title]
                    if opened is None or digest is None:
                        continue
                    trial = _Trial(self, network, *opened, one, digest, base)
                    score = self.attempt(
                        f"{network.title} on {one.title} at {base} pixels",
                        lambda trial=trial, place=f"{done}/{total}": trial.score(place),  # type: ignore[misc]
                    )
                    if score:
                        found[network.title, one.title, base] = score
        return found

    def _open(self, network: Network) -> "tuple[Predictor, str]":
        from roadseg.cli.loading import open_predictor
        from roadseg.inference import file_sha256, find_weights

        sha256 = file_sha256(find_weights(network.weights))
        device = self.shard.device(self.device)
        return open_predictor(network.weights, device, self.trust_code, self.terminal), sha256


@dataclass(frozen=True)
class _Trial:
    """One network on one data set at one length of the shorter side."""

    trials: Trials
    network: Network
    predictor: "Predictor"
    sha256: str
    data: DataSet
    digest: str
    base: int

    def score(self, place: str) -> dict[str, Any]:
        """Return the score, from its file if there is one; empty where an oracle has nothing to say."""
        prepared = self._prepared()
        if prepared is None:
            return {}
        source, to, excluded = prepared
        fixed = {
            "weights_sha256": self.sha256,
            "data_sha256": self.digest,
            "base": self.base,
            "regime": self.trials.protocol.regime,
        }
        more = [source.target.fingerprint, source.label_map.table, None if to is None else to.table, excluded]
        key = _digest_of([fixed, vars(self.trials.protocol), more])
        title = "-".join([self.network.title, self.data.title, self.data.split, str(self.base), key[:_KEY]])
        path = self.trials.folder / "".join(s if s.isalnum() or s in "-_." else "_" for s in title)
        path /= "score.json"
        # Processes that share a disk may see a new file at different times: the first one decides.
        kept = self.trials.shard.gather(_read(path, key))[0]
        if kept is not None:
            return dict(kept)
        return self._compute(source, to, excluded, {"key": key, **fixed}, path, place)

    def _prepared(self) -> "tuple[Source, LabelMap | None, tuple[str, ...]] | None":
        """Return the data set in the classes to score in, the map to sum by, and the classes to leave out of means."""
        from roadseg.labels import label_map

        source, own = self.data.source, self.predictor.card.space
        match self.trials.protocol.regime:
            case "zero-shot":
                return source, label_map(own, source.target), ()
            case "oracle":
                return (source, None, ()) if own.names == source.target.names else None
        source = source.to(own)
        before = source if self.data.original is None else self.data.original.to(own)
        return source, None, before.unreachable

    def _compute(
        self,
        source: "Source",
        to: "LabelMap | None",
        excluded: tuple[str, ...],
        fixed: dict[str, Any],
        path: Path,
        place: str,
    ) -> dict[str, Any]:
        from roadseg.inference import examine, protocol_of
        from roadseg.inference.quality import mseg_protocol
        from roadseg.media import write_json
        from roadseg.metrics import Scores

        trials, data, predictor = self.trials, self.data, self.predictor
        protocol, shard = trials.protocol, trials.shard
        predictor.strategy = mseg_protocol(
            self.base, protocol.scales, window=protocol.window, flip=protocol.flip, to=to
        )
        label = f"{place} {self.network.title} on {data.title} at {self.base} pixels"
        original = None if data.original is None else data.original.to(source.target)

        def count() -> Any:  # noqa: ANN401 - Findings, whose module is imported late
            with trials.terminal.progress(label, len(shard.of(source.find(data.split)))) as report:
                return examine(
                    predictor,
                    source,
                    data.split,
                    original=original,
                    rank=shard.rank,
                    world=shard.size,
                    workers=trials.workers,
                    progress=report.update,
                )

        total = _together(count, shard)
        stated = protocol_of(
            predictor,
            source,
            data.split,
            total.confusion,
            absent=protocol.absent,
            excluded=excluded,
            relabeled=original is not None,
        )
        score = {
            **fixed,
            "weights": self.network.weights,
            "data": data.spec,
            **Scores.from_confusion(total.confusion, stated, instances=total.instances).to_json(),
            "per_image": total.table(stated),
            "confusion": total.confusion.to_json(),
            "device": str(predictor.device),
        }
        trials.computed += 1
        if shard.rank == 0:
            write_json(path, score)
        return score


def _together(work: Callable[[], Any], shard: "Shard") -> Any:  # noqa: ANN401 - what can be added up
    """Return the sum of what all processes find; all have to hear that one has failed before any may stop."""
    found, sentence = None, ""
    try:
        found = work()
    except Exception as error:
        if shard.size == 1:
            raise
        sentence = explain(error)[0]
    shares = shard.gather((found, sentence))
    if sentences := [text for _, text in shares if text]:
        raise RoadsegError(sentences[0])
    first, *others = (share for share, _ in shares)
    return sum(others, start=first)


def titled(text: str) -> tuple[str, str]:
    """Split ``TITLE=SPEC``; the title is empty where there is none."""
    title, sign, spec = text.partition("=")
    return (title, spec) if sign and title and not Path(text).exists() else ("", text)


def _digest_of(content: object) -> str:
    """Return a digest of plain values."""
    text = json.dumps(content, sort_keys=True, default=list)
    return hashlib.sha256(text.encode()).hexdigest()


def _is_labeled(source: "Source", split: str) -> bool:
    parts = split.split("+")
    return all(part in source.splits for part in parts) and source.find(split)[0].label is not None


def _size(path: Path | None) -> int | None:
    return None if path is None else path.stat().st_size


def _read(path: Path, key: str) -> dict[str, Any] | None:
    """Return a score of an earlier run; None where there is none, or what there is cannot be read."""
    try:
        score = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(score, dict) or score.get("key") != key or "miou" not in score:
        return None
    return score


def check_titles(titles: Sequence[str], what: str) -> None:
    """Refuse rows or columns of the same name.

    Raises:
        InputError: Two have the same.
    """
    if twice := sorted({title for title in titles if titles.count(title) > 1}):
        raise InputError(
            f"two {what} are called {twice[0]}", remedy="tell them apart by names of your own: NAME=..."
        )
