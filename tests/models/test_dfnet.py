"""DF networks: trunks of the published shape, windows that become grids, upsampling that keeps its place."""

import pytest
import torch
import torch.nn.functional as F

from roadseg.errors import RecipeError
from roadseg.models import catalog, load_encoder
from roadseg.models.blocks import adaptive_avg_pool
from roadseg.models.dfnet import DF1, DF2, DFNet, DFSeg, Stage, _FusionNode, _GridPooling
from roadseg.models.layouts import detect


def _parameters(model: torch.nn.Module) -> int:
    return sum(value.numel() for value in model.parameters())


@pytest.mark.parametrize(
    ("name", "millions"), [("df1-seg", 13.11), ("df2-seg1", 22.50), ("df2-seg2", 24.12)], ids=str
)
def test_is_of_the_size_of_the_published_network(name: str, millions: float) -> None:
    with torch.device("meta"):
        assert round(_parameters(catalog.build(name, 19)) / 1e6, 2) == millions


@pytest.mark.parametrize("stages", [DF1, DF2], ids=["DF1", "DF2"])
def test_trunk_has_an_imagenet_classifier_on_request_only(stages: tuple[Stage, ...]) -> None:
    with torch.device("meta"):
        plain, whole = DFNet(stages), DFNet(stages, classes=1000)
    assert set(whole.state_dict()) - set(plain.state_dict()) == {"fc.weight", "fc.bias"}


def test_grids_equal_the_fixed_windows_at_the_size_they_were_made_for() -> None:
    x = torch.randn(1, 3, 32, 64, dtype=torch.float64)  # 1/32 of 1024 x 2048
    for grid, window in zip(_GridPooling.grids, (32, 16, 8, 4), strict=True):
        assert torch.allclose(adaptive_avg_pool(x, grid), F.avg_pool2d(x, window), rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [(8, 10), (7, 10), (8, 9), (7, 9)])
def test_fresh_node_upsamples_bilinearly_and_keeps_places(size: tuple[int, int]) -> None:
    node = _FusionNode(3, 2, 3).eval()
    coarse = torch.randn(1, 3, 4, 5)
    seen = []
    node.project = torch.nn.Identity()
    node.fuse.register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
    node(coarse, torch.zeros(1, 2, *size))
    want = F.interpolate(coarse, scale_factor=2, mode="bilinear")[..., : size[0], : size[1]]
    # Beyond the centers of the outer cells the filter meets the zeros outside the map, resizing does not.
    inner = (..., slice(1, 7), slice(1, min(9, size[1])))
    assert seen[0].shape[-2:] == size
    assert torch.allclose(seen[0][:, :3][inner], want[inner], atol=1e-6)


@pytest.mark.parametrize("name", ["df1-seg", "df2-seg1"])
@pytest.mark.parametrize("imagenet_fc", [False, True])
def test_decoder_of_fast_seg_is_recognized(name: str, imagenet_fc: bool) -> None:
    options = {"decoder": "fast-seg", "imagenet_fc": imagenet_fc}
    with torch.device("meta"):
        found = detect(catalog.build(name, 7, **options).state_dict())
    assert found is not None
    assert (found.model, found.num_classes, dict(found.options)) == (name, 7, options)


@pytest.mark.parametrize(("name", "stride"), [("df1-seg", 16), ("df2-seg1", 8)])
def test_border_behind_the_pooling_leaves_the_size_of_the_logits(name: str, stride: int) -> None:
    for padding in (0, 1):
        with torch.device("meta"):
            model = catalog.build(name, 3, decoder="fast-seg", ppm_padding=padding).eval()
        assert model.stride == stride
        logits = model(torch.empty(1, 3, 97, 130, device="meta")).logits
        assert logits.shape == (1, 3, -(-97 // stride), -(-130 // stride))


@pytest.mark.parametrize("options", [{"decoder": "psp"}, {"ppm_padding": 1}, {"imagenet_fc": True}], ids=str)
def test_options_that_do_not_fit_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(RecipeError, match="decoder"):
        catalog.build("df1-seg", 3, **options)


def test_imagenet_weights_of_the_trunk_load() -> None:
    stages: tuple[Stage, ...] = (("stage2", 1, 8, 2), ("stage3", 1, 12, 2), ("stage4", 1, 16, 2))
    published = DFNet(stages, stem=(8, 8), classes=10).state_dict()  # stage1.0.weight ... fc.bias
    model = DFSeg(3, DFNet(stages, stem=(8, 8)), laterals=(4, 4, 4), nodes=(4, 4), pooled=4)
    report = load_encoder(model, published)
    assert all(torch.equal(value, published[key]) for key, value in model.backbone.state_dict().items())
    assert {key for key in report.unexpected if "num_batches" not in key} == {"fc.weight", "fc.bias"}
