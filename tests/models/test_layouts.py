from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.models import catalog
from roadseg.models.layouts import detect


def _detected(name: str, num_classes: int, **options: Any) -> tuple[str, int, dict[str, Any]]:
    with torch.device("meta"):
        found = detect(catalog.build(name, num_classes, **options).state_dict())
    assert found is not None
    return found.model, found.num_classes, dict(found.options)


@settings(max_examples=20, deadline=None)
@given(
    num_classes=st.integers(1, 30),
    alpha2=st.integers(0, 4),
    alpha3=st.integers(0, 12),
    skip=st.sampled_from(["concat", "features"]),
)
def test_espnet_is_recognised_with_its_options(num_classes: int, alpha2: int, alpha3: int, skip: str) -> None:
    options = {"alpha2": alpha2, "alpha3": alpha3}
    assert _detected("espnet-c", num_classes, **options) == ("espnet-c", num_classes, options)
    options |= {"skip": skip}
    assert _detected("espnet", num_classes, **options) == ("espnet", num_classes, options)


@pytest.mark.parametrize("aux", [("stem",), ("context",), ("stem", "context")])
@pytest.mark.parametrize("width", [32, 64])
def test_fast_scnn_is_recognised_with_its_heads(aux: tuple[str, ...], width: int) -> None:
    options = {"aux": aux, "aux_width": width}
    assert _detected("fast-scnn", 7, **options) == ("fast-scnn", 7, {"stem_padding": 0, **options})


def test_fast_scnn_without_heads() -> None:
    assert _detected("fast-scnn", 19) == ("fast-scnn", 19, {"stem_padding": 0})


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"classifier.weight": torch.zeros(5)},
        {"classifier.weight": torch.zeros(5, 5, 2, 2), "conv.conv.weight": torch.zeros(5, 99, 3, 3)},
        {"classifier.conv.1.weight": torch.zeros(19, 128, 1, 1)},
        {"classifier.conv.weight": torch.zeros(())},
    ],
)
def test_others_are_not(state: dict[str, torch.Tensor]) -> None:
    assert detect(state) is None


def test_reads_as_a_sentence() -> None:
    with torch.device("meta"):
        found = detect(catalog.build("espnet", 20, alpha3=3, skip="features").state_dict())
    assert str(found) == "espnet (alpha2=2, alpha3=3, skip=features), 20 classes"
