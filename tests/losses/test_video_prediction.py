import pytest
import torch

from roadseg.losses.video_prediction import VideoPredictionLoss


def test_perfect_frames_along_an_even_flow_cost_nothing() -> None:
    image = torch.rand(2, 3, 5, 6) * 255
    flow = torch.full((2, 2, 5, 6), 3.0)
    assert VideoPredictionLoss()(image, image, flow) == 0


def test_terms_of_a_picture_that_is_too_bright() -> None:
    image = torch.zeros(1, 3, 4, 4)
    terms = VideoPredictionLoss().terms(image + 51, image, torch.zeros(1, 2, 4, 4))
    assert [float(term) for term in terms] == pytest.approx([0.2, 0, 0])


def test_contrasts_have_no_sign() -> None:
    stripes = (torch.arange(4) % 2).expand(1, 1, 3, 4) * 100.0
    loss, still = VideoPredictionLoss(), torch.zeros(1, 2, 3, 4)
    assert loss.terms(stripes, 100 - stripes, still).gradient == 0
    assert loss.terms(stripes, torch.zeros_like(stripes), still).gradient == 100


def test_smoothness_counts_steps_along_both_axes() -> None:
    flow = torch.zeros(1, 2, 3, 3)
    flow[:, 0] = 2 * torch.arange(3)  # u rises by 2 along x: one of two channels
    flow[:, 1] = 4 * torch.arange(3)[:, None]  # v by 4 along y
    image = torch.zeros(1, 3, 3, 3)
    assert VideoPredictionLoss().terms(image, image, flow).smoothness == pytest.approx(1 + 2)


def test_weights_and_gradients() -> None:
    image, target = torch.rand(2, 1, 3, 4, 4) * 255
    image.requires_grad_()
    flow = torch.rand(1, 2, 4, 4, requires_grad=True)
    loss = VideoPredictionLoss(color=2.0, gradient=0.5, smoothness=3.0)
    value = loss(image, target, flow)
    color, gradient, smoothness = loss.terms(image, target, flow)
    assert value.item() == pytest.approx((2 * color + 0.5 * gradient + 3 * smoothness).item())
    value.backward()
    assert image.grad.abs().sum() > 0
    assert flow.grad.abs().sum() > 0
