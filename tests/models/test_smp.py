import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.export import Dim, export

from roadseg.errors import RecipeError, WeightsError
from roadseg.models import catalog, load_encoder, load_weights
from roadseg.models.generic import SMP
from roadseg.models.smp import encoders, preprocess_of, read_folder

library = pytest.importorskip("segmentation_models_pytorch")

SMALL_VIT = "tu-vit_tiny_patch16_224"
DPT = {
    "decoder_intermediate_channels": (8, 8, 16, 16),
    "decoder_fusion_channels": 16,
}
# Each architecture, and each sort of encoder, at least once: (encoder, options, a size that SMP takes).
PAIRS = {
    "deeplabv3": ("tu-mobilenetv3_small_050", {"decoder_channels": 32}, (64, 96)),
    "deeplabv3plus": ("efficientnet-b0", {"decoder_channels": 32}, (64, 96)),
    "dpt": (SMALL_VIT, DPT, (64, 96)),
    "fpn": ("mobileone_s0", {}, (64, 96)),
    "linknet": ("tu-mobilenetv3_small_050", {}, (64, 96)),
    "manet": ("tu-mobilenetv3_small_050", {"decoder_channels": (32, 32, 16, 8, 8)}, (64, 96)),
    "pan": ("tu-mobilenetv3_small_050", {}, (128, 160)),
    "pspnet": ("tu-mobilenetv3_small_050", {}, (64, 96)),
    "segformer": ("mit_b0", {}, (64, 96)),
    "unet": ("resnet18", {}, (64, 96)),
    "unetplusplus": ("tu-mobilenetv3_small_050", {"decoder_channels": (32, 32, 16, 8, 8)}, (64, 96)),
    "upernet": ("tu-convnext_atto", {"decoder_channels": 16}, (64, 96)),
}


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def _ours(architecture: str, classes: int = 5) -> nn.Module:
    encoder, options, _ = PAIRS[architecture]
    return catalog.build(f"smp:{architecture}/{encoder}", classes, **options).eval()


def _theirs(architecture: str, classes: int = 5) -> nn.Module:
    encoder, options, _ = PAIRS[architecture]
    extra = {"dynamic_img_size": True} if architecture == "dpt" else {}
    return library.create_model(architecture, encoder, None, 3, classes, **options, **extra).eval()


def _logits(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(images).logits


def _apart(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


def _shake(model: nn.Module) -> None:
    """Fresh statistics (mean 0, variance 1) would let a wrong use of them pass unseen."""
    for key, buffer in model.named_buffers():
        if key.endswith("running_mean"):
            buffer.normal_(0.0, 0.1)
        elif key.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)


def test_every_architecture_is_tested() -> None:
    assert set(PAIRS) == set(SMP) == {name.lower() for name in library.MODEL_ARCHITECTURES_MAPPING}


@pytest.mark.parametrize("architecture", PAIRS)
def test_equals_the_original_after_its_last_resize(architecture: str) -> None:
    theirs, ours = _theirs(architecture), _ours(architecture)
    _shake(theirs)
    ours.load_state_dict(theirs.state_dict())
    size = PAIRS[architecture][2]
    images = torch.randn(2, 3, *size)
    with torch.no_grad():
        wanted = theirs(images)
    logits = _logits(ours, images)
    assert ours.stride == SMP[architecture].stride == catalog.row(f"smp:{architecture}/resnet50").stride
    assert logits.shape[2:] == (size[0] // ours.stride, size[1] // ours.stride)
    assert (
        _apart(F.interpolate(logits, size, mode="bilinear", align_corners=ours.align_corners), wanted) < 1e-5
    )


# Pooling pyramids, which exporters get wrong as they are, and transformers; tests/contracts exports a U-Net.
@pytest.mark.parametrize("architecture", ["dpt", "pspnet", "upernet"])
def test_exports_with_free_height_and_width(architecture: str) -> None:
    model = _ours(architecture)
    _shake(model)
    free = {2: Dim.AUTO, 3: Dim.AUTO}
    program = export(model, (torch.randn(1, 3, 128, 160),), dynamic_shapes=(free,), strict=False).module()
    for size in [(128, 160), (97, 161), (225, 131)]:
        images = torch.randn(1, 3, *size)
        assert _apart(_logits(program, images), _logits(model, images)) < 1e-5, size


@pytest.mark.parametrize(
    ("encoder", "misfits"),
    [
        ("resnet18", {"dpt"}),
        ("efficientnet-b0", {"dpt"}),
        ("mit_b0", {"dpt", "linknet", "unetplusplus"}),
        ("mobileone_s0", {"dpt"}),
        ("tu-mobilenetv3_small_050", set()),
        ("tu-convnext_atto", set()),
        ("tu-efficientvit_b0", {"deeplabv3", "deeplabv3plus", "pan"}),
    ],
)
def test_architectures_that_fit_an_encoder(encoder: str, misfits: set[str]) -> None:
    found = set()
    for architecture in SMP:
        try:
            model = catalog.build(f"smp:{architecture}/{encoder}", 3)
        except RecipeError:
            found.add(architecture)
        else:
            assert model.stride == SMP[architecture].stride
    assert found <= misfits  # later releases may fit more of them together
    assert found or not misfits


def test_encoder_is_the_trunk_and_takes_weights_of_classifiers() -> None:
    import timm
    import torchvision

    model, classifier = catalog.build("smp:unet/resnet18", 2), torchvision.models.resnet18()
    load_encoder(model, classifier.state_dict())
    assert torch.equal(model.encoder.layer4[1].conv2.weight, classifier.layer4[1].conv2.weight)
    classifier = timm.create_model("mobilenetv3_small_050")
    model = catalog.build("smp:fpn/tu-mobilenetv3_small_050", 2)
    load_encoder(model, classifier.state_dict())
    assert torch.equal(model.backbone.conv_stem.weight, classifier.conv_stem.weight)


def test_parameters_without_use_are_frozen_and_kept() -> None:
    model = catalog.build("smp:pspnet/resnet18", 5)
    frozen = {key for key, value in model.named_parameters() if not value.requires_grad}
    assert frozen == {
        key for key, _ in model.named_parameters() if key.startswith(("encoder.layer3", "encoder.layer4"))
    }
    output = model(torch.randn(2, 3, 40, 64))
    output.logits.sum().backward()
    assert {key for key, value in model.named_parameters() if value.grad is None} == frozen


def test_builds_without_memory() -> None:
    with torch.device("meta"):
        model = catalog.build("smp:segformer/mit_b0", 7)
    assert all(value.is_meta for value in model.state_dict().values())
    assert model.eval()(torch.empty(1, 3, 40, 70, device="meta")).logits.shape == (1, 7, 10, 18)


def test_networks_of_one_image_size_take_any() -> None:
    model = catalog.build(f"smp:dpt/{SMALL_VIT}", 3, **DPT).eval()
    assert _logits(model, torch.randn(1, 3, 50, 70)).shape == (1, 3, 25, 35)


def test_windows_of_one_image_size_take_any() -> None:
    model = catalog.build(
        "smp:fpn/tu-swin_tiny_patch4_window7_224", 3, depths=(1, 1, 1, 1), embed_dim=24
    ).eval()
    assert _logits(model, torch.randn(1, 3, 250, 70)).shape == (1, 3, 63, 18)


def test_builds_without_gradients_too() -> None:
    with torch.inference_mode():
        model = catalog.build("smp:pspnet/resnet18", 3)
    assert model.encoder.conv1.weight.requires_grad
    assert not model.encoder.layer4[0].conv1.weight.requires_grad


def test_options_decide_the_stride() -> None:
    model = catalog.build("smp:pspnet/resnet18", 5, encoder_depth=4)
    assert model.stride == 16


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("smp:unett/resnet18", r"smp has no architecture 'unett'; did you mean unet.*it has deeplabv3, "),
        ("smp:unet/resnet19", r"there is no encoder 'resnet19'; did you mean resnet18.*encoders\(\)"),
        ("smp:unet/tu-resnet18x", "there is no encoder 'tu-resnet18x'; did you mean tu-resnet18"),
        ("smp:unet", "does not say which encoder; write smp:unet/ENCODER"),
        ("smp:unet/tu-hf-hub:someone/something", "is not the name of an encoder"),
        ("smp:dpt/resnet18", "is built on networks of timm alone; write tu-NAME"),
        ("smp:deeplabv3/xception", "needs an encoder that can keep its resolution by dilation"),
        ("smp:pan/tu-hrnet_w18_small", "needs an encoder that can keep its resolution by dilation"),
        ("smp:deeplabv3plus/tu-repvit_m0_9", "needs an encoder that can keep its resolution by dilation"),
        ("smp:unetplusplus/mit_b0", r"U-Net\+\+ cannot be built on mit_b0"),
        ("smp:fpn/tu-vit_tiny_patch16_224", "needs maps at 1/4, 1/8, 1/16 and 1/32.*go with dpt"),
    ],
)
def test_what_does_not_fit_is_one_sentence(name: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        catalog.build(name, 5)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("encoder", "options", "message"),
    [
        ("resnet18", {"depth": 3}, "has no option depth; its options are .*encoder_depth"),
        ("resnet18", {"encoder_weights": "imagenet"}, "never downloaded"),
        ("resnet18", {"upsampling": 4}, "upsampling: networks return logits at their own stride"),
        ("tu-resnet18", {"checkpoint_path": "x.pth"}, "has no option checkpoint_path"),
        ("tu-resnet18", {"pretrained": True}, "has no option pretrained"),
        ("tu-resnet18", {"no_such_thing": 1}, "cannot be built on tu-resnet18"),
        ("resnet18", {"encoder_depth": 9}, "cannot be built on resnet18"),
        ("resnet18", {"decoder_channels": (8, 8)}, "cannot be built on resnet18"),
    ],
)
def test_refused_options(encoder: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        catalog.build(f"smp:unet/{encoder}", 5, **options)


def test_says_how_to_install_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch.encoders", None)
    with pytest.raises(RecipeError, match=r"pip install 'roadseg\[smp\]'"):
        catalog.build("smp:unet/resnet18", 5)


# Preprocessing


def test_preprocessing_is_that_of_the_libraries_where_they_tell() -> None:
    for name in ("tu-resnet18", "tu-xception41", "tu-convnext_atto", "tu-vit_base_patch16_224", "tu-dpn68"):
        told = library.encoders.get_preprocessing_params(name)
        ours = preprocess_of(name)
        assert ours["order"] == told["input_space"]
        assert ours["mean"] == pytest.approx([255 * value for value in told["mean"]], abs=1e-3)
        assert ours["std"] == pytest.approx([255 * value for value in told["std"]], abs=1e-3)


@pytest.mark.parametrize(
    ("encoder", "mean"),
    [
        ("resnet50", (123.675, 116.28, 103.53)),
        ("efficientnet-b4", (123.675, 116.28, 103.53)),
        ("mit_b0", (123.675, 116.28, 103.53)),
        ("se_resnext50_32x4d", (123.675, 116.28, 103.53)),
        ("xception", (127.5, 127.5, 127.5)),
        ("inceptionresnetv2", (127.5, 127.5, 127.5)),
        ("timm-tf_efficientnet_lite0", (127.5, 127.5, 127.5)),
        ("dpn68", (124, 117, 104)),
    ],
)
def test_preprocessing_of_native_encoders(encoder: str, mean: tuple[float, ...]) -> None:
    assert preprocess_of(encoder)["mean"] == pytest.approx(mean)


def test_preprocessing_fits_the_recipes() -> None:
    from roadseg.recipes import Preprocess

    assert Preprocess(**preprocess_of("resnet50")) == Preprocess()
    assert Preprocess(**preprocess_of("efficientnet-b0", "advprop")).mean == (127.5, 127.5, 127.5)


def test_every_native_encoder_has_preprocessing() -> None:
    native = [name for name in encoders() if not name.startswith("tu-")]
    assert len(native) > 50
    assert all(len(preprocess_of(name)["std"]) == 3 for name in native)


def test_preprocessing_of_an_unknown_encoder() -> None:
    with pytest.raises(RecipeError, match="no encoder 'resnet'"):
        preprocess_of("resnet")


# Folders that SMP saved


def _save(model: nn.Module, folder: Path) -> Path:
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("architecture", ["deeplabv3plus", "segformer"])
def test_saved_folder_gives_the_same_network(architecture: str, tmp_path: Path) -> None:
    theirs = _theirs(architecture, classes=6)
    _shake(theirs)
    name, num_classes, options, weights = read_folder(_save(theirs, tmp_path))
    encoder, given, size = PAIRS[architecture]
    assert (name, num_classes) == (f"smp:{architecture}/{encoder}", 6)
    assert {key: options[key] for key in given} == given
    ours = catalog.build(name, num_classes, **options).eval()
    load_weights(ours, weights)
    images = torch.randn(1, 3, *size)
    with torch.no_grad():
        wanted = theirs(images)
    assert (
        _apart(F.interpolate(_logits(ours, images), size, mode="bilinear", align_corners=True), wanted) < 1e-5
    )


CONFIG = {"_model_class": "Unet", "encoder_name": "resnet18", "classes": 3}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("{", "is not valid JSON.*save_pretrained"),
        ("[" * 100_000, "is not valid JSON"),
        ("[]", "holds a list, not an object"),
        (CONFIG | {"_model_class": "Sequential"}, "unknown class 'Sequential'; known are"),
        (CONFIG | {"_model_class": ["Unet"]}, "unknown class"),
        ({"encoder_name": "resnet18"}, "unknown class None"),
        (CONFIG | {"classes": "many"}, "'many' classes"),
        (CONFIG | {"classes": True}, "True classes"),
        (CONFIG | {"encoder_name": 3}, "has encoder 3"),
        (CONFIG | {"encoder_name": "tu-hf-hub:a/b"}, "is not the name of an encoder"),
        (CONFIG | {"encoder_name": "resnet19"}, "no encoder 'resnet19'"),
        (CONFIG | {"in_channels": 4}, "in_channels 4; only networks for images of three channels"),
        (CONFIG | {"aux_params": {"classes": 2}}, "classifier of whole images"),
        (CONFIG | {"nothing": 4}, "has no option nothing"),
        (CONFIG | {"encoder_name": "tu-resnet18", "checkpoint_path": "/x"}, "has no option checkpoint_path"),
        (CONFIG, "model.safetensors: does not exist"),
    ],
)
def test_bad_folder(config: str | dict[str, object], message: str, tmp_path: Path) -> None:
    text = config if isinstance(config, str) else json.dumps(config)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(WeightsError, match=message) as caught:
        read_folder(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert caught.value.remedy


def test_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"config.json: cannot be read \(No such file"):
        read_folder(tmp_path / "nowhere")


def test_settings_for_training_do_not_matter(tmp_path: Path) -> None:
    config = CONFIG | {"encoder_weights": "imagenet", "activation": "softmax", "decoder_channels": [8] * 5}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").touch()
    assert read_folder(tmp_path)[2] == {"decoder_channels": [8] * 5}
