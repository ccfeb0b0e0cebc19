"""How a run is asked to stop."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["stop_on_signal"]


@contextmanager
def stop_on_signal() -> Iterator[list[bool]]:
    """Turn the first interrupt or termination signal into a flag, so that a step is never left half done."""
    flag = [False]

    def handle(_number: int, _frame: object) -> None:
        flag[0] = True
        signal.signal(signal.SIGINT, before[signal.SIGINT])  # a second Ctrl-C stops at once

    try:
        before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread: the caller's signals are its own affair
        yield flag
        return
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
