"""Frozen parameters and frozen normalization."""

import pytest
import torch
from torch import nn

from roadseg.errors import RecipeError
from roadseg.models import build
from roadseg.training.freeze import freeze, train_mode


@pytest.fixture(scope="module")
def trained_once() -> nn.Module:
    return build("swiftnet-resnet18", 3)


@pytest.fixture
def model(trained_once: nn.Module) -> nn.Module:
    trained_once.requires_grad_(True).train()
    return trained_once


def frozen(model: nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if not parameter.requires_grad}


def test_parts_are_whole_modules_or_parameters(model):
    freeze(model, ("backbone.layer1", "backbone.conv1.weight"))
    names = frozen(model)
    assert "backbone.conv1.weight" in names
    assert all(name.startswith(("backbone.layer1.", "backbone.conv1.")) for name in names)
    assert len(names) == 1 + len(list(model.backbone.layer1.parameters()))


def test_the_trunk_is_found_under_any_name():
    class Foreign(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Conv2d(3, 2, 1)
            self.decoder = nn.Conv2d(2, 2, 1)

        @property
        def backbone(self) -> nn.Module:
            return self.encoder

    network = Foreign()
    freeze(network, ("backbone",))
    assert frozen(network) == {"encoder.weight", "encoder.bias"}


@pytest.mark.parametrize(
    ("part", "remedy"),
    [
        ("backbone.layr1", "did you mean backbone.layer1"),
        ("backbone.layer", "did you mean backbone.layer"),
        ("zzz", "its parts are backbone, "),
        ("", "its parts are backbone, "),
    ],
)
def test_an_unknown_part_is_named_with_near_ones(model, part, remedy):
    with pytest.raises(RecipeError, match=rf"SwiftNet has no part '{part}' to freeze; {remedy}"):
        freeze(model, (part,))


def test_frozen_normalization_stays_so_in_training_mode(model):
    freeze(model, (), norm=True)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1, weight_decay=0.1)
    for _ in range(2):
        train_mode(model, freeze_norm=True)
        assert model.training
        model(torch.randn(2, 3, 32, 32)).logits.square().mean().backward()
        optimizer.step()
    norms = [name for name, each in model.named_modules() if isinstance(each, nn.BatchNorm2d)]
    assert norms
    for key, value in model.state_dict().items():
        is_norm = key.rpartition(".")[0] in norms
        assert torch.equal(value, before[key]) == is_norm or not value.ndim


def test_statistics_of_a_frozen_trunk_do_not_move(model):
    freeze(model, ("backbone",))
    train_mode(model)
    trunk = {key: value.clone() for key, value in model.backbone.state_dict().items()}
    with torch.no_grad():
        model(torch.randn(2, 3, 32, 32))
    assert all(torch.equal(value, trunk[key]) for key, value in model.backbone.state_dict().items())
    counting = [each for each in model.modules() if isinstance(each, nn.BatchNorm2d) and each.training]
    assert counting  # those of the decoder


def test_training_mode_without_anything_frozen_is_torchs(model):
    model.eval()
    train_mode(model)
    assert all(module.training for module in model.modules())


def test_normalization_without_parameters_is_frozen_when_asked():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, affine=False), nn.GroupNorm(2, 4))
    freeze(network, (), norm=True)
    train_mode(network, freeze_norm=True)
    assert not network[1].training
    assert frozen(network) == {"2.weight", "2.bias"}
    train_mode(network)
    assert network[1].training
