import dataclasses
import json
import math
import struct

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file

from roadseg.data import open_source
from roadseg.errors import ImageError, InputError, LabelError, WeightsError
from roadseg.inference import (
    DEFAULT_WEIGHTS,
    Predictor,
    WeightsCard,
    Whole,
    autocast_dtype,
    choose_device,
    evaluate,
    find_weights,
    load,
    load_package,
    normalize,
    protocol_of,
    save_package,
)
from roadseg.labels import LabelSpace, space
from roadseg.metrics import Scores
from roadseg.models import build
from roadseg.models.output import Output
from roadseg.recipes import Preprocess
from tests.fakes import fake_camvid
from tests.tiny import tiny

CARD = WeightsCard(model="fast-scnn", space=space("camvid-11"), preprocess=Preprocess())


class PerPixel(torch.nn.Module):
    """A 1x1 convolution: what it answers at a pixel depends on nothing else."""

    stride = 1
    align_corners = False

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.conv = torch.nn.Conv2d(3, num_classes, 1)

    def forward(self, images: torch.Tensor) -> Output:
        return Output(self.conv(images))


def picture(height: int = 37, width: int = 51) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    torch.manual_seed(0)
    return Predictor(build("fast-scnn", 11), CARD, device="cpu")


def test_a_prediction_has_the_image_s_size_and_space(predictor):
    prediction = predictor(picture())
    assert prediction.labels.shape == (37, 51)
    assert prediction.space == space("camvid-11")
    assert prediction.confidence is None
    assert np.array_equal(prediction.image, picture())


def test_whole_equals_the_plain_computation(predictor):
    image = picture(48, 64)  # multiples of the stride: nothing is padded
    batch = normalize(torch.from_numpy(image).permute(2, 0, 1)[None], CARD.preprocess)
    with torch.inference_mode():
        logits = predictor.model(batch).logits
    dense = F.interpolate(logits, size=(48, 64), mode="bilinear", align_corners=True).max(1).indices[0]
    assert (predictor(image).labels == dense.numpy()).mean() > 0.999


@pytest.mark.parametrize("align_corners", [True, False])
def test_odd_sizes_are_extended_and_cut(align_corners):
    torch.manual_seed(0)
    model = build("fast-scnn", 11, align_corners=align_corners)
    prediction = Predictor(model, CARD, device="cpu")(picture(1, 1))
    assert prediction.labels.shape == (1, 1)


def test_a_pixelwise_network_is_decoded_exactly():
    model = PerPixel(11)
    image = picture()
    prediction = Predictor(model, CARD, device="cpu")(image)
    batch = normalize(torch.from_numpy(image).permute(2, 0, 1)[None], CARD.preprocess)
    with torch.inference_mode():
        expected = model(batch).logits.max(1).indices[0].numpy()
    assert np.array_equal(prediction.labels, expected)


def test_a_fixed_network_size_still_gives_the_image_s_size():
    card = dataclasses.replace(CARD, preprocess=Preprocess(size=(64, 96)))
    seen = []

    class Spy(PerPixel):
        def forward(self, images: torch.Tensor) -> Output:
            seen.append(tuple(images.shape[-2:]))
            return super().forward(images)

    prediction = Predictor(Spy(11), card, device="cpu")(picture())
    assert seen == [(64, 96)]
    assert prediction.labels.shape == (37, 51)


def test_confidence_is_the_softmax_of_the_winner(predictor):
    prediction = predictor(picture(16, 16), confidence=True)
    assert prediction.confidence is not None
    assert prediction.confidence.shape == (16, 16)
    assert (prediction.confidence >= 1 / 11 - 1e-6).all()
    assert (prediction.confidence <= 1).all()


def test_files_pillow_images_and_arrays_give_the_same(predictor, tmp_path):
    image = picture()
    Image.fromarray(image).save(tmp_path / "street.png")
    labels = [predictor(source).labels for source in (image, Image.fromarray(image), tmp_path / "street.png")]
    assert np.array_equal(labels[0], labels[1])
    assert np.array_equal(labels[0], labels[2])


def test_streams_are_lazy(predictor):
    def frames():
        yield picture(8, 8)
        raise RuntimeError("asked for more than one")

    assert next(predictor.stream(frames())).labels.shape == (8, 8)


def test_floating_point_arrays_are_refused(predictor):
    with pytest.raises(ImageError, match=r"float32.*give uint8 RGB"):
        predictor(np.zeros((4, 4, 3), np.float32))


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (0, 4, 3)])
def test_arrays_of_another_shape_are_refused(predictor, shape):
    with pytest.raises(ImageError, match="no image"):
        predictor(np.zeros(shape, np.uint8))


def test_a_label_space_of_another_size_is_refused():
    with pytest.raises(LabelError, match=r"11 channels.*cityscapes-19"):
        Predictor(
            build("fast-scnn", 11), dataclasses.replace(CARD, space=space("cityscapes-19")), device="cpu"
        )


def test_a_label_space_with_gaps_is_refused():
    with pytest.raises(LabelError, match="whose ids are not 0, 1, 2"):
        Predictor(build("fast-scnn", 35), dataclasses.replace(CARD, space=space("cityscapes")), device="cpu")


def test_an_absent_device_is_refused_with_a_remedy():
    with pytest.raises(InputError, match="use `auto` or `cpu`"):
        choose_device("cuda:93")


def test_bfloat16_that_is_only_emulated_is_not_taken(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert autocast_dtype("auto", torch.device("cuda")) == torch.float16


def test_a_package_survives_the_round_trip(tmp_path):
    model = build("fast-scnn", 11, aux=("stem",), align_corners=False)
    card = dataclasses.replace(
        CARD,
        options={"aux": ("stem",), "align_corners": False},
        preprocess=Preprocess(order="BGR", size=(64, 96), scale=0.5),
        scores=({"miou": 0.5},),
        license="Apache-2.0",
        provenance={"hours": 1.5},
        source_sha256="ab" * 32,
    )
    save_package(tmp_path / "w.safetensors", model, card)
    loaded, read = load_package(tmp_path / "w.safetensors")
    assert read.space == card.space
    assert read.preprocess == card.preprocess
    assert (read.license, read.provenance, read.source_sha256) == ("Apache-2.0", {"hours": 1.5}, "ab" * 32)
    for key, value in model.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[key])
    assert not loaded.training


def test_half_precision_halves_the_file_and_loads_as_float32(tmp_path):
    model = build("fast-scnn", 11)
    save_package(tmp_path / "full.safetensors", model, CARD)
    save_package(tmp_path / "half.safetensors", model, CARD, dtype=torch.float16)
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("full", "half")]
    assert sizes[1] < 0.6 * sizes[0]
    loaded, _ = load_package(tmp_path / "half.safetensors")
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}


def test_a_temperature_changes_probabilities_and_no_label(tmp_path):
    model = build("fast-scnn", 11)
    save_package(tmp_path / "raw.safetensors", model, CARD)
    save_package(tmp_path / "calm.safetensors", model, dataclasses.replace(CARD, temperature=2.0))
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    raw, calm = (load(tmp_path / f"{name}.safetensors") for name in ("raw", "calm"))
    before, after = raw(image, confidence=True), calm(image, confidence=True)
    assert np.array_equal(before.labels, after.labels)
    batch = torch.from_numpy(image).permute(2, 0, 1)[None]
    (found, _), (cooled, _) = raw.scores(batch), calm.scores(batch)
    assert torch.allclose(found.scores, 2 * cooled.scores)
    assert (after.confidence < before.confidence + 1e-6).all()
    # Neither training on them nor saving them again divides twice.
    again, card = load_package(tmp_path / "calm.safetensors")
    assert torch.equal(again.state_dict()["classifier.conv.1.weight"], model.classifier.conv[1].weight)
    assert card.temperature == 2.0


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_a_temperature_is_a_positive_number(value):
    with pytest.raises(ValueError, match="temperature"):
        dataclasses.replace(CARD, temperature=value)


def test_tensors_without_a_card_point_to_convert(tmp_path):
    save_file({"weight": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="roadseg convert"):
        load_package(tmp_path / "w.safetensors")


def test_a_card_that_names_code_is_refused_unless_trusted(tmp_path):
    card = dataclasses.replace(CARD, model="tests.tiny:tiny")
    save_package(tmp_path / "w.safetensors", tiny(11), card)
    with pytest.raises(WeightsError, match="code"):
        load_package(tmp_path / "w.safetensors")
    model, _ = load_package(tmp_path / "w.safetensors", trust_code=True)
    assert type(model).__name__ == "TinyNet"


@pytest.mark.parametrize(
    "change",
    [{"format": 99}, {"space": {"name": "x"}}, {"preprocess": {"mean": 3, "colour": 1}}, {"format": None}],
)
def test_a_damaged_card_is_one_clear_error(tmp_path, change):
    save_package(tmp_path / "w.safetensors", build("fast-scnn", 11), CARD)
    raw = (tmp_path / "w.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    header["__metadata__"]["roadseg"] = json.dumps(json.loads(header["__metadata__"]["roadseg"]) | change)
    text = json.dumps(header).encode()
    (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + length :])
    with pytest.raises(WeightsError, match=r"w\.safetensors"):
        load_package(tmp_path / "w.safetensors")


def test_an_unknown_name_lists_the_bundled_ones():
    with pytest.raises(InputError, match="neither a file nor the name of bundled weights"):
        load("fast-scnn.mars")


def test_bundled_weights_know_themselves():
    predictor = load(device="cpu")
    assert predictor.space == space("camvid-11")
    assert predictor.card.provenance["recipe"]["name"] == "fast-scnn.camvid-regions"
    assert "CamVid" in predictor.card.license


def test_loading_folds_normalizations_and_keeps_the_result():
    fused, plain = load(device="cpu"), load(device="cpu", fuse=False)
    left = [name for name, m in fused.model.named_modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert all(name.startswith("auxlayer") for name in left)  # these run in training only
    images = torch.randn(1, 3, 72, 96)
    with torch.inference_mode():
        a, b = fused.model(images).logits, plain.model(images).logits
    assert (a - b).abs().max() <= 1e-4 * b.abs().max()
    assert list(plain.model.state_dict()) == list(load_package(find_weights(DEFAULT_WEIGHTS))[0].state_dict())


def test_a_predictor_changes_no_parameter_of_the_network_it_is_given():
    model = build("fast-scnn", 11).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    Predictor(model, CARD, device="cpu")(picture())
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[key], value) for key, value in before.items())


class Stubborn(PerPixel):
    """Runs on images of one size only."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.norm = torch.nn.BatchNorm2d(num_classes)

    def forward(self, images: torch.Tensor) -> Output:
        if images.shape[-2:] != (37, 51):
            raise ValueError("I want 37 x 51")
        return Output(self.norm(self.conv(images)))


def test_a_network_that_refuses_the_trial_image_is_used_as_it_is(tmp_path):
    card = dataclasses.replace(CARD, model=f"{__name__}:Stubborn")
    save_package(tmp_path / "w.safetensors", Stubborn(11), card)
    predictor = load(tmp_path / "w.safetensors", device="cpu", trust_code=True)
    assert isinstance(predictor.model.norm, torch.nn.BatchNorm2d)
    assert predictor(picture()).labels.shape == (37, 51)


def test_evaluation_counts_every_labeled_pixel_once(predictor, tmp_path):
    fake_camvid(tmp_path)
    source = open_source(tmp_path)
    whole = evaluate(predictor, source, "train")
    shares = [evaluate(predictor, source, "train", rank=rank, world=3) for rank in range(3)]
    together = shares[0] + shares[1] + shares[2]
    assert np.array_equal(whole.counts, together.counts)
    assert whole.images == together.images == len(source.find("train"))
    protocol = protocol_of(predictor, source, "train", whole)
    assert str(Scores.from_confusion(whole, protocol).protocol).startswith("camvid train: ")


def test_evaluation_translates_to_the_data_s_space(tmp_path):
    """A network of another label space is scored in the data's own."""
    fake_camvid(tmp_path)
    source = open_source(tmp_path)
    card = dataclasses.replace(CARD, space=space("camvid-12"))
    confusion = evaluate(Predictor(PerPixel(12), card, device="cpu"), source, "test")
    assert confusion.space == space("camvid-11")
    assert confusion.counts[:, -1].sum() >= 0


def test_evaluation_between_unrelated_spaces_is_refused(tmp_path):
    fake_camvid(tmp_path)
    fruits = LabelSpace.from_names(["apple", "pear"], name="fruits")
    card = dataclasses.replace(CARD, space=fruits)
    with pytest.raises(LabelError, match="fruits"):
        evaluate(Predictor(PerPixel(2), card, device="cpu"), open_source(tmp_path), "test")


def test_whole_describes_itself():
    assert Whole().describe() == "whole image, single scale, no flip"
