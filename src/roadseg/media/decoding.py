"""Opening files that may be anything: bounded before a pixel is decoded, every failure one clear sentence.

Pillow's own bound (``Image.MAX_IMAGE_PIXELS``) is a global of the process and warns where we accept, so files are
identified without it.
"""

import struct
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from PIL import Image, ImageFile

from roadseg.errors import ImageError

__all__ = ["FORMATS", "load_pixels", "mode_error", "open_picture", "read_orientation", "stored_size"]

# Only formats that hold pixels: Pillow also opens EPS, for which it starts Ghostscript. MPO comes out of JPEG.
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")

# Offset and bytes (in lower case) that betray what a file is instead of a picture.
_FOREIGN = (
    (0, b"version https://git-lfs", "is a Git LFS pointer, not the picture itself", "run 'git lfs pull'"),
    (0, b"<!doctype html", "is a web page, not a picture", "download the picture itself"),
    (0, b"<html", "is a web page, not a picture", "download the picture itself"),
    (0, b"%pdf", "is a PDF document, not a picture", "export its pages as PNG"),
    (4, b"ftyphei", "is a HEIC picture, which cannot be read", "convert it to JPEG or PNG"),
    (4, b"ftypmif1", "is a HEIC picture, which cannot be read", "convert it to JPEG or PNG"),
)

# What Pillow's decoders raise on files that are cut short or made up; its warnings too, where filters make them errors.
_DECODE_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    Warning,
    struct.error,
    zlib.error,
)
_BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)

_ORIENTATION = 0x0112  # EXIF tag
_WIDTH, _HEIGHT = 256, 257  # TIFF tags

_USUAL_LIMIT = Image.MAX_IMAGE_PIXELS or sys.maxsize
_RAISING_LIMIT = threading.Lock()

_MODE_MEANINGS = {"F": "floating-point numbers", "I": "32-bit integers", "LAB": "L*a*b* colors"}


@contextmanager
def open_picture(path: Path, max_pixels: int) -> Iterator[ImageFile.ImageFile]:
    """Open a file as a picture whose pixels are not decoded yet; closed when the block ends.

    Args:
        path: The file.
        max_pixels: Larger pictures are refused.

    Yields:
        Pillow's picture, its first frame.

    Raises:
        ImageError: The file is missing, unreadable, empty, no picture, damaged in its header or too large.
    """
    with _open_file(path) as stream:
        with _failures_of(path, "is not a picture, or its header is damaged"):
            try:
                picture = _identify(stream)
            except (
                _BOMB
            ):  # a decoder that checks by itself; it tells the size once Pillow's bound is out of the way
                with _pillow_limit(sys.maxsize):
                    picture = _identify(stream)
        if picture is None:
            raise _foreign_error(stream, path)
        width, height = stored_size(picture)
        if width < 1 or height < 1:
            raise ImageError("has no pixels", where=path, remedy="copy or download it again")
        if width * height > max_pixels:
            raise ImageError(
                f"is {width} x {height} pixels, above the limit of {max_pixels / 2**20:.4g} megapixels",
                where=path,
                remedy="make it smaller or cut it up; raise max_pixels if you trust the file",
            )
        yield picture


def load_pixels(picture: ImageFile.ImageFile, path: Path) -> None:
    """Decode the pixels.

    Raises:
        ImageError: They are damaged or cut short, or do not fit into memory.
    """
    width, height = stored_size(picture)
    with (
        _failures_of(path, "is truncated or damaged, its pixels cannot be decoded"),
        _pillow_limit(width * height),
    ):
        picture.load()


def read_orientation(picture: ImageFile.ImageFile) -> int:
    """Return the EXIF orientation, 1..8; 1 (upright) where there is none or it makes no sense."""
    try:
        # Not picture.getexif(): that of PNG decodes all pixels in search of EXIF data behind them.
        value = Image.Image.getexif(picture).get(_ORIENTATION, 1)
    except _DECODE_ERRORS:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def stored_size(picture: ImageFile.ImageFile) -> tuple[int, int]:
    """Return width and height before the EXIF orientation is applied."""
    # Some releases of Pillow swap the size of a turned TIFF when they open it, others when they load it.
    tags = getattr(picture, "tag_v2", None) if picture.format == "TIFF" else None
    if tags is not None and _WIDTH in tags and _HEIGHT in tags:
        return int(tags[_WIDTH]), int(tags[_HEIGHT])
    return picture.size


def mode_error(mode: str, path: Path) -> ImageError:
    """Return the error that refuses a picture for the kind of numbers it holds (Pillow's name of it)."""
    meaning = _MODE_MEANINGS.get(mode, f"pixels of kind {mode}")
    return ImageError(f"holds {meaning}", where=path, remedy="convert it to 8 or 16 bits per channel")


def _open_file(path: Path) -> IO[bytes]:
    try:
        if path.is_dir():
            raise ImageError("is a folder, not a picture", where=path, remedy="give a file in it")
        if path.exists() and not path.is_file():  # opening a pipe would wait forever
            raise ImageError("is not a regular file", where=path, remedy="save the picture to a file first")
        stream = path.open("rb")
    except FileNotFoundError as error:
        raise ImageError("does not exist", where=path, remedy="check the path") from error
    except PermissionError as error:
        raise ImageError(
            "cannot be opened: permission denied", where=path, remedy="change its permissions"
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageError(f"cannot be opened: {reason}", where=path, remedy="check the path") from error
    return stream


def _identify(stream: IO[bytes]) -> ImageFile.ImageFile | None:
    """Read the header with the decoder that accepts the first bytes; None when none does."""
    stream.seek(0)
    head = stream.read(16)
    for register in (Image.preinit, Image.init):  # the common decoders, then all
        register()
        for name in FORMATS:
            opener, accepts = Image.OPEN.get(name, (None, None))
            accepted = accepts(head) if accepts is not None and len(head) > 1 else False
            if opener is not None and accepted and not isinstance(accepted, str):  # a text says why not
                stream.seek(0)
                return opener(stream, "")
    return None


def _foreign_error(stream: IO[bytes], path: Path) -> ImageError:
    stream.seek(0)
    head = stream.read(64)
    if not head:
        return ImageError("is empty (0 bytes)", where=path, remedy="copy or download it again")
    folded = head.removeprefix(b"\xef\xbb\xbf").lower()
    for offset, magic, what, remedy in _FOREIGN:
        if folded[offset:].startswith(magic):
            return ImageError(what, where=path, remedy=remedy)
    return ImageError(
        "is not a picture that can be read", where=path, remedy=f"give one of {', '.join(FORMATS)}"
    )


@contextmanager
def _failures_of(path: Path, what: str) -> Iterator[None]:
    """Turn whatever a decoder raises into one sentence."""
    try:
        yield
    except MemoryError as error:
        raise ImageError(
            "does not fit into memory", where=path, remedy="make it smaller or cut it up"
        ) from error
    except _BOMB as error:
        raise ImageError(
            "is too large once unpacked", where=path, remedy="make it smaller or cut it up"
        ) from error
    except _DECODE_ERRORS as error:
        raise ImageError(what, where=path, remedy="copy or download it again") from error


@contextmanager
def _pillow_limit(pixels: int) -> Iterator[None]:
    """Let Pillow decode this many pixels.

    Some of its decoders check its global bound while they load. It is raised for pictures that need it only, by one
    thread at a time, and put back.
    """
    if pixels <= _USUAL_LIMIT <= (Image.MAX_IMAGE_PIXELS or sys.maxsize):
        yield
        return
    with _RAISING_LIMIT:
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = max(pixels, before or 0)
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before
