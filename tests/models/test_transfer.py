"""Trunks alone, and networks for other classes."""

import pytest
import torch
from torch import nn

from roadseg.errors import WeightsError
from roadseg.models import catalog, class_axes, load_encoder, load_for_classes
from roadseg.models.output import Output
from roadseg.models.resnet import ResNet


class Head(nn.Module):
    """A trunk and a classifier."""

    num_classes, stride, align_corners = 3, 32, False

    def __init__(self, **options: object) -> None:
        super().__init__()
        self.backbone = ResNet(18, width=8, depths=(1, 1, 1, 1), **options)
        self.classifier = nn.Conv2d(64, 3, 1)

    def forward(self, images: torch.Tensor) -> Output:
        return Output(self.classifier(self.backbone(images)[-1]))


def _imagenet(**options: object) -> dict[str, torch.Tensor]:
    trunk = ResNet(18, width=8, depths=(1, 1, 1, 1), classes=10, **options)
    return {
        key: torch.randn_like(value) if value.is_floating_point() else value
        for key, value in trunk.state_dict().items()
    }


@pytest.mark.parametrize("prefix", ["", "backbone.", "module.", "module.backbone."])
def test_encoder_with_and_without_prefix(prefix: str) -> None:
    model, state = Head(), _imagenet()
    before = model.classifier.weight.clone()
    report = load_encoder(
        model, {f"{prefix.removeprefix('module.')}{key}": value for key, value in state.items()}
    )
    for key, value in model.backbone.state_dict().items():
        assert value.is_floating_point() is False or torch.equal(value, state[key]), key
    assert torch.equal(model.classifier.weight, before)
    assert {key.removeprefix("backbone.") for key in report.unexpected if "num_batches" not in key} == {
        "fc.weight",
        "fc.bias",
    }


def test_encoder_that_does_not_cover_the_trunk_is_refused() -> None:
    model, state = Head(), _imagenet()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    del state["layer3.0.conv1.weight"]
    with pytest.raises(
        WeightsError, match=r"covers 59 of the 60 .* first that it lacks is layer3.0.conv1.weight"
    ):
        load_encoder(model, state)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_networks_without_a_trunk_say_so() -> None:
    with pytest.raises(WeightsError, match="FastSCNN has no trunk"):
        load_encoder(catalog.build("fast-scnn", 3), _imagenet())


def test_axes_that_count_classes() -> None:
    assert class_axes("fast-scnn", {}) == {"classifier.conv.1.weight": (0,), "classifier.conv.1.bias": (0,)}
    axes = class_axes("espnet", {})
    assert axes["classifier.weight"] == (0, 1)
    assert axes["br.weight"] == (0,)
    assert "encoder.level1.conv.weight" not in axes


def test_rows_of_shared_classes_are_copied() -> None:
    torch.manual_seed(0)
    old = catalog.build("espnet", 7, alpha3=1)
    new = catalog.build("espnet", 6, alpha3=1)
    fresh = {key: value.clone() for key, value in new.state_dict().items()}
    classes = (4, None, 0, 2, 6, 1)
    report = load_for_classes(new, old.state_dict(), class_axes("espnet", {"alpha3": 1}), classes)
    given, found = old.state_dict(), new.state_dict()
    assert torch.equal(found["encoder.level1.conv.weight"], given["encoder.level1.conv.weight"])
    for row, channel in enumerate(classes):
        if channel is None:
            assert torch.equal(found["br.bias"][row], fresh["br.bias"][row])
            continue
        assert torch.equal(found["level3_C.conv.weight"][row], given["level3_C.conv.weight"][channel])
        for other, source in enumerate(classes):
            expected = (
                fresh["classifier.weight"][row, other]
                if source is None
                else given["classifier.weight"][channel, source]
            )
            assert torch.equal(found["classifier.weight"][row, other], expected)
    assert "classifier.weight" in report.by_class
    assert "conv.conv.weight" in report.fresh  # 19 + classes channels: no axis of classes alone
    assert str(report).endswith("initialized")
    assert "(5 of 6 classes)" in str(report)


def test_another_network_is_refused() -> None:
    with pytest.raises(WeightsError, match="fits 0 of the"):
        load_for_classes(catalog.build("fast-scnn", 3), {"a": torch.zeros(1)}, {}, (0, 1, 2))


def test_an_encoder_trained_alone_becomes_a_part_of_the_network() -> None:
    torch.manual_seed(0)
    encoder = catalog.build("espnet-c", 7, alpha3=1)
    network = catalog.build("espnet", 7, alpha3=1)
    report = load_for_classes(
        network, encoder.state_dict(), class_axes("espnet", {"alpha3": 1}), tuple(range(7))
    )
    given, found = encoder.state_dict(), network.state_dict()
    assert all(torch.equal(found[f"encoder.{key}"], value) for key, value in given.items() if value.ndim)
    assert "classifier.weight" in report.fresh
