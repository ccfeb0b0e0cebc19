import pytest
import torch
import torch.nn.functional as F
from torch import nn

from roadseg.models import catalog
from roadseg.models.layouts import detect, layout_of, layouts
from roadseg.models.pspnet import PSPNet, PyramidPooling
from roadseg.models.resnet import ResNet

LAYOUTS = {layout.name: layout for layout in layouts()}


def _tiny(*, ceil_mode: bool = False, **options: object) -> PSPNet:
    trunk = ResNet(
        50,
        stem="deep",
        stem_widths=(8, 8, 16),
        ceil_mode=ceil_mode,
        output_stride=8,
        width=8,
        depths=(1, 1, 1, 1),
    )
    return PSPNet(5, trunk, **options).eval()


def _logits(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(images).logits


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (7, 13), (17, 33)], ids=str)
@pytest.mark.parametrize("align_corners", [True, False])
def test_pyramid_is_that_of_the_paper(size: tuple[int, int], align_corners: bool) -> None:
    pyramid = PyramidPooling(8, align_corners=align_corners).eval()
    x = torch.randn(2, 8, *size)
    parts = [x]
    for bins, (_, conv, norm, relu) in zip((1, 2, 3, 6), pyramid.features, strict=True):
        prior = relu(norm(conv(F.adaptive_avg_pool2d(x, bins))))
        parts.append(F.interpolate(prior, size=size, mode="bilinear", align_corners=align_corners))
    torch.testing.assert_close(pyramid(x), torch.cat(parts, dim=1))


def test_order_of_the_pyramid_is_an_order_of_weights() -> None:
    model, other = _tiny(), _tiny(priors_first=True)
    state = model.state_dict()
    features, priors = state["cls.0.weight"].chunk(2, dim=1)
    other.load_state_dict(state | {"cls.0.weight": torch.cat([priors, features], dim=1)})
    images = torch.randn(1, 3, 40, 72)
    torch.testing.assert_close(_logits(other, images), _logits(model, images))


def test_without_relu_averages_may_be_negative() -> None:
    x = torch.randn(1, 16, 9, 9)
    assert PyramidPooling(16).eval()(x)[:, 16:].min() >= 0
    assert PyramidPooling(16, relu=False).eval()(x)[:, 16:].min() < 0


def test_rounding_the_pooling_up_adds_a_cell_unless_the_sides_fit() -> None:
    down, up = _tiny(), _tiny(ceil_mode=True)
    up.load_state_dict(down.state_dict())
    fitting = torch.randn(1, 3, 41, 65)  # 8k + 1
    assert torch.equal(_logits(up, fitting), _logits(down, fitting))
    even = torch.randn(1, 3, 40, 64)
    assert _logits(down, even).shape[-2:] == (5, 8)
    assert _logits(up, even).shape[-2:] == (6, 9)


def test_auxiliary_logits_come_from_the_third_stage() -> None:
    model = _tiny(aux_width=12, aux_bias=True).train()
    assert model.aux[0].in_channels == model.backbone.channels[2]
    assert model.aux[0].bias is not None
    output = model(torch.randn(2, 3, 40, 64))
    assert [scores.shape for scores in output.aux] == [output.logits.shape]


def test_without_auxiliary_classifier() -> None:
    model = _tiny(aux_width=0).train()
    assert not [key for key in model.state_dict() if key.startswith("aux")]
    assert model(torch.randn(2, 3, 40, 64)).aux == ()


FAST_SEG = {
    "pyramid_relu": False,
    "priors_first": True,
    "aux_width": 512,
    "aux_bias": True,
    "ceil_mode": True,
}


@pytest.mark.parametrize(
    ("layout", "options"),
    [
        ("semseg/pspnet", {"aux_width": 256}),
        ("semseg/pspnet", {"aux_width": 0}),
        ("fast-seg/pspnet", FAST_SEG),
        ("roadseg/pspnet", {"aux_width": 512, "aux_bias": True}),
    ],
)
@pytest.mark.parametrize("name", ["pspnet-resnet50", "pspnet-resnet101"])
def test_published_names_are_recognised_and_come_back(
    name: str, layout: str, options: dict[str, object]
) -> None:
    with torch.device("meta"):
        ours = catalog.build(name, 19, **options).state_dict()
    theirs = LAYOUTS[layout].to_theirs(ours)
    found = layout_of({theirs[key]: value for key, value in ours.items()})
    assert found is not None
    assert found[0].name == layout
    assert (found[1].model, found[1].num_classes, found[1].options) == (name, 19, found[1].options | options)
    assert set(LAYOUTS[layout].to_ours(theirs.values()).values()) == set(ours)


def test_other_depths_are_not_taken_for_ours() -> None:
    with torch.device("meta"):
        model = PSPNet(19, ResNet(152, stem="deep", output_stride=8))
    assert detect(model.state_dict()) is None


def test_classes_tell_the_label_space() -> None:
    conventions = LAYOUTS["semseg/pspnet"].conventions
    assert {number: convention.labels for number, convention in conventions.items()} == {
        19: "cityscapes-19",
        194: "mseg-194",
    }
