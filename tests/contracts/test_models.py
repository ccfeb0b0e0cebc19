"""What every network promises, whoever wrote it.

The promises are checked on the networks of ``variants/``, one module per family, which are small; `test_catalog.py`
checks the rows of the catalog at their full size.
"""

import copy
import importlib
import math
import pkgutil
from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.export import Dim, export

from roadseg.models import catalog
from roadseg.models.output import Output
from tests.contracts import variants

CLASSES = 5
FAMILIES: dict[str, dict[str, Callable[[int], nn.Module]]] = {
    module.name: importlib.import_module(f"{variants.__name__}.{module.name}").VARIANTS
    for module in pkgutil.iter_modules(variants.__path__)
}
VARIANTS = {name: builder for family in FAMILIES.values() for name, builder in family.items()}
FIRST = [next(iter(family)) for family in FAMILIES.values()]
SIZES = [(64, 96), (33, 65), (37, 51), (1, 1), (9, 130)]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _build(name: str, classes: int = CLASSES) -> nn.Module:
    model = VARIANTS[name](classes)
    # Fresh batch statistics (mean 0, variance 1) would let a wrong use of them pass unseen.
    for key, buffer in model.named_buffers():
        if key.endswith("running_mean"):
            buffer.normal_(0.0, 0.1)
        elif key.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
    return model.eval()


@pytest.fixture(scope="module", params=VARIANTS)
def built(request: pytest.FixtureRequest) -> tuple[str, nn.Module]:
    """Built once for all contracts; tests that change a network take `model`, a copy."""
    torch.manual_seed(0)
    return request.param, _build(request.param)


@pytest.fixture
def model(built: tuple[str, nn.Module]) -> nn.Module:
    return copy.deepcopy(built[1])


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
    cells = tuple(math.ceil(side / model.stride) for side in size)
    assert type(output) is Output
    assert output.aux == ()
    assert output.logits.shape == (2, CLASSES, *cells)
    assert output.logits.isfinite().all()
    if output.attention is not None:
        assert output.attention.shape == (2, 1, *cells)
        assert output.attention.min() >= 0
        assert output.attention.max() <= 1


def test_declares_what_the_toolkit_asks_for(model: nn.Module) -> None:
    assert model.num_classes == CLASSES
    assert isinstance(model.stride, int)
    assert isinstance(model.align_corners, bool)


def test_training_reaches_all_parameters(model: nn.Module) -> None:
    output = model.train()(torch.randn(2, 3, 64, 96))
    assert isinstance(output.aux, tuple)
    assert output.logits.shape[:2] == (2, CLASSES)
    assert all(scores.shape[:2] == (2, CLASSES) for scores in output.aux)
    sum(scores.square().mean() for scores in (output.logits, *output.aux)).backward()
    without = [key for key, value in model.named_parameters() if value.grad is None]
    assert without == []
    assert all(value.grad.isfinite().all() for value in model.parameters())


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


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_stays_finite(model: nn.Module, dtype: torch.dtype) -> None:
    with torch.autocast("cpu", dtype=dtype):
        assert _logits(model, torch.randn(1, 3, 37, 51)).isfinite().all()


def test_channels_last(model: nn.Module) -> None:
    images = torch.randn(2, 3, 37, 51)
    plain = _logits(model, images)
    layout = torch.channels_last
    assert _close(_logits(model.to(memory_format=layout), images.to(memory_format=layout)), plain)


def test_state_survives_a_round_trip(built: tuple[str, nn.Module]) -> None:
    name, model = built
    images = torch.randn(1, 3, 37, 51)
    other = VARIANTS[name](CLASSES).eval()
    assert not torch.equal(_logits(other, images), _logits(model, images))
    other.load_state_dict(model.state_dict())
    assert torch.equal(_logits(other, images), _logits(model, images))


@pytest.mark.parametrize("num_classes", [1, 2])
@pytest.mark.parametrize("name", VARIANTS)
def test_few_classes(name: str, num_classes: int) -> None:
    assert _logits(_build(name, num_classes), torch.randn(1, 3, 32, 40)).shape[1] == num_classes


@pytest.mark.parametrize("name", FIRST)
def test_export_with_free_height_and_width(name: str) -> None:
    model = _build(name)
    free = {2: Dim.AUTO, 3: Dim.AUTO}
    program = export(model, (torch.randn(1, 3, 64, 96),), dynamic_shapes=(free,), strict=False).module()
    for size in [(64, 96), (33, 65), (70, 45)]:
        images = torch.randn(1, 3, *size)
        assert _close(_logits(program, images), _logits(model, images), 1e-5), size


@pytest.mark.parametrize("name", FIRST)
def test_compiles_into_one_graph(name: str) -> None:
    model = _build(name)
    images = torch.randn(1, 3, 37, 51)
    # Without the code generator, which takes minutes for some networks: graph capture is what a network can break.
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    assert _close(_logits(compiled, images), _logits(model, images), 1e-5)
    torch.compiler.reset()


@pytest.mark.parametrize("name", FIRST)
def test_learns_one_batch(name: str) -> None:
    torch.manual_seed(0)
    model = _build(name).train()
    images = torch.randn(2, 3, 64, 96)
    mask = torch.randint(CLASSES, (2, 4, 6)).repeat_interleave(16, 1).repeat_interleave(16, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(8):
        output = model(images)
        maps = [
            F.interpolate(scores, size=(64, 96), mode="bilinear") for scores in (output.logits, *output.aux)
        ]
        loss = sum(F.cross_entropy(scores, mask) for scores in maps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert min(losses[-2:]) < 0.95 * losses[0], losses


def test_every_family_of_the_catalog_is_here() -> None:
    assert {catalog.row(name).family for name in catalog.names()} <= set(FAMILIES)
