"""What every strategy has to do: nothing, to a network that looks at one pixel at a time."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from roadseg.inference import (
    Bounded,
    Flip,
    Hierarchical,
    MultiScale,
    Pooling,
    Probabilities,
    ScoreMap,
    ScoreSum,
    Sliding,
    Strategy,
    Whole,
    cost,
    decode,
)
from roadseg.inference.strategies import band_rows, projection_of, upsampled_rows
from roadseg.labels import LabelMap, space
from roadseg.models.blocks import resize
from roadseg.models.hierarchical import scaled_size
from roadseg.models.output import Output

CLASSES = 5


class Pointwise(nn.Module):
    """One 1x1 convolution."""

    stride = 1

    def __init__(self, align_corners: bool = False, num_classes: int = CLASSES) -> None:
        super().__init__()
        self.align_corners, self.num_classes = align_corners, num_classes
        self.conv = nn.Conv2d(3, num_classes, 1)
        self.attention = nn.Conv2d(3, 1, 1)

    def forward(self, images: torch.Tensor) -> Output:
        return Output(self.conv(images), attention=torch.sigmoid(self.attention(images)))


class Pooled(Pointwise):
    """The same, on the means of 4x4 pixels."""

    stride = 4

    def forward(self, images: torch.Tensor) -> Output:
        return super().forward(nn.functional.avg_pool2d(images, 4))


SINGLE_SCALE: list[Strategy] = [
    Whole(),
    Whole(extend=False),
    Flip(),
    Bounded(),
    Bounded(max_memory=400_000),
    Sliding(16),
    Sliding(16, overlap=0.0),
    Sliding((8, 24), stride=5),
    Sliding(16, weights="gaussian"),
    Sliding(16, pad=True),
    Sliding(64, pad=True),
    Sliding(16, batch=1, merge="pixels"),
    Sliding(24, inner=Sliding(9, inner=Flip())),
    Flip(Sliding(16)),
    MultiScale((1.0,)),
    MultiScale((1.0, 1.0), flip=True, inner=Sliding(16)),
    Hierarchical((1.0,)),
    Flip(Hierarchical((1.0,))),
]
MULTI_SCALE: list[Strategy] = [
    MultiScale((0.5, 1.0, 2.0)),
    MultiScale((0.3, 1.7), flip=True, inner=Sliding(16)),
    MultiScale((0.5, 1.0, 1.5), short_side=20, inner=Sliding(17, pad=True)),
    MultiScale((0.5, 2.0), inner=Sliding(16, grow=True)),
    MultiScale((0.5, 1.0), inner=MultiScale((1.0, 2.0), inner=Flip())),
    Flip(MultiScale((0.5, 1.0))),
    Sliding(16, inner=MultiScale((0.5, 1.0))),
    Pooling(),
    Hierarchical(),
]


def scores(found: ScoreMap | ScoreSum, size: tuple[int, int]) -> torch.Tensor:
    """The scores at the size of the picture."""
    if isinstance(found, ScoreSum):
        assert found.grid == size
        return found.scores
    return upsampled_rows(found, 0, size[0], size, size)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("size", [(33, 47), (16, 16), (5, 70), (1, 1)])
@pytest.mark.parametrize("strategy", SINGLE_SCALE, ids=str)
@torch.inference_mode()
def test_a_pointwise_network_gives_the_same_as_the_whole_image(strategy, size, align_corners):
    model, images = Pointwise(align_corners).eval(), torch.randn(2, 3, *size)
    expected = Whole()(model, images).scores
    torch.testing.assert_close(scores(strategy(model, images), size), expected, atol=1e-5, rtol=0)
    chances = Probabilities(strategy)(model, images)
    assert chances.probabilities
    torch.testing.assert_close(scores(chances, size), expected.softmax(1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("strategy", MULTI_SCALE, ids=str)
@torch.inference_mode()
def test_a_uniform_image_looks_the_same_at_every_scale(strategy, align_corners):
    model, size = Pointwise(align_corners).eval(), (31, 45)
    images = torch.randn(2, 3, 1, 1).expand(2, 3, *size)
    expected = Whole()(model, images).scores
    torch.testing.assert_close(scores(strategy(model, images), size), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("inner", [Whole(), Sliding(16), Sliding(16, grow=True), Bounded()], ids=str)
@torch.inference_mode()
def test_scales_of_a_pointwise_network_are_the_network_of_the_scales(inner, flip, align_corners):
    """Both it and resizing are linear, so they change places."""
    model, size, scales = Pointwise(align_corners).eval(), (32, 48), (0.5, 0.7, 1.0, 2.0)
    images = torch.randn(1, 3, *size)
    seen = [
        resize(resize(images, scaled_size(size, scale), False), size, align_corners=False) for scale in scales
    ]
    expected = Whole()(model, torch.stack(seen).mean(0)).scores
    found = MultiScale(scales, flip=flip, inner=inner)(model, images)
    torch.testing.assert_close(scores(found, size), expected, atol=1e-5, rtol=0)


@settings(max_examples=50, deadline=None)
@given(
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    window=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    overlap=st.floats(0, 0.9),
    gaussian=st.booleans(),
    flip=st.booleans(),
    pad=st.booleans(),
)
@torch.inference_mode()
def test_windows_of_any_size_cover_every_pixel_evenly(height, width, window, overlap, gaussian, flip, pad):
    model, images = Pointwise().eval(), torch.randn(1, 3, height, width)
    inner = Flip() if flip else None
    weights = "gaussian" if gaussian else "uniform"
    strategy = Sliding(window, overlap=overlap, weights=weights, inner=inner, pad=pad, batch=3)
    expected = Whole()(model, images).scores
    torch.testing.assert_close(scores(strategy(model, images), (height, width)), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(64, 64), (61, 50), (70, 33)])
@pytest.mark.parametrize("weights", ["uniform", "gaussian"])
@torch.inference_mode()
def test_windows_on_the_grid_of_the_network_merge_at_its_resolution(size, weights):
    model, images = Pooled().eval(), torch.randn(1, 3, *size)
    expected = Whole()(model, images)
    found = Sliding(16, stride=8, weights=weights)(model, images)
    assert found.grid == expected.grid
    torch.testing.assert_close(found.scores, expected.scores, atol=1e-5, rtol=0)


@pytest.mark.parametrize("strategy", [*SINGLE_SCALE, *MULTI_SCALE], ids=str)
@torch.inference_mode()
def test_strategies_are_values_with_words_and_a_cost(strategy):
    assert strategy == type(strategy)(
        **{name: getattr(strategy, name) for name in strategy.__dataclass_fields__}
    )
    assert hash(strategy) == hash(strategy)
    assert strategy.describe()
    assert projection_of(strategy) is None
    passes, work = cost(strategy, (40, 60))
    seen = []

    class Spy(Pointwise):
        def forward(self, images: torch.Tensor) -> Output:
            seen.extend([tuple(images.shape[-2:])] * len(images))
            return super().forward(images)

    if not isinstance(strategy, Bounded):  # its trial runs are not counted, nor the windows it may need
        strategy(Spy().eval(), torch.zeros(1, 3, 40, 60))
        assert len(seen) == passes
        assert sum(high * wide for high, wide in seen) / 2400 == pytest.approx(work)


@torch.inference_mode()
def test_classes_of_another_space_are_sums_wherever_windows_lie():
    source, target = space("mseg-194"), space("cityscapes-19")
    chosen = dict(zip(source.names, [*target.names, None] * 10, strict=False))
    project = LabelMap.by_name(source, target, chosen)
    model, images = Pointwise(num_classes=194).eval(), torch.randn(1, 3, 20, 30)
    expected = torch.einsum(
        "ts,bshw->bthw", torch.from_numpy(project.matrix), Whole()(model, images).scores.softmax(1)
    )
    for inner in (Whole(), Flip(), Sliding(12)):
        strategy = Sliding(12, inner=Probabilities(inner, project))
        found = strategy(model, images)
        assert found.probabilities
        torch.testing.assert_close(scores(found, (20, 30)), expected, atol=1e-5, rtol=0)
        assert projection_of(strategy) == project
        assert "cityscapes-19" in strategy.describe()


@torch.inference_mode()
def test_labels_of_a_sum_are_those_of_its_scores():
    model, images = Pooled().eval(), torch.randn(2, 3, 37, 53)
    found = MultiScale((0.5, 1.0, 1.5), flip=True)(model, images)
    assert isinstance(found, ScoreSum)
    dense = decode(found.scores, (37, 53), align_corners=False)
    bands = list(band_rows((37, 53), 10**4, torch.device("cpu")))
    assert bands[0][0] == 0
    assert bands[-1][1] == 37
    rows = torch.cat([found.rows(*band) for band in bands], 2)
    assert torch.equal(rows.max(1).indices, dense.labels.long())
