"""Every error that roadseg raises on purpose.

The tree::

    RoadsegError                 the user can act on it: one sentence, no traceback on the command line
    ├── InputError               a file or folder given to roadseg is missing, unreadable or of the wrong kind
    │   ├── ImageError           an image or mask file cannot be decoded, or is refused
    │   └── DataError            a data set on disk is incomplete or contradicts itself
    ├── LabelError               a label id, class name or label space does not fit
    ├── WeightsError             a checkpoint cannot be read, or is of another model
    ├── RecipeError              a recipe or one of its values is not usable
    ├── RunError                 a training run cannot go on: its loss is no number, or one of its processes died
    └── OutputError              a result cannot be written

Each carries what is wrong, where, and the remedy; ``str(error)`` joins them to one sentence.
"""

from pathlib import Path

__all__ = [
    "ONE_FILE",
    "DataError",
    "ImageError",
    "InputError",
    "LabelError",
    "OutputError",
    "RecipeError",
    "RoadsegError",
    "RunError",
    "WeightsError",
]


class RoadsegError(Exception):
    """Something the user can put right.

    Args:
        what: What is wrong, a clause without a final full stop.
        where: The file, folder, key or argument it is about.
        remedy: What to do about it.
    """

    def __init__(self, what: str, *, where: str | Path | None = None, remedy: str | None = None) -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.remedy = remedy
        super().__init__(what, where, remedy)

    def __str__(self) -> str:
        text = self.what if self.where is None else f"{self.where}: {self.what}"
        return text if self.remedy is None else f"{text}; {self.remedy}"

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive the default pickling, and errors cross process borders in loaders.
        return (_rebuild, (type(self), self.what, self.where, self.remedy))


def _rebuild(kind: type[RoadsegError], what: str, where: str | None, remedy: str | None) -> RoadsegError:
    return kind(what, where=where, remedy=remedy)


class InputError(RoadsegError):
    """A file or folder given to roadseg is missing, unreadable or of the wrong kind."""


class ImageError(InputError):
    """An image or mask file cannot be decoded, or is refused."""


class DataError(InputError):
    """A data set on disk is incomplete or contradicts itself."""


class LabelError(RoadsegError):
    """A label id, class name or label space does not fit."""


class WeightsError(RoadsegError):
    """A checkpoint cannot be read, or belongs to another model."""


class RecipeError(RoadsegError):
    """A recipe, or one of its values, is not usable."""


class RunError(RoadsegError):
    """A training run cannot go on: its loss is no number, or one of its processes died."""


class OutputError(RoadsegError):
    """A result cannot be written."""


ONE_FILE = (InputError, LabelError, MemoryError)
"""What may be wrong with one file of many and right with the next, so that the others are gone on with."""
