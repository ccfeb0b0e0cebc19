"""Windows that go to the sum of all views one by one, against views that are summed as wholes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.inference import Flip, MultiScale, Probabilities, ScoreMap, Sliding, Whole
from roadseg.inference.strategies import sliding, totals
from roadseg.models.output import Output
from tests.tiny import tiny


class Aligned(torch.nn.Module):
    """One convolution to cells on every fourth pixel."""

    stride, align_corners, num_classes = 4, True, 6

    def __init__(self) -> None:
        super().__init__()
        self.net = torch.nn.Conv2d(3, 6, 3, stride=4, padding=1)

    def forward(self, images: torch.Tensor) -> Output:
        return Output(self.net(images))


PIXELS = Probabilities(Whole(extend="auto"))
WINDOWS = [
    Sliding(33, pad=True, inner=Flip(PIXELS)),
    Sliding(33, pad=True),
    Sliding(80, pad=True, inner=PIXELS),  # larger than the smaller views
    Sliding(30, merge="pixels"),
    Sliding((30, 26), stride=11, weights="gaussian", merge="pixels", batch=3),
    Sliding(32, stride=24, inner=PIXELS),  # on the grid, so the image is extended
    Sliding(27, inner=PIXELS),
    Sliding(24, grow=True, inner=PIXELS),
]


def image(height: int, width: int) -> torch.Tensor:
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(height * width))


def both_ways(strategy: MultiScale, model: torch.nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
    with torch.inference_mode():
        return tuple(strategy._run(model, images, pouring=way).scores for way in (True, False))


@pytest.mark.parametrize("windows", WINDOWS, ids=lambda one: one.describe()[16:])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("network", [Aligned, lambda: tiny(6)], ids=["aligned", "not aligned"])
def test_poured_windows_give_what_whole_views_give(windows, flip, network):
    model = network().eval()
    for short_side in (None, 47):
        strategy = MultiScale((0.5, 1.0, 1.6), flip=flip, inner=windows, short_side=short_side)
        poured, whole = both_ways(strategy, model, image(53, 70))
        assert poured.shape == whole.shape == (1, 6, 53, 70)
        # Both at the far border and where an extended view is mirrored: the same pixels have the same neighbors.
        torch.testing.assert_close(poured, whole, atol=2e-6, rtol=2e-5)


@given(st.integers(20, 90), st.integers(20, 90), st.floats(0.3, 3.0), st.integers(9, 60), st.booleans())
@settings(max_examples=30, deadline=None)
def test_poured_windows_of_any_size(height, width, scale, window, flip):
    torch.manual_seed(0)
    strategy = MultiScale((scale,), flip=flip, inner=Sliding(window, pad=True, inner=PIXELS))
    poured, whole = both_ways(strategy, tiny(5).eval(), image(height, width))
    torch.testing.assert_close(poured, whole, atol=2e-6, rtol=2e-5)
    torch.testing.assert_close(poured.sum(1), torch.ones(1, height, width))


def test_views_are_poured_where_they_have_more_pixels_than_the_picture(monkeypatch):
    calls = []
    pour = totals.Sink.pour
    monkeypatch.setattr(totals.Sink, "pour", lambda self, *more: calls.append(1) or pour(self, *more))
    model, windows = tiny(5).eval(), Sliding(24, pad=True, inner=PIXELS)
    with torch.inference_mode():
        MultiScale((0.5, 0.75), inner=windows)(model, image(60, 60))
        MultiScale((1.0,), inner=windows)(model, image(60, 60))
        MultiScale((1.0,), inner=windows, short_side=40)(model, image(60, 60))
        assert not calls
        found = MultiScale((1.0,), inner=windows, short_side=90)(model, image(60, 60))
    assert calls
    assert isinstance(found, ScoreMap)
    assert found.scores.shape == (1, 5, 60, 60)
    assert found.probabilities


def test_windows_merged_by_cell_are_not_poured(monkeypatch):
    monkeypatch.setattr(totals.Sink, "pour", lambda *_: pytest.fail("poured"))
    with torch.inference_mode():
        MultiScale((1.0, 2.0), inner=Sliding(32, stride=16))(tiny(5).eval(), image(64, 96))


def test_without_memory_for_it_whole_views_are_summed(monkeypatch):
    strategy, model = MultiScale((1.0, 2.0), inner=Sliding(32, pad=True)), tiny(5).eval()
    expected = both_ways(strategy, model, image(50, 60))[1]

    def failing(*_):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(totals.Sink, "pour", failing)
    with torch.inference_mode():
        found = strategy(model, image(50, 60)).scores
    torch.testing.assert_close(found, expected, atol=0, rtol=0)


def test_other_errors_while_pouring_are_what_they_are(monkeypatch):
    def failing(*_):
        raise RuntimeError("a fault")

    monkeypatch.setattr(totals.Sink, "pour", failing)
    with pytest.raises(RuntimeError, match="a fault"):
        MultiScale((1.0, 2.0), inner=Sliding(32, pad=True))(tiny(5).eval(), image(50, 60))


def test_windows_of_many_classes_are_run_one_at_a_time(monkeypatch):
    model, seen = tiny(5).eval(), []
    model.register_forward_hook(lambda _module, given, _out: seen.append(len(given[0])))
    windows = Sliding(32, pad=True, inner=PIXELS, batch=4)
    with torch.inference_mode():
        windows(model, image(50, 100))
        assert max(seen) == 4
        seen.clear()
        monkeypatch.setattr(sliding, "_WINDOW_BYTES", 4 * 5 * 32 * 32)
        windows(model, image(50, 100))
    assert set(seen) == {1}


def test_a_mirrored_average_leaves_a_networks_own_scores_alone():
    class Keeping(torch.nn.Module):
        stride, align_corners, num_classes = 1, False, 3

        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.arange(3.0 * 4 * 6).view(1, 3, 4, 6))

        def forward(self, _images: torch.Tensor) -> Output:
            return Output(self.weight)

    model = Keeping().eval()
    before = model.weight.detach().clone()
    with torch.inference_mode():
        Flip()(model, torch.zeros(1, 3, 4, 6))
        Flip(Probabilities())(model, torch.zeros(1, 3, 4, 6))
    assert torch.equal(model.weight, before)
