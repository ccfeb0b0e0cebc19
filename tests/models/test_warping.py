import math
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.models.warping import channel_norm, correlation, displaced_convolution, warp


def by_the_rule(image: np.ndarray, flow: np.ndarray, mode: str) -> np.ndarray:
    """One picture, pixel by pixel: floor, floor + 1, each moved to the border."""
    channels, height, width = image.shape
    result = np.zeros((channels, *flow.shape[1:]), image.dtype)
    for y, x in np.ndindex(*flow.shape[1:]):
        u, v = x + flow[0, y, x], y + flow[1, y, x]
        if mode == "nearest":
            row, column = math.floor(v + 0.5), math.floor(u + 0.5)
            result[:, y, x] = image[:, np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
            continue
        for i, j in np.ndindex(2, 2):
            row, column = math.floor(v) + i, math.floor(u) + j
            weight = (1 - abs(v - row)) * (1 - abs(u - column))
            result[:, y, x] += weight * image[:, np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
    return result


@settings(max_examples=30, deadline=None)
@given(
    sides=st.tuples(*[st.integers(1, 7)] * 4),
    seed=st.integers(0, 1000),
    halves=st.booleans(),
    mode=st.sampled_from(["bilinear", "nearest"]),
)
def test_warp_follows_the_rule(sides: tuple[int, ...], seed: int, halves: bool, mode: str) -> None:
    rng = np.random.default_rng(seed)
    image = rng.normal(size=(2, *sides[:2]))
    flow = rng.normal(size=(2, *sides[2:])) * 4
    if halves:
        flow = np.round(flow * 2) / 2
    found = warp(torch.from_numpy(image)[None], torch.from_numpy(flow)[None], mode)[0].numpy()
    want = by_the_rule(image, flow, mode)
    assert np.array_equal(found, want) if mode == "nearest" else np.allclose(found, want, atol=1e-12)


def test_warp_fetches_from_where_the_flow_points() -> None:
    image = torch.arange(12.0).view(1, 1, 3, 4)
    flow = torch.tensor([1.0, -1.0]).view(1, 2, 1, 1).expand(1, 2, 3, 4)
    want = torch.tensor([[1, 2, 3, 3], [1, 2, 3, 3], [5, 6, 7, 7]])
    assert torch.equal(warp(image, flow)[0, 0], want.float())
    assert torch.equal(warp(image, flow * 1e9)[0, 0], torch.full((3, 4), 3.0))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.int64, torch.bool, torch.float16])
def test_nearest_keeps_the_type(dtype: torch.dtype) -> None:
    labels = torch.tensor([[0, 1, 0, 1]]).to(dtype).view(1, 1, 1, 4)
    moved = warp(labels, torch.full((1, 2, 1, 4), 0.5), "nearest")
    assert moved.dtype is dtype
    assert moved.flatten().tolist() == [1, 0, 1, 1]


def test_whole_numbers_are_not_mixed() -> None:
    with pytest.raises(TypeError, match="nearest"):
        warp(torch.zeros(1, 1, 2, 2, dtype=torch.uint8), torch.zeros(1, 2, 2, 2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_wide_pictures_stay_sharp(dtype: torch.dtype) -> None:
    stripes = (torch.arange(4096) % 2).to(dtype).expand(1, 1, 2, -1)
    flow = torch.zeros(1, 2, 2, 4096, dtype=dtype)
    assert torch.allclose(warp(stripes, flow), stripes, rtol=0, atol=1e-6)
    moved = warp(stripes, flow + 0.25)[0, 0, 0, :-1]
    assert moved.dtype is dtype
    assert torch.allclose(moved.float(), 0.25 + 0.5 * stripes[0, 0, 0, :-1].float(), rtol=0, atol=1e-6)


def test_gradients_of_warp() -> None:
    image = torch.randn(2, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    flow = torch.randn(2, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(warp, (image, flow), fast_mode=True)


def test_displaced_convolution_reads_bilinearly_around_every_place() -> None:
    side, height, width = 3, 6, 7
    images = torch.randn(2, 3, height + side - 1, width + side - 1, dtype=torch.float64)
    vertical, horizontal = torch.randn(2, 2, side, height, width, dtype=torch.float64)
    flow = 3 * torch.randn(2, 2, height, width, dtype=torch.float64)
    want = torch.zeros(2, 3, height, width, dtype=torch.float64)
    for i in range(side):
        for j in range(side):
            window = images[..., i : i + height, j : j + width]
            want += vertical[:, i : i + 1] * horizontal[:, j : j + 1] * warp(window, flow)
    assert torch.allclose(displaced_convolution(images, vertical, horizontal, flow), want, atol=1e-12)


def test_gradients_of_displaced_convolution() -> None:
    shapes = (1, 2, 5, 5), (1, 3, 3, 3), (1, 3, 3, 3), (1, 2, 3, 3)
    given = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(displaced_convolution, given, fast_mode=True)


@pytest.mark.parametrize(
    ("size", "displacement", "step"),
    [((3, 5), 20, 2), ((4, 64), 20, 2), ((2, 131), 6, 3), ((5, 40), 4, 1), ((3, 7), 0, 1)],
)
def test_correlation_is_a_mean_of_products(size: tuple[int, int], displacement: int, step: int) -> None:
    first, second = torch.randn(2, 2, 6, *size, dtype=torch.float64)
    height, width = size
    wide = F.pad(second, (displacement,) * 4)
    places = range(0, 2 * displacement + 1, step)
    want = [(first * wide[..., j : j + height, i : i + width]).mean(1) for j in places for i in places]
    found = correlation(first, second, displacement=displacement, step=step)
    assert torch.allclose(found, torch.stack(want, dim=1), atol=1e-12)


def test_gradients_of_correlation() -> None:
    given = [torch.randn(1, 2, 3, 5, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(partial(correlation, displacement=2, step=1), given, fast_mode=True)


def test_channel_norm_is_a_length() -> None:
    x = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1).expand(2, 2, 3, 3)
    assert torch.equal(channel_norm(x), torch.full((2, 1, 3, 3), 5.0))


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_where_the_flow_is_no_number_nothing_moves(mode: str) -> None:
    images = torch.arange(12, dtype=torch.float32).view(1, 1, 3, 4)
    flow = torch.zeros(1, 2, 3, 4)
    flow[0, 0, 1] = torch.tensor([torch.nan, torch.inf, -torch.inf, 1e30])
    assert warp(images, flow, mode)[0, 0].tolist() == [[0, 1, 2, 3], [4, 7, 4, 7], [8, 9, 10, 11]]
