import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from roadseg.models import catalog
from roadseg.models.icnet import ICNet, SummedContext, icnet, icnet_resnet50
from roadseg.models.layouts import layout_of, layouts
from tests.contracts.variants.icnet import VARIANTS
from tests.write_model_figures import multiply_adds, parameters

LAYOUTS = {layout.name: layout for layout in layouts()}


@pytest.fixture(scope="module")
def full() -> ICNet:
    with torch.device("meta"):
        return icnet(19).eval()


def test_has_the_size_of_the_published_network(full: ICNet) -> None:
    """6.69 M parameters, normalizations merged into convolutions and no auxiliary classifiers; 29.8 G at 1025 x 2049."""
    guides = sum(value.numel() for name, value in full.named_parameters() if "conv_low_cls" in name)
    scales = sum(m.weight.numel() for m in full.modules() if isinstance(m, nn.BatchNorm2d))
    assert round((parameters(full) - guides - scales) / 1e6, 2) == 6.69
    postponed = 19 * 128 * (257 * 513 - 129 * 257)  # the published network classifies after the enlargement
    assert round((multiply_adds(full, (1025, 2049)) + postponed) / 1e9, 1) == 29.8


def test_deeper_stages_see_smaller_images(full: ICNet) -> None:
    seen = {}
    trunk = full.backbone
    watched = {
        "detail": full.conv_sub1,
        "half": trunk.layer2[0],
        "quarter": trunk.layer2[1],
        "last": trunk.layer4,
    }
    handles = [
        module.register_forward_hook(lambda _m, _a, out, name=name: seen.update({name: tuple(out.shape[1:])}))
        for name, module in watched.items()
    ]
    full(torch.empty(1, 3, 256, 512, device="meta"))
    for handle in handles:
        handle.remove()
    assert seen == {
        "detail": (64, 32, 64),
        "half": (256, 16, 32),
        "quarter": (256, 8, 16),
        "last": (1024, 8, 16),
    }


def test_stride_comes_first_in_the_pruned_trunk_alone(full: ICNet) -> None:
    first = full.backbone.layer2[0]
    assert (first.conv1.stride, first.conv2.stride) == ((2, 2), (1, 1))
    with torch.device("meta"):
        first = icnet_resnet50(19).backbone.layer2[0]
    assert (first.conv1.stride, first.conv2.stride) == ((1, 1), (2, 2))


@pytest.mark.parametrize("variant", ["icnet", "icnet-whole-ceil"])
def test_output_is_a_quarter_rounded_up_at_every_size(variant: str) -> None:
    model = VARIANTS[variant](5).eval()
    with torch.no_grad():
        for side in (*range(1, 10), *range(28, 37), 63, 64, 65, 66):
            cells = model(torch.randn(1, 3, side, 70 - side)).logits.shape[-2:]
            assert cells == (math.ceil(side / 4), math.ceil((70 - side) / 4))


@pytest.mark.parametrize("variant", ["icnet", "icnet-whole"])
def test_guides_at_an_eighth_and_a_sixteenth(variant: str) -> None:
    output = VARIANTS[variant](5).train()(torch.randn(2, 3, 64, 96))
    assert [tuple(scores.shape) for scores in output.aux] == [(2, 5, 8, 12), (2, 5, 4, 6)]


def test_without_guides() -> None:
    model = VARIANTS["icnet-centers"](5).train()
    assert not [key for key in model.state_dict() if "conv_low_cls" in key]
    assert model(torch.randn(2, 3, 64, 96)).aux == ()


@pytest.mark.parametrize("size", [(1, 1), (4, 3), (33, 65)], ids=str)
def test_context_is_a_sum_of_averages(size: tuple[int, int]) -> None:
    x = torch.randn(2, 4, *size)
    priors = [F.adaptive_avg_pool2d(x, bins) for bins in (1, 2, 3, 6)]
    want = x + sum(F.interpolate(prior, size=size, mode="bilinear", align_corners=True) for prior in priors)
    torch.testing.assert_close(SummedContext(align_corners=True)(x), want)


@pytest.mark.parametrize(
    ("name", "layout", "options"),
    [
        ("icnet", "roadseg/icnet", {"aux": True}),
        ("icnet", "roadseg/icnet", {"aux": False}),
        ("icnet-resnet50", "roadseg/icnet", {"aux": False}),
        ("icnet-resnet50", "fast-seg/icnet", {"aux": True, "ceil_mode": True}),
        ("icnet-resnet50", "fast-seg/icnet", {"aux": False, "ceil_mode": True}),
    ],
)
def test_names_are_recognised_and_come_back(name: str, layout: str, options: dict[str, object]) -> None:
    with torch.device("meta"):
        ours = catalog.build(name, 19, **options).state_dict()
    theirs = LAYOUTS[layout].to_theirs(ours)
    found = layout_of({theirs[key]: value for key, value in ours.items()})
    assert found is not None
    assert found[0].name == layout
    assert (found[1].model, found[1].num_classes, found[1].options) == (name, 19, options)
    assert set(LAYOUTS[layout].to_ours(theirs.values()).values()) == set(ours)
