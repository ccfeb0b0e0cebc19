"""`decode` returns the labels of the dense way, by every method, for every shape, and touches little memory."""

import sys
from typing import get_args

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from roadseg.inference.decode import Method, decode

METHODS: tuple[Method, ...] = get_args(Method)
SPARSE: tuple[Method, ...] = ("auto", "cells", "strips")

# Whether this processor multiplies and adds in one rounding, as the compiled kernels of torch then do.
_ODD = torch.tensor([1 + 2.0**-12])
FUSED = bool(torch.addcmul(-_ODD * _ODD, _ODD, _ODD) != 0)


def interpolate(scores: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    whole = scores.float().contiguous()
    return F.interpolate(whole, size=size, mode="bilinear", align_corners=align_corners)


def dense(scores: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    return interpolate(scores, size, align_corners).max(1).indices


def road_like(classes: int, height: int, width: int, batch: int = 1) -> Tensor:
    """Logits of coherent regions with rough borders, as a trained network gives."""
    seeds = 4 * torch.randn(batch, classes, max(2, height // 6), max(2, width // 6))
    regions = F.interpolate(seeds, size=(height, width), mode="bicubic")
    return regions + 0.1 * torch.randn_like(regions)


def assert_same_up_to_rounding(
    labels: Tensor, scores: Tensor, size: tuple[int, int], align_corners: bool
) -> None:
    """The chosen class scores as high as the best, up to the rounding of one interpolation."""
    full = interpolate(scores, size, align_corners)
    chosen = full.gather(1, labels.long()[:, None])[:, 0]
    slack = 8 * torch.finfo(torch.float32).eps * float(scores.abs().max())
    assert (full.amax(1) - chosen).max() <= slack


# ---- Exactness ------------------------------------------------------------------------------------------------------

SHAPES = [
    ((32, 48), (64, 96)),  # stride 2
    ((32, 48), (128, 192)),  # stride 4
    ((16, 24), (128, 192)),  # stride 8
    ((9, 12), (144, 192)),  # stride 16
    ((6, 6), (192, 192)),  # stride 32: cells are cut into blocks
    ((5, 7), (137, 151)),
    ((17, 33), (129, 257)),  # whole strides with aligned corners
    ((45, 60), (360, 480)),
    ((45, 60), (353, 479)),
    ((40, 50), (61, 83)),  # scale below two
    ((150, 130), (70, 90)),  # down
    ((150, 20), (75, 90)),  # down and up
    ((1, 9), (64, 90)),
    ((9, 1), (90, 64)),
]


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(("cells", "size"), SHAPES)
def test_labels_of_realistic_logits_are_those_of_the_dense_way(cells, size, align_corners):
    scores = road_like(11, *cells)
    expected = dense(scores, size, align_corners)
    for method in METHODS:
        labels = decode(scores, size, align_corners=align_corners, method=method).labels
        assert labels.dtype == torch.uint8
        assert int((labels != expected).sum()) == 0, method


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("method", SPARSE)
def test_noise_is_decoded_exactly(method, align_corners):
    scores = torch.randn(1, 7, 20, 30)
    labels = decode(scores, (160, 240), align_corners=align_corners, method=method).labels
    assert torch.equal(labels.long(), dense(scores, (160, 240), align_corners))


@settings(max_examples=40, deadline=None)
@given(
    cells=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    classes=st.integers(1, 6),
    levels=st.sampled_from([2, 5, 10**6]),
    align_corners=st.booleans(),
    method=st.sampled_from(METHODS),
    seed=st.integers(0, 2**16),
)
def test_any_shape_is_decoded_up_to_rounding(cells, size, classes, levels, align_corners, method, seed):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(levels, (1, classes, *cells), generator=generator) / levels
    decoded = decode(scores, size, align_corners=align_corners, method=method, confidence=seed % 2 == 0)
    assert decoded.labels.shape == (1, *size)
    assert int(decoded.labels.max()) < classes
    assert_same_up_to_rounding(decoded.labels, scores, size, align_corners)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("stride", [2, 4, 8])
def test_the_lowest_class_wins_every_tie(method, stride):
    # Weights of whole strides are sums of powers of two, so small whole scores are interpolated without rounding.
    scores = torch.randint(3, (1, 5, 17, 19)).float()
    size = (17 * stride, 19 * stride)
    labels = decode(scores, size, align_corners=False, method=method).labels
    best = interpolate(scores, size, align_corners=False)
    lowest = (best == best.amax(1, keepdim=True)).int().argmax(1)
    assert torch.equal(labels.long(), lowest)


@pytest.mark.skipif(
    not FUSED, reason="torch rounds twice on this processor, so near ties may differ by a rounding"
)
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("method", SPARSE)
def test_near_ties_have_the_bits_of_torch(method, align_corners):
    # A large common offset leaves the scores few digits: interpolation rounds many pixels to ties.
    scores = road_like(6, 15, 20) + 1e5
    labels = decode(scores, (113, 157), align_corners=align_corners, method=method).labels
    top = interpolate(scores, (113, 157), align_corners).topk(2, dim=1).values
    assert int((top[:, 0] == top[:, 1]).sum()) > 0
    assert torch.equal(labels.long(), dense(scores, (113, 157), align_corners))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_decoded_in_float32(method, dtype):
    scores = road_like(5, 12, 18).to(dtype)
    labels = decode(scores, (96, 144), align_corners=False, method=method).labels
    assert torch.equal(labels.long(), dense(scores, (96, 144), align_corners=False))


@pytest.mark.parametrize("method", METHODS)
def test_memory_layout_does_not_matter(method):
    scores = road_like(6, 12, 18)
    wide = scores.contiguous(memory_format=torch.channels_last)
    first, second = (decode(x, (96, 144), align_corners=False, method=method).labels for x in (scores, wide))
    assert torch.equal(first, second)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_cuda_decodes_up_to_rounding(method, align_corners):
    scores = road_like(11, 16, 24).cuda()
    decoded = decode(scores, (131, 185), align_corners=align_corners, method=method)
    assert decoded.labels.device == scores.device
    assert_same_up_to_rounding(decoded.labels, scores, (131, 185), align_corners)


# ---- Edges ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_constant_scores_give_the_first_of_the_best_classes(method):
    scores = torch.zeros(1, 4, 6, 7)
    scores[:, 1:3] = 1.5
    labels = decode(scores, (48, 90), align_corners=False, method=method).labels
    assert labels.unique().tolist() == [1]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("align_corners", [False, True])
def test_a_single_cell_fills_the_picture(method, align_corners):
    scores = torch.tensor([0.1, 3.0, 2.9]).view(1, 3, 1, 1)
    labels = decode(scores, (70, 80), align_corners=align_corners, method=method).labels
    assert labels.unique().tolist() == [1]


@pytest.mark.parametrize("method", METHODS)
def test_one_class_is_certain(method):
    labels, confidence = decode(
        torch.randn(1, 1, 4, 5), (32, 40), align_corners=False, confidence=True, method=method
    )
    assert not labels.any()
    assert confidence is not None
    assert torch.equal(confidence, torch.ones(1, 32, 40))


@pytest.mark.parametrize(("classes", "dtype"), [(256, torch.uint8), (257, torch.int16), (32769, torch.int32)])
def test_labels_take_the_smallest_type_that_holds_them(classes, dtype):
    scores = torch.zeros(1, classes, 2, 2)
    scores[:, -1] = 1
    for method in METHODS:
        labels = decode(scores, (3, 3), align_corners=False, method=method).labels
        assert labels.dtype == dtype
        assert labels.unique().tolist() == [classes - 1]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_scores_that_are_not_finite_act_as_in_the_dense_way(method, bad):
    scores = road_like(5, 10, 12)
    scores[0, 3, 4, 5] = bad
    scores[0, 2, 8] = bad
    labels = decode(scores, (80, 96), align_corners=False, method=method).labels
    assert torch.equal(labels.long(), dense(scores, (80, 96), align_corners=False))


@pytest.mark.parametrize("method", METHODS)
def test_scores_beyond_float32_are_infinite(method):
    scores = road_like(5, 10, 12).double()
    scores[0, 1, 2, 3] = 1e300
    labels = decode(scores, (80, 96), align_corners=False, method=method).labels
    assert torch.equal(labels.long(), dense(scores, (80, 96), align_corners=False))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("align_corners", [False, True])
def test_equal_size_is_a_plain_argmax(method, align_corners):
    scores = torch.randn(2, 5, 70, 80)
    labels = decode(scores, (70, 80), align_corners=align_corners, method=method).labels
    assert torch.equal(labels.long(), scores.max(1).indices)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("grid", [(96, 128), (12, 16)])
def test_padding_is_cut_off(method, align_corners, grid):
    scores = road_like(6, 12, 16)
    height, width = grid[0] - 3, grid[1] - 5
    part = decode(
        scores, (height, width), grid=grid, align_corners=align_corners, confidence=True, method=method
    )
    whole = decode(scores, grid, align_corners=align_corners, confidence=True, method=method)
    assert part.confidence is not None
    assert whole.confidence is not None
    assert torch.equal(part.labels, whole.labels[:, :height, :width])
    # exp() rounds by where a number falls in a vector register, so equal scores give confidences one rounding apart.
    torch.testing.assert_close(part.confidence, whole.confidence[:, :height, :width], atol=1e-6, rtol=0)


@pytest.mark.parametrize("method", METHODS)
def test_a_batch_is_its_pictures(method):
    scores = road_like(5, 9, 12, batch=3)
    scores[1] = torch.randn(5, 9, 12)
    labels = decode(scores, (72, 96), align_corners=False, method=method).labels
    for image, expected in zip(scores, labels, strict=True):
        assert torch.equal(
            decode(image[None], (72, 96), align_corners=False, method=method).labels[0], expected
        )
    assert decode(scores[:0], (72, 96), align_corners=False, method=method).labels.shape == (0, 72, 96)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [(70, 90), (10, 12), (80, 96)])
def test_scores_are_left_alone(method, size):
    scores = torch.randn(1, 4, 10, 12, requires_grad=True)
    before = scores.detach().clone()
    decoded = decode(scores, size, align_corners=False, confidence=True, method=method)
    assert torch.equal(scores.detach(), before)
    assert decoded.confidence is not None
    assert not decoded.confidence.requires_grad


# ---- Confidence -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("size", [(96, 144), (131, 77), (9, 13), (12, 18)])
def test_confidence_is_the_softmax_of_the_winner(method, align_corners, size):
    scores = road_like(7, 12, 18)
    expected = interpolate(scores, size, align_corners).softmax(1).amax(1)
    labels, confidence = decode(scores, size, align_corners=align_corners, confidence=True, method=method)
    assert confidence is not None
    assert confidence.dtype == torch.float32
    torch.testing.assert_close(confidence, expected, atol=1e-6, rtol=0)
    assert torch.equal(labels.long(), dense(scores, size, align_corners))


@pytest.mark.parametrize("method", METHODS)
def test_probabilities_are_their_own_confidence(method):
    scores = road_like(7, 12, 18).softmax(1)
    decoded = decode(
        scores, (96, 144), align_corners=False, confidence=True, probabilities=True, method=method
    )
    expected = interpolate(scores, (96, 144), align_corners=False).amax(1)
    assert decoded.confidence is not None
    torch.testing.assert_close(decoded.confidence, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("method", METHODS)
def test_confidence_of_finite_scores_is_a_probability(method):
    scores = torch.randn(1, 5, 8, 9) * torch.tensor([1e-38, 1.0, 1e4, 1e30, 3e37]).view(1, 5, 1, 1)
    confidence = decode(scores, (70, 80), align_corners=True, confidence=True, method=method).confidence
    assert confidence is not None
    assert bool(((confidence > 0) & (confidence <= 1)).all())


def test_confidence_is_not_computed_unless_asked_for():
    assert decode(torch.randn(1, 3, 4, 5), (8, 10), align_corners=False).confidence is None


# ---- Work and memory ------------------------------------------------------------------------------------------------


@pytest.fixture
def interpolated(monkeypatch):
    """The number of scores in each chunk that the cells method interpolates."""
    module = sys.modules[decode.__module__]  # the package re-exports the function under the module's name
    counts = []
    original = module._interpolate_blocks

    def counting(*args):
        result = original(*args)
        counts.append(result.numel())
        return result

    monkeypatch.setattr(module, "_interpolate_blocks", counting)
    return counts


def halves(height, width):
    scores = torch.zeros(1, 2, height, width)
    scores[:, 0, :, : width // 2] = 1
    scores[:, 1, :, width // 2 :] = 1
    return scores


def test_only_cells_on_a_border_are_interpolated(interpolated):
    labels = decode(halves(16, 32), (128, 256), align_corners=False, method="cells").labels
    assert labels[0, 0].tolist() == [0] * 128 + [1] * 128
    assert sum(interpolated) == 2 * 128 * 8  # one column of cells, eight pixels wide, for two classes


@pytest.mark.parametrize("cells", [(2, 2), (6, 6), (64, 64)])
def test_chunks_are_bounded_however_large_the_cells(interpolated, cells):
    decode(torch.randn(1, 4, *cells), (768, 768), align_corners=False, method="cells")
    assert max(interpolated) <= 2**19


def test_auto_takes_strips_where_borders_are_everywhere(interpolated):
    scores = torch.randn(1, 19, 40, 60)
    decode(scores, (240, 360), align_corners=False)
    assert not interpolated
    decode(scores, (240, 360), align_corners=False, method="cells")
    assert sum(interpolated) > 0


def test_auto_takes_cells_where_regions_are_large(interpolated):
    decode(road_like(19, 30, 45), (240, 360), align_corners=False)
    assert 0 < sum(interpolated) < 0.6 * 19 * 240 * 360


# ---- Misuse ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 0, 4, 5), (1, 3, 0, 5)])
def test_scores_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match="scores must be"):
        decode(torch.zeros(shape), (8, 8), align_corners=False)


@pytest.mark.parametrize(("size", "grid"), [((0, 8), None), ((9, 8), (8, 8)), ((8, 9), (8, 8))])
def test_sizes_beyond_the_grid_are_refused(size, grid):
    with pytest.raises(ValueError, match="must be positive and lie within"):
        decode(torch.zeros(1, 3, 4, 4), size, grid=grid, align_corners=False)
