import json
import os
from pathlib import Path

import numpy as np
import pytest

from roadseg.cli.propagate import parse_frames
from roadseg.data import decode, open_source
from roadseg.errors import InputError
from roadseg.media import read_image, read_mask
from tests.fakes import save
from tests.labeling.films import SHIFT, sliding

NAMES = "leftImg8bit_sequence/train/ulm", "gtFine/train/ulm"


@pytest.fixture
def film(tmp_path):
    """Six frames of which the third is annotated."""
    sliding(tmp_path / "film", frames=6, size=(32, 48))
    return tmp_path / "film"


def _arguments(film, *more):
    return ("propagate", film / "images", "--labels", film / "labels", "--space", "cityscapes-19", *more)


def _provenance():
    return [
        json.loads(line) for line in Path("out/provenance.jsonl").read_text(encoding="utf-8").splitlines()
    ]


def _cityscapes(root, annotated=(2, 3)):
    truths = sliding(root / "plain", frames=5, size=(32, 48), annotated=annotated)
    for t, truth in enumerate(truths):
        stem = f"ulm_000001_{t:06d}"
        save(
            root / NAMES[0] / f"{stem}_leftImg8bit.png",
            read_image(root / "plain" / "images" / f"{t:06d}.png"),
        )
        if t in annotated:
            # The patches 0..4 become unlabeled, road, sidewalk, building and license plate (-1, stored as 255).
            stored = np.array([0, 7, 8, 11, 255], dtype=np.uint8)[truth]
            save(root / NAMES[1] / f"{stem}_gtFine_labelIds.png", stored)
    return truths


def test_a_folder_becomes_a_data_set(run, film):
    result = run(*_arguments(film, "-o", "out", "--frames", "1,2", "--motion", "known", "--json"))
    assert result.code == 0, result.err
    assert result.json["splits"] == {"minus2": 1, "minus1": 1, "plus1": 1, "plus2": 1}
    assert (result.json["written"], result.json["kept"], result.json["failed"]) == (4, 0, [])
    source = open_source("out/data.yaml")
    assert source.splits == ("train", "minus2", "minus1", "plus1", "plus2")
    assert source.target.name == "cityscapes-19"
    assert len(source.find("train")) == 4
    assert len(source.find("plus2+minus2")) == 2
    (record,) = source.find("plus2")
    sample = decode(source, record)
    inside = slice(0, 48 - 2 * SHIFT)
    truth = read_mask(film / "labels" / "000002.png")[:, 2 * SHIFT :]
    assert np.array_equal(sample.mask.numpy()[:, inside], truth)
    real = read_image(film / "images" / "000004.png").transpose(2, 0, 1)
    assert np.array_equal(sample.image.numpy()[..., inside], real[..., inside])


def test_annotated_frames_are_a_split_where_they_are_wanted(run, film):
    result = run(*_arguments(film, "-o", "out", "--frames", "0,1", "--directions", "forward", "--json"))
    assert result.json["splits"] == {"annotated": 1, "plus1": 1}
    source = open_source("out/data.yaml")
    (record,) = source.find("annotated")
    sample = decode(source, record)
    assert np.array_equal(sample.mask.numpy(), read_mask(film / "labels" / "000002.png"))
    assert np.array_equal(sample.image.numpy(), read_image(film / "images" / "000002.png").transpose(2, 0, 1))
    assert len(source.find("train")) == 2


@pytest.mark.parametrize(
    ("frames", "splits"), [("0..1", {"minus1": 1, "annotated": 1}), ("0", {"annotated": 1})]
)
def test_annotated_frames_are_a_split_in_whatever_direction(run, film, frames, splits):
    result = run(*_arguments(film, "-o", "out", "--frames", frames, "--directions", "backward", "--json"))
    assert result.code == 0, result.err
    assert result.json["splits"] == splits


def test_provenance_says_what_every_pair_was_made_from(run, film):
    run(*_arguments(film, "-o", "out", "--frames", "1", "--motion", "known", "--occlusion", "check"))
    lines = _provenance()
    assert [line["offset"] for line in lines] == [-1, 1]
    assert lines[1]["frame"].endswith("000003.png")
    assert lines[1]["source_frame"].endswith("images/000002.png")
    assert lines[1]["source_label"].endswith("labels/000002.png")
    assert (lines[1]["mode"], lines[1]["motion"], lines[1]["occlusion"]) == ("joint", "known", True)
    assert lines[1]["ignored"] == lines[1]["occluded"] == pytest.approx(SHIFT / 48)
    assert (read_mask("out/" + lines[1]["label"]) == 255).mean() == pytest.approx(SHIFT / 48)


def test_cityscapes_keeps_its_layout_and_ids(run, tmp_path):
    truths = _cityscapes(tmp_path / "city")
    result = run(
        "propagate",
        tmp_path / "city",
        "-o",
        "out",
        "--frames",
        "1",
        "--motion",
        "copy",
        "--mode",
        "label-only",
    )
    assert result.code == 0, result.err
    assert "4 pairs written" in result.out
    by_layout, by_yaml = open_source("cityscapes:out"), open_source("out/data.yaml")
    records = by_layout.find("train")
    assert [record.key for record in records] == [
        "ulm-minus1/ulm_000001_000001",
        "ulm-minus1/ulm_000001_000002",
        "ulm-plus1/ulm_000001_000003",
        "ulm-plus1/ulm_000001_000004",
    ]
    assert set(np.unique(by_layout.read_stored(records[0]))) == {0, 7, 8, 11, 255}
    expected = np.array([255, 0, 1, 2, 255], dtype=np.uint8)[truths[2]]
    assert np.array_equal(by_layout.read_label(records[0]), expected)
    assert np.array_equal(by_yaml.read_label(by_yaml.find("minus1")[0]), expected)
    assert by_yaml.target == by_layout.target
    original = tmp_path / "city" / NAMES[0] / records[0].image.name
    assert records[0].image.read_bytes() == original.read_bytes()


def test_a_second_call_makes_only_what_is_missing(run, film):
    arguments = _arguments(film, "-o", "out", "--motion", "copy", "--json", "--frames")
    first = run(*arguments, "1").json
    assert (first["written"], first["kept"]) == (2, 0)
    grown = run(*arguments, "1..2").json
    assert (grown["written"], grown["kept"]) == (2, 2)
    source = open_source("out/data.yaml")
    lost, cut = source.find("plus2")[0].label, source.find("minus1")[0].image
    before = read_mask(lost)
    lost.unlink()
    cut.write_bytes(cut.read_bytes()[:50])
    again = run(*arguments, "1..2").json
    assert (again["written"], again["kept"]) == (2, 2)
    assert np.array_equal(read_mask(lost), before)
    assert len(_provenance()) == 4


def test_pairs_of_another_way_are_not_mixed_in(run, film):
    run(*_arguments(film, "-o", "out", "--frames", "1", "--motion", "copy"))
    result = run(*_arguments(film, "-o", "out", "--frames", "1", "--motion", "known"))
    assert result.code == 2
    assert "made another way (mode joint, motion copy, occlusion False)" in result.sentence


def test_pairs_of_another_label_mapping_are_not_mixed_in(run, film):
    (film / "labels").rename(film / "masks")
    save(film / "masks" / "000002.png", np.full((32, 48), 7, dtype=np.uint8))
    text = "train: images\nnames: [road, car]\nlabel_mapping: "
    (film / "data.yaml").write_text(text + "{7: 0}")
    assert run("propagate", film, "-o", "out", "--frames", "1", "--motion", "copy").code == 0
    (film / "data.yaml").write_text(text + "{7: 1}")
    result = run("propagate", film, "-o", "out", "--frames", "1..2", "--motion", "copy")
    assert result.code == 2
    assert "made another way (of other classes or by another label_mapping)" in result.sentence


def test_names_of_frames_need_not_be_utf_8(run, film):
    start = os.fsdecode(b"stra\xdfe_")
    try:
        for path in [*(film / "images").iterdir(), *(film / "labels").iterdir()]:
            path.rename(path.with_name(start + path.name))
    except OSError:
        pytest.skip("this file system has no such names")
    result = run(*_arguments(film, "-o", "out", "--frames", "1", "--motion", "copy"))
    assert result.code == 0, result.err
    (record,) = open_source("out/data.yaml").find("plus1")
    assert record.image.stem == f"{start}000003"
    assert record.image.is_file()
    assert _provenance()[1]["image"].endswith(f"/{record.image.name}")


def test_shards_share_the_sequences_and_one_yaml_is_written_at_the_end(run, film, monkeypatch):
    other = film.parent / "other"
    sliding(other, frames=3, size=(32, 48), annotated=(1,), first=40)
    for path in [*(other / "images").iterdir(), *(other / "labels").iterdir()]:
        path.rename(film / path.parent.name / path.name)
    monkeypatch.setattr("roadseg.inference.pipeline.Shard.gather", lambda self, value: [value])
    monkeypatch.setenv("WORLD_SIZE", "2")
    arguments = _arguments(film, "-o", "out", "--frames", "1", "--motion", "copy", "--json")
    Path("out").mkdir()
    monkeypatch.setenv("RANK", "1")
    assert run(*arguments).code == 0
    assert not Path("out/data.yaml").exists()
    monkeypatch.setenv("RANK", "0")
    assert run(*arguments).json["splits"] == {"minus1": 2, "plus1": 2}
    assert len(_provenance()) == 4
    assert [path.name for path in Path("out").glob("manifest*")] == ["manifest.jsonl"]
    monkeypatch.delenv("WORLD_SIZE")
    monkeypatch.delenv("RANK")
    assert (again := run(*arguments).json)["kept"] == 4
    assert again["written"] == 0


def test_previews(run, film):
    result = run(
        *_arguments(
            film, "-o", "out", "--frames", "1", "--motion", "known", "--occlusion", "check", "--json"
        ),
        "--preview",
    )
    (sheet,) = result.json["previews"]
    plain = read_image(sheet)
    assert plain.shape[1] > 4 * 360
    assert plain.shape[0] > 3 * 240
    assert (plain == (255, 140, 40)).all(axis=2).sum() > 1000


def test_one_bad_frame_does_not_stop_the_others(run, tmp_path):
    film = tmp_path / "film"
    sliding(film, frames=8, size=(32, 48), annotated=(1, 5))
    save(film / "labels" / "000005.png", np.full((32, 48), 77, dtype=np.uint8))
    result = run(*_arguments(film, "-o", "out", "--frames", "1", "--motion", "copy", "--json"))
    assert result.code == 1
    assert result.json["written"] == 2
    assert result.json["failed"][0]["frame"] == "5"
    assert "000005.png" in result.sentence
    assert "77" in result.sentence


@pytest.mark.parametrize(
    ("spoil", "more", "says"),
    [
        (lambda film: (film / "images" / "000003.png").unlink(), (), "no frames between the numbers 2 and 4"),
        (
            lambda film: (film / "labels" / "000002.png").rename(film / "labels" / "x.png"),
            (),
            "labels for none",
        ),
        (lambda film: (film / "flow" / "000002.npz").unlink(), ("--motion", "known"), "has no stored flow"),
        (lambda film: None, ("--motion", "magic"), "there is no motion 'magic'"),
        (lambda film: None, ("--frames", "5..1"), "--frames is '5..1'"),
        (lambda film: None, ("--frames", "9"), "no frame at the wanted distances"),
        (lambda film: None, ("--every", "0"), "--every is 0"),
        (
            lambda film: save(film / "labels" / "000002.png", np.zeros((8, 8), dtype=np.uint8)),
            (),
            "is 8x8 but its frame 000002.png is 48x32",
        ),
        (
            lambda film: save(film / "images" / "000003.png", np.zeros((8, 8, 3), dtype=np.uint8)),
            ("--directions", "forward"),
            "000003.png: is 8x8 but 000002.png of the same sequence is 48x32",
        ),
    ],
)
def test_bad_input_is_a_sentence(run, film, spoil, more, says):
    spoil(film)
    motion = () if "--motion" in more else ("--motion", "copy")
    frames = () if "--frames" in more else ("--frames", "1..3")
    result = run(*_arguments(film, "-o", "out", *motion, *frames, *more))
    assert result.code == 2
    assert says in result.sentence


def test_distances():
    assert parse_frames("1..3,5") == (1, 2, 3, 5)
    assert parse_frames("4") == (4,)
    assert parse_frames("0..2") == (0, 1, 2)
    for text in ("", "1..", "a", "-1", "1..1000"):
        with pytest.raises(InputError, match="--frames"):
            parse_frames(text)


def test_folders_of_other_data_are_left_alone(run, film):
    result = run(*_arguments(film, "-o", film / "images"))
    assert result.code == 2
    assert "is where the frames are" in result.err
    (film / "data.yaml").write_text("train: images", encoding="utf-8")
    result = run(*_arguments(film, "-o", film))
    assert result.code == 2
    assert "did not write" in result.err
    assert (film / "data.yaml").read_text(encoding="utf-8") == "train: images"
