import sys

import pytest
import torch
import torch.nn.functional as F

from roadseg.errors import RecipeError
from roadseg.losses import Criterion, CrossEntropyLoss, DiceLoss, FocalLoss, LovaszLoss

pytest.importorskip("segmentation_models_pytorch")

IGNORE = 255
KINDS = [FocalLoss, DiceLoss, LovaszLoss]


def example() -> tuple[torch.Tensor, torch.Tensor]:
    mask = torch.randint(0, 4, (2, 6, 7), dtype=torch.uint8)
    mask[:, 0] = IGNORE
    return torch.randn(2, 4, 6, 7, requires_grad=True), mask


def certain(labels: torch.Tensor) -> torch.Tensor:
    return F.one_hot(labels.long(), 4).permute(0, 3, 1, 2).float() * 100


def test_focal_follows_its_formula():
    logits, mask = example()
    valid = mask != IGNORE
    scores = logits.detach().movedim(1, -1)[valid]
    truth = F.one_hot(mask[valid].long(), 4).bool()
    right = torch.where(truth, scores.sigmoid(), 1 - scores.sigmoid())
    expected = -((1 - right) ** 3 * right.log()).sum(1).mean()
    torch.testing.assert_close(FocalLoss(IGNORE, gamma=3.0)(logits, mask).detach(), expected)


@pytest.mark.parametrize("smooth", [0.0, 1.0])
def test_dice_follows_its_formula(smooth):
    logits, mask = example()
    valid = mask != IGNORE
    guess = logits.detach().softmax(1).movedim(1, -1)[valid]
    truth = F.one_hot(mask[valid].long(), 4).float()
    # smp's smooth term is half that of numerator and denominator of the usual form
    scores = (2 * (guess * truth).sum(0) + 2 * smooth) / (guess.sum(0) + truth.sum(0) + 2 * smooth)
    torch.testing.assert_close(DiceLoss(IGNORE, smooth=smooth)(logits, mask).detach(), (1 - scores).mean())


def test_lovasz_of_certain_guesses_is_one_minus_the_mean_iou():
    _, mask = example()
    mask[mask == 3] = 0  # a class that is absent does not count
    guess = torch.where(torch.rand(mask.shape) < 0.3, 1, mask.long().clamp(max=3))
    valid = mask != IGNORE
    ious = []
    for c in range(3):
        true, given = (mask == c) & valid, (guess == c) & valid
        ious.append(float((true & given).sum() / (true | given).sum()))
    loss = LovaszLoss(IGNORE)(certain(guess), mask)
    assert float(loss) == pytest.approx(1 - sum(ious) / 3, abs=1e-5)


def test_lovasz_per_image_is_the_mean_over_images_with_truth():
    logits, mask = example()
    each = [LovaszLoss(IGNORE)(logits[i : i + 1], mask[i : i + 1]) for i in range(2)]
    per_image = LovaszLoss(IGNORE, per_image=True)
    torch.testing.assert_close(per_image(logits, mask), (each[0] + each[1]) / 2)
    mask[1] = IGNORE
    torch.testing.assert_close(per_image(logits, mask), each[0])


@pytest.mark.parametrize("per_image", [False, True])
def test_lovasz_with_a_stride_sees_the_regions_of_every_second_pixel(per_image: bool):
    logits, mask = example()
    mask[1, ::2, ::2] = IGNORE
    plain = CrossEntropyLoss(IGNORE)(logits, mask)
    seen = LovaszLoss(IGNORE, per_image=per_image)(logits[..., ::2, ::2], mask[..., ::2, ::2])
    strided = LovaszLoss(IGNORE, per_image=per_image, stride=2, cross_entropy=0.5)(logits, mask)
    # The second image has a truth, if none at those pixels: it counts, with nothing to be lost.
    regions = seen / 2 if per_image else seen
    torch.testing.assert_close(strided, regions + 0.5 * plain)


@pytest.mark.parametrize("kind", KINDS)
def test_cross_entropy_is_added(kind: type[Criterion]):
    logits, mask = example()
    plain = CrossEntropyLoss(IGNORE)(logits, mask)
    torch.testing.assert_close(
        kind(IGNORE, cross_entropy=0.5)(logits, mask), kind(IGNORE)(logits, mask) + 0.5 * plain
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_truth_is_the_minimum(kind: type[Criterion]):
    _, mask = example()
    mask[0, 1, :4] = torch.arange(4)  # all classes are there
    right = certain(mask.clamp(max=3)) - 50
    assert float(kind(IGNORE)(right, mask)) < 1e-5
    assert float(kind(IGNORE)(right.roll(1, 1), mask)) > 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_without_the_library_the_remedy_is_named(kind: type[Criterion], monkeypatch):
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch.losses", None)
    with pytest.raises(RecipeError, match=r"pip install 'roadseg\[smp\]'"):
        kind(IGNORE)
