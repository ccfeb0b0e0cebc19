"""SwiftNet: grids that follow the shape of the map, the image pyramid, and the authors' weight files."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.export import Dim, export

from roadseg.models.blocks import adaptive_avg_pool
from roadseg.models.layouts import layout_of
from roadseg.models.resnet import ResNet
from roadseg.models.swiftnet import SwiftNet, SwiftNetPyramid, _columns, _halve, swiftnet_resnet18
from roadseg.models.weights import in_our_names, load_weights


@given(rows=st.sampled_from([2, 4, 8]), height=st.integers(1, 300), width=st.integers(1, 300))
def test_grid_has_as_many_columns_as_fit_the_shape(rows: int, height: int, width: int) -> None:
    assert _columns(rows, height, width) == max(1, round(rows * width / height))


def test_halves_go_to_the_even_number_of_columns() -> None:
    assert [_columns(2, 4, width) for width in (3, 5, 7, 9)] == [2, 2, 4, 4]  # 1.5, 2.5, 3.5, 4.5


@pytest.mark.parametrize("bins", [(1, 2), (8, 16), (4, 3), (2, 1), 6, 1])
@pytest.mark.parametrize("size", [(32, 64), (7, 5), (1, 9)])
def test_pooling_to_a_grid_equals_the_built_in(bins: int | tuple[int, int], size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    assert torch.allclose(adaptive_avg_pool(x, bins), F.adaptive_avg_pool2d(x, bins), rtol=0, atol=1e-12)


def _tiny(**options: object) -> SwiftNet:
    return SwiftNet(5, width=12, trunk=ResNet(18, width=8, depths=(1, 1, 1, 1)), **options).eval()


def _tiny_pyramid() -> SwiftNetPyramid:
    return SwiftNetPyramid(5, width=12, trunk=ResNet(18, width=8, depths=(1, 1, 1, 1))).eval()


def _check_export(model: nn.Module, traced: tuple[int, int], sizes: list[tuple[int, int]]) -> None:
    free = {2: Dim.AUTO, 3: Dim.AUTO}
    program = export(model, (torch.randn(1, 3, *traced),), dynamic_shapes=(free,), strict=False).module()
    for size in sizes:
        images = torch.randn(1, 3, *size)
        with torch.no_grad():
            want, found = model(images).logits, program(images).logits
        assert torch.allclose(found, want, rtol=0, atol=1e-5), size


def test_exported_network_follows_the_shape_of_the_image() -> None:
    # Other numbers of columns than the traced one: few, a single one, many, and a tie (160 x 200: 2.5 columns).
    _check_export(_tiny(), (128, 256), [(128, 256), (256, 128), (160, 200), (97, 333), (300, 33), (65, 64)])


def test_exported_pyramid_takes_other_sizes() -> None:
    # Its coarsest map is 1/128 of the image, and the exporter treats sides of one cell apart.
    _check_export(_tiny_pyramid(), (256, 384), [(256, 384), (129, 257), (333, 190)])


def test_auxiliary_classifier_runs_in_training_only() -> None:
    model = _tiny(dsn=True)
    images = torch.randn(2, 3, 64, 96)
    assert model(images).aux == ()
    (aux,) = model.train()(images).aux
    assert aux.shape == (2, 5, 4, 6)


@pytest.mark.parametrize("size", [(6, 8), (7, 9), (1, 1), (1, 4)])
def test_halving_an_image_averages_two_by_two(size: tuple[int, int]) -> None:
    image = torch.randn(1, 1, *size)
    half = _halve(image)
    assert half.shape[-2:] == tuple((side + 1) // 2 for side in size)
    for row in range(half.shape[-2]):
        for column in range(half.shape[-1]):
            cell = image[..., 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            assert torch.allclose(half[..., row, column], cell.mean())


def test_halving_equals_bilinear_resizing_of_even_images() -> None:
    image = torch.randn(1, 3, 10, 14)
    assert torch.allclose(_halve(image), F.interpolate(image, scale_factor=0.5, mode="bilinear"), atol=1e-6)


def test_pyramid_sums_equal_one_projection_of_the_concatenation() -> None:
    model = _tiny_pyramid().double()
    images = torch.randn(1, 3, 96, 64, dtype=torch.float64)
    with torch.no_grad():
        sums = model._laterals(images)
        fine, coarse = model.backbone(images), model.backbone(_halve(images))
        parts = [(fine[1], model.bottlenecks[0][1]), (coarse[0], model.bottlenecks[1][0])]  # both at 1/8
        joined = torch.cat([layer.norm(x).relu() for x, layer in parts], dim=1)
        weight = torch.cat([layer.conv.weight for _, layer in parts], dim=1)
        assert [tuple(x.shape[-2:]) for x in sums] == [(24, 16), (12, 8), (6, 4), (3, 2), (2, 1), (1, 1)]
        assert torch.allclose(sums[1], F.conv2d(joined, weight), rtol=0, atol=1e-12)


def _authors_name(name: str) -> str:
    if name.startswith("spp."):
        return f"backbone.spp.{name}"
    return f"backbone.{name}" if name.startswith("upsample.") else name


def test_reads_weights_of_the_authors() -> None:
    model = swiftnet_resnet18(19)
    ours = {
        key: torch.randn_like(value) if value.is_floating_point() else value
        for key, value in model.state_dict().items()
    }
    theirs = {_authors_name(key): value for key, value in ours.items()}
    constants = {f"backbone.img_{key}": torch.zeros(1, 3, 1, 1) for key in ("mean", "std")}
    found = layout_of(theirs | constants)
    assert found is not None
    layout, detected = found
    assert (layout.name, detected.model, detected.num_classes) == ("orsic/swiftnet", "swiftnet-resnet18", 19)
    assert layout.conventions[19].preprocess["mean"] == (73.15, 82.90, 72.3)
    assert in_our_names(theirs | constants).keys() == ours.keys()
    assert set(layout.to_theirs(ours).values()) == theirs.keys()
    ours = {key: value.abs() for key, value in ours.items()}
    load_weights(model, {_authors_name(key): value for key, value in ours.items()} | constants)
    assert all(torch.equal(value, ours[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("options", [{}, {"width": None, "dsn": True}, {"width": 64}], ids=str)
def test_is_recognized_with_its_options(options: dict[str, object]) -> None:
    with torch.device("meta"):
        found = layout_of(swiftnet_resnet18(7, **options).state_dict())
    assert found is not None
    assert (found[1].model, found[1].num_classes) == ("swiftnet-resnet18", 7)
    assert dict(found[1].options) == {"width": 128, "dsn": False} | options
