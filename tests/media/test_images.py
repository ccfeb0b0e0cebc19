"""Reading and writing pictures and masks."""

import errno
import io
import os
import struct
import subprocess
import sys
import threading
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from roadseg.errors import ImageError, InputError, OutputError
from roadseg.media.images import (
    MAX_PIXELS,
    image_size,
    read_image,
    read_mask,
    write_image,
    write_mask,
)

ORIENTATION = 0x0112
HEIGHT, WIDTH = 3, 5


def ramp() -> np.ndarray:
    """A picture whose pixels all differ."""
    return (np.arange(HEIGHT * WIDTH * 3, dtype=np.uint8) * 5).reshape(HEIGHT, WIDTH, 3)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, color_type: int, rows: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(side: int = 96) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8))


# --- refused ---------------------------------------------------------------------------------------------------------

READERS = [read_image, read_mask, image_size]


def refused(path: Path, *words: str, reader=read_image, **options: object) -> None:
    with pytest.raises(ImageError) as caught:
        reader(path, **options)
    sentence = str(caught.value)
    assert str(path) in sentence
    assert caught.value.remedy
    assert "\n" not in sentence
    for word in words:
        assert word in sentence


@pytest.mark.parametrize("reader", READERS)
def test_missing_file(tmp_path, reader):
    refused(tmp_path / "gone.png", "does not exist", "check the path", reader=reader)
    assert issubclass(ImageError, InputError)


@pytest.mark.parametrize("reader", READERS)
def test_folder(tmp_path, reader):
    refused(tmp_path, "folder", reader=reader)


@pytest.mark.parametrize("reader", READERS)
def test_empty_file(tmp_path, reader):
    path = tmp_path / "empty.png"
    path.touch()
    refused(path, "is empty (0 bytes)", "again", reader=reader)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"just some words, no picture", ["is not a picture", "PNG"]),
        (b"P", ["is not a picture"]),
        (b"\x89PNG\r\n\x1a\n", ["header is damaged"]),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", ["Git LFS", "git lfs pull"]),
        (b"\n<html><body>404</body></html>".lstrip(), ["web page"]),
        (b"<!DOCTYPE html><html>", ["web page"]),
        (b"%PDF-1.7\n", ["PDF"]),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", ["HEIC", "convert"]),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", ["is not a picture"]),
    ],
)
def test_what_is_no_picture(tmp_path, content, words):
    path = tmp_path / "x.png"
    path.write_bytes(content)
    refused(path, *words)


@pytest.mark.parametrize(
    ("kind", "suffix"), [("PNG", ".png"), ("JPEG", ".jpg"), ("WEBP", ".webp"), ("BMP", ".bmp")]
)
@pytest.mark.parametrize("part", [0.5, 0.9])
def test_truncated_files_give_no_pixels(tmp_path, kind, suffix, part):
    data = encoded(noise(), kind)
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(data[: int(len(data) * part)])
    refused(path, "again")


def test_truncated_sentence_names_what_happened(tmp_path):
    data = encoded(noise(), "JPEG")
    path = tmp_path / "cut.jpg"
    path.write_bytes(data[: len(data) // 2])
    refused(path, "truncated or damaged", "copy or download it again")


def test_permission_denied(tmp_path, monkeypatch):
    path = tmp_path / "x.png"
    path.write_bytes(encoded(noise(4), "PNG"))

    def deny(*_args: object, **_kwargs: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", deny)
    refused(path, "permission denied", "permissions")


def test_name_with_a_zero_byte():
    with pytest.raises(ImageError, match="null byte"):
        read_image("a\0b.png")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    path = tmp_path / "pipe.png"
    os.mkfifo(path)
    refused(path, "not a regular file")


@pytest.mark.parametrize("reader", [read_image, read_mask])
def test_a_bomb_is_refused_by_its_header(tmp_path, reader):
    path = tmp_path / "bomb.png"
    path.write_bytes(png(40000, 40000, 8, 2, b""))  # 1.6 gigapixels claimed, no pixels there
    refused(path, "40000 x 40000", "256 megapixels", reader=reader)
    assert image_size(path) == (40000, 40000)


def test_the_bound_is_the_callers(tmp_path):
    path = tmp_path / "x.png"
    write_image(path, ramp())
    assert read_image(path, max_pixels=HEIGHT * WIDTH).shape == (HEIGHT, WIDTH, 3)
    refused(path, "5 x 3", max_pixels=HEIGHT * WIDTH - 1)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "GIF"])
def test_pictures_beyond_pillows_own_bound(tmp_path, monkeypatch, kind):
    # Stands for a 16K panorama, 134 megapixels, at which Pillow warns; from 179 on it refuses.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    path = tmp_path / f"panorama.{kind.lower()}"
    path.write_bytes(encoded(noise(64).convert("L"), kind))
    assert read_image(path).shape == (64, 64, 3)
    assert image_size(path) == (64, 64)
    assert Image.MAX_IMAGE_PIXELS == 100
    assert MAX_PIXELS >= 16384 * 16384


def test_pillows_bound_survives_threads(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    path = tmp_path / "x.tif"
    path.write_bytes(encoded(noise(64), "TIFF"))
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(20):
                read_image(path)
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert Image.MAX_IMAGE_PIXELS == 100


def test_numbers_without_colors_are_refused(tmp_path):
    floats, integers = tmp_path / "float.tif", tmp_path / "int.tif"
    Image.fromarray(np.ones((2, 2), np.float32)).save(floats)
    Image.fromarray(np.ones((2, 2), np.int32)).save(integers)
    for reader in (read_image, read_mask):
        refused(floats, "floating-point", "8 or 16 bits", reader=reader)
    refused(integers, "32-bit integers")


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "BMP", "PPM", "WEBP"]),
    cuts=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6),
    length=st.floats(0, 1),
)
@pytest.mark.filterwarnings("ignore")
def test_damaged_files_never_leak_foreign_errors(tmp_path, kind, cuts, length):
    data = bytearray(encoded(noise(12), kind))
    for place, value in cuts:
        data[int(place * (len(data) - 1))] = value
    path = tmp_path / "damaged"
    path.write_bytes(data[: max(1, int(length * len(data)))])
    for reader in READERS:
        with suppress(ImageError):  # nothing else may come out
            result = reader(path)
            assert reader is image_size or result.dtype in (np.uint8, np.uint16)


# --- pictures --------------------------------------------------------------------------------------------------------


def test_a_picture_of_one_pixel(tmp_path):
    path = tmp_path / "one.png"
    write_image(path, np.array([[[1, 2, 3]]], np.uint8))
    assert read_image(path).tolist() == [[[1, 2, 3]]]
    assert image_size(path) == (1, 1)


def test_png_round_trip_gives_an_own_array(tmp_path):
    path = tmp_path / "x.png"
    write_image(path, ramp())
    back = read_image(path)
    np.testing.assert_array_equal(back, ramp())
    assert back.flags.writeable
    assert back.flags.c_contiguous


def test_kinds_of_pictures(tmp_path):
    gray = np.array([[0, 100, 255]], np.uint8)
    path = tmp_path / "x.png"
    as_rgb = np.repeat(gray[..., None], 3, axis=2)

    Image.fromarray(gray).save(path)
    np.testing.assert_array_equal(read_image(path), as_rgb)

    Image.fromarray(np.stack([gray, gray // 2], axis=2)).save(path)  # LA
    np.testing.assert_array_equal(read_image(path), as_rgb)

    rgba = np.dstack([ramp(), np.zeros((HEIGHT, WIDTH), np.uint8)])
    Image.fromarray(rgba).save(path)
    np.testing.assert_array_equal(read_image(path), ramp())  # fully transparent, colors kept

    Image.fromarray(np.array([[True, False]])).save(path)
    np.testing.assert_array_equal(read_image(path)[0, :, 0], [255, 0])


def test_sixteen_bit_gray_is_scaled(tmp_path):
    path = tmp_path / "x.png"
    Image.fromarray(np.array([[0, 255, 256, 40000, 65535]], np.uint16)).save(path)
    np.testing.assert_array_equal(read_image(path)[0, :, 1], [0, 0, 1, 156, 255])


@pytest.mark.parametrize("transparency", [0, b"\x00\x80"])
def test_palette_with_transparency_keeps_its_colors(tmp_path, transparency):
    path = tmp_path / "x.png"
    picture = Image.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 40, 50, 60])
    picture.putdata([0, 1])
    picture.save(path, transparency=transparency)
    assert read_image(path).tolist() == [[[10, 20, 30], [40, 50, 60]]]
    assert read_mask(path).tolist() == [[0, 1]]


def test_cmyk_jpeg(tmp_path):
    path = tmp_path / "x.jpg"
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(path, quality=95)
    red, green, blue = read_image(path)[4, 4].tolist()
    assert red > 245
    assert max(green, blue) < 10


def test_first_frame_of_an_animation(tmp_path):
    path = tmp_path / "x.gif"
    frames = [Image.new("RGB", (4, 2), color) for color in ("red", "blue")]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert read_image(path)[0, 0].tolist() == [255, 0, 0]


# By the EXIF standard: where row 0 and column 0 of the stored pixels belong in the upright picture.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: a.swapaxes(0, 1)[::-1],
}


def save_with_orientation(path: Path, picture: Image.Image, orientation: int) -> None:
    if path.suffix == ".tif":
        picture.save(path, tiffinfo={ORIENTATION: orientation}, compression=path.stem)
    else:
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        picture.save(path, exif=exif, **({"lossless": True} if path.suffix == ".webp" else {}))


@pytest.mark.parametrize("name", ["x.png", "x.webp", "raw.tif", "tiff_lzw.tif"])
@pytest.mark.parametrize("orientation", list(UPRIGHT))
def test_orientation_turns_pictures_but_not_masks(tmp_path, name, orientation):
    path = tmp_path / name
    save_with_orientation(path, Image.fromarray(ramp()), orientation)
    upright = UPRIGHT[orientation](ramp())
    np.testing.assert_array_equal(read_image(path), upright)
    assert image_size(path) == upright.shape[:2]
    np.testing.assert_array_equal(read_mask(path), ramp())
    assert image_size(path, oriented=False) == (HEIGHT, WIDTH)


def test_orientation_of_a_jpeg(tmp_path):
    path = tmp_path / "x.jpg"
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    Image.new("RGB", (16, 8)).save(path, exif=exif)
    assert read_image(path).shape == (16, 8, 3)
    assert image_size(path) == (16, 8)


def test_nonsense_orientation_is_ignored(tmp_path):
    path = tmp_path / "x.png"
    save_with_orientation(path, Image.fromarray(ramp()), 77)
    np.testing.assert_array_equal(read_image(path), ramp())


def test_reads_a_photograph(shared):
    path = next((shared / "data" / "road_images").glob("*.jpg"))
    rgb = read_image(path)
    assert rgb.shape[:2] == image_size(path)
    assert rgb.std() > 20


# --- masks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_mask_round_trip(tmp_path, dtype):
    path = tmp_path / "m.png"
    ids = np.array([[0, 1, 18], [33, 255, np.iinfo(dtype).max]], dtype)
    write_mask(path, ids)
    back = read_mask(path)
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, ids)


@pytest.mark.parametrize(
    ("high", "dtype"), [(1, np.uint8), (255, np.uint8), (256, np.uint16), (65535, np.uint16)]
)
def test_wide_integers_take_what_they_need(tmp_path, high, dtype):
    path = tmp_path / "m.png"
    write_mask(path, np.array([[0, high]], np.int64))
    assert read_mask(path).dtype == dtype
    assert read_mask(path).tolist() == [[0, high]]


@pytest.mark.parametrize("colors", [2, 3, 11, 256])
def test_palette_masks_hold_ids_beyond_the_palette(tmp_path, colors):
    path = tmp_path / "m.png"
    palette = np.random.default_rng(0).integers(1, 256, (colors, 3), dtype=np.uint8)
    ids = np.array([[0, 1, 200, 255]], np.uint8)
    write_mask(path, ids, palette=palette)
    with Image.open(path) as picture:
        assert picture.mode == "P"
    np.testing.assert_array_equal(read_mask(path), ids)
    np.testing.assert_array_equal(read_image(path)[0, :2], palette[:2])


def test_palette_takes_sixteen_bit_arrays_of_small_ids(tmp_path):
    path = tmp_path / "m.png"
    palette = np.zeros((4, 3), np.uint8)
    write_mask(path, np.array([[0, 3]], np.uint16), palette=palette)
    assert read_mask(path).tolist() == [[0, 3]]
    with pytest.raises(OutputError, match=r"m\.png.*256 colors.*300"):
        write_mask(path, np.array([[0, 300]], np.uint16), palette=palette)


def test_one_bit_masks(tmp_path):
    path = tmp_path / "m.png"
    Image.fromarray(np.array([[True, False, True]])).save(path)
    mask = read_mask(path)
    assert mask.dtype == np.uint8
    assert mask.tolist() == [[1, 0, 1]]


@pytest.mark.parametrize(
    ("depth", "rows", "ids"), [(2, b"\x00\x1b", [0, 1, 2, 3]), (4, b"\x00\x01\x2f", [0, 1, 2, 15])]
)
def test_gray_of_few_bits_is_not_stretched(tmp_path, depth, rows, ids):
    path = tmp_path / "m.png"
    path.write_bytes(png(4, 1, depth, 0, rows))
    assert read_mask(path).tolist() == [ids]
    assert read_image(path)[0, 3].tolist() == [255] * 3


def test_color_masks(tmp_path):
    path = tmp_path / "m.png"
    Image.fromarray(np.dstack([ramp(), np.zeros((HEIGHT, WIDTH), np.uint8)])).save(path)
    np.testing.assert_array_equal(read_mask(path), ramp())
    gray = np.array([[3, 9]], np.uint8)
    Image.fromarray(np.dstack([gray, gray * 0])).save(path)
    np.testing.assert_array_equal(read_mask(path), gray)


@pytest.mark.parametrize("name", ["m.tif", "m.pgm"])
def test_sixteen_bit_masks_of_other_formats(tmp_path, name):
    path = tmp_path / name
    ids = np.array([[0, 300, 65535]], np.uint16)
    if name.endswith("pgm"):
        path.write_bytes(b"P5 3 1 65535\n" + ids.astype(">u2").tobytes())
    else:
        Image.fromarray(ids).save(path)
    assert read_mask(path).dtype == np.uint16
    np.testing.assert_array_equal(read_mask(path), ids)


def test_wide_masks(tmp_path):
    path = tmp_path / "m.tif"
    Image.fromarray(np.array([[-1, 5, 65534]], np.int32)).save(path)
    assert read_mask(path).tolist() == [[65535, 5, 65534]]
    for beyond in (65536, -2):
        Image.fromarray(np.array([[0, beyond]], np.int32)).save(path)
        refused(path, str(beyond), "65535", reader=read_mask)


@pytest.mark.parametrize(
    ("color_type", "values"), [(2, [1, 1, 1, 2, 2, 2]), (4, [7, 65535, 300, 65535]), (6, [1, 2, 3, 4] * 2)]
)
def test_sixteen_bit_masks_that_would_lose_half_are_refused(tmp_path, color_type, values):
    path = tmp_path / "m.png"
    path.write_bytes(png(2, 1, 16, color_type, b"\0" + np.array(values, ">u2").tobytes()))
    refused(path, "16 bits", "gray PNG", reader=read_mask)
    assert read_image(path).shape == (1, 2, 3)


@pytest.mark.parametrize(
    ("header", "pixels", "highest", "full"),
    [
        (b"P5 3 1 51\n", bytes([0, 1, 2]), 51, 255),
        (b"P5 3 1 1000\n", bytes([0, 0, 0, 1, 0, 2]), 1000, 65535),
        (b"P2 3 1 51\n", b"0 1 2\n", 51, 255),
        (b"P6 1 1 51\n", bytes([0, 1, 2]), 51, 255),
        (b"P6 1 1 65535\n", bytes([0, 0, 0, 1, 0, 2]), 65535, 255),
    ],
)
def test_masks_that_would_be_stretched_are_refused(tmp_path, header, pixels, highest, full):
    path = tmp_path / "m.pgm"
    path.write_bytes(header + pixels)
    refused(path, f"0..{highest}", f"0..{full}", "as PNG", reader=read_mask)
    assert read_image(path).dtype == np.uint8


@pytest.mark.parametrize("header", [b"P5 3 1 255\n", b"P6 1 1 255\n"])
def test_masks_of_full_range_are_not_stretched(tmp_path, header):
    path = tmp_path / "m.pgm"
    path.write_bytes(header + bytes([0, 1, 2]))
    assert read_mask(path).ravel().tolist() == [0, 1, 2]


@pytest.mark.parametrize("content", [b"P1 3 1\n1 0 1\n", b"P4 3 1\n\xa0"])
def test_one_bit_files_have_no_range(tmp_path, content):
    path = tmp_path / "m.pbm"
    path.write_bytes(content)
    assert read_mask(path).tolist() == [[0, 1, 0]]


def test_jpeg_masks_are_refused(tmp_path):
    path = tmp_path / "m.jpg"
    Image.new("L", (8, 8)).save(path)
    refused(path, "JPEG", "PNG", reader=read_mask)


# --- writing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG"])
def test_jpeg_keeps_colors_at_full_resolution(tmp_path, suffix):
    stripes = np.zeros((16, 16, 3), np.uint8)
    stripes[:, ::2] = (255, 0, 0)
    stripes[:, 1::2] = (0, 0, 255)
    path = tmp_path / f"x{suffix}"
    write_image(path, stripes)
    assert np.abs(read_image(path).astype(int) - stripes).max() < 30


def test_quality_counts(tmp_path):
    sizes = []
    for quality in (30, 95):
        write_image(tmp_path / "x.jpg", np.asarray(noise()), quality=quality)
        sizes.append((tmp_path / "x.jpg").stat().st_size)
    assert sizes[0] < sizes[1] / 2


def test_strided_arrays_and_gray_can_be_written(tmp_path):
    path = tmp_path / "x.png"
    write_image(path, ramp()[:, ::-1])
    np.testing.assert_array_equal(read_image(path), ramp()[:, ::-1])
    write_image(path, ramp()[..., 0])
    np.testing.assert_array_equal(read_image(path)[..., 2], ramp()[..., 0])
    write_mask(path, ramp()[::-1, :, 0])
    np.testing.assert_array_equal(read_mask(path), ramp()[::-1, :, 0])


def test_suffixes_that_cannot_be_written(tmp_path):
    with pytest.raises(OutputError, match=r"x\.webp.*name it \.png or \.jpg"):
        write_image(tmp_path / "x.webp", ramp())
    with pytest.raises(OutputError, match=r"m\.jpg.*name it \.png"):
        write_mask(tmp_path / "m.jpg", ramp()[..., 0])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 2, 3)),
        np.zeros((2, 2, 4), np.uint8),
        np.zeros((0, 2, 3), np.uint8),
        np.zeros(3, np.uint8),
    ],
)
def test_arrays_that_are_no_picture(tmp_path, array):
    with pytest.raises(OutputError, match=r"x\.png.*shape.*uint8 \[H, W, 3\]"):
        write_image(tmp_path / "x.png", array)


@pytest.mark.parametrize(
    "array", [np.zeros((2, 2)), np.zeros((2, 2, 1), np.uint8), np.zeros((0, 3), np.uint8)]
)
def test_arrays_that_are_no_mask(tmp_path, array):
    with pytest.raises(OutputError, match=r"m\.png.*shape.*integer ids"):
        write_mask(tmp_path / "m.png", array)


@pytest.mark.parametrize("ids", [[[-1, 3]], [[0, 65536]]])
def test_ids_that_png_does_not_store(tmp_path, ids):
    with pytest.raises(OutputError, match=r"m\.png.*holds ids.*relabel"):
        write_mask(tmp_path / "m.png", np.array(ids))


def test_what_an_encoder_cannot_do(tmp_path):
    with pytest.raises(OutputError, match=r"wide\.jpg.*70000 x 1.*PNG"):
        write_image(tmp_path / "wide.jpg", np.zeros((1, 70000, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1), st.sampled_from([np.uint8, np.uint16])
)
def test_masks_survive_any_round_trip(tmp_path, height, width, seed, dtype):
    ids = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, (height, width)).astype(dtype)
    write_mask(tmp_path / "m.png", ids)
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png"), ids)


def test_the_room_does_not_import_torch():
    code = "import sys, roadseg.media; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
