import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.errors import RecipeError
from roadseg.losses import BoundaryLoss, Criterion, CrossEntropyLoss, OhemLoss, OutputLoss

IGNORE = 11


class PerImage(Criterion):
    """A term per image, and a record of what it was given."""

    per = ("image",)

    def __init__(self, ignore: int) -> None:
        super().__init__(ignore)
        self.seen: list[tuple[torch.dtype, tuple[int, ...], bool]] = []
        self.epoch = -1

    def sums(self, logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        self.seen.append((logits.dtype, tuple(logits.shape), torch.is_autocast_enabled("cpu")))
        return logits.mean((1, 2, 3)).sum().reshape(1)

    def normalizers(self, mask: torch.Tensor) -> torch.Tensor:
        return torch.tensor([float(len(mask))])

    def start_epoch(self, epoch: int) -> None:
        self.epoch = epoch


def example(batch: int = 2, classes: int = 4, size: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    logits = torch.randn(batch, classes, size, size, requires_grad=True)
    return logits, torch.randint(0, classes, (batch, size, size), dtype=torch.uint8)


@pytest.mark.parametrize("align_corners", [True, False])
def test_low_resolution_logits_are_upsampled_as_told(align_corners):
    logits, mask = torch.randn(1, 4, 3, 5), torch.randint(0, 4, (1, 24, 40), dtype=torch.uint8)
    loss = OutputLoss(CrossEntropyLoss(IGNORE), align_corners=align_corners)(logits, mask)
    dense = F.interpolate(logits, size=(24, 40), mode="bilinear", align_corners=align_corners)
    torch.testing.assert_close(loss, F.cross_entropy(dense, mask.long()))


def test_auxiliary_outputs_are_added_with_their_weights_and_the_last_is_repeated():
    logits, mask = example()
    aux = [torch.randn(2, 4, 6, 6) for _ in range(3)]
    plain = CrossEntropyLoss(IGNORE)
    both = OutputLoss(plain, aux_weights=(0.4, 0.1), align_corners=False)
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
    loss = OutputLoss(CrossEntropyLoss(IGNORE), align_corners=align_corners)
    assert float(loss(logits, mask, [aux])) < 1e-6
    assert float(loss(logits, mask, [aux.flip(1)])) > 1


def test_sums_at_cells_are_in_units_of_image_pixels():
    mask = torch.zeros(1, 12, 12, dtype=torch.uint8)
    aux = torch.zeros(1, 2, 3, 3)
    loss = OutputLoss(CrossEntropyLoss(IGNORE), aux_weights=(1.0,), align_corners=False)
    sums = loss.sums(torch.zeros(1, 2, 12, 12), mask, [aux])
    torch.testing.assert_close(sums[1], sums[0])


def test_terms_per_image_are_not_scaled_at_cells():
    mask = torch.zeros(3, 12, 12, dtype=torch.uint8)
    guide = PerImage(IGNORE)
    loss = OutputLoss(CrossEntropyLoss(IGNORE), aux=guide, aux_weights=(1.0,), align_corners=False)
    assert loss.sums(torch.zeros(3, 2, 12, 12), mask, [torch.ones(3, 2, 3, 3)]).tolist()[1] == 3.0
    assert loss.normalizers(mask).tolist() == [3 * 144, 3]


def test_at_the_image_auxiliary_outputs_are_upsampled():
    logits, mask = example()
    aux = torch.randn(2, 4, 3, 3)
    plain = CrossEntropyLoss(IGNORE)
    loss = OutputLoss(plain, aux_weights=(0.5,), aux_at="image", align_corners=True)
    dense = F.interpolate(aux, size=(6, 6), mode="bilinear", align_corners=True)
    torch.testing.assert_close(loss(logits, mask, [aux]), plain(logits, mask) + 0.5 * plain(dense, mask))


def test_weight_zero_skips_the_computation():
    logits, mask = example()
    guide = PerImage(IGNORE)
    loss = OutputLoss(CrossEntropyLoss(IGNORE), aux=guide, aux_weights=(0.0, 1.0), align_corners=False)
    loss(logits, mask, [logits, logits])
    assert len(guide.seen) == 1


def test_outputs_of_weight_zero_get_gradients_of_zero_whatever_they_are():
    logits, mask = example()
    aux = torch.full((2, 4, 3, 3), torch.inf, requires_grad=True)
    loss = OutputLoss(CrossEntropyLoss(IGNORE), aux_weights=(0.0,), align_corners=False)
    value = loss(logits, mask, [aux])
    value.backward()
    torch.testing.assert_close(value, CrossEntropyLoss(IGNORE)(logits, mask))
    assert aux.grad is not None
    assert not aux.grad.any()


def test_criteria_get_float32_outside_autocast():
    logits, mask = example()
    main, guide = PerImage(IGNORE), PerImage(IGNORE)
    loss = OutputLoss(main, aux=guide, align_corners=False)
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(logits.bfloat16(), mask, [logits.bfloat16()[:, :, :3, :3]])
    assert value.dtype == torch.float32
    assert main.seen == [(torch.float32, (2, 4, 6, 6), False)]
    assert guide.seen == [(torch.float32, (2, 4, 3, 3), False)]


def test_epochs_are_passed_on():
    main, guide = PerImage(IGNORE), PerImage(IGNORE)
    OutputLoss(main, aux=guide, align_corners=False).start_epoch(7)
    assert (main.epoch, guide.epoch) == (7, 7)


def test_number_of_terms_does_not_depend_on_the_outputs():
    logits, mask = example()
    loss = OutputLoss(CrossEntropyLoss(IGNORE), aux=OhemLoss(IGNORE), align_corners=False)
    assert loss.sums(logits, mask).shape == loss.sums(logits, mask, [logits]).shape
    assert loss.sums(logits, mask).shape == loss.normalizers(mask).shape


def test_boundaries_are_not_compared_at_cells():
    with pytest.raises(RecipeError, match='set it to "image"'):
        OutputLoss(CrossEntropyLoss(IGNORE), aux=BoundaryLoss(IGNORE), align_corners=False)


def test_no_weights_are_no_supervision():
    logits, mask = example()
    plain = CrossEntropyLoss(IGNORE)
    loss = OutputLoss(plain, aux_weights=(), align_corners=False)
    torch.testing.assert_close(loss(logits, mask, [logits]), plain(logits, mask))


@given(cut=st.integers(1, 3), weighted=st.booleans())
@settings(max_examples=10, deadline=None)
def test_parts_divided_by_the_whole_normalizers_equal_the_whole(cut, weighted):
    logits, mask = example(batch=4)
    aux = torch.randn(4, 4, 3, 3)
    mask[cut:, :3] = IGNORE  # parts with different numbers of valid pixels
    weights = torch.tensor([1.0, 3.0, 0.5, 2.0]) if weighted else None
    loss = OutputLoss(CrossEntropyLoss(IGNORE, class_weights=weights), align_corners=False)
    parts = [(logits[part], mask[part], [aux[part]]) for part in (slice(cut), slice(cut, None))]
    total = torch.stack([loss.normalizers(part) for _, part, _ in parts]).sum(0)
    value = torch.stack([(loss.sums(*part) / total).sum() for part in parts]).sum()
    torch.testing.assert_close(value, loss(logits, mask, [aux]))
