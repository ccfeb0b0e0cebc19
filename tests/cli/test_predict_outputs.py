"""What ``roadseg predict`` writes: every kind of result, and names that cannot overwrite each other."""

import errno
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from roadseg.cli.predict_video import VideoResult
from roadseg.errors import ImageError
from roadseg.inference import WeightsCard, load, save_package
from roadseg.labels import label_map, space
from roadseg.media import read_image, read_mask, write_mask
from roadseg.recipes import Preprocess
from tests.cli.conftest import SIZE
from tests.fakes import picture, save
from tests.slow import slow

pytestmark = pytest.mark.usefixtures("bundled")
ALL = ("labels", "color", "overlay", "compose", "confidence", "entropy", "probabilities", "shares")
OUT = Path("roadseg-out")


@pytest.fixture
def attentive(tmp_path):
    """Weights of a network with attention."""
    model = slow(11)
    torch.nn.init.normal_(model.head.weight, std=20)
    card = WeightsCard(model="tests.slow:slow", space=space("camvid-11"), preprocess=Preprocess())
    save_package(tmp_path / "attentive.safetensors", model, card)
    return tmp_path / "attentive.safetensors"


def test_every_kind_in_a_folder_of_its_own(run, photo):
    result = run("predict", photo, "--outputs", *ALL, "--json")
    assert (result.code, result.err) == (0, "")
    files = result.json["images"][0]["files"]
    assert list(files) == list(ALL)
    assert all(Path(file).is_file() and Path(file).parent.name == kind for kind, file in files.items())
    labels = read_mask(OUT / "labels/street.png")
    assert read_image(OUT / "compose/street.jpg").shape == (SIZE[0], 2 * SIZE[1] + 2, 3)
    shares = json.loads((OUT / "shares/street.json").read_text())
    assert (shares["height"], shares["width"], shares["space"]) == (*SIZE, "camvid-11")
    assert sum(shares["shares"].values()) == pytest.approx(1)
    assert shares["shares"] == result.json["images"][0]["shares"]
    assert labels.shape == SIZE


@pytest.mark.parametrize("extra", [(), ("--scales", "0.5,1", "--flip"), ("--window", "32")])
def test_maps_are_those_of_the_upsampled_probabilities(run, photo, attentive, extra):
    common = ("predict", photo, "--weights", attentive, "--trust-code", *extra)
    kinds = ("labels", "confidence", "entropy", "probabilities")
    assert run(*common, "--outputs", *kinds, "--full", "-o", "full").code == 0
    with np.load("full/probabilities/street.npz") as file:
        chances = file["probabilities"].astype(np.float64)
        assert tuple(file["size"]) == tuple(file["grid"]) == SIZE
    assert chances.shape == (11, *SIZE)
    assert chances.sum(0) == pytest.approx(1, abs=5e-3)
    labels = read_mask(Path("full/labels/street.png"))
    best = np.take_along_axis(chances, labels[None].astype(int), 0)[0]
    assert (chances.max(0) - best).max() < 2e-3
    gray = read_mask(Path("full/confidence/street.png")) / 255
    assert np.abs(gray - best).max() < 4e-3
    entropy = -(chances * np.log(np.maximum(chances, 1e-9))).sum(0) / np.log(11)
    assert np.abs(read_mask(Path("full/entropy/street.png")) / 255 - entropy).max() < 6e-3
    assert run(*common, "--outputs", "probabilities", "-o", "small").code == 0
    with np.load("small/probabilities/street.npz") as file:
        small = file["probabilities"]
    assert small.dtype == np.float16
    assert small.shape[0] == 11
    assert small.size < chances.size


def test_labels_are_those_of_the_predictor(run, photo, attentive):
    assert run("predict", photo, "--weights", attentive, "--trust-code", "--outputs", "labels").code == 0
    expected = load(attentive, device="cpu", trust_code=True)(photo)
    assert np.array_equal(read_mask(OUT / "labels/street.png"), expected.labels)


def test_attention_by_scale(run, photo, attentive):
    common = ("predict", photo, "--weights", attentive, "--trust-code", "--outputs", "attention")
    assert run(*common).code == 0
    assert read_mask(OUT / "attention/street.png").shape == SIZE
    assert run(*common, "--scales", "0.5,1,2", "-o", "scales").code == 0
    assert read_mask(Path("scales/attention/street.png")).shape == (SIZE[0], 3 * SIZE[1])


def test_attention_of_a_network_without(run, photo):
    result = run("predict", photo, "--outputs", "attention")
    assert result.code == 2
    assert "fast-scnn has no attention to show" in result.sentence


def test_pictures_together_give_the_same_as_alone(run, tmp_path, attentive):
    for i, size in enumerate([SIZE, SIZE, (40, 56), SIZE]):
        save(tmp_path / "in" / f"{i}.png", picture(str(i), size))
    common = (
        "predict",
        tmp_path / "in",
        "--weights",
        attentive,
        "--trust-code",
        "--outputs",
        "labels",
        "attention",
    )
    assert run(*common, "-o", "alone").code == 0
    assert run(*common, "-o", "together", "--batch", "3").code == 0
    for file in sorted(Path("alone").rglob("*.png")):
        other = Path("together") / file.relative_to("alone")
        assert np.abs(read_mask(file).astype(int) - read_mask(other)).max() <= (
            file.parent.name == "attention"
        )


# The truth


def truth_of(photo, path, ids=None):
    """Write the network's own answer as the truth, but for a block that is of class 2."""
    labels = load(device="cpu")(photo).labels.copy()
    labels[:10, :10] = 2
    labels[:10, 10:20] = space("camvid-11").ignore
    write_mask(path, labels if ids is None else ids)
    return labels


def test_diff_shows_the_wrong_pixels(run, photo, tmp_path):
    truth = truth_of(photo, tmp_path / "truth" / "street.png")
    assert (
        run("predict", photo, "--outputs", "labels", "diff", "compose", "--truth", tmp_path / "truth").code
        == 0
    )
    labels = read_mask(OUT / "labels/street.png")
    diff = read_image(OUT / "diff/street.jpg").astype(int)
    wrong = (labels != truth) & (truth != space("camvid-11").ignore)
    assert wrong[:10, :10].all()
    inner = (slice(1, 9), slice(1, 9))  # JPEG blurs a little
    expected = space("camvid-11").colorize(labels)[inner]
    assert np.abs(diff[inner] - expected).mean() < 12
    assert np.ptp(diff[24:, 24:], axis=2).max() < 24  # right pixels are gray
    assert diff[1:9, 11:19].max() < 90
    assert read_image(OUT / "compose/street.jpg").shape[1] == 3 * SIZE[1] + 4


def test_truth_of_the_cityscapes_release(run, tmp_path):
    photo = save(tmp_path / "in" / "ulm" / "ulm_000000_000019_leftImg8bit.png", picture("ulm", SIZE))
    own = load(device="cpu")(photo)
    ids = label_map("cityscapes-19", "cityscapes").relabel(
        label_map("camvid-11", "cityscapes-19").relabel(own.labels)
    )
    write_mask(tmp_path / "gt" / "ulm" / "ulm_000000_000019_gtFine_labelIds.png", ids)
    save(tmp_path / "gt" / "ulm" / "ulm_000000_000019_gtFine_color.png", picture("color", SIZE))
    common = (
        "predict",
        tmp_path / "in",
        "--to",
        "cityscapes-19",
        "--outputs",
        "diff",
        "--truth",
        tmp_path / "gt",
    )
    assert run(*common).code == 0
    diff = read_image(OUT / f"diff/ulm/{photo.stem}.jpg").astype(int)
    assert np.ptp(diff, axis=2).max() < 24  # nothing is wrong


@pytest.mark.parametrize(
    ("size", "name", "words"),
    [
        ((10, 10), "1.png", "the truth is 10x10 pixels, its picture 64x48"),
        (SIZE, "other.png", "1.png: has no truth in"),
    ],
)
def test_truth_that_does_not_fit_is_reported_at_the_end(run, tmp_path, size, name, words):
    for i in (0, 1, 2):
        save(tmp_path / "in" / f"{i}.png", picture(str(i), SIZE))
        write_mask(
            tmp_path / "gt" / (name if i == 1 else f"{i}.png"), np.zeros(size if i == 1 else SIZE, np.uint8)
        )
    result = run("predict", tmp_path / "in", "--outputs", "diff", "--truth", tmp_path / "gt", "--json")
    assert result.code == 1
    assert words in result.sentence
    assert [Path(item["image"]).name for item in result.json["failed"]] == ["1.png"]
    assert sorted(path.name for path in (OUT / "diff").iterdir()) == ["0.jpg", "2.jpg"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--outputs", "diff"], "the output diff needs true labels"),
        (["--outputs", "diff", "--truth", "none"], "none: is no folder"),
        (["--batch", "0"], "--batch is 0"),
        (["--max-memory", "much"], "'much' is no amount of memory"),
        (["--scales", "big"], "'big' are no scales"),
    ],
)
def test_requests_that_cannot_be_met(run, photo, arguments, words):
    result = run("predict", photo, *arguments)
    assert result.code == 2
    assert words in result.sentence


# Names


def test_names_that_collide_never_overwrite_each_other(run, tmp_path):
    names = (
        *("a/1.png", "b/1.png", "a/1.jpg", "X.png", "x.png"),
        *("stra\u00dfe.png", "STRASSE.png", "\u00e9.png", "e\u0301.png", "\u9053\u8def.png"),
    )
    paths = [save(tmp_path / "in" / name, picture(name, SIZE)) for name in names]
    result = run("predict", tmp_path / "in", "--outputs", "labels", "shares", "--json")
    assert (result.code, len(result.json["images"])) == (0, len(names))
    shares = [json.loads(path.read_text()) for path in (OUT / "shares").rglob("*.json")]
    assert {item["image"] for item in shares} == {str(path) for path in paths}
    flat = [path.relative_to(OUT).as_posix().casefold() for path in (OUT / "labels").rglob("*.png")]
    assert len(set(flat)) == len(names)
    for names in (("a/1.png", "b/1.png"), ("b/1.png", "a/1.png")):  # named one by one, whatever the order
        found = run("predict", *(tmp_path / "in" / name for name in names), "-o", "files", "--json").json
        assert len({item["files"]["labels"] for item in found["images"]}) == len(found["images"])


def test_paths_from_standard_input(run, photo, tmp_path, monkeypatch):
    save(tmp_path / "other.png", picture("other", SIZE))
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{photo}\n\n# a remark\n{tmp_path / 'other.png'}\n"))
    assert len(run("predict", "-", "--json").json["images"]) == 2
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{photo}\0{tmp_path / 'other.png'}\0"))
    assert run("predict", "-", "--json").json["skipped"] == 2
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert "standard input: lists no images" in run("predict", "-").sentence
    monkeypatch.setattr("sys.stdin", io.StringIO("none.jpg\n"))
    assert run("predict", "-").sentence.startswith("roadseg: error: standard input, line 1: none.jpg")


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else True, reason="root may write anywhere")
def test_output_that_is_read_only(run, photo, tmp_path):  # pragma: no cover - where tests run as root
    (tmp_path / "out").mkdir(mode=0o500)
    result = run("predict", photo, "-o", tmp_path / "out")
    assert result.code == 2
    assert "cannot be written" in result.sentence


def test_output_on_a_file_system_that_is_read_only(run, photo, monkeypatch):
    opened = Path.open

    def refuse(self, mode="r", *arguments, **options):
        if "r" not in mode:
            raise OSError(errno.EROFS, "Read-only file system", str(self))
        return opened(self, mode, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    result = run("predict", photo)
    assert result.code == 2
    assert "manifest.jsonl: cannot be written" in result.sentence


def test_other_scales_are_announced_and_redo_the_work(run, photo):
    assert run("predict", photo).code == 0
    result = run("predict", photo, "--quality", "balanced")
    assert result.code == 0
    assert result.err.startswith("balanced: ")
    assert "labeled before" not in result.out
    assert "was labeled before, --redo does it again" in run("predict", photo, "--quality", "balanced").out
    assert run("predict", photo, "--quality", "balanced", "--redo", "--json").json["skipped"] == 0


def test_official_ids_and_confidence_go_together(run, photo):
    assert run("predict", photo, "--to", "cityscapes", "--outputs", "labels", "confidence").code == 0
    labels = read_mask(OUT / "labels/street.png")
    assert set(np.unique(labels)) <= {item.id for item in space("cityscapes").classes}


# Videos, which `roadseg.cli.predict_video` labels


def test_videos_go_their_own_way(run, photo, tmp_path, monkeypatch):
    calls = []

    def label(_predictor, source, out, plan, *, key, translation, redo, terminal):
        calls.append((source, key, plan, translation.space.name))
        if "bad" in source:
            raise ImageError("has no frames", where=source)
        return VideoResult(
            source=source, file=out / "video" / "x.mp4", height=2, width=4, fps=25.0, frames=3, seconds=0.1,
            shares={"road": 1.0}, computed=3, failed=None,
        )  # fmt: skip

    monkeypatch.setattr("roadseg.cli.predict_video.predict_video", label)
    for name in ("a/x.mp4", "b/X.mp4", "bad.avi"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    inputs = (f"{tmp_path}/?/*.mp4", tmp_path / "bad.avi", photo)
    result = run("predict", *inputs, "--smooth", "0.5", "--only", "road", "car", "--limit", "9", "--json")
    assert result.code == 1
    assert "bad.avi: has no frames" in result.sentence
    assert [(Path(source).name, key) for source, key, *_ in calls] == [
        ("x.mp4", None),
        ("X.mp4", "X_2"),
        ("bad.avi", None),
    ]
    plan = calls[0][2]
    assert (plan.smooth, plan.only, plan.limit, plan.label_frames) == (0.5, ("road", "car"), 9, False)
    found = result.json
    assert (len(found["images"]), len(found["videos"])) == (1, 2)
    assert [item.get("video") for item in found["failed"]] == [str(tmp_path / "bad.avi")]
    alone = run("predict", tmp_path / "bad.avi")
    assert alone.code == 2
    words = run("predict", tmp_path / "a/x.mp4", "--outputs", "labels", "compose").out
    assert "3 frames" in words
    assert calls[-1][2].label_frames
    assert calls[-1][2].side_by_side
