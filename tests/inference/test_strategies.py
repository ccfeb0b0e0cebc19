import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from roadseg.errors import RecipeError
from roadseg.inference import (
    Bounded,
    Flip,
    Hierarchical,
    MultiScale,
    Pooling,
    Predictor,
    Probabilities,
    ScoreMap,
    ScoreSum,
    Sliding,
    WeightsCard,
    Whole,
)
from roadseg.inference.predictor import probability_rows
from roadseg.inference.strategies import bounded, projected, upsampled_rows, window_starts
from roadseg.labels import LabelMap, space
from roadseg.models.output import Output
from roadseg.recipes import Preprocess
from tests.tiny import tiny


class Corners(nn.Module):
    """A strided 3x3 convolution: where sides are 4k + 1, its cells lie on every fourth pixel, corners included."""

    stride, align_corners, num_classes = 4, True, 5

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3, stride=4, padding=1)

    def forward(self, images: torch.Tensor) -> Output:
        return Output(self.conv(images))


def dense(found: ScoreMap | ScoreSum, size: tuple[int, int]) -> torch.Tensor:
    if isinstance(found, ScoreSum):
        return found.scores
    wide = F.interpolate(found.scores, size=found.grid, mode="bilinear", align_corners=found.align_corners)
    return wide[..., : size[0], : size[1]]


# ---- Where windows lie ----------------------------------------------------------------------------------------------


def columns(strategy: Sliding, size: tuple[int, int]) -> list[int]:
    return sorted({x for _, x in strategy.windows(size)})


@pytest.mark.parametrize(
    ("scale", "size", "expected"),
    [
        (1.0, (1024, 2048), [0, 683, 1024]),
        (2.0, (2048, 4096), [0, 1366, 2048]),
        (0.5, (512, 1024), [0]),
    ],
)
def test_windows_of_the_published_cityscapes_evaluation(scale, size, expected):
    windows = Sliding(1024, grow=True).at_scale(scale)
    assert columns(windows, size) == expected
    assert {y for y, _ in windows.windows(size)} == {0}


@pytest.mark.parametrize(("scale", "side"), [(1.5, 552), (2.0, 736), (2.5, 920)])
def test_windows_of_the_published_kitti_evaluation(scale, side):
    windows = Sliding(368, grow=True).at_scale(scale)
    assert windows.window == (side, side)
    assert windows.steps() == (-(-side * 2 // 3),) * 2
    assert len(windows.windows((int(384 * scale), int(1280 * scale)))) == 10


def test_windows_that_do_not_grow_stay():
    assert Sliding(368).at_scale(2.0) == Sliding(368)
    assert Sliding(368, grow=True).at_scale(0.5) == Sliding(368, grow=True)
    assert Sliding(368, stride=100, grow=True).at_scale(2.0).steps() == (200, 200)


@pytest.mark.parametrize(("base", "passes"), [(360, 11), (480, 22), (720, 43), (1080, 89)])
def test_windows_of_mseg_frames(base, passes):
    """Windows of 713 pixels per frame twice as wide as high, over the six published scales."""
    windows = Sliding(713, overlap=1 / 3, pad=True)
    scales = MultiScale((0.5, 0.75, 1.0, 1.25, 1.5, 1.75), short_side=base)
    found = sum(len(windows.windows(scales.size_at((1000, 2000), scale))) for scale in scales.scales)
    assert found == passes


@settings(max_examples=50, deadline=None)
@given(length=st.integers(1, 500), window=st.integers(1, 200), step=st.integers(1, 200))
def test_windows_leave_no_gap_and_stay_inside(length, window, step):
    step = min(step, window)
    starts = window_starts(length, window, step)
    assert starts[0] == 0
    assert starts[-1] == max(0, length - window)
    assert all(0 < b - a <= step for a, b in itertools.pairwise(starts))


# ---- Averages -------------------------------------------------------------------------------------------------------


def by_hand(model, images, window, step, align_corners):
    """Upsample each window, add it up in float64, divide each pixel by the number of windows that saw it."""
    height, width = images.shape[-2:]
    total, count = torch.zeros(1, 5, height, width, dtype=torch.float64), torch.zeros(height, width)
    for y in window_starts(height, window, step):
        for x in window_starts(width, window, step):
            logits = model(images[..., y : y + window, x : x + window]).logits
            total[..., y : y + window, x : x + window] += F.interpolate(
                logits.double(), size=(window, window), mode="bilinear", align_corners=align_corners
            )
            count[y : y + window, x : x + window] += 1
    return (total / count).float()


@pytest.mark.parametrize(
    ("model", "window", "step"),
    [(tiny(5), 32, 22), (tiny(5), 32, 16), (Corners(), 33, 22), (Corners(), 33, 16)],
)
@torch.inference_mode()
def test_windows_are_averaged_pixel_by_pixel(model, window, step):
    """The published code counted windows by class and row, so that overlaps were divided by a wrong number."""
    images = torch.randn(1, 3, 77, 97)
    strategy = Sliding(window, stride=step, merge="pixels", batch=3)
    found = strategy(model.eval(), images)
    assert found.grid == (77, 97)
    expected = by_hand(model, images, window, step, model.align_corners)
    torch.testing.assert_close(found.scores, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("model", "window", "step"), [(tiny(5), 32, 22), (Corners(), 33, 16)], ids=["cells", "corners"]
)
@torch.inference_mode()
def test_gaussian_windows_are_averaged_by_their_weights(model, window, step):
    """Pixels weigh by a bell whose standard deviation is an eighth of the window."""
    images = torch.randn(1, 3, 77, 97)
    found = Sliding(window, stride=step, merge="pixels", weights="gaussian")(model.eval(), images)
    bell = torch.exp(
        -0.5 * ((torch.arange(window, dtype=torch.float64) - (window - 1) / 2) * 8 / window) ** 2
    )
    weight = bell[:, None] * bell
    total, mass = torch.zeros(1, 5, 77, 97, dtype=torch.float64), torch.zeros(77, 97, dtype=torch.float64)
    for y, x in itertools.product(window_starts(77, window, step), window_starts(97, window, step)):
        logits = model(images[..., y : y + window, x : x + window]).logits.double()
        wide = F.interpolate(logits, (window, window), mode="bilinear", align_corners=model.align_corners)
        total[..., y : y + window, x : x + window] += wide * weight
        mass[y : y + window, x : x + window] += weight
    torch.testing.assert_close(found.scores, (total / mass).float(), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("model", "window", "size"),
    [(tiny(5), 32, (80, 96)), (Corners(), 33, (81, 97))],
    ids=["cells", "corners"],
)
@torch.inference_mode()
def test_merged_cells_are_averaged_pixels_but_at_the_borders_of_windows(model, window, size):
    images, step = torch.randn(1, 3, *size), 16
    found = Sliding(window, stride=step)(model.eval(), images)
    base = window % 2
    assert found.scores.shape[-2:] == ((size[0] - base) // 4 + base, (size[1] - base) // 4 + base)
    expected = by_hand(model, images, window, step, model.align_corners)
    apart = (dense(found, size) - expected).abs().amax((0, 1))
    near = torch.zeros(
        size, dtype=torch.bool
    )  # within a cell of where a window begins or ends, inside the image
    for axis, length in enumerate(size):
        for start in window_starts(length, window, step):
            for border in (start, start + window):
                if 0 < border < length:
                    near.narrow(axis, border - 4, min(8, length - border + 4)).fill_(True)
    assert apart[~near].max() < 1e-5
    assert apart[near].max() > 1e-3


@pytest.mark.parametrize("size", [(80, 96), (79, 93), (32, 200), (20, 20)])
@torch.inference_mode()
def test_a_window_as_large_as_the_image_is_the_whole_image(size):
    images = torch.randn(2, 3, *size)
    for model in (tiny(5).eval(), Corners().eval()):
        whole, found = Whole()(model, images), Sliding(size)(model, images)
        assert torch.equal(found.scores, whole.scores)
        assert found.grid == whole.grid
        assert torch.equal(Sliding(2000)(model, images).scores, whole.scores)


@torch.inference_mode()
def test_networks_that_align_corners_see_windows_as_they_are():
    """Cells of a window of 713 lie on every fourth pixel; extended to 716 they would be stretched off it."""
    sizes = []

    class Spy(Corners):
        def forward(self, images: torch.Tensor) -> Output:
            sizes.append(tuple(images.shape[-2:]))
            return super().forward(images)

    Sliding(33, stride=16)(Spy().eval(), torch.randn(1, 3, 65, 97))
    Whole(extend="auto")(Spy().eval(), torch.randn(1, 3, 33, 33))
    Whole()(Spy().eval(), torch.randn(1, 3, 33, 33))
    assert set(sizes[:-1]) == {(33, 33)}
    assert sizes[-1] == (36, 36)


@torch.inference_mode()
def test_aligned_windows_are_exact_on_a_ramp():
    """A network that returns the column of each cell's pixel: the merged windows know every pixel's column."""

    class Ramp(Corners):
        def forward(self, images: torch.Tensor) -> Output:
            return Output(images[:, :, ::4, ::4])

    images = torch.arange(97.0).expand(1, 3, 65, 97)
    found = Sliding(33, stride=16)(Ramp(), images)
    assert found.scores.shape[-2:] == (17, 25)
    torch.testing.assert_close(dense(found, (65, 97)), images)


@pytest.mark.parametrize("size", [(40, 56), (37, 53)])
@torch.inference_mode()
def test_flips_are_averaged_at_the_resolution_of_the_network(size):
    model, images = tiny(5).eval(), torch.randn(2, 3, *size)
    found = Flip()(model, images)
    whole = Whole()(model, images)
    assert found.scores.shape == whole.scores.shape
    grid = F.pad(images, (0, found.grid[1] - size[1], 0, found.grid[0] - size[0]), mode="replicate")
    views = [model(grid).logits, model(grid.flip(-1)).logits]
    upsampled = [F.interpolate(view, size=found.grid, mode="bilinear") for view in views]
    expected = (upsampled[0] + upsampled[1].flip(-1)) / 2
    torch.testing.assert_close(dense(found, found.grid), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        Flip()(model, images.flip(-1)).scores if size == (40, 56) else found.scores,
        found.scores.flip(-1) if size == (40, 56) else found.scores,
        atol=1e-5,
        rtol=0,
    )


def interpolated(found: ScoreMap, seen: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """The definition: a map is a function of place, piecewise linear between the centers of its cells."""
    scores = found.scores.double().numpy()
    for axis, (grid, of, to) in enumerate(zip(found.grid, seen, size, strict=True), start=2):
        cells = scores.shape[axis]
        centers = np.arange(cells) * (grid - 1) / max(cells - 1, 1)
        if not found.align_corners:
            centers = (np.arange(cells) + 0.5) * grid / cells - 0.5
        places = (np.arange(to) + 0.5) * of / to - 0.5
        scores = np.apply_along_axis(lambda line, c=centers, p=places: np.interp(p, c, line), axis, scores)
    return scores


@settings(max_examples=50, deadline=None)
@given(
    cells=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    pitch=st.integers(1, 8),
    short=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    align_corners=st.booleans(),
    same=st.booleans(),
)
def test_rows_are_those_of_the_definition(cells, pitch, short, size, align_corners, same):
    grid = (cells[0] * pitch, cells[1] * pitch)
    seen = (max(1, grid[0] - short[0]), max(1, grid[1] - short[1]))
    size = seen if same else size
    found = ScoreMap(torch.randn(2, 3, *cells), grid, align_corners)
    expected = interpolated(found, seen, size)
    middle = size[0] // 2
    rows = [
        upsampled_rows(found, top, bottom, size, seen)
        for top, bottom in ((0, middle), (middle, size[0]))
        if top < bottom
    ]
    np.testing.assert_allclose(torch.cat(rows, 2).numpy(), expected, atol=2e-5)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("model", [tiny(5), Corners()], ids=["cells", "corners"])
@torch.inference_mode()
def test_scales_are_the_mean_of_their_maps(model, flip):
    size, scales = (48, 80), (0.5, 0.75, 1.0, 1.5)
    images = torch.randn(1, 3, *size)
    found = MultiScale(scales, flip=flip)(model.eval(), images)
    assert isinstance(found, ScoreSum)
    expected = np.zeros((1, 5, *size))
    for scale in scales:
        seen = (int(48 * scale), int(80 * scale))
        view = images if scale == 1 else F.interpolate(images, size=seen, mode="bilinear")
        one = (Flip() if flip else Whole())(model, view)
        expected += interpolated(one, seen, size) / len(scales)
    np.testing.assert_allclose(found.scores.numpy(), expected, atol=1e-5)


@torch.inference_mode()
def test_maps_with_more_cells_than_pixels_are_added_up_at_once():
    model, images = tiny(5).eval(), torch.randn(1, 3, 32, 48)
    chances = MultiScale((0.5, 1.0, 2.0), average="probabilities")(model, images)
    assert isinstance(chances, ScoreMap)
    assert chances.probabilities
    assert chances.scores.shape == (1, 5, 32, 48)
    torch.testing.assert_close(chances.scores.sum(1), torch.ones(1, 32, 48))
    few = MultiScale((0.5, 1.0, 2.0))(model, images)
    assert isinstance(few, ScoreSum)
    assert [part.map.scores.shape[-1] for part in few.parts] == [6, 12, 24]


@torch.inference_mode()
def test_pooling_is_the_published_way_on_normalized_images():
    """Half the size is the mean of 2x2 pixels; the published code fed the network images it had not normalized."""
    model, images = tiny(5).eval(), torch.randn(1, 3, 32, 48)
    seen = []

    class Spy(nn.Module):
        stride, align_corners, num_classes = 4, False, 5

        def forward(self, views: torch.Tensor) -> Output:
            seen.append(views.clone())
            return model(views)

    Pooling(flip=False)(Spy(), images)
    torch.testing.assert_close(seen[0], F.avg_pool2d(images, 2))
    assert torch.equal(seen[1], images)
    assert seen[2].shape[-2:] == (64, 96)


@torch.inference_mode()
def test_many_classes_are_never_upsampled_together(monkeypatch):
    """194 classes at the size of the image are what made the published code need several GPUs."""
    source, target = space("mseg-194"), space("cityscapes-19")
    project = LabelMap.by_name(source, target, {source.names[0]: target.names[0]})
    largest = []
    original = torch.Tensor.softmax
    monkeypatch.setattr(
        torch.Tensor, "softmax", lambda self, dim: largest.append(self.numel()) or original(self, dim)
    )
    found = Probabilities(Whole(), project)(tiny(194).eval(), torch.randn(1, 3, 256, 256))
    assert found.scores.shape == (1, 19, 256, 256)
    assert max(largest) <= 2**20 < 194 * 256 * 256


# ---- Predictor ------------------------------------------------------------------------------------------------------

CARD = WeightsCard(model="tests.tiny:tiny", space=space("camvid-11"), preprocess=Preprocess())


def test_a_predictor_decodes_sums_of_maps():
    images = torch.randint(0, 256, (2, 3, 37, 53), dtype=torch.uint8)
    predictor = Predictor(tiny(11), CARD, strategy=MultiScale((0.5, 1.0, 1.5), flip=True), device="cpu")
    found, seen = predictor.scores(images)
    assert isinstance(found, ScoreSum)
    assert seen == (37, 53)
    decoded = predictor.decode(images, confidence=True)
    expected = found.scores.softmax(1).max(1)
    assert torch.equal(decoded.labels, expected.indices.to(torch.uint8))
    torch.testing.assert_close(decoded.confidence, expected.values)
    assert predictor.decode(images, (74, 106)).labels.shape == (2, 74, 106)


@pytest.mark.parametrize("strategy", [Whole(), MultiScale((0.5, 1.0)), Probabilities()], ids=str)
@pytest.mark.parametrize("size", [None, (50, 60)])
def test_probabilities_come_in_rows(strategy, size):
    images = torch.randint(0, 256, (1, 3, 37, 53), dtype=torch.uint8)
    predictor = Predictor(tiny(11), CARD, strategy=strategy, device="cpu")
    rows = list(probability_rows(*predictor.scores(images), size or images.shape[-2:]))
    assert rows[0][0] == 0
    chances = torch.cat([part for _, part in rows], 2)
    torch.testing.assert_close(chances.sum(1), torch.ones(1, *(size or (37, 53))))
    decoded = predictor.decode(images, size, confidence=True)
    torch.testing.assert_close(chances.amax(1), decoded.confidence, atol=1e-5, rtol=0)


def test_a_predictor_gives_the_classes_that_its_strategy_projects_to():
    target = space("cityscapes-19")
    strategy = projected(
        Flip(), LabelMap.by_name(CARD.space, target, {"Road": "road"} if "Road" in CARD.space.names else {})
    )
    predictor = Predictor(tiny(11), CARD, strategy=strategy, device="cpu")
    assert predictor.space == target
    prediction = predictor(np.zeros((20, 30, 3), np.uint8))
    assert prediction.space == target


def test_a_strategy_with_its_own_size_sees_the_image_as_stored():
    card = WeightsCard(model="x:y", space=space("camvid-11"), preprocess=Preprocess(size=(16, 16)))
    images = torch.zeros(1, 3, 40, 60, dtype=torch.uint8)
    own = Predictor(tiny(11), card, strategy=MultiScale((1.0,), short_side=20), device="cpu")
    assert own.scores(images)[1] == (40, 60)
    assert Predictor(tiny(11), card, strategy=MultiScale((1.0,)), device="cpu").scores(images)[1] == (16, 16)


# ---- Words ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        (Whole(), "whole image, single scale, no flip"),
        (Flip(), "whole image, single scale, with flip"),
        (Sliding(1024), "sliding windows of 1024x1024, overlap 0.33"),
        (
            Sliding((512, 768), stride=256, weights="gaussian"),
            "sliding windows of 768x512, stride 256, gaussian weights",
        ),
        (MultiScale((0.5, 1), flip=True), "whole image, scales 0.5, 1 with flip, mean logits"),
        (
            MultiScale(
                (1,), inner=Sliding(713, pad=True, inner=Flip()), short_side=360, average="probabilities"
            ),
            "sliding windows of 713x713, overlap 0.33, padded with the mean of (whole image, single scale, with flip),"
            " scales 1 of short side 360, mean probabilities",
        ),
        (Bounded(4 * 10**9), "whole image, single scale, no flip, in windows where it takes more than 4 GB"),
    ],
)
def test_strategies_describe_themselves(strategy, words):
    assert strategy.describe() == words


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sliding(0), "windows of 0 pixels"),
        (lambda: Sliding(16, batch=0), "cannot slide"),
        (lambda: Sliding(16, overlap=1.0), "overlap 1"),
        (lambda: Sliding(16, stride=17), "stride 17"),
        (lambda: MultiScale(()), "no scales"),
        (lambda: MultiScale((1.0, -1.0)), "no scales"),
    ],
)
def test_strategies_that_cannot_be_are_refused(make, message):
    with pytest.raises(RecipeError, match=message):
        make()


def test_limits_reach_every_run_of_the_network():
    nest = MultiScale((0.5, 1.0), inner=Flip(Whole()))
    assert bounded(nest, 10) == MultiScale((0.5, 1.0), inner=Flip(Bounded(10)))
    assert bounded(Sliding(16), 10) == Sliding(16, max_memory=10)
    assert bounded(Hierarchical(), 10) == Bounded(10, Hierarchical())
    assert bounded(Bounded(20), 10) == Bounded(10)
