import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.errors import RecipeError
from roadseg.losses import BinaryCrossEntropyLoss, RMILoss
from roadseg.losses.rmi import RIDGE, _factor
from tests.losses.direct import bce_direct, rmi_direct

IGNORE = 200
CLASSES = 4
NOTHING_KNOWN = math.log(RIDGE) / 2  # what an absent class adds to the region term


def example(
    batch: int = 2, height: int = 37, width: int = 50, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Random logits, and blocks of classes with a few ignored pixels."""
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(batch, CLASSES, height, width, generator=draw).mul_(2).requires_grad_()
    blocks = torch.randint(0, CLASSES, (batch, 1, height // 8 + 1, width // 8 + 1), generator=draw)
    mask = F.interpolate(blocks.float(), (height, width), mode="nearest")[:, 0].to(torch.uint8)
    mask[torch.rand(mask.shape, generator=draw) < 0.1] = IGNORE
    return logits, mask


def gradient(loss: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(loss, logits, retain_graph=True)[0]


def assert_alike(ours: torch.Tensor, direct: torch.Tensor, logits: torch.Tensor) -> None:
    torch.testing.assert_close(ours, direct, rtol=1e-5, atol=1e-7)
    want = gradient(direct, logits)
    torch.testing.assert_close(gradient(ours, logits), want, rtol=0, atol=1e-5 * float(want.abs().max()))


@pytest.mark.parametrize("pool", ["average", "max", "interpolate"])
@pytest.mark.parametrize(("radius", "stride", "size"), [(3, 4, (37, 50)), (2, 4, (38, 47)), (3, 2, (25, 24))])
def test_equals_the_direct_formulation(pool, radius, stride, size):
    logits, mask = example(2, *size)
    options = {"share": 0.3, "radius": radius, "stride": stride, "pool": pool}
    ours = RMILoss(IGNORE, **options)(logits, mask)
    assert_alike(ours, rmi_direct(logits, mask, IGNORE, **options), logits)


def test_equals_the_direct_formulation_where_maps_are_cut_in_many_parts(monkeypatch):
    monkeypatch.setattr("roadseg.losses.rmi._AT_ONCE", 1)
    monkeypatch.setattr("roadseg.losses.rmi._REGIONS_AT_ONCE", 1)
    logits, mask = example()
    assert_alike(RMILoss(IGNORE)(logits, mask), rmi_direct(logits, mask, IGNORE), logits)


def test_equals_the_direct_formulation_for_sure_and_right_guesses():
    logits, mask = example(1, 64, 64)
    right = F.one_hot(mask.long().clamp(max=CLASSES - 1), CLASSES).permute(0, 3, 1, 2)
    sure = (logits.detach() / 4 + 6 * right - 3).requires_grad_()
    assert_alike(RMILoss(IGNORE)(sure, mask), rmi_direct(sure, mask, IGNORE), sure)


def test_binary_cross_entropy_equals_the_direct_formulation():
    logits, mask = example()
    assert_alike(BinaryCrossEntropyLoss(IGNORE)(logits, mask), bce_direct(logits, mask, IGNORE), logits)


def test_the_terms_have_their_shares():
    logits, mask = example()
    alone = BinaryCrossEntropyLoss(IGNORE)(logits, mask)
    region = RMILoss(IGNORE, share=1.0)(logits, mask)
    both = RMILoss(IGNORE, share=0.2)(logits, mask)
    torch.testing.assert_close(both, 0.8 * alone + 0.2 * region)
    torch.testing.assert_close(RMILoss(IGNORE, share=0.0)(logits, mask), alone)


def test_without_truth_the_region_term_is_its_constant_and_nothing_is_learned():
    logits, mask = example()
    loss = RMILoss(IGNORE)(logits, torch.full_like(mask, IGNORE))
    assert float(loss.detach()) == pytest.approx(0.5 * CLASSES * NOTHING_KNOWN)
    assert not gradient(loss, logits).any()


@pytest.mark.parametrize("level", [-1e4, -5.0, 0.0, 5.0, 1e4])
@pytest.mark.parametrize("truth", [None, 2])
def test_constant_maps_give_finite_values_and_gradients(level, truth):
    logits, mask = example()
    mask = mask if truth is None else torch.full_like(mask, truth)
    constant = torch.full_like(logits, level, requires_grad=True)
    loss = RMILoss(IGNORE)(constant, mask)
    assert loss.isfinite()
    assert gradient(loss, constant).isfinite().all()


def test_singular_matrices_get_a_larger_ridge_and_hopeless_ones_are_left_out():
    indefinite = torch.diag(torch.tensor([1.0, -3e-3, 1.0])).double()
    broken = torch.full((3, 3), torch.nan).double()
    hopeless = torch.diag(torch.tensor([1.0, -1e6, 1.0])).double()
    factors, found = _factor(torch.stack([torch.eye(3).double(), indefinite, broken, hopeless]))
    assert found.tolist() == [True, True, False, False]
    assert factors.isfinite().all()
    torch.testing.assert_close(factors[0], torch.eye(3).double() * math.sqrt(1 + RIDGE))
    torch.testing.assert_close(factors[1] @ factors[1].mT, indefinite + 10 * RIDGE * torch.eye(3))


def test_a_class_with_a_broken_map_does_not_spoil_the_others():
    logits, mask = example()
    broken = logits.detach().clone()
    broken[:, 1] = torch.nan
    term = RMILoss(IGNORE, share=1.0).sums(broken.requires_grad_(), mask)[1]
    assert term.isfinite()


@given(seed=st.integers(0, 2**16), scale=st.sampled_from([1.0, 30.0, 1e4]))
@settings(max_examples=15, deadline=None)
def test_values_are_finite_and_ignored_pixels_have_no_gradient(seed, scale):
    logits, mask = example(seed=seed)
    logits = (logits.detach() * scale).requires_grad_()
    loss = RMILoss(IGNORE)(logits, mask)
    slope = gradient(loss, logits)
    assert loss.isfinite()
    assert slope.isfinite().all()
    assert not slope.movedim(1, -1)[mask == IGNORE].any()
    assert slope.movedim(1, -1)[mask != IGNORE].any()


@given(order=st.permutations(range(3)))
@settings(max_examples=6, deadline=None)
def test_the_order_of_the_images_does_not_matter(order):
    logits, mask = example(3)
    loss = RMILoss(IGNORE)
    order = list(order)
    torch.testing.assert_close(loss(logits[order], mask[order]), loss(logits, mask))


@given(cut=st.integers(1, 3))
@settings(max_examples=3, deadline=None)
def test_parts_and_their_normalizers_make_the_whole(cut):
    logits, mask = example(4)
    loss = RMILoss(IGNORE)
    parts = [(logits[:cut], mask[:cut]), (logits[cut:], mask[cut:])]
    sums = sum(loss.sums(*part) for part in parts)
    normalizers = sum(loss.normalizers(part[1]) for part in parts)
    torch.testing.assert_close(sums, loss.sums(logits, mask))
    extra = torch.tensor([1.0, 0.0])  # each part adds its own one to the pixels
    torch.testing.assert_close(normalizers, loss.normalizers(mask) + extra)
    assert not loss.normalizers(mask).requires_grad


def test_right_guesses_are_near_the_minimum():
    mask = example(2)[1]
    right = F.one_hot(mask.long().clamp(max=CLASSES - 1), CLASSES).permute(0, 3, 1, 2)
    loss = RMILoss(IGNORE)(60.0 * right - 30, mask)
    # With P = Y the rest is Y - Y (Y + r)^-1 Y + r, all but 2r.
    assert float(loss) == pytest.approx(0.5 * CLASSES * math.log(2 * RIDGE) / 2, rel=1e-3)
    assert loss < RMILoss(IGNORE)(60.0 * right.roll(1, 1) - 30, mask)
    assert BinaryCrossEntropyLoss(IGNORE)(60.0 * right - 30, mask) < 1e-6


@pytest.mark.parametrize("kind", [RMILoss, BinaryCrossEntropyLoss])
def test_autocast_changes_nothing(kind):
    logits, mask = example()
    plain = kind(IGNORE)(logits, mask)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = kind(IGNORE)(logits, mask)
    assert cast.dtype == torch.float32
    assert torch.equal(cast, plain)
    assert torch.equal(gradient(cast, logits), gradient(plain, logits))


def test_masks_of_any_integer_type_and_memory_format_are_alike():
    logits, mask = example()
    want = RMILoss(IGNORE)(logits, mask)
    torch.testing.assert_close(RMILoss(IGNORE)(logits, mask.long()), want)
    strided = logits.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    loss = RMILoss(IGNORE)(strided, mask)
    torch.testing.assert_close(loss, want)
    torch.testing.assert_close(gradient(loss, strided), gradient(want, logits))


def test_an_image_smaller_than_a_region_is_refused():
    with pytest.raises(RecipeError, match="take a larger crop"):
        RMILoss(IGNORE)(torch.zeros(1, 2, 7, 64), torch.zeros(1, 7, 64, dtype=torch.uint8))
