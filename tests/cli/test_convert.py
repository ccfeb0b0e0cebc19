import dataclasses
import json
import pickle

import pytest
import torch

from roadseg.inference import WeightsCard, file_sha256, load, load_package, save_package
from roadseg.labels import space
from roadseg.models import build, read_card
from roadseg.models.weights import read_state
from roadseg.recipes import Preprocess


@pytest.fixture
def old(tmp_path):
    """A checkpoint of ESPNet for 12 classes, as a training script of another project may have left it."""
    torch.manual_seed(0)
    model = build("espnet", 12, alpha2=1, alpha3=2)
    state = {f"module.{key}": value for key, value in model.state_dict().items() if "num_batches" not in key}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "old.pth")
    return tmp_path / "old.pth"


def test_all_of_a_recognized_checkpoint_is_kept(run, old, tmp_path):
    new = tmp_path / "new.safetensors"
    result = run("convert", old, "--space", "camvid-12", "-o", new, "--note", "of mine", "--license", "MIT")
    assert result.code == 0
    assert "network  espnet alpha2=1 alpha3=2 skip=concat" in result.out
    model, card = load_package(new)
    assert card.space == space("camvid-12")
    assert (card.license, card.provenance["note"], card.source_sha256) == ("MIT", "of mine", file_sha256(old))
    stored = torch.load(old, weights_only=True)["state_dict"]
    for key, value in model.state_dict().items():
        if f"module.{key}" in stored:
            assert torch.equal(value, stored[f"module.{key}"]), key


def test_every_flag_lands_in_the_card(run, old, tmp_path):
    new = tmp_path / "new.safetensors"
    (tmp_path / "names.txt").write_text("".join(f"class {i}\n" for i in range(12)))
    result = run(
        *(
            "convert",
            old,
            "-o",
            new,
            "--model",
            "espnet",
            "--space",
            tmp_path / "names.txt",
            "--half",
            "--json",
        ),
        *("--options", "alpha2=1", "alpha3=2"),
        *("--preprocess", "order=BGR", "mean=1,2,3", "std=4,5,6", "scale=1/255", "size=64,96"),
    )
    assert (result.code, result.err) == (0, "")
    _, card = load_package(new)
    assert card.preprocess == Preprocess(
        order="BGR", mean=(1, 2, 3), std=(4, 5, 6), scale=1 / 255, size=(64, 96)
    )
    assert card.space.names[3] == "class 3"
    assert result.json["space"]["name"] == "names"
    assert {t.dtype for t in read_state(new).state.values() if t.is_floating_point()} == {torch.float16}
    assert run("models", new).code == 0


def test_our_own_files_are_saved_anew(run, weights, tmp_path):
    (tmp_path / "score.json").write_text(json.dumps({"miou": 0.5, "protocol": {"text": "p"}}))
    new = tmp_path / "small.safetensors"
    result = run(
        "convert", weights, "--half", "-o", new, "--score", tmp_path / "score.json", "--note", "half"
    )
    assert result.code == 0
    assert new.stat().st_size < 0.6 * weights.stat().st_size
    before, after = read_card(weights), read_card(new)
    assert [score["miou"] for score in after["scores"]] == [0.05, 0.5]
    assert after["provenance"] == {**before["provenance"], "note": "half"}
    changed = {"scores", "provenance"}
    assert {k: v for k, v in after.items() if k not in changed} == {
        k: v for k, v in before.items() if k not in changed
    }
    assert load(new).space == load(weights).space


def _score(path, weights, **calibration):
    found = {"miou": 0.5, "protocol": {"text": "p"}, "weights_sha256": file_sha256(weights)}
    path.write_text(json.dumps(found | ({"calibration": calibration} if calibration else {})))
    return path


def test_a_temperature_is_recorded_and_goes_on_from_the_one_before(run, weights, tmp_path):
    once, twice = tmp_path / "once.safetensors", tmp_path / "twice.safetensors"
    score = _score(tmp_path / "score.json", weights, temperature=1.5)
    result = run("convert", weights, "-o", once, "--calibration", score)
    assert result.code == 0
    assert "divided by 1.5" in result.out
    assert read_card(once)["temperature"] == 1.5
    assert "divided by 1.5" in run("models", once).out
    score = _score(tmp_path / "score.json", once, temperature=0.5)
    assert run("convert", once, "-o", twice, "--calibration", score).code == 0
    assert read_card(twice)["temperature"] == 0.75


def test_scores_that_hold_no_temperature_or_are_of_others_are_refused(run, weights, tmp_path):
    new, score = tmp_path / "new.safetensors", tmp_path / "score.json"
    _score(score, weights)
    result = run("convert", weights, "-o", new, "--calibration", score)
    assert (result.code, new.exists()) == (2, False)
    assert "holds no temperature" in result.err
    _score(score, score, temperature=1.5)  # of another file
    result = run("convert", weights, "-o", new, "--calibration", score)
    assert (result.code, new.exists()) == (2, False)
    assert "other weights" in result.err


def test_of_a_score_the_card_keeps_what_tells_of_the_weights(run, camvid, weights, tmp_path):
    score, new = tmp_path / "score.json", tmp_path / "new.safetensors"
    arguments = ("--weights", weights, "--calibration", "--out", score)
    assert run("evaluate", "--data", camvid, *arguments).code == 0
    assert run("convert", weights, "-o", new, "--score", score).code == 0
    full, kept = json.loads(score.read_text()), read_card(new)["scores"][-1]
    left_out = ("weights", "weights_sha256", "data", "device", "seconds")
    left_out += ("calibration", "per_image", "confusion")
    assert kept == {key: value for key, value in full.items() if key not in left_out}
    assert str(camvid).encode() not in new.read_bytes()


def test_a_score_of_other_weights_is_not_recorded(run, weights, tmp_path):
    new, score = tmp_path / "new.safetensors", tmp_path / "score.json"
    _score(score, __file__)
    result = run("convert", weights, "-o", new, "--score", score)
    assert (result.code, new.exists()) == (2, False)
    assert f"score.json: is a score of other weights than {weights}" in result.sentence


def test_the_layout_says_what_is_not_given(run, old, tmp_path):
    result = run("convert", old, "-o", tmp_path / "new.safetensors")
    assert result.code == 0
    assert "layout   sacmehta/espnet" in result.out
    card = read_card(tmp_path / "new.safetensors")
    assert card["space"]["name"] == "camvid-12"
    assert (card["preprocess"]["order"], card["preprocess"]["scale"]) == ("BGR", 1 / 255)
    assert card["provenance"]["published"] == "https://github.com/sacmehta/ESPNet"


def test_what_is_given_goes_before_the_layout(run, old, tmp_path):
    new = tmp_path / "new.safetensors"
    result = run("convert", old, "-o", new, "--preprocess", "order=RGB", "--license", "mine")
    assert result.code == 0
    _, card = load_package(new)
    assert (card.preprocess.order, card.preprocess.scale, card.license) == ("RGB", 1 / 255, "mine")


def test_recognized_checkpoints_predict_without_conversion(run, old, photo, tmp_path):
    result = run("predict", photo, "--weights", old, "--out", tmp_path / "out")
    assert result.code == 0
    assert (
        "old.pth is taken for espnet alpha2=1 alpha3=2 skip=concat of sacmehta/espnet: labels camvid-12"
        in result.err
    )
    assert load(old).space == space("camvid-12")


def test_folders_of_segmentation_models_pytorch(run, photo, tmp_path):
    library = pytest.importorskip("segmentation_models_pytorch")
    torch.manual_seed(0)
    theirs = library.Unet("resnet18", encoder_weights=None, classes=11, decoder_channels=(32, 16, 16, 8, 8))
    theirs.save_pretrained(tmp_path / "folder")
    new = tmp_path / "new.safetensors"
    result = run("convert", tmp_path / "folder", "--space", "camvid-11", "-o", new)
    assert result.code == 0
    model, card = load_package(new)
    assert card.model == "smp:unet/resnet18"
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        assert torch.allclose(model(image).logits, theirs.eval()(image), atol=1e-5)
    assert run("predict", photo, "--weights", new, "--out", tmp_path / "out").code == 0


def test_every_value_of_the_preprocessing_has_a_form():
    from roadseg.cli import convert

    assert set(convert._FORMS) == {field.name for field in dataclasses.fields(Preprocess)}


@pytest.mark.parametrize("name", ["espnet_p_2_q_8_camvid", "espnet_p_2_q_3", "espnet_c_encoder_p_2_q_8"])
def test_published_files_are_known(run, shared, tmp_path, name):
    old = shared / "data" / "weights" / "espnet" / f"{name}.pth"
    result = run("convert", old, "-o", tmp_path / "new.safetensors", "--json")
    assert result.code == 0
    assert result.sentence.endswith("denormal values were set to zero: they only slow processors down")
    _, card = load_package(tmp_path / "new.safetensors")
    assert card.preprocess.order == "BGR"
    assert card.space.num_classes == (12 if "camvid" in name else 20)
    assert "MIT" in card.license


class Evil:
    """Makes a file when unpickled."""

    def __reduce__(self):
        return (open, ("owned", "w"))


@pytest.mark.parametrize("kind", ["torch", "pickle"])
def test_malicious_pickles_are_refused(run, tmp_path, kind):
    path = tmp_path / "evil.pth"
    if kind == "torch":
        torch.save({"state_dict": {"a": torch.zeros(1)}, "x": Evil()}, path)
    else:
        path.write_bytes(pickle.dumps({"a": Evil()}, protocol=2))
    result = run(
        "convert", path, "--model", "espnet", "--space", "camvid-12", "-o", tmp_path / "new.safetensors"
    )
    assert result.code == 2
    assert result.sentence.startswith(f"roadseg: error: {path}: ")
    assert "nothing in it was executed" in result.sentence
    assert not list(tmp_path.rglob("owned"))
    assert not (tmp_path / "new.safetensors").exists()


def test_weights_that_name_code_are_refused_unless_trusted(run, photo, tmp_path):
    path = tmp_path / "own.safetensors"
    from tests.tiny import tiny

    save_package(
        path,
        tiny(11),
        WeightsCard(model="tests.tiny:tiny", space=space("camvid-11"), preprocess=Preprocess()),
    )
    result = run("predict", photo, "--weights", path)
    assert result.code == 2
    assert "names code to run, tests.tiny:tiny, which was refused" in result.sentence
    assert run("predict", photo, "--weights", path, "--trust-code").code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "fast-scnn", "--space", "camvid-12"], "does not fit FastSCNN"),
        (["--model", "fast-scnn", "--space", "camvid-12"], "this looks like espnet"),
        (["--space", "camvid-11"], "has 12 channels, but label space camvid-11 has 11 classes"),
        (["--space", "camvid-12", "--options", "alpha9=1"], "has no option alpha9"),
        (["--space", "camvid-12", "--options", "alpha2"], "'alpha2' is not KEY=VALUE"),
        (["--space", "camvid-12", "--preprocess", "means=1,2,3"], "there is no 'means'"),
        (["--space", "camvid-12", "--preprocess", "mean=1,2"], "mean is (1, 2)"),
        (["--space", "camvid-12", "--preprocess", "order=GBR"], "order is 'GBR'"),
        (["--space", "camvid-12", "--preprocess", "scale=x"], "scale is 'x'"),
        (["--space", "camvid-12", "--preprocess", "short_side=1.5"], "short_side is 1.5"),
        (["--space", "missing.txt"], "missing.txt: cannot be read as a list of class names"),
        (["--space", "camvid-12", "--score", "none.json"], "none.json: is no score"),
    ],
)
def test_requests_that_cannot_be_met(run, old, tmp_path, arguments, words):
    result = run("convert", old, "-o", tmp_path / "new.safetensors", "--quiet", *arguments)
    assert result.code == 2
    assert words in result.sentence
    assert not (tmp_path / "new.safetensors").exists()


def test_another_number_of_classes_needs_a_label_space(run, tmp_path):
    torch.save(build("espnet", 11, alpha3=2).state_dict(), tmp_path / "mine.pth")
    result = run("convert", tmp_path / "mine.pth", "-o", tmp_path / "new.safetensors")
    assert result.code == 2
    assert (
        "does not say what its channels mean; give a label space with 11 classes: camvid-11"
        in result.sentence
    )


def test_other_requests_that_cannot_be_met(run, old, weights, tmp_path):
    new = tmp_path / "new.safetensors"
    torch.save({"a": torch.zeros(1)}, tmp_path / "strange.pth")
    for arguments, words in (
        ((old, "-o", tmp_path / "new.pth"), "let it end in .safetensors"),
        ((weights, "-o", new, "--model", "espnet"), "says already what it is; leave out --model"),
        ((tmp_path / "none.pth", "-o", new), "does not exist"),
        ((tmp_path / "strange.pth", "-o", new), "of no network that roadseg recognizes"),
    ):
        result = run("convert", *arguments)
        assert result.code == 2
        assert words in result.sentence
