from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from roadseg.errors import RecipeError
from roadseg.inference import Hierarchical, Whole
from roadseg.models.output import Output
from tests.tiny import tiny


class _Mean(nn.Module):
    """Averages the cells of its stride; class i is the gray value plus i, and dark cells are trusted."""

    align_corners = False

    def __init__(self, num_classes: int = 6, stride: int = 4, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.num_classes, self.stride, self.dtype = num_classes, stride, dtype

    def forward(self, images: torch.Tensor) -> Output:
        cells = F.avg_pool2d(images.mean(1, keepdim=True), self.stride, ceil_mode=True).to(self.dtype)
        classes = torch.arange(self.num_classes, dtype=self.dtype)[:, None, None]
        return Output(cells + classes, attention=torch.sigmoid(-cells))


@pytest.mark.parametrize("scales", ["1.0", "0.5_1.0", "0.5_1.0_2.0", "0.5_1.0_1.5_2.0", "0.25_0.5_1.0_2.0"])
@pytest.mark.parametrize("extend", [True, False])
def test_blends_as_published(shared: Path, scales: str, extend: bool) -> None:
    class Replay(nn.Module):
        num_classes, stride, align_corners = 4, 1, False

        def forward(self, images: torch.Tensor) -> Output:
            at = f"fake_{images.shape[-1] / 32}_"
            logits, attention = (torch.from_numpy(arrays[at + name]) for name in ("cls_out", "logit_attn"))
            return Output(logits, attention=attention)

    strategy = Hierarchical(tuple(float(scale) for scale in scales.split("_")), extend=extend)
    with np.load(shared / "golden" / "nvidia" / "nvidia_golden_main.npz") as arrays:
        found = strategy(Replay(), torch.zeros(1, 3, 24, 32))
        assert np.array_equal(found.scores.numpy(), arrays[f"hms_{scales}"])
    assert found.grid == (24, 32)


@settings(max_examples=30, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    others=st.sets(st.sampled_from([0.25, 0.5, 0.75, 1.25, 1.5, 2.0]), max_size=3),
    extend=st.booleans(),
)
def test_any_size_and_any_scales(height: int, width: int, others: set[float], extend: bool) -> None:
    strategy = Hierarchical((*others, 1.0), extend=extend)
    found = strategy(_Mean(), torch.full((2, 3, height, width), 0.7))
    assert found.scores.shape == (2, 6, height, width)
    assert found.grid == (height, width)
    expected = torch.arange(6.0)[:, None, None].add(0.7).expand(2, 6, height, width)
    torch.testing.assert_close(found.scores, expected)  # a uniform image looks the same at every scale


def test_one_scale_is_the_whole_image() -> None:
    images = torch.randn(2, 3, 30, 45)
    whole = Whole()(_Mean(), images)
    upsampled = F.interpolate(whole.scores, size=whole.grid, mode="bilinear")[..., :30, :45]
    torch.testing.assert_close(Hierarchical((1.0,))(_Mean(), images).scores, upsampled)


def test_extension_is_without_effect_at_multiples_of_the_stride() -> None:
    images = torch.randn(1, 3, 32, 48)
    plain, extended = (Hierarchical(extend=extend)(_Mean(), images).scores for extend in (False, True))
    assert torch.equal(plain, extended)


def test_extension_keeps_the_grid_at_other_sizes() -> None:
    images = torch.randn(1, 3, 64, 64)
    large = Hierarchical((1.0,))(_Mean(), images).scores
    small = Hierarchical((1.0,))(_Mean(), images[..., :33, :33]).scores
    torch.testing.assert_close(small[..., :28, :28], large[..., :28, :28])


def test_the_order_of_scales_does_not_matter() -> None:
    images = torch.randn(1, 3, 21, 34)
    assert torch.equal(
        Hierarchical((2.0, 0.5, 1.0))(_Mean(), images).scores, Hierarchical()(_Mean(), images).scores
    )


def test_a_class_does_not_depend_on_how_many_there_are() -> None:
    images = torch.randn(1, 3, 21, 34)
    many, few = (Hierarchical()(_Mean(classes), images).scores for classes in (11, 3))
    assert torch.equal(many[:, :3], few)


def test_blends_in_single_precision() -> None:
    found = Hierarchical()(_Mean(dtype=torch.bfloat16), torch.randn(1, 3, 16, 16))
    assert found.scores.dtype is torch.float32


def test_names_a_network_without_attention() -> None:
    with pytest.raises(RecipeError, match=r"TinyNet gives no attention.*hrnet-ocr-w48-hms"):
        Hierarchical()(tiny(3).eval(), torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize(
    ("scales", "message"),
    [
        ((0.5, 2.0), r"scale 1 is not among \(0.5, 2.0\)"),
        ((), "scale 1 is not among"),
        ((1.0, 1.0), "different"),
        ((0.0, 1.0), "positive"),
    ],
)
def test_refuses_scales_it_cannot_blend(scales: tuple[float, ...], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Hierarchical(scales)


def test_describes_itself() -> None:
    assert Hierarchical((2.0, 0.5, 1.0)).describe() == "hierarchical attention over scales 0.5, 1, 2, no flip"
