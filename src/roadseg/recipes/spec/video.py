"""A plan that teaches a network to predict the next frame of a video."""

from dataclasses import dataclass, field
from typing import Any, Literal

from roadseg.recipes.spec.check import above, at_least, within_one
from roadseg.recipes.spec.optim import Optimizer, Schedule
from roadseg.recipes.spec.plan import Expectation, plain

__all__ = ["FrameNetwork", "FrameWeights", "VideoPrediction", "Videos"]


@dataclass(frozen=True, kw_only=True)
class Videos:
    """Which video to train on and to validate on.

    Attributes:
        root: Folder of sequences of frames. Usually given on the command line.
        train: Split to train on.
        val: Split to validate on; empty for no validation.
        val_frames: At most so many frames of it are predicted, evenly spread.
    """

    root: str = ""
    train: str = "train"
    val: str = "val"
    val_frames: int = 100


@dataclass(frozen=True, kw_only=True)
class FrameNetwork:
    """Which form of SDC-Net2D to build (Reda et al., ECCV 2018; Zhu et al., CVPR 2019).

    Attributes:
        reconstruction: The network also sees the frame that it is to make, and the flow that leads there.
        width: Factor on the published numbers of channels.
        flow: ``flownet2`` computes the flow between the given frames inside, with a network of its own, which keeps its
            weights; ``dis`` hands in that of dense inverse search (OpenCV).
        starts_at: What a fresh network predicts: no motion (``rest``), or the latest flow that it was given (``flow``),
            which training then refines.
        weights: A checkpoint to start from, of SDC-Net2D or of FlowNet2 alone; None starts from scratch.
        starts_from: What the published run started from, in words.
    """

    reconstruction: bool = False
    width: float = 1.0
    flow: Literal["flownet2", "dis"] = "flownet2"
    starts_at: Literal["rest", "flow"] = "rest"
    weights: str | None = None
    starts_from: str = ""


@dataclass(frozen=True, kw_only=True)
class FrameWeights:
    """Weights of the loss's terms.

    Attributes:
        color: Of the mean absolute difference of the pixels, 0..1.
        gradient: Of that of the pictures' gradients, 0..255.
        smoothness: Of the mean absolute gradient of the flow.
    """

    color: float = 0.7
    gradient: float = 0.2
    smoothness: float = 0.1


@dataclass(frozen=True, kw_only=True)
class VideoPrediction:
    """A complete plan of one training run.

    Attributes:
        name: ``network.dataset``.
        paper: Where the plan comes from.
        network: The network.
        data: The videos.
        crop: Height and width of the random crops.
        flip: Probability of a mirrored sample.
        reverse: Probability of a sample played backward.
        loss: What the terms of the loss are weighed by.
        optim: Optimizer.
        schedule: Learning-rate schedule.
        epochs: Passes over the training set.
        steps: Optimizer steps; None for as many as the epochs have.
        batch_size: Samples per optimizer step that each process takes, as the published plan counts them.
        clip_norm: Largest allowed gradient norm; None for no limit.
        precision: ``auto`` takes bfloat16 or float16 autocast where the device gains from it.
        eval_every: Epochs between validations.
        seed: Seed of everything random.
        workers: Loader processes; -1 chooses by the machine.
        expects: Published and measured scores.
    """

    name: str
    paper: str
    network: FrameNetwork = field(default_factory=FrameNetwork)
    data: Videos = field(default_factory=Videos)
    crop: tuple[int, int]
    flip: float = 0.0
    reverse: float = 0.0
    loss: FrameWeights = field(default_factory=FrameWeights)
    optim: Optimizer
    schedule: Schedule
    epochs: int
    steps: int | None = None
    batch_size: int
    clip_norm: float | None = None
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    eval_every: int = 1
    seed: int = 0
    workers: int = -1
    expects: tuple[Expectation, ...] = ()

    def __post_init__(self) -> None:
        within_one(self, "flip", "reverse")
        at_least(1, self, "epochs", "steps", "batch_size")
        above(0, self, "clip_norm")

    def to_json(self) -> dict[str, Any]:
        """Return the plan as plain JSON values; every union member names its class under ``kind``."""
        return plain(self)
