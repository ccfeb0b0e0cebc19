"""What goes to benchmarks: official ids and names, every fault found, the official tool as judge."""

import io
import json
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from roadseg.errors import InputError, LabelError, OutputError
from roadseg.labels import LabelMap, label_map, space
from roadseg.media import read_mask, write_image, write_mask
from roadseg.media.submissions import (
    BENCHMARKS,
    Benchmark,
    Expected,
    Sizes,
    check_submission,
    expected_frames,
    find_origin,
    find_predictions,
    write_submission,
)
from tests.fakes import SIZE, VAL_CITIES, fake_cityscapes, stripes

CITYSCAPES = BENCHMARKS["cityscapes"]
FRAMES = tuple(f"{city}_000000_000019" for city in VAL_CITIES)
TRAIN_IDS = (0, 1, 2, 10, 11, 13, 18, 255)
OFFICIAL = (7, 8, 11, 23, 24, 26, 33, 0)


@pytest.fixture
def cityscapes(tmp_path) -> Path:
    """A tiny Cityscapes."""
    return fake_cityscapes(tmp_path / "cityscapes")


@pytest.fixture
def wanted(cityscapes) -> Expected:
    """The three frames of its val split."""
    found = expected_frames(CITYSCAPES, cityscapes / "leftImg8bit" / "val")
    assert found is not None
    return found


@pytest.fixture
def predictions(tmp_path) -> Path:
    """What predict writes for these frames: train ids in a tree like that of the images."""
    out = tmp_path / "out"
    for i, frame in enumerate(FRAMES):
        name = f"{frame.partition('_')[0]}/{frame}_leftImg8bit.png"
        write_mask(out / "labels" / name, stripes(np.roll(TRAIN_IDS, i), SIZE))
        write_image(out / "color" / name, np.zeros((*SIZE, 3), np.uint8))
    return out


def official(folder: Path, frames=FRAMES, ids=OFFICIAL) -> Path:
    """A folder that could be sent as it is."""
    for i, frame in enumerate(frames):
        write_mask(folder / f"{frame}_predictionIds.png", stripes(np.roll(ids, i), SIZE))
    return folder


def pack(predictions: Path, out: Path, expected, benchmark=CITYSCAPES, source="cityscapes-19"):
    return write_submission(
        benchmark,
        find_predictions(predictions),
        label_map(source, benchmark.space),
        out,
        folder=predictions,
        expected=expected,
    )


def kinds(check) -> list[str]:
    return sorted(fault.kind for fault in check.faults)


# Writing


def test_archive_holds_official_ids_under_official_names(predictions, wanted, tmp_path):
    heard = []
    submission = write_submission(
        CITYSCAPES,
        find_predictions(predictions),
        label_map("cityscapes-19", "cityscapes"),
        tmp_path / "mine.zip",
        folder=predictions,
        expected=wanted,
        progress=lambda done, total: heard.append((done, total)),
    )
    assert submission.path == tmp_path / "mine.zip"
    assert submission.check.faults == ()
    assert heard == [(i, 6) for i in range(1, 7)]
    with zipfile.ZipFile(submission.path) as archive:
        assert archive.namelist() == [f"{frame}_predictionIds.png" for frame in FRAMES]
        archive.extractall(tmp_path / "unpacked")
    for i, frame in enumerate(FRAMES):
        path = tmp_path / "unpacked" / f"{frame}_predictionIds.png"
        with Image.open(path) as picture:
            assert picture.mode == "L"
        assert np.array_equal(read_mask(path), stripes(np.roll(OFFICIAL, i), SIZE))
    assert check_submission(CITYSCAPES, submission.path, wanted).faults == ()
    assert check_submission(CITYSCAPES, tmp_path / "unpacked", wanted).faults == ()


def test_the_same_predictions_give_the_same_bytes(predictions, wanted, tmp_path):
    first = pack(predictions, tmp_path / "a.zip", wanted)
    for path in predictions.rglob("*.png"):
        path.touch()
    second = pack(predictions, tmp_path / "b.zip", wanted)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert first.sha256 == second.sha256
    assert len(first.sha256 or "") == 64


@pytest.mark.parametrize("source", ["cityscapes-20", "wilddash-19", "cityscapes"])
def test_other_label_spaces_are_translated(tmp_path, wanted, source):
    item = space(source)
    ids = [item.classes[item.index(name)].id for name in ("road", "sky", "car", "bicycle")]
    for frame in FRAMES:
        write_mask(tmp_path / "out" / f"{frame}.png", stripes(ids, SIZE))
    pack(tmp_path / "out", tmp_path / "mine.zip", wanted, source=source)
    with zipfile.ZipFile(tmp_path / "mine.zip") as archive:
        data = archive.read(f"{FRAMES[0]}_predictionIds.png")
    with Image.open(io.BytesIO(data)) as picture:
        assert np.array_equal(np.array(picture), stripes((7, 23, 26, 33), SIZE))


def test_16_bit_predictions_of_a_large_space(tmp_path, wanted):
    # 16 bits per pixel are fine to read; what is sent has 8.
    for frame in FRAMES:
        write_mask(tmp_path / "out" / f"{frame}.png", stripes([98, 142], SIZE, np.uint16))
    submission = pack(tmp_path / "out", tmp_path / "mine.zip", wanted, source="mseg-194")
    assert submission.check.faults == ()


def test_a_refused_submission_leaves_nothing_and_keeps_what_was_there(predictions, wanted, tmp_path):
    target = tmp_path / "zips" / "mine.zip"
    target.parent.mkdir()
    target.write_bytes(b"old")
    lost = next((predictions / "labels").rglob("lindau*.png"))
    lost.unlink()
    write_mask(next((predictions / "labels").rglob("munster*.png")), stripes([0, 77], SIZE))
    submission = pack(predictions, target, wanted)
    assert (submission.path, submission.sha256) == (None, None)
    assert [(fault.kind, fault.where) for fault in submission.check.faults] == [
        ("missing", "lindau_000000_000019"),
        ("ids", "labels/munster/munster_000000_000019_leftImg8bit.png"),
    ]
    assert "holds id 77 (96 pixels), which cityscapes-19 does not have" in submission.check.faults[1].what
    assert target.read_bytes() == b"old"
    assert [path.name for path in target.parent.iterdir()] == ["mine.zip"]


def test_every_kind_of_broken_prediction_is_named(predictions, wanted, tmp_path):
    labels = predictions / "labels"
    first, second, third = (next(labels.rglob(f"{frame}*.png")) for frame in FRAMES)
    first.write_bytes(b"")
    write_mask(second, stripes([0, 1], (5, 5)))
    write_image(third, np.zeros((*SIZE, 3), np.uint8))
    write_mask(labels / "berlin_000000_000019_leftImg8bit.png", stripes([0], SIZE))
    write_mask(labels / f"{FRAMES[0]}_again.png", stripes([0], SIZE))
    write_image(labels / f"{FRAMES[1]}_color.png", np.zeros((*SIZE, 3), np.uint8))
    faults = pack(predictions, tmp_path / "mine.zip", wanted).check.faults
    assert sorted((fault.kind, Path(fault.where).name) for fault in faults if fault.kind != "unreadable") == [
        ("color", f"{FRAMES[1]}_color.png"),
        ("color", f"{FRAMES[2]}_leftImg8bit.png"),
        ("several", FRAMES[0]),
        ("size", f"{FRAMES[1]}_leftImg8bit.png"),
        ("unexpected", "berlin_000000_000019_leftImg8bit.png"),
    ]


def test_output_that_cannot_be_written(predictions, wanted, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        pack(predictions, tmp_path / "file" / "mine.zip", wanted)


# The official tool


def official_prediction(folder: Path, truth: Path) -> Path:
    """What the evaluation script of the Cityscapes authors takes for a ground truth file."""
    script = pytest.importorskip("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
    arguments = script.CArgs()
    arguments.predictionPath, arguments.predictionWalk = str(folder), None
    return Path(script.getPrediction(arguments, str(truth)))


def truths(cityscapes: Path) -> list[Path]:
    return sorted((cityscapes / "gtFine" / "val").rglob("*_labelIds.png"))


def test_the_official_script_finds_one_file_per_truth(predictions, cityscapes, wanted, tmp_path):
    pack(predictions, tmp_path / "mine.zip", wanted)
    with zipfile.ZipFile(tmp_path / "mine.zip") as archive:
        archive.extractall(tmp_path / "unpacked")
    found = [official_prediction(tmp_path / "unpacked", truth) for truth in truths(cityscapes)]
    assert [path.name for path in found] == [f"{frame}_predictionIds.png" for frame in FRAMES]


@pytest.mark.parametrize("extra", ["{}_color.png", "more/{}.png", "{}0.png", "{}_gtFine_color.png", None])
def test_what_stops_the_official_script_is_a_fault(cityscapes, wanted, tmp_path, extra):
    folder = official(tmp_path / "sent", FRAMES if extra else FRAMES[1:])
    if extra:
        write_mask(folder / extra.format(FRAMES[0]), stripes(OFFICIAL, SIZE))
    with pytest.raises(SystemExit):
        official_prediction(folder, truths(cityscapes)[0])
    faults = check_submission(CITYSCAPES, folder, wanted).faults
    assert {fault.kind for fault in faults} <= {"missing", "several", "color", "size"}
    assert faults


def test_the_official_script_scores_a_perfect_submission(cityscapes, wanted, tmp_path):
    script = pytest.importorskip("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
    for truth in truths(cityscapes):
        mask = label_map("cityscapes", "cityscapes-19").relabel(read_mask(truth))
        write_mask(tmp_path / "out" / truth.name.replace("_gtFine_labelIds", ""), mask)
    pack(tmp_path / "out", tmp_path / "mine.zip", wanted)
    with zipfile.ZipFile(tmp_path / "mine.zip") as archive:
        archive.extractall(tmp_path / "unpacked")
    arguments = script.args
    confusion = script.generateMatrix(arguments)
    for truth in truths(cityscapes):
        stored, sent = read_mask(truth), read_mask(official_prediction(tmp_path / "unpacked", truth))
        np.add.at(confusion, (stored, sent), 1)
    scores = [
        script.getIouScoreForLabel(label.id, confusion, arguments)
        for label in script.labels
        if label.id >= 0 and not label.ignoreInEval
    ]
    assert {score for score in scores if score == score} == {1.0}


# Checking


def test_a_good_folder_has_no_fault(tmp_path, wanted):
    check = check_submission(CITYSCAPES, official(tmp_path / "sent"), wanted)
    assert (check.images, check.split, check.faults) == (3, None, ())


def test_train_ids_are_recognized(tmp_path, wanted):
    folder = official(tmp_path / "sent", ids=(0, 1, 2, 10, 13, 18))
    (fault,) = check_submission(CITYSCAPES, folder, wanted).faults
    assert fault.kind == "train-ids"
    assert (
        str(fault)
        == "sent: these are train ids (0..18), but cityscapes wants the ids of cityscapes (7 is road)"
    )


def test_pictures_of_nothing_are_recognized(tmp_path):
    # What a data set with an empty table of ids gives: every pixel 0.
    for name in ("a", "b"):
        write_mask(tmp_path / "sent" / f"{name}.png", np.zeros(SIZE, np.uint8))
    expected = Expected({"a": None, "b": None}, "a list")
    (fault,) = check_submission(BENCHMARKS["mapillary"], tmp_path / "sent", expected).faults
    assert (fault.kind, fault.what) == ("constant", "all 2 pictures hold nothing but id 0")


def test_mapillary_ids_stay_what_they_are(tmp_path):
    mask = np.arange(65, dtype=np.uint8).reshape(5, 13)
    write_mask(tmp_path / "out" / "KYDNewfFShz.png", mask)
    benchmark, expected = BENCHMARKS["mapillary"], Expected({"KYDNewfFShz": None}, "a list")
    pack(tmp_path / "out", tmp_path / "mine.zip", expected, benchmark, "mapillary-65")
    with zipfile.ZipFile(tmp_path / "mine.zip") as archive:
        assert archive.namelist() == ["KYDNewfFShz.png"]
        with Image.open(io.BytesIO(archive.read("KYDNewfFShz.png"))) as picture:
            assert np.array_equal(np.array(picture), mask)
    write_mask(tmp_path / "out" / "KYDNewfFShz.png", np.full((5, 13), 65))
    refused = pack(tmp_path / "out", tmp_path / "mine.zip", expected, benchmark, "mapillary-65")
    assert [fault.kind for fault in refused.check.faults] == ["ids"]


def gray_png(depth: int) -> bytes:
    """A gray PNG of 8 x 8 pixels and this many bits."""
    rows = b"".join(b"\0" + bytes(depth) for _ in range(8))
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", 8, 8, depth, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def as_mode(mode: str) -> bytes:
    buffer = io.BytesIO()
    picture = Image.new(mode, (8, 8))
    if mode == "P":
        picture.putpalette(bytes(range(256)) * 3)
    picture.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (as_mode("RGB"), "color", "is a color picture (RGB); ids are wanted, as gray of 8 bits"),
        (as_mode("RGBA"), "color", "is a color picture with transparency (RGBA)"),
        (as_mode("P"), "type", "is a palette picture, of which some tools read the colors"),
        (as_mode("LA"), "type", "is gray with transparency"),
        (gray_png(16), "type", "is gray of 16 bits; 8 bits are wanted"),
        (gray_png(4), "type", "is gray of 4 bits; 8 bits are wanted"),
        (gray_png(1), "type", "is gray of 1 bits; 8 bits are wanted"),
        (gray_png(8)[:50], "unreadable", "is cut short"),
        (b"", "unreadable", "is empty"),
        (b"GIF89a" + bytes(60), "unreadable", "is no PNG, whatever its name says"),
    ],
)
def test_files_that_are_no_8_bit_gray_png(tmp_path, data, kind, words):
    expected = Expected({"a": (8, 8)}, "a list")
    (tmp_path / "sent").mkdir()
    (tmp_path / "sent" / "a.png").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "sent.zip", "w") as archive:
        archive.writestr("a.png", data)
    for place in ("sent", "sent.zip"):
        (fault,) = check_submission(BENCHMARKS["camvid"], tmp_path / place, expected).faults
        assert (fault.kind, fault.where) == (kind, "a.png")
        assert words in fault.what


def test_names_and_folders(tmp_path):
    folder = official(tmp_path / "sent")
    (folder / "readme.txt").write_text("")
    (folder / ".DS_Store").write_text("")
    write_mask(folder / "me.png", stripes(OFFICIAL, SIZE))
    expected = Expected(dict.fromkeys(FRAMES, SIZE), "a list")
    faults = check_submission(CITYSCAPES, folder, expected).faults
    assert [(fault.kind, fault.where) for fault in faults] == [
        ("unexpected", ".DS_Store"),
        ("unexpected", "readme.txt"),
        ("unexpected", "me.png"),
    ]
    # Only the tool of Cityscapes looks into folders.
    write_mask(tmp_path / "flat" / "in" / "a.png", stripes([0, 1], SIZE))
    faults = check_submission(
        BENCHMARKS["mapillary"], tmp_path / "flat", Expected({"a": None}, "a list")
    ).faults
    assert [fault.kind for fault in faults] == ["name", "missing"]


def test_a_file_twice_in_an_archive(tmp_path):
    data = as_mode("L")
    with zipfile.ZipFile(tmp_path / "sent.zip", "w") as archive:
        archive.writestr("a.png", data)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.png", data)
    check = check_submission(BENCHMARKS["camvid"], tmp_path / "sent.zip", Expected({"a": (8, 8)}, "a list"))
    assert [str(fault) for fault in check.faults] == ["a.png: is there twice"]


def test_numbers_of_frames_where_names_are_not_known(tmp_path):
    small = Benchmark(
        name="small",
        title="",
        official="camvid-11",
        networks="camvid-11",
        counts={"test": 2},
        source="",
        upload="",
    )
    for name in ("a", "b"):
        write_mask(tmp_path / "sent" / f"{name}.png", stripes([0, 1], SIZE))
    check = check_submission(small, tmp_path / "sent")
    assert (check.images, check.split, check.faults) == (2, "test", ())
    write_mask(tmp_path / "sent" / "c.png", stripes([0, 1], SIZE))
    (fault,) = check_submission(small, tmp_path / "sent").faults
    assert str(fault) == "small: 3 frames were found, but test has 2"
    assert kinds(check_submission(CITYSCAPES, tmp_path / "sent")) == ["count", "name", "name", "name"]
    (tmp_path / "nothing").mkdir()
    assert kinds(check_submission(BENCHMARKS["wilddash"], tmp_path / "nothing")) == ["count"]


def test_kitti_knows_its_frames(tmp_path):
    write_mask(tmp_path / "sent" / "000000_10.png", stripes([7, 11, 26], (375, 1242)))
    write_mask(tmp_path / "sent" / "000001_10.png", stripes([7, 11, 26], (384, 1280)))
    faults = check_submission(
        BENCHMARKS["kitti"], tmp_path / "sent", expected_frames(BENCHMARKS["kitti"])
    ).faults
    assert [fault.where for fault in faults if fault.kind == "missing"] == [
        f"{i:06d}_10" for i in range(2, 200)
    ]
    (wrong,) = [fault for fault in faults if fault.kind != "missing"]
    assert str(wrong) == "000001_10.png: is 1280 x 384, but must be 1224..1242 x 370..376"


def test_damaged_archives(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        check_submission(CITYSCAPES, tmp_path / "none.zip")
    (tmp_path / "text.zip").write_text("no archive")
    with pytest.raises(InputError, match="is no zip archive that can be read"):
        check_submission(CITYSCAPES, tmp_path / "text.zip")
    with zipfile.ZipFile(tmp_path / "bent.zip", "w") as archive:
        archive.writestr("a.png", as_mode("L"))
    data = bytearray((tmp_path / "bent.zip").read_bytes())
    data[60] ^= 255  # within the picture: its checksum is wrong now
    (tmp_path / "bent.zip").write_bytes(data)
    (fault,) = check_submission(
        BENCHMARKS["camvid"], tmp_path / "bent.zip", Expected({"a": None}, "a list")
    ).faults
    assert fault.kind == "unreadable"
    assert "is damaged in the archive" in fault.what


def test_archives_that_unpack_to_too_much(tmp_path, monkeypatch):
    monkeypatch.setattr("roadseg.media.submissions.checking.MAX_BYTES", 10)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w") as archive:
        archive.writestr("a.png", as_mode("L"))
    (fault,) = check_submission(
        BENCHMARKS["camvid"], tmp_path / "bomb.zip", Expected({"a": None}, "a list")
    ).faults
    assert "more than any label picture" in fault.what


# What is expected


def test_expected_from_folders_and_lists(cityscapes, tmp_path):
    images = expected_frames(CITYSCAPES, cityscapes / "leftImg8bit" / "val")
    labels = expected_frames(CITYSCAPES, cityscapes / "gtFine" / "val")
    assert images is not None
    assert labels is not None
    assert images.sizes == labels.sizes == dict.fromkeys(FRAMES, SIZE)
    listing = tmp_path / "val.txt"
    relative = (
        f"cityscapes/leftImg8bit/val/{VAL_CITIES[0]}/{FRAMES[0]}_leftImg8bit.png\tgtFine/x_labelIds.png"
    )
    listing.write_text(f"# val\n{relative}\n\n{FRAMES[1]}\n{FRAMES[2]}_leftImg8bit.png\n", encoding="utf-8")
    listed = expected_frames(CITYSCAPES, listing)
    assert listed is not None
    assert listed.sizes == {FRAMES[0]: SIZE, FRAMES[1]: None, FRAMES[2]: None}
    assert expected_frames(CITYSCAPES) is None
    kitti = expected_frames(BENCHMARKS["kitti"])
    assert kitti is not None
    assert len(kitti.sizes) == 200


def test_expectations_that_make_no_sense(cityscapes, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        expected_frames(CITYSCAPES, tmp_path / "none")
    (tmp_path / "list.csv").write_text("a")
    with pytest.raises(InputError, match=r"is no folder and no \.txt list"):
        expected_frames(CITYSCAPES, tmp_path / "list.csv")
    (tmp_path / "list.txt").write_text("a.png\n")
    with pytest.raises(InputError, match="names no frame of cityscapes"):
        expected_frames(CITYSCAPES, tmp_path / "list.txt")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InputError, match="cannot be read as a list"):
        expected_frames(CITYSCAPES, tmp_path / "bytes.txt")


# What the numbers mean


def test_the_label_space_as_said_or_noted(predictions):
    files = find_predictions(predictions)
    assert [path.parent.parent.name for path in files] == ["labels"] * 3
    assert find_origin(CITYSCAPES, predictions, files, "mseg-194").how == "given"
    with pytest.raises(LabelError, match="unknown label space"):
        find_origin(CITYSCAPES, predictions, files, "cityscape")
    line = json.dumps({"key": "a", "facts": {"space": "cityscapes-20"}})
    (predictions / "manifest.jsonl").write_text(f'not json\n{line}\n{line}\n{{"key": "b"}}\n{line[:20]}')
    for folder in (predictions, predictions / "labels"):
        origin = find_origin(CITYSCAPES, folder, files)
        assert (origin.space.name, origin.how) == ("cityscapes-20", "manifest")
    (predictions / "manifest.jsonl").write_text(json.dumps({"key": "a", "facts": {"space": "garden"}}))
    with pytest.raises(
        InputError, match="predictions in garden, a label space of your own; name the label space"
    ):
        find_origin(CITYSCAPES, predictions, files)
    (predictions / "manifest.jsonl").write_text(line)
    own = {"key": "c", "space": space("cityscapes").to_json()}
    (predictions / "manifest.1-of-2.jsonl").write_text(json.dumps(own))
    with pytest.raises(InputError, match="several label spaces \\(cityscapes, cityscapes-20\\)"):
        find_origin(CITYSCAPES, predictions, files)
    (predictions / "manifest.jsonl").unlink()
    assert find_origin(CITYSCAPES, predictions, files).space == space("cityscapes")


@pytest.mark.parametrize(
    ("benchmark", "ids", "name"),
    [
        ("cityscapes", [0, 5, 13, 18], "cityscapes-19"),
        ("cityscapes", [0, 13, 255], "cityscapes-19"),
        ("cityscapes", [7, 11, 26], "cityscapes"),
        ("cityscapes", [7, 9, 26], "cityscapes"),
        ("cityscapes", [0, 7, 33], "cityscapes"),
        ("kitti", [7, 23], "kitti"),
        ("wilddash", [7, 38], "wilddash"),
        ("wilddash", [1, 2, 3], "cityscapes-19"),
        ("mapillary", [0, 64], "mapillary-65"),
        ("camvid", [0, 11], "camvid-11"),
    ],
)
def test_the_label_space_by_ids(tmp_path, benchmark, ids, name):
    write_mask(tmp_path / "a.png", stripes(ids, SIZE))
    origin = find_origin(BENCHMARKS[benchmark], tmp_path, [tmp_path / "a.png"])
    assert (origin.space.name, origin.how) == (name, "ids")


def test_ids_that_do_not_tell(tmp_path):
    write_mask(tmp_path / "a.png", stripes([7, 8, 11], SIZE))
    with pytest.raises(InputError, match=r"7, 8, 11.* mean something in both cityscapes-19 and cityscapes"):
        find_origin(CITYSCAPES, tmp_path, [tmp_path / "a.png"])
    write_mask(tmp_path / "a.png", stripes([7, 99], SIZE))
    with pytest.raises(InputError, match=r"7, 99.* of neither"):
        find_origin(CITYSCAPES, tmp_path, [tmp_path / "a.png"])


def test_folders_without_predictions(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        find_predictions(tmp_path / "none")
    (tmp_path / "labels").mkdir()
    with pytest.raises(InputError, match=r"holds no \.png files"):
        find_predictions(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is no folder"):
        find_predictions(tmp_path / "file")


# The rules themselves


@pytest.mark.parametrize("name", sorted(BENCHMARKS))
def test_benchmarks_are_complete(name):
    item = BENCHMARKS[name]
    assert item.name == name
    assert item.space.dtype == np.uint8
    assert all((item.title, item.source, item.upload))
    translation = label_map(item.networks, item.space)
    assert isinstance(translation, LabelMap)
    reached = {wanted for _, wanted in translation.table if wanted != item.space.ignore}
    assert reached <= item.allowed_ids <= set(range(255))
    frame = item.frames[0] if item.frames else "berlin_000000_000019"
    assert item.frame_of(f"a/b/{frame}_leftImg8bit.png" if item.by_beginning else f"{frame}.png") == frame
    assert item.frame_of(item.file_of(frame)) == frame
    assert item.found_for(frame, [item.file_of(frame), "other.png"]) == [item.file_of(frame)]


def test_allowed_ids():
    assert {
        name: (min(b.allowed_ids), max(b.allowed_ids), len(b.allowed_ids)) for name, b in BENCHMARKS.items()
    } == {
        "cityscapes": (0, 33, 34),
        "kitti": (0, 33, 34),
        "mapillary": (0, 64, 65),
        "wilddash": (0, 38, 39),
        "camvid": (0, 11, 12),
    }


def test_sizes_in_words():
    assert str(Sizes((1024, 1024), (2048, 2048))) == "2048 x 1024"
    assert (375, 1242) in BENCHMARKS["kitti"].sizes[0]
    assert (376, 1200) not in BENCHMARKS["kitti"].sizes[0]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sets(st.integers(0, 18), min_size=1), min_size=1, max_size=4), st.booleans())
def test_any_train_ids_become_their_official_ones(tmp_path_factory, pictures, ignored):
    folder = tmp_path_factory.mktemp("any")
    expected = Expected({f"a_{i:06d}_000000": SIZE for i in range(len(pictures))}, "a list")
    translation = label_map("cityscapes-19", "cityscapes")
    for frame, ids in zip(expected.sizes, pictures, strict=True):
        write_mask(folder / "out" / f"{frame}.png", stripes(sorted(ids) + [255] * ignored, SIZE))
    submission = pack(folder / "out", folder / "mine.zip", expected)
    # The one fault that a set of valid pictures may have: each holds the same single id.
    assert {fault.kind for fault in submission.check.faults} <= {"constant"}
    if submission.path is not None:
        with zipfile.ZipFile(submission.path) as archive:
            for frame in expected.sizes:
                with Image.open(io.BytesIO(archive.read(f"{frame}_predictionIds.png"))) as picture:
                    sent = np.array(picture)
                assert np.array_equal(sent, translation.relabel(read_mask(folder / "out" / f"{frame}.png")))
