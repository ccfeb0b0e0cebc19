import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.losses import BoundaryLoss
from roadseg.losses.boundary import boundaries

IGNORE = 255


def halves(rows: int = 5, columns: int = 12) -> torch.Tensor:
    mask = torch.zeros(1, rows, columns, dtype=torch.uint8)
    mask[:, :, columns // 2 :] = 1
    return mask


@pytest.mark.parametrize(
    ("width", "left", "right"),
    [(1, [5], [6]), (2, [5, 6], [5, 6]), (3, [4, 5, 6], [5, 6, 7]), (4, [4, 5, 6, 7], [4, 5, 6, 7])],
)
def test_bands_have_the_width_and_lie_along_the_outline(width, left, right):
    found, known = boundaries(halves(), 3, IGNORE, width)
    assert known.all()
    expected = torch.zeros(1, 3, 5, 12, dtype=torch.bool)
    expected[:, 0, :, left] = True
    expected[:, 1, :, right] = True
    assert torch.equal(found, expected)


def test_the_border_of_the_image_is_no_boundary():
    found, _ = boundaries(torch.ones(1, 4, 4, dtype=torch.uint8), 2, IGNORE, 3)
    assert not found.any()


def test_pixels_near_ignored_ones_do_not_count():
    mask = halves()
    mask[0, 0, 0] = IGNORE
    found, known = boundaries(mask, 2, IGNORE, 3)
    assert not known[0, :3, :3].any()
    assert int(known.sum()) == 60 - 9
    assert not (found & ~known[:, None]).any()


def test_known_pixels_beside_unknown_ones_keep_their_classes():
    mask = torch.tensor([7] * 6 + [5] * 2 + [IGNORE] * 3).repeat(1, 5, 1)
    found, known = boundaries(mask, 8, IGNORE, 3)
    assert known[0, 2].tolist() == [True] * 6 + [False] * 5
    assert found[0, :, 2, 5].nonzero()[:, 0].tolist() == [5, 7]
    assert not found[0, 0].any()


@given(width=st.integers(1, 5), seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_equals_dilation_minus_erosion(width, seed):
    mask = torch.randint(0, 3, (2, 9, 8), generator=torch.Generator().manual_seed(seed))
    mask = mask.repeat_interleave(2, 1)
    one_hot = F.one_hot(mask, 3).permute(0, 3, 1, 2).float()
    outside, inside = width // 2, width - width // 2
    dilated = F.max_pool2d(one_hot, 2 * outside + 1, 1, outside)
    eroded = -F.max_pool2d(-one_hot, 2 * inside + 1, 1, inside)
    found, _ = boundaries(mask, 3, IGNORE, width)
    assert torch.equal(found, dilated > eroded)


def test_normalizers_count_boundary_pixels_and_known_pixels():
    assert BoundaryLoss(IGNORE, width=3).normalizers(halves()).tolist() == [5 * 4, 60]


def test_loss_of_indifferent_logits():
    criterion = BoundaryLoss(IGNORE, width=3)
    loss = criterion(torch.zeros(1, 2, 5, 12), halves())
    half = 0.5 * torch.tensor(2.0).log()
    on = half * 30 / 20  # 15 pixels of each class's boundary on 20 pixels
    elsewhere = half * (120 - 30) / (2 * 60)
    torch.testing.assert_close(loss, on + elsewhere)


def test_the_truth_is_the_minimum():
    truth, _ = boundaries(halves(), 2, IGNORE, 3)
    criterion = BoundaryLoss(IGNORE, width=3)
    right = (truth.float() - 0.5) * 50
    assert float(criterion(right, halves())) < 1e-6
    assert float(criterion(torch.full_like(right, -25.0), halves())) > 10


def test_gradient_in_float64():
    mask = torch.randint(0, 3, (1, 5, 6), dtype=torch.uint8).repeat(2, 2, 1)
    mask[0, 0, 0] = IGNORE
    logits = torch.randn(2, 3, 10, 6, dtype=torch.float64, requires_grad=True)
    criterion = BoundaryLoss(IGNORE)
    assert torch.autograd.gradcheck(lambda scores: criterion.sums(scores, mask), logits)
