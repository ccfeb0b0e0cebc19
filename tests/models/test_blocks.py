import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.models.blocks import adaptive_avg_pool, enlarge


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


@pytest.mark.parametrize("factor", [2, 4, 8, 16])
def test_enlarged_cells_keep_their_place_where_sides_are_no_multiples(factor: int) -> None:
    coarse = torch.randn(1, 2, 2, 3)
    whole = enlarge(coarse, factor, (2 * factor, 3 * factor), align_corners=False)
    part = enlarge(coarse, factor, (factor + 1, 2 * factor + 1), align_corners=False)
    assert torch.equal(part, whole[..., : factor + 1, : 2 * factor + 1])
    torch.testing.assert_close(whole, F.interpolate(coarse, scale_factor=factor, mode="bilinear"))


def test_enlarged_with_aligned_corners_spans_the_corners() -> None:
    coarse = torch.randn(1, 2, 2, 3)
    found = enlarge(coarse, 4, (7, 10), align_corners=True)
    assert found.shape[-2:] == (7, 10)
    torch.testing.assert_close(found[..., ::6, ::9], coarse[..., :, ::2])
