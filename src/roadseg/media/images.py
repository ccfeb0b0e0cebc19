"""Reading and writing pictures and label masks.

Everything read here is untrusted: sizes are bounded by the header before a pixel is decoded, only raster formats are
tried, and whatever is wrong with a file becomes an :class:`~roadseg.errors.ImageError` of one sentence.
"""

import io
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

from roadseg.errors import ImageError, OutputError
from roadseg.media.decoding import load_pixels, mode_error, open_picture, read_orientation, stored_size
from roadseg.media.writing import atomic_path, write_bytes, write_json, write_text

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "atomic_path",
    "image_size",
    "read_image",
    "read_mask",
    "with_palette",
    "write_bytes",
    "write_image",
    "write_json",
    "write_mask",
    "write_text",
]

MAX_PIXELS = 2**28  # 256 megapixels: admits 16384 x 16384; an RGB array of it takes 768 MiB

IMAGE_SUFFIXES = (
    ".avif",
    ".bmp",
    ".gif",
    ".jp2",
    ".jpeg",
    ".jpg",
    ".pgm",
    ".png",
    ".ppm",
    ".tif",
    ".tiff",
    ".webp",
)

_LOSSY = ("JPEG", "MPO")
_COLOR_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV")

_UPRIGHT: Mapping[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_AS_STORED = {**_UPRIGHT, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}  # their inverses
_SIDEWAYS = (5, 6, 7, 8)  # orientations that swap height and width
_GRAY_LEVELS = (("L;2", 85), ("L;4", 17))  # Pillow stretches gray of 2 and 4 bits to 0..255 by these factors


def read_image(path: str | Path, max_pixels: int = MAX_PIXELS) -> npt.NDArray[np.uint8]:
    """Read a picture as RGB.

    The EXIF orientation is applied, transparency is dropped, 16-bit gray is scaled to 8 bits, and of an animation the
    first frame is taken.

    Args:
        path: The file.
        max_pixels: Larger pictures are refused before they are decoded.

    Returns:
        uint8 ``[H, W, 3]``, the caller's own.

    Raises:
        ImageError: The file is missing, unreadable, no picture, damaged, cut short, too large or of a kind that has no
            8-bit colors (floating point, 32-bit integers).
    """
    where = Path(path)
    with open_picture(where, max_pixels) as picture:
        orientation = read_orientation(picture)
        load_pixels(picture, where)
        if picture.mode.startswith("I"):
            rgb = _to_gray8(picture, where)
        elif picture.mode in _COLOR_MODES:
            picture.info.pop("transparency", None)  # Pillow would warn that it is lost
            rgb = _as_rgb(picture)
        else:
            raise mode_error(picture.mode, where)
        if orientation in _UPRIGHT and picture.format != "TIFF":  # Pillow turns TIFF while loading
            rgb = rgb.transpose(_UPRIGHT[orientation])
        return np.array(_as_rgb(rgb))


def read_mask(path: str | Path, max_pixels: int = MAX_PIXELS) -> npt.NDArray[Any]:
    """Read a label mask as it is stored: nothing is scaled, turned or interpolated.

    Args:
        path: The file. A palette file gives its indices, not its colors; a 1-bit file gives 0 and 1; gray of 2 or 4
            bits gives the stored numbers; -1 of a signed file becomes 65535. Transparency is dropped and an EXIF
            orientation is ignored.
        max_pixels: Larger masks are refused before they are decoded.

    Returns:
        Ids, uint8 ``[H, W]``, or uint16 ``[H, W]`` for files of more than 8 bits; uint8 ``[H, W, 3]`` for color
        files.

    Raises:
        ImageError: As for :func:`read_image`; also numbers that 16 bits do not hold, and files whose ids would be
            changed: JPEG, colors or transparency of 16 bits, PGM and PPM that are not of full range.
    """
    where = Path(path)
    with open_picture(where, max_pixels) as picture:
        if picture.format in _LOSSY:
            raise ImageError(
                "is a JPEG, whose compression changes label ids",
                where=where,
                remedy="store label masks as PNG",
            )
        _refuse_scaled(picture, where)
        orientation, divisor = read_orientation(picture), _gray_divisor(picture)
        load_pixels(picture, where)
        upright = picture.format == "TIFF" and orientation in _AS_STORED
        stored = picture.transpose(_AS_STORED[orientation]) if upright else picture
        pixels = np.array(stored)
        match stored.mode:
            case "1" | "L" | "P":
                return pixels.astype(np.uint8) // np.uint8(divisor)
            case "LA" | "PA":
                return np.ascontiguousarray(pixels[..., 0])
            case "RGB" | "RGBA" | "RGBX":
                return np.ascontiguousarray(pixels[..., :3])
            case mode if mode.startswith("I"):
                return _to_ids16(pixels, where)
            case _:
                raise mode_error(picture.mode, where)


def image_size(path: str | Path, *, oriented: bool = True) -> tuple[int, int]:
    """Return height and width from the header alone.

    Args:
        path: The file.
        oriented: Whether the EXIF orientation counts, as in :func:`read_image`; False for masks.

    Raises:
        ImageError: The file is missing, unreadable or no picture.
    """
    with open_picture(Path(path), sys.maxsize) as picture:
        width, height = stored_size(picture)
        swap = oriented and read_orientation(picture) in _SIDEWAYS
        return (width, height) if swap else (height, width)


def write_image(path: str | Path, rgb: npt.NDArray[np.uint8], quality: int = 92) -> None:
    """Write a picture atomically, as PNG or JPEG by the suffix.

    Args:
        path: A name that ends in ``.png``, ``.jpg`` or ``.jpeg``.
        rgb: uint8 ``[H, W, 3]``, or ``[H, W]`` for gray.
        quality: Of JPEG, 1..95. Colors are kept at full resolution (4:4:4): class borders would bleed otherwise.

    Raises:
        OutputError: The suffix is another, the array is no picture, or the file cannot be written.
    """
    array = np.asarray(rgb)
    is_picture = array.dtype == np.uint8 and (array.ndim == 2 or array.shape[2:] == (3,)) and array.size
    if not is_picture:
        raise _array_error(array, path, "give uint8 [H, W, 3]")
    picture = Image.fromarray(np.ascontiguousarray(array))
    match Path(path).suffix.lower():
        case ".png":
            # Level 3 is about twice as fast as the default 6 and a few percent larger.
            _write_picture(path, picture, "PNG", compress_level=3)
        case ".jpg" | ".jpeg":
            _write_picture(path, picture, "JPEG", quality=quality, subsampling=0)
        case _:
            raise OutputError("has no suffix of a picture", where=path, remedy="name it .png or .jpg")


def write_mask(path: str | Path, ids: npt.NDArray[Any], palette: npt.NDArray[np.uint8] | None = None) -> None:
    """Write label ids atomically as PNG: 8 bits for uint8, 16 bits where ids need them.

    Args:
        path: A name that ends in ``.png``.
        ids: ``[H, W]``, any integer type; uint16 stays 16 bits, other types take what their values need.
        palette: Colors by id, uint8 ``[N, 3]`` with N <= 256. The file is then a palette PNG: viewers show colors,
            :func:`read_mask` gives the ids.

    Raises:
        OutputError: The suffix is another, the array is no mask, an id is negative, above 65535 or (with a palette)
            above 255, or the file cannot be written.
    """
    if Path(path).suffix.lower() != ".png":
        raise OutputError(
            "is no PNG name, and other formats change label ids", where=path, remedy="name it .png"
        )
    stored = _as_stored_ids(np.asarray(ids), path)
    if palette is None:
        picture = Image.fromarray(stored)
    else:
        if stored.max() > 255:
            raise OutputError(
                f"a palette has 256 colors, but the largest id is {stored.max()}",
                where=path,
                remedy="write the ids without a palette",
            )
        picture = with_palette(stored.astype(np.uint8), palette)
    _write_picture(path, picture, "PNG", compress_level=6)


def _as_rgb(picture: Image.Image) -> Image.Image:
    """Return a picture in red, green and blue: itself where it is, of which ``convert`` would make a copy."""
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _to_gray8(picture: ImageFile.ImageFile, path: Path) -> Image.Image:
    """Return gray of 16 bits as 8 bits, the high byte."""
    # Mode "I" has 32 bits. Older Pillow also gives it for 16-bit PNG; of a TIFF nobody knows what value is white.
    if picture.mode == "I" and picture.format == "TIFF":
        raise mode_error(picture.mode, path)
    return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))


def _to_ids16(pixels: npt.NDArray[Any], path: Path) -> npt.NDArray[np.uint16]:
    low, high = int(pixels.min()), int(pixels.max())
    if low < -1 or high > 65535:
        raise ImageError(f"holds label ids {low}..{high}", where=path, remedy="label ids are -1..65535")
    return pixels.astype(np.uint16)


def _refuse_scaled(picture: ImageFile.ImageFile, path: Path) -> None:
    """Refuse a mask whose numbers Pillow will scale, without a way back."""
    is_wide = picture.mode.startswith("I")
    if ";16" in _raw_mode(picture) and not is_wide:
        raise ImageError(
            "holds colors or transparency of 16 bits, of which only the high 8 can be read",
            where=path,
            remedy="store ids as gray PNG, colors with 8 bits per channel",
        )
    full = 65535 if is_wide else 255
    if (highest := _highest_level(picture)) not in (None, full):
        raise ImageError(
            f"has the range 0..{highest}, which would be stretched or squeezed to 0..{full}",
            where=path,
            remedy="store label masks as PNG",
        )


def _raw_mode(picture: ImageFile.ImageFile) -> str:
    """Return Pillow's name of how the pixels are stored; empty where a decoder does not tell."""
    arguments = picture.tile[0][3] if picture.tile else ""
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)


def _highest_level(picture: ImageFile.ImageFile) -> int | None:
    """Return the ``maxval`` of a PGM or PPM file; None where the pixels are taken as they are."""
    if picture.mode == "1" or not picture.tile or not picture.tile[0][0].startswith("ppm"):
        return None
    arguments = picture.tile[0][3]
    return int(arguments[-1]) if isinstance(arguments, tuple) else None


def _gray_divisor(picture: ImageFile.ImageFile) -> int:
    """Return what Pillow will multiply stored gray values by."""
    raw_mode = _raw_mode(picture)
    return next((factor for start, factor in _GRAY_LEVELS if raw_mode.startswith(start)), 1)


def with_palette(ids: npt.NDArray[np.uint8], palette: npt.NDArray[np.uint8]) -> Image.Image:
    """Return a palette picture. The palette is filled up with black: PNG stores short ones in fewer than 8 bits."""
    full = np.zeros((256, 3), dtype=np.uint8)
    full[: len(palette)] = palette
    picture = Image.fromarray(ids)
    picture.putpalette(full.tobytes(), "RGB")
    return picture


def _as_stored_ids(ids: npt.NDArray[Any], path: str | Path) -> npt.NDArray[Any]:
    if ids.ndim != 2 or ids.dtype.kind not in "biu" or not ids.size:
        raise _array_error(ids, path, "give integer ids [H, W]")
    if ids.dtype not in (np.uint8, np.uint16):
        low, high = int(ids.min()), int(ids.max())
        if low < 0 or high > 65535:
            raise OutputError(
                f"holds ids {low}..{high}", where=path, remedy="PNG stores 0..65535: relabel the mask first"
            )
        ids = ids.astype(np.uint8 if high <= 255 else np.uint16)
    return np.ascontiguousarray(ids)


def _write_picture(path: str | Path, picture: Image.Image, kind: str, **options: int) -> None:
    # Encoded in memory first: Pillow, given a file, does not notice when a full disk takes only a part of a block.
    buffer = io.BytesIO()
    try:
        picture.save(buffer, kind, **options)
    except (OSError, ValueError) as error:
        side = max(picture.size)
        raise OutputError(
            f"cannot be encoded as {kind} ({picture.width} x {picture.height} pixels)",
            where=path,
            remedy="write a PNG" if side > 65500 else "check the quality (1..95)",
        ) from error
    write_bytes(path, buffer.getvalue())


def _array_error(array: npt.NDArray[Any], path: str | Path, remedy: str) -> OutputError:
    return OutputError(
        f"cannot be made from an array of type {array.dtype} and shape {list(array.shape)}",
        where=path,
        remedy=remedy,
    )
