import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.losses import ImageWeightedLoss, RelaxedLoss
from roadseg.losses.image_weighted import share_weights

IGNORE = 99
CLASSES = 4


def example(
    batch: int = 3, height: int = 9, width: int = 11, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Random logits, and blocks of classes with an ignored one among them."""
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(batch, CLASSES, height, width, generator=draw).mul_(2).requires_grad_()
    blocks = torch.randint(0, CLASSES + 1, (batch, 1, 3, 3), generator=draw).float()
    mask = F.interpolate(blocks, (height, width), mode="nearest")[:, 0].long()
    mask[:, 0, 0] = 0
    return logits, mask.masked_fill(mask == CLASSES, IGNORE).to(torch.uint8)


def relaxed(**options) -> RelaxedLoss:
    return RelaxedLoss(IGNORE, num_classes=CLASSES, **options)


def near_dense(loss: RelaxedLoss, mask: torch.Tensor) -> torch.Tensor:
    """Return the labels in each pixel's window, ``[B, C + 1, H, W]`` booleans."""
    labels, place, near = loss.neighborhoods(mask)
    dense = F.one_hot(labels, loss.num_classes + 1).bool()
    dense[place] = near
    return dense.movedim(-1, 1)


def sharp(**options) -> RelaxedLoss:
    loss = relaxed(off_epoch=2, **options)
    loss.start_epoch(3)
    return loss


def near_direct(labels: torch.Tensor, radius: int, strict: tuple[int, ...]) -> list[list[set[int]]]:
    """Return the classes in each pixel's window of an image, "no truth here" being ``CLASSES``."""
    height, width = labels.shape
    own = [[CLASSES if label == IGNORE else label for label in row] for row in labels.tolist()]

    def window(y: int, x: int) -> set[int]:
        if own[y][x] in strict:
            return {own[y][x]}
        steps = range(-radius, radius + 1)
        inside = [(y + i, x + j) for i in steps for j in steps]
        return {own[v][u] if 0 <= v < height and 0 <= u < width else CLASSES for v, u in inside}

    return [[window(y, x) for x in range(width)] for y in range(height)]


def direct(logits, mask, *, radius=1, strict=(), bound=1.0, over="image") -> torch.Tensor:
    """Return the mean over images, from the formula, pixel by pixel."""
    near = [near_direct(labels, radius, strict) for labels in mask]
    counts = torch.tensor(
        [
            [sum(c in classes for row in image for classes in row) for c in range(CLASSES + 1)]
            for image in near
        ]
    )
    weights = share_weights(counts, bound, over)
    losses = []
    for index, image in enumerate(near):
        total, pixels = torch.zeros(()), 0
        for y, row in enumerate(image):
            for x, found in enumerate(row):
                classes = sorted(found - {CLASSES})
                if classes:
                    together = logits[index, :, y, x].softmax(0)[classes].sum()
                    total = total - weights[index, classes].mean() * together.log()
                    pixels += 1
        losses.append(total / (pixels + 1))
    return torch.stack(losses).mean()


@pytest.mark.parametrize(
    "options",
    [{}, {"radius": 2}, {"radius": 0}, {"strict": (1, 3)}, {"bound": 3.0, "over": "batch"}],
    ids=str,
)
def test_equals_the_direct_formulation(options):
    logits, mask = example()
    loss = relaxed(**options)(logits, mask)
    want = direct(logits, mask, **options)
    torch.testing.assert_close(loss, want)
    torch.testing.assert_close(
        torch.autograd.grad(loss, logits)[0], torch.autograd.grad(want, logits)[0], rtol=1e-4, atol=1e-7
    )


@pytest.mark.parametrize("radius", [0, 1, 3])
@pytest.mark.parametrize("strict", [(), (2,)])
def test_neighborhoods_hold_the_classes_of_the_window(radius, strict):
    mask = example(2)[1]
    near = near_dense(relaxed(radius=radius, strict=strict), mask)
    for labels, found in zip(mask, near, strict=True):
        want = near_direct(labels, radius, strict)
        got = [[set(pixel.nonzero()[:, 0].tolist()) for pixel in row] for row in found.movedim(0, -1)]
        assert got == want


def test_neighbors_classes_are_as_good_as_ones_own():
    mask = torch.tensor([[[0, 0, 0, 1, 1, 1]] * 3], dtype=torch.uint8)
    own = F.one_hot(mask.long(), 2).permute(0, 3, 1, 2) * 30.0
    swapped = own.clone()
    swapped[..., 2:4] = own[..., 2:4].flip(1)
    loss = RelaxedLoss(IGNORE, num_classes=2)
    assert float(loss(own, mask)) < 1e-6
    assert float(loss(swapped, mask)) < 1e-6
    assert float(RelaxedLoss(IGNORE, num_classes=2, strict=(0,))(swapped, mask)) > 1


def test_radius_zero_is_image_weighted_up_to_its_normalizer():
    logits, mask = example(1)
    mask[mask == IGNORE] = 1
    relaxed_sum = relaxed(radius=0, bound=0.0)(logits, mask) * (mask.numel() + 1) / mask.numel()
    torch.testing.assert_close(relaxed_sum, ImageWeightedLoss(IGNORE, bound=0.0)(logits, mask))


def test_after_its_epoch_the_loss_is_sharp_and_boundaries_count_twice():
    logits, mask = example(1)
    loss = relaxed(off_epoch=2, bound=0.0)
    before = loss(logits, mask)
    loss.start_epoch(2)
    assert torch.equal(loss(logits, mask), before)
    loss.start_epoch(3)
    labels = mask[0].long()
    rows, columns = labels.shape
    total, pixels = torch.zeros(()), 0
    for y in range(rows):
        for x in range(columns):
            if labels[y, x] != IGNORE:
                around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
                inside = [(v, u) for v, u in around if 0 <= v < rows and 0 <= u < columns]
                twice = any(labels[v, u] != labels[y, x] for v, u in inside)
                total = total - (1 + twice) * logits[0, :, y, x].log_softmax(0)[labels[y, x]]
                pixels += 1
    torch.testing.assert_close(loss(logits, mask), total / (pixels + 1))
    loss.start_epoch(0)
    assert torch.equal(loss(logits, mask), before)


@pytest.mark.parametrize("build", [relaxed, sharp])
def test_published_coupling_is_the_clean_loss_for_one_image_and_grows_with_the_square(build):
    logits, mask = example(1)
    one = build()(logits, mask)
    torch.testing.assert_close(build(compat=True)(logits, mask), one)
    twins = build(compat=True)(logits.expand(2, -1, -1, -1), mask.expand(2, -1, -1))
    torch.testing.assert_close(twins, 4 * one)
    torch.testing.assert_close(build()(logits.expand(2, -1, -1, -1), mask.expand(2, -1, -1)), one)


def test_published_coupling_divides_by_the_classes_of_every_image():
    logits, mask = example(2)
    loss = relaxed(compat=True, bound=0.0)
    near = near_dense(loss, mask)[:, :-1]
    number = near.sum(1)
    joint = (logits.softmax(1) * near).sum(1).masked_fill(number == 0, 1)
    want = sum(
        (-joint[i].log() * number[i] / number[j].clamp(min=1)).sum() / ((number[i] > 0).sum() + 1)
        for i in range(2)
        for j in range(2)
    )
    torch.testing.assert_close(loss(logits, mask), want)


@pytest.mark.parametrize("build", [relaxed, sharp])
@pytest.mark.parametrize("compat", [False, True])
def test_without_truth_there_is_no_loss(build, compat):
    logits, mask = example()
    nothing = build(compat=compat)(logits, torch.full_like(mask, IGNORE))
    assert float(nothing.detach()) == 0
    assert not torch.autograd.grad(nothing, logits)[0].any()
    if not compat:
        mask[1] = IGNORE
        without = build()(logits[::2], mask[::2])
        torch.testing.assert_close(build()(logits, mask), without)


@given(
    seed=st.integers(0, 2**16),
    scale=st.sampled_from([1.0, 1e4]),
    build=st.sampled_from([relaxed, sharp]),
    over=st.sampled_from(["image", "batch"]),
    compat=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_values_are_finite_and_pixels_without_classes_have_no_gradient(seed, scale, build, over, compat):
    logits, mask = example(seed=seed)
    logits = (logits.detach() * scale).requires_grad_()
    before = mask.clone()
    loss = build(over=over, compat=compat)
    slope = torch.autograd.grad(loss(logits, mask), logits)[0]
    assert loss(logits, mask).isfinite()
    assert slope.isfinite().all()
    has_class = near_dense(loss, mask)[:, :-1].any(1) if build is relaxed else mask != IGNORE
    assert not slope.movedim(1, -1)[~has_class].any()
    assert torch.equal(mask, before)


@given(order=st.permutations(range(3)), build=st.sampled_from([relaxed, sharp]), compat=st.booleans())
@settings(max_examples=20, deadline=None)
def test_the_order_of_the_images_does_not_matter(order, build, compat):
    logits, mask = example()
    loss, order = build(compat=compat), list(order)
    torch.testing.assert_close(loss(logits[order], mask[order]), loss(logits, mask))


@given(cut=st.integers(1, 3), build=st.sampled_from([relaxed, sharp]))
@settings(max_examples=6, deadline=None)
def test_parts_and_their_normalizers_make_the_whole(cut, build):
    logits, mask = example(4)
    mask[0] = IGNORE
    loss = build()
    parts = [(logits[:cut], mask[:cut]), (logits[cut:], mask[cut:])]
    torch.testing.assert_close(sum(loss.sums(*part) for part in parts), loss.sums(logits, mask))
    torch.testing.assert_close(sum(loss.normalizers(part[1]) for part in parts), loss.normalizers(mask))


@pytest.mark.parametrize("build", [relaxed, sharp])
def test_the_truth_is_the_minimum(build):
    mask = example()[1]
    mask[mask == IGNORE] = 0
    right = F.one_hot(mask.long(), CLASSES).permute(0, 3, 1, 2) * 50.0
    assert float(build()(right, mask)) < 1e-6
    assert float(build()(right.roll(1, 1), mask)) > 1


@pytest.mark.parametrize("build", [relaxed, sharp])
def test_autocast_and_the_masks_type_change_nothing(build):
    logits, mask = example()
    want = build()(logits, mask)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(build()(logits, mask), want)
    assert torch.equal(build()(logits, mask.long()), want)


def test_more_classes_than_bits_of_a_word():
    classes = 70
    mask = torch.arange(70, dtype=torch.uint8).view(1, 7, 10)
    right = F.one_hot(mask.long(), classes).permute(0, 3, 1, 2) * 50.0
    assert float(RelaxedLoss(IGNORE, num_classes=classes)(right, mask)) < 1e-6
