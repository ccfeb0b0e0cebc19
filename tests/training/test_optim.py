"""Optimizers over groups of parameters, and averaged weights."""

import copy
import math

import pytest
import torch
from torch import nn

from roadseg.errors import RecipeError
from roadseg.models import build
from roadseg.recipes import SGD, AdamW, RAdam
from roadseg.training.optim import averaged, build_optimizer, parameter_groups, set_learning_rate
from tests.tiny import tiny

SPECS = {
    "sgd": SGD(lr=0.1, weight_decay=1e-2),
    "nesterov": SGD(lr=0.1, weight_decay=1e-2, nesterov=True),
    "adamw": AdamW(lr=0.1),
    "adam": AdamW(lr=0.1, decoupled=False, decay_all=True),
    "amsgrad": AdamW(lr=0.1, amsgrad=True),
    "radam": RAdam(lr=0.1),
    "radam-decoupled": RAdam(lr=0.1, decoupled=True),
}
TRUNK = SGD(lr=1.0, weight_decay=1e-2, decay_all=False, trunk_lr=0.1, trunk_weight_decay=0.25)


class Trunked(nn.Module):
    """A trunk and a head, each with decayed and free parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.head = nn.Conv2d(4, 2, 1)


def reference(name: str, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizers written out, in torch's plainest implementation."""
    plain = {"lr": 0.1, "foreach": False}
    match name:
        case "sgd":
            return torch.optim.SGD(parameters, momentum=0.9, weight_decay=1e-2, **plain)
        case "nesterov":
            return torch.optim.SGD(parameters, momentum=0.9, weight_decay=1e-2, nesterov=True, **plain)
        case "adamw":
            return torch.optim.AdamW(parameters, weight_decay=1e-2, **plain)
        case "adam":
            return torch.optim.Adam(parameters, weight_decay=1e-2, **plain)
        case "amsgrad":
            return torch.optim.AdamW(parameters, weight_decay=1e-2, amsgrad=True, **plain)
        case "radam":
            return torch.optim.RAdam(parameters, weight_decay=1e-4, **plain)
        case _:
            return torch.optim.RAdam(parameters, weight_decay=1e-4, decoupled_weight_decay=True, **plain)


@pytest.mark.parametrize("name", SPECS)
def test_moves_parameters_as_the_optimizer_written_out(name):
    model = nn.Conv2d(3, 4, 3, bias=False)
    other = copy.deepcopy(model)
    optimizers = [build_optimizer(SPECS[name], model), reference(name, list(other.parameters()))]
    for step in range(8):
        gradient = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(step))
        for network, optimizer in zip((model, other), optimizers, strict=True):
            network.weight.grad = gradient.clone()
            optimizer.step()
    assert torch.allclose(model.weight, other.weight, rtol=1e-5, atol=1e-6)


def test_only_full_filters_are_decayed_when_asked():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, groups=8, bias=False), nn.PReLU(8)
    )
    decayed, free = parameter_groups(SGD(lr=1.0, weight_decay=1e-4, decay_all=False), model)
    assert decayed["params"] == [model[0].weight]
    assert decayed["weight_decay"] == 1e-4
    assert len(free["params"]) == 5
    assert free["weight_decay"] == 0.0
    (everything,) = parameter_groups(SGD(lr=1.0), model)
    assert len(everything["params"]) == 6


def test_the_trunk_has_its_own_rate_and_decay():
    model = Trunked()
    groups = parameter_groups(TRUNK, model)
    trunk = model.backbone
    assert [group["params"] for group in groups] == [
        [model.head.weight],
        [model.head.bias],
        [trunk[0].weight],
        [trunk[0].bias, trunk[1].weight, trunk[1].bias],
    ]
    assert [group["weight_decay"] for group in groups] == [1e-2, 0.0, 2.5e-3, 0.0]
    assert [group["scale"] for group in groups] == [1.0, 1.0, 0.1, 0.1]
    optimizer = build_optimizer(TRUNK, model)
    set_learning_rate(optimizer, 0.5)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.5, 0.5, 0.05, 0.05])


def test_every_parameter_is_in_one_group():
    model = build("swiftnet-resnet18", 5)
    for spec in (TRUNK, SGD(lr=1.0), AdamW(lr=1.0)):
        ids = [id(parameter) for group in parameter_groups(spec, model) for parameter in group["params"]]
        assert len(ids) == len(set(ids))
        assert set(ids) == {id(parameter) for parameter in model.parameters()}


def test_frozen_parameters_are_left_out():
    model = Trunked()
    model.backbone.requires_grad_(False)
    assert [group["params"] for group in parameter_groups(TRUNK, model)] == [
        [model.head.weight],
        [model.head.bias],
    ]
    model.requires_grad_(False)
    with pytest.raises(RecipeError, match=r"freeze: all parameters of the network are frozen; freeze less"):
        build_optimizer(TRUNK, model)


def test_a_factor_for_a_trunk_that_there_is_not():
    with pytest.raises(RecipeError, match=r"TinyNet has no trunk .*; leave out trunk_lr"):
        build_optimizer(TRUNK, tiny(3))


@pytest.mark.parametrize("name", SPECS)
def test_goes_on_from_its_state(name):
    model = Trunked()
    start = copy.deepcopy(model)

    def run(network: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
        for step in steps:
            generator = torch.Generator().manual_seed(step)
            for parameter in network.parameters():
                parameter.grad = torch.randn(parameter.shape, generator=generator)
            set_learning_rate(optimizer, 0.1 / (step + 1))
            optimizer.step()

    whole = build_optimizer(SPECS[name], model)
    run(model, whole, range(6))
    first = build_optimizer(SPECS[name], start)
    run(start, first, range(3))
    resumed = Trunked()
    resumed.load_state_dict(start.state_dict())
    second = build_optimizer(SPECS[name], resumed)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    run(resumed, second, range(3, 6))
    for one, other in zip(model.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


def test_average_follows_the_formula_and_copies_counters():
    model = nn.BatchNorm2d(2)
    average = averaged(model, 0.9)
    expected = 0.0
    for number in range(30):
        with torch.no_grad():
            model.bias.fill_(float(number))
            model.running_mean.fill_(float(number))
            model.num_batches_tracked.fill_(number)
        average.update_parameters(model)
        decay = min(0.9, (1 + number) / (10 + number))
        expected = float(number) if number == 0 else decay * expected + (1 - decay) * number
    assert average.module.bias.tolist() == pytest.approx([expected] * 2, rel=1e-5)
    assert average.module.running_mean.tolist() == pytest.approx([expected] * 2, rel=1e-5)
    assert int(average.module.num_batches_tracked) == 29
    assert math.isfinite(expected)
