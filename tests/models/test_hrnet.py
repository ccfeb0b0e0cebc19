import pytest
import timm
import torch
from torch import nn

from roadseg.models.hrnet import HRNet, HRNetSegmentation, hrnet_w48_mseg, joined
from roadseg.models.layouts import layout_of

CLASSIFIER = ("incre_modules.", "downsamp_modules.", "final_layer.", "classifier.")


def _trunk_of(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: value for key, value in state.items() if not key.startswith(CLASSIFIER)}


def test_has_the_names_of_the_imagenet_weights() -> None:
    with torch.device("meta"):
        published = _trunk_of(timm.create_model("hrnet_w48").state_dict())
        ours = HRNet().state_dict()
    assert {key: value.shape for key, value in ours.items()} == {
        key: value.shape for key, value in published.items()
    }


def test_equals_timm_when_both_upsample_bilinearly() -> None:
    """Its classification networks fuse with nearest-neighbor upsampling, which is no weight."""
    theirs = timm.create_model("hrnet_w18_small").eval()
    for module in theirs.modules():
        if isinstance(module, nn.Upsample):
            module.mode = "bilinear"
        elif isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0.0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    ours = HRNet(16, modules=(1, 1, 1), blocks=2, first_stage=(1, 32)).eval()
    ours.load_state_dict(_trunk_of(theirs.state_dict()))
    images = torch.randn(1, 3, 96, 128)
    with torch.no_grad():
        found = ours(images)
        x = theirs.act1(theirs.bn1(theirs.conv1(images)))
        x = theirs.act2(theirs.bn2(theirs.conv2(x)))
        expected = theirs.stages(x)
    assert len(found) == len(expected) == 4
    for mine, published in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, published, rtol=1e-4, atol=1e-5)


def test_branches_halve_the_resolution_and_double_the_channels() -> None:
    trunk = HRNet(4, modules=(1, 1, 1), blocks=1, first_stage=(1, 4), stem_width=8).eval()
    with torch.no_grad():
        branches = trunk(torch.randn(1, 3, 65, 90))
    assert [tuple(x.shape[1:]) for x in branches] == [(4, 17, 23), (8, 9, 12), (16, 5, 6), (32, 3, 3)]
    assert joined(branches).shape == (1, 60, 17, 23)
    assert torch.equal(joined(branches)[:, :4], branches[0])


def test_starts_as_published() -> None:
    trunk = HRNet(16, modules=(1, 1, 1), blocks=1)
    weight = torch.cat([m.weight.flatten() for m in trunk.modules() if isinstance(m, nn.Conv2d)])
    assert float(weight.detach().std()) == pytest.approx(0.001, rel=0.01)


def test_mseg_averages_its_statistics_slowly() -> None:
    with torch.device("meta"):
        model = hrnet_w48_mseg(194)
    momenta = {m.momentum for m in model.modules() if isinstance(m, nn.BatchNorm2d)}
    assert momenta == {0.01}
    assert model.align_corners


def test_files_of_mseg_name_the_trunk_without_a_prefix() -> None:
    with torch.device("meta"):
        ours = hrnet_w48_mseg(194).state_dict()
    own = layout_of(ours)
    assert own is not None
    assert own[0].name == "roadseg/hrnet-mseg"
    theirs = {key.removeprefix("backbone."): value for key, value in ours.items()}
    published = layout_of(theirs)
    assert published is not None
    layout, found = published
    assert (layout.name, found.model, found.num_classes) == ("mseg/hrnet", "hrnet-w48-mseg", 194)
    assert layout.conventions[194].labels == "mseg-194"
    assert set(layout.to_ours(theirs).values()) == set(ours)
    assert set(layout.to_theirs(ours).values()) == set(theirs)


def test_other_widths_are_not_taken_for_w48() -> None:
    with torch.device("meta"):
        state = HRNetSegmentation(19, backbone=HRNet(18)).state_dict()
    assert layout_of(state) is None


def test_names_the_heads_it_knows() -> None:
    with pytest.raises(ValueError, match="1x1 or 3x3, not 5x5"):
        HRNetSegmentation(5, backbone=HRNet(2, modules=(1, 1, 1), blocks=1), head="5x5")
