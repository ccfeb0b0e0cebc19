import pytest
import torch

from roadseg.models.espnet import ESPNet, espnet, espnet_c


def _run(model: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(images).logits


@pytest.mark.parametrize(("skip", "channels"), [("concat", 19), ("features", 16)])
def test_skip_sets_the_width_of_the_join(skip: str, channels: int) -> None:
    model = espnet(12, alpha3=0, skip=skip)
    assert model.conv.conv.in_channels == channels + 12


def test_encoder_alone_gives_the_auxiliary_logits() -> None:
    model = espnet(6, alpha3=1)
    images = torch.randn(2, 3, 37, 51)
    alone = espnet_c(6, alpha3=1)
    alone.load_state_dict(model.encoder.state_dict())
    assert torch.equal(model.train()(images).aux[0], alone.train()(images).logits)


@pytest.mark.parametrize("removed", range(1, 8))
def test_cutting_the_border_does_not_shift_the_grid(removed: int) -> None:
    model = espnet(5, alpha2=0, alpha3=0)
    images = torch.randn(1, 3, 16, 640)
    whole = _run(model, images)
    cut = _run(model, images[..., :-removed])
    assert cut.shape[-1] == 640 - removed
    torch.testing.assert_close(cut[..., :320], whole[..., :320])  # beyond the reach of the border


def test_widths_follow_alpha() -> None:
    model = espnet_c(5, alpha2=1, alpha3=4)
    assert (len(model.level2), len(model.level3)) == (1, 4)


def test_fewer_classes_than_branches_keep_five_channels() -> None:
    model = espnet(2, alpha3=0)
    assert model.level3_C.conv.out_channels == 5
    assert _run(model, torch.randn(1, 3, 8, 8)).shape == (1, 2, 8, 8)


@pytest.mark.parametrize("wrong", [{"skip": "image"}, {"alpha2": -1}, {"alpha3": -1}, {"num_classes": 0}])
def test_wrong_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ESPNet(**({"num_classes": 5} | wrong))
