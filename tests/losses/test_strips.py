import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.losses import CrossEntropyLoss, OutputLoss, strips
from roadseg.losses.strips import upsampled_cross_entropy

IGNORE = 255


def direct(logits, mask, *, weights=None, smoothing=0.0, align_corners=False):
    scores = F.interpolate(logits, size=mask.shape[-2:], mode="bilinear", align_corners=align_corners)
    return F.cross_entropy(
        scores, mask.long(), weight=weights, ignore_index=IGNORE, label_smoothing=smoothing, reduction="sum"
    )


def example(batch, classes, cells, pixels, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(batch, classes, *cells, generator=generator, dtype=torch.float64) * 4
    mask = torch.randint(0, classes, (batch, *pixels), generator=generator, dtype=torch.uint8)
    mask[torch.rand(mask.shape, generator=generator) < 0.2] = IGNORE
    return logits.requires_grad_(), mask


sides = st.integers(1, 9)


@settings(max_examples=50, deadline=None)
@given(
    cells=st.tuples(sides, sides),
    pixels=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    classes=st.integers(1, 5),
    smoothing=st.sampled_from([0.0, 0.1]),
    weighted=st.booleans(),
    align_corners=st.booleans(),
    strip=st.sampled_from([1, 600, 1 << 20]),
)
def test_equals_interpolation_and_cross_entropy(
    cells, pixels, classes, smoothing, weighted, align_corners, strip
):
    logits, mask = example(2, classes, cells, pixels)
    weights = torch.linspace(0.5, 2.0, classes, dtype=torch.float64) if weighted else None
    expected = direct(logits, mask, weights=weights, smoothing=smoothing, align_corners=align_corners)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(strips._STRIP_BYTES, "cpu", strip)
        found = upsampled_cross_entropy(
            logits,
            mask,
            ignore=IGNORE,
            class_weights=weights,
            label_smoothing=smoothing,
            align_corners=align_corners,
        )
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    slopes = [torch.autograd.grad(3 * loss, logits)[0] for loss in (found, expected)]
    torch.testing.assert_close(*slopes, rtol=1e-9, atol=1e-9)


def test_float32_is_as_exact_as_the_direct_way():
    logits, mask = example(2, 19, (12, 16), (96, 128))
    exact, slope = direct(logits, mask), torch.autograd.grad(direct(logits, mask), logits)[0]
    single = logits.detach().float().requires_grad_()
    found = upsampled_cross_entropy(single, mask, ignore=IGNORE, align_corners=False)
    assert abs(float(found.detach()) / float(exact.detach()) - 1) < 1e-6
    gradient = torch.autograd.grad(found, single)[0].double()
    assert float((gradient - slope).norm() / slope.norm()) < 1e-6


def test_nothing_true_gives_zero_and_no_gradient():
    logits, mask = example(1, 3, (4, 4), (16, 16))
    loss = upsampled_cross_entropy(logits, torch.full_like(mask, IGNORE), ignore=IGNORE, align_corners=False)
    loss.backward()
    assert float(loss.detach()) == 0
    assert not logits.grad.any()


def test_without_gradient():
    logits, mask = example(1, 3, (4, 4), (16, 16))
    with torch.no_grad():
        loss = upsampled_cross_entropy(logits, mask, ignore=IGNORE, align_corners=False)
        torch.testing.assert_close(loss, direct(logits, mask))


@pytest.mark.parametrize("align_corners", [False, True])
def test_training_takes_this_way(align_corners, monkeypatch):
    logits, mask = example(2, 4, (5, 6), (40, 48))
    loss = OutputLoss(CrossEntropyLoss(IGNORE), align_corners=align_corners)
    expected = direct(logits.float(), mask, align_corners=align_corners) / (mask != IGNORE).sum()
    monkeypatch.setattr(F, "interpolate", _no_maps(F.interpolate))
    torch.testing.assert_close(loss(logits, mask), expected)


def _no_maps(interpolate):
    """Interpolation that refuses maps: only vectors may be asked for."""

    def guarded(tensor, *args, **kwargs):
        assert tensor.ndim == 3
        return interpolate(tensor, *args, **kwargs)

    return guarded
