"""Folding normalizations into convolutions, on graphs made to mislead it."""

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._pytree import tree_leaves

from roadseg.models.fusing import fuse

SIZE = (12, 16)


def ready(model: nn.Module) -> nn.Module:
    """Evaluation mode, with statistics and parameters that a wrong fold could not leave unnoticed."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            if module.track_running_stats:
                module.running_mean.normal_()
                module.running_var.uniform_(0.3, 3.0)
            if module.affine:
                nn.init.normal_(module.weight, 1.0, 0.5)
                nn.init.normal_(module.bias)
    return model.eval()


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


def check(model: nn.Module, folded: int) -> nn.Module:
    """Fuse a copy; it must compute the same and have `folded` normalizations less."""
    model = ready(model)
    fused = copy.deepcopy(model)
    assert fuse(fused, SIZE) == folded
    assert norms(fused) == norms(model) - folded
    images = torch.randn(2, 3, 9, 14)
    with torch.no_grad():
        expected, result = model(images), fused(images)
    for a, b in zip(tree_leaves(expected), tree_leaves(result), strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-5)
    return fused


class Net(nn.Module):
    """Two convolutions and two normalizations, joined as `way` says."""

    def __init__(self, way: Callable[["Net", torch.Tensor], object]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(4)
        self.way = way

    def forward(self, x: torch.Tensor) -> object:
        return self.way(self, x)


CONVOLUTIONS = {
    "plain": nn.Conv2d(3, 8, 3),
    "without bias": nn.Conv2d(3, 8, 3, stride=2, dilation=2, bias=False),
    "depthwise": nn.Conv2d(3, 6, 3, groups=3),
    "reflecting": nn.Conv2d(3, 6, 3, padding=1, padding_mode="reflect"),
    "transposed": nn.ConvTranspose2d(3, 8, 2, stride=2, bias=False),
    "transposed groups": nn.ConvTranspose2d(3, 6, 3, stride=2, groups=3),
}


@pytest.mark.parametrize("affine", [True, False], ids=["affine", "statistics only"])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_every_kind_of_convolution(name: str, affine: bool) -> None:
    conv = copy.deepcopy(CONVOLUTIONS[name])
    fused = check(nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels, eps=0.1, affine=affine)), 1)
    assert isinstance(fused[1], nn.Identity)
    assert fused[0].bias is not None


def test_transposed_with_groups_of_several_channels() -> None:
    check(nn.Sequential(nn.Conv2d(3, 8, 1), nn.ConvTranspose2d(8, 12, 3, groups=2), nn.BatchNorm2d(12)), 1)


def test_it_is_the_formula() -> None:
    conv, norm = nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1, eps=0.25)
    model = nn.Sequential(nn.Conv2d(3, 1, 1), conv, norm).eval()
    with torch.no_grad():
        conv.weight.fill_(3.0), conv.bias.fill_(5.0)
        norm.weight.fill_(7.0), norm.bias.fill_(11.0)
    norm.running_mean.fill_(2.0), norm.running_var.fill_(3.75)  # deviation 2
    assert fuse(model) == 1
    assert float(conv.weight.detach()) == 3 * 7 / 2
    assert float(conv.bias.detach()) == (5 - 2) * 7 / 2 + 11


def in_place(net: Net, x: torch.Tensor) -> torch.Tensor:
    y = net.bn(net.conv(x)).relu_()
    y = net.bn2(net.conv2(y))
    y += x.mean()
    return F.relu(y, inplace=True)


def reused_after_fusing(net: Net, x: torch.Tensor) -> torch.Tensor:
    y = net.bn(net.conv(x)).relu_()
    return net.bn2(net.conv2(y)) + y


def twice_alike(net: Net, x: torch.Tensor) -> torch.Tensor:
    return net.bn(net.conv(x)).mean() + net.bn(net.conv(x[..., ::2, ::2])).sum()


def as_keyword(net: Net, x: torch.Tensor) -> torch.Tensor:
    return net.bn(input=net.conv(input=x))


def asking_for_the_shape(net: Net, x: torch.Tensor) -> torch.Tensor:
    y = net.conv(x)
    assert y.shape[1] == 4
    assert y.device == x.device
    return net.bn(y)


FUSED = {
    "in place": (in_place, 2),
    "residual": (reused_after_fusing, 2),
    "called twice alike": (twice_alike, 1),
    "as keyword": (as_keyword, 1),
    "shape": (asking_for_the_shape, 1),
}


@pytest.mark.parametrize("name", FUSED)
def test_what_can_be_fused(name: str) -> None:
    way, folded = FUSED[name]
    check(Net(way), folded)


def pre_activation(net: Net, x: torch.Tensor) -> torch.Tensor:
    y = net.conv(x)
    return y + net.conv2(net.bn(y).relu())


def normalized_before(net: Net, x: torch.Tensor) -> torch.Tensor:
    return net.conv2(net.bn(net.conv(x) + 1).relu_())


def added(net: Net, x: torch.Tensor) -> torch.Tensor:
    y = net.conv(x)
    return net.bn(y) + y


def changed_in_place(net: Net, x: torch.Tensor) -> torch.Tensor:
    y = net.conv(x)
    y.mul_(2)
    return net.bn(y)


def changed_through_a_view(net: Net, x: torch.Tensor) -> torch.Tensor:
    y = net.conv(x)
    y[:, :2].neg_()
    return net.bn(y)


def dropped_between(net: Net, x: torch.Tensor) -> torch.Tensor:
    return net.bn(F.dropout(net.conv(x), 0.5, training=False) * 0.5)


def concatenated(net: Net, x: torch.Tensor) -> torch.Tensor:
    y = net.conv(x)
    return torch.cat([net.bn(y), y], dim=1)


def read_by_a_convolution(net: Net, x: torch.Tensor) -> torch.Tensor:
    y = net.conv(x)
    return net.bn(y) + net.conv2(y)


def two_norms(net: Net, x: torch.Tensor) -> torch.Tensor:
    y = net.conv(x)
    return net.bn(y) + net.bn2(y)


def normalized_twice(net: Net, x: torch.Tensor) -> torch.Tensor:
    y = net.conv(x)
    return net.bn(y).relu_() + net.bn(y)


def shared_norm(net: Net, x: torch.Tensor) -> torch.Tensor:
    y = net.bn(net.conv(x))
    return net.bn(net.conv2(y))


def also_of_a_sum(net: Net, x: torch.Tensor) -> torch.Tensor:
    y = net.bn(net.conv(x))
    return net.bn(y + 1)


def called_for_two_partners(net: Net, x: torch.Tensor) -> torch.Tensor:
    return net.bn(net.conv(x)) + net.bn2(net.conv(2 * x))


def called_once_alone(net: Net, x: torch.Tensor) -> torch.Tensor:
    return net.bn(net.conv(x)) + net.conv(2 * x)


def returned_too(net: Net, x: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    y = net.conv(x)
    return net.bn(y), {"raw": y}


def kept(net: Net, x: torch.Tensor) -> torch.Tensor:
    net.seen = net.conv(x)
    return net.bn(net.seen)


def weight_used_elsewhere(net: Net, x: torch.Tensor) -> torch.Tensor:
    return net.bn(net.conv(x)) + F.conv2d(x, net.conv.weight, padding=1)


def statistics_used_elsewhere(net: Net, x: torch.Tensor) -> torch.Tensor:
    return net.bn(net.conv(x)) + net.bn.running_mean.sum()


LEFT_ALONE = [
    pre_activation,
    normalized_before,
    added,
    changed_in_place,
    changed_through_a_view,
    dropped_between,
    concatenated,
    read_by_a_convolution,
    two_norms,
    normalized_twice,
    shared_norm,
    also_of_a_sum,
    called_for_two_partners,
    called_once_alone,
    returned_too,
    kept,
    weight_used_elsewhere,
    statistics_used_elsewhere,
]


@pytest.mark.parametrize("way", LEFT_ALONE, ids=lambda way: way.__name__)
def test_what_must_be_left_alone(way: Callable[[Net, torch.Tensor], object]) -> None:
    check(Net(way), 0)


def test_inactive_dropout_modules_between_do_not_matter() -> None:
    """In evaluation mode a dropout module returns the very tensor it was given."""
    check(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Dropout2d(0.5), nn.BatchNorm2d(4)), 1)


def test_pre_activation_sequences() -> None:
    layers = [nn.Conv2d(3, 4, 1), nn.ReLU(), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 1)]
    check(nn.Sequential(nn.BatchNorm2d(3), *layers), 0)


def test_a_block_that_stands_at_two_places() -> None:
    block = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.ReLU(inplace=True))
    fused = check(nn.Sequential(block, block), 1)
    assert fused[0] is fused[1]


def test_two_convolutions_of_one_weight() -> None:
    first, second = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
    second.weight = first.weight
    fused = check(nn.Sequential(first, nn.BatchNorm2d(3), second, nn.ReLU(), nn.BatchNorm2d(3)), 1)
    assert fused[0].weight is not fused[2].weight


def test_batch_statistics_are_no_constants() -> None:
    check(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False)), 0)


class _Doubling(nn.BatchNorm2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(x)


def test_subclasses_may_do_anything() -> None:
    check(nn.Sequential(nn.Conv2d(3, 4, 1), _Doubling(4)), 0)


def test_timm_s_normalization_keeps_its_activation() -> None:
    layers = pytest.importorskip("timm.layers")
    norm = layers.BatchNormAct2d(4, act_layer=nn.Hardswish)
    check(nn.Sequential(nn.Conv2d(3, 4, 1), norm, nn.Conv2d(4, 4, 1)), 1)


def test_nothing_is_left_for_a_second_time() -> None:
    fused = check(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True)), 1)
    assert fuse(fused) == 0


def test_hooks_of_others_stay_in_force() -> None:
    model = ready(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)))
    model[1].register_forward_hook(lambda module, args, output: output + 1)
    assert fuse(model) == 1
    assert isinstance(model[1], nn.BatchNorm2d)
    assert not model[2]._forward_hooks


def test_what_does_not_run_is_left_alone() -> None:
    model = Net(lambda net, x: net.bn(net.conv(x)))
    assert isinstance(check(model, 1).bn2, nn.BatchNorm2d)


@pytest.mark.parametrize("part", ["all", "one layer"])
def test_training_mode_is_refused(part: str) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).eval()
    (model if part == "all" else model[1]).train()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match="evaluation mode"):
        fuse(model)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_a_network_that_fails_is_unchanged() -> None:
    model = ready(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Linear(5, 5)))
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(RuntimeError):
        fuse(model)
    assert list(model.state_dict()) == list(before)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_type_and_memory_format_stay() -> None:
    model = ready(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)))
    model = model.double().to(memory_format=torch.channels_last)
    fuse(model)
    assert model[0].weight.dtype is model[0].bias.dtype is torch.float64
    assert model[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_the_given_tensors_are_not_written_to() -> None:
    """Weights may be mapped from a file, or shared with a copy of the network."""
    model = ready(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)))
    weight, before = model[0].weight, model[0].weight.detach().clone()
    fuse(model)
    assert torch.equal(weight, before)
    assert not torch.equal(model[0].weight, before)


def test_no_denormals_come_of_it() -> None:
    model = ready(nn.Sequential(nn.Conv2d(3, 1, 1, bias=False), nn.BatchNorm2d(1)))
    with torch.no_grad():
        model[0].weight.fill_(1e-30)
        model[1].weight.fill_(1e-12)
    fuse(model)
    assert float(model[0].weight.detach().abs().max()) == 0.0


def test_inside_inference_mode() -> None:
    with torch.inference_mode():
        check(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True)), 1)
