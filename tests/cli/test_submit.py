import zipfile
from pathlib import Path

import numpy as np
import pytest

from roadseg.labels import label_map, space
from roadseg.media import read_mask, write_mask
from tests.fakes import SIZE, VAL_CITIES, fake_cityscapes, stripes

FRAMES = tuple(f"{city}_000000_000019" for city in VAL_CITIES)
IDS = (0, 1, 10, 13, 18, 255)


@pytest.fixture
def data(tmp_path) -> Path:
    return fake_cityscapes(tmp_path / "cityscapes")


@pytest.fixture
def val(data) -> Path:
    return data / "leftImg8bit" / "val"


@pytest.fixture
def out(tmp_path) -> Path:
    """Predictions in train ids."""
    for i, frame in enumerate(FRAMES):
        write_mask(tmp_path / "out" / "labels" / f"{frame}_leftImg8bit.png", stripes(np.roll(IDS, i), SIZE))
    return tmp_path / "out"


def test_predictions_become_an_archive(run, out, val):
    result = run("submit", out, "--benchmark", "cityscapes", "--expected", val, "-o", "mine.zip")
    assert result.code == 0
    assert result.sentence == (
        "predictions are in cityscapes-19 (judging by the ids that occur), translated to cityscapes"
    )
    assert result.out.startswith("mine.zip (")
    assert "3 label pictures, no fault found; upload it at cityscapes-dataset.com/submit" in result.out
    with zipfile.ZipFile("mine.zip") as archive:
        assert archive.namelist() == [f"{frame}_predictionIds.png" for frame in FRAMES]
    again = run("submit", "--check-only", "mine.zip", "--benchmark", "cityscapes", "--expected", val)
    assert (again.code, again.err) == (0, "")
    assert again.out.startswith("mine.zip: 3 label pictures, no fault found")


def test_json(run, out, val):
    arguments = ("submit", out, "--benchmark", "cityscapes", "--expected", val, "--json", "--quiet")
    result = run(*arguments)
    assert (result.code, result.err) == (0, "")
    found = result.json
    assert found.pop("bytes") == Path("cityscapes.zip").stat().st_size
    assert len(found.pop("sha256")) == 64
    assert found == {
        "file": "cityscapes.zip",
        "from": "cityscapes-19",
        "from_how": "ids",
        "benchmark": "cityscapes",
        "to": "cityscapes",
        "images": 3,
        "split": None,
        "expected": {"from": str(val), "images": 3},
        "faults": [],
    }
    next((out / "labels").glob("lindau*")).unlink()
    Path("cityscapes.zip").unlink()
    refused = run(*arguments)
    assert refused.code == 2
    assert (refused.json["file"], refused.json["sha256"]) == (None, None)
    assert refused.json["faults"] == [
        {"kind": "missing", "file": FRAMES[1], "fault": f"has no file, but is expected ({val})"}
    ]
    assert not Path("cityscapes.zip").exists()


def test_a_broken_submission_is_refused_with_its_faults(run, out, val):
    for i in range(7):
        write_mask(out / "labels" / f"berlin_{i:06d}_000019.png", stripes(IDS, SIZE))
    write_mask(out / "labels" / f"{FRAMES[0]}_color.png", stripes(IDS, SIZE))
    result = run("submit", out, "--benchmark", "cityscapes", "--expected", val, "--quiet")
    assert result.code == 2
    assert result.out == ""
    lines = result.err.splitlines()
    assert len(lines) == 7
    assert lines[0].startswith(
        f"roadseg: error: labels/{FRAMES[0]}_color.png: is a color picture by its name"
    )
    assert lines[1].endswith(f"labels/berlin_000000_000019.png: is of no expected frame ({val})")
    assert lines[-1] == (
        "roadseg: error: 8 faults (2 more of kind unexpected; --json has all): nothing was written"
    )
    assert not list(Path().iterdir())


def test_train_ids_sent_as_they_are(run, out, val):
    result = run("submit", "--check-only", out / "labels", "--benchmark", "cityscapes", "--expected", val)
    assert result.code == 2
    assert "holds id 255" in result.err
    assert "labels: these are train ids (0..18), but cityscapes wants the ids of cityscapes" in result.err
    assert f"{out / 'labels'} is not fit to be sent" in result.err
    claimed = run("submit", out, "--benchmark", "cityscapes", "--expected", val, "--from", "cityscapes")
    assert claimed.code == 2
    assert not Path("cityscapes.zip").exists()


def test_without_expectations_the_number_counts(run, out):
    result = run("submit", out, "--benchmark", "cityscapes", "--from", "cityscapes-19")
    assert result.code == 2
    assert "without --expected, only the number of images is checked (test 1525, val 500)" in result.err
    assert "predictions are in cityscapes-19 (as given), translated to cityscapes" in result.err
    assert "3 frames were found, but test has 1525, val has 500" in result.err
    write_mask(Path("wd/wd0001.png"), stripes(IDS, SIZE))
    write_mask(Path("wd/wd0002.png"), stripes(IDS[1:], SIZE))
    free = run("submit", "wd", "--benchmark", "wilddash")
    assert free.code == 0
    assert "nobody can tell whether an image is missing" in free.err


def test_camvid_has_no_server(run, tmp_path):
    for name in ("0001TP_008550", "0001TP_008580"):
        write_mask(tmp_path / "out" / f"{name}.png", stripes(range(12), (360, 480)))
    (tmp_path / "list.txt").write_text("0001TP_008550.png\n0001TP_008580.png\n")
    result = run("submit", tmp_path / "out", "--benchmark", "camvid", "--expected", tmp_path / "list.txt")
    assert result.code == 0
    assert "predictions are in camvid-11 (judging by the ids that occur), which camvid wants" in result.err
    assert "there is no server for CamVid" in result.out
    with zipfile.ZipFile("camvid.zip") as archive:
        assert archive.namelist() == ["0001TP_008550.png", "0001TP_008580.png"]


@pytest.mark.usefixtures("bundled")
def test_from_photos_to_archive(run, val, tmp_path):
    assert run("predict", val, "-o", tmp_path / "p", "--to", "cityscapes-19", "--quiet").code == 0
    result = run(
        *("submit", tmp_path / "p", "--benchmark", "cityscapes", "--expected", val),
        *("--from", "cityscapes-19", "-o", "mine.zip", "--json", "--quiet"),
    )
    # Random weights may well see one class everywhere, which is a fault of its own.
    if result.code == 2:
        assert [fault["kind"] for fault in result.json["faults"]] == ["constant"]
        return
    with zipfile.ZipFile("mine.zip") as archive:
        archive.extractall("unpacked")
    official = label_map("cityscapes-19", space("cityscapes"))
    for city, frame in zip(VAL_CITIES, FRAMES, strict=True):
        own = read_mask(tmp_path / "p" / "labels" / city / f"{frame}_leftImg8bit.png")
        assert np.array_equal(
            read_mask(Path("unpacked") / f"{frame}_predictionIds.png"), official.relabel(own)
        )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "one thing at a time"),
        (["OUT", "--check-only", "mine.zip"], "one thing at a time"),
        (["--check-only", "none.zip"], "none.zip: does not exist"),
        (["--check-only", "none.zip", "-o", "x.zip"], "--check-only writes and translates nothing"),
        (["none"], "none: does not exist"),
        (["OUT", "-o", "mine.tar"], "mine.tar: is no name of an archive; let it end in .zip"),
        (["OUT", "--from", "cityscape"], "unknown label space 'cityscape'"),
        (["OUT", "--from", "voc-21", "--benchmark", "mapillary"], "no map leads"),
        (["OUT", "--expected", "nowhere"], "nowhere: does not exist"),
    ],
)
def test_requests_that_cannot_be_met(run, out, arguments, words):
    given = [out if item == "OUT" else item for item in arguments]
    if "--benchmark" not in given:
        given += ["--benchmark", "cityscapes"]
    result = run("submit", *given, "--quiet")
    assert result.code == 2
    assert words in result.sentence
    assert result.out == ""


def test_unknown_benchmark(run, out):
    assert run("submit", out, "--benchmark", "pascal").code == 2
