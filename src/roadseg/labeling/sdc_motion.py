"""Motion by SDC-Net2D: the network that was trained to predict a frame tells how the one before moves there."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from roadseg.errors import DataError
from roadseg.inference import file_sha256
from roadseg.inference.motion_weights import load_motion
from roadseg.labeling.motion import Dis, Flow, Picture, Step

__all__ = ["SdcMotion", "dis_flow"]


class SdcMotion:
    """A trained SDC-Net2D (Zhu et al., CVPR 2019, section 3.1).

    Attributes:
        name: What provenance calls it.
        needs_before: Always: the network sees the frame before the source.

    Args:
        path: Weights of `roadseg motion train`, or a published checkpoint.
        device: What it computes on.

    Raises:
        WeightsError: The file cannot be read, or holds something else.
        RecipeError: OpenCV, whose flow the network is handed, is not installed.
    """

    needs_before = True

    def __init__(self, path: str | Path, device: str | torch.device = "cpu") -> None:
        path = Path(path).expanduser()
        network, card = load_motion(path)
        self.name = f"sdcnet2d:{path.name}@{file_sha256(path)[:12]}"
        self._network = network.to(device)
        self._device = device
        self._is_handed_flow = card.flow == "dis"
        if self._is_handed_flow:
            _dis()  # should it be missing, that shows now

    @torch.inference_mode()
    def __call__(self, step: Step) -> Flow:
        """Return the predicted flow.

        A network that sees the target takes the source in place of a missing frame before it.

        Raises:
            DataError: The frame before the source is missing, and all that is known of the motion with it.
        """
        before = step.before
        if before is None:
            if not self._network.reconstruction:
                raise DataError(
                    "has no frame before it, from which the next could be predicted",
                    where=step.files[1],
                    remedy="start one frame later, or use weights of a network that sees the target"
                    " (sdcnet2d-recon)",
                )
            before = step.source
        flows = None
        if self._is_handed_flow:
            pairs = [(step.source, before), (step.target, step.source)][: self._network.num_flows]
            found = np.stack([dis_flow(target, source) for target, source in pairs])
            flows = torch.from_numpy(found).to(self._device).permute(0, 3, 1, 2)[None].contiguous()
        pictures = torch.from_numpy(np.stack([before, step.source, step.target]))
        frames = pictures.to(self._device).permute(0, 3, 1, 2)[None].float()
        flow: Flow = self._network(frames, flows).flow[0].permute(1, 2, 0).cpu().numpy()
        return np.ascontiguousarray(flow)


def dis_flow(target: Picture, source: Picture) -> Flow:
    """Return flow of dense inverse search, as `roadseg.data.triplets.FlowBetween` wants it.

    Raises:
        RecipeError: OpenCV is not installed.
    """
    return _dis()(Step(None, source, target, (None, Path(), Path())))


@lru_cache(maxsize=1)
def _dis() -> Dis:
    return Dis()
