import subprocess
import sys

import pytest
import torch
from torch import nn

from roadseg import models
from roadseg.errors import RecipeError
from roadseg.models import catalog


def test_names_are_sorted_and_lead_to_rows() -> None:
    names = catalog.names()
    assert list(names) == sorted(names)
    assert [catalog.row(name).name for name in names] == list(names)


def test_reading_the_rows_needs_no_torch() -> None:
    code = (
        "import sys; from roadseg.models import catalog; catalog.row('espnet'); "
        "catalog.row('smp:unet/resnet18'); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("typo", "near"), [("fast_scnn", "fast-scnn"), ("espnett", "espnet"), ("FAST-SCN", "fast-scnn")]
)
def test_unknown_model_names_the_nearest(typo: str, near: str) -> None:
    with pytest.raises(RecipeError, match=f"{typo}.*did you mean {near}"):
        catalog.row(typo)


def test_unknown_model_lists_the_known() -> None:
    with pytest.raises(RecipeError, match=r"known are .*espnet, espnet-c, .*fast-scnn, .*or your own"):
        catalog.build("zzz", 5)


@pytest.mark.parametrize(
    ("name", "title", "stride"),
    [
        ("smp:deeplabv3plus/efficientnet-b4", "DeepLabV3+, efficientnet-b4", 4),
        ("torchvision:fcn_resnet50", "FCN, ResNet-50", 8),
    ],
)
def test_networks_of_other_libraries_have_rows(name: str, title: str, stride: int) -> None:
    row = catalog.row(name)
    assert (row.name, row.title, row.stride) == (name, title, stride)
    assert row.paper.startswith("https://")
    assert row.params == 0  # not measured
    assert not catalog.is_code(name)
    assert catalog.build(name.replace("efficientnet-b4", "resnet18"), 3).num_classes == 3


@pytest.mark.parametrize("name", ["smp:", "smp:unet", "smp:unet/", "torchvision:", "smp:nets:unet"])
def test_half_a_name_is_refused(name: str) -> None:
    with pytest.raises(RecipeError, match=f"model {name}"):
        catalog.build(name, 3)


def test_only_a_path_to_a_callable_is_code() -> None:
    assert catalog.is_code("os:system")
    assert not catalog.is_code("smp:unet/resnet18")
    assert not catalog.is_code("fast-scnn")


def test_unknown_option_names_the_known() -> None:
    with pytest.raises(RecipeError, match=r"model espnet-c: has no option depth.*alpha2, alpha3"):
        catalog.build("espnet-c", 5, depth=3)


@pytest.mark.parametrize("options", [{"skip": "image"}, {"alpha3": "many"}, {"alpha2": -1}])
def test_refused_value_is_one_sentence(options: dict[str, object]) -> None:
    with pytest.raises(RecipeError, match="model espnet"):
        catalog.build("espnet", 5, **options)


def test_no_classes() -> None:
    with pytest.raises(RecipeError, match="0 classes"):
        catalog.build("fast-scnn", 0)


def test_options_reach_the_network() -> None:
    assert len(catalog.build("espnet-c", 5, alpha3=1).level3) == 1


class Pointwise(nn.Conv2d):
    def __init__(self, num_classes: int, *, bias: bool = True) -> None:
        super().__init__(3, num_classes, 1, bias=bias)


def test_own_model_by_its_path() -> None:
    model = catalog.build("tests.models.test_catalog:Pointwise", 4, bias=False)
    assert model(torch.zeros(1, 3, 2, 2)).shape == (1, 4, 2, 2)
    assert model.bias is None


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("no.such.module:net", "cannot import 'no.such.module'"),
        (":net", "cannot import ''"),
        ("roadseg.models.espnet:nothing", "has no 'nothing'"),
        ("roadseg.models.espnet:__all__", "not a callable"),
        ("builtins:range", "range, not a torch.nn.Module"),
    ],
)
def test_own_model_that_is_none(path: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        catalog.build(path, 4)


def test_own_model_with_an_unknown_option() -> None:
    with pytest.raises(RecipeError, match="has no option depth; its options are bias"):
        catalog.build("tests.models.test_catalog:Pointwise", 4, depth=3)


def test_public_names_are_all_there() -> None:
    assert all(getattr(models, name) for name in models.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        models.nothing  # noqa: B018
