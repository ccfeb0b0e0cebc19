"""Processes that load: how many, how they start, and the memory they hand batches over in."""

import multiprocessing
import os
import shutil
import signal
import sys
from multiprocessing.context import BaseContext
from pathlib import Path

import torch

from roadseg.errors import RecipeError

__all__ = [
    "choose_context",
    "choose_prefetch",
    "default_workers",
    "most_workers",
    "prepare_worker",
    "shared_memory",
]

MOST_WORKERS = 8
PREFETCH = 2  # batches that every loader process prepares ahead


def default_workers(processes: int = 1) -> int:
    """Return how many loader processes each of some training processes on this machine should have."""
    return min(MOST_WORKERS, max(1, _cores() // processes - 1))


def most_workers() -> int:
    """Return how many processes should do what nothing else waits for."""
    return min(MOST_WORKERS, _cores())


def choose_context(start: str | None = None) -> BaseContext:
    """Return how to start processes.

    A fork starts at once and shares what is loaded, but a copy of a process that uses CUDA may hang. Then, and where there is no fork or it is not to be
    trusted (macOS), processes start from a fresh interpreter.

    Args:
        start: ``fork``, ``forkserver`` or ``spawn``; None chooses.
    """
    if start is None:
        if sys.platform != "linux":
            start = "spawn"
        else:
            start = "forkserver" if torch.cuda.is_initialized() else "fork"  # type: ignore[no-untyped-call]
    context = multiprocessing.get_context(start)
    if start == "forkserver":
        context.set_forkserver_preload(["roadseg.data"])  # imported once, not by every process
    return context


def prepare_worker(_worker: int = 0) -> None:
    """Make the present process a worker: one thread, and Ctrl-C, which a terminal sends to it too, left to others.

    OpenCV's threads are left alone: nothing that loads uses them, and in a fork of a process that had started them, a
    change of their number never returns.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)


def shared_memory() -> int | None:
    """Return the free bytes of shared memory; None on systems that do not bound it so."""
    folder = Path("/dev/shm")  # noqa: S108 - looked at, not written to
    return shutil.disk_usage(folder).free if folder.is_dir() else None


def choose_prefetch(workers: int, batch_bytes: int, processes: int = 1) -> int:
    """Return how many batches each loader process may prepare ahead in the shared memory that is free.

    A process that writes beyond it is killed by the system (a bus error), so this is found out before.

    Args:
        workers: Loader processes of this training process.
        batch_bytes: What a batch takes.
        processes: Training processes on this machine, each with as many.

    Raises:
        RecipeError: Not even one batch of each fits.
    """
    free = shared_memory()
    if free is None:
        return PREFETCH
    free //= processes
    for prefetch in range(PREFETCH, 0, -1):
        # Beside those prepared, one more is in the hands of the training process.
        if (workers * prefetch + 1) * batch_bytes <= free:
            return prefetch
    fitting = max(0, free // batch_bytes - 1)
    each = f" for each of {processes} training processes" if processes > 1 else ""
    raise RecipeError(
        f"{workers} loader processes need {(workers + 1) * batch_bytes / 1e6:.0f} MB of shared memory for batches of"
        f" {batch_bytes / 1e6:.1f} MB, but {free / 1e6:.0f} MB are free in /dev/shm{each}",
        remedy=f"--workers {fitting} fits; in a container, give more: docker run --shm-size 8g (or --ipc host)",
    )


def _cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
