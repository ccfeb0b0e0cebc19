"""What a run tells while it runs."""

from collections.abc import Mapping
from typing import Any, Protocol

__all__ = ["Reporter", "Silent"]


class Reporter(Protocol):
    """Hears of a run's progress, for example to draw a progress bar."""

    def prepared(self, note: str) -> None:
        """Something worth knowing, in a sentence: what was loaded, what was changed for this machine."""

    def scanning(self, done: int, count: int) -> None:
        """A label file is read, to find the places of classes."""

    def started(self, step: int, steps: int) -> None:
        """The run starts (or resumes) at a step."""

    def stepped(self, step: int, loss: float, lr: float) -> None:
        """A step is done."""

    def validated(self, epoch: int, scores: Mapping[str, Any], best: bool) -> None:
        """The validation set was scored; ``scores`` as from ``Scores.to_json``.

        With several data sets, ``miou`` is the mean of theirs, and ``vals`` are their scores by name.
        """

    def validating(self, done: int, count: int) -> None:
        """An image of the validation set is done."""


class Silent:
    """A reporter that says nothing."""

    def prepared(self, note: str) -> None:
        """Say nothing."""

    def scanning(self, done: int, count: int) -> None:
        """Say nothing."""

    def started(self, step: int, steps: int) -> None:
        """Say nothing."""

    def stepped(self, step: int, loss: float, lr: float) -> None:
        """Say nothing."""

    def validated(self, epoch: int, scores: Mapping[str, Any], best: bool) -> None:
        """Say nothing."""

    def validating(self, done: int, count: int) -> None:
        """Say nothing."""
