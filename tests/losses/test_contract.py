"""What every criterion promises."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch

from roadseg.losses import (
    BinaryCrossEntropyLoss,
    BoundaryLoss,
    Criterion,
    CrossEntropyLoss,
    DiceLoss,
    FocalLoss,
    ImageWeightedLoss,
    LovaszLoss,
    OhemLoss,
    OutputLoss,
    RelaxedLoss,
    RMILoss,
)

IGNORE = 255
SIZE = (16, 18)


@dataclass(frozen=True)
class Case:
    """A criterion for a number of classes, and which promises do not apply to it."""

    build: Callable[[int], Criterion]
    additive: bool = True  # parts of a step add up to the whole; not where the batch decides what counts
    beyond: bool = False  # ignored pixels next to valid ones are told their neighbors' classes
    smp: bool = False


def switched_off(criterion: RelaxedLoss) -> RelaxedLoss:
    criterion.start_epoch(3)
    return criterion


CASES = {
    "cross entropy": Case(lambda classes: CrossEntropyLoss(IGNORE)),
    "cross entropy, weighted and smoothed": Case(
        lambda classes: CrossEntropyLoss(
            IGNORE, class_weights=torch.linspace(0.5, 2.0, classes), label_smoothing=0.1
        )
    ),
    "image weighted": Case(lambda classes: ImageWeightedLoss(IGNORE)),
    "image weighted, published": Case(
        lambda classes: ImageWeightedLoss(IGNORE, over="batch", reduction="sum"), additive=False
    ),
    "relaxed": Case(lambda classes: RelaxedLoss(IGNORE, num_classes=classes), beyond=True),
    "relaxed, strict": Case(
        lambda classes: RelaxedLoss(IGNORE, num_classes=classes, radius=2, strict=(1,)), beyond=True
    ),
    "relaxed, switched off": Case(
        lambda classes: switched_off(RelaxedLoss(IGNORE, num_classes=classes, off_epoch=2))
    ),
    "relaxed, published": Case(
        lambda classes: RelaxedLoss(IGNORE, num_classes=classes, compat=True), additive=False, beyond=True
    ),
    "ohem": Case(lambda classes: OhemLoss(IGNORE, min_kept=100), additive=False),
    "ohem, weighted": Case(
        lambda classes: OhemLoss(IGNORE, min_kept=400, class_weights=torch.linspace(0.5, 2.0, classes)),
        additive=False,
    ),
    "ohem without mining": Case(lambda classes: OhemLoss(IGNORE, min_kept=0)),
    "focal": Case(lambda classes: FocalLoss(IGNORE, cross_entropy=0.5), smp=True),
    "dice": Case(lambda classes: DiceLoss(IGNORE, cross_entropy=0.5), additive=False, smp=True),
    "lovasz": Case(lambda classes: LovaszLoss(IGNORE), additive=False, smp=True),
    "lovasz, every second pixel": Case(
        lambda classes: LovaszLoss(IGNORE, stride=2), additive=False, smp=True
    ),
    "lovasz per image": Case(lambda classes: LovaszLoss(IGNORE, per_image=True, cross_entropy=0.5), smp=True),
    "boundary": Case(lambda classes: BoundaryLoss(IGNORE)),
    "binary cross entropy": Case(lambda classes: BinaryCrossEntropyLoss(IGNORE)),
    "rmi": Case(lambda classes: RMILoss(IGNORE)),
    "rmi, max": Case(lambda classes: RMILoss(IGNORE, stride=2, pool="max")),
    "rmi, interpolated": Case(lambda classes: RMILoss(IGNORE, stride=2, pool="interpolate")),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    case = CASES[request.param]
    if case.smp:
        pytest.importorskip("segmentation_models_pytorch")
    return case


def example(classes: int = 5, batch: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits, and a mask of blocks, so that there are regions, with ignored pixels in them."""
    blocks = torch.randint(0, classes, (batch, 4, 6), dtype=torch.uint8)
    mask = blocks.repeat_interleave(4, 1).repeat_interleave(3, 2).contiguous()
    mask[:, :2] = IGNORE
    mask[0, 5:8, 4:7] = IGNORE
    return (2 * torch.randn(batch, classes, *SIZE)).requires_grad_(), mask


def gradient(value: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(value, logits)[0]


@pytest.mark.parametrize("classes", [2, 65])
def test_finite_at_any_number_of_classes(case: Case, classes: int) -> None:
    logits, mask = example(classes)
    value = case.build(classes)(logits, mask)
    slope = gradient(value, logits)
    assert value.shape == ()
    assert value.isfinite()
    assert slope.isfinite().all()
    assert slope.any()


def test_finite_for_large_logits(case: Case) -> None:
    logits, mask = example()
    logits = (logits.detach() * 1e3).requires_grad_()
    value = case.build(5)(logits, mask)
    assert value.isfinite()
    assert gradient(value, logits).isfinite().all()


def test_ignored_pixels_have_no_gradient_and_their_logits_no_say(case: Case) -> None:
    logits, mask = example()
    if case.beyond:
        mask[:, :5] = IGNORE
    criterion = case.build(5)
    value = criterion(logits, mask)
    ignored = (mask == IGNORE)[:, None].expand_as(logits).clone()
    if case.beyond:
        ignored[:, :, 3:] = False
    assert not gradient(value, logits)[ignored].any()
    other = criterion(torch.where(ignored, 7.0, logits.detach()), mask)
    torch.testing.assert_close(other, value.detach())


def test_terms_and_normalizers_belong_together(case: Case) -> None:
    logits, mask = example()
    criterion = case.build(5)
    sums, normalizers = criterion.sums(logits, mask), criterion.normalizers(mask)
    assert sums.shape == normalizers.shape == (len(criterion.per),)
    assert set(criterion.per) <= {"pixel", "image"}
    assert not normalizers.requires_grad
    assert (normalizers > 0).all()
    torch.testing.assert_close((sums / normalizers).sum(), criterion(logits, mask))


def test_parts_divided_by_the_whole_normalizers_equal_the_whole(case: Case) -> None:
    if not case.additive:
        pytest.skip("each part decides what counts in it")
    logits, mask = example()
    mask[0, :9] = IGNORE  # parts with different numbers of pixels
    criterion = case.build(5)
    whole = criterion(logits, mask)
    parts = [(logits[:1], mask[:1]), (logits[1:], mask[1:])]
    total = torch.stack([criterion.normalizers(part) for _, part in parts]).sum(0)
    if isinstance(criterion, (RMILoss, BinaryCrossEntropyLoss)):
        total[0] -= 1  # each part counts one pixel more than it has, as the published code does for the whole
    value = sum((criterion.sums(*part) / total).sum() for part in parts)
    torch.testing.assert_close(value, whole)
    torch.testing.assert_close(gradient(value, logits), gradient(whole, logits), rtol=1e-4, atol=1e-7)


def test_without_any_truth_it_is_finite_and_has_no_gradient(case: Case) -> None:
    logits, mask = example()
    value = case.build(5)(logits, torch.full_like(mask, IGNORE))
    assert value.isfinite()
    assert not gradient(value, logits).any()


def test_an_image_without_any_truth_among_others(case: Case) -> None:
    logits, mask = example()
    mask[1] = IGNORE
    value = case.build(5)(logits, mask)
    slope = gradient(value, logits)
    assert value.isfinite()
    assert not slope[1].any()
    assert slope[0].any()
    assert slope[2].any()


def test_masks_of_bytes_and_of_integers_are_equal(case: Case) -> None:
    logits, mask = example()
    criterion = case.build(5)
    value, other = criterion(logits, mask), criterion(logits, mask.long())
    assert torch.equal(value, other)
    assert torch.equal(gradient(value, logits), gradient(other, logits))
    assert torch.equal(criterion.normalizers(mask), criterion.normalizers(mask.long()))


def test_deterministic_and_inputs_are_left_alone(case: Case) -> None:
    logits, mask = example()
    before = logits.detach().clone(), mask.clone()
    criterion = case.build(5)
    first, second = criterion(logits, mask), criterion(logits, mask)
    assert torch.equal(first, second)
    assert torch.equal(gradient(first, logits), gradient(second, logits))
    assert torch.equal(logits.detach(), before[0])
    assert torch.equal(mask, before[1])


def test_the_gradient_is_that_of_the_value(case: Case) -> None:
    logits, mask = example(3, batch=1)
    criterion = case.build(3)
    slope = gradient(criterion(logits, mask), logits)
    other = torch.randn_like(slope)
    direction = slope / slope.norm() + other / other.norm()
    step = 4e-3
    with torch.no_grad():
        ahead, behind = (criterion(logits + side * step * direction, mask) for side in (1, -1))
    found = (slope * direction).sum()
    assert float((ahead - behind) / (2 * step)) == pytest.approx(float(found), rel=0.02, abs=1e-3)


def test_the_value_does_not_change_under_autocast(case: Case) -> None:
    logits, mask = example()
    loss = OutputLoss(case.build(5), align_corners=False)
    expected = loss(logits, mask)
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(logits, mask)
    assert torch.equal(value, expected)
    assert torch.equal(gradient(value, logits), gradient(expected, logits))


def test_as_the_loss_of_an_auxiliary_output(case: Case) -> None:
    logits, mask = example()
    criterion = case.build(5)
    loss = OutputLoss(
        CrossEntropyLoss(IGNORE), aux=criterion, aux_weights=(0.5,), aux_at="image", align_corners=False
    )
    expected = CrossEntropyLoss(IGNORE)(logits, mask) + 0.5 * criterion(logits, mask)
    torch.testing.assert_close(loss(logits, mask, [logits]), expected)
