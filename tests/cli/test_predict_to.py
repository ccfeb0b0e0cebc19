"""``--to`` and ``--translate``: results in another label space, for pictures, videos and films of photos."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from roadseg.inference import Predictor, WeightsCard, load, normalize, save_package
from roadseg.inference.maps import score
from roadseg.labels import label_map, space
from roadseg.media import read_image, read_mask
from roadseg.models import build
from roadseg.recipes import Preprocess
from tests.cli.conftest import SIZE
from tests.fakes import picture, save
from tests.films import film, moving, read

OUT = Path("roadseg-out")
UNIVERSAL = space("mseg-194")

MINE = """
name = "mine"
classes = ["drivable", "alive", "other"]

[from.mseg-194]
drivable = ["road", "runway"]
alive = ["person", "bicyclist", "motorcyclist", "rider_other", "dog", "cat"]
other = "all others"
"""


@pytest.fixture(scope="module")
def mseg(tmp_path_factory) -> Path:
    """A Fast-SCNN with random weights for the universal taxonomy, decided enough for sums to matter."""
    torch.manual_seed(0)
    model = build("fast-scnn", UNIVERSAL.num_classes).eval()
    with torch.no_grad():
        [last] = [module for module in model.modules() if getattr(module, "out_channels", 0) == 194]
        batch = torch.from_numpy(picture("street", (256, 256))).permute(2, 0, 1)[None]
        logits = model(normalize(batch, Preprocess())).logits
        spread = logits.std((0, 2, 3)) / 4
        last.weight.div_(spread.view(-1, 1, 1, 1))
        last.bias.sub_(logits.mean((0, 2, 3))).div_(spread)
    path = tmp_path_factory.mktemp("mseg") / "mseg.safetensors"
    save_package(path, model, WeightsCard(model="fast-scnn", space=UNIVERSAL, preprocess=Preprocess()))
    return path


@pytest.fixture
def predict(run, mseg):
    return lambda *arguments: run("predict", *arguments, "--weights", mseg)


@pytest.fixture
def mine(tmp_path) -> Path:
    path = tmp_path / "my-space.toml"
    path.write_text(MINE)
    return path


@pytest.fixture
def own(mseg) -> Predictor:
    return load(mseg, device="cpu")


def sums(own: Predictor, pixels, target) -> np.ndarray:
    """Sums of the network's own probabilities, float32 ``[Ct, H, W]``."""
    chances = score(own, [pixels])[0].probabilities(full=True).astype(np.float32)
    return label_map(UNIVERSAL, target).project(chances)


def assert_won(labels, found):
    """Labels are the best of sums of probabilities in half precision, where those can tell."""
    second, best = np.sort(found, axis=0)[-2:]
    clear = best - second > 2e-3
    assert clear.mean() > 0.5
    np.testing.assert_array_equal(labels[clear], found.argmax(0)[clear])


@pytest.mark.parametrize("target", ["cityscapes-19", "camvid-11"])
def test_sums_win(predict, own, photo, target):
    result = predict(photo, "--to", target, "--json")
    assert result.code == 0
    found = result.json
    assert (found["space"], found["translate"]) == (target, "scores")
    labels = read_mask(OUT / "labels/street.png")
    assert len(np.unique(labels)) > 1
    assert_won(labels, sums(own, read_image(photo), target))
    assert np.array_equal(labels, own.to(target)(photo).labels)
    assert found["images"][0]["space"] == target
    assert found["images"][0]["translate"] == "scores"
    assert sum(found["images"][0]["shares"].values()) == pytest.approx(1)  # nothing is left over


def test_labels_of_winners_are_something_else(predict, own, photo):
    assert (
        predict(photo, "--to", "cityscapes-19", "--translate", "labels", "--json").json["translate"]
        == "labels"
    )
    labels = read_mask(OUT / "labels/street.png")
    assert np.array_equal(labels, label_map(UNIVERSAL, "cityscapes-19").relabel(own(photo).labels))
    assert not np.array_equal(labels, own.to("cityscapes-19")(photo).labels)


def test_every_output_is_in_the_space_that_was_asked_for(predict, own, photo, mine):
    kinds = ("labels", "color", "overlay", "confidence", "entropy", "probabilities", "shares")
    assert predict(photo, "--to", mine, "--outputs", *kinds, "--full", "--legend").code == 0
    target, pixels = space(mine), read_image(photo)
    labels = read_mask(OUT / "labels/street.png")
    expected = sums(own, pixels, target)
    assert_won(labels, expected)
    assert np.array_equal(read_mask(OUT / "color/street.png"), labels)
    with np.load(OUT / "probabilities/street.npz") as file:
        assert file["classes"].tolist() == ["drivable", "alive", "other"]
        np.testing.assert_allclose(file["probabilities"].astype(float), expected, atol=2e-3)
    confidence = read_mask(OUT / "confidence/street.png") / 255
    np.testing.assert_allclose(confidence, expected.max(0), atol=4e-3)
    entropy = -(expected * np.log(np.maximum(expected, 1e-9))).sum(0) / np.log(3)
    np.testing.assert_allclose(read_mask(OUT / "entropy/street.png") / 255, entropy, atol=1e-2)
    shares = json.loads((OUT / "shares/street.json").read_text())
    assert shares["space"] == "mine"
    assert set(shares["shares"]) <= set(target.names)
    assert read_image(OUT / "overlay/street.jpg").shape[0] > SIZE[0]


def test_dropped_mass_is_not_shared_out(predict, own, photo):
    common = (photo, "--to", "cityscapes-19", "--outputs", "probabilities", "confidence")
    assert predict(*common, "--full").code == 0
    expected = sums(own, read_image(photo), "cityscapes-19")
    with np.load(OUT / "probabilities/street.npz") as file:
        np.testing.assert_allclose(file["probabilities"].astype(float), expected, atol=2e-3)
        assert file["probabilities"].sum(0).max() < 0.99
    assert np.abs(read_mask(OUT / "confidence/street.png") / 255 - expected.max(0)).max() < 4e-3
    assert predict(*common).code == 0  # and at the size that the strategy gives
    with np.load(OUT / "probabilities/street.npz") as file:
        assert len(file["probabilities"]) == len(file["classes"]) == 19


def test_probabilities_of_translated_labels_are_in_their_space_too(predict, own, photo):
    assert predict(
        photo, "--to", "cityscapes-19", "--translate", "labels", "--outputs", "probabilities", "--full"
    ).code == 0  # fmt: skip
    with np.load(OUT / "probabilities/street.npz") as file:
        expected = sums(own, read_image(photo), "cityscapes-19")
        np.testing.assert_allclose(file["probabilities"].astype(float), expected, atol=2e-3)


def test_a_note_says_what_cannot_come_out(predict, photo):
    result = predict(photo, "--to", "pascal-context-60")
    assert result.code == 0
    assert "pascal-context-60: these weights can never predict flower, wood" in result.err
    found = predict(photo, "--to", "pascal-context-60", "--json", "--redo").json
    assert found["never"] == ["flower", "wood"]
    first = predict(photo, "--to", "cityscapes-19").err
    assert "mseg-194 to cityscapes-19: " in first
    assert "of 194 classes have none there (backpack, " in first
    assert "their pixels get the best of the others" in first
    labels = predict(photo, "--to", "cityscapes-19", "--translate", "labels").err
    assert "their pixels get the ignored id 255" in labels
    assert predict(photo, "--to", "cityscapes-19", "--quiet").err == ""


@pytest.mark.usefixtures("bundled")
def test_new_ids_for_the_same_classes_need_no_sums(run, photo):
    own = load(device="cpu")(photo)
    found = run("predict", photo, "--to", "camvid-12", "--outputs", "labels", "probabilities", "--json").json
    assert found["translate"] == "labels"
    labels = read_mask(OUT / "labels/street.png")
    assert np.array_equal(labels, label_map("camvid-11", "camvid-12").relabel(own.labels))
    with np.load(OUT / "probabilities/street.npz") as file:
        assert file["classes"].tolist() == list(space("camvid-12").names)
    assert "translate" not in run("predict", photo, "--json").json
    assert "translate" not in run("predict", photo, "--to", "camvid-11", "--json").json


def test_ids_with_gaps(predict, own, photo, mine):
    mine.write_text(
        'name = "mine"\nclasses = [{ name = "drivable", id = 7 }, { name = "other", id = 300 }]\n'
        '[from.mseg-194]\ndrivable = ["road", "runway", "tent", "cat"]\nother = "all others"\n'
    )
    assert predict(photo, "--to", mine, "--outputs", "labels", "shares").code == 0
    found = sums(own, read_image(photo), mine).argmax(0)
    labels = read_mask(OUT / "labels/street.png")
    assert labels.dtype == np.uint16
    assert (labels == np.array([7, 300])[found]).mean() > 0.99


def test_another_space_way_or_map_is_other_work(predict, photo, mine):
    def skipped(*arguments):
        return predict(photo, *arguments, "--json").json["skipped"]

    assert skipped("--to", mine) == 0
    assert skipped("--to", mine) == 1
    assert skipped("--to", mine, "--translate", "labels") == 0
    assert skipped("--to", "cityscapes-19") == 0
    assert skipped("--to", mine) == 0
    mine.write_text(MINE.replace('"road", "runway"', '"road"'))  # the same classes, but another way into them
    assert skipped("--to", mine) == 0
    assert skipped("--to", mine) == 1
    assert skipped() == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (MINE.replace('"road"', '"raod"'), ("my-space.toml", "raod", "road")),
        (MINE.replace("drivable =", "drivabel ="), ("drivabel", "drivable")),
        ("name = ", ("my-space.toml",)),
        ('name = "mine"\nclasses = ["x", "y"]\n', ("mseg-194", "mine", "[from.mseg-194]")),
    ],
)
def test_files_that_do_not_fit(predict, photo, mine, text, words):
    mine.write_text(text)
    result = predict(photo, "--to", mine)
    assert result.code == 2
    for word in words:
        assert word in result.sentence
    assert not any(OUT.glob("*/*"))


def test_a_missing_file_is_named(predict, photo):
    result = predict(photo, "--to", "nowhere/mine.toml")
    assert result.code == 2
    assert "nowhere/mine.toml" in result.sentence


@pytest.mark.parametrize("smooth", ["0", "0.5"])
def test_videos(predict, own, tmp_path, smooth):
    if smooth != "0":
        pytest.importorskip("cv2", reason="needs opencv-python-headless")
    source = film(tmp_path / "drive.mp4", moving(3))
    common = (
        source,
        "--to",
        "cityscapes-19",
        "--outputs",
        "labels",
        "overlay",
        "--legend",
        "--smooth",
        smooth,
    )
    first = predict(*common, "--json").json
    assert (first["translate"], first["videos"][0]["computed"]) == ("scores", 3)
    expected = own.to("cityscapes-19")(read(source)[0][0])
    assert np.array_equal(read_mask(OUT / "labels/drive/000000.png"), expected.labels)
    assert set(first["videos"][0]["shares"]) <= set(space("cityscapes-19").names)
    record = json.loads((OUT / "video/drive.json").read_text())
    assert (record["space"], record["translate"]) == ("cityscapes-19", "scores")
    assert predict(*common, "--json").json["videos"][0]["computed"] == 0
    assert predict(*common, "--translate", "labels", "--json").json["videos"][0]["computed"] == 3


def test_a_film_of_many_classes_names_those_in_the_frame(predict, tmp_path):
    source = film(tmp_path / "drive.mp4", moving(2))
    result = predict(source, "--legend", "--json")
    assert result.code == 0
    frames, _ = read(OUT / "video/drive.mp4")
    assert {frame.shape for frame in frames} == {(*frames[0].shape,)}
    assert SIZE[0] < frames[0].shape[0] < 3 * SIZE[0]


def test_timelapse(run, mseg, tmp_path):
    for name in ("1.png", "2.png"):
        save(tmp_path / "photos" / name, picture(name, SIZE))
    common = ("timelapse", tmp_path / "photos", "--weights", mseg, "--json")
    found = run(*common, "--to", "camvid-11").json
    assert (found["space"], found["translate"]) == ("camvid-11", "scores")
    assert run(*common, "--to", "camvid-11", "--translate", "labels").json["translate"] == "labels"
    assert run(*common).json["frames"] == 2


def test_what_was_summed_can_be_submitted(run, predict, tmp_path):
    for name in ("1.png", "2.png"):
        save(tmp_path / "test" / name, picture(name, SIZE))
    assert predict(tmp_path / "test", "--to", "mapillary-65", "--outputs", "labels", "--quiet").code == 0
    result = run(
        "submit", OUT, "--benchmark", "mapillary", "--expected", tmp_path / "test", "-o", "mine.zip", "--json"
    )
    assert result.code == 0, result.err
    assert (result.json["from"], result.json["from_how"]) == ("mapillary-65", "manifest")
