"""SDC-Net2D: the next frame of a video, or the motion to it, from the frames before.

Reda, Liu, Shih, Kirby, Barker, Tarjan, Tao, Catanzaro: "SDC-Net: Video Prediction Using Spatially-Displaced Convolution",
ECCV 2018; in the form in which Zhu, Sapra et al., "Improving Semantic Segmentation via Video Propagation and Label
Relaxation", CVPR 2019, section 3.1, made labels with it: it predicts a flow alone, along which frame and labels move.
"""

from typing import Literal, NamedTuple

import torch
from torch import nn

from roadseg.models.flownet2 import FlowNet2, pad_to_multiple
from roadseg.models.flownet_parts import SLOPE, conv, deconv, scaled
from roadseg.models.warping import warp

__all__ = ["SDCNet2D", "VideoPrediction"]

_DIVISOR = 64
_WHITE = 255.0
_SPREAD = 3.0  # flows are counted in three standard deviations
# Mean and standard deviation of the published training flows, x and y, in pixels.
_FLOW_MEAN = (-0.944273, -1.230770)
_FLOW_STD = (13.772042, 7.474639)


class VideoPrediction(NamedTuple):
    """A frame that was not known, or not looked at.

    Attributes:
        flow: ``[B, 2, H, W]`` backward flow, in pixels: where its pixels come from in the last known frame.
        image: ``[B, 3, H, W]``: the last known frame moved along it, RGB 0..255.
    """

    flow: torch.Tensor
    image: torch.Tensor


class SDCNet2D(nn.Module):
    """Predicts the flow from the next frame to the last known one: a FlowNetS of half the width, down to 1/64.

    It sees known frames and the flows between them. Fresh weights predict no motion.

    Args:
        reconstruction: See the frame that is to be predicted as well, and its flow: "video reconstruction" (Zhu, Sapra et
            al., section 3.2), for pairs of real frames.
        width: Factor of all channels, those of FlowNet2 too; 1 is the published network with 172,209,324 parameters
            (reconstruction: 172,217,254).
        flow: "flownet2" has a FlowNet2 inside; "given" takes flows of another source.
    """

    flow_mean: torch.Tensor
    flow_std: torch.Tensor
    rgb_mean: torch.Tensor

    def __init__(
        self,
        *,
        reconstruction: bool = False,
        width: float = 1.0,
        flow: Literal["flownet2", "given"] = "flownet2",
    ) -> None:
        super().__init__()
        self.reconstruction = reconstruction
        self.register_buffer("flow_mean", torch.tensor(_FLOW_MEAN).view(1, 2, 1, 1))
        self.register_buffer("flow_std", torch.tensor(_FLOW_STD).view(1, 2, 1, 1))
        self.register_buffer("rgb_mean", torch.zeros(1, 3, 1, 1))  # published files hold it; nothing uses it
        inputs = self.num_frames * 3 + self.num_flows * 2
        c32, c64, c128, c256, c512 = (scaled(channels, width) for channels in (32, 64, 128, 256, 512))
        c16, c8 = scaled(16, width), scaled(8, width)
        self.conv1 = conv(inputs, c32, 7, 2)
        self.conv2 = conv(c32, c64, 5, 2)
        self.conv3 = conv(c64, c128, 5, 2)
        self.conv3_1 = conv(c128, c128)
        self.conv4 = conv(c128, c256, stride=2)
        self.conv4_1 = conv(c256, c256)
        self.conv5 = conv(c256, c256, stride=2)
        self.conv5_1 = conv(c256, c256)
        self.conv6 = conv(c256, c512, stride=2)
        self.conv6_1 = conv(c512, c512)
        self.deconv5 = deconv(c512, c256)
        self.deconv4 = deconv(c256 + c256, c128)
        self.deconv3 = deconv(c256 + c128, c64)
        self.deconv2 = deconv(c128 + c64, c32)
        self.deconv1 = deconv(c64 + c32, c16)
        self.deconv0 = deconv(c32 + c16, c8)
        self.final_flow = nn.Conv2d(inputs + c8, 2, 3, 1, 1)
        self._initialize()
        self.flownet2 = FlowNet2(width) if flow == "flownet2" else None

    @property
    def num_frames(self) -> int:
        """Frames that it sees: 2, or 3 with reconstruction."""
        return 3 if self.reconstruction else 2

    @property
    def num_flows(self) -> int:
        """Flows that it sees, each from a frame to the one before."""
        return self.num_frames - 1

    def forward(self, frames: torch.Tensor, flows: torch.Tensor | None = None) -> VideoPrediction:
        """Predict the third frame.

        Args:
            frames: ``[B, 3, 3, H, W]``: three frames in the order of time, RGB, 0..255, of any size. Without
                reconstruction the third is not looked at, and may be missing.
            flows: ``[B, n, 2, H, W]``, in pixels: where the pixels of frame 1 are in frame 0, and with reconstruction
                those of frame 2 in frame 1. None lets the FlowNet2 inside find them.

        Raises:
            ValueError: There are too few frames or flows, or no flows and no FlowNet2 to find them.
        """
        self._check(frames, flows)
        height, width = frames.shape[-2:]
        known = frames[:, : self.num_frames].flip(2)  # the published weights know BGR
        seen = pad_to_multiple(known, _DIVISOR)
        between = self._flows(seen) if flows is None else pad_to_multiple(flows, _DIVISOR)
        flow = self._predict(seen, between)[..., :height, :width]
        return VideoPrediction(flow, warp(frames[:, 1], flow))

    def start_at_latest_flow(self) -> None:
        """Make the last layer pass on the latest of the flows that the network is shown: steady motion."""
        weight = torch.zeros_like(self.final_flow.weight)
        for axis in range(2):
            weight[axis, (axis + 1) * self.num_flows - 1, 1, 1] = 1
        self._start(weight, torch.zeros(2))

    def _check(self, frames: torch.Tensor, flows: torch.Tensor | None) -> None:
        if frames.ndim != 5 or frames.shape[1] < self.num_frames or frames.shape[2] != 3:
            raise ValueError(
                f"frames are [B, {self.num_frames} or more, 3, H, W] here, not {list(frames.shape)}"
            )
        if flows is None and self.flownet2 is None:
            raise ValueError("flows are needed: this network was built with flow='given'")
        wanted = (len(frames), self.num_flows, 2, *frames.shape[-2:])
        if flows is not None and flows.shape != wanted:
            raise ValueError(f"flows are {list(wanted)} here, not {list(flows.shape)}")

    def _flows(self, frames: torch.Tensor) -> torch.Tensor:
        """Return ``[B, n, 2, H, W]``: the flow of each frame but the first to the one before."""
        assert self.flownet2 is not None  # noqa: S101 - checked before
        later, earlier = frames[:, 1:].flatten(0, 1), frames[:, :-1].flatten(0, 1)
        flows: torch.Tensor = self.flownet2(later, earlier)
        return flows.view(len(frames), self.num_flows, *flows.shape[1:])

    def _predict(self, frames: torch.Tensor, flows: torch.Tensor) -> torch.Tensor:
        """Map BGR frames ``[B, N, 3, H, W]`` and their flows ``[B, N - 1, 2, H, W]`` to a flow ``[B, 2, H, W]``."""
        spread = _SPREAD * self.flow_std
        pictures = (frames - frames.mean(dim=(1, 3, 4), keepdim=True)) / _WHITE
        motions = (flows - self.flow_mean[:, None]) / spread[:, None]
        # All motions along x, then along y; then the frames' blue channels, their green ones, their red ones.
        x0 = torch.cat([part.transpose(1, 2).flatten(1, 2) for part in (motions, pictures)], dim=1)
        x1 = self.conv1(x0)
        x2 = self.conv2(x1)
        x3 = self.conv3_1(self.conv3(x2))
        x4 = self.conv4_1(self.conv4(x3))
        x5 = self.conv5_1(self.conv5(x4))
        x = self.deconv5(self.conv6_1(self.conv6(x5)))
        for skip, up in (
            (x5, self.deconv4),
            (x4, self.deconv3),
            (x3, self.deconv2),
            (x2, self.deconv1),
            (x1, self.deconv0),
        ):
            x = up(torch.cat([skip, x], dim=1))
        flow: torch.Tensor = self.final_flow(torch.cat([x0, x], dim=1))
        return flow * spread + self.flow_mean

    def _initialize(self) -> None:
        """Keep the scale of what passes through, and start with a flow of zero."""
        for name, parameter in self.named_parameters():
            if name.endswith("weight"):
                nn.init.kaiming_normal_(parameter, a=SLOPE)
            else:
                nn.init.zeros_(parameter)
        self._start(torch.zeros_like(self.final_flow.weight), -self.flow_mean / (_SPREAD * self.flow_std))

    def _start(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        """Set the last layer."""
        self.final_flow.load_state_dict({"weight": weight, "bias": bias.flatten()})
