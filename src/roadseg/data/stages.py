"""Where the time of a training step goes: into the stages of loading, into waiting for them, or into computing."""

import time
from collections.abc import Callable, Iterable, Mapping

__all__ = ["LOADING", "StageTimes", "Stopwatch"]

LOADING = ("decode", "relabel", "transform", "collate")
"""What a loader does for a batch, in order."""

SLOW = 0.2  # of a step: a loader that is waited for longer is worth a word


class Stopwatch:
    """Sums the seconds of named stages, one lap after the other.

    Args:
        clock: Tells seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.seconds: dict[str, float] = {}
        self._clock = clock
        self._last = clock()

    def lap(self, stage: str) -> None:
        """Count the time since the last lap for a stage."""
        now = self._clock()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now


class StageTimes:
    """The stages of a stretch of training.

    The stages of loading are seconds of the processes that load, which work at the same time; waiting, transfer and
    compute are seconds of the training process and add up to the stretch.

    Attributes:
        seconds: By stage: decode, relabel, transform, collate, waiting, transfer, compute.
        batches: Number of batches.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.batches = 0

    def add(self, seconds: Mapping[str, float]) -> None:
        """Add seconds to stages."""
        for stage, value in seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + value

    @property
    def waiting(self) -> float:
        """The share of the stretch that was spent waiting for the loader, 0..1."""
        return _share(self.seconds, "waiting", ("waiting", "transfer", "compute"))

    def to_json(self) -> dict[str, float]:
        """Return the milliseconds per batch of every stage, and the share of waiting."""
        stages = {
            stage: round(1e3 * value / max(1, self.batches), 3) for stage, value in self.seconds.items()
        }
        return {**stages, "waiting_share": round(self.waiting, 4)}

    def summary(self, *, workers: int, cached: bool) -> str:
        """Say in one sentence whether the loader is the bottleneck and what would help.

        Args:
            workers: Loader processes in use.
            cached: Whether decoded images come from a cache.
        """
        if not self.batches:
            return "nothing was loaded"
        waited = f"{100 * self.waiting:.0f}% of a step is spent waiting"
        if self.waiting < SLOW:
            return f"the loader keeps up: {waited}"
        shares = {stage: _share(self.seconds, stage, LOADING) for stage in LOADING}
        parts = ", ".join(
            f"{stage} {100 * share:.0f}%"
            for stage, share in sorted(shares.items(), key=lambda item: -item[1])
            if share >= 0.05
        )
        remedies = (
            [] if cached or shares["decode"] + shares["relabel"] < 0.3 else ["use `roadseg data cache`"]
        )
        remedies.append("more --workers" if workers else "--workers 2 or more")
        return f"the loader is the bottleneck: {waited}; {parts} - {', or '.join(remedies)}"


def _share(seconds: Mapping[str, float], stage: str, stages: Iterable[str]) -> float:
    total = sum(seconds.get(name, 0.0) for name in stages)
    return seconds.get(stage, 0.0) / total if total > 0 else 0.0
