"""Every row of the catalog at its full size, on the meta device: nothing is computed."""

import importlib
import inspect
import math

import pytest
import torch

from roadseg.models import catalog
from roadseg.models.layouts import detect, layouts
from roadseg.models.weights import in_our_names
from tests.write_model_figures import CLASSES, multiply_adds, parameters


@pytest.fixture(params=catalog.names(), scope="module")
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(name: str) -> torch.nn.Module:
    with torch.device("meta"):
        return catalog.build(name, CLASSES).eval()


def test_states_its_size(name: str, model: torch.nn.Module) -> None:
    row = catalog.row(name)
    assert (parameters(model), multiply_adds(model)) == (row.params, row.macs)


@pytest.mark.parametrize("size", [(64, 128), (97, 161), (225, 131)], ids=str)
def test_output_at_own_stride(name: str, model: torch.nn.Module, size: tuple[int, int]) -> None:
    row = catalog.row(name)
    assert model.stride == row.stride
    cells = tuple(math.ceil(side / row.stride) for side in size)
    assert model(torch.empty(1, 3, *size, device="meta")).logits.shape == (1, CLASSES, *cells)


def test_is_recognised_from_its_weights(name: str, model: torch.nn.Module) -> None:
    found = detect(model.state_dict())
    assert found is not None
    assert (found.model, found.num_classes) == (name, CLASSES)
    with torch.device("meta"):
        again = catalog.build(found.model, found.num_classes, **found.options).state_dict()
    assert {key: value.shape for key, value in again.items()} == {
        key: value.shape for key, value in model.state_dict().items()
    }


def test_its_own_names_are_not_translated(name: str, model: torch.nn.Module) -> None:
    state = model.state_dict()
    assert list(in_our_names(state)) == list(state)


def test_has_a_weight_for_every_auxiliary_output(name: str, model: torch.nn.Module) -> None:
    output = model.train()(torch.empty(2, 3, 128, 192, device="meta"))
    model.eval()
    assert len(output.aux) <= len(catalog.row(name).aux_weights)


def test_describes_every_option(name: str) -> None:
    row = catalog.row(name)
    module, _, attribute = row.factory.partition(":")
    factory = getattr(importlib.import_module(module), attribute)
    parameters = list(inspect.signature(factory).parameters)[1:]
    assert set(row.fixed) <= set(parameters)
    assert [each for each in parameters if each not in row.fixed] == list(row.options)
    assert module == f"roadseg.models.{row.family}"


def test_names_layouts_that_exist(name: str) -> None:
    known = {layout.name for layout in layouts()}
    assert {weights.layout for weights in catalog.row(name).weights} <= known


def test_every_published_layout_is_named_by_a_card() -> None:
    named = {weights.layout for name in catalog.names() for weights in catalog.row(name).weights}
    without_card = ("roadseg/", "smp/", "torchvision/", "nvlabs/")  # ours, and those of generic networks
    assert {layout.name for layout in layouts() if not layout.name.startswith(without_card)} <= named


def test_layout_names_are_unique() -> None:
    names = [layout.name for layout in layouts()]
    assert len(set(names)) == len(names)
