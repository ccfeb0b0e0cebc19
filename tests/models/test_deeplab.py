"""What is special to DeepLab: the reach of its context modules, its trunks' grids, and its weight files."""

import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from roadseg.errors import RecipeError
from roadseg.models import catalog
from roadseg.models.deeplab import ASPP, DeepLabV3Plus, DensePredictionCell, Trunk
from roadseg.models.layouts import layout_of, layouts
from roadseg.models.resnet import ResNet
from tests.contracts.variants.deeplab import resnet, seresnext, wide_resnet, xception


def _reach(module: nn.Module, first: int = 0, size: int = 151) -> list[tuple[int, int]]:
    """How many rows and columns each branch spreads a single cell to either side; from the channel ``first`` on."""
    center = size // 2
    image = torch.zeros(1, 1, size, size)
    image[..., center, center] = 1
    with torch.no_grad():
        for name, value in module.named_parameters():
            value.fill_(float(name.endswith("weight")))
        maps = module.eval()(image)[0, first:]
    inside = [(each > 0).nonzero() - center for each in maps]
    assert all(torch.equal(-cells.amin(0), cells.amax(0)) for cells in inside)
    return [(int(cells[:, 0].max()), int(cells[:, 1].max())) for cells in inside]


def test_aspp_reaches_as_far_as_its_rates() -> None:
    def squares(*rates: int) -> list[tuple[int, int]]:
        return [(rate, rate) for rate in rates]

    assert _reach(ASPP(1, 8, width=1), 1) == squares(0, 12, 24, 36)
    assert _reach(ASPP(1, 16, width=1), 1) == squares(0, 6, 12, 18)
    assert _reach(ASPP(1, 16, width=1, rates=(3, 7, 9)), 1) == squares(0, 3, 7, 9)


def test_aspp_begins_with_the_mean_of_the_image() -> None:
    aspp = ASPP(3, 8, width=4).eval()
    x = torch.randn(2, 3, 7, 9)
    with torch.no_grad():
        mean = aspp(x)[:, :4]
        assert torch.allclose(mean[..., 0, 0], aspp.pool(x.mean((2, 3), keepdim=True))[..., 0, 0])
    assert torch.equal(mean, mean[..., :1, :1].expand_as(mean))


def test_dense_prediction_cell_is_wired_as_found() -> None:
    """Three convolutions follow the first one, and the last one follows the second (figure 4 of the paper)."""
    first, second, third, fourth, fifth = (1, 6), (18, 15), (6, 21), (1, 1), (6, 3)
    paths = [(first,), (first, second), (first, third), (first, fourth), (first, second, fifth)]
    reach = [tuple(sum(rates[axis] for rates in path) for axis in (0, 1)) for path in paths]
    assert _reach(DensePredictionCell(1, 16, width=1)) == reach
    assert _reach(DensePredictionCell(1, 8, width=1)) == [(2 * rows, 2 * columns) for rows, columns in reach]


@pytest.mark.parametrize("size", [(64, 96), (65, 97), (50, 71), (1, 5)], ids=str)
@pytest.mark.parametrize(
    "trunk",
    [resnet(), resnet(16), seresnext(), wide_resnet(), wide_resnet(16), xception(), xception(16)],
    ids=lambda trunk: f"{type(trunk).__name__}-{trunk.strides[-1]}",
)
def test_trunks_state_the_shapes_of_their_maps(trunk: Trunk, size: tuple[int, int]) -> None:
    with torch.no_grad():
        maps = trunk.eval()(torch.randn(1, 3, *size))
    assert [tuple(each.shape[1:]) for each in maps] == [
        (channels, math.ceil(size[0] / stride), math.ceil(size[1] / stride))
        for channels, stride in zip(trunk.channels, trunk.strides, strict=True)
    ]


def test_pooling_without_padding_is_that_of_the_published_seresnext() -> None:
    images = torch.randn(1, 3, 60, 92)
    trunk = ResNet(50, width=8, depths=(1, 1, 1, 1), pool_padding=0).eval()
    with torch.no_grad():
        features = trunk.relu(trunk.bn1(trunk.conv1(images)))
        assert torch.equal(trunk.stem(images), nn.functional.max_pool2d(features, 3, 2, 0, ceil_mode=True))


def _state(name: str, classes: int, **options: object) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        return catalog.build(name, classes, **options).state_dict()


ALIGNED = {"align_corners": True}
PUBLISHED = [
    ("nvidia-main/deeplabv3-resnet", "deeplabv3-resnet50", {}),
    ("nvidia-main/deeplabv3-resnet", "deeplabv3-resnet101", {}),
    ("nvidia-main/deeplabv3plus-resnet", "deeplabv3plus-resnet50", {}),
    ("nvidia-main/deeplabv3plus-resnet", "deeplabv3plus-resnet101", {"skip": 2}),
    ("nvidia-main/deeplabv3plus-wrn38", "deeplabv3plus-wrn38", {}),
    ("nvidia-main/deeplabv3plus-xception71", "deeplabv3plus-xception71", {"skip": 2}),
    ("nvidia-main/deeper-wrn38", "deeplabv3plus-deeper-wrn38", {}),
    ("nvidia-main/deeper-xception71", "deeplabv3plus-deeper-xception71", {}),
    ("nvidia-sdcnet/deeplabv3plus-resnet", "deeplabv3plus-resnet101", ALIGNED | {"skip": 2}),
    ("nvidia-sdcnet/deeplabv3plus-seresnext", "deeplabv3plus-seresnext50", ALIGNED),
    ("nvidia-sdcnet/deeplabv3plus-seresnext", "deeplabv3plus-seresnext101", ALIGNED | {"skip": 2}),
    ("nvidia-sdcnet/deeplabv3plus-wrn38", "deeplabv3plus-wrn38", ALIGNED),
]


@pytest.mark.parametrize(("layout", "name", "options"), PUBLISHED)
def test_published_files_are_recognised_with_their_options(
    layout: str, name: str, options: dict[str, object]
) -> None:
    ours = _state(name, 65, **options)
    names = next(each for each in layouts() if each.name == layout).to_theirs(ours)
    theirs = {names[key]: value for key, value in ours.items()}
    assert len(theirs) == len(ours)
    pair = layout_of(theirs)
    assert pair is not None
    assert pair[0].name == layout
    assert (pair[1].model, pair[1].num_classes, pair[1].options) == (name, 65, options)
    assert list(pair[0].to_ours(theirs).values()) == list(ours)


@pytest.mark.parametrize(
    ("branch", "network"),
    [
        ("main", "deepv3.DeepV3R50"),
        ("main", "deepv3.DeepV3PlusR50"),
        ("main", "deepv3.DeepV3PlusW38"),
        ("sdcnet", "DeepWV3Plus"),
        ("sdcnet", "DeepR50V3PlusD_m1"),
        ("sdcnet", "DeepSRNX50V3PlusD_m1"),
        ("sdcnet", "DeepSRNX101V3PlusD_m1"),
    ],
)
def test_names_and_shapes_are_the_published_ones(shared: Path, branch: str, network: str) -> None:
    keys = json.loads((shared / "facts" / "keys" / f"nvidia_{branch}.json").read_text())[network]["keys"]
    pair = layout_of({key: torch.empty(shape, device="meta") for key, shape in keys.items()})
    assert pair is not None
    layout, found = pair
    ours = _state(found.model, found.num_classes, **found.options)
    names = layout.to_theirs(ours)
    assert {names[key]: list(value.shape) for key, value in ours.items()} == keys


def test_files_of_trunks_of_other_depths_are_of_no_network() -> None:
    state = _state("deeplabv3plus-resnet50", 19)
    assert layout_of({key: state[key] for key in state if not key.startswith("backbone.layer3.5")}) is None


def test_own_files_tell_the_context() -> None:
    found = layout_of(_state("deeplabv3plus-deeper-wrn38", 19, context="dpc"))
    assert found is not None
    assert found[1].options == {"context": "dpc"}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"output_stride": 4}, "output stride is 8 or 16"),
        ({"context": "psp"}, "context is one of aspp, dpc"),
        ({"context": "dpc", "rates": (1, 2, 3)}, "option of ASPP"),
        ({"rates": (6, 12)}, "three rates"),
        ({"skip": 3}, "skip is 1 or 2"),
    ],
)
def test_refuses_what_it_does_not_know(options: dict[str, object], reason: str) -> None:
    with torch.device("meta"), pytest.raises(RecipeError, match=reason):
        catalog.build("deeplabv3plus-resnet50", 19, **options)


def test_features_are_what_the_head_classifies() -> None:
    model = DeepLabV3Plus(3, resnet(), width=16).eval()
    images = torch.randn(1, 3, 40, 56)
    with torch.no_grad():
        features = model.features(images)
        assert features.shape[1] == model.decoder.channels
        assert torch.equal(model.decoder.head(features), model(images).logits)
