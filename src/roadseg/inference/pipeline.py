"""Stages that overlap: while one image is in the network, the next is being read and the last written.

`pipeline` is a chain of generators. Each stage pulls items from the one before; a stage with threads keeps a bounded
number of them in work, a stage without runs in the caller's thread, which is the place for the network: it wants the
processor or the GPU for itself, and Ctrl-C arrives there. Pulling at the end of the chain drives all of it, so there
are no queues to fill up and no threads to tell to stop: at most ``workers + ahead`` items per stage are alive.

Threads suffice, because what they wait for or compute (files, zlib, JPEG, NumPy, torch) runs without Python's lock.

An error of one item travels to the end in place of its result. The caller decides there whether to go on.
"""

import os
from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from roadseg.errors import InputError

__all__ = ["Passed", "Shard", "Stage", "pipeline", "stage_workers"]

_FEWEST_WORKERS, _MOST_WORKERS = 2, 8


@dataclass(frozen=True)
class Stage:
    """One step of a pipeline.

    Attributes:
        run: From what the stage before made to what this one makes. With ``batch``, from a list to a list of as many.
        workers: Threads; 0 runs in the thread that iterates over the pipeline.
        ahead: How many items may be in this stage beyond those that its threads work on.
        batch: How many consecutive items are run together at most; None hands them over one by one.
        alike: For stages with ``batch``: only items for which it gives the same are run together.
        name: Of its threads, for debuggers.
    """

    run: Callable[[Any], Any]
    workers: int = 0
    ahead: int = 1
    batch: int | None = None
    alike: Callable[[Any], Hashable] | None = None
    name: str = "stage"

    def __post_init__(self) -> None:
        """Refuse what could not run."""
        if self.workers < 0 or self.ahead < 0 or (self.batch is not None and self.batch < 1):
            raise ValueError(
                f"a stage cannot have {self.workers} workers, {self.ahead} ahead, batch {self.batch}"
            )
        if self.workers and self.batch is not None:
            raise ValueError("a stage that runs batches runs in the caller's thread: workers=0")


@dataclass(frozen=True)
class Passed:
    """An item at the end of the pipeline.

    Attributes:
        item: What went in.
        value: What the last stage made of it; None if there was an error.
        error: What some stage raised; the later ones did not see the item.
    """

    item: Any
    value: Any = None
    error: Exception | None = None


def pipeline(items: Iterable[Any], *stages: Stage) -> Generator[Passed, None, None]:
    """Send items through stages that overlap; the order stays.

    Close the iterator, or let an exception pass through it, to stop early: what threads have begun is ended, so that
    no file stays half-written, and nothing else is begun.

    Args:
        items: What the first stage gets, pulled when there is room. What raises here ends the pipeline.
        *stages: From the first to the last.

    Yields:
        Every item with its result or its error.
    """
    stream: Generator[Passed, None, None] = (Passed(item, item) for item in items)
    for stage in stages:
        if stage.workers:
            stream = _in_threads(stream, stage)
        elif stage.batch is not None:
            stream = _in_batches(stream, stage)
        else:
            stream = _here(stream, stage)
    return stream


def _here(stream: Generator[Passed, None, None], stage: Stage) -> Generator[Passed, None, None]:
    with closing(stream):
        for passed in stream:
            yield _apply(stage, passed)


def _in_threads(stream: Generator[Passed, None, None], stage: Stage) -> Generator[Passed, None, None]:
    pending: deque[Future[Passed]] = deque()
    with closing(stream), ThreadPoolExecutor(stage.workers, thread_name_prefix=stage.name) as pool:
        try:
            for passed in stream:
                pending.append(pool.submit(_apply, stage, passed))
                while len(pending) >= stage.workers + stage.ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _in_batches(stream: Generator[Passed, None, None], stage: Stage) -> Generator[Passed, None, None]:
    group: list[Passed] = []
    with closing(stream):
        for passed in stream:
            if group and not _belongs(passed, group[0], stage):
                yield from _apply_batch(stage, group)
                group = []
            group.append(passed)
            if len(group) == stage.batch or passed.error is not None:
                yield from _apply_batch(stage, group)
                group = []
        yield from _apply_batch(stage, group)


def _belongs(passed: Passed, first: Passed, stage: Stage) -> bool:
    if passed.error is not None or stage.alike is None:
        return True
    return stage.alike(passed.value) == stage.alike(first.value)


def _apply(stage: Stage, passed: Passed) -> Passed:
    if passed.error is not None:
        return passed
    try:
        return replace(passed, value=stage.run(passed.value))
    except Exception as error:  # noqa: BLE001 - it travels to the end, where the caller decides
        return replace(passed, value=None, error=error)


def _apply_batch(stage: Stage, group: list[Passed]) -> Iterator[Passed]:
    """Run items together; if that fails, one by one, so that only the guilty fail."""
    good = [passed for passed in group if passed.error is None]
    try:
        values = iter(stage.run([passed.value for passed in good]) if good else [])
        done = [
            passed if passed.error is not None else replace(passed, value=next(values)) for passed in group
        ]
    except Exception as error:  # noqa: BLE001 - as in _apply
        if len(good) == 1:
            done = [p if p.error is not None else replace(p, value=None, error=error) for p in group]
        else:
            done = [one for passed in group for one in _apply_batch(stage, [passed])]
    yield from done


def stage_workers() -> int:
    """Return how many threads a reading or writing stage gains from on this machine."""
    neighbors = max(1, _number("LOCAL_WORLD_SIZE", 1))
    return min(max((os.cpu_count() or 1) // neighbors, _FEWEST_WORKERS), _MOST_WORKERS)


@dataclass(frozen=True)
class Shard:
    """This process's share of the work among those that ``torchrun`` started.

    Attributes:
        rank: Number of this process, from 0.
        size: How many there are.
        local_rank: Number of this process on its machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @classmethod
    def from_environment(cls) -> "Shard":
        """Return the share that ``RANK``, ``WORLD_SIZE`` and ``LOCAL_RANK`` name; all of the work without them.

        Raises:
            InputError: They are no numbers, or do not fit together.
        """
        size, rank = _number("WORLD_SIZE", 1), _number("RANK", 0)
        if not 0 <= rank < size:
            raise InputError(
                f"RANK is {rank} and WORLD_SIZE is {size}", remedy="start with torchrun, or unset both"
            )
        return cls(rank, size, _number("LOCAL_RANK", rank))

    def of(self, items: Sequence[Any]) -> list[Any]:
        """Return every ``size``-th item: the shares of all processes have each item once."""
        return list(items[self.rank :: self.size])

    def device(self, name: str) -> str:
        """Return the device of this process: with several, each takes its own GPU unless one is named."""
        if self.size == 1 or name not in ("auto", "cuda"):
            return name
        import torch

        return f"cuda:{self.local_rank}" if torch.cuda.is_available() else name

    def gather(self, value: Any) -> list[Any]:  # noqa: ANN401 - whatever can be pickled
        """Return the values of all processes, by rank; waits for the slowest.

        torchrun stops the others when one process ends with an error, so all of them have to meet before.
        """
        if self.size == 1:
            return [value]
        import torch.distributed as dist

        self._join()
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def leave(self) -> None:
        """Part from the other processes."""
        import torch.distributed as dist

        if self.size > 1 and dist.is_initialized():
            dist.destroy_process_group()

    def _join(self) -> None:
        from datetime import timedelta

        import torch.distributed as dist

        if not dist.is_initialized():
            # gloo, because only a few words are exchanged; a week, because a share may take long.
            dist.init_process_group("gloo", timeout=timedelta(days=7))


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    if not text:
        return default
    try:
        return int(text)
    except ValueError as error:
        raise InputError(
            f"{name} is {text!r}, not a number", remedy="start with torchrun, or unset it"
        ) from error
