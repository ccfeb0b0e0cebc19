import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.models.blocks import adaptive_avg_pool


@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40), rows=st.integers(1, 9), columns=st.integers(1, 9))
def test_both_ways_to_pool_are_the_built_in(height: int, width: int, rows: int, columns: int) -> None:
    x = torch.randn(2, 3, height, width, dtype=torch.float64)
    expected = F.adaptive_avg_pool2d(x, (rows, columns))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.compiler, "is_compiling", lambda: True)
        traced = adaptive_avg_pool(x, (rows, columns))
    assert torch.allclose(traced, expected, atol=1e-12)
    assert torch.equal(adaptive_avg_pool(x, (rows, columns)), expected)


@pytest.mark.parametrize("compiling", [False, True])
def test_a_small_grid_repeats_its_last_cell(compiling: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: compiling)
    x = torch.randn(1, 2, 5, 7)
    grid = adaptive_avg_pool(x, (1, 3), least=2)
    assert grid.shape == (1, 2, 2, 3)
    assert torch.equal(grid[:, :, 0], grid[:, :, 1])
    assert torch.allclose(grid[:, :, :1], F.adaptive_avg_pool2d(x, (1, 3)), atol=1e-6)
