"""Every network computes the same with its normalizations folded, and no pair that could be folded is missed."""

import copy

import pytest
import torch
from torch import nn

from roadseg.models.fusing import fuse
from tests.contracts.test_models import VARIANTS, _build, _close, _logits, _one_thread  # noqa: F401 - a fixture


def _direct_pairs(model: nn.Module) -> list[str]:
    """Names of the normalizations that are given what a convolution returned, and have been given nothing else."""
    made_by_conv: list[
        tuple[torch.Tensor, int]
    ] = []  # with the number of changes in place, which tells of later ones
    direct: dict[nn.Module, bool] = {}

    def after_conv(_module: nn.Module, _args: object, output: torch.Tensor) -> None:
        made_by_conv.append((output, output._version))

    def before_norm(module: nn.Module, args: tuple[torch.Tensor]) -> None:
        untouched = any(args[0] is made and args[0]._version == version for made, version in made_by_conv)
        direct[module] = direct.get(module, True) and untouched

    handles = []
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            handles.append(module.register_forward_hook(after_conv))
        elif isinstance(module, nn.BatchNorm2d):
            handles.append(module.register_forward_pre_hook(before_norm))
    with torch.no_grad():
        model(torch.randn(1, 3, 33, 65))
    for handle in handles:
        handle.remove()
    return [name for name, module in model.named_modules() if direct.get(module)]


@pytest.mark.parametrize("name", VARIANTS)
def test_fusing_changes_no_result_and_misses_no_pair(name: str) -> None:
    torch.manual_seed(0)
    model = _build(name)
    fused = copy.deepcopy(model)
    folded = fuse(fused)
    assert folded == len(_direct_pairs(model))
    assert _direct_pairs(fused) == []
    for size in [(64, 96), (37, 51)]:
        images = torch.randn(2, 3, *size)
        assert _close(_logits(fused, images), _logits(model, images), 1e-4), size
