"""Strategies where memory is short."""

import warnings

import pytest
import torch
from torch import nn

from roadseg.errors import RecipeError
from roadseg.inference import Bounded, Flip, Hierarchical, MultiScale, Sliding, Whole
from roadseg.inference.memory import bytes_text, is_out_of_memory, network_bytes, parse_memory
from roadseg.models.output import Output
from tests.tiny import tiny

CPU_MESSAGE = (
    "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate"
    " 1 bytes. Error code 12 (Cannot allocate memory)"
)
ERRORS = [
    torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError(CPU_MESSAGE),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes."),
    MemoryError(),
]


class Limited(nn.Module):
    """A 1x1 convolution on a device without room for more than so many pixels at a time."""

    stride, align_corners, num_classes = 1, False, 5

    def __init__(self, pixels: int, error: BaseException = ERRORS[0]) -> None:
        super().__init__()
        self.pixels, self.error = pixels, error
        self.conv = nn.Conv2d(3, 5, 1)
        self.runs: list[tuple[int, int, int]] = []

    def forward(self, images: torch.Tensor) -> Output:
        batch, _, height, width = images.shape
        if batch * height * width > self.pixels:
            raise self.error
        self.runs.append((batch, height, width))
        return Output(self.conv(images))


def reference(model: Limited, images: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return model.conv(images)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@torch.inference_mode()
def test_fewer_windows_are_run_at_a_time(error):
    model, images = Limited(2 * 32 * 32, error).eval(), torch.randn(1, 3, 100, 150)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing changes, so there is nothing to say
        found = Sliding(32, batch=16)(model, images)
    assert {run[0] for run in model.runs} <= {1, 2}
    torch.testing.assert_close(found.scores, reference(model, images), atol=1e-5, rtol=0)


@torch.inference_mode()
def test_windows_are_halved_as_a_last_resort_and_with_a_warning():
    model, images = Limited(40 * 40).eval(), torch.randn(1, 3, 200, 300)
    with pytest.warns(RuntimeWarning, match="scores may differ") as told:
        found = Sliding(128, batch=4)(model, images)
    assert "windows of 128x128 pixels were replaced by 64x64" in str(told[0].message)
    assert len(told) == 2
    assert {run[1:] for run in model.runs} == {(32, 32)}
    torch.testing.assert_close(found.scores, reference(model, images), atol=1e-5, rtol=0)


@torch.inference_mode()
def test_the_whole_image_is_cut_when_it_does_not_fit():
    model, images = Limited(150 * 150).eval(), torch.randn(1, 3, 200, 300)
    with pytest.warns(RuntimeWarning, match="image of 300x200 pixels was cut into windows of 128x96"):
        found = Bounded()(model, images)
    torch.testing.assert_close(found.scores, reference(model, images), atol=1e-5, rtol=0)


@torch.inference_mode()
def test_every_strategy_gets_on_in_little_memory():
    model, images = Limited(150 * 150).eval(), torch.randn(1, 3, 200, 300)
    with pytest.warns(RuntimeWarning, match="out of memory"):
        found = MultiScale((1.0,), flip=True, inner=Bounded())(model, images)
    torch.testing.assert_close(found.scores, reference(model, images), atol=1e-5, rtol=0)


@torch.inference_mode()
def test_a_chunk_that_was_added_in_part_counts_once(monkeypatch):
    from roadseg.inference.strategies import sliding

    model, images, calls = Limited(10**9).eval(), torch.randn(1, 3, 60, 90), []
    original = sliding._Slide._add_window

    def failing(self, place, window):
        calls.append(1)
        original(self, place, window)
        if len(calls) == 3:
            raise ERRORS[0]

    monkeypatch.setattr(sliding._Slide, "_add_window", failing)
    found = Sliding(32, batch=4)(model, images)
    torch.testing.assert_close(found.scores, reference(model, images), atol=1e-5, rtol=0)


@pytest.mark.filterwarnings("ignore:out of memory:RuntimeWarning")
@pytest.mark.parametrize("strategy", [Sliding(32), Sliding(8, batch=2), Bounded()], ids=str)
@torch.inference_mode()
def test_memory_that_is_never_enough_is_an_error_in_the_end(strategy):
    with pytest.raises(torch.cuda.OutOfMemoryError, match="Tried to allocate"):
        strategy(Limited(0).eval(), torch.zeros(1, 3, 100, 100))


@pytest.mark.parametrize("strategy", [Sliding(32), Bounded(), MultiScale((1.0, 2.0))], ids=str)
def test_other_errors_are_what_they_are(strategy):
    with pytest.raises(RuntimeError, match="a fault of the network"):
        strategy(Limited(0, RuntimeError("a fault of the network")), torch.zeros(1, 3, 100, 100))


# ---- Limits ---------------------------------------------------------------------------------------------------------


@torch.inference_mode()
def test_the_memory_of_a_network_is_estimated_from_a_small_run():
    model = tiny(5).eval()
    images = torch.zeros(1, 3, 256, 512)
    found = network_bytes(model, images)
    # The image, the first convolution's output and its ReLU at half the size with 8 channels are alive together.
    pixels = 256 * 512
    assert 1.0 * (12 + 2 * 8 * 4 / 4) * pixels <= found <= 1.4 * (12 + 2 * 8 * 4 / 4) * pixels
    assert network_bytes(model, images[..., :128]) == pytest.approx(found / 4, rel=0.01)
    assert network_bytes(model, images.expand(2, -1, -1, -1)) == pytest.approx(found * 2, rel=0.01)


@torch.inference_mode()
def test_images_beyond_the_limit_are_cut_into_windows_that_stay_within():
    model, images = tiny(5).eval(), torch.randn(1, 3, 512, 768)
    one = network_bytes(model, images[..., :1, :1])
    seen = []
    model.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape))
    limit = network_bytes(model, images) // 5
    seen.clear()
    found = Bounded(limit)(model, images)
    assert len(seen) > 5
    assert all(one * shape[0] * shape[2] * shape[3] <= limit for shape in seen)
    whole = Whole()(model, images)
    assert found.scores.shape == whole.scores.shape  # merged at the network's resolution
    assert (found.scores - whole.scores).abs().median() < 1e-6  # it differs where windows end
    seen.clear()
    assert torch.equal(Bounded(10 * limit)(model, images).scores, whole.scores)
    assert len(seen) == 1


def test_the_batch_keeps_to_the_limit():
    model, images = tiny(5).eval(), torch.randn(1, 3, 256, 256)
    seen = []
    limit = 2 * network_bytes(model, images[..., :64, :64]) + 1
    model.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    Sliding(64, stride=48, batch=16, max_memory=limit)(model, images)
    assert max(seen) == 2


def test_a_limit_below_the_smallest_window_says_what_would_do():
    model, images = tiny(5).eval(), torch.randn(1, 3, 512, 768)
    with pytest.raises(RecipeError, match=r"1 kB do not hold the smallest window.*give at least") as caught:
        Bounded(1000)(model, images)
    enough = parse_memory(str(caught.value).rpartition("at least ")[2])
    with torch.inference_mode():
        assert Bounded(enough)(model, images).grid == (512, 768)


def test_limits_know_scales_within():
    """A network run at twice the size takes four times the memory."""

    class Attentive(nn.Module):
        stride, align_corners, num_classes = 4, False, 5

        def __init__(self) -> None:
            super().__init__()
            self.net = tiny(5)
            self.seen: list[int] = []

        def forward(self, images: torch.Tensor) -> Output:
            self.seen.append(images.shape[-2] * images.shape[-1])
            logits = self.net(images).logits
            return Output(logits, attention=torch.sigmoid(logits[:, :1]))

    model, images = Attentive().eval(), torch.randn(1, 3, 256, 256)
    with torch.inference_mode():
        limit = network_bytes(model, images)
        Bounded(limit, Hierarchical((0.5, 1.0, 2.0)))(model, images)
    assert max(model.seen) <= 256 * 256


@torch.inference_mode()
def test_an_image_of_8k_is_labeled_within_a_small_limit():
    class Small(nn.Module):
        stride, align_corners, num_classes = 8, False, 5
        largest = 0

        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 5, 8, stride=8)

        def forward(self, images: torch.Tensor) -> Output:
            self.largest = max(self.largest, images.numel())
            return Output(self.conv(images))

    model, images = Small().eval(), torch.rand(1, 3, 1, 1).expand(1, 3, 4320, 7680)
    found = Bounded(30_000_000, Flip(Whole()))(model, images)
    assert found.scores.shape == (1, 5, 540, 960)
    assert found.grid == (4320, 7680)
    assert model.largest * 4 < 30_000_000
    torch.testing.assert_close(found.scores, found.scores[..., :1, :1].expand_as(found.scores))


# ---- Words ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [("4GB", 4 * 10**9), ("512 MiB", 2**29), ("1.5g", 1_500_000_000), ("100", 100), (7, 7), ("2 kB", 2000)],
)
def test_amounts_of_memory(text, expected):
    assert parse_memory(text) == expected


@pytest.mark.parametrize("text", ["", "lots", "-1GB", "0", "4 G B", "4XB", "1e9"])
def test_what_is_no_amount_of_memory_is_refused(text):
    with pytest.raises(RecipeError, match="for example 4GB"):
        parse_memory(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (12_345_678, "12.3 MB"), (10**10, "10 GB")],
)
def test_bytes_in_words(size, text):
    assert bytes_text(size) == text


def test_what_is_for_want_of_memory():
    assert all(is_out_of_memory(error) for error in ERRORS)
    assert not is_out_of_memory(RuntimeError("shapes do not fit"))
    assert not is_out_of_memory(ValueError("out of memory"))


def test_after_single_windows_scores_move_to_main_memory():
    """On a device other than the CPU, that comes before windows are halved: it changes nothing in the scores."""
    from roadseg.inference.strategies.sliding import _Slide, _WindowTooLargeError

    slide = _Slide(Sliding(32, batch=4), Limited(10**9), torch.zeros(1, 3, 64, 64))
    slide.device = torch.device("cuda")
    assert slide._yield_memory(ERRORS[0], 4) == 2
    assert slide._yield_memory(ERRORS[0], 2) == 1
    assert slide.device.type == "cuda"
    assert slide._yield_memory(ERRORS[0], 1) == 1
    assert slide.device.type == "cpu"
    with pytest.raises(_WindowTooLargeError):
        slide._yield_memory(ERRORS[0], 1)
