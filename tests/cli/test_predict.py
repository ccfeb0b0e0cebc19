import errno
import shutil
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from roadseg.labels import label_map, space
from roadseg.media import read_image, read_mask
from tests.cli.conftest import SIZE
from tests.fakes import picture, save
from tests.films import film, moving

pytestmark = pytest.mark.usefixtures("bundled")


def test_one_photo_needs_no_other_argument(run, photo):
    result = run("predict", photo)
    assert result.code == 0
    assert result.err == ""
    out = Path("roadseg-out")
    labels = read_mask(out / "labels" / "street.png")
    assert labels.shape == SIZE
    assert set(np.unique(labels)) <= set(space("camvid-11").ids)
    with Image.open(out / "color" / "street.png") as color:
        assert color.mode == "P"
        assert np.array_equal(np.array(color), labels)
        assert np.array_equal(np.array(color.convert("RGB")), space("camvid-11").colorize(labels))
    assert read_image(out / "overlay" / "street.jpg").shape == (*SIZE, 3)
    first, *rest = result.out.splitlines()
    assert first.startswith(f"{photo} (64x48): ")
    assert " % " in first
    assert [line.split() for line in rest] == [
        ["labels", "roadseg-out/labels/street.png"],
        ["color", "roadseg-out/color/street.png"],
        ["overlay", "roadseg-out/overlay/street.jpg"],
    ]


def test_shares_in_words_are_those_of_the_labels(run, photo):
    result = run("predict", photo, "--json")
    labels = read_mask(Path("roadseg-out/labels/street.png"))
    shares = result.json["images"][0]["shares"]
    for item in space("camvid-11").classes:
        assert shares.get(item.name, 0.0) == pytest.approx(float((labels == item.id).mean()))


def test_json(run, photo):
    found = run("predict", photo, "--json", "-o", "out").json
    assert found["space"] == "camvid-11"
    assert found["failed"] == []
    assert found["images"][0]["files"]["overlay"] == "out/overlay/street.jpg"
    assert (found["images"][0]["height"], found["images"][0]["width"]) == SIZE


def test_a_folder_keeps_its_tree(run, tmp_path):
    for name in ("a/1.png", "b/1.png", "2.jpg"):
        save(tmp_path / "in" / name, picture(name, SIZE))
    result = run("predict", tmp_path / "in", "-o", tmp_path / "out", "--outputs", "labels")
    assert result.code == 0
    assert result.out.startswith("3 of 3 pictures labeled in ")
    written = sorted(
        path.relative_to(tmp_path / "out").as_posix()
        for path in (tmp_path / "out").rglob("*.*")
        if path.is_file()
    )
    assert written == ["labels/2.png", "labels/a/1.png", "labels/b/1.png", "manifest.jsonl"]


def test_patterns_and_lists(run, photo, tmp_path):
    save(tmp_path / "other.png", picture("other", SIZE))
    (tmp_path / "list.txt").write_text("street.jpg\nother.png\n")
    assert len(run("predict", tmp_path / "list.txt", "--json").json["images"]) == 2
    assert len(run("predict", f"{tmp_path}/*.jpg", "--json", "--redo").json["images"]) == 1


def test_results_in_the_folder_of_the_photos_are_not_labeled_again(run, photo):
    assert run("predict", photo.parent, "-o", photo.parent / "out").code == 0
    again = run("predict", photo.parent, "-o", photo.parent / "out", "--json").json
    assert (len(again["images"]), again["skipped"]) == (0, 1)
    result = run("predict", photo.parent / "out", "-o", photo.parent / "out")
    assert result.code == 2
    assert "holds only results of roadseg" in result.sentence


def test_the_folder_for_results_may_hold_the_photos(run, photo):
    for _ in range(2):
        result = run("predict", photo.parent, "-o", photo.parent, "--json", "--redo")
        assert [item["image"] for item in result.json["images"]] == [str(photo)]
    other = save(photo.parent / "others" / "other.png", picture("other", SIZE))
    result = run("predict", photo, other.parent, "-o", other.parent, "--json")
    assert [item["image"] for item in result.json["images"]] == [str(photo), str(other)]


def test_named_pictures_are_not_dropped_from_among_the_results(run, photo):
    assert run("predict", photo, "-o", photo.parent).code == 0
    overlay = photo.parent / "overlay" / "street.jpg"
    before = overlay.read_bytes()
    result = run("predict", photo, overlay, "-o", photo.parent)
    assert result.code == 2
    assert f"{overlay}: lies where results are written" in result.sentence
    assert overlay.read_bytes() == before


def test_weights_that_change_after_they_were_loaded_are_other_weights(
    run, photo, weights, tmp_path, monkeypatch
):
    import torch

    import roadseg.cli.predict as module
    from roadseg.inference import load_package, save_package

    own = tmp_path / "own.safetensors"
    shutil.copy(weights, own)
    real = module.open_predictor

    def replaced(name, *arguments):
        predictor = real(name, *arguments)
        model, card = load_package(own)
        with torch.no_grad():
            next(model.parameters()).add_(1)
        save_package(own, model, card)
        return predictor

    monkeypatch.setattr(module, "open_predictor", replaced)
    assert run("predict", photo, "--weights", own).code == 0
    monkeypatch.setattr(module, "open_predictor", real)
    again = run("predict", photo, "--weights", own, "--json").json
    assert (len(again["images"]), again["skipped"]) == (1, 0)


def test_videos_of_any_names_get_results_of_their_own(run, tmp_path):
    sources = [film(tmp_path / name, moving(1)) for name in ("a/drive.mp4", "b/drive.mp4", "c/drive_2.mp4")]
    found = run("predict", *sources, "--json").json["videos"]
    assert [Path(item["file"]).stem for item in found] == ["drive", "drive_3", "drive_2"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--only", "rode"], "has no class 'rode'"),
        (["--smooth", "0.5"], "--smooth: temporal smoothing needs OpenCV"),
    ],
)
def test_what_no_video_can_have_is_told_before_the_pictures(
    run, photo, tmp_path, monkeypatch, options, words
):
    monkeypatch.setitem(sys.modules, "cv2", None)
    result = run("predict", photo, film(tmp_path / "drive.mp4", moving(1)), *options)
    assert result.code == 2
    assert words in result.sentence
    assert not list(Path("roadseg-out").iterdir())


def test_the_same_command_goes_on_where_it_was_stopped(run, tmp_path):
    for name in ("1.png", "2.png"):
        save(tmp_path / "in" / name, picture(name, SIZE))
    assert run("predict", tmp_path / "in").code == 0
    lost = Path("roadseg-out/overlay/2.jpg")
    lost.unlink()
    kept = Path("roadseg-out/overlay/1.jpg").stat().st_mtime_ns
    found = run("predict", tmp_path / "in", "--json").json
    assert (len(found["images"]), found["skipped"]) == (1, 1)
    assert lost.is_file()
    assert Path("roadseg-out/overlay/1.jpg").stat().st_mtime_ns == kept
    assert "2 were there already" in run("predict", tmp_path / "in").out


def test_other_label_space_and_confidence(run, photo):
    result = run("predict", photo, "--outputs", "labels", "overlay", "confidence", "--legend", "--json")
    assert result.code == 0
    assert read_mask(Path("roadseg-out/confidence/street.png")).shape == SIZE
    assert read_image(Path("roadseg-out/overlay/street.jpg")).shape[0] > SIZE[0]
    own = read_mask(Path("roadseg-out/labels/street.png"))
    assert run("predict", photo, "--to", "cityscapes-19", "--json").json["space"] == "cityscapes-19"
    translated = read_mask(Path("roadseg-out/labels/street.png"))
    assert np.array_equal(translated, label_map("camvid-11", "cityscapes-19").relabel(own))


def test_interruption_says_how_to_go_on(run, photo, monkeypatch):
    def stop(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("roadseg.inference.Predictor.scores", stop)
    result = run("predict", photo)
    assert result.code == 130
    assert result.sentence == "roadseg: interrupted; the same command goes on where it was"


# Pictures of every kind


def cmyk(path):
    Image.new("CMYK", (20, 10), (10, 80, 0, 30)).save(path)


def sixteen_bit(path):
    Image.fromarray(np.linspace(0, 65535, 200).astype(np.uint16).reshape(10, 20)).save(path)


def gray(path):
    Image.new("L", (20, 10), 90).save(path)


def rgba(path):
    Image.new("RGBA", (20, 10), (90, 10, 20, 128)).save(path)


def tiny(path):
    Image.new("RGB", (1, 1), (90, 90, 90)).save(path)


def rotated(path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (10, 20)).save(path, exif=exif)


@pytest.mark.parametrize(
    ("make", "name", "size"),
    [
        (cmyk, "x.jpg", (10, 20)),
        (sixteen_bit, "x.png", (10, 20)),
        (gray, "x.png", (10, 20)),
        (rgba, "x.png", (10, 20)),
        (tiny, "x.png", (1, 1)),
        (rotated, "x.jpg", (10, 20)),
    ],
)
def test_unusual_pictures_are_labeled(run, tmp_path, make, name, size):
    make(tmp_path / name)
    result = run("predict", tmp_path / name)
    assert (result.code, result.err) == (0, "")
    assert read_mask(Path("roadseg-out/labels/x.png")).shape == size
    assert read_image(Path("roadseg-out/overlay/x.jpg")).shape == (*size, 3)


# Pictures that cannot be labeled


def png_bytes(tmp_path):
    return save(tmp_path / "whole.png", picture("whole", (64, 64))).read_bytes()


def truncated(tmp_path, suffix):
    whole = save(tmp_path / f"whole{suffix}", picture("whole", (64, 64))).read_bytes()
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(whole[: len(whole) // 2])
    return path


def bomb(path):
    """A header of 60000 x 60000 pixels with next to nothing behind it."""
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(b"")))
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


def text_file(path):
    path.write_text("not a picture")
    return path


def empty(path):
    path.write_bytes(b"")
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "none.jpg", "does not exist"),
        (lambda folder: empty(folder / "x.jpg"), "is empty (0 bytes)"),
        (lambda folder: truncated(folder, ".png"), "is truncated or damaged"),
        (lambda folder: truncated(folder, ".jpg"), "is truncated or damaged"),
        (lambda folder: text_file(folder / "x.png"), "x.png"),
        (lambda folder: text_file(folder / "x.docx"), "is no image file by its suffix .docx"),
        (lambda folder: bomb(folder / "x.png"), "60000"),
        (lambda folder: folder, "holds no images"),
    ],
)
def test_bad_pictures_are_one_sentence(run, tmp_path_factory, make, words):
    path = make(tmp_path_factory.mktemp("bad"))
    result = run("predict", path)
    assert result.code == 2
    assert result.sentence.startswith(f"roadseg: error: {path}")
    assert words in result.sentence
    assert result.out == ""
    assert not list(Path("roadseg-out").rglob("*.*"))


def test_one_bad_file_does_not_stop_the_others(run, tmp_path):
    save(tmp_path / "in" / "1.png", picture("1", SIZE))
    empty(tmp_path / "in" / "2.png")
    save(tmp_path / "in" / "3.png", picture("3", SIZE))
    result = run("predict", tmp_path / "in")
    assert result.code == 1
    assert (
        result.sentence
        == f"roadseg: error: {tmp_path / 'in' / '2.png'}: is empty (0 bytes); copy or download it again"
    )
    assert result.out.startswith("2 of 3 pictures labeled in ")
    assert "1 could not be labeled" in result.out
    assert sorted(path.name for path in Path("roadseg-out/labels").iterdir()) == ["1.png", "3.png"]
    failed = run("predict", tmp_path / "in", "--json")
    assert failed.code == 1
    assert [Path(item["image"]).name for item in failed.json["failed"]] == ["2.png"]


# Everything else that can be wrong


def test_output_that_cannot_be_a_folder(run, photo, tmp_path):
    (tmp_path / "file").write_text("")
    result = run("predict", photo, "-o", tmp_path / "file")
    assert result.code == 2
    assert result.sentence.startswith(f"roadseg: error: {tmp_path / 'file'}: the folder cannot be made")


def test_part_of_the_output_that_cannot_be_a_folder(run, photo, tmp_path):
    save(tmp_path / "in" / "1.png", picture("1", SIZE))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "color").write_text("")
    for inputs in (photo, tmp_path / "in"):
        result = run("predict", inputs, "-o", tmp_path / "out")
        assert result.code == 2
        assert f"{tmp_path / 'out' / 'color'}" in result.sentence
        assert "cannot be written" in result.sentence


def test_full_disk(run, photo, monkeypatch):
    def full(_path, _data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    result = run("predict", photo)
    assert result.code == 2
    assert "the disk is full; free some space" in result.sentence
    assert not [path for path in Path("roadseg-out").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no picture was given"),
        (["street.jpg", "--alpha", "1.5"], "--alpha is 1.5"),
        (["PHOTO", "--smooth", "1"], "--smooth is 1.0"),
        (["PHOTO", "--limit", "0"], "--limit is 0"),
        (["PHOTO", "--to", "cityscape"], "unknown label space 'cityscape'"),
        (["PHOTO", "--weights", "fast-scn"], "is neither a file nor the name of bundled weights"),
        (["PHOTO", "--device", "cuda:99"], "there is no device 'cuda:99' here"),
    ],
)
def test_requests_that_cannot_be_met(run, photo, arguments, words):
    result = run("predict", *(photo if item == "PHOTO" else item for item in arguments))
    assert result.code == 2
    assert words in result.sentence


def test_checkpoints_without_a_description_are_sent_to_convert(run, photo, tmp_path):
    import torch

    torch.save({"weight": torch.zeros(2)}, tmp_path / "old.pth")
    result = run("predict", photo, "--weights", tmp_path / "old.pth")
    assert result.code == 2
    assert "name the network with `roadseg convert FILE --model NAME`" in result.sentence
