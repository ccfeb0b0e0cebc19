"""FlowNet 2.0: optical flow by a stack of networks, in plain torch.

Ilg, Mayer, Saikia, Keuper, Dosovitskiy, Brox: "FlowNet 2.0: Evolution of Optical Flow Estimation with Deep Networks",
CVPR 2017. Names and shapes of the parameters are those of the published PyTorch weights.
"""

import torch
import torch.nn.functional as F
from torch import nn

from roadseg.models.flownet_parts import FlowFusion, FlowNetC, FlowNetS, FlowNetSD
from roadseg.models.warping import channel_norm, warp

__all__ = ["FlowNet2", "pad_to_multiple"]

_UNIT = 20.0  # pixels: what the networks count large flows in; small ones are in 1/20 pixel
_DIVISOR = 64  # sides that the networks halve without a rest
_WHITE = 255.0


class FlowNet2(nn.Module):
    """The flow between two pictures (Ilg et al., section 4 and figure 2).

    FlowNetC makes a first flow, two FlowNetS improve it, each from the second picture moved along the flow so far and
    the brightness error that is left; FlowNetSD sees small motions; a fifth network joins both.

    Args:
        width: Factor of all channels; 1 is the published network with 162,518,834 parameters.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        self.flownetc = FlowNetC(width)
        self.flownets_1 = FlowNetS(width=width)
        self.flownets_2 = FlowNetS(width=width)
        self.flownets_d = FlowNetSD(width)
        self.flownetfusion = FlowFusion(width)

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Return where the pixels of the first picture are in the second.

        Args:
            first: ``[B, 3, H, W]``, 0..255, in the channel order of the weights: RGB for FlowNet 2.0's own.
            second: The same of the other picture.

        Returns:
            ``[B, 2, H, W]``, in pixels: `roadseg.models.warping.warp` of ``second`` with it looks like ``first``.
        """
        height, width = first.shape[-2:]
        frames = pad_to_multiple(torch.stack([first, second], dim=1), _DIVISOR)
        frames = (frames - frames.mean(dim=(1, 3, 4), keepdim=True)) / _WHITE
        one, two = frames.unbind(1)
        pair = torch.cat([one, two], dim=1)
        flow = _enlarge(self.flownetc(pair) * _UNIT, "bilinear")
        flow = _enlarge(self.flownets_1(_explained(pair, flow)) * _UNIT, "bilinear")
        large = _enlarge(self.flownets_2(_explained(pair, flow)) * _UNIT, "nearest")
        small = _enlarge(self.flownets_d(pair) / _UNIT, "nearest")
        lengths, errors = (
            map(channel_norm, (small, large)),
            (_error(one, two, flow) for flow in (small, large)),
        )
        fused: torch.Tensor = self.flownetfusion(torch.cat([one, small, large, *lengths, *errors], dim=1))
        return fused[..., :height, :width]


def pad_to_multiple(x: torch.Tensor, divisor: int) -> torch.Tensor:
    """Repeat the right and lower border of ``[B, N, C, H, W]`` until both sides are multiples of a number."""
    height, width = x.shape[-2:]
    missing = (0, -width % divisor, 0, -height % divisor)
    if not any(missing):
        return x
    padded = F.pad(x.flatten(0, 1), missing, mode="replicate")
    return padded.view(*x.shape[:3], *padded.shape[-2:])


def _explained(pair: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """Return what the next network sees ``[B, 12, H, W]``: pictures, moved picture, flow, and the error that is left."""
    one, two = pair.chunk(2, dim=1)
    moved = warp(two, flow)
    return torch.cat([pair, moved, flow / _UNIT, channel_norm(one - moved)], dim=1)


def _error(one: torch.Tensor, two: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    return channel_norm(one - warp(two, flow))


def _enlarge(flow: torch.Tensor, mode: str) -> torch.Tensor:
    corners = False if mode == "bilinear" else None
    return F.interpolate(flow, scale_factor=4, mode=mode, align_corners=corners)
