"""Which pixels of a network's labels are trusted."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadseg.data.thresholds import Thresholds
from roadseg.errors import RecipeError
from roadseg.labeling.agreement import Opinion
from roadseg.metrics.neighborhood import differs_within

__all__ = ["Trust", "confident"]


@dataclass(frozen=True, kw_only=True)
class Trust:
    """Rules that a pixel must meet, all of them, for its label to be used.

    Attributes:
        border: Pixels next to another label that are left out, on either side of the border.
        margin: Pixels along the edges of the picture that are left out.
        window: Rows and columns ``(top, left, bottom, right)``, the last two excluded, outside which nothing is used.
    """

    border: int = 0
    margin: int = 0
    window: tuple[int, int, int, int] | None = None

    def __post_init__(self) -> None:
        """Refuse what leaves out nothing sensible.

        Raises:
            RecipeError: A width is negative, or the window is empty.
        """
        if self.border < 0 or self.margin < 0:
            raise RecipeError(
                f"a border of {self.border} and a margin of {self.margin} pixels", remedy="give 0 or more"
            )
        if self.window is not None:
            top, left, bottom, right = self.window
            if not (0 <= top < bottom and 0 <= left < right):
                raise RecipeError(
                    f"the window {self.window} is empty",
                    remedy="give TOP LEFT BOTTOM RIGHT in pixels, the last two excluded",
                )

    def settings(self) -> dict[str, Any]:
        """Return the rules as JSON."""
        window = None if self.window is None else list(self.window)
        return {"border": self.border, "margin": self.margin, "window": window}

    def places(self, opinion: Opinion) -> NDArray[np.bool_]:
        """Return where labels may be used by their place and by agreement, whatever the confidence; bool ``[H, W]``."""
        found = opinion.agreed.copy()
        if self.border:
            # The function takes 0 for a pixel that is not looked at.
            found &= ~differs_within(opinion.channels.astype(np.uint16) + np.uint16(1), self.border)
        height, width = found.shape
        top, left, bottom, right = self.window or (0, 0, height, width)
        inside = np.zeros_like(found)
        inside[
            max(top, self.margin) : max(0, min(bottom, height - self.margin)),
            max(left, self.margin) : max(0, min(right, width - self.margin)),
        ] = True
        found &= inside
        return found


def confident(opinion: Opinion, thresholds: Thresholds) -> NDArray[np.bool_]:
    """Return where the confidence reaches the threshold of the class; bool ``[H, W]``."""
    found: NDArray[np.bool_] = opinion.confidence >= thresholds.levels[opinion.channels]
    return found
