"""How much care a command takes over an image: the flags that ``predict`` and ``evaluate`` share."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from roadseg.cli.terminal import Flag
from roadseg.errors import RecipeError

if TYPE_CHECKING:
    from torch import nn

    from roadseg.inference.strategies import Strategy
    from roadseg.labels import LabelMap

__all__ = ["Care", "Quality"]


@dataclass(frozen=True, kw_only=True)
class Quality:
    """How the network is run over an image.

    Attributes:
        quality: fast: the image once; balanced: also mirrored; best: several scales (by the network's own attention where
            it learned one).
        scales: Scales of the image whose scores are averaged, for example 0.5,1,2.
        flip: Average with the mirrored image.
        window: Side of square sliding windows in pixels.
        max_memory: What the network may take at a time, for example 4GB; images that need more are cut into windows.
    """

    quality: Literal["fast", "balanced", "best"] = "fast"
    scales: Annotated[str | None, tyro.conf.arg(metavar="A,B,...", help_behavior_hint="")] = None
    flip: Flag = False
    window: Annotated[int | None, tyro.conf.arg(metavar="PX", help_behavior_hint="")] = None
    max_memory: Annotated[str | None, tyro.conf.arg(metavar="SIZE", help_behavior_hint="")] = None

    def strategy(self, model: "nn.Module", *, to: "LabelMap | None" = None) -> "Strategy":
        """Return how the network is to be run.

        Args:
            model: The network (``predictor.model``).
            to: Sum probabilities into the classes of another label space while they are averaged.

        Raises:
            RecipeError: A flag has no usable value.
        """
        from roadseg.inference.memory import parse_memory
        from roadseg.inference.quality import choose

        return choose(
            self.quality,
            model,
            scales=_numbers(self.scales),
            flip=self.flip,
            window=self.window,
            max_memory=None if self.max_memory is None else parse_memory(self.max_memory),
            to=to,
        )

    def describe(self, model: "nn.Module", size: tuple[int, int] = (1024, 2048)) -> str:
        """Return what was chosen and what it costs for an image of a height and width, for people."""
        from roadseg.inference.quality import cost

        strategy = self.strategy(model)
        passes, work = cost(strategy, size)
        much = "one pass" if passes == 1 else f"{passes} passes"
        return f"{self.quality}: {strategy.describe()}; {much}, {work:.3g}x the multiply-adds of one"


Care = Annotated[Quality, tyro.conf.arg(name="")]
"""The type of a command's field for its `Quality`: ``care: Care = field(default_factory=Quality)``."""


def _numbers(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise RecipeError(
            f"{text!r} are no scales", where="--scales", remedy="for example 0.5,1,2"
        ) from error
