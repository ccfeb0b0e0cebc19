"""How a picture moved from one frame of a sequence to the next: sources of backward flow behind one call.

A backward flow says, for every pixel of the *target* frame, where it lies in the *source* frame: float32 ``[H, W, 2]``,
pixels to the right and down. Warping the source with it gives the target's view (`roadseg.models.warping`).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from roadseg.data.sequences import flow_file, frame_number
from roadseg.data.synth import read_flow
from roadseg.errors import DataError, RecipeError
from roadseg.inference.motion import optical_flow

__all__ = ["Copy", "Dis", "Flow", "Known", "Motion", "Picture", "Raft", "Step", "inverse", "open_motion"]

Picture = npt.NDArray[np.uint8]
Flow = npt.NDArray[np.float32]

# OpenCV's search reads out of bounds where the short side of its coarsest layer is smaller than its patches; which
# layers it takes depends on the long side.
_DIS_SHORTEST = 64
_DIS_SLIMMEST = 1 / 3
_RAFT_GRID = 8  # RAFT computes at an eighth of the picture
_RAFT_SHORTEST = 128  # and halves that three times, to two cells at least
_FORMS = "copy, dis, dis:PIXELS, raft-small:FILE, raft-large:FILE, known or sdc:FILE"


class Step(NamedTuple):
    """Three real frames of a sequence, each uint8 ``[H, W, 3]``, RGB.

    Attributes:
        before: The frame before the source, on the other side than the target; None at the end of a sequence.
        source: The frame whose labels are known.
        target: The frame that wants them.
        files: Of the three, for motion that is stored beside them and for error texts.
    """

    before: Picture | None
    source: Picture
    target: Picture
    files: tuple[Path | None, Path, Path]


class Motion(Protocol):
    """A source of backward flow.

    Attributes:
        name: What provenance calls it.
        needs_before: Whether it looks at the frame before the source.
    """

    name: str
    needs_before: bool

    def __call__(self, step: Step) -> Flow:
        """Return where the pixels of the target lie in the source, float32 ``[H, W, 2]``."""
        ...


class Copy:
    """No motion at all: the baseline that every other has to beat."""

    name = "copy"
    needs_before = False

    def __call__(self, step: Step) -> Flow:
        """Return zeros."""
        return np.zeros((*step.target.shape[:2], 2), dtype=np.float32)


class Dis:
    """Dense inverse search (Kroeger et al., ECCV 2016), as OpenCV has it; needs no weights.

    Args:
        longest: Compute at no more pixels than this on the long side; by default at the pictures' own size.

    Raises:
        RecipeError: OpenCV is not installed.
    """

    needs_before = False

    def __init__(self, longest: int | None = None) -> None:
        self.name = "dis" if longest is None else f"dis:{longest}"
        self._longest = longest
        self._cv2 = optical_flow("dense inverse search", "--motion dis")
        self._search = self._cv2.DISOpticalFlow_create(self._cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def __call__(self, step: Step) -> Flow:
        """Return the flow between the gray pictures, blown up to their size where it was computed smaller."""
        height, width = step.target.shape[:2]
        target, source = self._gray(step.target), self._gray(step.source)
        inner = target.shape
        pad = _missing(inner, max(_DIS_SHORTEST, round(max(inner) * _DIS_SLIMMEST)))
        target, source = (np.pad(gray, pad, mode="edge") for gray in (target, source))
        flow: Flow = self._search.calc(target, source, None)[: inner[0], : inner[1]]
        if inner != (height, width):
            scale = np.array([width / inner[1], height / inner[0]], dtype=np.float32)
            flow = self._cv2.resize(flow, (width, height), interpolation=self._cv2.INTER_LINEAR) * scale
        return np.ascontiguousarray(flow)

    def _gray(self, picture: Picture) -> Picture:
        cv2 = self._cv2
        gray: Picture = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        height, width = gray.shape
        shrink = 1.0 if self._longest is None else min(1.0, self._longest / max(height, width))
        if shrink == 1:
            return gray
        size = max(1, round(width * shrink)), max(1, round(height * shrink))
        smaller: Picture = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
        return smaller


class Raft:
    """Recurrent all-pairs field transforms (Teed and Deng, ECCV 2020), as torchvision has it, with weights from a file.

    Args:
        variant: ``raft-small`` or ``raft-large``.
        weights: A file of torchvision's weights; nothing in it is executed.
        device: What it computes on.

    Raises:
        WeightsError: The file cannot be read, or holds other weights.
    """

    needs_before = False

    def __init__(self, variant: str, weights: str | Path, device: str | torch.device = "cpu") -> None:
        from torchvision.models.optical_flow import raft_large, raft_small

        from roadseg.inference import file_sha256
        from roadseg.models.weights import load_weights

        weights = Path(weights).expanduser()
        network = (raft_small if variant == "raft-small" else raft_large)(weights=None, progress=False)
        load_weights(network, weights)
        self.name = f"{variant}:{weights.name}@{file_sha256(weights)[:12]}"
        self._network = network.eval().to(device)
        self._device = device

    @torch.inference_mode()
    def __call__(self, step: Step) -> Flow:
        """Return the last of the network's refinements."""
        height, width = step.target.shape[:2]
        target, source = (self._padded(picture) for picture in (step.target, step.source))
        flow: Flow = self._network(target, source)[-1][0].permute(1, 2, 0).float().cpu().numpy()
        return np.ascontiguousarray(flow[:height, :width])

    def _padded(self, picture: Picture) -> torch.Tensor:
        image = torch.from_numpy(picture).to(self._device).permute(2, 0, 1)[None].float() / 127.5 - 1
        size = [max(_RAFT_SHORTEST, -(-side // _RAFT_GRID) * _RAFT_GRID) for side in image.shape[2:]]
        return F.pad(image, (0, size[1] - image.shape[3], 0, size[0] - image.shape[2]), mode="replicate")


class Known:
    """The flow that the renderer of synthetic streets stores beside the frames: what all others are measured against.

    Stored is the flow from each frame to the next. Towards an earlier frame it is exact as it lies there; towards a
    later one it is inverted, exact to a pixel where a point is seen in both frames (see `inverse`).
    """

    name = "known"
    needs_before = False

    def __call__(self, step: Step) -> Flow:
        """Return the stored flow, turned round where the target is the later frame.

        Raises:
            DataError: No flow is stored, or the frames are not neighbors.
        """
        source, target = step.files[1:]
        ahead = frame_number(target) - frame_number(source)
        if abs(ahead) != 1:
            raise DataError(
                f"is {abs(ahead)} frames from {source.name}, and known flow leads from frame to frame",
                where=target,
                remedy="use a sequence without gaps, or another --motion",
            )
        stored = flow_file(source if ahead > 0 else target)
        if stored is None or not stored.is_file():
            raise DataError(
                "has no stored flow beside it" if stored is None else f"has no stored flow at {stored}",
                where=source if ahead > 0 else target,
                remedy="known motion is for sequences of `roadseg data synth`; use --motion dis",
            )
        flow, valid = read_flow(stored)
        if flow.shape[:2] != step.target.shape[:2]:
            raise DataError(
                f"holds flow of {flow.shape[1]}x{flow.shape[0]} pixels for frames of"
                f" {step.target.shape[1]}x{step.target.shape[0]}",
                where=stored,
                remedy="render the sequence again",
            )
        return inverse(flow, valid) if ahead > 0 else flow.astype(np.float32)


def inverse(flow: Flow, valid: npt.NDArray[np.bool_]) -> Flow:
    """Turn a flow round: from where each pixel goes to where each pixel came from.

    Every valid pixel is carried to where it goes, and leaves its flow, reversed, at the nearest pixel there; pixels that
    it falls beside have it if none fell nearer. What nothing reaches was uncovered: it gets the flow of the neighbor
    that moves least, since what comes into sight lies behind.

    Args:
        flow: float32 ``[H, W, 2]`` in pixels.
        valid: bool ``[H, W]``: which pixels are seen at both ends.

    Returns:
        float32 ``[H, W, 2]``.
    """
    height, width = valid.shape
    rows, columns = np.nonzero(valid)
    moved = flow[rows, columns]
    x, y = columns + moved[:, 0], rows + moved[:, 1]
    found = np.zeros_like(flow)
    known = np.zeros_like(valid)
    left, top = np.floor(x), np.floor(y)
    corners = [(np.rint(x), np.rint(y)), *((left + dx, top + dy) for dy in (0, 1) for dx in (0, 1))]
    for column, row in corners:
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        at = row[inside].astype(np.intp), column[inside].astype(np.intp)
        free = ~known[at]
        at = at[0][free], at[1][free]
        found[at] = -moved[inside][free]
        known[at] = True
    return _spread(found, known)


def open_motion(text: str, device: str | torch.device = "cpu") -> Motion:
    """Return the source of motion that a text names.

    Args:
        text: ``copy``, ``dis``, ``dis:PIXELS`` (long side), ``raft-small:FILE``, ``raft-large:FILE``, ``known`` or
            ``sdc:FILE``.
        device: What networks compute on.

    Raises:
        RecipeError: There is no such motion, or what it needs is not installed.
        WeightsError: The file of its weights cannot be read or is of another network.
    """
    kind, _, rest = text.partition(":")
    plain: Mapping[str, Callable[[], Motion]] = {"copy": Copy, "dis": Dis, "known": Known}
    if kind in plain and not rest:
        return plain[kind]()
    if kind == "dis" and rest.isdecimal() and int(rest) > 0:
        return Dis(int(rest))
    if kind in ("raft-small", "raft-large") and rest:
        return Raft(kind, rest, device)
    if kind == "sdc" and rest:
        from roadseg.labeling.sdc_motion import SdcMotion

        return SdcMotion(Path(rest), device)
    raise RecipeError(f"there is no motion {text!r}", where="--motion", remedy=f"give {_FORMS}")


def _missing(size: tuple[int, ...], least: int) -> tuple[tuple[int, int], ...]:
    """Return what `numpy.pad` has to add so that no side is shorter than ``least``."""
    return tuple((0, max(0, least - side)) for side in size)


def _spread(flow: Flow, known: npt.NDArray[np.bool_]) -> Flow:
    """Fill the unknown pixels from the rim inwards, each with the smallest flow among its known neighbors."""
    if not known.any():
        return flow
    flow, known = flow.copy(), known.copy()
    while not known.all():
        size = np.where(known, np.hypot(flow[..., 0], flow[..., 1]), np.inf)
        best, chosen = np.full(known.shape, np.inf), flow.copy()
        for here, there in _NEIGHBORS:
            nearer = size[there] < best[here]
            best[here] = np.where(nearer, size[there], best[here])
            chosen[here] = np.where(nearer[..., None], flow[there], chosen[here])
        reached = ~known & np.isfinite(best)
        flow[reached] = chosen[reached]
        known |= reached
    return flow


_ALL, _FIRST, _LAST = slice(None), slice(None, -1), slice(1, None)
_NEIGHBORS: tuple[tuple[Any, Any], ...] = (
    ((_LAST, _ALL), (_FIRST, _ALL)),
    ((_FIRST, _ALL), (_LAST, _ALL)),
    ((_ALL, _LAST), (_ALL, _FIRST)),
    ((_ALL, _FIRST), (_ALL, _LAST)),
)
"""Pixels, and their neighbors above, below, to the left and to the right."""
