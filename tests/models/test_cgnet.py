import pytest
import torch
from torch import nn

from roadseg.models import catalog
from roadseg.models.cgnet import CGNet, cgnet
from roadseg.models.layouts import detect, layouts


def test_has_as_many_parameters_as_published() -> None:
    with torch.device("meta"):
        parameters = sum(value.numel() for value in cgnet(11).parameters())
    assert parameters == 494_258  # of the published CamVid file


@pytest.mark.parametrize(("m", "n"), [(3, 21), (3, 15), (2, 2)])
def test_blocks_are_read_off_the_weights(m: int, n: int) -> None:
    with torch.device("meta"):
        found = detect(catalog.build("cgnet", 11, m=m, n=n).state_dict())
    assert found is not None
    assert dict(found.options) == {"m": m, "n": n}


@pytest.mark.parametrize("wrong", [{"m": 1}, {"n": 1}, {"n": 0}])
def test_a_stage_needs_two_blocks(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least two blocks"):
        cgnet(11, **wrong)


@pytest.mark.parametrize(("stage", "dilation"), [("level2", 2), ("level3", 4)])
def test_surroundings_reach_as_far_as_published(stage: str, dilation: int) -> None:
    model = CGNet(5, m=3, n=3, widths=(8, 16, 32))
    blocks = [getattr(model, f"{stage}_0"), *getattr(model, stage)]
    assert [block.F_sur.conv.dilation for block in blocks] == [(dilation, dilation)] * 3
    assert [block.F_loc.conv.dilation for block in blocks] == [(1, 1)] * 3


def test_channels_are_weighed_by_the_whole_map() -> None:
    block = CGNet(5, m=2, n=2, widths=(8, 16, 32)).level2[0].F_glo
    for layer in block.fc:
        if isinstance(layer, nn.Linear):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
    x = torch.randn(2, 16, 5, 7)
    torch.testing.assert_close(block(x), x / 2)  # sigmoid(0)


def test_published_weights_were_trained_on_rgb_less_a_bgr_mean() -> None:
    layout = next(layout for layout in layouts() if layout.name == "wutianyi/cgnet")
    for convention in layout.conventions.values():
        assert convention.preprocess.get("order", "RGB") == "RGB"
        assert convention.preprocess["std"] == (1, 1, 1)
    blue, _, red = layout.conventions[11].preprocess["mean"]
    assert (blue, red) == (
        105.658,
        99.625,
    )  # of CamVid's train and val images; the first is subtracted from red
