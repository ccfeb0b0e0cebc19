"""MSFNet: overlapping poolings, and boundaries in training only."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.export import Dim, export

from roadseg.models import catalog
from roadseg.models.layouts import detect
from roadseg.models.msfnet import MSFNet, _pool
from roadseg.models.resnet import ResNet


def _tiny(**options: object) -> MSFNet:
    return MSFNet(5, width=12, trunk=ResNet(18, width=8, depths=(1, 1, 1, 1)), **options)


@pytest.mark.parametrize("stride", [2, 4, 8, 16])
@pytest.mark.parametrize("size", [(16, 24), (5, 33), (1, 1)])
def test_pooling_averages_what_the_window_holds_of_the_map(stride: int, size: tuple[int, int]) -> None:
    x = torch.randn(1, 1, *size, dtype=torch.float64)
    pooled = _pool(x, stride)
    assert pooled.shape[-2:] == tuple(math.ceil(side / stride) for side in size)
    for row in range(pooled.shape[-2]):
        for column in range(pooled.shape[-1]):
            top, left = max(0, (row - 1) * stride), max(0, (column - 1) * stride)
            window = x[..., top : (row + 1) * stride + 1, left : (column + 1) * stride + 1]
            assert torch.allclose(pooled[..., row, column], window.mean())


def test_features_of_all_resolutions_meet() -> None:
    model = _tiny().eval()
    images = torch.randn(1, 3, 128, 192)
    fused = model.fusion(model.backbone(images))
    assert [tuple(x.shape[-2:]) for x in fused] == [(16, 24), (8, 12), (4, 6), (2, 3)]
    # 1/8 takes the first two stages, 1/16 three, 1/32 and 1/64 all four
    assert [fuse[0].in_channels for fuse in model.fusion.fuse] == [24, 56, 120, 120]


def test_boundaries_are_given_in_training_only_and_leave_the_logits_alone() -> None:
    torch.manual_seed(0)
    model, images = _tiny(), torch.randn(2, 3, 64, 96)
    (boundaries,) = model.train()(images).aux
    assert boundaries.shape == (2, 5, 8, 12)
    model.eval()
    plain = _tiny(boundary=False).eval()
    missing = plain.load_state_dict(model.state_dict(), strict=False)
    assert missing.missing_keys == []
    assert all(key.startswith("boundary.") for key in missing.unexpected_keys)
    assert model(images).aux == ()
    assert torch.equal(plain(images).logits, model(images).logits)


def test_boundary_loss_trains_the_shared_features_too() -> None:
    model = _tiny().train()
    (boundaries,) = model(torch.randn(2, 3, 64, 96)).aux
    F.binary_cross_entropy_with_logits(boundaries, torch.randint(2, boundaries.shape).float()).backward()
    reached = {key for key, value in model.named_parameters() if value.grad is not None}
    assert {key.split(".")[0] for key in reached} == {"backbone", "fusion", "boundary"}


@pytest.mark.parametrize("boundary", [True, False])
def test_is_recognized_with_its_option(boundary: bool) -> None:
    with torch.device("meta"):
        found = detect(catalog.build("msfnet", 7, boundary=boundary).state_dict())
    assert found is not None
    assert (found.model, found.num_classes, dict(found.options)) == ("msfnet", 7, {"boundary": boundary})


def test_exports_down_to_a_64th() -> None:
    model = _tiny().eval()
    free = {2: Dim.AUTO, 3: Dim.AUTO}
    example = (torch.randn(1, 3, 128, 192),)
    program = export(model, example, dynamic_shapes=(free,), strict=False).module()
    for size in [(128, 192), (65, 257), (201, 90)]:
        images = torch.randn(1, 3, *size)
        with torch.no_grad():
            want, found = model(images).logits, program(images).logits
        assert torch.allclose(found, want, rtol=0, atol=1e-5), size
