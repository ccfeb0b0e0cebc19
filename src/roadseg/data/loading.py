"""Batches for training: loaded by processes of their own, with word of where the time goes.

The processes start by a fork or from a fresh interpreter, whichever is safe (`roadseg.data.workers`); what they load
does not depend on it, nor on their number. What they report is what they would have raised: an error of the data keeps
its sentence, and one that was killed becomes one.
"""

import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from roadseg.data.dataset import Draw
from roadseg.data.stages import StageTimes, Stopwatch
from roadseg.data.workers import choose_context, choose_prefetch, default_workers, prepare_worker
from roadseg.errors import RoadsegError

__all__ = ["Loader", "training_loader"]

T = TypeVar("T")
S = TypeVar("S", bound=tuple[Any, ...])  # a NamedTuple of tensors and texts, such as a Sample
S_co = TypeVar("S_co", bound=tuple[Any, ...], covariant=True)


class Loadable(Protocol[S_co]):
    """A data set whose samples tell how long they took."""

    def load(self, item: Draw, watch: Stopwatch) -> S_co:
        """Return a sample, and count the time of its stages."""
        ...


def training_loader(
    dataset: Loadable[S],
    sampler: Iterable[list[Draw]],
    *,
    workers: int = -1,
    device: torch.device | str = "cpu",
    processes: int = 1,
    start: str | None = None,
) -> "Loader[S]":
    """Return a loader of batches on the device.

    Args:
        dataset: A `RoadDataset`, a `MixedDataset`, or another whose samples are named tuples.
        sampler: Yields the draws of each batch.
        workers: Processes that load; 0 loads in this one, below 0 chooses by the machine.
        device: Where the batches go; images, ``[B, C, H, W]``, are in channels-last memory format there.
        processes: Training processes on this machine, which share its processors and its shared memory.
        start: ``fork``, ``forkserver`` or ``spawn``; None chooses, see `roadseg.data.workers.choose_context`.

    Raises:
        RecipeError: There is too little shared memory for so many processes.
        RoadsegError: The first sample cannot be read.
    """
    workers = default_workers(processes) if workers < 0 else workers
    prefetch = None
    if workers and (draws := next(iter(sampler), None)):
        sample = dataset.load(draws[0], Stopwatch())
        batch_bytes = sum(each.nbytes for each in _tensors(sample)) * len(draws)
        prefetch = choose_prefetch(workers, batch_bytes, processes)
    batches = DataLoader(
        _Batches(dataset),
        sampler=sampler,
        batch_size=None,  # the data set makes whole batches
        collate_fn=_as_it_is,
        num_workers=workers,
        prefetch_factor=prefetch,
        worker_init_fn=prepare_worker,
        multiprocessing_context=choose_context(start) if workers else None,
        pin_memory=torch.device(device).type == "cuda",
    )
    return Loader(batches, torch.device(device), workers)


class Loader(Generic[S]):
    """Yields batches, images ``[B, C, H, W]`` on the device, and measures what happens.

    Used as a context, too: torch notices the death of a process at any time, not only while it is waited for, and
    within the context it becomes an error of one sentence. One iteration is meant to be the whole run: its processes
    start with it and live as long.

    Attributes:
        workers: Processes that load.
        times: The stages since `take_times` was last called.
    """

    def __init__(
        self, batches: "DataLoader[_Batch[S] | RoadsegError]", device: torch.device, workers: int
    ) -> None:
        self.batches = batches
        self.device = device
        self.workers = workers
        self.times = StageTimes()
        self._given: float | None = None  # when the last batch was handed out

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[S]:
        batches = iter(self.batches)
        while True:
            self._count_compute()
            watch = Stopwatch()
            with self:
                try:
                    batch = next(batches, None)
                except (ConnectionError, EOFError) as error:
                    if str(error).startswith("Caught "):  # raised by the data set, in a process that lives
                        raise
                    raise _killed(
                        "probably because memory ran out"
                    ) from error  # it died handing a batch over
            if batch is None:
                return
            if isinstance(batch, RoadsegError):
                raise batch
            watch.lap("waiting")
            sample = self._to_device(batch.sample)
            watch.lap("transfer")
            self.times.batches += 1
            self.times.add(batch.seconds)
            self.times.add(watch.seconds)
            self._given = time.perf_counter()
            yield sample

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if (explained := _explain_death(error)) is not None:
            raise explained from error

    def take_times(self) -> StageTimes:
        """Return the times of the stretch that ends here; the next one begins with the next batch."""
        self._count_compute()
        taken, self.times = self.times, StageTimes()
        return taken

    def _count_compute(self) -> None:
        """Count the time since the last batch was handed out."""
        if self._given is not None:
            self.times.add({"compute": time.perf_counter() - self._given})
            self._given = None

    def _to_device(self, sample: S) -> S:
        return type(sample)(*map(self._moved, sample))

    def _moved(self, part: Any) -> Any:  # noqa: ANN401 - a tensor, or what is none
        if not isinstance(part, torch.Tensor):
            return part
        layout = torch.channels_last if part.ndim == 4 else torch.preserve_format
        return part.to(self.device, memory_format=layout, non_blocking=True)


class _Batch(NamedTuple, Generic[S]):
    sample: S
    seconds: dict[str, float]


class _Batches(Dataset["_Batch[S] | RoadsegError"]):
    """Makes a batch of its draws; an error is returned as a value, because torch would keep its text only."""

    def __init__(self, dataset: Loadable[S]) -> None:
        self.dataset = dataset

    def __getitem__(self, draws: list[Draw]) -> "_Batch[S] | RoadsegError":
        watch = Stopwatch()
        try:
            samples = [self.dataset.load(draw, watch) for draw in draws]
        except RoadsegError as error:
            return error
        batch = default_collate(samples)
        watch.lap("collate")
        return _Batch(batch, watch.seconds)


def _tensors(sample: tuple[Any, ...]) -> list[torch.Tensor]:
    return [part for part in sample if isinstance(part, torch.Tensor)]


def _as_it_is(batch: T) -> T:
    return batch


def _explain_death(error: BaseException | None) -> RoadsegError | None:
    """Return what to say when an error of torch means that a loader process died; None for other errors."""
    text = str(error)
    if not isinstance(error, RuntimeError) or not text.startswith("DataLoader worker (pid"):
        return None
    bus_error = "Bus error" in text
    return _killed(
        "by a bus error: shared memory ran out" if bus_error else "probably because memory ran out"
    )


def _killed(reason: str) -> RoadsegError:
    return RoadsegError(
        f"a loader process was killed, {reason}",
        remedy="use fewer --workers (0 needs none); --resume goes on from the last saved state",
    )
