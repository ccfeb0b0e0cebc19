import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.losses import ImageWeightedLoss
from roadseg.losses.image_weighted import count_classes, share_weights

IGNORE = 9
CLASSES = 4


def example(batch: int = 3, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(batch, CLASSES, 6, 7, generator=draw).mul_(3).requires_grad_()
    # Few pixels of the last class, and some without a truth.
    odds = torch.tensor([5.0, 3.0, 2.0, 0.2, 1.0])
    picked = torch.multinomial(odds, batch * 42, replacement=True, generator=draw).view(batch, 6, 7)
    return logits, picked.masked_fill(picked == CLASSES, IGNORE).to(torch.uint8)


def direct(logits: torch.Tensor, mask: torch.Tensor, bound: float, over: str) -> torch.Tensor:
    """Return the mean over images, pixel by pixel."""
    losses = []
    for scores, labels in zip(logits, mask.long(), strict=True):
        counted = mask.long() if over == "batch" else labels
        valid = counted[counted != IGNORE]
        top = bottom = torch.zeros(())
        for y in range(labels.shape[0]):
            for x in range(labels.shape[1]):
                label = labels[y, x]
                if label != IGNORE:
                    weight = 1 + bound * (1 - (valid == label).sum() / len(valid))
                    top = top - weight * scores[:, y, x].log_softmax(0)[label]
                    bottom = bottom + weight
        losses.append(top / bottom)
    return torch.stack(losses).mean()


@pytest.mark.parametrize("over", ["image", "batch"])
@pytest.mark.parametrize("bound", [0.0, 1.0, 2.5])
def test_equals_the_direct_formulation(over, bound):
    logits, mask = example()
    loss = ImageWeightedLoss(IGNORE, bound=bound, over=over)(logits, mask)
    want = direct(logits, mask, bound, over)
    torch.testing.assert_close(loss, want)
    torch.testing.assert_close(
        torch.autograd.grad(loss, logits)[0], torch.autograd.grad(want, logits)[0], rtol=1e-4, atol=1e-7
    )


def test_a_sum_is_as_many_means_as_images():
    logits, mask = example()
    mean, total = (ImageWeightedLoss(IGNORE, reduction=kind)(logits, mask) for kind in ("mean", "sum"))
    torch.testing.assert_close(total, 3 * mean)


def test_images_without_truth_count_for_nothing():
    logits, mask = example()
    mask[1] = IGNORE
    loss = ImageWeightedLoss(IGNORE)(logits, mask)
    torch.testing.assert_close(loss, ImageWeightedLoss(IGNORE)(logits[::2], mask[::2]))
    nothing = ImageWeightedLoss(IGNORE)(logits, torch.full_like(mask, IGNORE))
    assert float(nothing.detach()) == 0
    assert not torch.autograd.grad(nothing, logits)[0].any()


def test_counts_and_weights_follow_the_formula():
    mask = torch.tensor([[[0, 0, 1, IGNORE]], [[2, 2, 2, 2]]], dtype=torch.uint8)
    counts = count_classes(mask, IGNORE, 3)
    assert counts.tolist() == [[2, 1, 0, 1], [0, 0, 4, 0]]
    times = torch.tensor([[[1, 2, 2, 2]], [[1, 1, 1, 1]]])
    assert count_classes(mask, IGNORE, 3, times).tolist() == [[3, 2, 0, 2], [0, 0, 4, 0]]
    torch.testing.assert_close(
        share_weights(counts[:, :3], 3.0, "image"), torch.tensor([[2.0, 3.0, 1.0], [1.0, 1.0, 1.0]])
    )
    whole = torch.tensor([1 + 3 * 5 / 7, 1 + 3 * 6 / 7, 1 + 3 * 3 / 7])
    torch.testing.assert_close(share_weights(counts[:, :3], 3.0, "batch"), whole.expand(2, 3))


@given(
    seed=st.integers(0, 2**16), scale=st.sampled_from([1.0, 1e4]), over=st.sampled_from(["image", "batch"])
)
@settings(max_examples=20, deadline=None)
def test_values_are_finite_and_ignored_pixels_have_no_gradient(seed, scale, over):
    logits, mask = example(seed=seed)
    logits = (logits.detach() * scale).requires_grad_()
    loss = ImageWeightedLoss(IGNORE, over=over)(logits, mask)
    slope = torch.autograd.grad(loss, logits)[0]
    assert loss.isfinite()
    assert slope.isfinite().all()
    assert not slope.movedim(1, -1)[mask == IGNORE].any()


@given(order=st.permutations(range(3)), over=st.sampled_from(["image", "batch"]))
@settings(max_examples=10, deadline=None)
def test_the_order_of_the_images_does_not_matter(order, over):
    logits, mask = example()
    loss, order = ImageWeightedLoss(IGNORE, over=over), list(order)
    torch.testing.assert_close(loss(logits[order], mask[order]), loss(logits, mask))


@given(cut=st.integers(1, 3))
@settings(max_examples=3, deadline=None)
def test_parts_and_their_normalizers_make_the_whole(cut):
    logits, mask = example(4)
    mask[0] = IGNORE
    loss = ImageWeightedLoss(IGNORE)
    parts = [(logits[:cut], mask[:cut]), (logits[cut:], mask[cut:])]
    torch.testing.assert_close(sum(loss.sums(*part) for part in parts), loss.sums(logits, mask))
    torch.testing.assert_close(sum(loss.normalizers(part[1]) for part in parts), loss.normalizers(mask))


def test_the_truth_is_the_minimum():
    mask = example()[1]
    right = F.one_hot(mask.long() % CLASSES, CLASSES).permute(0, 3, 1, 2) * 50.0
    assert float(ImageWeightedLoss(IGNORE)(right, mask)) < 1e-6


def test_autocast_changes_nothing():
    logits, mask = example()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = ImageWeightedLoss(IGNORE)(logits, mask)
    assert torch.equal(cast, ImageWeightedLoss(IGNORE)(logits, mask))
