"""Counts over the labels of a data set."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from roadseg.data.records import Record
from roadseg.data.source import Source
from roadseg.data.workers import choose_context, most_workers, prepare_worker
from roadseg.errors import DataError

__all__ = ["Progress", "count_pixels", "each_label"]

Progress = Callable[[int, int], None]
"""Hears how many labels are done, and of how many."""

T = TypeVar("T")


def each_label(
    measure: Callable[[NDArray[Any]], T],
    source: Source,
    records: Sequence[Record],
    *,
    workers: int = 0,
    progress: Progress | None = None,
    start: str | None = None,
) -> Iterator[T]:
    """Yield what a function returns for each label, in order.

    Args:
        measure: Gets the ids of a label in the target space, ``[H, W]``; other processes must be able to import it.
        source: The data set.
        records: Its records to read.
        workers: Processes that read; this one does for 0 and 1, and -1 takes as many as there are cores for.
        progress: Hears of every label.
        start: How processes start, as for `choose_context`.

    Raises:
        InputError: A label cannot be read.
        LabelError: A label holds an id that its space does not know.
    """
    task = partial(_measured, measure, source)
    for done, result in enumerate(_mapped(task, records, workers, start), 1):
        if progress is not None:
            progress(done, len(records))
        yield result


def count_pixels(
    source: Source, records: Sequence[Record], *, workers: int = 0, progress: Progress | None = None
) -> NDArray[np.int64]:
    """Return ``[C]`` label pixels per class of the source's target space; ignored pixels are left out.

    Args:
        source: The data set.
        records: Its records to count in.
        workers: Processes that read, as for `each_label`.
        progress: Hears of every label.
    """
    space = source.target
    counts = np.zeros(np.iinfo(space.dtype).max + 1, np.int64)
    for found in each_label(_histogram, source, records, workers=workers, progress=progress):
        counts += np.pad(found, (0, len(counts) - len(found)))
    counts[space.stored_id(space.ignore)] = 0
    return counts[[space.stored_id(label) for label in space.ids]]


def _histogram(ids: NDArray[Any]) -> NDArray[np.int64]:
    return np.bincount(ids.ravel())


def _measured(measure: Callable[[NDArray[Any]], T], source: Source, record: Record) -> T:
    return measure(source.read_label(record))


def _mapped(
    task: Callable[[Record], T], records: Sequence[Record], workers: int, start: str | None
) -> Iterator[T]:
    if workers < 0:
        workers = most_workers()
    if workers < 2:
        yield from map(task, records)
        return
    # Few, large portions: the task, which holds the data set, travels with each of them.
    portion = max(1, min(64, len(records) // (4 * workers)))
    try:
        with ProcessPoolExecutor(workers, choose_context(start), prepare_worker) as pool:
            yield from pool.map(task, records, chunksize=portion)
    except BrokenProcessPool as error:
        raise DataError(
            "a process that read labels was ended from outside",
            remedy="memory may have run out: use fewer workers",
        ) from error
