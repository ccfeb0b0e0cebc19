import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.losses import CrossEntropyLoss, enet_weights, median_frequency_weights

IGNORE = 11


def example(batch: int = 2, classes: int = 4, size: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    logits = torch.randn(batch, classes, size, size, requires_grad=True)
    mask = torch.randint(0, classes, (batch, size, size), dtype=torch.uint8)
    mask[:, 0] = IGNORE
    return logits, mask


def test_equals_torch_on_valid_pixels():
    logits, mask = example()
    loss = CrossEntropyLoss(IGNORE, align_corners=False)(logits, mask)
    torch.testing.assert_close(loss, F.cross_entropy(logits, mask.long(), ignore_index=IGNORE))


def test_weighted_mean_equals_torch():
    logits, mask = example()
    weights = torch.tensor([1.0, 2.0, 0.5, 4.0])
    loss = CrossEntropyLoss(IGNORE, align_corners=False, class_weights=weights)(logits, mask)
    torch.testing.assert_close(
        loss, F.cross_entropy(logits, mask.long(), weight=weights, ignore_index=IGNORE)
    )


def test_ignored_pixels_have_no_gradient():
    logits, mask = example()
    CrossEntropyLoss(IGNORE, align_corners=False)(logits, mask).backward()
    assert logits.grad is not None
    assert not logits.grad[:, :, 0].any()
    assert logits.grad[:, :, 1:].any()


def test_all_ignored_is_zero_not_nan():
    logits, mask = example()
    loss = CrossEntropyLoss(IGNORE, align_corners=False)(logits, torch.full_like(mask, IGNORE))
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert logits.grad is not None
    assert not logits.grad.any()


@pytest.mark.parametrize("align_corners", [True, False])
def test_low_resolution_logits_are_upsampled_as_told(align_corners):
    logits, mask = torch.randn(1, 4, 3, 5), torch.randint(0, 4, (1, 24, 40), dtype=torch.uint8)
    loss = CrossEntropyLoss(IGNORE, align_corners=align_corners)(logits, mask)
    dense = F.interpolate(logits, size=(24, 40), mode="bilinear", align_corners=align_corners)
    torch.testing.assert_close(loss, F.cross_entropy(dense, mask.long()))


def test_auxiliary_outputs_are_added_with_their_weights():
    logits, mask = example()
    mask[:] = torch.randint(0, 4, mask.shape)
    aux = [torch.randn(2, 4, 6, 6) for _ in range(3)]
    plain = CrossEntropyLoss(IGNORE, align_corners=False)
    both = CrossEntropyLoss(IGNORE, align_corners=False, aux_weights=(0.4, 0.1))
    expected = (
        plain(logits, mask) + 0.4 * plain(aux[0], mask) + 0.1 * (plain(aux[1], mask) + plain(aux[2], mask))
    )
    torch.testing.assert_close(both(logits, mask, aux), expected)


@pytest.mark.parametrize(("align_corners", "picked"), [(False, [2, 7]), (True, [0, 9])])
def test_coarse_auxiliary_outputs_are_compared_at_their_cells(align_corners, picked):
    mask = torch.arange(10, dtype=torch.uint8).repeat(1, 10, 1) % 4
    logits = F.one_hot(mask.long(), 4).permute(0, 3, 1, 2).float() * 50
    cells = mask[:, picked][:, :, picked]
    aux = F.one_hot(cells.long(), 4).permute(0, 3, 1, 2).float() * 50
    loss = CrossEntropyLoss(IGNORE, align_corners=align_corners)
    assert float(loss(logits, mask, [aux])) < 1e-6
    assert float(loss(logits, mask, [aux.flip(1)])) > 1


def test_the_truth_is_the_minimum():
    mask = torch.randint(0, 4, (1, 5, 5), dtype=torch.uint8)
    right = F.one_hot(mask.long(), 4).permute(0, 3, 1, 2).float() * 50
    assert float(CrossEntropyLoss(IGNORE, align_corners=False)(right, mask)) < 1e-6


@given(cut=st.integers(1, 3), weighted=st.booleans())
@settings(max_examples=10, deadline=None)
def test_parts_weighted_by_their_normalizers_equal_the_whole(cut, weighted):
    logits, mask = example(batch=4)
    loss = CrossEntropyLoss(
        IGNORE, align_corners=False, class_weights=torch.tensor([1.0, 3.0, 0.5, 2.0]) if weighted else None
    )
    mask[cut:, :3] = IGNORE  # parts with different numbers of valid pixels
    pieces = [(logits[:cut], mask[:cut]), (logits[cut:], mask[cut:])]
    weights = [loss.normalizer(m) for _, m in pieces]
    total = sum(loss(x, m) * w for (x, m), w in zip(pieces, weights, strict=True)) / sum(weights)
    torch.testing.assert_close(total, loss(logits, mask))


def test_enet_weights_follow_the_formula():
    weights = enet_weights(torch.tensor([90, 10, 0]))
    expected = [1 / math.log(1.02 + share) for share in (0.9, 0.1, 0.0)]
    torch.testing.assert_close(weights, torch.tensor(expected))


def test_median_frequency_weights_give_one_to_the_median_and_zero_to_the_absent():
    weights = median_frequency_weights(torch.tensor([10, 20, 40, 0]))
    torch.testing.assert_close(weights, torch.tensor([2.0, 1.0, 0.5, 0.0]))


def test_half_precision_logits_are_computed_in_float32():
    logits, mask = example()
    loss = CrossEntropyLoss(IGNORE, align_corners=False)
    assert loss(logits.detach().bfloat16(), mask).dtype == torch.float32
