import pytest
import torch

from roadseg.models.flownet2 import FlowNet2, pad_to_multiple
from roadseg.models.flownet_parts import FlowFusion, FlowNetC, FlowNetS, FlowNetSD, scaled

NARROW = 1 / 64


def test_published_size() -> None:
    with torch.device("meta"):
        network = FlowNet2()
    assert sum(value.numel() for value in network.parameters()) == 162_518_834
    assert len(network.state_dict()) == 220


@pytest.mark.parametrize(
    ("network", "inputs", "shrunk"),
    [(FlowNetC, 6, 4), (FlowNetS, 12, 4), (FlowNetSD, 6, 4), (FlowFusion, 11, 1)],
)
def test_every_part_gives_a_flow_and_uses_all_its_layers(network: type, inputs: int, shrunk: int) -> None:
    part = network(width=NARROW)
    flow = part(torch.randn(2, inputs, 64, 128))
    assert flow.shape == (2, 2, 64 // shrunk, 128 // shrunk)
    flow.square().sum().backward()
    assert all(value.grad is not None and value.grad.abs().sum() > 0 for value in part.parameters())


def test_pictures_of_any_size_have_a_flow() -> None:
    network = FlowNet2(NARROW).eval()
    first, second = torch.rand(2, 2, 3, 70, 65) * 255
    with torch.no_grad():
        flow = network(first, second)
        alone = network(first[1:], second[1:])
    assert flow.shape == (2, 2, 70, 65)
    assert flow.isfinite().all()
    assert torch.allclose(flow[1:], alone, atol=1e-4)


def test_brightness_of_both_pictures_does_not_count() -> None:
    network = FlowNet2(NARROW).eval()
    first, second = torch.rand(2, 1, 3, 64, 64) * 200
    with torch.no_grad():
        assert torch.allclose(network(first, second), network(first + 50, second + 50), atol=1e-3)


def test_padding_repeats_the_border() -> None:
    frames = torch.arange(12.0).view(1, 2, 1, 2, 3)
    padded = pad_to_multiple(frames, 4)
    assert padded.shape == (1, 2, 1, 4, 4)
    assert padded[0, 0, 0].tolist() == [[0, 1, 2, 2], [3, 4, 5, 5], [3, 4, 5, 5], [3, 4, 5, 5]]
    assert pad_to_multiple(padded, 4) is padded


def test_channels_are_never_none() -> None:
    assert [scaled(channels, 1 / 64) for channels in (8, 16, 512)] == [1, 1, 8]
