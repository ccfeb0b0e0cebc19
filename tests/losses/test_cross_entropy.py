import math

import torch
import torch.nn.functional as F

from roadseg.losses import (
    CrossEntropyLoss,
    enet_weights,
    inverse_frequency_weights,
    median_frequency_weights,
)

IGNORE = 11


def example(batch: int = 2, classes: int = 4, size: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    logits = torch.randn(batch, classes, size, size, requires_grad=True)
    mask = torch.randint(0, classes, (batch, size, size), dtype=torch.uint8)
    mask[:, 0] = IGNORE
    return logits, mask


def test_equals_torch_on_valid_pixels():
    logits, mask = example()
    loss = CrossEntropyLoss(IGNORE)(logits, mask)
    torch.testing.assert_close(loss, F.cross_entropy(logits, mask.long(), ignore_index=IGNORE))


def test_weighted_mean_equals_torch():
    logits, mask = example()
    weights = torch.tensor([1.0, 2.0, 0.5, 4.0])
    loss = CrossEntropyLoss(IGNORE, class_weights=weights)(logits, mask)
    torch.testing.assert_close(
        loss, F.cross_entropy(logits, mask.long(), weight=weights, ignore_index=IGNORE)
    )


def test_smoothing_equals_torch():
    logits, mask = example()
    loss = CrossEntropyLoss(IGNORE, label_smoothing=0.1)(logits, mask)
    torch.testing.assert_close(
        loss, F.cross_entropy(logits, mask.long(), label_smoothing=0.1, ignore_index=IGNORE)
    )


def test_all_ignored_is_zero():
    logits, mask = example()
    assert float(CrossEntropyLoss(IGNORE)(logits, torch.full_like(mask, IGNORE)).detach()) == 0.0


def test_the_truth_is_the_minimum():
    mask = torch.randint(0, 4, (1, 5, 5), dtype=torch.uint8)
    right = F.one_hot(mask.long(), 4).permute(0, 3, 1, 2).float() * 50
    assert float(CrossEntropyLoss(IGNORE)(right, mask)) < 1e-6


def test_normalizer_counts_pixels_or_their_weights():
    mask = torch.tensor([[[0, 1, 1, IGNORE]]], dtype=torch.uint8)
    assert CrossEntropyLoss(IGNORE).normalizers(mask).tolist() == [3.0]
    weighted = CrossEntropyLoss(IGNORE, class_weights=torch.tensor([0.5, 2.0]))
    assert weighted.normalizers(mask).tolist() == [4.5]


def test_enet_weights_follow_the_formula():
    weights = enet_weights(torch.tensor([90, 10, 0]))
    expected = [1 / math.log(1.02 + share) for share in (0.9, 0.1, 0.0)]
    torch.testing.assert_close(weights, torch.tensor(expected))


def test_median_frequency_weights_give_one_to_the_median_and_zero_to_the_absent():
    weights = median_frequency_weights(torch.tensor([10, 20, 40, 0]))
    torch.testing.assert_close(weights, torch.tensor([2.0, 1.0, 0.5, 0.0]))


def test_inverse_frequency_weights_average_to_one_over_the_present():
    weights = inverse_frequency_weights(torch.tensor([10, 30, 0]))
    torch.testing.assert_close(weights, torch.tensor([1.5, 0.5, 0.0]))


def test_inverse_frequency_weights_without_a_pixel_are_zero():
    assert not inverse_frequency_weights(torch.zeros(3, dtype=torch.int64)).any()
