from collections.abc import Mapping
from typing import Any

import pytest
import torch

from roadseg.models.bisenet import BiSeNet, Xception39, bisenet_resnet18, bisenet_xception39
from roadseg.models.layouts import layout_of, layouts
from roadseg.models.resnet import ResNet
from roadseg.models.weights import load_weights


def _tiny(**options: Any) -> BiSeNet:
    trunk = ResNet(18, width=8, depths=(1, 1, 1, 1))
    return BiSeNet(5, trunk, width=8, spatial_width=8, head_width=8, aux_width=8, **options).eval()


def _renamed(model: torch.nn.Module, layout: str) -> dict[str, torch.Tensor]:
    ours = model.state_dict()
    names = next(each for each in layouts() if each.name == layout).to_theirs(ours)
    return {names[key]: value for key, value in ours.items()}


COINCHEUNG = {
    "head_width": 256,
    "fusion": "normalized",
    "upsampling": "nearest",
    "align_corners": False,
}


@pytest.mark.parametrize(
    ("layout", "model", "options"),
    [
        ("fast-seg/bisenet", "bisenet-resnet18", {"stem": "deep", "aux_width": 128}),
        ("fast-seg/bisenet", "bisenet-resnet18", {"stem": "deep", "aux": False}),
        ("torchseg/bisenet", "bisenet-resnet18", {}),
        ("torchseg/bisenet", "bisenet-resnet18", {"stem": "deep", "aux": False}),
        ("torchseg/bisenet-xception39", "bisenet-xception39", {}),
        ("coincheung/bisenet", "bisenet-resnet18", COINCHEUNG | {"aux_width": 64}),
        ("coincheung/bisenet", "bisenet-resnet18", COINCHEUNG | {"aux": False}),
        ("roadseg/bisenet", "bisenet-xception39", {"aux": False}),
        ("roadseg/bisenet", "bisenet-resnet18", {"fusion": "normalized", "aux_width": 64}),
    ],
)
def test_published_files_find_their_network(layout: str, model: str, options: Mapping[str, Any]) -> None:
    build: Any = {"bisenet-resnet18": bisenet_resnet18, "bisenet-xception39": bisenet_xception39}[model]
    trained = build(7, **options)
    state = _renamed(trained, layout)
    pair = layout_of(state)
    assert pair is not None
    found = pair[1]
    assert (pair[0].name, found.model, found.num_classes) == (layout, model, 7)
    assert {key: found.options[key] for key in options} == options
    again = build(7, **found.options)
    load_weights(again, state)
    for key, value in again.state_dict().items():
        assert torch.equal(value, trained.state_dict()[key]), key
    assert _renamed(again, layout).keys() == state.keys()


# Names and shapes as the publishers' code gives them, not through the translation of ours.
PUBLISHED = {
    "coincheung/bisenet": {
        "cp.resnet.conv1.weight": (64, 3, 7, 7),
        "cp.resnet.layer4.0.downsample.0.weight": (512, 256, 1, 1),
        "cp.arm16.conv.conv.weight": (128, 256, 3, 3),
        "cp.arm32.conv.bn.running_var": (128,),
        "cp.arm32.conv_atten.weight": (128, 128, 1, 1),
        "cp.arm16.bn_atten.weight": (128,),
        "cp.conv_head32.conv.weight": (128, 128, 3, 3),
        "cp.conv_head16.bn.weight": (128,),
        "cp.conv_avg.conv.weight": (128, 512, 1, 1),
        "sp.conv1.conv.weight": (64, 3, 7, 7),
        "sp.conv3.conv.weight": (64, 64, 3, 3),
        "sp.conv_out.conv.weight": (128, 64, 1, 1),
        "ffm.convblk.conv.weight": (256, 256, 1, 1),
        "ffm.conv.weight": (256, 256, 1, 1),
        "ffm.bn.weight": (256,),
        "conv_out.conv.conv.weight": (256, 256, 3, 3),
        "conv_out.conv_out.bias": (19,),
        "conv_out16.conv.conv.weight": (64, 128, 3, 3),
        "conv_out32.conv_out.weight": (19, 64, 1, 1),
    },
    "torchseg/bisenet": {
        "context_path.layer2.1.conv2.weight": (128, 128, 3, 3),
        "global_context.1.conv.weight": (128, 512, 1, 1),
        "arms.0.conv_3x3.conv.weight": (128, 512, 3, 3),
        "heads.0.conv_3x3.conv.weight": (256, 128, 3, 3),
        "heads.2.conv_3x3.conv.weight": (64, 256, 3, 3),
        "ffm.channel_attention.2.conv.weight": (256, 256, 1, 1),
    },
    "torchseg/bisenet-xception39": {
        "context_path.conv1.conv.weight": (8, 3, 3, 3),
        "context_path.layer1.0.proj.conv1.weight": (8, 1, 3, 3),
        "context_path.layer1.0.proj.point_wise_cbr.bn.weight": (64,),
        "context_path.layer2.7.residual_branch.2.point_wise_cbr.conv.weight": (128, 32, 1, 1),
        "context_path.layer3.3.residual_branch.0.conv1.weight": (256, 1, 3, 3),
        "arms.1.conv_3x3.conv.weight": (128, 128, 3, 3),
        "heads.1.conv_1x1.weight": (19, 128, 1, 1),
    },
}


@pytest.mark.parametrize("layout", PUBLISHED)
def test_has_the_published_names(layout: str) -> None:
    build: Any = bisenet_xception39 if layout.endswith("39") else bisenet_resnet18
    with torch.device("meta"):
        state = _renamed(
            build(19, **(COINCHEUNG | {"aux_width": 64} if layout.startswith("coincheung") else {})), layout
        )
    for name, shape in PUBLISHED[layout].items():
        assert tuple(state[name].shape) == shape, name


def test_deeper_residual_trunks_are_not_taken_for_this_one() -> None:
    with torch.device("meta"):
        state = BiSeNet(19, ResNet(50)).state_dict()
    assert layout_of(state) is None


def test_nearest_upsampling_repeats_cells_at_any_size() -> None:
    model = _tiny(upsampling="nearest", align_corners=False)
    coarse = torch.arange(77.0).reshape(1, 1, 7, 11)
    repeated = coarse.repeat_interleave(2, 2).repeat_interleave(2, 3)
    for height, width in ((14, 22), (13, 21)):
        found = model._enlarge(coarse, torch.empty(1, 1, height, width))
        assert torch.equal(found, repeated[..., :height, :width])


def test_auxiliary_logits_come_from_the_context_path_alone() -> None:
    model = _tiny().train()
    for value in model.spatial_path.parameters():
        value.data.zero_()
    output = model(torch.randn(2, 3, 70, 90))
    assert [tuple(each.shape[-2:]) for each in output.aux] == [(9, 12), (5, 6)]
    sum(each.square().sum() for each in output.aux).backward()
    assert all(value.grad is None for value in model.spatial_path.parameters())
    assert all(value.grad is not None for value in model.backbone.parameters())


def test_xception39_has_three_stages_to_a_thirty_second() -> None:
    trunk = Xception39()
    assert [len(stage) for stage in (trunk.layer1, trunk.layer2, trunk.layer3)] == [4, 8, 4]
    shapes = [tuple(each.shape[1:]) for each in trunk.eval()(torch.empty(1, 3, 64, 96))]
    assert shapes == [(64, 8, 12), (128, 4, 6), (256, 2, 3)]


@pytest.mark.parametrize("wrong", [{"fusion": "none"}, {"upsampling": "cubic"}])
def test_wrong_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        _tiny(**wrong)
