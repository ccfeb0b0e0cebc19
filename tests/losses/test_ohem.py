import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.losses import OhemLoss, ohem

IGNORE = 255


def example(shape: tuple[int, int, int] = (2, 8, 10), classes: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    logits = torch.randn(shape[0], classes, *shape[1:], requires_grad=True)
    mask = torch.randint(0, classes, shape, dtype=torch.uint8)
    mask[:, 0] = IGNORE
    return logits, mask


def by_sorting(
    logits: torch.Tensor, mask: torch.Tensor, threshold: float, kept: int, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """The definition: ignored pixels count as probability 1, and all are sorted."""
    valid = mask != IGNORE
    target = mask.long()
    probability = logits.detach().softmax(1).gather(1, target.masked_fill(~valid, 0)[:, None])[:, 0]
    probability = probability.masked_fill(~valid, 1.0)
    if 0 < kept <= int(valid.sum()):
        limit = max(threshold, float(probability.flatten().sort().values[kept - 1]))
        target = target.masked_fill(probability > limit, IGNORE)
    return F.cross_entropy(logits, target, weight=weights, ignore_index=IGNORE)


@given(
    threshold=st.floats(0.01, 1.0),
    kept=st.integers(0, 170),
    weighted=st.booleans(),
    seed=st.integers(0, 1000),
)
@settings(max_examples=50, deadline=None)
def test_equals_a_full_sort(threshold, kept, weighted, seed):
    torch.manual_seed(seed)
    logits, mask = example()
    weights = torch.rand(5) + 0.1 if weighted else None
    loss = OhemLoss(IGNORE, threshold=threshold, min_kept=kept, class_weights=weights)(logits, mask)
    expected = by_sorting(logits, mask, threshold, kept, weights)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(
        *(torch.autograd.grad(value, logits)[0] for value in (loss, expected)), rtol=1e-4, atol=1e-7
    )


def test_share_counts_all_pixels_and_the_larger_number_is_kept():
    logits, mask = example()
    by_share = OhemLoss(IGNORE, threshold=0.0, min_kept=3, min_share=0.1)(logits, mask)
    torch.testing.assert_close(by_share, OhemLoss(IGNORE, threshold=0.0, min_kept=16)(logits, mask))
    by_count = OhemLoss(IGNORE, threshold=0.0, min_kept=30, min_share=0.1)(logits, mask)
    torch.testing.assert_close(by_count, OhemLoss(IGNORE, threshold=0.0, min_kept=30)(logits, mask))


@pytest.mark.parametrize("kept", [0, 145])  # 144 pixels have a truth
def test_without_mining_it_is_cross_entropy(kept):
    logits, mask = example()
    loss = OhemLoss(IGNORE, threshold=0.1, min_kept=kept)(logits, mask)
    torch.testing.assert_close(loss, F.cross_entropy(logits, mask.long(), ignore_index=IGNORE))


def test_easy_pixels_have_no_gradient():
    mask = torch.zeros(1, 2, 4, dtype=torch.uint8)
    logits = torch.zeros(1, 3, 2, 4)
    logits[0, 0, 0] = 5.0
    logits.requires_grad_()
    OhemLoss(IGNORE, threshold=0.7, min_kept=1)(logits, mask).backward()
    assert logits.grad is not None
    assert not logits.grad[:, :, 0].any()
    assert logits.grad[:, :, 1].all()


def test_the_value_is_the_mean_over_kept_pixels():
    mask = torch.zeros(1, 1, 4, dtype=torch.uint8)
    logits = torch.tensor([0.0, 0.0, 9.0, 9.0]).repeat(1, 2, 1, 1)
    logits[:, 1] = 0
    loss = OhemLoss(IGNORE, threshold=0.7, min_kept=1)(logits, mask)
    assert float(loss) == pytest.approx(math.log(2), rel=1e-6)


def test_maps_larger_than_a_block_are_put_together(monkeypatch):
    logits, mask = example((2, 7, 10))
    whole = OhemLoss(IGNORE, min_kept=40)(logits, mask)
    gradient = torch.autograd.grad(whole, logits)[0]
    monkeypatch.setattr(ohem, "_AT_ONCE", 100)
    parts = OhemLoss(IGNORE, min_kept=40)(logits, mask)
    torch.testing.assert_close(parts, whole)
    torch.testing.assert_close(torch.autograd.grad(parts, logits)[0], gradient)


def test_not_a_number_is_not_hidden():
    logits, mask = example()
    with torch.no_grad():
        logits[0, 0, 3, 3] = math.nan
    assert OhemLoss(IGNORE, min_kept=40)(logits, mask).isnan()


def test_channels_last_logits_give_the_same():
    logits, mask = example()
    last = logits.detach().to(memory_format=torch.channels_last).requires_grad_()
    criterion = OhemLoss(IGNORE, min_kept=40)
    loss, other = criterion(logits, mask), criterion(last, mask)
    torch.testing.assert_close(other, loss)
    torch.testing.assert_close(torch.autograd.grad(other, last)[0], torch.autograd.grad(loss, logits)[0])


def test_gradient_in_float64():
    mask = torch.randint(0, 3, (1, 5, 6), dtype=torch.uint8).repeat(2, 2, 1)
    mask[0, 0, 0] = IGNORE
    logits = torch.randn(2, 3, 10, 6, dtype=torch.float64, requires_grad=True)
    criterion = OhemLoss(IGNORE, min_kept=40)
    assert torch.autograd.gradcheck(lambda scores: criterion.sums(scores, mask), logits)
