import pytest
import torch

from roadseg.errors import RecipeError
from roadseg.models import catalog
from roadseg.models.attention_to_scale import ExplicitAttention, PairedAttention
from roadseg.models.layouts import layout_of, layouts
from tests.contracts.variants.attention_to_scale import VARIANTS
from tests.contracts.variants.deeplab import resnet


def _state(name: str, classes: int, **options: object) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        return catalog.build(name, classes, **options).state_dict()


def _run(model: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(images).logits


@pytest.mark.parametrize("variant", VARIANTS)
def test_training_returns_the_logits_of_each_scale(variant: str) -> None:
    output = VARIANTS[variant](4).train()(torch.randn(2, 3, 64, 96))
    stride = VARIANTS[variant](4).backbone.strides[0]
    assert output.logits.shape == (2, 4, 64, 96)
    assert [tuple(x.shape[-2:]) for x in output.aux] == [
        (64 * scale // stride // 2, 96 * scale // stride // 2) for scale in (1, 2, 4)
    ]


def test_explicit_weights_multiply_the_scales() -> None:
    """Twice the weights give twice the logits; weights for one scale alone give that scale's prediction."""
    model = ExplicitAttention(3, resnet(), width=8, attention_width=4).eval()
    images = torch.randn(1, 3, 48, 64)
    before = _run(model, images)
    model.scale_attn[2].weight.data.mul_(2)
    torch.testing.assert_close(_run(model, images), 2 * before)
    model.weights = lambda features, size: [torch.full((1, 1, *size), value) for value in (0.0, 1.0, 0.0)]
    plain = model.decoder.head(model.features(images)).detach()
    up = torch.nn.functional.interpolate(plain, size=(48, 64), mode="bilinear")
    torch.testing.assert_close(_run(model, images), up)


def test_pairs_divide_the_weight_of_the_larger_scale() -> None:
    model = PairedAttention(3, resnet(), width=8, attention_width=4).eval()
    features = [torch.randn(1, model.decoder.channels, size, size) for size in (4, 8, 16, 32)]
    with torch.no_grad():
        model.scales = (0.5, 1.0, 2.0)
        three = model.weights(features[:3], (32, 32))
        model.scales = (0.5, 1.0, 2.0, 4.0)
        four = model.weights(features, (32, 32))
        model.scales = (0.5, 1.0)
        two = model.weights(features[:2], (32, 32))
    assert (len(two), len(three), len(four)) == (2, 3, 4)
    assert torch.equal(two[0], three[0])
    assert torch.equal(two[0], four[0])
    torch.testing.assert_close(three[1] + three[2], two[1])
    torch.testing.assert_close(four[2] + four[3], three[2])
    assert all(float(weight.min()) >= 0 and float(weight.max()) <= 1 for weight in four)


def test_padding_adds_a_border_of_constant_weights() -> None:
    model = ExplicitAttention(3, resnet(), width=8, attention_width=4, attention_padding=1)
    maps = model.scale_attn(torch.randn(1, 3 * model.decoder.channels, 5, 6))
    assert maps.shape == (1, 3, 7, 8)
    assert not maps[..., 0].any()


@pytest.mark.parametrize("scales", [(0.5, 2.0), (1.0,), (1.0, 1.0, 2.0), (1.0, -1.0)], ids=str)
def test_refuses_scales_it_cannot_blend(scales: tuple[float, ...]) -> None:
    with torch.device("meta"), pytest.raises(RecipeError, match="1 among them"):
        catalog.build("deeplabv3plus-resnet50-attnscale", 19, scales=scales)


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("deeplabv3plus-resnet50-attnscale", "deeplabv3plus-resnet-attnscale"),
        ("deeplabv3plus-resnet50-attnscale-paired", "deeplabv3plus-resnet-attnscale-paired"),
        ("deeplabv3plus-wrn38-attnscale", "deeplabv3plus-wrn38-attnscale"),
    ],
)
def test_published_files_are_recognised(name: str, layout: str) -> None:
    ours = _state(name, 65)
    published = next(each for each in layouts() if each.name == f"nvidia-main/{layout}")
    names = published.to_theirs(ours)
    pair = layout_of({names[key]: value for key, value in ours.items()})
    assert pair is not None
    assert pair[0] is published
    assert (pair[1].model, pair[1].num_classes, pair[1].options) == (name, 65, {})
