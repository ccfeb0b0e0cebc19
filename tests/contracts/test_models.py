"""What every network of the catalog promises, whoever wrote it."""

import copy
import importlib
import inspect
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.export import Dim, export
from torch.utils.flop_counter import FlopCounterMode

from roadseg.models import catalog
from roadseg.models.output import Output

CLASSES = 5
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {name: (name, {}) for name in catalog.names()} | {
    "espnet-features": ("espnet", {"skip": "features", "alpha3": 1}),
    "fast-scnn-aux": ("fast-scnn", {"aux": ("stem", "context")}),
    "fast-scnn-centers": ("fast-scnn", {"align_corners": False}),
}
SIZES = [(64, 96), (33, 65), (37, 51), (1, 1), (9, 130)]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=VARIANTS)
def model(request: pytest.FixtureRequest) -> nn.Module:
    name, options = VARIANTS[request.param]
    model = catalog.build(name, CLASSES, **options)
    # Fresh batch statistics (mean 0, variance 1) would let a wrong use of them pass unseen.
    for key, buffer in model.named_buffers():
        if key.endswith("running_mean"):
            buffer.normal_(0.0, 0.1)
        elif key.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
    return model.eval()


def _logits(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        output: Output = model(images)
    return output.logits


def _close(a: torch.Tensor, b: torch.Tensor, tolerance: float = 1e-4) -> bool:
    return bool((a - b).abs().max() <= tolerance * b.abs().max())


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_output_at_own_stride_for_any_size(model: nn.Module, size: tuple[int, int]) -> None:
    with torch.no_grad():
        output = model(torch.randn(2, 3, *size))
    assert type(output) is Output
    assert output.aux == ()
    assert output.logits.shape == (2, CLASSES, *(math.ceil(side / model.stride) for side in size))
    assert output.logits.isfinite().all()


def test_declares_what_the_toolkit_asks_for(model: nn.Module) -> None:
    assert model.num_classes == CLASSES
    assert isinstance(model.stride, int)
    assert isinstance(model.align_corners, bool)


def test_backward_reaches_all_parameters(model: nn.Module) -> None:
    output = model.train()(torch.randn(2, 3, 64, 96))
    sum(scores.square().mean() for scores in (output.logits, *output.aux)).backward()
    without = [key for key, value in model.named_parameters() if value.grad is None]
    assert without == []
    assert all(value.grad.isfinite().all() for value in model.parameters())


def test_aux_of_training_has_the_classes(model: nn.Module) -> None:
    output = model.train()(torch.randn(2, 3, 64, 96))
    assert isinstance(output.aux, tuple)
    assert all(scores.shape[:2] == (2, CLASSES) for scores in output.aux)


def test_images_of_a_batch_do_not_see_each_other(model: nn.Module) -> None:
    images = torch.randn(3, 3, 37, 51)
    together = _logits(model, images)
    alone = torch.cat([_logits(model, image[None]) for image in images])
    assert _close(together, alone, 1e-5)


def test_evaluation_changes_nothing(model: nn.Module) -> None:
    before = copy.deepcopy(model.state_dict())
    images = torch.randn(1, 3, 40, 40)
    given = images.clone()
    first = _logits(model, images)
    assert torch.equal(first, _logits(model, images))
    assert torch.equal(images, given)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_float64(model: nn.Module) -> None:
    images = torch.randn(1, 3, 37, 51)
    single = _logits(model, images)
    double = _logits(model.double(), images.double())
    assert double.dtype is torch.float64
    assert _close(single.double(), double)


def test_channels_last(model: nn.Module) -> None:
    images = torch.randn(2, 3, 37, 51)
    plain = _logits(model, images)
    layout = torch.channels_last
    assert _close(_logits(model.to(memory_format=layout), images.to(memory_format=layout)), plain)


def test_state_survives_a_round_trip(model: nn.Module, request: pytest.FixtureRequest) -> None:
    name, options = VARIANTS[request.node.callspec.params["model"]]
    images = torch.randn(1, 3, 37, 51)
    other = catalog.build(name, CLASSES, **options).eval()
    assert not torch.equal(_logits(other, images), _logits(model, images))
    other.load_state_dict(model.state_dict())
    assert torch.equal(_logits(other, images), _logits(model, images))


def test_export_with_free_height_and_width(model: nn.Module) -> None:
    free = {2: Dim.AUTO, 3: Dim.AUTO}
    program = export(model, (torch.randn(1, 3, 64, 96),), dynamic_shapes=(free,), strict=False).module()
    for size in [(64, 96), (33, 65), (70, 45)]:
        images = torch.randn(1, 3, *size)
        assert _close(_logits(program, images), _logits(model, images), 1e-5), size


@pytest.mark.parametrize("name", catalog.names())
def test_row_states_the_facts(name: str) -> None:
    row = catalog.row(name)
    with torch.device("meta"):
        model = catalog.build(name, 19).eval()
        images = torch.empty(1, 3, 1024, 2048)
        with FlopCounterMode(display=False) as counter:
            model(images)
    assert sum(value.numel() for value in model.parameters()) == row.params
    assert counter.get_total_flops() // 2 == pytest.approx(row.macs, rel=1e-3)
    assert model.stride == row.stride


@pytest.mark.parametrize("name", catalog.names())
def test_row_describes_every_option(name: str) -> None:
    row = catalog.row(name)
    module, _, attribute = row.factory.partition(":")
    factory = getattr(importlib.import_module(module), attribute)
    assert list(inspect.signature(factory).parameters)[1:] == list(row.options)
    assert module == f"roadseg.models.{row.family}"


@pytest.mark.parametrize("name", catalog.names())
@pytest.mark.parametrize("num_classes", [1, 2, 4])
def test_few_classes(name: str, num_classes: int) -> None:
    model = catalog.build(name, num_classes).eval()
    assert _logits(model, torch.randn(1, 3, 32, 40)).shape[1] == num_classes
