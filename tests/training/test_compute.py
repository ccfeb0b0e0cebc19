"""Recomputed activations, compilation and the layout of memory: the same results by other means."""

import copy
from collections.abc import Callable, Iterable

import pytest
import torch
from torch import nn
from torch._dynamo.exc import TorchDynamoException
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from roadseg.errors import RecipeError
from roadseg.models import Output, build
from roadseg.recipes import Engine
from roadseg.training.compute import checkpoint_activations, compiler_errors, memory_format, prepare
from roadseg.training.freeze import freeze, train_mode
from tests.contracts.test_models import VARIANTS
from tests.tiny import tiny

CHECKPOINTING = Engine(checkpointing=True, channels_last=False)


def loss_of(output: Output) -> torch.Tensor:
    return output.logits.square().mean() + sum(aux.square().mean() for aux in output.aux)


def train_steps(model: nn.Module, steps: int = 2) -> list[float]:
    """Take optimizer steps on random images; return the losses."""
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.01, momentum=0.9)
    torch.manual_seed(5)  # images and dropout
    losses = []
    for _ in range(steps):
        loss = loss_of(model(torch.randn(2, 3, 32, 64)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def assert_same_state(one: nn.Module, other: nn.Module) -> None:
    """Weights, running statistics and their counters are equal."""
    expected = one.state_dict()
    assert list(expected) == list(other.state_dict())
    for key, value in other.state_dict().items():
        assert torch.allclose(value, expected[key], rtol=1e-5, atol=1e-7), key


@pytest.mark.parametrize(
    "name",
    [
        *("bisenet", "deeplabv3plus-wide", "dfanet", "espnet", "fast-scnn-aux", "hrnet-ocr-hms", "icnet"),
        *("msfnet", "swiftnet-pyramid"),
    ],
)
def test_steps_with_recomputed_activations_are_the_same(name: str) -> None:
    plain = VARIANTS[name](5).train()
    recomputed = copy.deepcopy(plain)
    assert checkpoint_activations(recomputed) > 1
    assert train_steps(recomputed) == pytest.approx(train_steps(plain), rel=1e-5)
    assert_same_state(plain, recomputed)


class Dropping(nn.Module):
    """Dropout and batch normalization in each of several blocks, one of them used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3, momentum=m), nn.Dropout(0.5), nn.ReLU()
            )
            for m in (0.1, None, 0.5)
        )

    def forward(self, x: torch.Tensor) -> Output:
        for block in (*self.blocks, self.blocks[0]):
            x = block(x)
        return Output(x)


def test_dropout_is_repeated_and_statistics_are_counted_once() -> None:
    plain = Dropping().train()
    recomputed = copy.deepcopy(plain)
    assert checkpoint_activations(recomputed) == 3
    assert train_steps(recomputed, 3) == pytest.approx(train_steps(plain, 3), rel=1e-5)
    assert_same_state(plain, recomputed)
    assert [int(block[1].num_batches_tracked) for block in recomputed.blocks] == [6, 3, 3]


def test_frozen_normalization_is_recomputed_as_frozen() -> None:
    plain = build("swiftnet-resnet18", 3)
    freeze(plain, ("backbone.layer1",), norm=True)
    recomputed = copy.deepcopy(plain)
    checkpoint_activations(recomputed)
    for model in (plain, recomputed):
        train_mode(model, freeze_norm=True)
    assert train_steps(recomputed, 1) == pytest.approx(train_steps(plain, 1), rel=1e-5)
    assert_same_state(plain, recomputed)


class WritesIntoItsList(nn.Module):
    """Replaces the entries of the list it is given, as some high-resolution networks do."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(3, 3, 1) for _ in range(2))

    def forward(self, maps: list[torch.Tensor]) -> list[torch.Tensor]:
        for i, conv in enumerate(self.convs):
            maps[i] = conv(maps[i]).tanh()
        return maps


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = WritesIntoItsList(), WritesIntoItsList()

    def forward(self, x: torch.Tensor) -> Output:
        first, second = self.second(self.first([x, x * 2]))
        return Output(first + second)


def test_parts_may_write_into_the_list_they_are_given() -> None:
    plain = Branches()
    recomputed = copy.deepcopy(plain)
    assert checkpoint_activations(recomputed) == 2
    assert train_steps(recomputed) == pytest.approx(train_steps(plain), rel=1e-5)
    assert_same_state(plain, recomputed)


class OverwritesAnInput(nn.Module):
    """Changes what its part was computed on, which an addition alone would not mind."""

    class Part(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shift, self.scale = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.scale(self.shift(x + 1))

    def __init__(self) -> None:
        super().__init__()
        self.part = self.Part()

    def forward(self, x: torch.Tensor) -> Output:
        x = x * 2
        y = self.part(x)
        return Output(y + x.relu_())


def test_a_network_that_overwrites_what_is_needed_again_is_refused() -> None:
    model = OverwritesAnInput()
    assert checkpoint_activations(model) == 1
    # Recent releases of torch find it out before us.
    with pytest.raises(
        (RecipeError, RuntimeError), match=r"was overwritten .*leave out|modified by an inplace"
    ):
        train_steps(model)


def test_copies_compute_with_their_own_weights() -> None:
    model = build("fast-scnn", 3)
    checkpoint_activations(model)
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    other.eval()
    images = torch.randn(2, 3, 64, 64)
    assert not other(images).logits.any()  # also where gradients are recorded, and parts are recomputed
    with torch.no_grad():
        assert not other(images).logits.any()
        assert model(images).logits.any()


class Live(TorchDispatchMode):
    """Adds up the bytes of all tensors that are alive, apart from those that are known before."""

    def __init__(self, known: Iterable[torch.Tensor]) -> None:
        super().__init__()
        self.known = {StorageWeakRef(tensor.untyped_storage()).cdata for tensor in known}
        self.storages: dict[int, tuple[StorageWeakRef, int]] = {}
        self.bytes = self.peak = 0

    def __torch_dispatch__(self, function: Callable, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                reference = StorageWeakRef(storage)
                if reference.cdata not in self.known:
                    self.storages.setdefault(reference.cdata, (reference, storage.nbytes()))
        self.storages = {key: pair for key, pair in self.storages.items() if not pair[0].expired()}
        self.bytes = sum(size for _, size in self.storages.values())
        self.peak = max(self.peak, self.bytes)
        return result


def memory_of_a_step(model: nn.Module, images: torch.Tensor) -> tuple[int, int]:
    """Return the bytes of activations after the forward pass, and the most bytes at any time of the step."""
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    known = [*model.parameters(), *(p.grad for p in model.parameters()), *model.buffers(), images]
    with Live(known) as live:
        output = model(images)
        held = live.bytes
        loss_of(output).backward()
    return held, live.peak


@pytest.mark.parametrize(
    ("name", "held", "peak"), [("fast-scnn", 0.15, 0.4), ("swiftnet-resnet18", 0.55, 0.8)]
)
def test_recomputing_saves_memory(name: str, held: float, peak: float) -> None:
    model = build(name, 11).train()
    images = torch.randn(2, 3, 128, 128)
    held_before, peak_before = memory_of_a_step(model, images)
    checkpoint_activations(model)
    held_after, peak_after = memory_of_a_step(model, images)
    assert held_after < held * held_before
    assert peak_after < peak * peak_before


def test_a_network_without_parts_cannot_be_recomputed() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1))
    with pytest.raises(RecipeError, match=r"engine: Sequential has no part .*; leave out checkpointing"):
        prepare(model, CHECKPOINTING)


@pytest.mark.parametrize("channels_last", [True, False])
def test_filters_take_the_layout_of_the_images(channels_last: bool) -> None:
    engine = Engine(channels_last=channels_last)
    plain = build("fast-scnn", 3).eval()
    model = copy.deepcopy(plain)
    prepare(model, engine)
    filters = [p for p in model.parameters() if p.ndim == 4 and p.shape[1] > 1 and p.shape[2] > 1]
    assert all(p.is_contiguous(memory_format=memory_format(engine)) for p in filters)
    images = torch.randn(2, 3, 64, 64)
    one = model(images.to(memory_format=memory_format(engine))).logits
    assert torch.allclose(one, plain(images).logits, rtol=1e-4, atol=1e-5)


def test_checkpointing_and_compilation_exclude_each_other() -> None:
    with pytest.raises(
        RecipeError, match=r"cannot be both recomputed and compiled; choose checkpointing to save"
    ):
        prepare(tiny(3), Engine(checkpointing=True, compile=True))


def test_compilation_is_in_place_and_copies_are_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []

    def compile_(function: Callable, **_options) -> Callable:
        compiled.append(function)
        return function

    monkeypatch.setattr(torch, "compile", compile_)
    plain = tiny(3)
    model = copy.deepcopy(plain)
    prepare(model, Engine(compile=True))
    assert len(compiled) == 1
    assert list(model.state_dict()) == list(plain.state_dict())
    images = torch.randn(1, 3, 16, 16)
    assert torch.allclose(model(images).logits, plain(images).logits, rtol=1e-4, atol=1e-6)
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.head.weight.zero_()
        other.head.bias.zero_()
    assert not other(images).logits.any()


def test_compiler_errors_name_a_remedy() -> None:
    with (
        pytest.raises(
            RecipeError, match=r"torch.compile failed .*: no C\+\+ compiler; leave out compile"
        ) as caught,
        compiler_errors(),
    ):
        raise TorchDynamoException("no C++ compiler\n\nand a long story")
    assert "story" not in str(caught.value)
    with pytest.raises(ValueError, match="other"), compiler_errors():
        raise ValueError("other")
