import pytest
import torch

from roadseg.errors import RecipeError
from roadseg.models import build


@pytest.mark.parametrize("size", [(64, 96), (50, 70), (33, 47)])
def test_corrections_start_at_zero_and_refine_the_grid(size):
    plain = build("fast-scnn", 5, align_corners=False).eval()
    refined = build("fast-scnn", 5, align_corners=False, refine=16).eval()
    refined.load_state_dict(plain.state_dict(), strict=False)
    images = torch.rand(1, 3, *size)
    with torch.inference_mode():
        coarse, fine = plain(images).logits, refined(images).logits
    assert (plain.stride, refined.stride) == (8, 4)
    assert fine.shape[-2:] == tuple(-(-side // 4) for side in size)
    # A coarse cell is where the four fine ones meet.
    rows, columns = (side // 2 * 2 for side in fine.shape[-2:])
    means = torch.nn.functional.avg_pool2d(fine[..., :rows, :columns], 2)[..., 1:-1, 1:-1]
    inner = coarse[..., 1 : 1 + means.shape[-2], 1 : 1 + means.shape[-1]]
    near = torch.nn.functional.avg_pool2d(inner, 3, stride=1, padding=1, count_include_pad=False)
    assert torch.allclose(means, inner, atol=float((near - inner).abs().max()) + 1e-6)


def test_corrections_learn_from_the_first_step_on():
    network = build("fast-scnn", 5, align_corners=False, refine=16)
    network(torch.rand(2, 3, 64, 64)).logits.square().sum().backward()
    assert network.refinement.conv.weight.grad.abs().sum() > 0


def test_corrections_need_a_grid_that_does_not_stretch():
    with pytest.raises(RecipeError, match="align_corners=False"):
        build("fast-scnn", 5, refine=16)
