"""The text files that say which images are in a split: one per line, as PASCAL VOC, ScanNet and others ship them.

Lists are untrusted: their size is bounded, and what they name must be a plain name, so that no path leaves the data set.
"""

import re
from pathlib import Path

from roadseg.data.records import Record
from roadseg.errors import DataError

__all__ = ["list_named", "read_lines", "read_names"]

MAX_BYTES = 2**24  # the longest official list, of PASCAL-Context, has 0.1 MB
_NAME = re.compile(r"\w[\w.-]*")  # no separator, no leading dot


def read_lines(file: Path) -> list[str]:
    """Return the lines of a text file that are not empty, without white space around them.

    Raises:
        DataError: It cannot be read, is no text, or is too large to be a list.
    """
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        text = content.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise DataError(
            f"cannot be read ({reason})", where=file, remedy="take the list from the official archive again"
        ) from error
    if len(content) > MAX_BYTES:
        raise DataError(
            f"is larger than {MAX_BYTES >> 20} MiB, which no list of names is",
            where=file,
            remedy="take the list from the official archive again",
        )
    return [stripped for line in text.splitlines() if (stripped := line.strip())]


def read_names(file: Path) -> list[str]:
    """Return the first word of every line.

    Raises:
        DataError: The file cannot be read, or a word is no plain name of a file or folder.
    """
    names = [line.split()[0] for line in read_lines(file)]
    if odd := next((name for name in names if not _NAME.fullmatch(name)), None):
        raise DataError(
            f"names {odd[:80]!r}, which is no plain name",
            where=file,
            remedy="list names without folders and suffixes, one per line",
        )
    return names


def list_named(file: Path, images: Path, labels: Path | None) -> list[Record]:
    """Return the records that a list names: ``images/NAME.jpg`` with ``labels/NAME.png``.

    Raises:
        DataError: The list cannot be read, or an image that it names is missing.
    """
    records = [
        Record(images / f"{name}.jpg", None if labels is None else labels / f"{name}.png", name)
        for name in read_names(file)
    ]
    missing = [record.image for record in records if not record.image.is_file()]
    if missing:
        raise DataError(
            f"names {len(records)} images of which {len(missing)} are missing, for example {missing[0].name}",
            where=file,
            remedy=f"unpack the archive of images, so that there is {missing[0]}",
        )
    return records
